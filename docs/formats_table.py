"""What is read from and written to every format: the table of docs/formats.md, whose cells the tests prove.

    python docs/formats_table.py            writes the two tables
    python docs/formats_table.py --check    exit code 1 if the page says something else than this file

tests/pictures/files/test_formats_table.py makes a tiny file for every row by a program that is not ours, or has one
read.

    Kind, READ       a kind of file, and what is read from it
    Written, WRITE   a format and a depth, and what is written
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).with_name("formats.md")
BEGIN, END = "<!-- formats: made by python docs/formats_table.py -->", "<!-- end of formats -->"


@dataclass(frozen=True)
class Kind:
    """A kind of file that is read. A cell that begins with "refused" says why; the message says it, too.

    Attributes:
        picture, trimap: "exact", "lossy" (within a few steps of 8 bit), "converted", or refused.
        alpha: "straight", "premultiplied" (colours are divided by it), or "-".
        depth: "8", "16", "half" or "float": of what is read.
        colour: What the numbers are without a label, then the labels that are honoured.
        metadata: What is read besides the pixels.
    """

    format: str
    kind: str
    picture: str = "exact"
    trimap: str = "exact"
    alpha: str = "-"
    depth: str = "8"
    colour: tuple[str, ...] = ("sRGB",)
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """A depth of a format that is written.

    Attributes:
        matte, colours: "exact" or "lossy"; the matte is grey, or a layer's mask.
        alpha: "straight", "premultiplied" or "-".
        numbers: "own or sRGB" (the picture's where the file can say so), "linear" or "profile or linear".
        metadata: What is written besides the pixels.
    """

    format: str
    depth: str
    matte: str = "exact"
    colours: str = "exact"
    alpha: str = "straight"
    numbers: str = "own or sRGB"
    metadata: tuple[str, ...] = ("ICC", "resolution", "Exif", "XMP")


def refused(format: str, kind: str, why: str) -> Kind:
    """A kind that is read neither as a picture nor as a trimap."""
    return Kind(format, kind, f"refused: {why}", f"refused: {why}", depth="-", colour=())


_PNG = ("sRGB", "ICC", "gAMA", "cICP")
_NOTED = ("orientation", "Exif", "XMP")
_PLACED = ("resolution", *_NOTED)
_ICC = ("sRGB", "ICC")
_LIGHT = ("linear", "ICC")
_EXR = ("linear", "chromaticities")
_HEADER = ("resolution", "windows", "attributes")

READ = (
    Kind("PNG", "grey of 1 bit", colour=_PNG, metadata=_PLACED),
    Kind("PNG", "grey of 2, 4 and 8 bit", colour=_PNG, metadata=_PLACED),
    Kind("PNG", "grey of 16 bit", depth="16", colour=_PNG, metadata=_PLACED),
    Kind("PNG", "grey and alpha of 8 bit", alpha="straight", colour=_PNG, metadata=_PLACED),
    Kind("PNG", "grey and alpha of 16 bit", alpha="straight", depth="16", colour=_PNG, metadata=_PLACED),
    Kind("PNG", "RGB of 8 bit", colour=_PNG, metadata=_PLACED),
    Kind("PNG", "RGB of 16 bit", depth="16", colour=_PNG, metadata=_PLACED),
    Kind("PNG", "RGBA of 8 bit", alpha="straight", colour=_PNG, metadata=_PLACED),
    Kind("PNG", "RGBA of 16 bit", alpha="straight", depth="16", colour=_PNG, metadata=_PLACED),
    Kind("PNG", "palette", colour=_PNG, metadata=_PLACED),
    Kind("PNG", "palette with alpha", alpha="straight", colour=_PNG, metadata=_PLACED),
    Kind("JPEG", "grey", "lossy", "lossy", colour=_ICC, metadata=_PLACED),
    Kind("JPEG", "RGB, baseline and progressive", "lossy", "lossy", colour=_ICC, metadata=_PLACED),
    Kind("JPEG", "CMYK", "converted", "converted", metadata=_PLACED),
    refused("JPEG", "12 bit", "a JPEG of 12 bit"),
    refused("JPEG", "lossless", "a lossless JPEG"),
    refused("JPEG", "JPEG-LS", "a JPEG-LS file"),
    Kind("TIFF", "grey of 1 bit", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "grey of 4 and 8 bit", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "grey of 10, 12, 14 and 16 bit", depth="16", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "grey of 32-bit integers", depth="float", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "grey of half floats", depth="half", colour=_LIGHT, metadata=_PLACED),
    Kind("TIFF", "grey of floats", depth="float", colour=_LIGHT, metadata=_PLACED),
    Kind("TIFF", "min-is-white of 1, 4 and 8 bit", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "min-is-white of 12 and 16 bit", depth="16", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "min-is-white of 32-bit integers", depth="float", colour=_ICC, metadata=_PLACED),
    refused("TIFF", "min-is-white floats", "nobody can tell which number is black"),
    Kind("TIFF", "grey and alpha of 8 bit", alpha="straight", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "RGB of 8 bit; strips, tiles, planes", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "RGB of 16 bit", depth="16", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "RGB of 32-bit integers", depth="float", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "RGB of half floats", depth="half", colour=_LIGHT, metadata=_PLACED),
    Kind("TIFF", "RGB of floats", depth="float", colour=_LIGHT, metadata=_PLACED),
    Kind("TIFF", "RGBA of 8 bit", alpha="straight", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "RGBA of 16 bit", alpha="straight", depth="16", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "RGBA of floats", alpha="straight", depth="float", colour=_LIGHT, metadata=_PLACED),
    Kind("TIFF", "RGBA of 16 bit, associated", alpha="premultiplied", depth="16", colour=_ICC, metadata=_PLACED),
    Kind("TIFF", "palette", metadata=_PLACED),
    Kind("TIFF", "CMYK of 8 bit", "converted", "converted", metadata=_PLACED),
    Kind("TIFF", "CMYK of 16 bit", "converted", "converted", depth="16", metadata=_PLACED),
    Kind("TIFF", "YCbCr", "converted", "converted", metadata=("resolution",)),
    refused("TIFF", "palette of 16 bit", "has a palette of more than 256 colours"),
    refused("TIFF", "64-bit floats", "has 64-bit floats"),
    refused("TIFF", "signed integers", "has signed integers"),
    refused("TIFF", "CIELab", "holds CIELab colours"),
    refused("TIFF", "colour filter array", "holds a colour filter array"),
    refused("TIFF", "two alphas", "has two alpha channels"),
    Kind("TIFF", "coded by LZW, zip or PackBits"),
    Kind("TIFF", "coded by JPEG", "lossy", "lossy"),
    refused("TIFF", "coded by Zstandard", "a TIFF with Zstandard compression"),
    refused("TIFF", "coded by LZMA", "a TIFF with LZMA compression"),
    refused("TIFF", "coded by JPEG XL", "a TIFF with JPEG XL compression"),
    Kind("EXR", "luminance of half floats", depth="half", colour=_EXR, metadata=_HEADER),
    Kind("EXR", "RGB of half floats", depth="half", colour=_EXR, metadata=_HEADER),
    Kind("EXR", "RGB of floats", depth="float", colour=_EXR, metadata=_HEADER),
    Kind("EXR", "RGBA of floats", alpha="premultiplied", depth="float", colour=_EXR, metadata=_HEADER),
    Kind("EXR", "layers beside depth", depth="float", colour=_EXR, metadata=_HEADER),
    Kind("EXR", "several parts", depth="float", colour=_EXR, metadata=_HEADER),
    refused("EXR", "luminance and chroma", "luminance and chroma"),
    refused("EXR", "whole numbers", "whole numbers"),
    refused("EXR", "deep", "deep"),
    Kind("WebP", "RGB, lossless", colour=_ICC, metadata=_NOTED),
    Kind("WebP", "RGBA, lossless", alpha="straight", colour=_ICC, metadata=_NOTED),
    Kind("WebP", "RGB, lossy", "lossy", "lossy", colour=_ICC, metadata=_NOTED),
    Kind("AVIF", "RGB of 8 bit", "lossy", "lossy", colour=("sRGB", "ICC", "cICP"), metadata=_NOTED),
    Kind("AVIF", "RGBA of 8 bit", "lossy", "lossy", "straight", colour=("sRGB", "ICC"), metadata=_NOTED),
    Kind("AVIF", "RGB of 10 and 12 bit", "lossy", "lossy"),
    Kind("HEIC", "RGB of 8 bit", "lossy", "lossy", colour=_ICC, metadata=_NOTED),
    Kind("HEIC", "RGBA of 8 bit", "lossy", "lossy", "straight", colour=_ICC, metadata=_NOTED),
    Kind("HEIC", "RGB of 10 bit", "lossy", "lossy", depth="16", colour=_ICC, metadata=_NOTED),
    Kind("JPEG 2000", "grey and RGB of 8 bit"),
    Kind("JPEG 2000", "grey and RGB of 16 bit", depth="16"),
    Kind("JPEG 2000", "RGBA of 8 bit", alpha="straight"),
    refused("JPEG 2000", "grey and alpha", "one, three or four components"),
    Kind("JPEG XL", "grey and RGB of 8 bit"),
    Kind("JPEG XL", "grey and alpha of 8 bit", alpha="straight"),
    Kind("JPEG XL", "RGBA of 8 bit", alpha="straight"),
    Kind("JPEG XL", "grey and RGB of 16 bit", depth="16", colour=("linear",)),
    Kind("JPEG XL", "RGB of floats", depth="float", colour=("linear",)),
    Kind("PSD", "merged picture: bitmap"),
    Kind("PSD", "merged picture: grey and RGB of 8 bit"),
    Kind("PSD", "merged picture: grey and RGB of 16 bit", depth="16"),
    Kind("PSD", "merged picture: CMYK of 8 bit", "converted", "converted"),
    Kind("PSD", "merged picture: CMYK of 16 bit", "converted", "converted", depth="16"),
    refused("PSD", "merged picture: Lab", "a PSD of Lab colours"),
    refused("PSD", "merged picture: duotone", "a PSD of duotone colours"),
    refused("PSD", "merged picture: multichannel", "a PSD of multichannel colours"),
    Kind("BMP", "1, 8 and 24 bit", metadata=("resolution",)),
    Kind("BMP", "32 bit", alpha="straight", metadata=("resolution",)),
    Kind("TGA", "grey, RGB and palette"),
    Kind("TGA", "grey and alpha", alpha="straight"),
    Kind("TGA", "RGBA", alpha="straight"),
    Kind("GIF", "palette", alpha="straight"),
    Kind("PNM", "PBM, PGM and PPM of 1 and 8 bit"),
    Kind("PNM", "PGM and PPM of 16 bit", depth="16"),
    Kind("PNM", "PFM", depth="float", colour=("linear",)),
    Kind("HDR", "RGBE", "lossy", depth="float", colour=("linear",)),
    Kind("SGI", "grey and RGB"),
    Kind("SGI", "RGBA", alpha="straight"),
    Kind("DDS", "RGB"),
    Kind("DDS", "RGBA", alpha="straight"),
    Kind("DPX", "RGB of 8 bit"),
    Kind("DPX", "RGB of 10 and 16 bit", depth="16"),
    Kind("DPX", "RGB of 10 bit, marked linear", depth="16", colour=("linear",)),
    Kind(
        "DPX",
        "RGB of 10 bit, logarithmic or printing density",
        "refused: a logarithmic film scan",
        "exact",
        depth="16",
        colour=(),
    ),
    refused("camera raw", "CR2", "a Canon camera raw file (CR2)"),
    refused("camera raw", "CR3", "a Canon camera raw file (CR3)"),
    refused("camera raw", "RAF", "a Fujifilm camera raw file (RAF)"),
    refused("camera raw", "ORF", "an Olympus camera raw file (ORF)"),
    refused("camera raw", "RW2", "a Panasonic camera raw file (RW2)"),
    refused("camera raw", "DNG, NEF, ARW", "begins with a smaller copy of its picture"),
    refused("others", "JPEG XR", "a JPEG XR file"),
    refused("others", "QOI", "a QOI file"),
    refused("others", "film (MP4, MOV)", "a film"),
    refused("others", "PDF", "a PDF"),
    refused("others", "Krita, OpenRaster", "an archive or a project"),
    refused("others", "GIMP project (XCF)", "a GIMP project (XCF)"),
)

_ATTRIBUTES = ("resolution", "windows", "attributes")
_WITH_OFFSET = ("ICC", "resolution", "offset", "Exif", "XMP")
WRITE = (
    Written("PNG", "8", metadata=_WITH_OFFSET),
    Written("PNG", "16", metadata=_WITH_OFFSET),
    Written("JPEG", "8", "lossy", "lossy", "-"),
    Written("TIFF", "8", metadata=_WITH_OFFSET),
    Written("TIFF", "16", metadata=_WITH_OFFSET),
    Written("TIFF", "float", numbers="profile or linear", metadata=_WITH_OFFSET),
    Written("EXR", "half", alpha="premultiplied", numbers="linear", metadata=_ATTRIBUTES),
    Written("EXR", "float", alpha="premultiplied", numbers="linear", metadata=_ATTRIBUTES),
    Written("WebP", "8", metadata=("ICC", "Exif", "XMP")),
    Written("PSD", "8", matte="exact, a layer mask"),
    Written("PSD", "16", matte="exact, a layer mask"),
    Written("PSB", "8", matte="exact, a layer mask"),
    Written("PSB", "16", matte="exact, a layer mask"),
)


def tables() -> str:
    """Markdown: the table of what is read, and of what is written."""
    lines = [
        "## Read",
        "",
        "| format | kind | picture | trimap | alpha | depth | colour | metadata |",
        "| -- " * 8 + "|",
    ]
    for row in READ:
        cells = (row.format, row.kind, row.picture, row.trimap, row.alpha, row.depth)
        lines.append(_row(*cells, ", ".join(row.colour), ", ".join(row.metadata)))
    lines += [
        "",
        "## Written",
        "",
        "| format | depth | matte | colours | alpha | numbers | metadata |",
        "| -- " * 7 + "|",
    ]
    for row in WRITE:
        cells = (row.format, row.depth, row.matte, row.colours, row.alpha, row.numbers, ", ".join(row.metadata))
        lines.append(_row(*cells))
    return "\n".join(lines)


def _row(*cells: str) -> str:
    return "".join(f"| {cell or '-'} " for cell in cells) + "|"


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    asked = parser.parse_args(arguments)
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    new = f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}"
    if asked.check:
        if new != page:
            print("docs/formats.md does not say what its table says: python docs/formats_table.py", file=sys.stderr)
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
