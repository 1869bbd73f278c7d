"""Bands of rows -> patches: everything the network and the stitcher need, from top to bottom of the picture.

cut_picture          patches to decode, and rows that are known
cut_row              the windows of one row, a batch at a time
read_known_colours   the known colours of the whole picture
RowBand, PatchPixels a sliding band of rows; the pixels of windows
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.inference import needs
from hdmatt.inference.options import Counters, Plan, Rows
from hdmatt.inference.threads import prefetch
from hdmatt.overview.known_colours import ColourField, FieldBuilder, alpha_step, cell_size
from hdmatt.patches.windows import Window, cut, rows_of
from hdmatt.pictures.reader import PictureReader, network_colours

FINISHED_ROWS = needs.BAND  # rows handed out at a time, at most


class KnownRows(NamedTuple):
    """Rows that no patch to come will touch."""

    first: int
    marks: np.ndarray  # of the trimap


class CutPatches(NamedTuple):
    """Some windows as the network will see them, but still arrays."""

    windows: Sequence[Window]
    colours: Float32[np.ndarray, "b p p 3"]  # display-encoded
    marks: UInt8[np.ndarray, "b p p"]
    around: Float32[np.ndarray, "b n n 82"] | None

    def arrays(self) -> list[np.ndarray]:
        return [self.colours, self.marks, *([] if self.around is None else [self.around])]


class RowBand:
    """The rows that neighbouring windows share are read once; rows above the band are dropped."""

    def __init__(self, source: Rows, band: int) -> None:
        self._source, self._band = source, band
        self._first, self._held = 0, None
        self.read = 0

    def rows(self, y0: int, y1: int) -> np.ndarray:
        """Rows y0 .. y1 - 1; y0 never decreases from call to call."""
        height = self._source.info.height
        held = self._held
        end = self._first + (0 if held is None else len(held))
        if held is not None and y0 < end:
            held = held[y0 - self._first :]
        else:
            held, end = None, y0
        self._first = y0
        if end < y1:
            new = self._source.rows(end, min(max(y1, end + self._band), height))
            self.read += len(new)
            held = new if held is None else np.concatenate([held, new])
        self._held = held
        assert held is not None
        return held[: y1 - y0]


class PatchPixels:
    """Windows of the picture, in the order of their rows; of a tiled file only the tiles that they touch."""

    def __init__(self, picture: Rows, plan: Plan) -> None:
        self._picture, self._height = picture, plan.height
        self._band = RowBand(picture, plan.options.band)
        self._tiled = isinstance(picture, PictureReader) and picture.tiled and plan.width >= plan.options.patch

    def cut(self, window: Window) -> np.ndarray:
        top, bottom = rows_of(window, self._height)
        if self._tiled:
            assert isinstance(self._picture, PictureReader)
            piece = self._picture.window(top, bottom, window.x, window.x + window.size)
            return cut(piece, window._replace(x=0), first_row=top, height=self._height)
        return cut(self._band.rows(top, bottom), window, first_row=top, height=self._height)

    @property
    def rows_read(self) -> int:
        return self._band.read


def read_known_colours(picture: Rows, trimap: Rows, counters: Counters) -> ColourField:
    """The known colours of the whole picture, on cells of 32 pixels or more."""
    info = picture.info
    builder = FieldBuilder(cell_size(info.height, info.width), alpha_step(info.height, info.width))

    def bands() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for y in range(0, info.height, builder.cell):
            y1 = min(y + builder.cell, info.height)
            yield network_colours(picture.rows(y, y1), linear=info.linear), trimap.rows(y, y1)

    for colours, marks in prefetch(bands()):
        builder.add(colours, marks)
    counters.rows_read += info.height
    return builder.build()


def cut_picture(
    plan: Plan, picture: Rows, trimap: Rows, field: ColourField | None, counters: Counters
) -> Iterator[KnownRows | CutPatches]:
    """All that the network and the stitcher need, top to bottom: patches to decode, and rows that are finished."""
    marks, pixels = RowBand(trimap, plan.options.band), PatchPixels(picture, plan)
    first = 0
    for y, row in groupby(plan.queries, key=lambda w: w.y):
        yield from _known_rows(marks, first, max(first, y))
        first = max(first, y)
        yield from cut_row(plan, list(row), pixels, marks, field, linear=picture.info.linear)
    yield from _known_rows(marks, first, plan.height)
    counters.rows_read += pixels.rows_read


def cut_row(
    plan: Plan, row: Sequence[Window], pixels: PatchPixels, marks: RowBand, field: ColourField | None, *, linear: bool
) -> Iterator[CutPatches]:
    """The windows of one row, cut out, a batch at a time."""
    top, bottom = rows_of(row[0], plan.height)
    band, size = marks.rows(top, bottom), plan.options.patch
    for windows in _chunks(row, plan.batch):
        colours = np.stack([network_colours(pixels.cut(w), linear=linear) for w in windows])
        trimap = np.stack([cut(band, w, first_row=top, height=plan.height) for w in windows])
        around = np.stack([field.around(w.y, w.x, size=size, patch=size) for w in windows]) if field else None
        yield CutPatches(windows, colours, trimap, around)


def _known_rows(marks: RowBand, first: int, end: int) -> Iterator[KnownRows]:
    for y0 in range(first, end, FINISHED_ROWS):
        yield KnownRows(y0, marks.rows(y0, min(y0 + FINISHED_ROWS, end)))


def _chunks(windows: Sequence[Window], size: int) -> list[Sequence[Window]]:
    return [windows[i : i + size] for i in range(0, len(windows), size)]
