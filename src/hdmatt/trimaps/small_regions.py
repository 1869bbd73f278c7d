"""Small regions of a trimap, found some rows at a time. Arrays only.

    largest_small    pixels of a small region at most, by the picture's size
    SmallRegions     of some rows: pinholes (unknown in known), and islands (known in anything else)
    small_regions    finds those whose top row is one of some rows

A region of at most N pixels is at most N rows high. So it lies whole in rows that reach N rows beyond those that its
top row may be one of, and no call needs to know of the others.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN

_NEIGHBOURS = [(-1, 0), (1, 0), (0, -1), (0, 1)]


class SmallRegions(NamedTuple):
    """Small regions of one kind: their pixels, row and column in the rows, with the number of the region."""

    value: int  # of the trimap
    around: int  # the only other value that touches them
    ys: np.ndarray
    xs: np.ndarray
    regions: int


def largest_small(height: int, width: int) -> int:
    """Pixels: 16 up to 0.8 megapixels, then 1 in 50000, at most 256."""
    return int(np.clip(height * width // 50_000, 16, 256))


def small_regions(trimap: UInt8[np.ndarray, "h w"], *, first: int, end: int, largest: int) -> Iterator[SmallRegions]:
    """The small regions whose topmost row is one of first .. end-1.

    Args:
        trimap: Rows of it: at least one more above `first` and `largest` more below `end`, as far as there are any.
    """
    for value in (UNKNOWN, FOREGROUND, BACKGROUND):
        mask = (trimap == value).astype(np.uint8)
        # unknown pixels belong together across a corner, too: a line of them is no row of pinholes
        connectivity = 8 if value == UNKNOWN else 4
        number, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
        tops = stats[:, cv2.CC_STAT_TOP]  # of what begins in the rows above, the top may lie still higher
        small = (stats[:, cv2.CC_STAT_AREA] <= largest) & (tops >= first) & (tops < end)
        small[0] = False
        if not small.any():
            continue
        ys, xs = np.nonzero(small[labels])
        own = labels[ys, xs]
        touched = _touched(trimap, ys, xs, own, number)
        touched.pop(value)
        for around in touched:
            alone = small & touched[around]
            for other in touched:
                if other != around:
                    alone &= ~touched[other]
            if alone.any():
                chosen = alone[own]
                yield SmallRegions(value, around, ys[chosen], xs[chosen], int(alone.sum()))


def _touched(trimap: np.ndarray, ys: np.ndarray, xs: np.ndarray, own: np.ndarray, number: int) -> dict[int, np.ndarray]:
    """For each value of a trimap, whether a region touches it."""
    height, width = trimap.shape
    touched = {value: np.zeros(number, bool) for value in (BACKGROUND, UNKNOWN, FOREGROUND)}
    for dy, dx in _NEIGHBOURS:
        y, x = ys + dy, xs + dx
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        values = trimap[y[inside], x[inside]]
        for value, found in touched.items():
            found[own[inside][values == value]] = True
    return touched
