"""Time and operations of each part of the network, and the time it loses against the machine's peak.

Knows the network; nothing of pictures, files or methods. Read top to bottom:

    GROUPS                     the parts of the network
    Group, LayerTimes          seconds and operations of a part; of all
    measure_layers             decodes patches and measures each part, and each kind of PyTorch operation
    by_group                   a meter (clock, counter) read at the border of every part
    lost                       a part's seconds minus its operations at the peak
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from hdmatt.bench.peaks import EXTRA, REST, Count, median, synchronise, timed_call
from hdmatt.network.cpc import Context
from hdmatt.network.extra_channels import extra_channels
from hdmatt.network.inputs import labels, network_input
from hdmatt.network.model import HDMatt
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.runtimes.float32 import exact_float32
from hdmatt.runtimes.prepare import network_on

_REPEATS = 5
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
class Group:
    """One part of the network, or one kind of operation; of one patch."""

    name: str
    seconds: float
    flops: float


@dataclass(frozen=True)
class LayerTimes:
    """Where the time of one patch goes, two ways; both sum to about `seconds`."""

    seconds: float  # of one patch without any clock inside
    flops: float
    batch: int
    groups: list[Group]
    kinds: list[Group]


def measure_layers(
    model: HDMatt, *, batch: int, topk: int = 3, device: str = "cpu", unknown: float = 0.5
) -> LayerTimes:
    """Decode a batch of patches with `topk` contexts each, five times, and keep each part's median.

    Args:
        batch: Patches computed at once.
        unknown: Share of unknown pixels, a vertical band in the middle of each patch.
    """
    model = network_on(model, device)
    inputs, surroundings = _sample(model.config.patch, batch, unknown, device)
    surroundings = surroundings if model.config.knows_surroundings else None

    def once() -> None:
        with torch.inference_mode(), exact_float32():
            stem = model.encoder.stem(inputs, surroundings)
            body = model.encoder.body(stem)
            label = labels(inputs)
            pool: list[Context] = model.contexts(body, label)
            model.decode(stem, body, [(pool * topk)[:topk] for _ in range(batch)])

    def extra() -> None:
        with torch.inference_mode():
            extra_channels(inputs, surroundings)

    def clock() -> float:
        synchronise(device)
        return time.perf_counter()

    once()
    whole = median([timed_call(once, clock) for _ in range(_REPEATS)])
    spent = _medians([by_group(model, once, clock) for _ in range(_REPEATS)])
    if model.config.extra_channels:
        spent[EXTRA] = median([timed_call(extra, clock) for _ in range(_REPEATS)])
        spent[REST] -= spent[EXTRA]
    kinds = _medians([_by_kind(once, clock) for _ in range(_REPEATS)])
    with Count() as count:
        counted = by_group(model, once, lambda: float(count.flops))
    order = [name for name in (EXTRA, *dict.fromkeys(GROUPS.values()), REST) if name in spent]
    return LayerTimes(
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


# Layers


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
    row = np.full(size, UNKNOWN, np.uint8)
    row[: size // 2 - half], row[size // 2 + half :] = 255, 0
    trimap = torch.from_numpy(np.tile(row, (batch, size, 1)))
    around = torch.rand(batch, -(-size // 32), -(-size // 32), 82, generator=generator)
    inputs = network_input(colours.to(device), trimap.to(device)).contiguous(memory_format=torch.channels_last)
    return inputs, around.to(device)


def _medians(several: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: median([one.get(name, 0.0) for one in several]) for name in several[0]}
