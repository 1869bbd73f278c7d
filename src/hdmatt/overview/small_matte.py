"""The matte of the smaller picture: low frequencies of alpha for the patches of a large one.

A patch of 320 pixels shows two fifths of the width of a photograph of 800 pixels, but a twentieth of one of 6000. The
smaller picture shows which parts are wire and which are holes, and where hair ends and the wall behind it begins; the
large picture shows the edges of single strands. So a large picture is matted at reduced size first, and the low
frequencies of every patch's alpha become a mean of its own and the smaller matte's.

Arrays only; inference/small_first.py makes the smaller matte, inference/run.py corrects the patches. Top to bottom:

    shrink_factor    how many pixels of the picture one of the smaller picture stands for; 1: there is none
    small_picture    rows of picture and trimap -> the smaller ones, in one pass
    SmallMatte       the smaller picture's matte, and `corrected`
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.overview.shrink import Shrinker
from hdmatt.patches.windows import Window
from hdmatt.pictures.trimap import FOREGROUND, UNKNOWN

LONG_SIDE = 1500  # pixels of the smaller picture's longer side, about (larger ones: research/log.md)
LARGE = 1.2  # a picture whose longer side is more than this times LONG_SIDE has a smaller one
SHORT_SIDE = 64  # pixels of the smaller picture's shorter side, at least
SIGMA = 1.0  # its pixels: deviation of the Gaussian that separates low frequencies from details
POWER = 8  # of the certainty: the weight of a matte with a mean |2 alpha - 1| of 0.9 is 0.43
LEAST_WEIGHT = 0.05  # added to both weights, so that two grey mattes count the same


def shrink_factor(height: int, width: int) -> int:
    """Pixels of the picture along a side for one of the smaller picture; 1 up to 1800 pixels, and for strips."""
    side = max(height, width)
    step = max(2, round(side / LONG_SIDE))
    return step if side > LARGE * LONG_SIDE and min(height, width) >= SHORT_SIDE * step else 1


def small_picture(
    bands: Iterable[tuple[Float32[np.ndarray, "_ w 3"], UInt8[np.ndarray, "_ w"]]], step: int
) -> tuple[Float32[np.ndarray, "y x 3"], UInt8[np.ndarray, "y x"]]:
    """Means of squares of `step` pixels; a square's trimap is known where all of its pixels agree.

    Args:
        bands: Rows of the picture, display-encoded in [0, 1], and of its trimap, from top to bottom.
    """
    shrinker = Shrinker(step)
    for colours, trimap in bands:
        shrinker.add(colours, trimap)
    return shrinker.picture()


@dataclass(frozen=True)
class SmallMatte:
    """The matte of the smaller picture.

    Attributes:
        alpha: In [0, 1].
        step: Pixels of the picture to one of `alpha`.
    """

    alpha: Float32[np.ndarray, "h w"]
    step: int

    def corrected(
        self, window: Window, alpha: Float32[np.ndarray, "p p"], trimap: UInt8[np.ndarray, "p p"]
    ) -> Float32[np.ndarray, "p p"]:
        """A patch's alpha whose low frequencies are a mean of its own and the smaller matte's; may leave [0, 1].

        The mean is weighted by powers of how certain the two mattes are around a pixel: the local mean of
        |2 alpha - 1|. An unknown pixel stays between its own alpha and the smaller matte's with its own details, so
        that a correction beside it does not spread to it as a veil.

        Args:
            window: Where the patch lies; it may reach past the border (the nearest pixel then counts).
            alpha: Of the network; its values at known pixels are ignored.
            trimap: 0, 128, 255.
        """
        centre = np.arange(window.size, dtype=np.float32) + np.float32(0.5)
        rows, columns = ((first + centre) / np.float32(self.step) - np.float32(0.5) for first in (window.y, window.x))
        x, y = np.meshgrid(columns, rows)
        small = cv2.remap(self.alpha, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        known, exact = trimap != UNKNOWN, (trimap == FOREGROUND).astype(np.float32)
        own, small = (np.where(known, exact, map_) for map_ in (alpha, small))
        weight, own_weight = (
            _blurred(np.abs(2 * map_ - 1), 2 * SIGMA * self.step) ** POWER + LEAST_WEIGHT for map_ in (small, own)
        )
        own_low, low = (_blurred(map_, SIGMA * self.step) for map_ in (own, small))
        corrected = own + weight / (weight + own_weight) * (low - own_low)
        limit = small + (own - own_low)
        corrected = np.clip(corrected, np.minimum(own, limit), np.maximum(own, limit))
        return np.where(known, exact, corrected).astype(np.float32)


def _blurred(map_: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(map_.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
