"""Windows: where patches lie, and the pixels under them.

Geometry only: no torch, no network, no files. Lengths are pixels, y comes before x, and a window is half open:
rows y .. y + size - 1. Read top to bottom:

    Network          a function from a batch of patches to their mattes
    Window           where a patch lies; it may reach past the picture
    grid             overlapping windows over the whole picture
    tiles            windows side by side
    check_overlap    the limits of an overlap
    mirror, cut      the pixels of a window, mirrored where it leaves the picture
    rows_of          the rows of the picture that a window needs
    Part, part_of    what the network computes of each window of a picture that is much narrower than one
    restored         a window's values again, from those of its part
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.errors import InputError

MARGIN = 6  # mirrored pixels that the network sees beside a narrow picture, at least; 32 were no better
BLOCK = 32  # pixels; the network's stride is 8, and the known colours around a patch have a sample for each block

Network = Callable[[Float32[np.ndarray, "b h w 3"], UInt8[np.ndarray, "b h w"]], Float32[np.ndarray, "b h w"]]
"""Display-encoded colours in [0, 1] and trimaps (0, 128, 255) -> mattes of the same size."""


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


class Part(NamedTuple):
    """Rows y0 .. y1 - 1 and columns x0 .. x1 - 1 of every window of a picture."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def inside(self) -> tuple[slice, slice]:
        """Of a window's pixels."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def blocks(self) -> tuple[slice, slice]:
        """Of what a window has one of for BLOCK pixels."""
        rows, columns = (slice(side.start // BLOCK, -(-side.stop // BLOCK)) for side in self.inside)
        return rows, columns


def part_of(height: int, width: int, *, size: int) -> Part:
    """What the network computes of each window: all of it, unless the picture is much narrower than a window.

    Along a side of the picture of at most about a third of a window, most of a window would be mirrored. There it is
    cut to the picture, MARGIN or more of its mirrored surroundings on either side, and a multiple of BLOCK. The part is
    the same for all windows of a picture.
    """
    return Part(*_part(height, size), *_part(width, size))


def restored(values: np.ndarray, window: Window, part: Part, *, height: int, width: int) -> np.ndarray:
    """A window's values, size x size, from those of its part; mirrored outside of the picture, like its pixels."""
    rows = _inside_part(window.y, window.size, (part.y0, part.y1), height)
    columns = _inside_part(window.x, window.size, (part.x0, part.x1), width)
    return values[rows[:, None], columns[None, :]]


def _part(length: int, size: int) -> tuple[int, int]:
    start = _starts(length, size=size, step=size)[0]
    first = max(0, (-start - MARGIN) // BLOCK * BLOCK)
    last = min(size, -(-(length - start + MARGIN) // BLOCK) * BLOCK)
    return (first, last) if last - first <= size // 2 else (0, size)


def _inside_part(start: int, size: int, part: tuple[int, int], length: int) -> np.ndarray:
    if part == (0, size):
        return np.arange(size)
    return mirror(start, start + size, length) - start - part[0]


def _starts(length: int, *, size: int, step: int) -> list[int]:
    if length <= size:
        return [-((size - length) // 2)]
    count = -(-(length - size) // step)
    return [min(i * step, length - size) for i in range(count + 1)]
