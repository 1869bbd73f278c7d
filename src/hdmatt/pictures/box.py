"""A rectangle of a picture."""

from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """Rows y0 to y1 - 1 and columns x0 to x1 - 1 of a picture, in pixels."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def empty(self) -> bool:
        """Whether no pixel is inside."""
        return self.y0 >= self.y1 or self.x0 >= self.x1

    def columns(self, rows: np.ndarray) -> np.ndarray:
        """Its columns of whole rows."""
        return rows[:, self.x0 : self.x1]

    def clipped(self, height: int, width: int) -> "Box":
        """The part inside of a picture of this size."""
        return Box(max(self.y0, 0), max(self.x0, 0), min(self.y1, height), min(self.x1, width))

    def joined(self, other: "Box") -> "Box":
        """The smallest box around both."""
        if self.empty or other.empty:
            return other if self.empty else self
        return Box(min(self.y0, other.y0), min(self.x0, other.x0), max(self.y1, other.y1), max(self.x1, other.x1))

    def grown(self, by: int) -> "Box":
        """The box with a margin on all sides; it may leave the picture."""
        return Box(self.y0 - by, self.x0 - by, self.y1 + by, self.x1 + by)
