"""What lies behind a composite of a box: a colour as people type it, three numbers, or pixels of the box's size.

behind    any of them -> colours in the picture's encoding
"""

from typing import Any

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import InputError
from hdmatt.pictures.colours import colour
from hdmatt.pictures.colours.encoding import SRGB, Encoding, convert
from hdmatt.pictures.objects import array_of
from hdmatt.pictures.reader import as_float


def behind(background: Any, size: tuple[int, int], encoding: Encoding) -> Float32[np.ndarray, "... 3"]:
    """Colours in the picture's encoding.

    Args:
        background: Text is display-encoded. Numbers are in the picture's encoding; pixels that are integers are scaled
            to [0, 1], three numbers are not.
        size: Height and width of the box.

    Raises:
        InputError: It is none of these.
    """
    if isinstance(background, str):
        found = colour.parse_colour(background)
        return convert(found, SRGB, encoding) if encoding.light else found
    values = np.asarray(array_of(background, "the background"))
    if values.shape == (3,):
        return values.astype(np.float32)
    if values.shape != (*size, 3):
        raise InputError(
            f"the background has the shape {values.shape}",
            hint=f"Give a colour, or pixels of the box: {size[0]} x {size[1]} x 3.",
        )
    return as_float(values if values.dtype.kind != "f" else values.astype(np.float32))
