import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from hdmatt.inference.transfer import DEPTH, Buffers, Cuda, DeviceLink, DirectLink, Download, PinnedLink
from hdmatt.runtimes.devices import kind, names


class LateEvent:
    def __init__(self, stream, upto):
        self.stream, self.upto = stream, upto

    def synchronize(self):
        for i in range(self.upto):
            if self.stream[i]:
                self.stream[i]()
                self.stream[i] = None


class Late(Cuda):
    """CUDA as late as it may be: a copy happens when somebody waits for it, not before."""

    def __init__(self):
        self.allocated, self.kept = 0, []

    def stream(self):
        return []

    @contextmanager
    def on(self, stream):
        yield

    def pinned(self, size):
        self.allocated += 1
        return torch.full((size,), 255, dtype=torch.uint8)

    def copy(self, source, target, stream):
        target = torch.full_like(source, 77) if target is None else target
        stream.append(lambda: target.copy_(source))
        return target

    def event(self, stream):
        return LateEvent(stream, len(stream))

    def wait(self, stream, event):
        event.synchronize()  # the stream stands still until then, so the caller may as well

    def keep(self, tensor, stream):
        self.kept.append(tensor.data_ptr())

    def to_device(self, tensor, stream):
        return tensor


def batch(number, size=5):
    rng = np.random.default_rng(number)
    return [rng.random((2, size, size, 3), np.float32), rng.integers(0, 255, (2, size, size), np.uint8)]


def test_names_of_devices():
    assert names("cuda:0,cuda:1") == ("cuda:0", "cuda:1") and names("cpu") == ("cpu",)
    assert [kind(device) for device in ("cpu,cpu", "cuda:1", "cuda:0,cuda:1", "mps")] == ["cpu", "cuda", "cuda", "mps"]


def test_a_cpu_takes_the_arrays_own_memory():
    link, arrays = DirectLink("cpu"), batch(0)
    with link.computing():
        tensors = link.receive(link.upload(arrays))
    for tensor, array in zip(tensors, arrays, strict=True):
        assert tensor.data_ptr() == array.ctypes.data and tensor.shape == array.shape
    assert link.to_device(tensors[0]) is tensors[0]
    assert link.download(tensors[0]).array().ctypes.data == arrays[0].ctypes.data


def test_arrays_arrive_as_they_were_though_copies_are_late_and_buffers_are_few():
    cuda = Late()
    link = PinnedLink(cuda)
    uploads = []
    for number in range(7):
        arrays = batch(number)
        uploads.append(link.upload(arrays))
        for array in arrays:
            array[...] = 0  # they are the caller's again
    for number, upload in enumerate(uploads):
        with link.computing():
            tensors = link.receive(upload)
        assert {tensor.data_ptr() for tensor in tensors} <= set(cuda.kept)
        for tensor, array in zip(tensors, batch(number), strict=True):
            np.testing.assert_array_equal(tensor.numpy(), array)
    assert cuda.allocated == DEPTH


def test_mattes_come_down_as_they_were_though_nobody_asked_before_their_buffer_was_needed_again():
    cuda = Late()
    link = PinnedLink(cuda)
    tensors = [torch.from_numpy(batch(number)[0][..., 0]) for number in range(7)]
    downloads = [link.download(tensor) for tensor in tensors]
    for tensor, download in zip(tensors, downloads, strict=True):
        np.testing.assert_array_equal(download.array(), tensor.numpy())
        assert download.array() is download.array()
    assert cuda.allocated == DEPTH and {t.data_ptr() for t in tensors} == set(cuda.kept)


def test_a_buffer_is_used_again_only_when_its_last_use_is_over():
    waited = []

    class Until:
        def __init__(self, name):
            self.name = name

        def synchronize(self):
            waited.append(self.name)

    buffers = Buffers(lambda size: torch.zeros(size, dtype=torch.uint8), depth=2)
    for i, name in enumerate("abcde"):
        number, buffer = buffers.acquire(8)
        assert number == i % 2 and len(buffer) == 8 and waited == list("abcde"[: max(0, i - 1)])
        buffers.release(number, Until(name))


def test_a_buffer_grows_for_a_larger_batch_and_serves_smaller_ones():
    sizes = []
    buffers = Buffers(lambda size: sizes.append(size) or torch.zeros(size, dtype=torch.uint8), depth=1)
    for size in (4, 4, 9, 2, 9):
        assert len(buffers.acquire(size)[1]) == size
    assert sizes == [4, 9]


def test_two_threads_that_ask_for_a_download_get_the_same_array():
    arrived = threading.Event()

    class Until:
        def synchronize(self):
            assert arrived.wait(10)

    download = Download(torch.arange(3.0), Until())
    found = []
    asking = [threading.Thread(target=lambda: found.append(download.array())) for _ in range(2)]
    for thread in asking:
        thread.start()
    arrived.set()
    for thread in asking:
        thread.join()
    assert found[0] is found[1] and found[0].tolist() == [0, 1, 2]


def test_both_ways_keep_the_contract():
    assert isinstance(DirectLink("cpu"), DeviceLink) and isinstance(PinnedLink(Late()), DeviceLink)


@pytest.mark.gpu
def test_a_gpu_gives_back_what_it_was_given():
    from hdmatt.inference.transfer import device_link

    link = device_link("cuda:0")
    uploads = [link.upload(batch(number, 64)) for number in range(5)]
    downloads = []
    for upload in uploads:
        with torch.inference_mode(), link.computing():
            colours, marks = link.receive(upload)
            both = colours[..., 0] + marks
        downloads.append(link.download(both))
    for number, download in enumerate(downloads):
        colours, marks = batch(number, 64)
        np.testing.assert_array_equal(download.array(), colours[..., 0] + marks)
