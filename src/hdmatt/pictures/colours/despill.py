"""Light of a green or blue screen on the subject, taken from the foreground's colours.

Arrays only; knows nothing of files and outputs. Read top to bottom:

    strength_of    a number from a caller, checked
    screen_of      which of the two screens the background is
    despilled      the colours without the screen's light

The rule is the one that compositors use most: the screen's colour is at most the larger of the other two. It leaves
skin, hair and all that is not green (or blue) alone, and takes what is so by itself for spill.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from hdmatt.errors import InputError

_COLOURS = ("red", "green", "blue")
_SCREENS = (1, 2)
_AHEAD = 1.25  # times the larger of the other two, on average; screens in shadow have 1.5


def strength_of(value: Any) -> float:
    """A strength from 0 (off) to 1.

    Raises:
        InputError: It is none.
    """
    if isinstance(value, bool | str) or not isinstance(value, int | float | np.number) or not 0 <= float(value) <= 1:
        raise InputError(f"despill is {value!r}, we need a number from 0 to 1", hint="Give --despill 1, for example.")
    return float(value)


def screen_of(bands: Iterable[tuple[Float32[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]], name: str) -> int:
    """The number of the screen's colour, 1 for green and 2 for blue, by the mean of the background.

    Args:
        bands: Rows of the picture, and where they are surely background.
        name: The picture's, for the message.

    Raises:
        InputError: There is no such pixel, or their mean is neither green nor blue.
    """
    total, count = np.zeros(3), 0
    for colours, known in bands:
        total += colours[known].sum(axis=0, dtype=np.float64)
        count += int(known.sum())
    hint = "Leave --despill out."
    if not count:
        raise InputError(
            f"--despill needs the colour of a screen, and the trimap of {name} has no background", hint=hint
        )
    mean = total / count
    screen = int(np.argmax(mean))
    if screen not in _SCREENS or mean[screen] < _AHEAD * np.delete(mean, screen).max():
        shown = ", ".join(f"{colour} {value:.2f}" for colour, value in zip(_COLOURS, mean, strict=True))
        raise InputError(
            f"--despill is for a green or blue screen, and the background of {name} is {shown} on average", hint=hint
        )
    return screen


def despilled(colours: Float32[np.ndarray, "h w 3"], screen: int, strength: float) -> Float32[np.ndarray, "h w 3"]:
    """Colours whose `screen` is lowered, by 1 to the larger of the other two, by 0 not at all."""
    first, second = (i for i in range(3) if i != screen)
    limit = np.maximum(colours[..., first], colours[..., second])
    changed = colours.copy()
    changed[..., screen] -= np.float32(strength) * np.maximum(colours[..., screen] - limit, 0)
    return changed
