"""What files say about their encoding, and what the files that we write say.

Knows attributes of files; opens PNGs and some JPEGs by Pillow, for what OpenImageIO does not pass on. Read top to
bottom:

    encoding_of     what a file says its numbers mean
    written_as      the picture as an output file holds it: its encoding, and what says so
    labelled        OpenImageIO's attributes that say so in a PNG
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hdmatt.errors import InputError
from hdmatt.pictures.colours import encoding
from hdmatt.pictures.colours.encoding import LIGHT, LINEAR, SRGB, Curve, Encoding, Matrix, Parametric, Srgb
from hdmatt.pictures.colours.icc import encoding_of_profile, primaries
from hdmatt.pictures.files.formats import EXR, PNG, TIFF, Format
from hdmatt.pictures.files.radiance import header_of
from hdmatt.pictures.info import PictureInfo

# ITU-T H.273, tables 2 and 3: x and y of red, green, blue and white; transfer functions
_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    2: None,  # unspecified
    1: None,
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
}
_REC709 = encoding.transfer("Rec.709").curves[0]
_TRANSFERS: dict[int, Curve] = {
    **dict.fromkeys((1, 6, 14, 15), _REC709),
    4: Parametric(2.2),
    5: Parametric(2.8),
    8: LIGHT,
    13: Srgb(),
}
_HDR = {16: "PQ", 18: "HLG"}
_UNCALIBRATED = 65535  # Exif's colour space of all that is not sRGB
_ADOBE_PRIMARIES = primaries((0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *_D65))
_FILM_SCAN = Encoding("a film scan", (), label=("film",), refused="a logarithmic film scan (DPX, Cineon)")
_ADOBE_RGB = Encoding("Adobe RGB (Exif)", (Parametric(563 / 256),), _ADOBE_PRIMARIES, label=("Exif",))


def encoding_of(path: Path, spec: Any, file_format: str, *, icc: bytes | None, transfer: str | None) -> Encoding:
    """What the numbers of a file mean: EXR is linear; then cICP, an ICC profile, PNG's chunks count, in this order.

    Floats without a label are linear light, integers sRGB.

    Args:
        icc: The profile, if it is for as many colours as are read.
        transfer: What the caller says of a file that does not say it; it counts before all but a profile.

    Raises:
        InputError: Nobody knows `transfer`, or the file has a profile.
    """
    if transfer is not None:
        if icc and file_format != "openexr":
            raise InputError(
                f"{path} has an ICC profile, which says its transfer function; --transfer is for files that do not say "
                "it",
                hint="Leave --transfer out, or remove the profile if it is wrong.",
            )
        named, matrix = encoding.transfer(transfer), _primaries_of(path, spec, file_format)
        label = ("named", "chromaticities") if matrix and file_format == "openexr" else named.label
        return replace(named, to_rec709=matrix, label=label)
    if file_format == "openexr":
        return _of_exr(spec)
    if code := _cicp(spec):
        return _of_cicp(code)
    if icc:
        return encoding_of_profile(icc)
    if file_format == "png":
        return _of_png(path)
    if file_format == "hdr":
        return _of_radiance(path)
    if file_format == "jpeg" and spec.get_int_attribute("Exif:ColorSpace") == _UNCALIBRATED and _is_adobe_rgb(path):
        return _ADOBE_RGB
    space = str(spec.get_string_attribute("oiio:ColorSpace")).lower()
    if space == "kodaklog" or spec.get_string_attribute("dpx:Transfer") == "Printing density":
        return _FILM_SCAN
    if file_format == "targa" and (gamma := round(float(spec.get_float_attribute("oiio:Gamma")), 2)) > 0:
        return Encoding(f"TGA with gamma {gamma:g}", (Parametric(gamma),), label=("TGA",))
    floats = str(spec.format) in ("half", "float", "double")
    if floats and file_format == "pnm":
        return LINEAR  # PFM; OpenImageIO says Rec. 709 of all of them
    if space.startswith("lin") or space == "scene_linear" or (floats and not space):
        return LINEAR
    return SRGB


def written_as(info: PictureInfo, file_format: Format | None, bit_depth: str) -> PictureInfo:
    """The picture as an output file holds it.

    EXR and unlabelled float TIFF hold linear light. Other files hold the picture's own numbers where they can say
    what these mean, by the picture's ICC profile or a chunk of PNG, and else sRGB. Numbers that the caller named (the
    curve of a camera) stay what they are. Linear light with the primaries of an EXR stays in them, in EXR only.

    Args:
        file_format: None for layers of Photoshop, which carry a profile and nothing else.
    """
    own = info.encoding
    kind = own.label[0] if own.label else ""
    if file_format is EXR:
        if own.linear and (own.to_rec709 is None or kind == "chromaticities"):
            return replace(info, icc=None)
        others = tuple(attribute for attribute in info.attributes if attribute.name != "chromaticities")
        return replace(info, encoding=LINEAR, icc=None, attributes=others)
    if _embeddable(info):
        return info
    if file_format is TIFF and bit_depth == "float":
        return replace(info, encoding=LINEAR, icc=None)
    known = (own.label == ("named",) and not own.linear) or (kind in ("gAMA", "cICP") and file_format is PNG)
    return replace(info, encoding=own if known else SRGB, icc=None)


def labelled(written: Encoding) -> Iterator[tuple[str, str | tuple[int, ...]]]:
    """OpenImageIO's attributes for a PNG of this encoding without a profile."""
    kind, *values = written.label or ("",)
    if kind == "cICP":
        yield "CICP", tuple(int(value) for value in values)
        yield "oiio:ColorSpace", "unknown"
    elif kind == "gAMA":
        yield "oiio:ColorSpace", "lin_rec709_scene" if written.linear else f"Gamma{float(values[0]):.5g}"
    else:
        yield "oiio:ColorSpace", "unknown" if kind == "named" else "srgb_rec709_scene"


def _embeddable(info: PictureInfo) -> bool:
    """Whether every output with colours can carry the picture's profile: it is for red, green and blue."""
    return bool(info.icc) and info.icc[16:20] == b"RGB "  # pyright: ignore[reportOptionalSubscript]


def _primaries_of(path: Path, spec: Any, file_format: str) -> Matrix | None:
    """What leads from the primaries that a file names to Rec. 709's, whatever it says of its transfer function."""
    if file_format == "openexr":
        return _of_exr(spec).to_rec709
    if code := _cicp(spec):
        chromaticities = _PRIMARIES.get(code[0])
        return _matrix(chromaticities) if chromaticities else None
    if file_format == "hdr":
        return _of_radiance(path).to_rec709
    return _of_png(path).to_rec709 if file_format == "png" else None


def _of_exr(spec: Any) -> Encoding:
    given = spec.getattribute("chromaticities")
    matrix = _matrix(tuple(float(value) for value in given)) if given is not None and len(given) == 8 else None
    if matrix is None:
        return LINEAR
    return Encoding("linear light with its own primaries", (LIGHT,), matrix, light=True, label=("chromaticities",))


def _cicp(spec: Any) -> tuple[int, ...]:
    given = spec.getattribute("CICP")
    code = tuple(int(value) for value in given) if given is not None else ()
    code = (1, *code[1:]) if code[:1] == (0,) else code  # grey JPEG XL: without primaries
    return code if len(code) == 4 and code[1] != 2 else ()  # 2: unspecified


def _of_cicp(code: tuple[int, ...]) -> Encoding:
    name, label = f"cICP {code[0]}-{code[1]}", ("cICP", *code)
    if code[1] in _HDR:
        return Encoding(name, (), label=label, refused=f"a picture in {_HDR[code[1]]} (cICP transfer {code[1]})")
    if not code[3]:
        return Encoding(name, (), label=label, refused=f"a picture of narrow range ({name}), whose black is not 0")
    if code[1] not in _TRANSFERS or code[0] not in _PRIMARIES:
        return Encoding(name, (), label=label, refused=f"a picture in {name}")
    chromaticities = _PRIMARIES[code[0]]
    matrix = _matrix(chromaticities) if chromaticities else None
    curve = _TRANSFERS[code[1]]
    return Encoding(name, (curve,), matrix, light=curve == LIGHT, label=label)


def _of_png(path: Path) -> Encoding:
    """By the chunks sRGB, gAMA and cHRM, which OpenImageIO passes on in part."""
    from PIL.PngImagePlugin import PngImageFile

    try:
        with PngImageFile(path) as file:  # not Image.open, which warns of large pictures
            found = file.info
    except (OSError, SyntaxError, ValueError):
        return SRGB  # what is wrong with the file is told when its rows are read
    gamma, white_first = float(found.get("gamma", 0)), found.get("chromaticity")
    if "srgb" in found or not (gamma > 0 or white_first):
        return SRGB
    matrix = _matrix((*white_first[2:], *white_first[:2])) if white_first else None
    linear = abs(gamma - 1) < 0.01
    curve = LIGHT if linear else Parametric(1 / gamma) if gamma else Srgb()
    name = f"PNG with gamma {gamma:g}" if gamma else "PNG with its own primaries"
    label = ("gAMA", 1 / gamma) if gamma and matrix is None else ("cHRM",)
    return Encoding(name, (curve,), matrix, light=linear, label=label)


def _of_radiance(path: Path) -> Encoding:
    """By the lines PRIMARIES and GAMMA of a Radiance file, which OpenImageIO leaves out or mistakes."""
    header = header_of(path)
    matrix = _matrix(header.primaries) if header.primaries else None
    if matrix is None and header.gamma == 1:
        return LINEAR
    curve = LIGHT if header.gamma == 1 else Parametric(header.gamma)
    return Encoding("a Radiance file", (curve,), matrix, light=curve == LIGHT, label=("Radiance",))


def _is_adobe_rgb(path: Path) -> bool:
    """Whether a camera says so, by DCF's index "R03"; OpenImageIO does not pass it on."""
    from PIL.ExifTags import IFD
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        with JpegImageFile(path) as file:
            return str(file.getexif().get_ifd(IFD.Interop).get(1, "")).startswith("R03")
    except (OSError, SyntaxError, ValueError, KeyError):
        return False


def _matrix(chromaticities: tuple[float, ...]) -> Matrix | None:
    try:
        with np.errstate(all="raise"):
            return primaries(chromaticities)
    except (np.linalg.LinAlgError, FloatingPointError):
        return None  # no primaries at all, as zeros
