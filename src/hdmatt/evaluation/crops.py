"""The regions that a report shows: where the methods are worst, at one place of a picture for all of them.

Knows rows and the files behind them; nothing of methods and of the page (evaluation/report.py). Read top to bottom:

    crops     the regions, each with picture, truth, and matte and error of every method that has one
    chosen    which pictures: those on which any method is worst
    _crop     one of them, cut out
    _corner   where the methods together are most wrong
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.evaluation import report
from hdmatt.evaluation.items import open_item, read_bytes, read_marks, require_path
from hdmatt.evaluation.ledger import Row
from hdmatt.evaluation.testsets import Item
from hdmatt.pictures import reader
from hdmatt.pictures.trimap import UNKNOWN

CROP = 224  # pixels, sides of a crop
SMALLEST_CROP = 28
CROPS_EACH = 3  # pictures per method
CROPS_BYTES = 7_000_000  # of all crops, before base64 makes them a third larger


class Place(NamedTuple):
    """A picture with one of its trimaps."""

    dataset: str
    variant: str
    name: str


def crops(rows: Sequence[Row], items: Mapping[str, Sequence[Item]], out: Path) -> Iterator[report.Crop]:
    """Crops of the chosen pictures, all together within CROPS_BYTES.

    Those on which a method is worst of all are cut smaller until they fit into their share of what is left, so that
    every method has one; the others are shown as long as they fit as they are.
    """
    found = {Place(d, i.variant, i.name): i for d, some in items.items() for i in some}
    there = [r for r in rows if r.mad is not None and r.matte is not None and (out / r.matte).is_file()]
    methods = list(dict.fromkeys(row.method for row in rows))
    places, room = chosen(there), CROPS_BYTES
    firsts = sum(places.values())
    for number, (place, first) in enumerate(places.items()):
        share = room // ((firsts if first else len(places)) - number)
        mattes = {row.method: out / str(row.matte) for row in there if _place(row) == place}
        side = CROP
        while True:
            crop = _crop(place, found[place], {m: mattes[m] for m in methods if m in mattes}, methods, side)
            size = sum(len(shown.data) for shown in crop.pictures)
            if size <= share or not first or side <= SMALLEST_CROP:
                break
            side //= 2
        if size > share and not first:
            break
        room -= size
        yield crop


def chosen(rows: Sequence[Row]) -> dict[Place, bool]:
    """The pictures that are shown -> whether one is the worst of some method; those come first.

    Of each method the CROPS_EACH with the largest MAD, a picture once with its worst trimap.
    """
    ranked: list[list[Place]] = [[] for _ in range(CROPS_EACH)]
    for method in dict.fromkeys(row.method for row in rows):
        worst: dict[tuple[str, str], Row] = {}
        for row in sorted((row for row in rows if row.method == method), key=lambda row: -(row.mad or 0)):
            worst.setdefault((row.dataset, row.name), row)
        for rank, row in zip(ranked, worst.values(), strict=False):
            rank.append(_place(row))
    places: dict[Place, bool] = {}
    for number, rank in enumerate(ranked):
        for place in rank:
            places.setdefault(place, number == 0)
    return places


def _place(row: Row) -> Place:
    return Place(row.dataset, row.variant, row.name)


def _crop(place: Place, item: Item, mattes: Mapping[str, Path], methods: Sequence[str], side: int) -> report.Crop:
    """One place of the picture; a method without a matte of it is named as missing."""
    truth, unknown = read_bytes(require_path(item.alpha)), read_marks(require_path(item.trimap)) == UNKNOWN
    errors = np.zeros(truth.shape, np.float32)
    for path in mattes.values():  # one at a time: pictures may be large, and methods many
        errors += _error(read_bytes(path), truth, unknown)
    y0, x0 = _corner(errors, side)
    y1, x1 = min(y0 + side, truth.shape[0]), min(x0 + side, truth.shape[1])
    here = slice(y0, y1), slice(x0, x1)
    with open_item(item) as picture:
        colours = reader.network_colours(picture.window(y0, y1, x0, x1), linear=picture.info.linear)
    photo = cv2.imencode(".jpg", np.rint(colours[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 88])
    pictures = [report.Shown("", "picture", "jpeg", photo[1].tobytes()), _png("", "truth", truth[here])]
    for method, path in mattes.items():
        matte = read_bytes(path)[here]
        error = cv2.applyColorMap(_error(matte, truth[here], unknown[here]), cv2.COLORMAP_INFERNO)
        pictures += [_png(method, "matte", matte), _png(method, "error", error)]
    missing = tuple(method for method in methods if method not in mattes)
    return report.Crop(*place, (y0, x0), tuple(pictures), missing)


def _png(method: str, what: str, pixels: UInt8[np.ndarray, "h w *c"]) -> report.Shown:
    return report.Shown(method, what, "png", cv2.imencode(".png", pixels)[1].tobytes())


def _error(
    matte: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"], unknown: np.ndarray
) -> UInt8[np.ndarray, "h w"]:
    return cv2.absdiff(matte, truth) * unknown.astype(np.uint8)


def _corner(errors: Float32[np.ndarray, "h w"], side: int) -> tuple[int, int]:
    """Top left corner of the crop with the largest sum of errors, on a raster of 16 pixels."""
    height, width = errors.shape
    sums = cv2.integral(errors, sdepth=cv2.CV_64F)
    ys = np.unique(np.minimum(np.arange(0, height, 16), max(0, height - side)))
    xs = np.unique(np.minimum(np.arange(0, width, 16), max(0, width - side)))
    bottom, right = np.minimum(ys + side, height), np.minimum(xs + side, width)
    total = sums[bottom][:, right] - sums[ys][:, right] - sums[bottom][:, xs] + sums[ys][:, xs]
    y, x = np.unravel_index(int(total.argmax()), total.shape)
    return int(ys[y]), int(xs[x])
