"""The measured peaks of a device, and the number of operations of a computation.

Knows devices; nothing of networks, pictures, files or methods. Read top to bottom:

    Peaks, measure_peaks     operations a second of a large convolution, bytes a second of a large copy
    Count                    counts the operations of the code inside it, without computing the heavy ones

An operation is a multiplication or an addition of the convolutions, matrix products and attention: 2 per
multiply-add. The rest (norms, ReLU, poolings) counts as none, so its time counts as lost (layers.py).
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

REST = "pools, unpools, rest"
EXTRA = "extra channels"


@dataclass(frozen=True)
class Peaks:
    """The highest rates that a device reached in a short measurement."""

    fp32: float  # operations a second of a convolution of 256 channels (CPU) or 512 (GPU), 3 x 3
    bf16: float | None  # the same in bfloat16; None where the device has no such arithmetic
    bandwidth: float  # bytes a second, read and written, of a copy that no cache holds
    threads: int
    tf32: bool  # whether `fp32` is of convolutions that round to 10 bits; the networks' do not (runtimes/float32.py)


def measure_peaks(device: str = "cpu", *, seconds: float = 0.7) -> Peaks:
    """Repeat each measurement for `seconds`; the best one counts."""
    return Peaks(
        fp32=_convolution(device, torch.float32, seconds),
        bf16=_convolution(device, torch.bfloat16, seconds) if _has_bf16(device) else None,
        bandwidth=_copy(device, seconds),
        threads=torch.get_num_threads(),
        tf32=device.startswith("cuda") and bool(torch.backends.cudnn.allow_tf32),
    )


class Count(TorchDispatchMode):
    """Counts operations: `with Count() as count: ...; count.flops`.

    Convolutions, matrix products and attention are not computed; they give zeros of the right shape. What depends on
    shapes only (which patches, how many pixels attend to how many) is as in a real run; the results are worthless.
    Counts the thread it is entered in.
    """

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func._overloadpacket
        if packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
            formula: Any = _attention_flops
        elif packet not in flop_registry:
            with self:  # composites arrive whole in inference mode: what they are made of is what counts
                made = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if made is NotImplemented else made
        else:
            formula = flop_registry[packet]
        shapes = func(*tree_map_only(Tensor, _shape_only, args), **tree_map_only(Tensor, _shape_only, kwargs))
        like = next(a for a in args if isinstance(a, Tensor))
        out = tree_map_only(Tensor, lambda t: torch.zeros(t.shape, dtype=t.dtype, device=like.device), shapes)
        self.flops += formula(*args, **kwargs, out_val=out)
        return out


def synchronise(device: str) -> None:
    """Wait until a GPU has done what it was told; nothing on a CPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def device_peak(device: str) -> int | None:
    """The most memory torch held on a GPU, bytes."""
    return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None


# Peaks


def _convolution(device: str, dtype: torch.dtype, seconds: float) -> float:
    """Operations a second of the faster of two memory layouts."""
    gpu = device != "cpu"
    channels, side, batch = (512, 128, 8) if gpu else (256, 80, 2)
    conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(device, dtype)
    x = torch.randn(batch, channels, side, side, device=device, dtype=dtype)
    flops = 2 * 9 * channels**2 * batch * side**2
    layouts = (torch.channels_last, torch.contiguous_format)
    best = 0.0
    with torch.inference_mode(), _fastest_algorithms():
        for layout in layouts:
            own = conv.to(memory_format=layout)  # type: ignore[call-overload]
            pixels = x.contiguous(memory_format=layout)
            calls = 10 if gpu else 1  # a GPU is kept busy between two looks at the clock
            best = max(best, calls * flops / _best(lambda f=own, p=pixels: f(p), device, seconds / 2, calls))
    return best


def _copy(device: str, seconds: float) -> float:
    source = torch.ones(1 << (28 if device != "cpu" else 25))  # 128 MiB of float32, or 1 GiB on a GPU
    source = source.to(device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _best(lambda: target.copy_(source), device, seconds, 1)


def _best(work: Callable[[], object], device: str, seconds: float, calls: int) -> float:
    """Shortest time of `calls` calls, of at least three tries after one that does not count."""
    work()
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < 3 or time.perf_counter() < end:
        synchronise(device)
        started = time.perf_counter()
        for _ in range(calls):
            work()
        synchronise(device)
        found.append(time.perf_counter() - started)
    return min(found)


@contextmanager
def _fastest_algorithms() -> Generator[None]:
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _has_bf16(device: str) -> bool:
    """Arithmetic of its own, not an emulation that is slower than float32."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # of torch.cpu; there is no public question
    return device == "cpu" and any(bool(getattr(torch.cpu, name, lambda: False)()) for name in checks)


def _shape_only(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def timed_call(work: Callable[[], None], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started


def median(values: Sequence[float]) -> float:
    return float(np.median(values))
