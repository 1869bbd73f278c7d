"""Windows of the fixed grid: which are still to be computed, and which were touched since the last refresh.

Geometry only: knows no trimap, no network and no lock.

GridWindows    touch a box, and find the nearest window that is to be computed
box_of         the pixels of a window, also beyond the picture
box_inside     a box that was asked for, checked
"""

from collections.abc import Callable

from hdmatt.errors import InputError
from hdmatt.inference.options import Options
from hdmatt.patches.windows import Window, grid
from hdmatt.pictures.box import Box


class GridWindows:
    """The windows of a picture of `height` x `width` pixels; for one thread at a time.

    Attributes:
        pending: Windows that are to be computed: all of them hold an unknown pixel.
        touched: Windows with an unknown pixel that were touched since the last refresh.
    """

    def __init__(self, height: int, width: int, options: Options) -> None:
        windows = grid(height, width, size=options.patch, overlap=options.overlap)
        self._tops, self._lefts = sorted({w.y for w in windows}), sorted({w.x for w in windows})
        self._height, self._width, self._size = height, width, options.patch
        self.pending: set[Window] = set()
        self.touched: set[Window] = set()

    def touch(self, box: Box, holds_unknown: Callable[[Box], bool]) -> set[Window]:
        """The trimap has changed in a box. Returns the windows in which no pixel is unknown any more."""
        windows = set(self.touching(box))
        unknown = {window for window in windows if holds_unknown(box_of(window).clipped(self._height, self._width))}
        known = windows - unknown
        self.pending = (self.pending | unknown) - known
        self.touched = (self.touched | unknown) - known
        return known

    def touching(self, box: Box) -> list[Window]:
        """Windows that share a pixel with a box, in raster order."""
        if box.empty:
            return []
        rows = [y for y in self._tops if y < box.y1 and y + self._size > box.y0]
        columns = [x for x in self._lefts if x < box.x1 and x + self._size > box.x0]
        return [Window(y, x, self._size) for y in rows for x in columns]

    def nearest(self, near: tuple[float, float] | None) -> Window | None:
        """The pending window whose middle is nearest to a point (y, x); without a point the first of them."""
        if near is None:
            return min(self.pending, default=None)
        (y, x), middle = near, self._size / 2
        return min(self.pending, key=lambda w: ((w.y + middle - y) ** 2 + (w.x + middle - x) ** 2, w), default=None)

    def waiting(self, computed: Callable[[Window], bool]) -> tuple[list[Box], list[Box]]:
        """Boxes of the pending windows, neighbours of a row joined: those never computed, and those computed before."""
        boxes: tuple[list[Box], list[Box]] = [], []
        last: tuple[bool, Window] | None = None
        step = self._size
        for window in sorted(self.pending):
            old = computed(window)
            box = box_of(window).clipped(self._height, self._width)
            found = boxes[old]
            if last is not None and last[0] == old and last[1].y == window.y and window.x <= last[1].x + step:
                found[-1] = found[-1].joined(box)
            else:
                found.append(box)
            last = old, window
        return boxes


def box_of(window: Window) -> Box:
    """The pixels of a window, also those beyond the picture."""
    return Box(window.y, window.x, window.y + window.size, window.x + window.size)


def box_inside(box: Box | None, height: int, width: int) -> Box:
    """A box of a picture; None is all of it.

    Raises:
        InputError: It is empty or leaves the picture.
    """
    box = Box(*box) if box else Box(0, 0, height, width)
    if box.empty or box.clipped(height, width) != box:
        raise InputError(
            f"{tuple(box)} is no box of a picture of {width}x{height} (width x height)",
            hint="Give (y0, x0, y1, x1), half open, inside of the picture.",
        )
    return box
