"""What the matte of a smaller picture knows of a large one's: its coarse structure.

A patch of 320 pixels sees two fifths of a photograph of 800 pixels, and a twentieth of one of 6000. What is wire and
what is hole, what is hair and what is the wall behind it, shows in the smaller picture; how a strand's edge runs shows
in the large one. So a large picture is matted small first, and every patch's alpha takes its low frequencies from
both. Arrays only; inference/run.py corrects its patches by it, inference/strategies.py makes it. Top to bottom:

    shrink_by     how much smaller the smaller picture is; 1: there is none
    bytes_of      the memory that it takes
    smaller       rows of picture and trimap -> the smaller ones, read once
    Guide         the smaller picture's matte, and `corrected`
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.overview.shrink import Shrinker
from hdmatt.patches.windows import Window
from hdmatt.pictures.trimap import FOREGROUND, UNKNOWN

LONG_SIDE = 1500  # pixels of the smaller picture, about: research/log.md has what larger ones cost
LARGE = 1.2  # times that, and a picture has a smaller one
SHORT_SIDE = 64  # pixels of the smaller picture, at least
REACH = 1.0  # its pixels: deviation of the Gaussian that divides low frequencies from details
TRUST = 8  # power of a certainty: the weight of a matte that is certain 0.9 of the way is 0.43
FAINT = 0.05  # what is added to such a weight, so that two mattes that are grey count alike


def shrink_by(height: int, width: int) -> int:
    """Pixels of the picture along a side to one of the smaller picture; 1 up to 1800 pixels, and for strips."""
    side = max(height, width)
    step = max(2, round(side / LONG_SIDE))
    return step if side > LARGE * LONG_SIDE and min(height, width) >= SHORT_SIDE * step else 1


class Bytes(NamedTuple):
    """What the smaller picture takes: while it is made, while it and its matte are there, and of that its matte."""

    making: int
    kept: int
    matte: int


def bytes_of(height: int, width: int) -> Bytes:
    """Five float32 sums a pixel, once more joined, colours and marks; then 16-bit colours, marks, and alpha.

    What the bands take from which it is made is the caller's.
    """
    step = shrink_by(height, width)
    pixels = -(-height // step) * -(-width // step)
    return Bytes(60 * pixels, 11 * pixels, 4 * pixels)


def smaller(
    bands: Iterable[tuple[Float32[np.ndarray, "_ w 3"], UInt8[np.ndarray, "_ w"]]], step: int
) -> tuple[Float32[np.ndarray, "y x 3"], UInt8[np.ndarray, "y x"]]:
    """Means of squares of `step` pixels; a square's trimap is known where all of its pixels agree.

    Args:
        bands: Rows of the picture, display-encoded in [0, 1], and of its trimap, from top to bottom.
    """
    shrinker = Shrinker(step)
    for colours, marks in bands:
        shrinker.add(colours, marks)
    return shrinker.picture()


@dataclass(frozen=True)
class Guide:
    """The matte of the smaller picture, and how much smaller that is."""

    alpha: Float32[np.ndarray, "h w"]
    step: int

    def corrected(
        self, window: Window, alpha: Float32[np.ndarray, "p p"], trimap: UInt8[np.ndarray, "p p"]
    ) -> Float32[np.ndarray, "p p"]:
        """The patch's alpha, its low frequencies a mean of its own and the smaller picture's; not clipped to [0, 1].

        The mean is weighted by powers of how certain the two are around a pixel, the local mean of |2 alpha - 1|. An
        unknown pixel stays between its own alpha and the other's with its own details, so that what is mended beside
        it does not spread to it as a veil.

        Args:
            window: Where the patch lies; it may reach past the border (the nearest pixel then counts).
            alpha: Of the network; its known pixels do not matter.
            trimap: 0, 128, 255.
        """
        centre = np.arange(window.size, dtype=np.float32) + np.float32(0.5)
        rows, columns = ((first + centre) / np.float32(self.step) - np.float32(0.5) for first in (window.y, window.x))
        x, y = np.meshgrid(columns, rows)
        coarse = cv2.remap(self.alpha, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        known, sure = trimap != UNKNOWN, (trimap == FOREGROUND).astype(np.float32)
        own, coarse = (np.where(known, sure, map_) for map_ in (alpha, coarse))
        trust, other = (
            _blurred(np.abs(2 * map_ - 1), 2 * REACH * self.step) ** TRUST + FAINT for map_ in (coarse, own)
        )
        low, other_low = (_blurred(map_, REACH * self.step) for map_ in (own, coarse))
        mended = own + trust / (trust + other) * (other_low - low)
        limit = coarse + (own - low)
        mended = np.clip(mended, np.minimum(own, limit), np.maximum(own, limit))
        return np.where(known, sure, mended).astype(np.float32)


def _blurred(map_: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(map_.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
