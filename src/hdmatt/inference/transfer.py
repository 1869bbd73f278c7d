"""Patches onto a device and mattes back from it, while it computes.

Knows devices, arrays and tensors; nothing of pictures or networks. Read top to bottom:

    names, kind    "cuda:0,cuda:1" -> ("cuda:0", "cuda:1"), and "cuda"
    Ferry          arrays up, tensors down, for one device
    Direct         for a CPU: the arrays' own memory, nothing is copied
    Pinned         for CUDA: pinned buffers in turn, copies on streams of their own
    Buffers        the turn: a buffer is used again when what was begun with it is over
    Landing        a tensor on its way down
    Cuda           all that Pinned asks of CUDA; the tests have one that copies late

Three threads meet here: one brings patches up, one computes, one takes the mattes. A copy between pinned memory and
a GPU runs beside its computing; one from ordinary memory makes both wait.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import prod
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from hdmatt.runtimes.devices import kind

DEPTH = 2  # batches that are on their way at once, up as well as down
_ALIGNED = 256  # bytes: where an array may begin in a buffer, for any type


class Upload(NamedTuple):
    """Arrays on their way up."""

    parts: list[Tensor]
    arrived: Any  # an event, or None: they are there


@runtime_checkable
class DeviceLink(Protocol):
    """What the engine needs to feed a device and to hear from it."""

    def up(self, arrays: Sequence[np.ndarray]) -> Upload:
        """Begin to bring arrays up; in any one thread. They are free again when it returns."""
        ...

    def computing(self) -> AbstractContextManager[None]:
        """A block, in any one thread, whose operations the device has done when it ends."""
        ...

    def land(self, cargo: Upload) -> list[Tensor]:
        """The arrays as tensors, inside of `computing`."""
        ...

    def adopt(self, tensor: Tensor) -> Tensor:
        """A tensor that another ferry's finished block made, for use inside of this one's."""
        ...

    def down(self, tensor: Tensor) -> "Download":
        """Begin to bring a float32 tensor down, in the thread of `computing`, after the block."""
        ...


class Download:
    """A tensor on its way down; `array` waits for it, in any thread."""

    def __init__(self, source: Tensor, arrived: Any = None) -> None:
        self._source: Tensor | None = source
        self._arrived = arrived
        self._array = np.empty(0, np.float32)
        self._one_at_a_time = threading.Lock()

    def array(self) -> np.ndarray:
        """The values; no longer in the buffer that they came through."""
        with self._one_at_a_time:
            if self._source is not None:
                if self._arrived is None:
                    self._array = self._source.numpy()
                else:
                    self._arrived.synchronize()
                    self._array = self._source.numpy().copy()
                self._source = None
            return self._array

    def synchronize(self) -> None:
        """What Buffers wait for: the values have left the buffer, whoever asked for them first."""
        self.array()


class Direct:
    """The way to a CPU: none. Also the simple one to a device that we have no better way to."""

    def __init__(self, device: str) -> None:
        self._device = device

    def up(self, arrays: Sequence[np.ndarray]) -> Upload:
        return Upload([torch.from_numpy(array) for array in arrays], None)

    def computing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def land(self, cargo: Upload) -> list[Tensor]:
        return [part.to(self._device) for part in cargo.parts]

    def adopt(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device)

    def down(self, tensor: Tensor) -> Download:
        return Download(tensor.cpu())


class Buffers:
    """`depth` buffers of bytes, in turn."""

    def __init__(self, allocate: Callable[[int], Tensor], *, depth: int = DEPTH) -> None:
        self._allocate = allocate
        self._held: list[Tensor | None] = [None] * depth
        self._until: list[Any] = [None] * depth
        self._next = 0

    def take(self, size: int) -> tuple[int, Tensor]:
        """The number of the next buffer and `size` bytes of it, once what it was left with is over."""
        number = self._next
        self._next = (number + 1) % len(self._held)
        if self._until[number] is not None:
            self._until[number].synchronize()
            self._until[number] = None
        held = self._held[number]
        if held is None or len(held) < size:
            held = self._held[number] = self._allocate(size)
        return number, held[:size]

    def leave(self, number: int, until: Any) -> None:
        """The buffer is in use until `until.synchronize()` returns."""
        self._until[number] = until


class Cuda:
    """All that is asked of CUDA, for one device."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    def stream(self) -> Any:
        return torch.cuda.Stream(self.device)

    @contextmanager
    def on(self, stream: Any) -> Generator[None]:
        """A block whose operations go to the stream."""
        with torch.cuda.device(self.device), torch.cuda.stream(stream):
            yield

    def pinned(self, size: int) -> Tensor:
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def copy(self, source: Tensor, target: Tensor | None, stream: Any) -> Tensor:
        """Begin to copy, on the stream; without a target, into new memory of the device."""
        with self.on(stream):
            if target is None:
                target = torch.empty_like(source, device=self.device, pin_memory=False)
            return target.copy_(source, non_blocking=True)

    def event(self, stream: Any) -> Any:
        """What the stream was told so far."""
        event = torch.cuda.Event()
        event.record(stream)
        return event

    def wait(self, stream: Any, event: Any) -> None:
        """What the stream is told from now on comes after the event."""
        stream.wait_event(event)

    def keep(self, tensor: Tensor, stream: Any) -> None:
        """The tensor's memory is in use until the stream has done what it is told by the time it is freed."""
        tensor.record_stream(stream)

    def bring(self, tensor: Tensor, stream: Any) -> Tensor:
        """A tensor of any GPU, made on any stream, for use on this one."""
        if tensor.device == self.device:
            self.keep(tensor, stream)
            return tensor
        if tensor.is_cuda:
            self.keep(tensor, torch.cuda.current_stream(tensor.device))
        with self.on(stream):
            return tensor.to(self.device)


class Pinned:
    """The way to a GPU and back, two batches deep each way."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._compute, self._upwards, self._downwards = (cuda.stream() for _ in range(3))
        self._up, self._down = (Buffers(cuda.pinned) for _ in range(2))

    def up(self, arrays: Sequence[np.ndarray]) -> Upload:
        """All arrays in one copy."""
        starts, size = [], 0
        for array in arrays:
            starts.append(size)
            size += -(-array.nbytes // _ALIGNED) * _ALIGNED
        number, buffer = self._up.take(size)
        pieces = [
            (slice(start, start + array.nbytes), torch.from_numpy(array).dtype, array.shape)
            for start, array in zip(starts, arrays, strict=True)
        ]
        for (inside, dtype, shape), array in zip(pieces, arrays, strict=True):
            buffer[inside].view(dtype).view(shape).numpy()[...] = array
        there = self._cuda.copy(buffer, None, self._upwards)
        arrived = self._cuda.event(self._upwards)
        self._up.leave(number, arrived)
        return Upload([there[inside].view(dtype).view(shape) for inside, dtype, shape in pieces], arrived)

    @contextmanager
    def computing(self) -> Generator[None]:
        with self._cuda.on(self._compute):
            yield
        self._cuda.event(self._compute).synchronize()

    def land(self, cargo: Upload) -> list[Tensor]:
        self._cuda.wait(self._compute, cargo.arrived)
        for part in cargo.parts:
            self._cuda.keep(part, self._compute)
        return cargo.parts

    def adopt(self, tensor: Tensor) -> Tensor:
        return self._cuda.bring(tensor, self._compute)

    def down(self, tensor: Tensor) -> Download:
        self._cuda.wait(self._downwards, self._cuda.event(self._compute))
        number, buffer = self._down.take(tensor.element_size() * prod(tensor.shape))
        target = buffer.view(tensor.dtype).view(tensor.shape)
        self._cuda.copy(tensor, target, self._downwards)
        self._cuda.keep(tensor, self._downwards)
        landing = Download(target, self._cuda.event(self._downwards))
        self._down.leave(number, landing)
        return landing


def device_link(device: str) -> DeviceLink:
    """The best way to a device."""
    return Pinned(Cuda(device)) if kind(device) == "cuda" else Direct(device)
