"""Trimaps: their three values, reading them from files and arrays, and making one from a matte.

Knows nothing of how files are decoded. A trimap is uint8, H x W, and holds exactly 0 (background), 128 (unknown) and
255 (foreground); an in-between value is put into one of the three, never mixed. Read top to bottom:

    BACKGROUND, UNKNOWN, FOREGROUND
    classify                     any grey values into the three
    from_alpha                   a trimap around the soft part of a matte
    farther_than                 erosion by an exact disc
    open_trimap, TrimapReader    a trimap's rows, from a file or an array
"""

from types import TracebackType

import cv2
import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from hdmatt.errors import InputError
from hdmatt.pictures.info import DEFAULT_INPUT, InputOptions, PathLike, PictureInfo
from hdmatt.pictures.placed import placed
from hdmatt.pictures.reader import ArrayReader, BandReader, open_picture, single_channel
from hdmatt.pictures.trimap_checks import AlphaClaim, GreySpan, stretch_hint

BACKGROUND = 0
UNKNOWN = 128
FOREGROUND = 255
_CHECKED_ROWS = 64


def classify(values: Shaped[np.ndarray, "h w"]) -> tuple[UInt8[np.ndarray, "h w"], int]:
    """Put every grey value into one of background, unknown and foreground.

    On the 8-bit scale below 85 is background, from 170 on is foreground, between them is unknown: thirds, so
    trimaps that use 1, 127, 129 or 254 mean what they look like. Pixels are judged one by one: a picture
    cut into bands gives the same answer.

    Args:
        values: uint8, uint16 (65535 is white) or float (1 is white).

    Returns:
        The trimap, and how many pixels were not exactly one of its three values. For 16 bit 32768 and 32896
        count as exact greys, for floats 0.5 and 128/255, within 1e-6 (half floats: within their rounding).

    Raises:
        InputError: Another type of number, or a float that is not finite.
    """
    if values.dtype == np.uint8:
        low, high = 85, 170
        off = (values != BACKGROUND) & (values != UNKNOWN) & (values != FOREGROUND)
    elif values.dtype == np.uint16:
        low, high, exact = 85 * 257, 170 * 257, (0, 32768, 32896, 65535)
        off = ~np.isin(values, exact)
    elif values.dtype.kind == "f":
        # half floats are 4.9e-4 apart at 128/255, so the nearest one may be 2.5e-4 off
        slack = 2.5e-4 if values.dtype == np.float16 else 1e-6
        values = values.astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise InputError(
                "the trimap holds values that are not finite (NaN or infinity), we need 0, 0.5 and 1",
                hint="Save the trimap as an 8-bit grey picture with the values 0, 128 and 255.",
            )
        low, high, exact = 1 / 3, 2 / 3, (0.0, 0.5, 128 / 255, 1.0)
        off = np.ones(values.shape, bool)
        for value in exact:
            off &= np.abs(values - np.float32(value)) > slack
    else:
        raise InputError(
            f"the trimap is an array of {values.dtype}, we need uint8, uint16 or float",
            hint="Convert it first, for example: trimap.astype(numpy.uint8) with the values 0, 128 and 255.",
        )
    trimap = np.full(values.shape, UNKNOWN, np.uint8)
    trimap[values < low] = BACKGROUND
    trimap[values >= high] = FOREGROUND
    return trimap, int(np.count_nonzero(off))


def from_alpha(alpha: UInt8[np.ndarray, "h w"], *, radius: int) -> UInt8[np.ndarray, "h w"]:
    """A trimap whose unknown part is the soft part of a matte, widened by an exact disc.

    A pixel is foreground if the matte is 255 everywhere within `radius` of it, background if it is 0 everywhere; what
    lies beyond the picture counts as neither. With radius 0 exactly the pixels between 0 and 255 are unknown, and a
    step from 0 to 255 leaves none.

    Args:
        radius: Pixels, 0 or more.

    Raises:
        InputError: A negative radius.

    Source:
        The pixels farther than r from the complement are the erosion by a disc; the exact Euclidean distance transform
        is OpenCV's (Felzenszwalb and Huttenlocher). cv2.getStructuringElement's ellipse is flattened at its poles, and
        takes time that grows with r².
    """
    if radius < 0:
        raise InputError(
            f"the trimap's radius is {radius}, it must not be negative", hint="Give it in pixels, for example 20."
        )
    trimap = np.full(alpha.shape, UNKNOWN, np.uint8)
    trimap[farther_than(radius, alpha == 255)] = FOREGROUND
    trimap[farther_than(radius, alpha == 0)] = BACKGROUND
    return trimap


def farther_than(radius: int, region: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The pixels of `region` whose centre is more than `radius` from every centre outside of it."""
    # the transform has nothing to measure to when the region is the whole picture
    if radius == 0 or region.all():
        return region
    distance = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # squared distances are whole numbers, so half-way between r² and r² + 1 no rounding can change the answer
    return region & (distance > np.float32((radius * radius + 0.5) ** 0.5))


def open_trimap(
    path_or_array: PathLike | np.ndarray, options: InputOptions = DEFAULT_INPUT, *, like: PictureInfo | None = None
) -> "TrimapReader":
    """Open a trimap from a file, or from what `ArrayReader` takes.

    The stored greys count: they are never divided by an alpha. One that is the same everywhere, repeats the greys, or
    is 0 in background alone is ignored.

    Args:
        like: The picture, if the trimap is to be laid over it by the coordinates of EXRs; see pictures/placed.py.

    Raises:
        InputError: As for `open_picture`, `ArrayReader` and `placed`; or an alpha channel is another trimap than the
            greys.
    """
    if isinstance(path_or_array, np.ndarray):
        reader: BandReader = ArrayReader(path_or_array)
    else:
        reader = open_picture(path_or_array, options, part="grey")
    try:
        if reader.info.has_alpha:
            _check_alpha(reader, path_or_array, options)
        return TrimapReader(placed(reader, like) if like else reader)
    except BaseException:
        reader.close()
        raise


class TrimapReader:
    """Bands of a trimap: exactly 0 (background), 128 (unknown) and 255 (foreground).

    `snapped` counts the pixels that were something else (see `classify`), of all rows read so far; a row that is read
    again is not counted again.
    """

    def __init__(self, reader: BandReader) -> None:
        self._reader = reader
        self._counted = np.zeros(reader.info.height, bool)
        self._span = GreySpan()
        self.info = reader.info
        self.snapped = 0

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        """Rows y0 .. y1-1.

        Raises:
            InputError: Damaged rows, colours instead of greys, or floats outside of 0 to 1; with the last row that
                had not been read, also values of which none is large enough (see `GreySpan`).
        """
        name = _name(self.info)
        values = _greys(self._reader, y0, y1)
        if values.dtype.kind == "f" and values.size and not -0.01 <= float(values.min()) <= float(values.max()) <= 1.01:
            raise InputError(
                f"{name} holds values from {values.min():g} to {values.max():g}, a trimap of floats needs 0, 0.5 and 1",
                hint=stretch_hint(self.info.path),
            )
        trimap, snapped = classify(values)
        new = ~self._counted[y0:y1]
        self.snapped += snapped if new.all() else classify(values[new])[1]
        self._counted[y0:y1] = True
        if new.any():
            self._span.add(values if new.all() else values[new])
            if self._counted.all():
                self._span.check(self.info, name)
        return trimap

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._reader.close()

    def __enter__(self) -> "TrimapReader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _check_alpha(greys: BandReader, source: PathLike | np.ndarray, options: InputOptions) -> None:
    claim, info = AlphaClaim(greys.info.path), greys.info
    is_array = isinstance(source, np.ndarray)
    with ArrayReader(source[..., 3]) if is_array else open_picture(source, options, part="alpha") as alpha:
        for y0 in range(0, info.height, _CHECKED_ROWS):
            y1 = min(y0 + _CHECKED_ROWS, info.height)
            values = alpha.colours(y0, y1, 0, info.width)[..., 0]
            claim.add(y0, classify(_greys(greys, y0, y1))[0], classify(values)[0], values)
    claim.check()


def _greys(reader: BandReader, y0: int, y1: int) -> np.ndarray:
    return single_channel(reader.colours(y0, y1, 0, reader.info.width), y0, _name(reader.info), "a trimap")


def _name(info: PictureInfo) -> str:
    return str(info.path or "the trimap array")
