"""How good is a network now? Scores on held-out samples, and on folders of real pictures.

Scored        means of the four metrics over one set, and lines for a preview sheet
HeldOut       fixed samples that no run trains on: same pictures, other compositions
Folders       real pictures with trimap and truth, read and scored as `hdmatt eval` does, matted as `hdmatt matte` does
Validation    both, into a run's curves
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from hdmatt.errors import InputError
from hdmatt.evaluation.items import as_bytes, open_item, opened, read_bytes, read_marks, require_path
from hdmatt.evaluation.metrics import Scores, score
from hdmatt.evaluation.testsets import Item, discover
from hdmatt.inference.options import RunOptions
from hdmatt.inference.strategies import matte_rows
from hdmatt.network.model import HDMatt
from hdmatt.pictures.reader import as_float
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.samples.packs import Assets
from hdmatt.samples.sample import Sample, make_sample
from hdmatt.system import memory
from hdmatt.training.batches import Arrays
from hdmatt.training.config import HELD_OUT, TrainConfig
from hdmatt.training.curves import Curves, sample_sheet
from hdmatt.training.processes import Say
from hdmatt.training.step import candidates, decoded

HELD_OUT_NAME = "held-out"
SHOWN = 6  # lines of a preview sheet
ENGINE_MEMORY = 4 * memory.GIB


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

    def row(self, step: int) -> dict[str, int | str | float]:
        """One row of validation.jsonl; MSE times 1000, as everywhere in print."""
        numbers = {"sad": self.sad, "mse_x1000": 1000 * self.mse, "grad": self.grad, "conn": self.conn}
        rounded = {name: round(value, 4) for name, value in numbers.items()}
        return {"step": step, "set": self.name, "pictures": self.pictures, **rounded}


class HeldOut:
    """Samples drawn with a seed that no run uses: the same foregrounds and backgrounds, other compositions.

    It tells runs on one pack apart, and a run's better steps from its worse. It does not tell how good a network is
    on pictures of other people: that is what Folders and `hdmatt eval` are for.
    """

    def __init__(self, assets: Assets, config: TrainConfig) -> None:
        self.config = config
        self.samples = [
            make_sample(assets, config.sample, seed=HELD_OUT, index=index) for index in range(config.held_out)
        ]

    @torch.no_grad()
    def __call__(self, model: HDMatt) -> Scored:
        """Score the network on its own device; each patch has the contexts that training gives it."""
        scores: list[Scores] = []
        lines: list[Arrays] = []
        for index, sample in enumerate(self.samples):
            batch = _on_device(sample, next(model.parameters()).device)
            contexts = candidates(self.config, 1, seed=(0,), first=index)
            alpha = decoded(model, batch, contexts).alpha[:, 0].float().cpu().numpy()
            for i, marks in enumerate(sample.trimap):
                if not (marks == UNKNOWN).any():
                    continue
                matte = as_bytes(np.where(marks == UNKNOWN, alpha[i], marks / np.float32(255)))
                scores.append(score(matte, sample.alpha[i], marks))
                if len(lines) < SHOWN:
                    lines.append(
                        {"picture": sample.image[i], "trimap": marks, "truth": sample.alpha[i], "matte": matte}
                    )
        return _means(HELD_OUT_NAME, scores, lines)


def _on_device(sample: Sample, device: torch.device) -> dict[str, torch.Tensor]:
    arrays = {"image": sample.image, "trimap": sample.trimap, "surroundings": sample.surroundings}
    return {n: torch.from_numpy(np.ascontiguousarray(a)).to(device) for n, a in arrays.items() if a is not None}


class Folders:
    """Test sets: whole pictures, matted as `hdmatt matte` does it.

    Raises:
        InputError: A folder is no test set, a picture has no truth, or two sets have one name.
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
            with (
                opened(item) as (picture, trimap),
                # closed before the files, which its thread reads
                closing(matte_rows("hdmatt", picture, trimap, model, options)) as job,
            ):
                matte = as_bytes(np.concatenate([rows for _, rows in job.rows]))
            truth, marks = read_bytes(require_path(item.alpha)), read_marks(require_path(item.trimap))
            scores.append(score(matte, truth, marks))
            if len(lines) < SHOWN:
                lines.append({"picture": _shown(item), "trimap": marks, "truth": truth, "matte": matte})
        return _means(name, scores, lines)


def _shown(item: Item) -> UInt8[np.ndarray, "h w 3"]:
    """The picture in 8 bits, for a sheet."""
    with open_item(item) as picture:
        rows = as_float(picture.rows(0, picture.info.height))
    return np.floor(rows.clip(0, 1) * 255 + np.float32(0.5)).astype(np.uint8)


def _means(name: str, scores: Sequence[Scores], lines: list[Arrays]) -> Scored:
    if not scores:
        raise InputError(f"{name} has no pixel to score", hint="Raise held_out: --set held_out=16.")
    means = (float(np.mean([getattr(one, metric) for one in scores])) for metric in ("sad", "mse", "grad", "conn"))
    return Scored(name, len(scores), *means, lines=lines)


class Validation:
    """Everything that a run is validated on: held-out samples, and folders of test pictures."""

    def __init__(self, config: TrainConfig, assets: Assets, folders: Sequence[Path]) -> None:
        self.held_out = HeldOut(assets, config) if config.validate_every else None
        self.folders = Folders(folders, config)

    def __call__(self, model: HDMatt, step: int, curves: Curves, say: Say) -> float | None:
        """Scores and sheets into the curves; the SAD of the held-out samples, None where there are none."""
        held_out = None if self.held_out is None else self.held_out(model)
        for scored in [*([held_out] if held_out else []), *self.folders(model)]:
            curves.validation(scored.row(step))
            caption = f"{scored.name}, step {step}, SAD {scored.sad:.3f}"
            curves.picture(scored.name.replace(" ", "-"), step, sample_sheet(scored.lines, caption=caption))
            say(f"step {step}: {scored.name}: SAD {scored.sad:.3f}, MSE {1000 * scored.mse:.2f}e-3")
        return held_out.sad if held_out else None
