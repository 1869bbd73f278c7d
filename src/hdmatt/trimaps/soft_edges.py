"""Where a picture's edge is soft, along a line across it. Arrays only.

REACH         pixels on each side that are looked at
soft_contacts    which steps from foreground to background lie where the picture changes slowly
"""

import numpy as np
from jaxtyping import Bool, Float32

REACH = 8
_CONTRAST = 0.08  # of white: less tells nothing
_SHARP = 0.5  # of the whole change within three pixels: an edge that needs no unknown band
_TOGETHER = 50_000


def soft_contacts(
    colours: Float32[np.ndarray, "h w 3"], ys: np.ndarray, xs: np.ndarray, *, along_y: bool
) -> Bool[np.ndarray, "n"]:
    """Whether the picture changes slowly from (y, x) to its neighbour, below it or to its right.

    Slowly: no step of three pixels has half of the change over 18 pixels. Where that change is small (two sides of one
    colour) nothing is said, so the answer is no.

    Args:
        colours: In [0, 1]; beyond its border the nearest pixel counts.
    """
    height, width = colours.shape[:2]
    soft = np.zeros(len(ys), bool)
    offsets = np.arange(-REACH, REACH + 2)
    for i in range(0, len(ys), _TOGETHER):
        part = slice(i, i + _TOGETHER)
        y, x = ys[part, None], xs[part, None]
        rows = (y + offsets if along_y else y + 0 * offsets).clip(0, height - 1)
        columns = (x + 0 * offsets if along_y else x + offsets).clip(0, width - 1)
        line = colours[rows, columns]  # [n, 2 REACH + 2, 3]
        whole = np.abs(line[:, -1] - line[:, 0])
        channel = whole.argmax(axis=1)
        values = np.take_along_axis(line, channel[:, None, None], axis=2)[..., 0]
        change = whole.max(axis=1)
        steepest = np.abs(values[:, 3:] - values[:, :-3]).max(axis=1)
        soft[part] = (change >= _CONTRAST) & (steepest < _SHARP * change)
    return soft
