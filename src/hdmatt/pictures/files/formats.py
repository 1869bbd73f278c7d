"""The file formats that we write: what each can hold, and how we write it.

Knows no pixels and opens no file.

    Format, FORMATS       the table, by suffix
    Extras                what only some formats have
    writable              the format of a path
    check_format          refuses what a format cannot hold
    check_alpha_mode      refuses straight or premultiplied alpha where the format means the other
    default_bit_depth     the depth that a file gets when none is asked for
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hdmatt.errors import InputError, OutputError
from hdmatt.pictures.info import ExrWindows, PathLike, PictureInfo


@dataclass(frozen=True)
class Format:
    """What one file format can hold, and how we write it."""

    name: str
    depths: tuple[str, ...]  # of "8", "16", "half", "float"
    alpha: bool
    largest_side: int  # pixels
    attributes: tuple[tuple[str, str | int], ...]  # OpenImageIO's settings, of WebP Pillow's
    held: bool = False  # in memory until the file is complete


@dataclass(frozen=True)
class Extras:
    """What only some formats have.

    Attributes:
        layers: Names of further channels of an EXR behind R G B A, as "fg.R"; they are written as they are given.
        premultiplied: Whether RGBA is written multiplied by alpha: of EXR always, of TIFF on wish.
        quality: Of the colours in JPEG (else 95) and WebP (else lossless), 1 to 100. Alpha stays exact.
        windows: Where the pixels lie in a larger picture, for EXR (instead of `like`'s windows), TIFF and PNG (only the
            offset). None: they are the whole picture.
        palette: Whether a PNG of RGBA with 8 bit gets a palette if it has at most 256 colours.
    """

    layers: tuple[str, ...] = ()
    quality: int | None = None
    premultiplied: bool = False
    windows: ExrWindows | None = None
    palette: bool = False


# PNG: level 4 against 1, 6, 9 (1500 x 2000): an 8-bit matte 0.03 s 154 kB against 0.02 s 173 kB, 0.03 s 154 kB, 0.06 s
#     151 kB; an 8-bit photograph 0.43 s 5.51 MB against 0.30 s 5.67 MB, 0.50 s 5.51 MB, 0.49 s 5.51 MB.
# TIFF: half floats exist, but few programs read them.
# JPEG: 4:4:4, because colours at half the resolution show along a matte's rim.
# WebP: by Pillow; OpenImageIO 3.2 hangs if a write fails. The encoder needs the whole picture, so we hold it. Without
#     loss pixels with alpha 0 keep their colours ("exact"; 2 kB more for 0.36 megapixels of smooth ones); with loss the
#     encoder puts others there, which spare the rim.
PNG = Format("PNG", ("8", "16"), True, 1_000_000, (("png:compressionLevel", 4),))
JPEG = Format("JPEG", ("8",), False, 65500, (("compression", "jpeg:95"), ("jpeg:subsampling", "4:4:4")))
TIFF = Format("TIFF", ("8", "16", "float"), True, 2**20, (("compression", "zip"),))
EXR = Format("EXR", ("half", "float"), True, 2**20, (("compression", "zip"), ("openexr:lineOrder", "increasingY")))
WEBP = Format("WebP", ("8",), True, 16383, (("lossless", True),), held=True)
FORMATS = {
    ".png": PNG,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".exr": EXR,
    ".webp": WEBP,
}
DEPTHS = {"8": np.uint8, "16": np.uint16, "half": np.float16, "float": np.float32}


def writable(path: Path, formats: Mapping[str, Format] = FORMATS) -> Format:
    """The format that the path's suffix names.

    Raises:
        OutputError: A suffix that we cannot write.
    """
    found = formats.get(path.suffix.lower())
    if found is None:
        other = next(iter(formats))
        raise OutputError(
            f"{path}: we cannot write {path.suffix or 'a file without a suffix'}, we need one of {' '.join(formats)}",
            hint=f"Write to {path.stem or 'alpha'}{other}, for example.",
        )
    return found


def check_format(path: Path, file_format: Format, height: int, width: int, *, channels: int, bit_depth: str) -> None:
    """Refuse what the format cannot hold.

    Raises:
        InputError: A bit depth that the format lacks.
        OutputError: Alpha into a format without it, or a side too long for the format.
    """
    name = file_format.name
    if bit_depth not in file_format.depths:
        raise InputError(
            f"{path}: {name} has no bit depth {bit_depth}, we need {' or '.join(file_format.depths)}",
            hint=f"Use --bit-depth {file_format.depths[-1]}, or another format.",
        )
    if channels == 4 and not file_format.alpha:
        raise OutputError(
            f"{path}: {name} has no alpha channel, a cut-out needs one",
            hint=f"Write to {path.with_suffix('.png').name}, or to .tif, .exr or .webp.",
        )
    if max(height, width) > file_format.largest_side:
        raise OutputError(
            f"{path}: {width}x{height} (width x height) is too large for {name}, its sides end at "
            f"{file_format.largest_side}",
            hint=f"Write to {path.with_suffix('.tif').name}.",
        )


def check_alpha_mode(path: Path, alpha_mode: str) -> None:
    """Refuse straight or premultiplied RGBA where the format's specification means the other one.

    Args:
        alpha_mode: "straight" or "premultiplied".

    Raises:
        InputError: Straight EXR, or premultiplied anything but EXR and TIFF.
    """
    suffix = path.suffix.lower()
    if suffix == ".exr" and alpha_mode == "straight":
        raise InputError(
            f"{path}: EXR is premultiplied by its specification, programs would take straight colours for others",
            hint="Use --layered FILE.exr, whose layer fg is straight, or write to a .tif.",
        )
    if suffix not in (".exr", ".tif", ".tiff") and alpha_mode == "premultiplied":
        raise InputError(
            f"{path}: {suffix[1:].upper()} is straight by its specification and cannot say that it is premultiplied",
            hint=f"Write to {path.with_suffix('.tif').name} or .exr, or leave --alpha-mode out.",
        )


def default_bit_depth(path: PathLike, info: PictureInfo) -> str:
    """The input's own bit depth where the output's format has it, else the next one that holds its values.

    Returns:
        "8", "16", "half" or "float".

    Raises:
        OutputError: A suffix that we cannot write.
    """
    file_format = writable(Path(path))
    wanted = {"uint8": "8", "uint16": "16", "float16": "half", "float32": "float"}[info.dtype.name]
    if wanted in file_format.depths:
        return wanted
    if file_format is EXR:
        return "half" if wanted == "8" else "float"
    return file_format.depths[-1]  # the finest
