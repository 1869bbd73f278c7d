"""One pass over a trimap, its picture and its matte, that counts all that a check judges. Knows nothing of judgements.

    Survey      what is counted, and where
    survey      reads the three from top to bottom, some rows at a time

Memory: about 25 bytes a pixel of rows with 8 million pixels (200 MB), whatever the trimap's size; with a picture 40
more for the rows where foreground touches background.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.pictures.reader import BandReader, as_float, network_colours, single_channel
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN, TrimapReader
from hdmatt.trimaps.findings import PlaceCounter
from hdmatt.trimaps.small_regions import largest_small, small_regions
from hdmatt.trimaps.soft_edges import REACH, soft_contacts

_PIXELS = 8_000_000  # of the rows that are counted together, at least 128
_LEAST_ROWS = 128
_ABOVE = 32  # rows above those that are counted, which the first of them are judged by
_FAR = 0.3  # alpha beside a sure pixel that differs by more from what the pixel says
_OFF = 0.05  # alpha of a sure pixel itself


class _HeldRows(NamedTuple):
    """Rows top .. of a trimap, of which y0 .. y1-1 are counted."""

    trimap: UInt8[np.ndarray, "h w"]
    top: int
    y0: int
    y1: int

    @property
    def own(self) -> slice:
        return slice(self.y0 - self.top, self.y1 - self.top)


class Survey:
    """All counts of a trimap.

    Attributes:
        pixels: Of background, unknown and foreground.
        border: The same of the outermost pixels.
        top: The same of the first row.
        places: By name: "border" (unknown), "thin", "touching", "soft" (touching where the picture is soft),
            "pinholes", "islands" (in unknown), "specks" (of one known kind in the other), "contradicted".
        regions: Numbers of pinholes, islands and specks.
        least_width: Unknown parts narrower than this are thin.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.pixels, self.border, self.top = (np.zeros(3, np.int64) for _ in range(3))
        names = ("border", "thin", "touching", "soft", "pinholes", "islands", "specks", "contradicted")
        self.places = {name: PlaceCounter(height, width) for name in names}
        self.regions = {"pinholes": 0, "islands": 0, "specks": 0}
        self.least_width = 3 + 2 * round(float(np.hypot(height, width)) / 8000)
        self.largest_small = largest_small(height, width)

    def add(self, rows: _HeldRows, picture: BandReader | None, matte: BandReader | None) -> None:
        """Count the next rows."""
        own = rows.trimap[rows.own]
        self.pixels += [np.count_nonzero(own == value) for value in (BACKGROUND, UNKNOWN, FOREGROUND)]
        self._add_border(own, rows.y0)
        self._add_thin(rows)
        self._add_touching(rows, picture)
        self._add_regions(rows)
        if matte is not None:
            self._add_contradicted(rows, matte)

    def _add_border(self, own: np.ndarray, y0: int) -> None:
        border = np.zeros(own.shape, bool)
        border[:, [0, -1]] = True
        border[: 1 if y0 == 0 else 0] = True
        if y0 + len(own) == self.height:
            border[-1] = True
        ys, xs = np.nonzero(border)
        values = own[ys, xs]
        self.border += [np.count_nonzero(values == value) for value in (BACKGROUND, UNKNOWN, FOREGROUND)]
        if y0 == 0:
            self.top += [np.count_nonzero(own[0] == value) for value in (BACKGROUND, UNKNOWN, FOREGROUND)]
        unknown = values == UNKNOWN
        self.places["border"].add_points(ys[unknown], xs[unknown], y0)

    def _add_thin(self, rows: _HeldRows) -> None:
        unknown = (rows.trimap == UNKNOWN).astype(np.uint8)
        wide = cv2.morphologyEx(unknown, cv2.MORPH_OPEN, np.ones((self.least_width, self.least_width), np.uint8))
        self.places["thin"].add((unknown > wide)[rows.own], rows.y0)

    def _add_touching(self, rows: _HeldRows, picture: BandReader | None) -> None:
        first, last = rows.own.start, min(rows.own.stop + 1, len(rows.trimap))
        near = rows.trimap[first:last]
        below, beside = cv2.absdiff(near[1:], near[:-1]) == 255, cv2.absdiff(near[:, 1:], near[:, :-1]) == 255
        for contacts, along_y in ((below, True), (beside[: rows.y1 - rows.y0], False)):
            ys, xs = np.nonzero(contacts)
            self.places["touching"].add_points(ys, xs, rows.y0)
            if picture is not None and len(ys):
                top, bottom = rows.y0 + int(ys.min()), rows.y0 + int(ys.max()) + 1
                above, under = max(0, top - REACH), min(bottom + REACH + 1, self.height)
                colours = network_colours(picture.rows(above, under), picture.info.encoding)
                soft = soft_contacts(colours, ys + rows.y0 - above, xs, along_y=along_y)
                self.places["soft"].add_points(ys[soft], xs[soft], rows.y0)

    def _add_regions(self, rows: _HeldRows) -> None:
        found = small_regions(rows.trimap, first=rows.own.start, end=rows.own.stop, largest=self.largest_small)
        for value, around, ys, xs, regions in found:
            name = "pinholes" if value == UNKNOWN else "islands" if around == UNKNOWN else "specks"
            self.regions[name] += regions
            self.places[name].add_points(ys, xs, rows.top)

    def _add_contradicted(self, rows: _HeldRows, matte: BandReader) -> None:
        y0, y1 = max(0, rows.y0 - 1), min(rows.y1 + 1, self.height)
        alpha = _grey(matte, y0, y1)
        trimap = rows.trimap[y0 - rows.top : y1 - rows.top]
        around, wrong = np.ones((3, 3), np.uint8), np.zeros(trimap.shape, bool)
        for value, off in ((FOREGROUND, 1 - alpha), (BACKGROUND, alpha)):
            beside = cv2.dilate(np.where(trimap == UNKNOWN, off, np.float32(0)), around)
            wrong |= (trimap == value) & ((off > _OFF) | (beside > _FAR))
        self.places["contradicted"].add(wrong[rows.y0 - y0 : rows.y1 - y0], rows.y0)


def survey(trimap: TrimapReader, picture: BandReader | None, matte: BandReader | None) -> Survey:
    """Count all of a trimap; picture and matte have its size."""
    found = Survey(trimap.info.height, trimap.info.width)
    for rows in _held_rows(trimap, below=max(_ABOVE, found.largest_small)):
        found.add(rows, picture, matte)
    return found


def _held_rows(trimap: TrimapReader, *, below: int) -> Iterator[_HeldRows]:
    """The trimap from top to bottom, read once; what is counted together, with rows above it and below it."""
    height, width = trimap.info.height, trimap.info.width
    together = max(_LEAST_ROWS, _PIXELS // width)
    held, top, read = np.empty((0, width), np.uint8), 0, 0
    for y0 in range(0, height, together):
        y1 = min(y0 + together, height)
        above, end = max(0, y0 - _ABOVE), min(y1 + below, height)
        held = held[above - top :]
        if end > read:
            held = np.concatenate([held, trimap.rows(read, end)])
        top, read = above, max(read, end)
        yield _HeldRows(held, top, y0, y1)


def _grey(reader: BandReader, y0: int, y1: int) -> Float32[np.ndarray, "h w"]:
    name = str(reader.info.path or "the matte")
    return as_float(single_channel(reader.colours(y0, y1, 0, reader.info.width), y0, name, "a matte")).clip(0, 1)
