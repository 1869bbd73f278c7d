"""Pairing pictures by coordinates: a trimap or background whose windows differ from the picture's.

Knows rows and windows (pictures/info.py); nothing of what the values mean.

    placed          a reader of the picture's pixels, made of one of another window
    PlacedReader    rows of that reader
    data_window     where the pixels of a picture lie in what is shown

An EXR says where its pixels lie (data window) in what is shown (display window). Compositing programs crop the data
window to what is not black, so a trimap's is often smaller than the picture's. What lies outside of it is 0.
"""

from dataclasses import replace

import numpy as np

from hdmatt.errors import InputError
from hdmatt.pictures.info import ExrWindows, PictureInfo
from hdmatt.pictures.reader import BandReader


def placed(reader: BandReader, like: PictureInfo) -> BandReader:
    """`reader` as it is where it covers the same pixels as the picture `like`, else a PlacedReader over it.

    Two EXRs with one display window are paired by coordinates. A file without windows covers the picture's data window
    or its display window, whichever has its size. Sizes without any window are left to whoever compares them.

    Raises:
        InputError: The windows cannot be paired; the message names both.
    """
    ours, theirs = like.windows, reader.info.windows
    if _corner(reader.info) == _corner(like) and _size(reader.info) == _size(like):
        return reader
    if not _is_cropped(reader.info) and not _is_cropped(like) and _size(reader.info) != _size(like):
        return reader
    if ours and theirs:
        if ours[2:] == theirs[2:] and _overlap(reader.info, like):
            return PlacedReader(reader, like, y=theirs.y - ours.y, x=theirs.x - ours.x)
        raise _apart(reader.info, like)
    if theirs and _is_cropped(reader.info):
        shown = (theirs.display_height, theirs.display_width)
        if shown == _size(like) and _overlap(reader.info, like, y=theirs.display_y, x=theirs.display_x):
            return PlacedReader(reader, like, y=theirs.y - theirs.display_y, x=theirs.x - theirs.display_x)
        raise _apart(reader.info, like)
    if ours and _is_cropped(like):
        shown = (ours.display_height, ours.display_width)
        if _size(reader.info) == shown:
            y, x = ours.y - ours.display_y, ours.x - ours.display_x
            if y < 0 or x < 0 or y + like.height > shown[0] or x + like.width > shown[1] or shown == _size(like):
                raise _apart(reader.info, like)
            return PlacedReader(reader, like, y=-y, x=-x)
        if _size(reader.info) != _size(like):
            raise _apart(reader.info, like)
    return reader


class PlacedReader(BandReader):
    """The pixels of `like`, from a reader whose first row and column lie at (y, x) of it; 0 where it has none."""

    def __init__(self, reader: BandReader, like: PictureInfo, *, y: int, x: int) -> None:
        self._reader, self._y, self._x = reader, y, x
        self.info = replace(reader.info, height=like.height, width=like.width, windows=like.windows)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._reader.close()

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        inner = self._reader.info
        top, bottom = (min(max(y - self._y, 0), inner.height) for y in (y0, y1))
        left, right = (min(max(x - self._x, 0), inner.width) for x in (x0, x1))
        band = np.zeros((y1 - y0, x1 - x0, inner.channels), inner.dtype)
        y, x = top + self._y - y0, left + self._x - x0
        if bottom > top and right > left:
            pixels = self._reader.colours(top, bottom, left, right)
            band[y : y + bottom - top, x : x + right - left] = pixels
        return band


def data_window(info: PictureInfo) -> tuple[int, int, int, int] | None:
    """x, y, width and height of the picture within its display window; None where the two are the same."""
    if not info.windows or not _is_cropped(info):
        return None
    return info.windows.x - info.windows.display_x, info.windows.y - info.windows.display_y, info.width, info.height


def described(info: PictureInfo) -> str:
    """Size and windows of a picture, for messages; corners are x,y."""
    if (windows := info.windows) is None:
        return f"{info.width}x{info.height}"
    return (
        f"{info.width}x{info.height} at {windows.x},{windows.y} (data window) of {windows.display_width}x"
        f"{windows.display_height} at {windows.display_x},{windows.display_y} (display window)"
    )


def _apart(info: PictureInfo, like: PictureInfo) -> InputError:
    return InputError(
        f"{info.path or 'the array'} is {described(info)} but {like.path or 'the picture'} is {described(like)} "
        "(width x height, corner x,y): they cannot be laid over each other",
        hint="Save both with the same display window, or both with the same data window.",
    )


def _size(info: PictureInfo) -> tuple[int, int]:
    return info.height, info.width


def _corner(info: PictureInfo) -> tuple[int, int] | None:
    return (info.windows.y, info.windows.x) if info.windows else None


def _is_cropped(info: PictureInfo) -> bool:
    """Whether the pixels are not exactly those that are shown."""
    windows = info.windows
    return windows is not None and windows != ExrWindows(*windows[:2], *windows[:2], info.width, info.height)


def _overlap(info: PictureInfo, like: PictureInfo, *, y: int | None = None, x: int | None = None) -> bool:
    """Whether they have a pixel in common; y and x are the corner of `like` where it has no windows."""
    assert info.windows is not None
    top = like.windows.y if like.windows else y or 0
    left = like.windows.x if like.windows else x or 0
    rows = min(top + like.height, info.windows.y + info.height) - max(top, info.windows.y)
    columns = min(left + like.width, info.windows.x + info.width) - max(left, info.windows.x)
    return rows > 0 and columns > 0
