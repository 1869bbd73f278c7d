"""What a machine can do, and what a network asks of it: measured peaks, counted operations, time layer by layer.

Knows devices and networks; nothing of pictures, files or methods. Top to bottom:

    Peaks, measure_peaks     multiplications a second of a large convolution, bytes a second of a large copy
    Count                    counts the operations of whatever runs inside of it, without doing the heavy ones
    Group, Layers, measure_layers      seconds and operations of each part of the network, and of each kind of operation
    lost                     what a group takes beyond its operations at the peak: the rows sum to the gap

An operation is a multiplication or an addition of the convolutions, matrix products and attention: 2 per
multiply-add. The rest (norms, ReLU, poolings) counts as none, so all the time it takes is lost time.
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

from hdmatt.network.cpc import Context
from hdmatt.network.hints import colour_hints
from hdmatt.network.inputs import labels, network_input
from hdmatt.network.model import HDMatt
from hdmatt.runtimes.prepare import exact
from hdmatt.system.memory import keeping_freed

REST = "pools, unpools, rest"
HINTS = "hints"
# parts of the network by the beginnings of its modules' names; the longest that fits
GROUPS = {
    "encoder.conv1": "stem",
    "encoder.bn1": "stem",
    "encoder.layer1": "layer1",
    "encoder.layer2": "layer2",
    "encoder.layer3": "layer3",
    "encoder.layer4": "layer4",
    "encoder.aspp": "aspp",
    "cpc": "context: attention",
    "cpc.theta": "context: convolutions",
    "cpc.delta": "context: convolutions",
    "cpc.phi": "context: convolutions",
    "cpc.fuse": "context: convolutions",
    "decoder.at8": "decoder 1/8",
    "decoder.to4": "decoder 1/8",
    "decoder.at4": "decoder 1/4",
    "decoder.fill4": "decoder 1/4",
    "decoder.at2": "decoder 1/2",
    "decoder.fill2": "decoder 1/2",
    "decoder.at1": "decoder 1/1",
    "decoder.detail": "decoder 1/1",
    "decoder.alpha": "decoder 1/1",
}


@dataclass(frozen=True)
class Peaks:
    """The most a device did in a moment of trying."""

    fp32: float  # operations a second of a convolution of 256 channels (CPU) or 512 (GPU), 3 x 3
    bf16: float | None  # the same in bfloat16; None where the device has no such arithmetic
    bandwidth: float  # bytes a second, read and written, of a copy that no cache holds
    threads: int
    tf32: bool  # whether `fp32` is of convolutions that round to 10 bits; the networks' do not (runtime.exact)


@dataclass(frozen=True)
class Group:
    """One part of the network, or one kind of operation; of one patch."""

    name: str
    seconds: float
    flops: float


@dataclass(frozen=True)
class Layers:
    """Where the time of one patch goes, two ways; both sum to about `seconds`."""

    seconds: float  # of one patch without any clock inside
    flops: float
    batch: int
    groups: list[Group]
    kinds: list[Group]


def measure_peaks(device: str = "cpu", *, seconds: float = 0.7) -> Peaks:
    """Try for `seconds` each, and keep the best."""
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


def measure_layers(
    model: HDMatt, *, batch: int, topk: int = 3, device: str = "cpu", repeats: int = 5, unknown: float = 0.5
) -> Layers:
    """Decode a batch of patches with `topk` contexts each, `repeats` times, and keep each part's median.

    Args:
        batch: Patches computed at once.
        unknown: Share of unknown pixels, a vertical band in the middle of each patch.
    """
    model = model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    inputs, around = _sample(model.config.patch, batch, unknown, device)
    around = around if model.config.hints and model.config.around else None

    def once() -> None:
        with torch.inference_mode(), exact():
            stem = model.encoder.stem(inputs, around)
            body = model.encoder.body(stem)
            label = labels(inputs)
            pool: list[Context] = model.contexts(body, label)
            model.decode(stem, body, [(pool * topk)[:topk] for _ in range(batch)])

    def hints() -> None:
        with torch.inference_mode():
            colour_hints(inputs, around)

    def clock() -> float:
        synchronise(device)
        return time.perf_counter()

    with keeping_freed():  # as in the engine
        once()
        whole = _median([_timed(once, clock) for _ in range(repeats)])
        spent = _medians([by_group(model, once, clock) for _ in range(repeats)])
        if model.config.hints:
            spent[HINTS] = _median([_timed(hints, clock) for _ in range(repeats)])
            spent[REST] -= spent[HINTS]
        kinds = _medians([_by_kind(once, clock) for _ in range(repeats)])
    with Count() as count:
        counted = by_group(model, once, lambda: float(count.flops))
    order = [name for name in (HINTS, *dict.fromkeys(GROUPS.values()), REST) if name in spent]
    return Layers(
        seconds=whole / batch,
        flops=sum(counted.values()) / batch,
        batch=batch,
        groups=[Group(name, spent[name] / batch, counted.get(name, 0.0) / batch) for name in order],
        kinds=[Group(n, s / batch, 0.0) for n, s in sorted(kinds.items(), key=lambda kind: -kind[1])],
    )


def lost(group: Group, peak: float) -> float:
    """Seconds beyond what the group's operations take at the peak."""
    return group.seconds - group.flops / peak


def by_group(model: nn.Module, run: Callable[[], None], meter: Callable[[], float]) -> dict[str, float]:
    """What a meter (a clock, a counter of operations) moves while `run` is in each of GROUPS, and in none of them.

    A group inside of another is not part of the outer one; the values sum to the meter's whole move.
    """
    spent: dict[str, float] = {}
    stack = [REST]
    last = 0.0

    def move(to: list[str]) -> None:
        nonlocal last, stack
        now = meter()
        spent[stack[-1]] = spent.get(stack[-1], 0.0) + now - last
        last, stack = now, to

    handles: list[Any] = []
    for name, module in model.named_modules():
        if name in GROUPS:
            group = GROUPS[name]
            handles.append(module.register_forward_pre_hook(lambda *_, group=group: move([*stack, group])))
            handles.append(module.register_forward_hook(lambda *_: move(stack[:-1])))
    try:
        last = meter()
        run()
        move([REST])
    finally:
        for handle in handles:
            handle.remove()
    return spent


def synchronise(device: str) -> None:
    """Wait until a GPU has done what it was told; nothing on a CPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def device_peak(device: str) -> int | None:
    """The most memory torch held on a GPU, bytes."""
    return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None


# --------------------------------------------------------------------------------------------------------------------
# Peaks
# --------------------------------------------------------------------------------------------------------------------


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


# --------------------------------------------------------------------------------------------------------------------
# Layers
# --------------------------------------------------------------------------------------------------------------------


class _Kinds(TorchDispatchMode):
    """Seconds by the kind of operation, as torch calls it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.spent: dict[str, float] = {}
        self._clock = clock

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        started = self._clock()
        out = func(*args, **(kwargs or {}))
        name = str(func._overloadpacket).removeprefix("aten.")
        self.spent[name] = self.spent.get(name, 0.0) + self._clock() - started
        return out


def _by_kind(run: Callable[[], None], clock: Callable[[], float]) -> dict[str, float]:
    with _Kinds(clock) as kinds:
        run()
    return kinds.spent


def _sample(size: int, batch: int, unknown: float, device: str) -> tuple[Tensor, Tensor]:
    """Noise with foreground on the left, background on the right; values do not matter to the time."""
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(batch, size, size, 3, generator=generator)
    half = round(size * unknown / 2)
    row = np.full(size, 128, np.uint8)
    row[: size // 2 - half], row[size // 2 + half :] = 255, 0
    trimap = torch.from_numpy(np.tile(row, (batch, size, 1)))
    around = torch.rand(batch, -(-size // 32), -(-size // 32), 82, generator=generator)
    inputs = network_input(colours.to(device), trimap.to(device)).contiguous(memory_format=torch.channels_last)
    return inputs, around.to(device)


def _shape_only(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _timed(work: Callable[[], None], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _medians(several: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: _median([one.get(name, 0.0) for one in several]) for name in several[0]}
