"""Stitching: a picture as the weighted mean of overlapping patches.

Arrays only: no torch, no files. Lengths are pixels, y comes before x. Read top to bottom:

    blending_weight    how much each pixel of a patch counts, in stitching and in the training's loss
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

    "paper" falls linearly: min(1, (d + 1) / (overlap + 1)), with d the distance in pixels to the nearest edge of the
    patch. "smooth" is its square. At the border of a patch on the grid the neighbour has its full weight, but where
    windows slide, the neighbour may have half a ramp only. With the square, the share of a patch's last pixel is 1/1000
    even there, not 1/34, and the weight rises slowly at first.

    No weight is 0, so dividing by the sum of weights is safe.

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
    check_overlap(size, overlap)
    index = np.arange(size)
    distance = np.minimum(index, size - 1 - index)
    nearest = np.minimum(distance[:, None], distance[None, :])
    ramp = np.minimum(1, (nearest + 1) / np.float32(overlap + 1)).astype(np.float32)
    return ramp if blend == "paper" else ramp * ramp


class Stitcher:
    """Weighted mean of patches that are added in raster order; finished rows can be taken on the way.

    Holds only the rows between the first that was not taken and the last that a patch touched. Sums and weights are
    float32 and divided once. A pixel without any patch is 0.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._first = 0  # row of the picture that is row 0 of the sums
        self._sum = np.zeros((0, width), np.float32)
        self._weight = np.zeros((0, width), np.float32)

    def add(self, window: Window, alpha: np.ndarray, weight: np.ndarray) -> None:
        """Add one patch (size x size) with its weights; pixels outside the picture are ignored."""
        y0, y1 = max(window.y, 0), min(window.y + window.size, self.height)
        x0, x1 = max(window.x, 0), min(window.x + window.size, self.width)
        assert y0 >= self._first, "a patch came after its rows were taken"
        self._grow(y1)
        inside = np.s_[y0 - window.y : y1 - window.y, x0 - window.x : x1 - window.x]
        target = np.s_[y0 - self._first : y1 - self._first, x0:x1]
        self._sum[target] += alpha[inside].astype(np.float32) * weight[inside]
        self._weight[target] += weight[inside]

    def take(self, end: int) -> np.ndarray:
        """The rows up to `end` (of the picture) that were not taken yet, float32; no later patch may touch them."""
        end = min(end, self.height)
        self._grow(end)
        count = end - self._first
        weight = self._weight[:count]
        rows = np.divide(self._sum[:count], weight, out=np.zeros_like(weight), where=weight > 0)
        # one after the other, as in _grow: of a wide picture these rows are much of the memory
        self._sum = self._sum[count:].copy()
        self._weight = self._weight[count:].copy()
        self._first = end
        return rows

    def result(self) -> np.ndarray:
        """All rows that were not taken yet."""
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
    """The rows, followed by rows of zeros."""
    longer = np.zeros((len(rows) + missing, rows.shape[1]), rows.dtype)
    longer[: len(rows)] = rows
    return longer
