"""Levels of the matte: low values become 0, high ones 1, before any output is made of it.

range_of    two numbers from a caller, checked
in_range    the rows of a matte at these levels
levels      the same for one array
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import InputError

WHOLE = (0.0, 1.0)


def range_of(value: Any) -> tuple[float, float]:
    """LOW and HIGH of a matte's levels.

    Raises:
        InputError: Not two numbers with 0 <= LOW < HIGH <= 1.
    """
    hint = "Give --matte-range LOW HIGH with 0 <= LOW < HIGH <= 1, as --matte-range 0.02 0.98."
    try:
        low, high = (float(one) for one in value if not isinstance(one, bool | str))
    except (TypeError, ValueError):
        raise InputError(f"matte_range is {value!r}, we need two numbers", hint=hint) from None
    if not 0 <= np.float32(low) < np.float32(high) <= 1:
        raise InputError(f"matte_range is {low:g} to {high:g}", hint=hint)
    return low, high


def in_range(
    rows: Iterator[tuple[int, Float32[np.ndarray, "rows width"]]], matte_range: tuple[float, float]
) -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
    """The rows of a matte at these levels, one after the other; by (0, 1) the very same rows."""
    for y0, alpha in rows:
        yield y0, alpha if matte_range == WHOLE else levels(alpha, *matte_range)
        del alpha  # or it would be held while the next is made


def levels(alpha: Float32[np.ndarray, "h w"], low: float, high: float) -> Float32[np.ndarray, "h w"]:
    """Exactly 0 at and below `low`, exactly 1 at and above `high`, linear between."""
    first, last = np.float32(low), np.float32(high)
    changed = alpha - first
    changed /= last - first
    return np.clip(changed, 0, 1, out=changed)
