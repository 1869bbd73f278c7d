"""How good is a network now? Scores on held-out samples, and on folders of real pictures.

Knows the network, the engine and the metrics; files only through OpenCV, so that it works where OpenImageIO is
not. Top to bottom:

    Scored        means of the four metrics over one set, and lines for a preview sheet
    HeldOut       fixed samples that no run trains on: same pictures, other compositions
    Folders       real pictures with trimap and truth, as `hdmatt eval` reads them
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8

from hdmatt.errors import InputError
from hdmatt.evaluation.metrics import Scores, score
from hdmatt.evaluation.testsets import Item, discover
from hdmatt.inference.options import RunOptions
from hdmatt.inference.strategies import matte_rows
from hdmatt.network.checkpoint import (
    save_model,
)
from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import UNKNOWN, TrimapReader, classify
from hdmatt.samples.packs import Assets
from hdmatt.samples.sample import make_sample
from hdmatt.system import memory
from hdmatt.training.batches import Arrays
from hdmatt.training.config import (
    TrainConfig,
)
from hdmatt.training.curves import Curves, sheet
from hdmatt.training.processes import (
    Say,
    say_if_asked,
)
from hdmatt.training.run import BEST, Run
from hdmatt.training.step import group_contexts

HELD_OUT = 2**31  # the seed of held-out samples: runs have smaller ones
HELD_OUT_NAME = "held-out"
SHOWN = 6  # lines of a preview sheet
ENGINE_MEMORY = 4 * memory.GIB
Contexts = Callable[[int], list[list[int]]]


@dataclass(frozen=True)
class Scored:
    """Plain means over the pictures of one set (held-out samples: over the patches with unknown pixels)."""

    name: str
    pictures: int
    sad: float
    mse: float
    grad: float
    conn: float
    lines: list[Arrays] = field(default_factory=list, repr=False)

    def row(self, step: int) -> dict[str, str]:
        """One row of validation.csv; MSE times 1000, as everywhere in print."""
        numbers = {"sad": self.sad, "mse_x1000": 1000 * self.mse, "grad": self.grad, "conn": self.conn}
        return {
            "step": str(step),
            "set": self.name,
            "pictures": str(self.pictures),
            **{name: f"{value:.4f}" for name, value in numbers.items()},
        }


class HeldOut:
    """Samples drawn with a seed that no run uses: the same foregrounds and backgrounds, other compositions.

    It tells runs on one pack apart, and a run's better steps from its worse. It does not tell how good a network is
    on pictures of other people: that is what Folders and `hdmatt eval` are for.
    """

    def __init__(self, assets: Assets, config: TrainConfig) -> None:
        if config.seed >= HELD_OUT:
            raise InputError(f"seed is {config.seed}", hint=f"Seeds from {HELD_OUT} on are for validation.")
        self.samples = [
            make_sample(assets, config.sample, seed=HELD_OUT, index=index) for index in range(config.held_out)
        ]
        self.topk = config.topk

    @torch.no_grad()
    def __call__(self, model: HDMatt, contexts: Contexts) -> Scored:
        """Score the network on its own device.

        Args:
            contexts: For the index of a composite, which patches of the group each patch looks at.
        """
        device = next(model.parameters()).device
        scores: list[Scores] = []
        lines: list[Arrays] = []
        for index, sample in enumerate(self.samples):
            picture, trimap, around = (
                torch.from_numpy(np.ascontiguousarray(a)).to(device)
                for a in (sample.image, sample.trimap, sample.around)
            )
            inputs = network_input(picture.float() / 255, trimap)
            alpha = model(inputs, contexts(index), around=around).alpha[:, 0].float().cpu().numpy()
            for i, marks in enumerate(sample.trimap):
                if not (marks == UNKNOWN).any():
                    continue
                matte = _bytes(np.where(marks == UNKNOWN, alpha[i], marks / np.float32(255)))
                scores.append(score(matte, sample.alpha[i], marks))
                if len(lines) < SHOWN:
                    lines.append(
                        {"picture": sample.image[i], "trimap": marks, "truth": sample.alpha[i], "matte": matte}
                    )
        return _means(HELD_OUT_NAME, scores, lines)


class Folders:
    """Test sets: whole pictures through the engine, as `hdmatt matte` would do them.

    Raises:
        InputError: A folder is no test set, or a picture has no truth or is published in parts.
    """

    def __init__(self, folders: Sequence[Path], config: TrainConfig) -> None:
        self.config = config
        self.sets: dict[str, list[Item]] = {}
        twice = {folder.name for folder in folders if [other.name for other in folders].count(folder.name) > 1}
        if twice:
            raise InputError(
                f"two test sets are called {min(twice)!r}", hint="Rename one: scores are reported by the folder's name."
            )
        for folder in folders:
            for item in discover(folder):
                if item.alpha is None or item.trimap is None:
                    raise InputError(
                        f"{item.name} of {folder} has no trimap or no truth", hint="Validate on a set that has both."
                    )
                if not isinstance(item.picture, Path):
                    raise InputError(
                        f"{item.name} of {folder} is published in parts, a run is validated on whole pictures",
                        hint="Score it with hdmatt eval, which composes them, or validate on another set.",
                    )
                self.sets.setdefault(f"{folder.name} {item.variant}".strip(), []).append(item)

    def __call__(self, model: HDMatt) -> list[Scored]:
        return [self._scored(name, items, model) for name, items in self.sets.items()]

    @torch.no_grad()
    def _scored(self, name: str, items: Sequence[Item], model: HDMatt) -> Scored:
        options = RunOptions(
            patch=self.config.model.patch,
            overlap=self.config.model.patch // 5,
            memory=memory.resident() + ENGINE_MEMORY,
            device=str(next(model.parameters()).device),
        )
        scores: list[Scores] = []
        lines: list[Arrays] = []
        for item in items:
            assert item.trimap is not None and item.alpha is not None and isinstance(item.picture, Path)
            picture = np.ascontiguousarray(_read(item.picture, cv2.IMREAD_COLOR)[..., ::-1])
            trimap, _ = classify(_read(item.trimap, cv2.IMREAD_GRAYSCALE))
            truth = _read(item.alpha, cv2.IMREAD_GRAYSCALE)
            job = matte_rows("hdmatt", ArrayReader(picture), TrimapReader(ArrayReader(trimap)), model, options)
            matte = _bytes(np.concatenate([rows for _, rows in job.rows]))
            scores.append(score(matte, truth, trimap))
            if len(lines) < SHOWN:
                lines.append({"picture": picture, "trimap": trimap, "truth": truth, "matte": matte})
        return _means(name, scores, lines)


def _means(name: str, scores: Sequence[Scores], lines: list[Arrays]) -> Scored:
    if not scores:
        raise InputError(f"{name} has no pixel to score", hint="Raise held_out: --set held_out=16.")
    means = (float(np.mean([getattr(one, metric) for one in scores])) for metric in ("sad", "mse", "grad", "conn"))
    return Scored(name, len(scores), *means, lines=lines)


def _bytes(alpha: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    return (alpha * 255 + 0.5).astype(np.uint8)


def _read(path: Path, flag: int) -> np.ndarray:
    pixels = cv2.imread(str(path), flag)
    if pixels is None:
        raise InputError(f"{path} cannot be decoded as a picture", hint="Replace it, or take it out of the set.")
    return pixels


class BestKeeper:
    """Everything that a run is validated on."""

    def __init__(self, config: TrainConfig, assets: Assets, folders: Sequence[Path]) -> None:
        self.config = config
        self.held_out = HeldOut(assets, config) if config.validate_every else None
        self.folders = Folders(folders, config)

    def __call__(self, run: Run, device: torch.device) -> list[Scored]:
        model = run.averaged().to(device)
        sample, topk = self.config.sample, self.config.topk
        found = (
            []
            if self.held_out is None
            else [
                self.held_out(model, lambda index: group_contexts(1, sample.group, topk=topk, seed=(0,), first=index))
            ]
        )
        return [*found, *self.folders(model)]


def validate_run(judge: BestKeeper, run: Run, device: torch.device, curves: Curves, out: Path, say: Say | None) -> bool:
    """Scores into the curves, a sheet of each set, and the best weights so far by the held-out samples.

    Returns whether these are the best.
    """
    best = False
    for scored in judge(run, device):
        curves.validation(scored.row(run.step))
        caption = f"{scored.name}, step {run.step}, SAD {scored.sad:.3f}"
        curves.picture(scored.name.replace(" ", "-"), run.step, sheet(scored.lines, caption=caption))
        say_if_asked(say, f"step {run.step}: {scored.name}: SAD {scored.sad:.3f}, MSE {1000 * scored.mse:.2f}e-3")
        if scored.name == HELD_OUT_NAME and scored.sad < run.best:
            run.best, best = scored.sad, True
            save_model(run.averaged(), out / BEST, half=False, card=run.card())
    return best
