"""What the three values of a trimap mean, and how to get them right.

Arrays only: no torch, no files. A trimap is uint8, H x W, and holds exactly 0 (background), 128 (unknown)
and 255 (foreground); an in-between value is put into one of the three, never mixed. Read top to bottom:

    BACKGROUND, UNKNOWN, FOREGROUND
    classify    any grey picture into the three values
    count       how many pixels of each
    from_mask   a trimap around the rim of a mask
    from_alpha  a trimap around the soft part of a matte
    shrink      a trimap at a coarser stride

Reading a trimap from a file is in pictures/reader.py.
"""

from types import TracebackType
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from hdmatt.errors import InputError
from hdmatt.pictures.info import DEFAULT_MAX_PIXELS, PathLike
from hdmatt.pictures.reader import ArrayReader, BandReader, open_picture, single_channel

BACKGROUND = 0
UNKNOWN = 128
FOREGROUND = 255


class Counts(NamedTuple):
    """Pixels of each kind; they sum to the trimap's pixels."""

    background: int
    unknown: int
    foreground: int


def classify(values: Shaped[np.ndarray, "h w"]) -> tuple[UInt8[np.ndarray, "h w"], int]:
    """Put every grey value into background, unknown or foreground.

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


def count(trimap: UInt8[np.ndarray, "h w"]) -> Counts:
    """How many pixels are background, unknown and foreground."""
    background = int(np.count_nonzero(trimap == BACKGROUND))
    foreground = int(np.count_nonzero(trimap == FOREGROUND))
    return Counts(background, trimap.size - background - foreground, foreground)


def from_mask(mask: Shaped[np.ndarray, "h w"], *, erode: int, dilate: int) -> UInt8[np.ndarray, "h w"]:
    """A trimap whose unknown band follows the rim of a mask.

    The disc is exact: a pixel belongs to the band when its centre lies within the radius of a centre on the
    other side. What lies beyond the picture counts as neither side, so a mask that runs out of the picture
    gets no band along the picture's edge. The time does not depend on the radii.

    Args:
        mask: bool, or what `classify` takes; from half the range on a pixel is inside (8 bit: 128).
        erode: Pixels of the band inside the mask, 0 or more.
        dilate: Pixels of the band outside the mask, 0 or more.

    Returns:
        Foreground and background where they are farther from the rim than that, unknown between.

    Raises:
        InputError: A negative radius, or numbers that are not a mask.

    Source:
        Erosion by the disc {d <= r} is the set at distance > r from the complement; the exact Euclidean
        distance transform is OpenCV's (Felzenszwalb and Huttenlocher). cv2.getStructuringElement's ellipse,
        tried first, is flattened at its poles and takes O(r²) a pixel.
    """
    if erode < 0 or dilate < 0:
        raise InputError(
            f"the band's widths are erode={erode} and dilate={dilate}, they must not be negative",
            hint="Give both in pixels, for example erode=10, dilate=10.",
        )
    inside = _inside(mask)
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    trimap[_farther_than(erode, inside)] = FOREGROUND
    trimap[_farther_than(dilate, ~inside)] = BACKGROUND
    return trimap


def from_alpha(alpha: UInt8[np.ndarray, "h w"], *, radius: int) -> UInt8[np.ndarray, "h w"]:
    """A trimap whose unknown part is the soft part of a true matte, widened by an exact disc.

    Foreground stays where the matte is 255 as far as `radius` reaches, background where it is 0; what lies beyond the
    picture counts as neither. With radius 0 exactly the pixels between 0 and 255 are unknown, and a step from 0 to
    255 leaves none.

    Args:
        radius: Pixels, 0 or more.

    Raises:
        InputError: A negative radius.
    """
    if radius < 0:
        raise InputError(
            f"the trimap's radius is {radius}, it must not be negative", hint="Give it in pixels, for example 20."
        )
    trimap = np.full(alpha.shape, UNKNOWN, np.uint8)
    trimap[_farther_than(radius, alpha == 255)] = FOREGROUND
    trimap[_farther_than(radius, alpha == 0)] = BACKGROUND
    return trimap


def shrink(trimap: UInt8[np.ndarray, "h w"], factor: int) -> UInt8[np.ndarray, "h2 w2"]:
    """The trimap at stride `factor`: one value for each cell of factor x factor pixels.

    Unknown wins when any pixel of the cell is unknown, so no unknown pixel is ever lost; else the majority,
    background on a tie. Where the sides do not divide, the last cells are smaller.

    Args:
        trimap: Exactly 0, 128 or 255.
        factor: Side of a cell in pixels, 1 or more.
    """
    assert factor >= 1
    height, width = trimap.shape
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)

    def cells(pixels: Bool[np.ndarray, "h w"]) -> np.ndarray:
        return np.add.reduceat(np.add.reduceat(pixels, rows, axis=0, dtype=np.int64), columns, axis=1)

    foreground = cells(trimap == FOREGROUND)
    background = cells(trimap == BACKGROUND)
    small = np.where(foreground > background, FOREGROUND, BACKGROUND).astype(np.uint8)
    small[cells(trimap == UNKNOWN) > 0] = UNKNOWN
    return small


def _inside(mask: Shaped[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    if mask.dtype == np.bool_:
        return mask
    if mask.dtype.name in ("uint8", "uint16"):
        return mask > np.iinfo(mask.dtype).max // 2
    if mask.dtype.kind == "f":
        return mask >= 0.5
    raise InputError(
        f"the mask is an array of {mask.dtype}, we need bool, uint8, uint16 or float",
        hint="Compare it first, for example: mask > 0.",
    )


def _farther_than(radius: int, region: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The pixels of `region` whose centre is more than `radius` from every centre outside of it."""
    # the transform has nothing to measure to when the region is the whole picture
    if radius == 0 or region.all():
        return region
    distance = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # squared distances are whole numbers, so half-way between r² and r² + 1 no rounding can change the answer
    return region & (distance > np.float32((radius * radius + 0.5) ** 0.5))


def open_trimap(path_or_array: PathLike | np.ndarray, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> "TrimapReader":
    """Open a trimap from a file, or from what `ArrayReader` takes.

    Raises:
        InputError: As for `open_picture` and `ArrayReader`.
    """
    if isinstance(path_or_array, np.ndarray):
        return TrimapReader(ArrayReader(path_or_array))
    return TrimapReader(open_picture(path_or_array, max_pixels=max_pixels))


class TrimapReader:
    """Bands of a trimap: exactly 0 (background), 128 (unknown) and 255 (foreground).

    `snapped` is the number of pixels that were something else (see trimap.classify), of all rows read so far; a row
    that is read again is not counted again.
    """

    def __init__(self, reader: BandReader) -> None:
        self._reader = reader
        self._counted = np.zeros(reader.info.height, bool)
        self.info = reader.info
        self.snapped = 0

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        """Rows y0 .. y1-1.

        Raises:
            InputError: Damaged rows, colours instead of greys, or floats outside of 0 to 1.
        """
        from hdmatt.pictures.trimap import classify  # here, because it brings OpenCV

        name = str(self.info.path or "the trimap array")
        values = single_channel(self._reader.colours(y0, y1, 0, self.info.width), y0, name, "a trimap")
        if values.dtype.kind == "f" and values.size and not -0.01 <= float(values.min()) <= float(values.max()) <= 1.01:
            raise InputError(
                f"{name} holds values from {values.min():g} to {values.max():g}, a trimap of floats needs 0, 0.5 and 1",
                hint="Divide it by its white, or save it as 8-bit grey with the values 0, 128 and 255.",
            )
        trimap, snapped = classify(values)
        new = ~self._counted[y0:y1]
        self.snapped += snapped if new.all() else classify(values[new])[1]
        self._counted[y0:y1] = True
        return trimap

    def close(self) -> None:
        """Release the file; twice is once."""
        self._reader.close()

    def __enter__(self) -> "TrimapReader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
