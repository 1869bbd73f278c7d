"""Networks by name, file or choice, loaded once and prepared for where they will run.

load_model      weights by name or file
load_network    a choice of weights, runtime, precision and device -> a network that is ready to compute
LoadedNetwork   the network, and what "auto" came to
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from hdmatt.errors import InputError
from hdmatt.inference.names import DEFAULT_MODEL
from hdmatt.inference.options import NetworkChoice
from hdmatt.network.model import HDMatt
from hdmatt.runtimes.choose import choose, choose_precision
from hdmatt.runtimes.devices import names, pick_device
from hdmatt.runtimes.prepare import prepare
from hdmatt.system.values import checked_path

AnyNetwork = NetworkChoice | HDMatt | str | Path
AS_LOADED = "as loaded"  # runtime and precision of a network that the caller loaded


class LoadedNetwork(NamedTuple):
    """A network that is ready to compute, with the runtime, precision and device that were chosen."""

    model: HDMatt
    name: str
    runtime: str
    precision: str
    device: str  # as `pick_device` gives it


def load_model(name: str | Path = DEFAULT_MODEL) -> HDMatt:
    """The network by name or file, on the CPU, in evaluation mode.

    Loaded once: the same network is returned until the file changes. `matte` and `matte_files` take it as `network=`
    and then compute with it as it is, where it is.

    Args:
        name: A name that `hdmatt info` lists, or a safetensors file that hdmatt wrote.

    Raises:
        ModelError: There is no such model, or the file is damaged or not ours.
    """
    return _load(*_file_of(name if isinstance(name, str) else checked_path("the network", name)))


def load_network(network: AnyNetwork = DEFAULT_MODEL, *, several: bool = True) -> LoadedNetwork:
    """A network that is ready to compute on its device (docs/runtimes.md).

    Named networks are loaded and prepared once for each runtime, precision and device. They are never the network that
    `load_model` returns, so what a caller does to that one does not reach them.

    Args:
        network: A choice, the name or file of one with everything else "auto", or a loaded network. The last is used
            as it is, on the device where it lies.
        several: Whether a choice of several devices can be used.

    Raises:
        InputError: The runtime, precision or device is not there, or they do not go together.
        ModelError: There are no such weights.
    """
    if isinstance(network, HDMatt):
        return LoadedNetwork(network, "a loaded network", AS_LOADED, AS_LOADED, _device_of(network))
    choice = network if isinstance(network, NetworkChoice) else NetworkChoice(network)
    device = pick_device(choice.device, several=several)
    runtime = choose(choice.runtime, device)
    precision = choose_precision(choice.precision, runtime, device)
    model = _prepared(*_file_of(choice.model), runtime, precision, names(device)[0])
    return LoadedNetwork(model, str(choice.model), runtime, precision, device)


@lru_cache(maxsize=4)
def _prepared(file: str | Path, stamp: int, runtime: str, precision: str, device: str) -> HDMatt:
    """The prepared network of one device: two GPUs have a network each."""
    from hdmatt.network.checkpoint import read_model as load

    model, graphs = load(file), None  # not the cached one: it is the caller's, and its weights would stay beside these
    if runtime == "onnx" or runtime == "openvino":
        from hdmatt.runtimes.export import cached

        graphs = cached(model, runtime)
    network = prepare(model, runtime, precision=precision, graphs=graphs, device=device)
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


@lru_cache(maxsize=2)
def _load(file: str | Path, stamp: int) -> HDMatt:
    from hdmatt.network.checkpoint import read_model as load

    return load(file)


def _file_of(name: str | Path) -> tuple[str | Path, int]:
    """The file of a model, or its name where there is none, and the time of the file's last change."""
    from hdmatt.network.names import models

    path = models().get(str(name)) or Path(name)
    return (path, path.stat().st_mtime_ns) if path.is_file() else (name, 0)


def _device_of(network: HDMatt) -> str:
    devices = {parameter.device for parameter in network.parameters()}
    if len(devices) != 1:
        raise InputError(
            f"the network lies on {len(devices)} devices: {', '.join(sorted(map(str, devices)))}",
            hint="Move all of it to one: network.to(device).",
        )
    (device,) = devices
    return f"cuda:{device.index or 0}" if device.type == "cuda" else device.type
