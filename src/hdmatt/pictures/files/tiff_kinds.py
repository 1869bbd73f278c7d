"""The kinds of TIFF: which of them are read, and what OpenImageIO leaves undone in them.

Knows the tags of a TIFF as OpenImageIO gives them; decodes nothing. Called by pictures/files/decoder.py.

    check_tiff           refuses TIFFs that would be read unconverted, or whose meaning is unknown
    Complement, complement_of    min-is-white channels that are still to be turned into white minus the number

OpenImageIO 3.2 turns min-is-white pictures of up to 8 bit into their complement, all channels alike, and passes on
others as they are stored. tests/pictures/files/test_tiff_kinds.py compares every kind with other readers.
"""

from pathlib import Path
from typing import Any, NamedTuple

from hdmatt.errors import InputError

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_JPEG = 7
_UNREADABLE = {
    4: "a transparency mask",
    8: "CIELab colours",
    9: "ICC Lab colours",
    10: "ITU Lab colours",
    32803: "a colour filter array (undeveloped camera raw)",
    32844: "LogL luminance",
    32845: "LogLuv colours",
    34892: "linear raw colours (DNG)",
    51177: "a depth map",
    52527: "a semantic mask",
}


class Complement(NamedTuple):
    """Which channels are white minus the number that OpenImageIO gives."""

    colours: bool
    alpha: bool


def complement_of(spec: Any) -> Complement:
    """What is left to do for a min-is-white TIFF; (False, False) for all other pictures."""
    if spec.get_int_attribute("tiff:PhotometricInterpretation", -1) != _MIN_IS_WHITE:
        return Complement(colours=False, alpha=False)
    done = str(spec.format) == "uint8"
    return Complement(colours=not done, alpha=done)


def check_tiff(path: Path, spec: Any) -> None:
    """Refuse a TIFF whose numbers are no colours that we know.

    Raises:
        InputError: Lab, raw or other special colours, volumes, signed integers or 64-bit floats, palettes of 16 bit or
            of numbers up to 255, two alphas, inks beyond CMYK, grey by its label but of three channels, or min-is-white
            where white is unknown.
    """
    photometric = spec.get_int_attribute("tiff:PhotometricInterpretation", -1)
    kind, names = str(spec.format), list(spec.channelnames)
    # OpenImageIO converts YCbCr by libtiff's RGBA interface: 8 bit, and turned for some orientations but not all
    odd_ycbcr = photometric == _YCBCR and spec.get_int_attribute("tiff:Compression", 1) != _JPEG
    if spec.get_int_attribute("tiff:subfiletype") & 1:
        raise InputError(
            f"{path} begins with a smaller copy of its picture, as camera raw files do (DNG, NEF, ARW)",
            hint=f"Develop it to a 16-bit TIFF in a raw converter, for example: darktable-cli {path} developed.tif",
        )
    if photometric in _UNREADABLE:
        raise _not_readable(path, f"holds {_UNREADABLE[photometric]}", "grey, RGB, palette, CMYK or YCbCr")
    if kind == "double":
        # OpenImageIO 3.2 returns uninitialised memory for scanlines of these, without a word
        raise InputError(
            f"{path} has 64-bit floats, of a TIFF we can read 8 and 16 bit integers and 16 and 32-bit floats",
            hint="Save it with 32-bit floats.",
        )
    if kind.startswith("int"):
        raise InputError(
            f"{path} has signed integers, and nobody can tell which number is black and which is white",
            hint="Save it with unsigned integers of 8 or 16 bit, or with floats from 0 to 1.",
        )
    if photometric == _SEPARATED and (len(names) != 3 or kind not in ("uint8", "uint16")):
        raise _not_readable(path, f"has {len(names)} inks of {kind}", "CMYK of 8 or 16 bit without alpha")
    if odd_ycbcr and spec.get_int_attribute("Orientation", 1) != 1:
        raise _not_readable(path, "holds YCbCr colours and is to be turned", "YCbCr that is upright")
    if odd_ycbcr and spec.get_int_attribute("oiio:BitsPerSample", 8) != 8:
        raise _not_readable(path, "holds YCbCr colours that are not 8 bit", "YCbCr of 8 bit")
    if photometric == _PALETTE and spec.get_int_attribute("oiio:BitsPerSample", 8) > 8:
        raise _not_readable(path, "has a palette of more than 256 colours", "palettes of up to 8 bit")
    if photometric == _PALETTE and 0 < _palette_reach(path) < 256:
        raise _not_readable(path, "has a palette of numbers up to 255, where white is 65535", "palettes up to 65535")
    if spec.tile_depth > 1:
        raise _not_readable(path, "holds a volume of several slices", "flat pictures")
    if names.count("A") > 1:
        raise InputError(f"{path} has two alpha channels, we need one at most", hint="Save it with one of them.")
    if photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK) and {"R", "G", "B"} <= set(names):
        raise _grey_of_three(path, len(names))
    if photometric == _MIN_IS_WHITE:
        _check_min_is_white(path, spec, kind)


def _palette_reach(path: Path) -> int:
    """The largest number of a palette; OpenImageIO does not pass it on."""
    from PIL.TiffImagePlugin import COLORMAP, TiffImageFile

    try:
        with TiffImageFile(path) as file:
            return max(file.tag_v2.get(COLORMAP) or (65535,))
    except (OSError, SyntaxError, ValueError, TypeError):
        return 65535


def _check_min_is_white(path: Path, spec: Any, kind: str) -> None:
    if kind not in ("uint8", "uint16", "uint"):
        raise InputError(
            f"{path} is a min-is-white picture of {kind} numbers, and nobody can tell which number is black",
            hint="Save it as min-is-black (BlackIsZero).",
        )
    if spec.alpha_channel >= 0 and not spec.get_int_attribute("oiio:UnassociatedAlpha"):
        raise InputError(
            f"{path} is a min-is-white picture multiplied by its alpha, and nobody can tell which came first",
            hint="Save it as min-is-black (BlackIsZero), or without alpha.",
        )


def _not_readable(path: Path, found: str, needed: str) -> InputError:
    return InputError(
        f"{path} {found}, of a TIFF we can read {needed}", hint="Save it as RGB in a program that reads it."
    )


def _grey_of_three(path: Path, channels: int) -> InputError:
    return InputError(
        f"{path} is grey by its label (PhotometricInterpretation) but has {channels} channels: either the first is the "
        "picture, or three of them are red, green and blue",
        hint=f"If they are red, green and blue: oiiotool {path} --ch 0,1,2 -o {path.with_suffix('.rgb.tif')}",
    )
