"""A pack of two pictures and a run of seconds: what the tests of the training share."""

import os
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning_fabric import Fabric

from hdmatt.network.checkpoint import save_model
from hdmatt.network.model import HDMatt
from hdmatt.training.config import TrainConfig
from hdmatt.training.curves import read_curve
from hdmatt.training.loop import Limits
from hdmatt.training.presets import PRESETS
from hdmatt.training.train import Start
from hdmatt.training.train import train as train_with

ROOT = Path(__file__).parents[1]
TINY = PRESETS["tiny"]
SHORT = replace(
    TINY,
    sample=replace(TINY.sample, procedural=0.0),
    steps=4,
    warmup=1,
    rewarm=2,
    save_every=2,
    validate_every=0,
    held_out=1,
)


def make_pack(folder: Path) -> Path:
    """A soft disc with colours, and a background."""
    (folder / "foregrounds").mkdir(parents=True)
    (folder / "backgrounds").mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    alpha = np.clip((40 - np.hypot(y - 48, x - 48)) / 8, 0, 1) * 255
    colours = rng.integers(0, 255, (96, 96, 3))
    cv2.imwrite(str(folder / "foregrounds/disc.png"), np.dstack([colours, alpha]).astype(np.uint8))
    cv2.imwrite(str(folder / "backgrounds/noise.jpg"), rng.integers(0, 255, (120, 100, 3)).astype(np.uint8))
    return folder


def start(config: TrainConfig, folder: Path) -> Path:
    """Weights for a run that must not begin with random ones; random all the same."""
    torch.manual_seed(0)
    path = folder / "start.safetensors"
    save_model(HDMatt(config.model), path, half=False, card={"patches": "1000"})
    return path


def train(
    config: TrainConfig, data: Sequence[Path], out: Path, *, max_steps: int | None = None,
    max_minutes: float | None = None, fabric: Fabric | None = None, **names: Any,
) -> Path:  # fmt: skip
    """`train` on a CPU, with the fields of Start and Limits as arguments of its own."""
    begin = Start(**{f.name: names.pop(f.name) for f in fields(Start) if f.name in names})
    return train_with(
        config, data, out, start=begin, limits=Limits(max_minutes, max_steps), fabric=fabric or cpu(), **names
    )


def curve(folder: Path, name: str = "curve") -> list[dict[str, Any]]:
    """The rows of a run's curve, or of its validations."""
    return read_curve(folder / f"{name}.jsonl")


def cpu() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def environment() -> dict[str, str]:
    """For programs that a test starts: this tree's hdmatt, one thread."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
