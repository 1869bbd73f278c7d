"""The common input of all metrics: predicted and true matte as 8 bits and the mask of unknown pixels, checked.

Arrays only: no files. Called by metrics.py and seams.py. Read top to bottom:

    checked_bytes    both mattes as uint8, and the mask; errors name the array that is wrong
    bands            a picture's rows in slices of bounded size
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from hdmatt.errors import InputError
from hdmatt.pictures.objects import array_of
from hdmatt.pictures.trimap import UNKNOWN

BAND_PIXELS = 1 << 21  # Grad and seam go through the picture in bands of rows of about this many pixels

# Deliberately loose: the functions check shape and type themselves, with an error a caller can act on.
AnyArray = Any

Bytes = UInt8[np.ndarray, "h w"]
Mask = Bool[np.ndarray, "h w"]


def checked_bytes(
    prediction: AnyArray,
    truth: AnyArray,
    trimap: AnyArray,
    names: tuple[str, str, str] = ("the prediction", "the truth", "the trimap"),
) -> tuple[Bytes, Bytes, Mask]:
    """Both mattes as uint8, and the mask of unknown pixels.

    Raises:
        InputError: Sizes differ, an array is not a matte (type, NaN, range), or no pixel is unknown.
    """
    prediction, truth, trimap = (_array(a, name) for a, name in zip((prediction, truth, trimap), names, strict=True))
    if trimap.dtype != np.uint8:
        raise InputError(
            f"{names[2]} is {trimap.dtype}, need uint8 with 0, 128 and 255",
            hint="Give background as 0, unknown pixels as 128 and foreground as 255.",
        )
    for array, name in zip((prediction, truth, trimap), names, strict=True):
        if array.ndim != 2:
            raise InputError(
                f"{name} has shape {array.shape}, need two axes (height, width)", hint="Pass one channel: matte[..., 0]"
            )
        if array.shape != trimap.shape:
            raise InputError(
                f"{name} is {_size(array)} but {names[2]} is {_size(trimap)} (height x width)",
                hint="All three must be of the same picture, unscaled",
            )
    unknown = trimap == UNKNOWN
    if not unknown.any():
        found = ", ".join(str(value) for value in np.unique(trimap)[:8])
        raise InputError(
            f"{names[2]} has no unknown pixel (exactly {UNKNOWN}); it holds {found}",
            hint="Give background as 0, unknown pixels as 128 and foreground as 255.",
        )
    return _as_bytes(prediction, names[0]), _as_bytes(truth, names[1]), unknown


def _array(value: Any, name: str) -> np.ndarray:
    return value if type(value) is np.ndarray else array_of(value, name)


def _size(array: AnyArray) -> str:
    return "x".join(str(length) for length in array.shape)


def _as_bytes(matte: AnyArray, name: str) -> Bytes:
    if matte.dtype == np.uint8:
        return matte
    if not np.issubdtype(matte.dtype, np.floating):
        raise InputError(
            f"{name} is {matte.dtype}, need uint8 or float in [0, 1]", hint="Divide a 16-bit matte by 65535"
        )
    low, high = float(matte.min()), float(matte.max())  # NaN if any value is
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"{name} holds NaN or infinite values", hint="Look for a division by zero before scoring")
    if low < -1e-3 or high > 1 + 1e-3:  # rounding noise of a resize or a network is forgiven
        raise InputError(f"{name} is float from {low:.4g} to {high:.4g}, need [0, 1]", hint="Divide by 255, or clip it")
    result = np.empty(matte.shape, np.uint8)
    for rows in bands(*matte.shape):
        result[rows] = np.clip(np.floor(matte[rows].astype(np.float32) * np.float32(255) + np.float32(0.5)), 0, 255)
    return result


def bands(height: int, width: int) -> Iterator[slice]:
    """All rows of a picture, about BAND_PIXELS at a time."""
    step = max(1, BAND_PIXELS // max(1, width))
    for y in range(0, height, step):
        yield slice(y, min(y + step, height))
