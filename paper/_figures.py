"""What figure1.py and figure6.py share: mattes by three strategies, the places where they differ, the panels.

Not a command itself. Mattes are computed by hdmatt.inference.files, drawn by hdmatt.figures.sheet.
"""

import argparse
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks._shared import settings_of, write_record
from hdmatt.errors import InputError
from hdmatt.evaluation import metrics
from hdmatt.evaluation.provenance import facts
from hdmatt.figures.sheet import GAP, RED, Panel, box, enlarged, save_figure, sheet, shrunk
from hdmatt.inference.files import matte_files
from hdmatt.inference.outputs import Outputs
from hdmatt.pictures import reader
from hdmatt.pictures.trimap import open_trimap

CELL = 8  # pixels; differences are looked for on cells of this size
WAYS = {"DS": "downsample", "C": "crop", "HDMatt": "hdmatt"}


@dataclass(frozen=True)
class View:
    """One picture with its mattes by column, and the places to show at 100 %."""

    picture: Path
    trimap: Path
    mattes: dict[str, Path]  # column -> file; the truth, where there is one, comes last
    places: list[tuple[int, int]]  # y, x of their top left corners
    sads: dict[str, float]  # in thousands, where there is a truth

    def columns(self) -> dict[str, Path]:
        return {"picture": self.picture, "trimap": self.trimap, **self.mattes}


def add_options(options: argparse.ArgumentParser, *, crops: int = 2) -> None:
    options.add_argument("--crops", type=int, default=crops, help=f"places at 100 %% per picture (default {crops})")
    options.add_argument("--crop", type=int, default=256, help="their side, pixels (default 256)")


def also_of(texts: Sequence[str]) -> dict[str, Path]:
    """NAME=PATH texts."""
    found: dict[str, Path] = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not path or name in {*WAYS, "picture", "trimap", "truth"}:
            raise InputError(
                f"--also {text} is not NAME=PATH with a new name", hint="For example: --also ViTMatte=v.png"
            )
        found[name] = Path(path)
    return found


def compute(
    given: argparse.Namespace,
    picture: Path,
    trimap: Path,
    also: dict[str, Path],
    truth: Path | None,
    *,
    dataset: str = "",
) -> View:
    """Mattes by DS, C and HDMatt under OUT/mattes/<data set>, and where they differ."""
    settings = settings_of(given, windows="fewest")  # as hdmatt matte does; eval stays on the grid for its seam score
    folder = given.out / "mattes" / dataset / picture.stem  # two sets may have pictures of one name
    folder.mkdir(parents=True, exist_ok=True)
    mattes: dict[str, Path] = {}
    for name, strategy in WAYS.items():
        mattes[name] = folder / f"{strategy}.png"
        outputs = Outputs(mattes[name], bit_depth="8")
        matte_files(picture, trimap, outputs, options=settings.options, network=settings.network, strategy=strategy)
    mattes = {"DS": mattes["DS"], "C": mattes["C"], **also, "HDMatt": mattes["HDMatt"]}
    if truth:
        mattes["truth"] = truth
    _check_sizes(picture, [trimap, *mattes.values()])
    reference = mattes["truth" if truth else "HDMatt"]
    others = [path for path in mattes.values() if path != reference]
    difference = _difference(others, reference, trimap)
    cells = max(1, given.crop // CELL)
    places = [(y * CELL, x * CELL) for y, x in most_different(difference, size=cells, number=given.crops)]
    sads = {name: _sad(path, truth, trimap) for name, path in mattes.items() if truth and path != truth}
    return View(picture, trimap, mattes, places, sads)


def draw(views: Sequence[View], given: argparse.Namespace, *, per_row: int) -> np.ndarray:
    """The figure; whole views `per_row` in a row (0: all of them), then a row of crops for each place."""
    letters = dict(zip(views[0].columns(), string.ascii_lowercase, strict=False))
    wide = per_row == 0
    count = len(letters) if wide else len(letters) - 1  # crops of one picture come without the trimap
    crop = given.crop
    side = crop if wide else (count * crop + (count - 1) * GAP - (per_row - 1) * GAP) // per_row
    rows: list[list[Panel]] = []
    for view in views:
        whole = [_whole(view, name, letters[name], path, side, crop) for name, path in view.columns().items()]
        step = per_row or len(whole)
        rows += [whole[i : i + step] for i in range(0, len(whole), step)]
        for k, (y, x) in enumerate(view.places, 1):
            shown = [(name, path) for name, path in view.columns().items() if wide or name != "trimap"]
            panels = [Panel(_cut(path, y, x, crop), f"{name}") for name, path in shown]
            panels[0] = panels[0]._replace(above=f"{k}: x {x}, y {y}, 100 %")
            rows.append(panels)
    what = "DS: down-sampled to 1024 pixels and enlarged again. C: patches without context."
    return sheet(rows, footer=[f"{what} {Path(given.model).name}, patches of {given.patch}."])


def write(path: Path, pixels: np.ndarray, views: Sequence[View], given: argparse.Namespace, command: str) -> None:
    """PATH.png and PATH.json."""
    save_figure(pixels, path.with_suffix(".png"))
    settings = settings_of(given)
    described: list[dict[str, Any]] = [
        {
            "picture": view.picture.name,
            "mattes": {name: str(file) for name, file in view.mattes.items()},
            "places": [{"y": y, "x": x, "side": given.crop} for y, x in view.places],
            "sad": view.sads,
        }
        for view in views
    ]
    write_record(path.with_suffix(".json"), facts(settings, command), [], settings=settings.record(), figure=described)
    print(path.with_suffix(".png"))


def _whole(view: View, name: str, letter: str, path: Path, side: int, crop: int) -> Panel:
    with reader.open_picture(path) as opened:
        info = opened.info
        small, _ = shrunk(opened, long_side=max(1, round(side * max(1.0, info.height / info.width))))
    small = enlarged(small, side / small.shape[1]) if small.shape[1] != side else small
    factor = side / info.width
    for k, (y, x) in enumerate(view.places, 1):
        place = {"y": y * factor, "x": x * factor, "height": crop * factor, "width": crop * factor}
        small = box(small, **place, colour=RED, line=2, label=str(k) if name == "picture" else "")
    title = f"({letter}) {name}"
    if name == "picture":
        title += f", {info.width} x {info.height}"
    if name in view.sads:
        title += f", SAD {view.sads[name]:.1f}"
    return Panel(small, below=(title,))


def _cut(path: Path, y: int, x: int, crop: int) -> np.ndarray:
    with reader.open_picture(path) as opened:
        info = opened.info
        pixels = opened.window(y, min(y + crop, info.height), x, min(x + crop, info.width))
        return np.rint(255 * reader.network_colours(pixels, info.encoding)).astype(np.uint8)


def _difference(others: Sequence[Path], reference: Path, trimap: Path) -> np.ndarray:
    """Sum over the mattes of their distance from the reference, unknown pixels only, on cells."""
    parts: list[np.ndarray] = []
    with open_trimap(trimap) as marks:
        height, width = marks.info.height, marks.info.width
        bands = zip(*(_bands(path) for path in others), strict=True)
        for (y0, truth), mattes in zip(_bands(reference), bands, strict=True):
            unknown = marks.rows(y0, y0 + len(truth)) == 128
            total = sum(cv2.absdiff(matte, truth).astype(np.float32) for _, matte in mattes) * unknown
            padded = np.pad(total, ((0, -len(total) % CELL), (0, -width % CELL)))
            parts.append(padded.reshape(len(padded) // CELL, CELL, -1, CELL).mean((1, 3)))
    assert sum(map(len, parts)) == -(-height // CELL)
    return np.concatenate(parts).astype(np.float32)


def most_different(difference: np.ndarray, *, size: int, number: int) -> list[tuple[int, int]]:
    """Top left corners of up to `number` squares where the difference is largest, best first, none over another."""
    height, width = difference.shape
    high, wide = min(size, height), min(size, width)
    left = difference.astype(np.float64)
    step = max(1, size // 16)
    ys = np.unique(np.append(np.arange(0, height - high, step), height - high))
    xs = np.unique(np.append(np.arange(0, width - wide, step), width - wide))
    found: list[tuple[int, int]] = []
    for _ in range(number):
        sums = cv2.integral(left, sdepth=cv2.CV_64F)
        total = sums[ys + high][:, xs + wide] - sums[ys][:, xs + wide] - sums[ys + high][:, xs] + sums[ys][:, xs]
        for y, x in found:  # squares that touch one that was taken
            total[np.ix_(np.abs(ys - y) < high, np.abs(xs - x) < wide)] = -1
        at = int(total.argmax())
        y, x = int(ys[at // len(xs)]), int(xs[at % len(xs)])
        if total.flat[at] <= 0:
            break
        found.append((y, x))
    return found


def _bands(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    with reader.open_picture(path) as opened:
        for y in range(0, opened.info.height, 64 * CELL):
            rows = reader.as_float(opened.rows(y, min(y + 64 * CELL, opened.info.height)))[..., 0]
            yield y, np.rint(255 * rows).astype(np.uint8)


def _sad(path: Path, truth: Path, trimap: Path) -> float:
    with open_trimap(trimap) as marks:
        known = marks.rows(0, marks.info.height)
    matte, wanted = (np.concatenate([rows for _, rows in _bands(one)]) for one in (path, truth))
    return metrics.sad(matte, wanted, known)


def _check_sizes(picture: Path, others: Sequence[Path]) -> None:
    with reader.open_picture(picture) as opened:
        wanted = opened.info.height, opened.info.width
    for path in others:
        with reader.open_picture(path) as opened:
            size = opened.info.height, opened.info.width
        if size != wanted:
            raise InputError(
                f"{path} is {size[1]}x{size[0]} but {picture} is {wanted[1]}x{wanted[0]} (width x height)",
                hint="All files of a picture must have its size.",
            )
