"""Patches cut out of bands of rows, from top to bottom of the picture.

Knows readers of rows and windows; nothing of networks. Read top to bottom:

    KnownRows, CutPatches    the pieces of a picture: rows that are finished, patches for the network
    RowBand                  a sliding band of rows, each read once
    PatchPixels              the pixels of windows
    read_known_colours       the known colours of the whole picture, in a pass of their own
    cut_picture              all pieces of a picture, in the order of its rows
    cut_row                  the windows of one row, a batch at a time
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.inference import needs
from hdmatt.inference.mixing import MixedRows
from hdmatt.inference.options import Counters, Plan, RowSource
from hdmatt.inference.threads import prefetch
from hdmatt.overview.known_colours import KnownColours, KnownColoursBuilder, alpha_step, cell_size
from hdmatt.patches.windows import Window, cut, rows_of
from hdmatt.pictures.colours.encoding import Encoding
from hdmatt.pictures.reader import PictureReader, network_colours

FINISHED_ROWS = needs.BAND  # rows handed out at a time, at most


class KnownRows(NamedTuple):
    """Rows of the trimap that no later patch will touch."""

    first: int
    trimap: np.ndarray


class CutPatches(NamedTuple):
    """A batch of patches as arrays: of each window the plan's part."""

    windows: Sequence[Window]
    colours: Float32[np.ndarray, "b h w 3"]  # display-encoded
    trimaps: UInt8[np.ndarray, "b h w"]
    surroundings: Float32[np.ndarray, "b m n 82"] | None

    def arrays(self) -> list[np.ndarray]:
        """All arrays, in the order in which `uploaded_inputs` takes them."""
        return [self.colours, self.trimaps, *([] if self.surroundings is None else [self.surroundings])]


class RowBand:
    """A sliding band of rows: rows that neighbouring windows share are read once, rows above the band are dropped."""

    def __init__(self, source: RowSource, band: int) -> None:
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
    """Pixels of windows, from top to bottom; of a tiled file only the tiles that they touch are read."""

    def __init__(self, picture: RowSource, plan: Plan) -> None:
        self._picture, self._height = picture, plan.height
        self._band = RowBand(picture, plan.options.band)
        tiled = isinstance(picture, PictureReader | MixedRows) and picture.tiled
        self._tiled = tiled and plan.width >= plan.options.patch

    def cut(self, window: Window) -> np.ndarray:
        top, bottom = rows_of(window, self._height)
        if self._tiled:
            assert isinstance(self._picture, PictureReader | MixedRows)
            piece = self._picture.window(top, bottom, window.x, window.x + window.size)
            return cut(piece, window._replace(x=0), first_row=top, height=self._height)
        return cut(self._band.rows(top, bottom), window, first_row=top, height=self._height)

    @property
    def rows_read(self) -> int:
        return self._band.read


def read_known_colours(picture: RowSource, trimap: RowSource, counters: Counters) -> KnownColours:
    """The known colours of the whole picture; reads picture and trimap once."""
    info = picture.info
    builder = KnownColoursBuilder(cell_size(info.height, info.width), alpha_step(info.height, info.width))

    def bands() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for y in range(0, info.height, builder.cell):
            y1 = min(y + builder.cell, info.height)
            yield network_colours(picture.rows(y, y1), info.encoding), trimap.rows(y, y1)

    for colours, marks in prefetch(bands()):
        builder.add(colours, marks)
    counters.rows_read += info.height
    return builder.build()


def cut_picture(
    plan: Plan, picture: RowSource, trimap: RowSource, known_colours: KnownColours | None, counters: Counters
) -> Iterator[KnownRows | CutPatches]:
    """All pieces of a picture, top to bottom: patches to decode, and rows that are finished."""
    marks, pixels = RowBand(trimap, plan.options.band), PatchPixels(picture, plan)
    first = 0
    for y, row in groupby(plan.queries, key=lambda w: w.y):
        yield from _known_rows(marks, first, max(first, y))
        first = max(first, y)
        yield from cut_row(plan, list(row), pixels, marks, known_colours, picture.info.encoding)
    yield from _known_rows(marks, first, plan.height)
    counters.rows_read += pixels.rows_read


def cut_row(
    plan: Plan,
    row: Sequence[Window],
    pixels: PatchPixels,
    trimap: RowBand,
    known_colours: KnownColours | None,
    encoding: Encoding,
) -> Iterator[CutPatches]:
    """The windows of one row, cut out, a batch at a time."""
    top, bottom = rows_of(row[0], plan.height)
    band, size, inside = trimap.rows(top, bottom), plan.options.patch, plan.part.inside
    for start in range(0, len(row), plan.batch):
        windows = row[start : start + plan.batch]
        colours = np.stack([network_colours(pixels.cut(w)[inside], encoding) for w in windows])
        trimaps = np.stack([cut(band, w, first_row=top, height=plan.height)[inside] for w in windows])
        surroundings = None
        if known_colours:
            around = [known_colours.surroundings(w.y, w.x, size=size, patch=size) for w in windows]
            surroundings = np.stack([one[plan.part.blocks] for one in around])
        yield CutPatches(windows, colours, trimaps, surroundings)


def _known_rows(trimap: RowBand, first: int, end: int) -> Iterator[KnownRows]:
    for y0 in range(first, end, FINISHED_ROWS):
        yield KnownRows(y0, trimap.rows(y0, min(y0 + FINISHED_ROWS, end)))
