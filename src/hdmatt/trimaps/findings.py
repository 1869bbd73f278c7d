"""Findings of a check of a trimap, and where they lie. Knows nothing of how they are found.

Place           a part of the picture where something was found
Finding         one thing that is wrong or odd, with its places and what to do
TrimapCheck     the trimap's size and shares, and all findings
PlaceCounter    pixels, some rows at a time -> the places where most of them are
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool

Severity = Literal["warning", "note"]

MOST_PLACES = 20  # of a finding
_CELLS = 128  # along the longer side
_BLOCK = 8  # cells along a side of the block whose pixels become one place


@dataclass(frozen=True)
class Place:
    """A box of the picture: rows y0 .. y1-1, columns x0 .. x1-1.

    Attributes:
        count: Pixels of the finding in it.
    """

    y0: int
    x0: int
    y1: int
    x1: int
    count: int


@dataclass(frozen=True)
class Finding:
    """One problem of a trimap.

    Attributes:
        name: A word that stays the same from version to version, such as "pinholes".
        severity: "warning" for what most likely spoils the matte, "note" for what may be meant so.
        message: What was found.
        advice: One thing to do about it.
        count: Pixels.
        share: Of what the message names, 0 to 1.
        places: Where, the one with the most pixels first; at most 20.
    """

    name: str
    severity: Severity
    message: str
    advice: str
    count: int = 0
    share: float = 0.0
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class TrimapCheck:
    """All findings of a check of a trimap.

    Attributes:
        width, height: Pixels.
        background_share, unknown_share, foreground_share: Of all pixels; their sum is 1.
        findings: Warnings first. Empty: nothing was found.
    """

    width: int
    height: int
    background_share: float
    unknown_share: float
    foreground_share: float
    findings: tuple[Finding, ...]

    def warnings(self) -> tuple[Finding, ...]:
        """The findings that most likely spoil the matte."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")


class PlaceCounter:
    """Counts pixels of a picture by cells, and gives the boxes that hold most of them."""

    def __init__(self, height: int, width: int) -> None:
        self._size = (height, width)
        self._cell = max(1, -(-max(height, width) // _CELLS))
        self._grid = np.zeros((-(-height // self._cell), -(-width // self._cell)), np.int64)
        self.count = 0

    def add(self, pixels: Bool[np.ndarray, "h w"], y0: int) -> None:
        """Pixels of the rows from y0 on."""
        ys, xs = np.nonzero(pixels)
        self.add_points(ys, xs, y0)

    def add_points(self, ys: np.ndarray, xs: np.ndarray, y0: int = 0) -> None:
        """Pixels by row (counted from y0) and column."""
        columns = self._grid.shape[1]
        cells = (ys + y0) // self._cell * columns + xs // self._cell
        self._grid += np.bincount(cells, minlength=self._grid.size).reshape(self._grid.shape)
        self.count += len(ys)

    def places(self) -> tuple[Place, ...]:
        """Boxes to the precision of a cell (a 128th of the longer side), at most 20, the fullest first."""
        found: list[Place] = []
        for top in range(0, self._grid.shape[0], _BLOCK):
            for left in range(0, self._grid.shape[1], _BLOCK):
                block = self._grid[top : top + _BLOCK, left : left + _BLOCK]
                rows, columns = np.nonzero(block)
                if len(rows):
                    y0, y1 = ((top + int(row)) * self._cell for row in (rows.min(), rows.max() + 1))
                    x0, x1 = ((left + int(column)) * self._cell for column in (columns.min(), columns.max() + 1))
                    height, width = self._size
                    found.append(Place(y0, x0, min(y1, height), min(x1, width), int(block.sum())))
        return tuple(sorted(found, key=lambda place: (-place.count, place.y0, place.x0))[:MOST_PLACES])
