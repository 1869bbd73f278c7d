"""Devices that compute batches in turn, each with its own copy of the network.

DeviceWorker       a device: its network, its link and its counters
UploadedPatches    a batch on its way to a device
device_workers     one worker for each device of a plan
worker_threads     how many threads they need
round_robin        batches handed to the workers in turn
uploaded_inputs    an uploaded batch as the network's input
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
from hdmatt.runtimes.float32 import exact_float32
from hdmatt.runtimes.prepare import copies


class DeviceWorker(NamedTuple):
    """One device's part in the work; its counters are written by its thread only."""

    model: HDMatt
    link: transfer.DeviceLink
    counters: Counters

    @contextmanager
    def computing(self) -> Generator[None]:
        """A block of the network's work, timed, whose operations the device has finished when it ends."""
        with torch.inference_mode(), exact_float32(), self.counters.network(), self.link.computing():
            yield


class UploadedPatches(NamedTuple):
    """A batch of patches on its way to a device."""

    windows: Sequence[Window]
    trimaps: UInt8[np.ndarray, "b p p"]
    upload: transfer.Upload


def device_workers(plan: Plan, model: HDMatt) -> list[DeviceWorker]:
    """One worker for each device of the plan.

    Raises:
        InputError: The network is in training mode, or cannot be copied to these devices.
    """
    devices = names(plan.options.device)
    return [
        DeviceWorker(network, transfer.device_link(device), Counters())
        for network, device in zip(copies(model, devices), devices, strict=True)
    ]


def worker_threads(plan: Plan, workers: Sequence[DeviceWorker]) -> int:
    """Threads for `map_in_order`: none for a CPU alone, else one for each device, which works while others stitch."""
    return 0 if len(workers) == 1 and kind(plan.options.device) != "cuda" else len(workers)


def round_robin(
    pieces: Iterator[KnownRows | CutPatches], workers: Sequence[DeviceWorker]
) -> Iterator[tuple[int | None, KnownRows | UploadedPatches]]:
    """(number of a worker, batch) in turn, each batch on its way to the worker's device; (None, rows) for rows."""
    turn = 0
    for piece in pieces:
        if isinstance(piece, KnownRows):
            yield None, piece
        else:
            upload = workers[turn].link.upload(piece.arrays())
            yield turn, UploadedPatches(piece.windows, piece.trimaps, upload)
            turn = (turn + 1) % len(workers)


def uploaded_inputs(worker: DeviceWorker, upload: transfer.Upload) -> tuple[Tensor, Tensor | None]:
    """The network's six input channels and the surroundings (None: without) of a batch, inside of `computing`."""
    colours, trimaps, *surroundings = worker.link.receive(upload)
    inputs = network_input(colours, trimaps).contiguous(memory_format=torch.channels_last)
    return inputs, surroundings[0] if surroundings else None
