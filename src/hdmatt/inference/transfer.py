"""Copies of patches to a device and of mattes back from it, while it computes.

Knows devices, arrays and tensors; nothing of pictures or networks. Read top to bottom:

    DeviceLink    uploads and downloads of one device
    Upload        arrays on their way to the device
    Download      a tensor on its way back
    DirectLink    for a CPU: the arrays' own memory, nothing is copied
    PinnedLink    for CUDA: pinned buffers, and streams for the copies
    Buffers       a few buffers that are used again and again
    Cuda          the calls of CUDA that PinnedLink needs; the tests have a version that copies late
    device_link   the best link to a device

Three threads meet here: one uploads, one computes, one takes the mattes. A copy between pinned memory and a GPU runs
while the GPU computes; a copy from ordinary memory makes both wait.
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

DEPTH = 2  # batches on their way at once, in each direction
_ALIGNED = 256  # bytes: an array of any type may begin at a multiple of this


class Upload(NamedTuple):
    """Arrays on their way to a device."""

    parts: list[Tensor]
    arrived: Any  # an event; None: they are there


@runtime_checkable
class DeviceLink(Protocol):
    """Uploads and downloads of one device."""

    def upload(self, arrays: Sequence[np.ndarray]) -> Upload:
        """Begin to copy arrays to the device; in any one thread. They may be changed once it returns."""
        ...

    def computing(self) -> AbstractContextManager[None]:
        """A block, in any one thread, whose operations the device has finished when it ends."""
        ...

    def receive(self, upload: Upload) -> list[Tensor]:
        """The uploaded arrays as tensors, for use inside of `computing`."""
        ...

    def to_device(self, tensor: Tensor) -> Tensor:
        """A tensor from a finished `computing` block of another link, for use inside of `computing` here."""
        ...

    def download(self, tensor: Tensor) -> "Download":
        """Begin to copy a float32 tensor back; after the block and in its thread."""
        ...


class Download:
    """A tensor on its way back from a device; `array` waits for it, in any thread."""

    def __init__(self, source: Tensor, arrived: Any = None) -> None:
        self._source: Tensor | None = source
        self._arrived = arrived
        self._array = np.empty(0, np.float32)
        self._one_at_a_time = threading.Lock()

    def array(self) -> np.ndarray:
        """The values, in memory of their own."""
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
        """Wait until the values are copied out of the buffer; `Buffers` calls it before it reuses one."""
        self.array()


class DirectLink:
    """For a CPU: nothing is copied. Also the plain way to any device without a better one."""

    def __init__(self, device: str) -> None:
        self._device = device

    def upload(self, arrays: Sequence[np.ndarray]) -> Upload:
        return Upload([torch.from_numpy(array) for array in arrays], None)

    def computing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def receive(self, upload: Upload) -> list[Tensor]:
        return [part.to(self._device) for part in upload.parts]

    def to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device)

    def download(self, tensor: Tensor) -> Download:
        return Download(tensor.cpu())


class Buffers:
    """A few buffers of bytes, used one after the other and then again."""

    def __init__(self, allocate: Callable[[int], Tensor], *, depth: int = DEPTH) -> None:
        self._allocate = allocate
        self._held: list[Tensor | None] = [None] * depth
        self._until: list[Any] = [None] * depth
        self._next = 0

    def acquire(self, size: int) -> tuple[int, Tensor]:
        """The number of the next buffer and `size` bytes of it; waits until its last use is over."""
        number = self._next
        self._next = (number + 1) % len(self._held)
        if self._until[number] is not None:
            self._until[number].synchronize()
            self._until[number] = None
        held = self._held[number]
        if held is None or len(held) < size:
            held = self._held[number] = self._allocate(size)
        return number, held[:size]

    def release(self, number: int, until: Any) -> None:
        """The buffer may be used again once `until.synchronize()` returns."""
        self._until[number] = until


class Cuda:
    """The calls of CUDA that `PinnedLink` needs, for one device."""

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
        """Begin a copy on the stream; without a target, into new memory of the device."""
        with self.on(stream):
            if target is None:
                target = torch.empty_like(source, device=self.device, pin_memory=False)
            return target.copy_(source, non_blocking=True)

    def event(self, stream: Any) -> Any:
        """An event after all operations of the stream so far."""
        event = torch.cuda.Event()
        event.record(stream)
        return event

    def wait(self, stream: Any, event: Any) -> None:
        """Let later operations of the stream wait for the event."""
        stream.wait_event(event)

    def keep(self, tensor: Tensor, stream: Any) -> None:
        """Do not use the tensor's memory again before the stream has finished its operations so far."""
        tensor.record_stream(stream)

    def to_device(self, tensor: Tensor, stream: Any) -> Tensor:
        """A tensor of any GPU and any stream, for use on this stream."""
        if tensor.device == self.device:
            self.keep(tensor, stream)
            return tensor
        if tensor.is_cuda:
            self.keep(tensor, torch.cuda.current_stream(tensor.device))
        with self.on(stream):
            return tensor.to(self.device)


class PinnedLink:
    """For CUDA: copies through pinned memory, two batches deep in each direction."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._compute, self._uploads, self._downloads = (cuda.stream() for _ in range(3))
        self._up, self._down = (Buffers(cuda.pinned) for _ in range(2))

    def upload(self, arrays: Sequence[np.ndarray]) -> Upload:
        """All arrays in one copy."""
        starts, size = [], 0
        for array in arrays:
            starts.append(size)
            size += -(-array.nbytes // _ALIGNED) * _ALIGNED
        number, buffer = self._up.acquire(size)
        pieces = [
            (slice(start, start + array.nbytes), torch.from_numpy(array).dtype, array.shape)
            for start, array in zip(starts, arrays, strict=True)
        ]
        for (inside, dtype, shape), array in zip(pieces, arrays, strict=True):
            buffer[inside].view(dtype).view(shape).numpy()[...] = array
        there = self._cuda.copy(buffer, None, self._uploads)
        arrived = self._cuda.event(self._uploads)
        self._up.release(number, arrived)
        return Upload([there[inside].view(dtype).view(shape) for inside, dtype, shape in pieces], arrived)

    @contextmanager
    def computing(self) -> Generator[None]:
        with self._cuda.on(self._compute):
            yield
        self._cuda.event(self._compute).synchronize()

    def receive(self, upload: Upload) -> list[Tensor]:
        self._cuda.wait(self._compute, upload.arrived)
        for part in upload.parts:
            self._cuda.keep(part, self._compute)
        return upload.parts

    def to_device(self, tensor: Tensor) -> Tensor:
        return self._cuda.to_device(tensor, self._compute)

    def download(self, tensor: Tensor) -> Download:
        self._cuda.wait(self._downloads, self._cuda.event(self._compute))
        number, buffer = self._down.acquire(tensor.element_size() * prod(tensor.shape))
        target = buffer.view(tensor.dtype).view(tensor.shape)
        self._cuda.copy(tensor, target, self._downloads)
        self._cuda.keep(tensor, self._downloads)
        download = Download(target, self._cuda.event(self._downloads))
        self._down.release(number, download)
        return download


def device_link(device: str) -> DeviceLink:
    """The best link to a device."""
    return PinnedLink(Cuda(device)) if kind(device) == "cuda" else DirectLink(device)
