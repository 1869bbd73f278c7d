"""Several devices take turns at the batches, each with a copy of the network.

DeviceWorker       a device, its copy of the network and its counters
round_robin        batches dealt to the devices in order
patch_inputs       a batch that has arrived, as the network's input
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from hdmatt.inference import transfer
from hdmatt.inference.cut import CutPatches, KnownRows
from hdmatt.inference.options import Counters, Plan
from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt
from hdmatt.patches.windows import Window
from hdmatt.runtimes.devices import kind, names
from hdmatt.runtimes.exact import exact
from hdmatt.runtimes.prepare import copies


class DeviceWorker(NamedTuple):
    """One device's part in the work; the counters are those of its thread."""

    model: HDMatt
    ferry: transfer.DeviceLink
    counters: Counters

    @contextmanager
    def computing(self) -> Generator[None]:
        """A block of the network's work, timed, whose operations the device has done when it ends."""
        with torch.inference_mode(), exact(), self.counters.network(), self.ferry.computing():
            yield


class LoadedPatches(NamedTuple):
    """Patches on their way to their device."""

    windows: Sequence[Window]
    marks: UInt8[np.ndarray, "b p p"]
    cargo: transfer.Upload


def device_workers(plan: Plan, model: HDMatt) -> list[DeviceWorker]:
    devices = names(plan.options.device)
    return [
        DeviceWorker(network, transfer.device_link(device), Counters())
        for network, device in zip(copies(model, devices), devices, strict=True)
    ]


def worker_threads(plan: Plan, lanes: Sequence[DeviceWorker]) -> int:
    """A CPU alone works in the caller's thread; a GPU has one that feeds it while the caller stitches."""
    return 0 if len(lanes) == 1 and kind(plan.options.device) != "cuda" else len(lanes)


def round_robin(
    pieces: Iterator[KnownRows | CutPatches], lanes: Sequence[DeviceWorker]
) -> Iterator[tuple[int | None, KnownRows | LoadedPatches]]:
    """Devices take turns at the patches, which are brought on their way."""
    turn = 0
    for piece in pieces:
        if isinstance(piece, KnownRows):
            yield None, piece
        else:
            cargo = lanes[turn].ferry.up(piece.arrays())
            yield turn, LoadedPatches(piece.windows, piece.marks, cargo)
            turn = (turn + 1) % len(lanes)


def patch_inputs(lane: DeviceWorker, cargo: transfer.Upload) -> tuple[Tensor, Tensor | None]:
    colours, marks, *around = lane.ferry.land(cargo)
    inputs = network_input(colours, marks).contiguous(memory_format=torch.channels_last)
    return inputs, around[0] if around else None
