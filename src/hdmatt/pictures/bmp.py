"""The order of the colours in a BMP of 32 bit, which OpenImageIO takes to be blue, green, red and alpha always.

Knows the header of a BMP; decodes nothing. Called by pictures/decoder.py.

    colours_of_bmp    the numbers of its red, green and blue channels

Source:
    Microsoft, "BITMAPV5HEADER": with BI_BITFIELDS three masks say where red, green and blue lie in a pixel's 32 bits.
    They stand behind the first 40 bytes of the header, whatever its version.
"""

import struct
from pathlib import Path

from hdmatt.errors import InputError

_HEAD = 66  # bytes: a file header of 14, a header of 40, three masks
_BITFIELDS = (3, 6)  # without and with a mask for alpha
_BYTES = {0xFF: 2, 0xFF00: 1, 0xFF0000: 0, 0xFF000000: 3}  # the channel of OpenImageIO that holds this byte


def colours_of_bmp(path: Path) -> list[int] | None:
    """The numbers of red, green and blue among OpenImageIO's channels; None where these are as it says.

    Raises:
        InputError: The masks are no whole bytes.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if len(head) < _HEAD:
        return None
    bits, compression = struct.unpack_from("<HI", head, 28)
    masks = struct.unpack_from("<3I", head, 54)
    if bits != 32 or compression not in _BITFIELDS:
        return None
    if not set(masks) <= set(_BYTES) or len(set(masks)) < 3:
        shown = ", ".join(f"{mask:08x}" for mask in masks)
        raise InputError(
            f"{path} is a BMP whose colours are no whole bytes (masks {shown}), which we cannot read",
            hint="Save it as PNG in a program that reads it.",
        )
    return [_BYTES[mask] for mask in masks]
