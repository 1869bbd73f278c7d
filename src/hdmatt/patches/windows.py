"""Cut a picture into overlapping patches and put the answers back together.

Geometry only: no torch, no network, no files. Lengths are pixels, y comes before x, and a window is half open:
rows y .. y + size - 1. Read top to bottom:

    Window       where a patch lies; it may reach past the picture
    grid         overlapping windows over the whole picture
    tiles        windows that touch and never overlap
    cut          the pixels of one window, mirrored where it leaves the picture
    feather      how much each pixel of a patch counts
    Stitcher     the running weighted mean of all patches, handed out as finished rows
    Network      what a batch of patches goes through, whoever's it is

Called by inference/run.py and inference/strategies.py. What one patch learns from the others is in network/cpc.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.errors import InputError

Network = Callable[[Float32[np.ndarray, "b h w 3"], UInt8[np.ndarray, "b h w"]], Float32[np.ndarray, "b h w"]]
"""Display-encoded colours in [0, 1] and trimaps -> mattes of the same size."""


class Window(NamedTuple):
    """A square of `size` pixels whose first row and column are (y, x), which may be negative."""

    y: int
    x: int
    size: int


def grid(height: int, width: int, *, size: int, overlap: int) -> list[Window]:
    """Windows of a fixed grid, `size - overlap` apart, that cover every pixel; top to bottom, left to right.

    A picture smaller than a window lies in the window's middle; otherwise the first and the last window along
    each axis lie flush with the border when one more step would reach past it, so that as little as possible is
    mirrored.

    Raises:
        InputError: The overlap is negative or more than half a window, or the picture has no pixels.
    """
    check_overlap(size, overlap)
    if height < 1 or width < 1:
        raise InputError(f"the picture is {width}x{height} pixels", hint="Give a picture with at least one pixel.")
    return [
        Window(y, x, size)
        for y in _starts(height, size=size, step=size - overlap)
        for x in _starts(width, size=size, step=size - overlap)
    ]


def tiles(height: int, width: int, *, size: int) -> list[Window]:
    """Windows side by side from the top left corner on, each pixel in exactly one; the last may leave the picture.

    Raises:
        InputError: The picture has no pixels.
    """
    if height < 1 or width < 1:
        raise InputError(f"the picture is {width}x{height} pixels", hint="Give a picture with at least one pixel.")
    return [Window(y, x, size) for y in range(0, height, size) for x in range(0, width, size)]


def check_overlap(size: int, overlap: int) -> None:
    """Raise InputError unless 0 <= overlap <= size // 2."""
    if not 0 <= overlap <= size // 2:
        raise InputError(
            f"an overlap of {overlap} pixels does not fit patches of {size}",
            hint=f"Choose an overlap from 0 to {size // 2} (half a patch).",
        )


def mirror(start: int, stop: int, length: int) -> np.ndarray:
    """Indices start .. stop - 1 folded back into 0 .. length - 1 by reflection about the border pixels.

    Like reflect padding, but repeated, so any overhang and any length from 1 up work.
    """
    index = np.arange(start, stop)
    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    index = np.abs(index) % period
    return np.where(index >= length, period - index, index)


def cut(picture: np.ndarray, window: Window, *, first_row: int = 0, height: int | None = None) -> np.ndarray:
    """The pixels of `window`, mirrored where it leaves the picture.

    Args:
        picture: H x W or H x W x C of any dtype: the whole picture or a band of its rows.
        window: In coordinates of the whole picture.
        first_row: The picture's row that `picture[0]` is.
        height: Rows of the whole picture; default: `first_row + len(picture)`.

    Returns:
        A copy, size x size (x C). The band must hold every row that the window needs.
    """
    height = first_row + len(picture) if height is None else height
    rows = mirror(window.y, window.y + window.size, height) - first_row
    columns = mirror(window.x, window.x + window.size, picture.shape[1])
    assert rows.min() >= 0 and rows.max() < len(picture), "the band does not hold the window's rows"
    return picture[rows[:, None], columns[None, :]]


def rows_of(window: Window, height: int) -> tuple[int, int]:
    """First row and one past the last row of the picture that `cut` reads for `window`."""
    rows = mirror(window.y, window.y + window.size, height)
    return int(rows.min()), int(rows.max()) + 1


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


def _longer(rows: np.ndarray, missing: int) -> np.ndarray:
    """The rows, and as many of zeros as were missing."""
    longer = np.zeros((len(rows) + missing, rows.shape[1]), rows.dtype)
    longer[: len(rows)] = rows
    return longer


def _starts(length: int, *, size: int, step: int) -> list[int]:
    if length <= size:
        return [-((size - length) // 2)]
    count = -(-(length - size) // step)
    return [min(i * step, length - size) for i in range(count + 1)]
