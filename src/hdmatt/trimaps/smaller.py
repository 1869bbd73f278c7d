"""The picture at reduced size, as making a trimap looks at it. Knows nothing of masks.

AUTOMATIC_SIDE    longer side of the smaller picture that an automatic trimap is made from
step_for          pixels of the picture for one of the smaller picture
smaller_picture   rows of the picture, and of what goes with it -> both at reduced size
eight_bits        colours for OpenCV and others
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.overview.small_matte import small_picture
from hdmatt.pictures.reader import BandReader, network_colours
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.system.memory import MIB

AUTOMATIC_SIDE = 1200  # pixels, about
_ROW_BYTES = 64 * MIB  # of rows that are read together, with their floats


def step_for(height: int, width: int, *, side: int) -> int:
    """Pixels along a side for one of the smaller picture, whose longer side is about `side`; 1: the picture itself."""
    return max(1, round(max(height, width) / side))


def smaller_picture(
    picture: BandReader, step: int, rows: Callable[[int, int], np.ndarray] | None = None
) -> tuple[Float32[np.ndarray, "y x 3"], UInt8[np.ndarray, "y x"]]:
    """Means of squares of `step` pixels, display-encoded in [0, 1], read from top to bottom in bounded memory.

    Args:
        rows: y0, y1 -> rows of 0, 128 and 255 that are reduced, too: a square keeps the value that all of it has, else
            it is 128. None: all of it is 128.
    """
    info = picture.info
    together = max(1, _ROW_BYTES // (info.width * (3 * info.dtype.itemsize + 40)) // step) * step

    def pieces():
        for y0 in range(0, info.height, together):
            y1 = min(y0 + together, info.height)
            values = np.full((y1 - y0, info.width), UNKNOWN, np.uint8) if rows is None else rows(y0, y1)
            yield network_colours(picture.rows(y0, y1), info.encoding), values

    return small_picture(pieces(), step)


def eight_bits(colours: Float32[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "y x 3"]:
    """Colours in [0, 1] as 0 to 255, rounded."""
    return np.rint(colours * 255).astype(np.uint8)
