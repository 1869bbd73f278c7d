"""Size, depth and metadata of a picture, and the types that pictures are held in.

    PictureInfo          size, depth and metadata
    ExrWindows           of an EXR: where its pixels lie
    Description          Exif and XMP of a picture
    InputOptions         how a file is read where it does not say itself
    Rows, PathLike       types of bands of rows and of paths
    ColourPart           which numbers of a file are read
    DEFAULT_MAX_PIXELS   larger pictures are refused
    WHITE, TYPES         the largest integer of a type, OpenImageIO's names of types

Knows nothing of files.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float16, Float32, UInt8, UInt16

from hdmatt.pictures.colours.encoding import Encoding
from hdmatt.system.values import whole_number, word

DEFAULT_MAX_PIXELS = 1_000_000_000

PathLike = str | os.PathLike[str]
ColourPart = Literal["straight", "grey", "alpha"]
Rows = (
    UInt8[np.ndarray, "h w 3"]
    | UInt16[np.ndarray, "h w 3"]
    | Float16[np.ndarray, "h w 3"]
    | Float32[np.ndarray, "h w 3"]
)

WHITE = {"uint8": 255, "uint16": 65535}
TYPES = {"uint8": "uint8", "uint16": "uint16", "float16": "half", "float32": "float"}  # OpenImageIO's names


@dataclass(frozen=True)
class InputOptions:
    """How a picture file is read where it does not say itself, and how large it may be.

    Attributes:
        layer: The layer of a file with several, by its name. None: the file must make clear which one is the picture.
        transfer: The transfer function of a file that does not say it, as `hdmatt info` lists them.
        max_pixels: Larger pictures are refused.
    """

    layer: str | None = None
    transfer: str | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS

    def __post_init__(self) -> None:
        if self.layer is not None:
            word("the layer", self.layer)
        if self.transfer is not None:
            word("the transfer function", self.transfer)
        object.__setattr__(self, "max_pixels", whole_number("max_pixels", self.max_pixels, 1))

    def of_others(self) -> "InputOptions":
        """The same for the trimap and the background, in other files: layer and transfer are the picture's."""
        return replace(self, layer=None, transfer=None)


DEFAULT_INPUT = InputOptions()


class ExrWindows(NamedTuple):
    """Where the pixels of an EXR lie: its display window is what is shown, its data window what is stored."""

    x: int  # of the first pixel of the data window; its size is the picture's
    y: int
    display_x: int
    display_y: int
    display_width: int
    display_height: int


@dataclass(frozen=True)
class Description:
    """What describes a picture, without what would be wrong of an output.

    Attributes:
        exif: An Exif block, without the six bytes of "Exif"; b"" for none.
        xmp: An XMP packet; b"" for none.
        notes: What was left out, and why.
    """

    exif: bytes = b""
    xmp: bytes = b""
    notes: tuple[str, ...] = ()


NO_DESCRIPTION = Description()


@dataclass(frozen=True)
class PictureInfo:
    """Size, depth and metadata of a picture, after EXIF rotation.

    Attributes:
        path: The file; None for an array.
        height, width: Pixels.
        channels: Colour channels, 1 (grey) or 3 (RGB); alpha is not counted.
        has_alpha: Whether the file or array has an alpha channel.
        dtype: uint8, uint16, float16 or float32.
        encoding: What the numbers mean: sRGB, linear light (EXR), or what the file says.
        icc: The ICC profile, if it is one for as many colours.
        resolution: Along x, along y, unit ("in", "cm" or "none").
        chunk_rows: Rows that can only be decoded together: of a tile, or of a strip.
        layer: Of an EXR, the layer that is read, as the file names it; "" for channels without a layer.
        windows: Of an EXR, where its pixels lie; None for other files and where EXIF turns the picture.
        attributes: Of an EXR, what its header says of the picture; see pictures/files/exr_header.py.
        description: Exif and XMP that describe the picture, of other files than EXR.
        white: The largest number of 32-bit integers, which become floats; 0 where `dtype` is the file's own.
        notes: What a user should know about how the file was read, one sentence each, without its name.
        whole_bytes: Memory of a file that can only be decoded whole (CMYK JPEG, AVIF, HEIC), as long as it is open.
    """

    path: Path | None
    height: int
    width: int
    channels: int
    has_alpha: bool
    dtype: np.dtype[Any]
    encoding: Encoding
    icc: bytes | None
    resolution: tuple[float, float, str] | None
    chunk_rows: int = 1
    layer: str = ""
    windows: ExrWindows | None = None
    attributes: Any = ()
    description: Description = NO_DESCRIPTION
    white: int = 0
    notes: tuple[str, ...] = ()
    whole_bytes: int = 0

    @property
    def linear(self) -> bool:
        """Whether the numbers are linear light."""
        return self.encoding.linear
