"""What a run leaves to look at while it trains: CSV, TensorBoard, preview sheets.

Knows numbers, arrays and files; no network. Pillow and tensorboard come with the extra `train`. Top to bottom:

    Curves       curve.csv, validation.csv and TensorBoard of one run's folder
    append_row   one row more in a CSV, also when it has columns that the file had not
    drop_after   no rows of later steps
    sheet        a picture: one line a sample, with picture, trimap, truth, matte and error side by side
"""

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from hdmatt.errors import InputError
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.system.files import replacing
from hdmatt.training.config import (
    TrainConfig,
)
from hdmatt.training.processes import Fabric
from hdmatt.training.run import Run
from hdmatt.training.step import learning_rate, vanished

COLUMNS = ("picture", "trimap", "truth", "matte", "error")
SIDE = 192  # pixels of one picture in a sheet
TITLE = 18


class Curves:
    """The curves of one run; continues those of a run that was stopped.

    Args:
        folder: The run's folder.
        step: Where the run goes on: rows of later steps, left by a run that was killed, are dropped.
        tensorboard: Whether to write TensorBoard's files, too.
    """

    def __init__(self, folder: Path, *, step: int, tensorboard: bool) -> None:
        self.folder = folder
        for name in ("curve.csv", "validation.csv"):
            drop_after(folder / name, step)
        self.writer = _writer(folder / "tensorboard", step) if tensorboard else None

    def training(self, row: Mapping[str, Any]) -> None:
        """One row of curve.csv; numbers are drawn, too."""
        append_row(self.folder / "curve.csv", row)
        self._draw("train", row)

    def validation(self, row: Mapping[str, Any]) -> None:
        """One row of validation.csv: a step and a set's scores."""
        append_row(self.folder / "validation.csv", row)
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

    def _draw(self, prefix: str, row: Mapping[str, Any]) -> None:
        if self.writer is None:
            return
        for name, value in row.items():
            if name not in ("step", "set"):
                self.writer.add_scalar(f"{prefix}/{name}", float(value), int(row["step"]))
        self.writer.flush()


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append a row; a file whose columns differ is written anew with the columns of both."""
    rows, columns = _read(path)
    if columns and set(row) <= set(columns):
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, columns).writerow(row)
        return
    _write(path, [*rows, {n: str(v) for n, v in row.items()}], [*columns, *(n for n in row if n not in columns)])


def sheet(lines: Sequence[Mapping[str, np.ndarray]], *, caption: str) -> UInt8[np.ndarray, "h w 3"]:
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


def _read(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    if not path.exists():
        return [], []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        return list(reader), list(reader.fieldnames or [])


def _write(path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        writer.writerows(rows)


def drop_after(path: Path, step: int) -> None:
    """Take rows of later steps, left by a run that was killed, out of a CSV."""
    rows, columns = _read(path)
    kept = [row for row in rows if int(row["step"]) <= step]
    if len(kept) < len(rows):
        _write(path, kept, columns)


def _writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise InputError(
            "the package tensorboard is missing",
            hint="Install hdmatt[train], or train without it: --set tensorboard=false.",
        ) from error
    return SummaryWriter(str(folder), purge_step=step + 1)


class CurveRecorder:
    """Sums of what a row of the curve holds, left on the device until the row is asked for."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []
        self.names: list[str] = []
        self.steps, self.skipped, self.waited, self.seconds, self.since = 0, 0, 0.0, 0.0, time.monotonic()

    def add(self, values: Mapping[str, Tensor], *, finite: bool) -> None:
        self.steps += 1
        if not finite:
            self.skipped += 1
            return
        self.names = list(values)
        self.values.append(torch.stack([v.detach().float() for v in values.values()]))

    def row(self, config: TrainConfig, run: Run, fabric: Fabric) -> dict[str, str]:
        """Means since the last row, over all processes; starts anew."""
        seconds = self.seconds + time.monotonic() - self.since
        means: dict[str, str] = {}
        if self.values:
            mean = fabric.all_reduce(torch.stack(self.values).mean(0), reduce_op="mean")
            assert isinstance(mean, Tensor)
            means = {n: f"{v:.5f}" for n, v in zip(self.names, mean.tolist(), strict=True)}
        row = {
            "step": str(run.step),
            "patches": str(run.seen),
            "rate": f"{learning_rate(config, run.step - 1, restart=run.restart):.3g}",
            "seconds_a_step": f"{seconds / max(1, self.steps):.4f}",
            "data_wait": f"{self.waited / max(seconds, 1e-9):.3f}",
            **means,
            "skipped": str(self.skipped),
            "vanished": f"{vanished(run.model):.3f}",
        }
        self.values = []
        self.steps, self.skipped, self.waited, self.seconds, self.since = 0, 0, 0.0, 0.0, time.monotonic()
        return row

    def pause(self) -> None:
        """Stop the clock until `restart`."""
        self.seconds += time.monotonic() - self.since

    def restart(self) -> None:
        self.since = time.monotonic()
