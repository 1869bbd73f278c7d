"""Batches for training: samples by index, so a run continues where its data stopped.

Knows samples and a run's configuration, no network. Top to bottom:

    batches      batches from a step on; step and process alone decide what is in them
    groups_of    the groups of patches that one composite gives
    loader       samples by index from worker processes, through shared memory where it has room
"""

import functools
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hdmatt.samples.packs import Assets
from hdmatt.samples.sample import Sample, flipped_array, make_sample
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
    together = config.steps_per_composite  # steps that share their composites
    own = config.groups // world
    rounds = range(first // together, -(-config.steps // together))
    indices = (number * config.groups + rank * own + i for number in rounds for i in range(own))
    patches = own * together * config.sample.group
    source = loader(
        _Samples(assets, config),
        indices,
        batch=own,
        workers=config.workers,
        bytes_a_batch=11 * config.sample.patch**2 * patches,
        join=functools.partial(_joined, steps=together),
        pin=pin,
    )
    for number, arrays in zip(rounds, source, strict=True):
        for part in range(max(0, first - number * together), min(together, config.steps - number * together)):
            yield {name: array.chunk(together)[part] for name, array in arrays.items()}


def groups_of(assets: Assets, config: TrainConfig, index: int) -> Arrays:
    """The patches of one composite: a group for each step, one after the other, every second one mirrored at random.

    A composite costs most of a sample's time; its groups share picture, scale and camera faults, and lie elsewhere.
    """
    group, number = config.sample.group, config.steps_per_composite
    sample = make_sample(assets, replace(config.sample, group=group * number), seed=config.seed, index=index)
    named = {f.name: getattr(sample, f.name) for f in fields(Sample)}
    arrays = {name: np.ascontiguousarray(array) for name, array in named.items() if array is not None}
    if number == 1:
        return arrays
    turned = np.random.default_rng([config.seed, index, 1]).random(number) < 0.5
    return {
        name: np.stack(
            [
                flipped_array(patch, surroundings=name == "surroundings") if turned[i // group] else patch
                for i, patch in enumerate(array)
            ]
        )
        for name, array in arrays.items()
    }


class _Samples(Dataset[Arrays]):
    def __init__(self, assets: Assets, config: TrainConfig) -> None:
        self.assets, self.config = assets, config

    def __getitem__(self, index: int) -> Arrays:
        return groups_of(self.assets, self.config, index)


def _joined(samples: list[Arrays], *, steps: int) -> Arrays:
    """The patches of `steps` steps, one after the other; each step has a group of every composite."""
    joined: Arrays = {}
    for name in samples[0]:
        parts = zip(*(np.split(sample[name], steps) for sample in samples), strict=True)
        joined[name] = np.concatenate([groups for part in parts for groups in part])
    return joined


def loader(
    samples: Dataset[Arrays],
    indices: Iterable[int],
    *,
    batch: int,
    workers: int,
    bytes_a_batch: int,
    join: Callable[[list[Arrays]], Arrays],
    pin: bool = False,
) -> Iterator[Batch]:
    """Samples in the order of their indices, `batch` at a time joined by `join`, as tensors.

    Args:
        workers: Processes that make them; 0: this one.
        bytes_a_batch: Size of a batch; decides how many are prepared ahead, and whether shared memory has room.
    """
    ahead, shared = _room_ahead(workers, bytes_a_batch=bytes_a_batch)
    source: DataLoader[Any] = DataLoader(
        samples,
        batch_size=batch,
        sampler=indices,  # type: ignore[arg-type]
        num_workers=workers,
        prefetch_factor=ahead,
        collate_fn=functools.partial(_as_tensors, join) if shared else join,
        pin_memory=pin and shared,
        worker_init_fn=_one_thread,
    )
    for found in source:
        yield found if shared else {name: torch.from_numpy(array) for name, array in found.items()}


def _as_tensors(join: Callable[[list[Arrays]], Arrays], samples: list[Arrays]) -> Batch:
    return {name: torch.from_numpy(array) for name, array in join(samples).items()}


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)  # OpenCV's threads do not survive in processes that are forked


def _room_ahead(workers: int, *, bytes_a_batch: int) -> tuple[int | None, bool]:
    """How many batches a worker prepares ahead, and whether they travel through shared memory.

    Containers often have 64 MB of it; a worker that runs out dies without a word. Then arrays go through pipes.
    """
    if not workers:
        return None, True
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
    room = free // 2 // (workers * bytes_a_batch)
    return (min(AHEAD, room), True) if room >= 1 else (1, False)
