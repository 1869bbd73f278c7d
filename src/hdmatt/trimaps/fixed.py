"""Trimaps whose unknown band has a fixed width, made some rows at a time. Knows nothing of files and networks.

fixed_band_rows    a mask's rows -> the trimap's rows, exact to the pixel
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN, farther_than
from hdmatt.trimaps.mask_rows import MaskRows

_ROWS = 256  # of the trimap that are made together, at least


def fixed_band_rows(mask: MaskRows, *, inside: int, outside: int) -> Iterator[UInt8[np.ndarray, "_ w"]]:
    """The trimap's rows from top to bottom; the mask is read once, downwards.

    A pixel is foreground if the mask is 255 everywhere within `inside` of it, background if it is 0 everywhere within
    `outside`; what lies beyond the picture counts as neither, so a mask that runs out of the picture gets no band
    along the picture's edge. The rows are those of the whole mask at once, to the last pixel.

    Memory: about 9 bytes a pixel for three times the wider of both widths in rows, at least 256 rows: 310 MB for
    20000 x 20000 pixels and a band of 2 % (566 pixels).

    Args:
        inside: Pixels, 0 or more.
        outside: Pixels, 0 or more.
    """
    reach = max(inside, outside)
    rows = max(_ROWS, reach)
    held, top, read = np.empty((0, mask.width), np.uint8), 0, 0  # rows top .. read-1 of the mask
    for y0 in range(0, mask.height, rows):
        y1 = min(y0 + rows, mask.height)
        below = min(y1 + reach, mask.height)
        above = max(0, y0 - reach)
        held = np.concatenate([held[above - top :], mask.rows(read, below)]) if below > read else held[above - top :]
        top, read = above, max(read, below)
        trimap = np.full(held.shape, UNKNOWN, np.uint8)
        trimap[farther_than(inside, held == FOREGROUND)] = FOREGROUND
        trimap[farther_than(outside, held == BACKGROUND)] = BACKGROUND
        yield trimap[y0 - top : y1 - top]
