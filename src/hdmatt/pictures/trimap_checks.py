"""Checks for trimaps that would be read as something else than was meant.

Knows values, nothing of files. Called by pictures/trimap.py, band by band.

    AlphaClaim    whether an alpha channel says the same as the greys
    GreySpan      whether the values reach white, and a single grey the middle
    check_trimap_size    refuses a trimap of another size than the picture
    stretch_hint  the command that makes the largest value white
"""

import json
import shlex
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

from hdmatt.errors import InputError
from hdmatt.pictures.info import WHITE, PictureInfo

_STEPS = 4095  # of floats that are counted
_FEW = 0.001  # of the pixels: slips
_MIDDLE_IN_LIGHT = 0.2158  # 128 of 255 through the curve of sRGB
_NAMES = {0: "background", 128: "unknown", 255: "foreground"}


class AlphaClaim:
    """Whether the alpha channel of a trimap contradicts its greys.

    The stored greys are the trimap. An alpha says nothing if it is the same everywhere, the same trimap once more, or
    0 in a part of the background alone. Any other one is a second trimap, and nobody can tell which is meant.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._same = self._erased = True
        self._first: tuple[int, int, str, str] | None = None
        self._counts = np.zeros((2, 256), np.int64)
        self._values: set[float] = set()  # the smallest and the largest of each band's alpha

    def add(
        self, y0: int, greys: UInt8[np.ndarray, "h w"], alpha: UInt8[np.ndarray, "h w"], values: np.ndarray
    ) -> None:
        """Rows y0 and on: the greys and the alpha, each put into its three values, and the alpha as it is stored."""
        apart = greys != alpha
        if self._first is None and apart.any():
            y, x = (int(i) for i in np.unravel_index(int(np.argmax(apart)), apart.shape))
            self._first = (y0 + y, x, _NAMES[int(greys[y, x])], _NAMES[int(alpha[y, x])])
        self._same &= not apart.any()
        self._erased &= bool((alpha != 128).all()) and not greys[alpha == 0].any()
        for line, marks in enumerate((greys, alpha)):
            self._counts[line] += np.bincount(marks.ravel(), minlength=256)
        self._values |= {float(values.min()), float(values.max())}

    def check(self) -> None:
        """The verdict, once every row was added.

        Raises:
            InputError: The alpha is another trimap than the greys.
        """
        several = np.count_nonzero(self._counts[0]) > 1
        if len(self._values) == 1 or self._same or (self._erased and several):
            return
        assert self._first is not None
        y, x, grey, alpha = self._first
        raise InputError(
            f"{self._path or 'the trimap array'} has an alpha channel that says something else than its greys: row "
            f"{y}, column {x} is {grey} by its grey and {alpha} by its alpha. By the greys {_shares(self._counts[0])}; "
            f"by the alpha {_shares(self._counts[1])}",
            hint=_keep_one(self._path),
        )


class GreySpan:
    """Which values a trimap holds: whether they reach far enough, and whether its unknown is where we look for it."""

    def __init__(self) -> None:
        self._counts = np.zeros(0, np.int64)  # of each integer; of floats, of each of _STEPS + 1 steps from 0 to 1
        self._largest = 0.0

    def add(self, values: Shaped[np.ndarray, "h w"]) -> None:
        """Some rows, as they are stored."""
        if not values.size:
            return
        white = WHITE.get(values.dtype.name, 0)
        if not white:
            self._largest = max(self._largest, float(values.max()))
            values = np.rint(values.astype(np.float32).clip(0, 1) * _STEPS).astype(np.uint16)
        number = (white or _STEPS) + 1
        histogram = cv2.calcHist([np.ascontiguousarray(values)], [0], None, [number], [0, number])
        counts = histogram.ravel().astype(np.int64)
        self._counts = self._counts + counts if self._counts.size else counts

    def check(self, info: PictureInfo, name: str) -> None:
        """The verdict, once every row was added.

        Raises:
            InputError: Values above 0 of which none reaches a third of white, where background ends; exactly three
                values of which none is foreground; or one grey between black and white, which is not in the middle.
        """
        white = info.white or WHITE.get(info.dtype.name, 1)
        levels, largest = np.flatnonzero(self._counts), self._largest * (info.white or 1)
        if not self._is_float:
            largest = float(levels[-1]) if levels.size else 0.0
        too_small = 0 < largest < white / 3
        if not too_small and not (levels.size == 3 and levels[0] == 0 and largest < 2 * white / 3):
            self._check_grey(info, name, white)
            return
        few = ", ".join(f"{level / _STEPS:.3g}" if self._is_float else str(level) for level in levels)
        exact = 0 < levels.size <= 3 and not info.white  # steps are too coarse for integers of 32 bit
        shown = f"only the values {few}" if exact else f"values up to {largest:g}"
        raise InputError(
            f"{name} holds {shown}, we need {_needed(white)}: everything would be "
            f"{'background' if too_small else 'background or unknown'}",
            hint=stretch_hint(info.path),
        )

    @property
    def _is_float(self) -> bool:
        return self._counts.size == _STEPS + 1

    def _check_grey(self, info: PictureInfo, name: str, white: float) -> None:
        """Refuse black, white and one grey that would be taken for one of them, as 128 of sRGB in linear light."""
        counts, end = self._counts, self._counts.size - 1
        low, high = end // 16, end - end // 16
        between, few = counts[low + 1 : high], counts.sum() * _FEW
        if counts[: low + 1].sum() <= few or counts[high:].sum() <= few or between.max(initial=0) <= few:
            return
        grey = low + 1 + int(np.argmax(between))
        if 2 * counts[grey] < between.sum() or end / 3 <= grey < 2 * end / 3:
            return
        share = grey / end
        shown = f"{share:.4g}" if self._is_float else f"{grey}"
        light = abs(share - _MIDDLE_IN_LIGHT) < 0.003
        raise InputError(
            f"{name} holds black, white and {shown}, we need {_needed(white)}: {shown} would be "
            f"{'background' if grey < end / 3 else 'foreground'}"
            + (", but is sRGB's 128 in linear light" if light else ""),
            hint=_middle_hint(info.path, share, light=light),
        )


def check_trimap_size(trimap: PictureInfo, picture: PictureInfo) -> None:
    """Refuse a trimap that has not the picture's size.

    Raises:
        InputError: The sizes differ.
    """
    if (trimap.height, trimap.width) != (picture.height, picture.width):
        raise InputError(
            f"{trimap.path or 'the trimap'} is {trimap.width}x{trimap.height} but {picture.path or 'the picture'} is "
            f"{picture.width}x{picture.height} (width x height, after EXIF rotation)",
            hint="Give a trimap of the picture's size; a trimap is never resized.",
        )


def stretch_hint(path: Path | None) -> str:
    """How to make the largest value white, as a command."""
    if path is None:
        return 'If the largest is foreground: (trimap / trimap.max() * 255).round().astype("uint8")'
    code = _code(path, ".white.png", straight=False, pick="..., 0")
    return f"If 0 is background and the largest foreground: {code}"


def _middle_hint(path: Path | None, grey: float, *, light: bool) -> str:
    """How to make the grey the middle one."""
    first = "Save it without the conversion to linear light" if light else "Save it with the unknown pixels at 128"
    if path is None:
        return f"{first}, in 8 bit."
    source, kept = json.dumps(str(path)), json.dumps(str(path.with_suffix(".middle.png")))
    code = (
        f"import OpenImageIO as o; a = o.ImageBuf({source}).get_pixels()[..., 0]; "
        f'o.ImageBuf(((a > {grey / 2:.3g}) * 128 + (a > {(grey + 1) / 2:.3g}) * 127).astype("uint8")).write({kept})'
    )
    return f"{first}, or, if it is the unknown: python -c {shlex.quote(code)}"


def _shares(counts: np.ndarray) -> str:
    shares = 100 * counts[[255, 128, 0]] / counts.sum()
    return f"{shares[0]:.1f} % are foreground, {shares[1]:.1f} % unknown and {shares[2]:.1f} % background"


def _needed(white: float) -> str:
    if white == 1:
        return "0 (background), 0.5 (unknown) and 1 (foreground)"
    return f"0 (background), {(int(white) + 1) // 2} (unknown) and {int(white)} (foreground) in {_bits(white)} bit"


def _bits(white: float) -> int:
    return int(white).bit_length()


def _keep_one(path: Path | None) -> str:
    if path is None:
        return "Give the one that is right: array[..., 0] for the greys, array[..., 3] for the alpha."
    code = _code(path, ".grey.png", straight=True, pick="..., CHANNEL")
    return f"Write the one that is right, CHANNEL 0 for the greys or -1 for the alpha: {code}"


def _code(path: Path, suffix: str, *, straight: bool, pick: str) -> str:
    """A command that writes one channel of a file so that its largest value is white."""
    source, kept = json.dumps(str(path)), json.dumps(str(path.with_suffix(suffix)))
    config = 'c = o.ImageSpec(); c["oiio:UnassociatedAlpha"] = 1; ' if straight else ""
    opened = f"o.ImageBuf({source}, 0, 0, c)" if straight else f"o.ImageBuf({source})"
    return "python -c " + shlex.quote(
        f"import OpenImageIO as o; {config}a = {opened}.get_pixels()[{pick}]; "
        f'o.ImageBuf((a / a.max() * 255).round().astype("uint8")).write({kept})'
    )
