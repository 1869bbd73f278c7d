"""Batch-norm statistics for patches of the size that a network is used on.

A network that was trained on small patches keeps their statistics. Padding and wide dilations weigh more in a small
patch, so means and variances differ on large ones. Counting them again changes no weight that learns. Knows samples and
the network; no files. Top to bottom:

    recompute_norms    statistics of a network, counted again on fresh samples
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from hdmatt.errors import InputError
from hdmatt.network.model import HDMatt
from hdmatt.samples.packs import Assets
from hdmatt.training.batches import batches
from hdmatt.training.config import TrainConfig
from hdmatt.training.processes import process_switches
from hdmatt.training.step import candidates, decoded


def recompute_norms(
    model: HDMatt, assets: Assets, config: TrainConfig, *, count: int, patch: int | None = None
) -> None:
    """Replace the network's batch-norm statistics by plain means over `count` batches of patches.

    Each batch holds `config.groups` groups of `config.sample.group` patches with `config.topk` contexts, as a step of a
    training does, drawn with `config.seed`.

    Args:
        model: Changed in place; left in evaluation mode.
        count: Batches.
        patch: Side of the patches in pixels; None: that for which the network was made (`ModelConfig.patch`).

    Raises:
        InputError: No batches, or a network without batch norms.
    """
    if count < 1:
        raise InputError(f"norms of {count} batches", hint="Give 1 or more; 60 are enough.")
    if not any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        raise InputError("this network has no batch norms", hint="Use its weights as they are.")
    sample = replace(config.sample, patch=patch or model.config.patch)
    steps = replace(config, sample=sample, steps=count)
    with torch.no_grad(), process_switches(next(model.parameters()).device, seed=config.seed):
        update_bn(_numbered(batches(assets, steps, first=0)), _Fed(model, steps))
    model.eval()


def _numbered(source: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, Tensor | int]]:
    for step, batch in enumerate(source):
        yield {**batch, "step": step}


class _Fed(nn.Module):
    """A network that takes a batch as training makes them: what update_bn asks for."""

    def __init__(self, model: HDMatt, config: TrainConfig) -> None:
        super().__init__()
        self.model, self.config = model, config

    def forward(self, batch: dict[str, Tensor | int]) -> Tensor:
        config = self.config
        contexts = candidates(config, config.groups, seed=(config.seed, int(batch["step"])))
        tensors = {name: torch.as_tensor(value) for name, value in batch.items()}
        return decoded(self.model, tensors, contexts).alpha
