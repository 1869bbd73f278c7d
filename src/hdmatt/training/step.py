"""The loss of one batch: which patches look at which, what the network says, how wrong it is.

learning_rate     warm-up, cosine, second warm-up
group_contexts    for every patch, random others of its group
extra_channel_faults  which patches have missing, blurred or wrong extra channels
candidates        for every patch, the others that it may look at, and whether it chooses among them
batch_loss        the loss of a batch, and its parts
compile_network   torch.compile of encoder and decoder
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hdmatt.network.decoder import Decoded
from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt
from hdmatt.training.config import TrainConfig
from hdmatt.training.losses import coarse_loss, pixel_weight, probe_loss, total, weighted_error


class ContextIndices(NamedTuple):
    """Candidate contexts of each patch of a batch, and how many to choose of them; None: all."""

    indices: list[list[int]]
    topk: int | None


def learning_rate(config: TrainConfig, step: int, *, restart: int = 0) -> float:
    """Linear warm-up over `warmup` steps, then cosine from `rate` to `rate * floor` at `steps`.

    After `restart` the rate rises once more over `rewarm` steps, from its share to all of what the schedule says.
    """
    again = min(1.0, (step - restart + 1) / config.rewarm) if restart and config.rewarm else 1.0
    return schedule(again * config.rate, step, steps=config.steps, warmup=config.warmup, floor=config.floor)


def schedule(rate: float, step: int, *, steps: int, warmup: int, floor: float = 0.0) -> float:
    """The learning rate at a step: a line up to `rate` over `warmup`, then a cosine to `rate * floor` at `steps`."""
    if step < warmup:
        return rate * (step + 1) / warmup
    share = min(1.0, (step - warmup) / max(1, steps - warmup))
    return rate * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share)))


def candidates(config: TrainConfig, groups: int, *, seed: tuple[int, ...], first: int = 0) -> ContextIndices:
    """Which patches of its group each patch may look at, as `config.contexts` says.

    Args:
        groups, seed, first: As for `group_contexts`.
    """
    group = config.sample.group
    if config.contexts == "random":
        chosen = group_contexts(
            groups, group, topk=config.topk, seed=seed, first=first, whole_picture=config.sample.whole_picture
        )
        return ContextIndices(chosen, None)
    starts = (own - own % group for own in range(groups * group))
    others = [[i for i in range(start, start + group) if i != own] for own, start in enumerate(starts)]
    return ContextIndices(others, config.topk)


def group_contexts(
    groups: int, group: int, *, topk: int, seed: tuple[int, ...], first: int = 0, whole_picture: bool = False
) -> list[list[int]]:
    """For every patch of a batch, `topk` random other patches of its own group (all, when there are no more).

    Args:
        whole_picture: The last patch of each group is one of them for all others: it shows the whole composite.
        first: Number of the batch's first group among those of all processes: a group's choice does not depend on
            which process has it.
    """
    contexts: list[list[int]] = []
    for number in range(groups):
        rng = np.random.default_rng([*seed, first + number])
        members = range(number * group, (number + 1) * group)
        for own in members:
            others = [i for i in members if i != own]
            chosen = [int(i) for i in rng.permutation(others)]
            if whole_picture and topk:
                chosen.sort(key=lambda i, last=members[-1]: i != last)
            contexts.append(chosen[:topk])
    return contexts


def extra_channel_faults(config: TrainConfig, groups: int, *, seed: tuple[int, ...], first: int = 0) -> Tensor | None:
    """What is wrong with the extra channels of each patch of a batch, the same for a group; None where nothing may be.

    Args:
        groups, seed, first: As for `group_contexts`.

    Returns:
        B int64: extra_channels.GOOD, MISSING, BLURRED or SWAPPED.
    """
    if not any(config.extra_channel_faults):
        return None
    limits = np.cumsum(config.extra_channel_faults)
    drawn = [np.random.default_rng([*seed, first + number, 7]).random() for number in range(groups)]
    kinds = [0 if value >= limits[-1] else 1 + int(np.searchsorted(limits, value, side="right")) for value in drawn]
    return torch.tensor(kinds).repeat_interleave(config.sample.group)


def decoded(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    contexts: ContextIndices,
    *,
    detach: bool = False,
    faults: Tensor | None = None,
) -> Decoded:
    """The network's answer to a batch as batches.py makes them.

    Args:
        faults: Of `extra_channel_faults`.
    """
    inputs = network_input(batch["image"].float() / 255, batch["trimap"]).contiguous(memory_format=torch.channels_last)
    return model(
        inputs,
        contexts.indices,
        topk=contexts.topk,
        surroundings=batch.get("surroundings"),
        detach=detach,
        faults=faults,
    )


def batch_loss(
    out: Decoded, probes: nn.Module, batch: Mapping[str, Tensor], blending: Tensor, config: TrainConfig
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """The loss of the network's answer, its parts, and how many patches it is the mean of.

    Args:
        probes: See losses.Probes.
        blending: Weight of each pixel of a patch, see TrainConfig.blend.
    """
    truth = batch["alpha"][:, None].float() / 255
    colours = {name: batch[name].permute(0, 3, 1, 2).float() / 255 for name in ("foreground", "background")}
    weight = pixel_weight(batch["trimap"][:, None], blending)
    exact = truth, colours["foreground"], colours["background"], weight
    weights, foreground_weight = config.losses, config.foreground_weight
    loss, parts = total(weighted_error(out.alpha, truth, foreground_weight), *exact, parts=weights)
    if weights.probes:
        parts["probes"] = probe_loss(probes([out.at8, out.at4, out.at2]), *exact)
        loss = loss + weights.probes * parts["probes"]
    if weights.coarse and out.coarse is not None:
        parts["coarse"] = coarse_loss(out.coarse, truth, weight, foreground_weight=foreground_weight)
        loss = loss + weights.coarse * parts["coarse"]
    return loss, parts, (weight.sum((1, 2, 3)) > 0).sum()


def compile_network(model: HDMatt, backend: str | Callable[..., Any] = "inductor") -> None:
    """torch.compile of encoder and decoder; on a CPU the context module's shapes change with every trimap.

    `Module.compile` acts on a module's own call alone, so methods that the forward calls are compiled one by one.
    """
    model.encoder.layer1.compile(backend=backend)
    model.decoder.compile(backend=backend)
    for method in ("stem", "after"):
        setattr(model.encoder, method, torch.compile(getattr(model.encoder, method), backend=backend))
