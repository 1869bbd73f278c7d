"""What is odd about a mask: told, never refused. Knows rows of a mask, and no files.

MaskDoubts       counts a mask while it is read, and says what is odd
looks_inverted   whether counts of a border look like a mask whose black and white are swapped
"""

import numpy as np
from jaxtyping import Int64, UInt8

from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN

_LITTLE = 0.001  # of the picture: a slip of the brush, or a number of another scale
_NEARLY_ALL = 0.98
_TOUCHES = 0.1  # of a side of the picture
_BORDER = 0.5  # of the border
_VALUES = (BACKGROUND, UNKNOWN, FOREGROUND)


def looks_inverted(border: Int64[np.ndarray, "3"], top: Int64[np.ndarray, "3"]) -> bool:
    """Whether the border of a mask or trimap is mostly foreground, in a way that an object's is not.

    A person leaves the picture below and at the sides, never above.

    Args:
        border: Background, unknown and foreground pixels of the outermost rows and columns.
        top: The same of the first row.
    """
    share = border / max(1, int(border.sum()))
    return bool(share[2] > _BORDER and (share[0] < 0.1 or top[2] > 0.95 * top.sum()))


class MaskDoubts:
    """Counts of a mask. Rows that are given again are not counted again."""

    def __init__(self, height: int, width: int) -> None:
        self.pixels = np.zeros(3, np.int64)  # background, unknown, foreground
        self._sides = {side: np.zeros(3, np.int64) for side in ("top", "bottom", "left", "right")}
        self._counted = np.zeros(height, bool)
        self._size = height, width

    def add(self, rows: UInt8[np.ndarray, "h w"], y0: int) -> None:
        """Rows y0 and on."""
        y1 = y0 + len(rows)
        new = rows[~self._counted[y0:y1]]
        self.pixels += _counts(new)
        self._sides["left"] += _counts(new[:, 0])
        self._sides["right"] += _counts(new[:, -1])
        for side, y in (("top", 0), ("bottom", self._size[0] - 1)):
            if y0 <= y < y1 and not self._counted[y]:
                self._sides[side] += _counts(rows[y - y0])
        self._counted[y0:y1] = True

    def text(self) -> str:
        """What is odd about the mask, as the end of a sentence that begins with its name; "" for nothing."""
        share = self.pixels[2] / max(1, int(self.pixels.sum()))
        if 0 < share < _LITTLE:
            return f"is white on {self.pixels[2]} of {self.pixels.sum()} pixels only: is it this picture's?"
        if _NEARLY_ALL < share < 1:
            return f"is white on {100 * share:.1f} % of the picture, so hardly any background is known"
        if looks_inverted(sum(self._sides.values(), np.zeros(3, np.int64)), self._sides["top"]):
            return "is mostly white along the picture's border: black and white may be swapped, white is the object"
        if all(counts[2] > _TOUCHES * counts.sum() for counts in self._sides.values()):
            return "reaches all four sides of the picture: black and white may be swapped, white is the object"
        return ""


def _counts(values: np.ndarray) -> Int64[np.ndarray, "3"]:
    return np.array([np.count_nonzero(values == value) for value in _VALUES], np.int64)
