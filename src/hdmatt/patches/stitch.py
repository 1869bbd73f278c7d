"""Stitching: a picture as the weighted mean of overlapping patches.

Arrays only: no torch, no files. Lengths are pixels, y comes before x. Read top to bottom:

    blending_weight    how much each pixel of a patch counts, in stitching and in the training's loss
    feather            the linear ramp it is made of
    Stitcher           the running weighted mean of all patches
    with_known         the known pixels of the trimap put into an alpha
"""

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.errors import InputError
from hdmatt.patches.windows import Window, check_overlap
from hdmatt.pictures.trimap import FOREGROUND, UNKNOWN

BLENDS = ("smooth", "paper")


def blending_weight(size: int, overlap: int, *, blend: str) -> Float32[np.ndarray, "{size} {size}"]:
    """Weight of each pixel of a patch in the mean of overlapping patches: 1 inside, falling towards the border.

    "paper" falls linearly (`feather`). "smooth" is the square of that: on the grid a patch that ends meets the full
    weight of its neighbour, but windows that slide meet as little as half a ramp. The square makes the share of a
    patch's last pixel 1/1000 even there, not 1/34, and its slope is small where a patch begins.

    Args:
        size: Side of the patch, in pixels.
        overlap: Width of the ramp, in pixels, from 0 to `size // 2`.
        blend: "smooth" or "paper".

    Returns:
        Weights in (0, 1].

    Raises:
        InputError: There is no such blend, or the two ramps would cross (overlap > size // 2).

    Source:
        HDMatt, "Patch cropping and stitching": the weight is proportional to the distance to the patch border, and
        the loss of a training patch is weighted by the same function.
    """
    if blend not in BLENDS:
        raise InputError(f"blend is {blend!r}", hint=f"Choose one of: {', '.join(BLENDS)}.")
    ramp = feather(size, overlap)
    return ramp if blend == "paper" else ramp * ramp


def feather(size: int, overlap: int) -> Float32[np.ndarray, "{size} {size}"]:
    """Weight of each pixel of a patch when patches are averaged: 1 inside, a linear ramp at the rim.

    No weight is 0, so dividing by the sum of weights is safe; after that division the weights of every pixel
    sum to 1 whatever the windows' places.

    Args:
        size: Side of the patch, in pixels.
        overlap: Width of the ramp, in pixels, from 0 to `size // 2`.

    Returns:
        min(1, (d + 1) / (overlap + 1)), d the distance in pixels to the nearest edge of the patch; in (0, 1].

    Raises:
        InputError: The two ramps would cross, overlap > size // 2.

    Source:
        HDMatt, "Patch cropping and stitching": proportional to the distance to the patch border.
    """
    check_overlap(size, overlap)
    index = np.arange(size)
    distance = np.minimum(index, size - 1 - index)
    nearest = np.minimum(distance[:, None], distance[None, :])
    return np.minimum(1, (nearest + 1) / np.float32(overlap + 1)).astype(np.float32)


class Stitcher:
    """Weighted mean of patches that arrive in raster order, finished rows handed out as soon as they are known.

    Holds only the rows between the first unfinished one and the last one touched. Sums and weights are
    float32 and divided once. A pixel that no patch covered comes out as 0.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._first = 0  # the picture's row that row 0 of the sums is
        self._sum = np.zeros((0, width), np.float32)
        self._weight = np.zeros((0, width), np.float32)

    def add(self, window: Window, alpha: np.ndarray, weight: np.ndarray) -> None:
        """Add one patch (size x size) with its weights; what lies outside the picture is dropped."""
        y0, y1 = max(window.y, 0), min(window.y + window.size, self.height)
        x0, x1 = max(window.x, 0), min(window.x + window.size, self.width)
        assert y0 >= self._first, "a patch came after its rows were handed out"
        self._grow(y1)
        inside = np.s_[y0 - window.y : y1 - window.y, x0 - window.x : x1 - window.x]
        target = np.s_[y0 - self._first : y1 - self._first, x0:x1]
        self._sum[target] += alpha[inside].astype(np.float32) * weight[inside]
        self._weight[target] += weight[inside]

    def take(self, end: int) -> np.ndarray:
        """Finished rows up to `end` (of the picture), which no later patch may touch; float32."""
        end = min(end, self.height)
        self._grow(end)
        count = end - self._first
        weight = self._weight[:count]
        rows = np.divide(self._sum[:count], weight, out=np.zeros_like(weight), where=weight > 0)
        # one after the other, as in _grow: the rows open are much of what a wide picture holds
        self._sum = self._sum[count:].copy()
        self._weight = self._weight[count:].copy()
        self._first = end
        return rows

    def result(self) -> np.ndarray:
        """All rows that were not handed out yet."""
        return self.take(self.height)

    def _grow(self, end: int) -> None:
        missing = end - self._first - len(self._sum)
        if missing > 0:
            self._sum = _longer(self._sum, missing)
            self._weight = _longer(self._weight, missing)


def with_known(alpha: Float32[np.ndarray, "h w"], trimap: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Alpha clipped to [0, 1], exactly 0 or 1 where the trimap (0, 128, 255) is known."""
    return np.where(trimap == UNKNOWN, np.clip(alpha, 0, 1), (trimap == FOREGROUND).astype(np.float32))


def _longer(rows: np.ndarray, missing: int) -> np.ndarray:
    """The rows, and as many of zeros as were missing."""
    longer = np.zeros((len(rows) + missing, rows.shape[1]), rows.dtype)
    longer[: len(rows)] = rows
    return longer
