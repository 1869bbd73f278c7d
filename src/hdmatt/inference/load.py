"""Cached weights, prepared for a runtime.

load_model      weights by name or file; loaded once
load_network    the same, prepared for a runtime, a precision and a device
"""

from functools import lru_cache
from pathlib import Path

from hdmatt.network.model import HDMatt
from hdmatt.runtimes.choose import choose, choose_precision
from hdmatt.runtimes.devices import kind
from hdmatt.runtimes.prepare import prepare

DEFAULT_MODEL = "hdmatt-s"


def load_model(name: str | Path = DEFAULT_MODEL) -> HDMatt:
    """The network by name or file; loaded once and then reused until the file changes."""
    from hdmatt.network.checkpoint import models

    path = models().get(str(name)) or Path(name)
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _load(path if path.is_file() else name, stamp)


def load_network(
    model: str | Path | HDMatt = DEFAULT_MODEL,
    *,
    runtime: str = "auto",
    precision: str = "auto",
    device: str = "cpu",
) -> HDMatt:
    """The network by name or file, or one that is loaded, prepared for a runtime (docs/runtimes.md).

    Args:
        runtime: "auto", "torch", "folded", "compiled", "onnx" or "openvino". "auto" leaves a loaded network as it is.
        precision: "auto" (bf16 for the folded runtime on a processor or a GPU that has it), "fp32" or
            "bf16". A loaded network is left as it is by "fp32", too.
        device: As `pick_device` gives it.

    Raises:
        InputError: No such runtime, or not installed, or not for this device or precision.
    """
    if isinstance(model, HDMatt):
        chosen = choose(runtime, device) if runtime != "auto" or precision == "bf16" else "torch"
        return _prepare(model, chosen, choose_precision(precision, chosen, device), device)
    chosen = choose(runtime, device)
    precision = choose_precision(precision, chosen, device)
    if chosen == "torch":
        return _prepare(load_model(model), chosen, precision, device)
    from hdmatt.network.checkpoint import models

    path = models().get(str(model)) or Path(model)
    return _prepared(path, path.stat().st_mtime_ns if path.is_file() else 0, chosen, precision, kind(device))


@lru_cache(maxsize=2)
def _prepared(path: Path, stamp: int, runtime: str, precision: str, device: str) -> HDMatt:
    from hdmatt.network.checkpoint import load_model as load  # not the cached one: its weights would stay beside these

    return _prepare(load(path), runtime, precision, device)


def _prepare(model: HDMatt, runtime: str, precision: str, device: str) -> HDMatt:
    graphs = None
    if runtime == "onnx" or runtime == "openvino":
        from hdmatt.runtimes.export import cached

        graphs = cached(model, runtime)
    return prepare(model, runtime, precision=precision, graphs=graphs, device=device)


@lru_cache(maxsize=2)
def _load(name: str | Path, stamp: int) -> HDMatt:
    from hdmatt.network.checkpoint import load_model as load

    return load(name)
