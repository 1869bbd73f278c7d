"""Masks by rows: 255 surely inside, 0 surely outside, 128 where the mask is soft. Knows no files and no pictures.

A grey mask is 255 where it is at least 95 % white, 0 where it is at most 5 %, else 128: a soft edge, hair of a matte,
the steps of a small mask that was enlarged. Read top to bottom:

    MaskRows        what a mask offers
    three_values    any grey values -> 0, 128 and 255
    WholeMask       the rows of an array
    EnlargedMask    the rows of a small mask at the picture's size
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from hdmatt.pictures.info import WHITE
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN

ROWS = 256  # of a picture, mask or trimap that are read together
SURE = 0.05  # of white: how far a sure pixel may be from black or white; JPEG's ripples stay below it


@runtime_checkable
class MaskRows(Protocol):
    """A mask by rows: 255 surely inside, 0 surely outside, 128 where the mask itself is soft."""

    height: int
    width: int

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]: ...


def three_values(values: Shaped[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """A mask's grey values as 255 (95 % of white and more), 0 (5 % and less) and 128 (between).

    Args:
        values: bool, uint8, uint16, or float (1 is white).
    """
    if values.dtype == np.bool_:
        return np.where(values, np.uint8(FOREGROUND), np.uint8(BACKGROUND))
    white = WHITE.get(values.dtype.name, 1)
    mask = np.full(values.shape, UNKNOWN, np.uint8)
    mask[values <= SURE * white] = BACKGROUND
    mask[values >= (1 - SURE) * white] = FOREGROUND
    return mask


class WholeMask:
    """The rows of a mask that is held as an array of 0, 128 and 255."""

    def __init__(self, mask: UInt8[np.ndarray, "h w"]) -> None:
        self._mask = mask
        self.height, self.width = mask.shape

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        return self._mask[y0:y1]


class EnlargedMask:
    """The rows of a small mask at the size of its picture, linear between its pixels.

    Args:
        small: In [0, 1].
        height: Of the picture.
        width: Of the picture.
        step: Pixels of the picture to one of `small`, along y and along x.
    """

    def __init__(
        self, small: Float32[np.ndarray, "_ _"], *, height: int, width: int, step: tuple[float, float]
    ) -> None:
        self._small, self._step = small, step
        self.height, self.width = height, width

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        at_y, at_x = (
            ((np.arange(*span, dtype=np.float32) + np.float32(0.5)) / np.float32(step) - np.float32(0.5))
            for span, step in zip(((y0, y1), (0, self.width)), self._step, strict=True)
        )
        # first along x where few rows of the small mask are touched; cv2.remap ends at 32767 columns
        rows, columns = (_between(at, length) for at, length in zip((at_y, at_x), self._small.shape, strict=True))
        upper, lower = (self._small[index] for index in rows[:2])
        share = rows[2][:, None]
        narrow = upper * (1 - share) + lower * share
        left, right, part = columns
        return three_values(narrow[:, left] * (1 - part) + narrow[:, right] * part)


def _between(at: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two neighbours of each place, and the share of the second."""
    first = np.floor(at).astype(np.int64)
    share = (at - first).astype(np.float32)
    return first.clip(0, length - 1), (first + 1).clip(0, length - 1), share
