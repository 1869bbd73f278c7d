"""Batches for training: samples by index, so a run continues where its data stopped.

Knows synth and a run's configuration, no network. Top to bottom:

    batches     batches from a step on; step and process alone decide what is in them
    groups_of   the groups that one canvas gives
    room_ahead  how far workers may prepare ahead (of training/backbone.py, too)
"""

import functools
import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hdmatt.overview.known_colours import mirrored
from hdmatt.samples.packs import Assets
from hdmatt.samples.sample import Sample, make_sample
from hdmatt.training.config import TrainConfig

SHARED_MEMORY = Path("/dev/shm")
AHEAD = 3  # batches that each worker prepares ahead, where shared memory allows it

Arrays = dict[str, np.ndarray]
Batch = dict[str, Tensor]


def batches(
    assets: Assets, config: TrainConfig, *, first: int, rank: int = 0, world: int = 1, pin: bool = False
) -> Iterator[Batch]:
    """Batches from step `first` on.

    The samples of a step are numbered over all processes, so two processes together see what one would see.

    Args:
        rank, world: Which of how many processes asks.
        pin: Put batches into page-locked memory, from which a GPU copies while it computes.
    """
    spread = config.spread
    canvases = config.groups * spread // config.repeat  # of `spread` steps
    own = canvases // world
    rounds = range(first // spread, -(-config.steps // spread))
    indices = (number * canvases + rank * own + i for number in rounds for i in range(own))
    workers = config.workers
    patches = own * config.repeat * config.sample.group
    ahead, shared = room_ahead(workers, bytes_a_batch=11 * config.sample.patch**2 * patches)
    loader: DataLoader[Any] = DataLoader(
        _Samples(assets, config),
        batch_size=own,
        sampler=indices,  # type: ignore[arg-type]
        num_workers=workers,
        prefetch_factor=ahead,
        collate_fn=functools.partial(_as_tensors if shared else _joined, spread=spread),
        pin_memory=pin and shared,
    )
    for number, batch in zip(rounds, loader, strict=True):
        arrays = batch if shared else {name: torch.from_numpy(array) for name, array in batch.items()}
        for part in range(max(0, first - number * spread), min(spread, config.steps - number * spread)):
            yield {name: array.chunk(spread)[part] for name, array in arrays.items()}


def groups_of(assets: Assets, config: TrainConfig, index: int) -> Arrays:
    """The patches of one canvas: `repeat` groups one after the other, every second one mirrored at random.

    A canvas costs most of a sample's time; its groups share
    composite, scale and camera faults, and lie elsewhere.
    """
    group = config.sample.group
    several = replace(config.sample, group=group * config.repeat)
    sample = make_sample(assets, several, seed=config.seed, index=index)
    arrays = {f.name: np.asarray(getattr(sample, f.name)) for f in fields(Sample)}
    if config.repeat == 1:
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    turned = np.random.default_rng([config.seed, index, 1]).random(config.repeat) < 0.5
    return {
        name: np.stack([_turned(name, patch) if turned[i // group] else patch for i, patch in enumerate(array)])
        for name, array in arrays.items()
    }


def _turned(name: str, patch: np.ndarray) -> np.ndarray:
    """One array of a patch, left to right; what it knows of the whole picture has alphas inside of its cells."""
    return mirrored(patch) if name == "around" else cv2.flip(patch, 1)


class _Samples(Dataset[Arrays]):
    def __init__(self, assets: Assets, config: TrainConfig) -> None:
        self.assets, self.config = assets, config

    def __getitem__(self, index: int) -> Arrays:
        cv2.setNumThreads(0)
        return groups_of(self.assets, self.config, index)


def _joined(samples: list[Arrays], *, spread: int) -> Arrays:
    """The patches of `spread` steps, one after the other; each step has the same number of groups of every canvas."""
    joined: Arrays = {}
    for name in samples[0]:
        steps = zip(*(np.split(sample[name], spread) for sample in samples), strict=True)
        joined[name] = np.concatenate([groups for step in steps for groups in step])
    return joined


def _as_tensors(samples: list[Arrays], *, spread: int) -> Batch:
    return {name: torch.from_numpy(array) for name, array in _joined(samples, spread=spread).items()}


def room_ahead(workers: int, *, bytes_a_batch: int) -> tuple[int | None, bool]:
    """How many batches a worker prepares ahead, and whether they travel through shared memory.

    Containers often have 64 MB of it; a worker that runs out dies without a word. Then arrays go through pipes.
    """
    if not workers:
        return None, True
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
    room = free // 2 // (workers * bytes_a_batch)
    return (min(AHEAD, room), True) if room >= 1 else (1, False)
