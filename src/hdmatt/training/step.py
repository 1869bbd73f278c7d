"""One step of training: loss, learning rate, which patches of a group serve as context."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt
from hdmatt.training.config import TrainConfig, schedule
from hdmatt.training.losses import coarse_loss, leaned, pixel_weight, probe_loss, total
from hdmatt.training.processes import Fabric, patch_share

BAD_STEPS = 10  # steps without a finite gradient, one after the other, that end a run


def learning_rate(config: TrainConfig, step: int, *, restart: int = 0) -> float:
    """Linear warm-up over `warmup` steps, then cosine from `rate` to `rate * floor` at `steps`.

    After `restart` the rate rises once more over `rewarm` steps, from its share to all of what the schedule says.
    """
    again = min(1.0, (step - restart + 1) / config.rewarm) if restart and config.rewarm else 1.0
    return schedule(again * config.rate, step, steps=config.steps, warmup=config.warmup, floor=config.floor)


def group_contexts(groups: int, group: int, *, topk: int, seed: tuple[int, ...], first: int = 0) -> list[list[int]]:
    """For every patch of a batch, `topk` random other patches of its own group (all, when there are no more).

    Args:
        first: Number of the batch's first group among those of all processes: what a group draws does not depend on
            which process has it.
    """
    contexts: list[list[int]] = []
    for number in range(groups):
        rng = np.random.default_rng([*seed, first + number])
        members = range(number * group, (number + 1) * group)
        for own in members:
            others = [i for i in members if i != own]
            contexts.append([int(i) for i in rng.permutation(others)[:topk]])
    return contexts


def vanished(model: nn.Module) -> float:
    """Share of the convolutions' weights that are below a thousandth of what a fresh layer has: 0 in a healthy network.

    A large share means that layers have died: the loss may still fall, by what the others learn.
    """
    small = total = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            weight = module.weight.detach()
            fan_in = weight[0].numel()
            small += int((weight.abs() < 1e-3 * fan_in**-0.5).sum())
            total += weight.numel()
    return small / max(1, total)


def group_loss(
    model: nn.Module,
    probes: nn.Module,
    batch: Mapping[str, Tensor],
    weight: Tensor,
    config: TrainConfig,
    step: int,
    fabric: Fabric,
) -> tuple[Tensor, dict[str, Tensor]]:
    colours = {n: batch[n].permute(0, 3, 1, 2).float() / 255 for n in ("foreground", "background")}
    truth = batch["alpha"][:, None].float() / 255
    inputs = network_input(batch["image"].float() / 255, batch["trimap"])
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    groups = config.groups // fabric.world_size
    contexts = group_contexts(
        groups,
        config.sample.group,
        topk=config.topk,
        seed=(config.seed, step),
        first=fabric.global_rank * groups,
    )
    only = config.part == "coarse"
    out = model(inputs, contexts, around=batch["around"], detach=config.detach, coarse_only=only)
    counts = pixel_weight(batch["trimap"][:, None], weight)
    exact = truth, colours["foreground"], colours["background"], counts
    loss, parts = total(leaned(out.alpha, truth, config.lean), *exact, parts={} if only else config.losses)
    if config.probes and not only:
        parts["probes"] = probe_loss(probes([out.at8, out.at4, out.at2]), *exact)
        loss = loss + config.probes * parts["probes"]
    if config.coarse and out.coarse is not None:
        parts["coarse"] = coarse_loss(out.coarse, truth, counts, lean=config.lean)
        loss = loss + config.coarse * parts["coarse"]
    share = patch_share(fabric, (counts.sum((1, 2, 3)) > 0).sum())
    return (loss * share).float(), {name: value.detach() * share for name, value in parts.items()}


def compile_network(model: HDMatt, backend: str | Callable[..., Any] = "inductor") -> None:
    """Encoder and decoder, by what the network's forward calls of them (`Module.compile` acts on a module's own call
    alone); on a CPU the context module's shapes change with every trimap."""
    import torch._dynamo

    torch._dynamo.config.suppress_errors = True  # type: ignore[attr-defined]  # what does not compile runs as it is
    model.encoder.layer1.compile(backend=backend)
    model.decoder.compile(backend=backend)
    for method in ("stem", "after"):
        setattr(model.encoder, method, torch.compile(getattr(model.encoder, method), backend=backend))


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
