"""Where the colours lie in the pixels of a BMP, which OpenImageIO takes to be one way always.

Knows the header of a BMP; decodes nothing. Called by pictures/files/decoder.py.

    colours_of_bmp    the numbers of the red, green and blue channels of one of 32 bit
    is_565            whether one of 16 bit has 6 bits for green, which OpenImageIO reads as 5

Source:
    Microsoft, "BITMAPV5HEADER": with BI_BITFIELDS three masks say where red, green and blue lie in a pixel's bits.
    They stand behind the first 40 bytes of the header, whatever its version.
"""

import struct
from pathlib import Path

from hdmatt.errors import InputError

_HEAD = 66  # bytes: a file header of 14, a header of 40, three masks
_BITFIELDS = (3, 6)  # without and with a mask for alpha
_555, _565 = (0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F)
_BYTES = {0xFF: 2, 0xFF00: 1, 0xFF0000: 0, 0xFF000000: 3}  # the channel of OpenImageIO that holds this byte


def colours_of_bmp(path: Path) -> list[int] | None:
    """The numbers of red, green and blue among OpenImageIO's channels; None where these are as it says.

    Raises:
        InputError: The masks are no whole bytes; of 16 bit not the usual ones.
    """
    with path.open("rb") as file:
        bits, masks = _bits_and_masks(file.read(_HEAD))
    if not masks or (bits == 16 and masks in (_555, _565)):
        return None
    if bits == 16 or not set(masks) <= set(_BYTES) or len(set(masks)) < 3:
        shown = ", ".join(f"{mask:08x}" for mask in masks)
        where = "are no whole bytes" if bits == 32 else "have neither 5, 5, 5 nor 5, 6, 5 bits"
        raise InputError(
            f"{path} is a BMP of {bits} bit whose colours {where} (masks {shown}), which we cannot read",
            hint="Save it as PNG in a program that reads it.",
        )
    return [_BYTES[mask] for mask in masks]


def is_565(head: bytes) -> bool:
    """Whether these are the first bytes of a BMP of 16 bit with 5, 6 and 5 bits of red, green and blue."""
    return head[:2] == b"BM" and _bits_and_masks(head) == (16, _565)


def _bits_and_masks(head: bytes) -> tuple[int, tuple[int, ...]]:
    """Bits of a pixel, and the masks of red, green and blue; () where the header has none."""
    if len(head) < _HEAD:
        return 0, ()
    bits, compression = struct.unpack_from("<HI", head, 28)
    return bits, struct.unpack_from("<3I", head, 54) if compression in _BITFIELDS and bits in (16, 32) else ()
