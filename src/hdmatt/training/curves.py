"""What a run leaves to look at while it trains: JSON lines, TensorBoard, preview sheets.

Knows numbers, arrays and files; of a network only how many of its weights have vanished. Pillow and tensorboard come
with the extra `train`. Top to bottom:

    Curves           curve.jsonl, validation.jsonl and TensorBoard of one run's folder
    CurveRecorder    sums of what a row of the curve holds, and how long steps took
    vanished         the share of weights that are next to zero
    sample_sheet     a picture: one line a sample, with picture, trimap, truth, matte and error side by side
"""

import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from hdmatt.errors import InputError
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.system.files import append_text, replacing, write_text_atomic
from hdmatt.training.processes import Fabric
from hdmatt.training.run import Run

CURVE, VALIDATION = "curve.jsonl", "validation.jsonl"
COLUMNS = ("picture", "trimap", "truth", "matte", "error")
SIDE = 192  # pixels of one picture in a sheet
TITLE = 18

CurveRow = Mapping[str, Any]  # of a curve: numbers by name, "step" among them


class Curves:
    """The curves of one run; continues those of a run that was stopped.

    Args:
        folder: The run's folder.
        step: Where the run goes on: rows of later steps, left by a run that was killed, are dropped.
        tensorboard: Whether to write TensorBoard's files, too.
    """

    def __init__(self, folder: Path, *, step: int, tensorboard: bool) -> None:
        self.folder = folder
        for name in (CURVE, VALIDATION):
            _drop_after(folder / name, step)
        self.writer = _writer(folder / "tensorboard", step) if tensorboard else None

    def training(self, row: CurveRow) -> None:
        """One row of curve.jsonl; numbers are drawn, too."""
        append_text(self.folder / CURVE, json.dumps(row) + "\n")
        self._draw("train", row)

    def validation(self, row: CurveRow) -> None:
        """One row of validation.jsonl: a step and a set's scores."""
        append_text(self.folder / VALIDATION, json.dumps(row) + "\n")
        self._draw(f"validation/{row['set']}", row)

    def picture(self, name: str, step: int, sheet: UInt8[np.ndarray, "h w 3"]) -> None:
        """A preview sheet, as a JPEG in previews/ and in TensorBoard."""
        folder = self.folder / "previews"
        folder.mkdir(exist_ok=True)
        save_jpeg(sheet, folder / f"{step:07d}-{name}.jpg")
        if self.writer is not None:
            self.writer.add_image(name, sheet, step, dataformats="HWC")

    def close(self) -> None:
        """Close TensorBoard's file, where there is one."""
        if self.writer is not None:
            self.writer.close()

    def _draw(self, prefix: str, row: CurveRow) -> None:
        if self.writer is None:
            return
        for name, value in row.items():
            if name not in ("step", "set"):
                self.writer.add_scalar(f"{prefix}/{name}", float(value), int(row["step"]))
        self.writer.flush()


class CurveRecorder:
    """Sums of what a row of the curve holds, left on the device until the row is asked for."""

    def __init__(self) -> None:
        self._begin()

    def timed(self, batches: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
        """The batches; notes how long they were waited for."""
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            self.waited += time.monotonic() - asked
            if batch is None:
                return
            yield batch

    def add(self, values: Mapping[str, Tensor], *, finite: bool) -> None:
        """Note a step's values; those of a step that was not taken are no part of the means."""
        self.steps += 1
        if not finite:
            self.skipped += 1
            return
        self.names = list(values)
        self.values.append(torch.stack([v.detach().float() for v in values.values()]))

    def row(self, run: Run, fabric: Fabric, *, rate: float) -> dict[str, Any]:
        """Means since the last row, over all processes; starts anew."""
        seconds = self.seconds + time.monotonic() - self.since
        means: dict[str, float] = {}
        if self.values:
            mean = fabric.all_reduce(torch.stack(self.values).mean(0), reduce_op="mean")
            assert isinstance(mean, Tensor)
            means = {name: round(value, 5) for name, value in zip(self.names, mean.tolist(), strict=True)}
        row = {
            "step": run.step,
            "patches": run.seen,
            "rate": float(f"{rate:.3g}"),
            "seconds_a_step": round(seconds / max(1, self.steps), 4),
            "data_wait": round(self.waited / max(seconds, 1e-9), 3),
            **means,
            "skipped": self.skipped,
            "vanished": round(vanished(run.model), 3),
        }
        self._begin()
        return row

    @contextmanager
    def paused(self) -> Generator[None]:
        """Time in this block is no step's."""
        self.seconds += time.monotonic() - self.since
        yield
        self.since = time.monotonic()

    def _begin(self) -> None:
        self.values: list[Tensor] = []
        self.names: list[str] = []
        self.steps, self.skipped, self.waited, self.seconds, self.since = 0, 0, 0.0, 0.0, time.monotonic()


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


def read_curve(path: Path) -> list[dict[str, Any]]:
    """The rows of a curve; none where there is no file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def sample_sheet(lines: Sequence[Mapping[str, np.ndarray]], *, caption: str) -> UInt8[np.ndarray, "h w 3"]:
    """One line a sample: picture, trimap, truth, matte, and the error (|matte - truth|, white is 0.5 or more).

    Args:
        lines: Arrays by name: "picture" h x w x 3 uint8, "trimap", "truth" and "matte" h x w uint8. They are
            shrunk to fit into squares of 192 pixels.
        caption: Words for the top line, after the columns' names.
    """
    from PIL import Image, ImageDraw

    canvas = np.full((TITLE + SIDE * len(lines), SIDE * len(COLUMNS), 3), 32, np.uint8)
    for i, line in enumerate(lines):
        difference = np.abs(line["matte"].astype(np.int16) - line["truth"])
        error = np.where(line["trimap"] == UNKNOWN, np.minimum(2 * difference, 255), 0).astype(np.uint8)
        for j, array in enumerate([*(line[name] for name in COLUMNS[:-1]), error]):
            scale = SIDE / max(array.shape[:2])
            size = (max(1, round(array.shape[1] * scale)), max(1, round(array.shape[0] * scale)))
            small = cv2.resize(array, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
            if small.ndim == 2:
                small = np.repeat(small[..., None], 3, axis=2)
            y, x = TITLE + i * SIDE, j * SIDE
            canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    for j, name in enumerate(COLUMNS):
        draw.text((j * SIDE + 4, 3), name if j else f"{name}   {caption}", fill=(255, 255, 255))
    return np.asarray(image)


def save_jpeg(pixels: UInt8[np.ndarray, "h w 3"], path: Path, *, quality: int = 85) -> None:
    """Write a JPEG; renamed into place."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, "JPEG", quality=quality)


def _drop_after(path: Path, step: int) -> None:
    """Take rows of later steps, left by a run that was killed, out of a curve."""
    rows = read_curve(path)
    kept = [row for row in rows if row["step"] <= step]
    if len(kept) < len(rows):
        write_text_atomic(path, "".join(json.dumps(row) + "\n" for row in kept))


def _writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise InputError(
            "the package tensorboard is missing",
            hint="Install hdmatt[train], or train without it: --set tensorboard=false.",
        ) from error
    return SummaryWriter(str(folder), purge_step=step + 1)
