"""Size, depth and metadata of a picture, and the types that pictures are held in.

PictureInfo          size, depth and metadata
Rows, PathLike       types of bands of rows and of paths
DEFAULT_MAX_PIXELS   larger pictures are refused
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16, Float32, UInt8, UInt16

DEFAULT_MAX_PIXELS = 1_000_000_000

PathLike = str | os.PathLike[str]
Rows = (
    UInt8[np.ndarray, "h w 3"]
    | UInt16[np.ndarray, "h w 3"]
    | Float16[np.ndarray, "h w 3"]
    | Float32[np.ndarray, "h w 3"]
)

MIB = 2**20
WHITE = {"uint8": 255, "uint16": 65535}
TYPES = {"uint8": "uint8", "uint16": "uint16", "float16": "half", "float32": "float"}  # OpenImageIO's names


@dataclass(frozen=True)
class PictureInfo:
    """Size, depth and metadata of a picture, after EXIF rotation."""

    path: Path | None
    height: int
    width: int
    channels: int  # colour channels: 1 (grey) or 3 (RGB); alpha is not counted
    has_alpha: bool
    dtype: np.dtype[Any]  # uint8, uint16, float16 or float32
    linear: bool  # True: scene-linear values (EXR); False: display-encoded (sRGB-like)
    icc: bytes | None
    resolution: tuple[float, float, str] | None  # along x, along y, unit: "in", "cm" or "none"
    chunk_rows: int = 1  # rows that can only be decoded together: of a tile, or of a strip
