"""Formats of unreadable files, by their first bytes, and what to do about each.

Knows how codings are marked; decodes nothing. Called by pictures/files/decoder.py.

    Coding            what a file is, and one thing to do
    coding_of         of a file that could not be opened
    unusual_coding    of a file that was opened, where not every build of the libraries can decode it
    psd_colours       what the colours of a PSD are, by its header
    other_pictures    what is said of a PNG, WebP or JPEG that holds more pictures than one
"""

import struct
from pathlib import Path
from typing import Any, NamedTuple

_SAVE = "Save it as PNG, TIFF (LZW or zip) or EXR in a program that reads it."
_DEVELOP = "Develop it to a 16-bit TIFF in a raw converter, for example: darktable-cli {name} {stem}.tif"
_HEAD = 65536
_BRANDS = {
    b"crx ": ("a Canon camera raw file (CR3)", _DEVELOP),
    b"jxl ": ("a JPEG XL file", _SAVE),
    **dict.fromkeys(
        (b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"M4V ", b"3gp4", b"avc1"),
        ("a film", "Extract one picture of it, for example: ffmpeg -i {name} -frames:v 1 {stem}.png"),
    ),
}
_MARKS = (  # offset, bytes, what it is, what to do
    (8, b"CR\x02", "a Canon camera raw file (CR2)", _DEVELOP),
    (6, b"HEAPCCDR", "a Canon camera raw file (CRW)", _DEVELOP),
    (0, b"FUJIFILMCCD-RAW", "a Fujifilm camera raw file (RAF)", _DEVELOP),
    (0, b"IIRO", "an Olympus camera raw file (ORF)", _DEVELOP),
    (0, b"IIRS", "an Olympus camera raw file (ORF)", _DEVELOP),
    (0, b"IIU\0", "a Panasonic camera raw file (RW2)", _DEVELOP),
    (0, b"FOVb", "a Sigma camera raw file (X3F)", _DEVELOP),
    (0, b"\0MRM", "a Minolta camera raw file (MRW)", _DEVELOP),
    (0, b"\xff\x0a", "a JPEG XL file", _SAVE),
    (0, b"II\xbc\x01", "a JPEG XR file", _SAVE),
    (0, b"%PDF", "a PDF", "Render it to a PNG first, for example: pdftoppm -png {name} {stem}"),
    (0, b"%!PS", "PostScript", "Render it to a PNG first."),
    (0, b"gimp xcf", "a GIMP project (XCF)", "Export it as PNG, TIFF or EXR from GIMP."),
    (0, b"PK\x03\x04", "an archive or a project (zip, Krita, OpenRaster)", "Export the picture as PNG or TIFF."),
    (128, b"DICM", "a DICOM file", _SAVE),
    (0, b"<svg", "a drawing (SVG)", "Render it to a PNG first, for example: inkscape {name} -o {stem}.png"),
    (0, b"qoif", "a QOI file", _SAVE),
    (0, b"<!DOCTYPE html", "a web page", "Download the picture itself."),
    (0, b"<html", "a web page", "Download the picture itself."),
)
_FRAMES = {
    0xC3: "a lossless JPEG",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA), "a JPEG with arithmetic coding"),
    0xCB: "a lossless JPEG with arithmetic coding",
}
_USUAL = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}  # of a TIFF: libtiff decodes them whatever it was built with
_COMPRESSIONS = {
    6: "old-style JPEG",
    34676: "SGI LogLuv",
    34712: "JPEG 2000",
    34713: "Nikon raw",
    34887: "LERC",
    34892: "lossy DNG JPEG",
    34925: "LZMA",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL (DNG)",
}


_PSD_COLOURS = {0: "bitmap", 1: "grey", 2: "palette", 3: "RGB", 4: "CMYK", 7: "multichannel", 8: "duotone", 9: "Lab"}
_UNREADABLE_PSD = ("multichannel", "duotone", "Lab")


class Coding(NamedTuple):
    """Format of an unreadable file, and one thing to do."""

    name: str
    hint: str


def coding_of(path: Path) -> Coding | None:
    """Format of a file that could not be opened; None if its first bytes say nothing."""
    head = _first_bytes(path)
    for offset, mark, name, hint in _MARKS:
        if head[offset : offset + len(mark)].lower() == mark.lower():
            return _coding(path, name, hint)
    if head[4:8] == b"ftyp" and head[8:12] in _BRANDS:
        return _coding(path, *_BRANDS[head[8:12]])
    if head[:2] == b"#?" and b"\nFORMAT=32-bit_rle_xyze" in head:
        return _coding(path, "a Radiance picture of XYZ colours", _SAVE)
    if _is_signed_jpeg2000(head):
        return _coding(path, "a JPEG 2000 file of signed numbers", _SAVE)
    if (colours := psd_colours(path)) in _UNREADABLE_PSD:
        return _coding(path, f"a PSD of {colours} colours", "Convert it to RGB (Image > Mode) and save it again.")
    if colours and not _has_merged(path):
        hint = "Save it again with Maximize Compatibility (Preferences > File Handling), or flatten it."
        return _coding(path, "a PSD without a merged picture", hint)
    return _jpeg(path, head)


def unusual_coding(path: Path, file_format: str, spec: Any) -> Coding | None:
    """Coding of a file that some builds of the libraries cannot decode; None for usual ones."""
    if file_format == "jpeg":
        return _jpeg(path, _first_bytes(path))
    compression = spec.get_int_attribute("tiff:Compression", 1) if file_format == "tiff" else 1
    if compression in _USUAL:
        return None
    name = _COMPRESSIONS.get(compression, f"number {compression}, an unknown")
    return _coding(path, f"a TIFF with {name} compression", _SAVE)


def psd_colours(path: Path) -> str:
    """Colour mode of a PSD or PSB, such as "RGB" or "CMYK"; "" of another file."""
    head = _first_bytes(path, 26)
    return _PSD_COLOURS.get(int.from_bytes(head[24:26], "big"), "") if head[:4] == b"8BPS" else ""


def _is_signed_jpeg2000(head: bytes) -> bool:
    """Whether a component is: the high bit of its depth in the marker SIZ. ITU-T T.800, A.5.1."""
    at = head.find(b"\xff\x4f\xff\x51")  # start of the codestream, and SIZ
    if at < 0 or (head[:4] != b"\xff\x4f\xff\x51" and head[4:8] != b"jP  "):
        return False
    count = int.from_bytes(head[at + 40 : at + 42], "big")
    return any(depth & 0x80 for depth in head[at + 42 : at + 42 + 3 * count : 3])


def _has_merged(path: Path) -> bool:
    """Whether a PSD holds its picture besides the layers: image resource 1057, "version info", says so."""
    try:
        with path.open("rb") as file:
            file.seek(26)
            (length,) = struct.unpack(">I", file.read(4))
            file.seek(length, 1)  # colour mode data
            end = struct.unpack(">I", file.read(4))[0] + file.tell()
            while file.tell() < end and (head := file.read(7))[:4] == b"8BIM":
                file.seek(head[6] | 1, 1)  # the rest of a name, padded to an even length
                (length,) = struct.unpack(">I", file.read(4))
                if head[4:6] == b"\x04\x21":
                    return file.read(5)[4:] != b"\0"
                file.seek(length + length % 2, 1)
    except (OSError, struct.error):
        pass
    return True


def other_pictures(path: Path, file_format: str) -> str:
    """What a user should know of a PNG, WebP or JPEG that holds more pictures than the one that OpenImageIO counts."""
    head = _first_bytes(path)
    several = "holds several pictures: the first one was taken"
    if file_format == "webp":
        return several if head[12:16] == b"VP8X" and head[20] & 2 else ""
    if file_format == "png":
        return several if b"acTL" in head[: head.find(b"IDAT")] else ""
    if file_format != "jpeg" or b"MPF\0" not in head:
        return ""
    if b"hdrgm:" in head:
        return "holds a gain map for HDR displays, which was left out"
    return several if _multi_picture(path) else ""


def _multi_picture(path: Path) -> bool:
    """Whether a JPEG holds more pictures (MPO) that are no smaller copies of the first. CIPA DC-007, 5.2.3.3."""
    from PIL.MpoImagePlugin import MpoImageFile

    try:
        with MpoImageFile(path) as file:
            kinds = [str(entry["Attribute"]["MPType"]) for entry in (file.mpinfo or {}).get(0xB002, ())]
    except (OSError, SyntaxError, ValueError, KeyError, TypeError):
        return False  # damaged: the first picture is read whatever stands there
    return any("Thumbnail" not in kind for kind in kinds[1:])


def _coding(path: Path, name: str, hint: str) -> Coding:
    return Coding(name, hint.format(name=path, stem=path.with_suffix("")))


def _jpeg(path: Path, head: bytes) -> Coding | None:
    """A JPEG that is not of 8 bit, or neither baseline nor progressive."""
    if head[:2] != b"\xff\xd8":
        return None
    place = 2
    while place + 5 < len(head) and head[place] == 0xFF:
        marker, length = head[place + 1], int.from_bytes(head[place + 2 : place + 4], "big")
        if marker == 0xF7:
            return _coding(path, "a JPEG-LS file", _SAVE)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits = head[place + 4]
            name = _FRAMES.get(marker, "a JPEG")
            if bits != 8:
                return _coding(path, f"{name} of {bits} bit", _SAVE)
            return _coding(path, name, _SAVE) if marker in _FRAMES else None
        place += 2 + length
    return None


def _first_bytes(path: Path, count: int = _HEAD) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError:
        return b""
