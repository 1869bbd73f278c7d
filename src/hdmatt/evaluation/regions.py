"""The regions that a report shows at 100 %: where the methods are worst, at one place of a picture for all of them.

Knows rows and the files behind them; nothing of methods and of the page (evaluation/report.py). Read top to bottom:

    worst_regions    the regions, each with picture, truth, and matte and error of every method that has one
    chosen           which pictures are shown: those on which some method is worst
    _region          one of them, cut out
    _corner          where the sum of all methods' errors is largest
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.evaluation.items import open_item, read_bytes, read_marks, require_path
from hdmatt.evaluation.ledger import ScoreRow
from hdmatt.evaluation.report import Region, RegionPicture
from hdmatt.evaluation.testsets import Item
from hdmatt.pictures import reader
from hdmatt.pictures.trimap import UNKNOWN

SIDE = 224  # pixels, sides of a region
SMALLEST_SIDE = 28
PICTURES_EACH = 3  # per method
MOST_BYTES = 7_000_000  # of all regions, before base64 makes them a third larger


class CropPlace(NamedTuple):
    """A picture with one of its trimaps."""

    dataset: str
    variant: str
    name: str


def worst_regions(rows: Sequence[ScoreRow], items: Mapping[str, Sequence[Item]], out: Path) -> Iterator[Region]:
    """Regions of the chosen pictures, all together within MOST_BYTES.

    The worst picture of each method is always shown: its region is made smaller until it fits its share of the bytes
    that are left. Other pictures follow while they fit at full size.
    """
    found = {CropPlace(d, i.variant, i.name): i for d, some in items.items() for i in some}
    there = [r for r in rows if r.mad is not None and r.matte is not None and (out / r.matte).is_file()]
    methods = list(dict.fromkeys(row.method for row in rows))
    places, left = chosen(there), MOST_BYTES
    firsts = sum(places.values())
    for number, (place, first) in enumerate(places.items()):
        share = left // ((firsts if first else len(places)) - number)
        mattes = {row.method: out / str(row.matte) for row in there if _place(row) == place}
        side = SIDE
        while True:
            region = _region(place, found[place], {m: mattes[m] for m in methods if m in mattes}, methods, side)
            size = sum(len(one.data) for one in region.pictures)
            if size <= share or not first or side <= SMALLEST_SIDE:
                break
            side //= 2
        if size > share and not first:
            break
        left -= size
        yield region


def chosen(rows: Sequence[ScoreRow]) -> dict[CropPlace, bool]:
    """The pictures that are shown -> whether it is the worst of some method; those come first.

    Of each method the PICTURES_EACH with the largest MAD, each picture once, with its worst trimap.
    """
    ranked: list[list[CropPlace]] = [[] for _ in range(PICTURES_EACH)]
    for method in dict.fromkeys(row.method for row in rows):
        worst: dict[tuple[str, str], ScoreRow] = {}
        for row in sorted((row for row in rows if row.method == method), key=lambda row: -(row.mad or 0)):
            worst.setdefault((row.dataset, row.name), row)
        for rank, row in zip(ranked, worst.values(), strict=False):
            rank.append(_place(row))
    places: dict[CropPlace, bool] = {}
    for number, rank in enumerate(ranked):
        for place in rank:
            places.setdefault(place, number == 0)
    return places


def _place(row: ScoreRow) -> CropPlace:
    return CropPlace(row.dataset, row.variant, row.name)


def _region(place: CropPlace, item: Item, mattes: Mapping[str, Path], methods: Sequence[str], side: int) -> Region:
    """One place of the picture; a method without a matte of it is named as missing."""
    truth, unknown = read_bytes(require_path(item.alpha)), read_marks(require_path(item.trimap)) == UNKNOWN
    errors = np.zeros(truth.shape, np.float32)
    for path in mattes.values():  # one at a time: pictures may be large, and methods many
        errors += _error(read_bytes(path), truth, unknown)
    y0, x0 = _corner(errors, side)
    y1, x1 = min(y0 + side, truth.shape[0]), min(x0 + side, truth.shape[1])
    here = slice(y0, y1), slice(x0, x1)
    with open_item(item) as picture:
        colours = reader.network_colours(picture.window(y0, y1, x0, x1), picture.info.encoding)
    photo = cv2.imencode(".jpg", np.rint(colours[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 88])
    pictures = [RegionPicture("", "picture", "jpeg", photo[1].tobytes()), _png("", "truth", truth[here])]
    for method, path in mattes.items():
        matte = read_bytes(path)[here]
        error = cv2.applyColorMap(_error(matte, truth[here], unknown[here]), cv2.COLORMAP_INFERNO)
        pictures += [_png(method, "matte", matte), _png(method, "error", error)]
    missing = tuple(method for method in methods if method not in mattes)
    return Region(*place, (y0, x0), tuple(pictures), missing)


def _png(method: str, what: str, pixels: UInt8[np.ndarray, "h w *c"]) -> RegionPicture:
    return RegionPicture(method, what, "png", cv2.imencode(".png", pixels)[1].tobytes())


def _error(
    matte: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"], unknown: np.ndarray
) -> UInt8[np.ndarray, "h w"]:
    return cv2.absdiff(matte, truth) * unknown.astype(np.uint8)


def _corner(errors: Float32[np.ndarray, "h w"], side: int) -> tuple[int, int]:
    """Top left corner of the region with the largest sum of errors, on a raster of 16 pixels."""
    height, width = errors.shape
    sums = cv2.integral(errors, sdepth=cv2.CV_64F)
    ys = np.unique(np.minimum(np.arange(0, height, 16), max(0, height - side)))
    xs = np.unique(np.minimum(np.arange(0, width, 16), max(0, width - side)))
    bottom, right = np.minimum(ys + side, height), np.minimum(xs + side, width)
    total = sums[bottom][:, right] - sums[ys][:, right] - sums[bottom][:, xs] + sums[ys][:, xs]
    y, x = np.unravel_index(int(total.argmax()), total.shape)
    return int(ys[y]), int(xs[x])
