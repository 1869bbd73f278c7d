"""Few windows that cover the unknown pixels of a trimap.

Arrays only: no torch, no files. Lengths are pixels, y before x. Read top to bottom:

    CellMap    how much of each cell of 8 x 8 pixels is unknown and foreground, from rows of a trimap
    core       the part of a window whose pixels count as covered
    cover      few windows that cover all unknown pixels

On a fixed grid every window with an unknown pixel is decoded, also where a neighbour covers the same pixels better.
Seams are hidden because each pixel lies at least half an overlap inside of one window. `cover` keeps that promise for
unknown pixels only, and moves the windows to where they are. It depends on the trimap, the window's size and the
overlap, not on the memory limit or the batch.

Called by inference/candidates.py.
"""

import heapq
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from hdmatt.patches.windows import Window, check_overlap, grid
from hdmatt.pictures.trimap import FOREGROUND, UNKNOWN

CELL = 8  # pixels; windows are placed by cells, each wholly unknown when one of its pixels is
_STEP = 4  # cells between two rows at which a band of windows may end


class CellMap:
    """Counts of unknown and foreground pixels in every cell: 1/32 byte for each pixel of the picture."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        size = -(-height // CELL), -(-width // CELL)
        self.unknown: UInt8[np.ndarray, "rows columns"] = np.zeros(size, np.uint8)
        self.foreground: UInt8[np.ndarray, "rows columns"] = np.zeros(size, np.uint8)
        self._columns = np.arange(0, width, CELL)

    def add(self, y0: int, trimap: UInt8[np.ndarray, "h w"]) -> None:
        """Rows y0 .. of the trimap, which is exactly 0, 128 or 255; every row once."""
        first = np.arange(y0, y0 + len(trimap))
        starts = np.flatnonzero((first % CELL == 0) | (first == y0))
        cells = np.s_[y0 // CELL : y0 // CELL + len(starts)]
        for value, count in ((UNKNOWN, self.unknown), (FOREGROUND, self.foreground)):
            rows = np.add.reduceat(trimap == value, starts, axis=0, dtype=np.uint8)
            count[cells] += np.add.reduceat(rows, self._columns, axis=1, dtype=np.uint8)

    def counts(self, windows: Sequence[Window]) -> Int64[np.ndarray, "p 3"]:
        """Background, unknown and foreground pixels of each window, to the cell: for choosing, not for covering."""
        found = np.zeros((len(windows), 3), np.int64)
        for i, window in enumerate(windows):
            (top, bottom), (left, right) = (
                (round(max(at, 0) / CELL), max(1, round(min(at + window.size, length) / CELL)))
                for at, length in ((window.y, self.height), (window.x, self.width))
            )
            inside = np.s_[top:bottom, left:right]
            unknown, foreground = int(self.unknown[inside].sum()), int(self.foreground[inside].sum())
            pixels = (min(bottom * CELL, self.height) - top * CELL) * (min(right * CELL, self.width) - left * CELL)
            found[i] = pixels - unknown - foreground, unknown, foreground
        return found


def core(start: int, length: int, *, size: int, overlap: int) -> tuple[int, int]:
    """First and one past the last pixel, along one axis, that a window at `start` answers for.

    All of them but half an overlap at either end, where it ends inside of the picture.
    """
    margin = overlap // 2
    first = 0 if start <= 0 else start + margin
    return first, length if start + size >= length else start + size - margin


def cover(cells: Bool[np.ndarray, "rows columns"], *, height: int, width: int, size: int, overlap: int) -> list[Window]:
    """Windows whose cores hold every unknown pixel, top to bottom and left to right.

    The windows of one band share y. Along a band each window starts at the first pixel that is not covered yet, which
    is optimal. The bands' heights are the best of all that end at a multiple of 32 pixels or as far down as a window
    reaches (dynamic programming). Each window is then moved so that the pixels it has to cover lie in its middle. There
    are never more windows than those of the grid whose cores hold an unknown pixel.

    Args:
        cells: Which cells of 8 x 8 pixels hold an unknown pixel.
        height: Of the picture, like `width`.
        size: Side of a window.
        overlap: Twice the margin between a window's border and the pixels it answers for; 0 to `size // 2`.
    """
    check_overlap(size, overlap)
    assert cells.shape == (-(-height // CELL), -(-width // CELL)), (cells.shape, height, width)
    margin = overlap // 2
    windows = [
        Window(_middle(first, last, height, size), _middle(left, right, width, size), size)
        for first, last in _bands(cells, height=height, width=width, size=size, margin=margin)
        for left, right in _spans(_columns(cells, first, last), width, size=size, margin=margin)
    ]
    windows = sorted(set(windows))
    fixed = [w for w in grid(height, width, size=size, overlap=overlap) if _holds(cells, w, height, width, overlap)]
    return fixed if len(fixed) < len(windows) else windows


def _bands(
    cells: Bool[np.ndarray, "rows columns"], *, height: int, width: int, size: int, margin: int
) -> list[tuple[int, int]]:
    """Rows (first, one past the last) that each band of windows covers, with the fewest windows in all."""
    rows = np.flatnonzero(cells.any(axis=1))
    if not len(rows):
        return []
    first, end = int(rows[0]), len(cells)
    # the best way to have all above a row covered: windows, then bands (fewer are better), and the row before it
    best: dict[int, tuple[int, int, int]] = {first: (0, 0, first)}
    todo = [first]
    while (row := heapq.heappop(todo)) < end:
        windows, bands, _ = best[row]
        reach = _reach(row * CELL, height, size, margin)
        last = end if reach == height else reach // CELL
        columns = np.zeros(cells.shape[1], bool)
        done = row
        for stop in [*range((row // _STEP + 1) * _STEP, last, _STEP), last]:
            columns |= cells[done:stop].any(axis=0)
            done = stop
            at = int(np.searchsorted(rows, stop))
            following = int(rows[at]) if at < len(rows) else end
            found = windows + len(_spans(columns, width, size=size, margin=margin)), bands + 1, row
            if following not in best:
                heapq.heappush(todo, following)
            best[following] = min(best.get(following, found), found)
    bands_found: list[tuple[int, int]] = []
    while row != first:
        before = best[row][2]
        bottom = int(rows[np.searchsorted(rows, row) - 1]) + 1  # the last unknown row above `row`
        bands_found.append((before * CELL, min(bottom * CELL, height)))
        row = before
    return bands_found[::-1]


def _spans(columns: Bool[np.ndarray, "columns"], length: int, *, size: int, margin: int) -> list[tuple[int, int]]:
    """Pixels (first, one past the last) that each window along one axis has to cover, by as few windows as possible."""
    where = np.flatnonzero(columns)
    spans: list[tuple[int, int]] = []
    i, covered = 0, 0
    while i < len(where):
        first = max(int(where[i]) * CELL, covered)
        covered = _reach(first, length, size, margin)
        i = len(where) if covered == length else int(np.searchsorted(where, covered // CELL))
        spans.append((first, min(covered, int(where[i - 1] + 1) * CELL)))
        if i < len(where) and int(where[i]) * CELL < covered:  # this cell is cut in two
            spans[-1] = first, covered
    return spans


def _reach(first: int, length: int, size: int, margin: int) -> int:
    """One past the last pixel that a window can cover when it has to cover `first`."""
    start = min(max(first - margin, 0), max(length - size, 0))
    return length if start + size >= length else start + size - margin


def _middle(first: int, last: int, length: int, size: int) -> int:
    """Where a window starts that has first .. last - 1 in its middle, inside of the picture if it fits there."""
    if length <= size:
        return -((size - length) // 2)
    return min(max((first + last - size) // 2, 0), length - size)


def _columns(cells: Bool[np.ndarray, "rows columns"], first: int, last: int) -> Bool[np.ndarray, "columns"]:
    return np.any(cells[first // CELL : -(-last // CELL)], axis=0)


def _holds(cells: Bool[np.ndarray, "rows columns"], window: Window, height: int, width: int, overlap: int) -> bool:
    top, bottom = core(window.y, height, size=window.size, overlap=overlap)
    left, right = core(window.x, width, size=window.size, overlap=overlap)
    return bool(cells[top // CELL : -(-bottom // CELL), left // CELL : -(-right // CELL)].any())
