"""Small pictures as files, for the tests of pictures/."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

from hdmatt.pictures.colours.encoding import SRGB
from hdmatt.pictures.info import TYPES, PictureInfo
from hdmatt.pictures.reader import open_picture
from hdmatt.pictures.writer import PictureWriter

HEIGHT, WIDTH = 37, 29


WHITE = {"8": 255, "16": 65535}


DTYPES = {"8": np.uint8, "16": np.uint16, "half": np.float16, "float": np.float32}


LOSSLESS = [
    (".png", "8"),
    (".png", "16"),
    (".tif", "8"),
    (".tif", "16"),
    (".tif", "float"),
    (".exr", "half"),
    (".exr", "float"),
    (".webp", "8"),
]


def noise(channels: int = 3, dtype: Any = np.uint8, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Pixels that compress badly, so that a file that is cut short has lost rows."""
    values = np.random.default_rng(0).random((height, width, channels), np.float32)
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


def photo(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Smooth colours that JPEG keeps within a few steps; no symmetry."""
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + 3 * y, 60 + 2 * x, 100 + y + x], -1).clip(0, 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, *, tile: int = 0, depth: str | None = None, **attributes: Any) -> Path:
    """A file made by OpenImageIO directly; `oiio__x` is the attribute `oiio:x`."""
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, depth or TYPES[pixels.dtype.name])
    spec.tile_width = spec.tile_height = tile
    for name, value in attributes.items():
        if isinstance(value, bytes):
            kind = oiio.TypeDesc(oiio.UINT8, oiio.SCALAR, oiio.NOSEMANTICS, len(value))
            spec.attribute(name, kind, np.frombuffer(value, np.uint8))
        else:
            spec.attribute(name.replace("__", ":"), value)
    if path.suffix == ".webp":
        spec.attribute("compression", "lossless")
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec), output.geterror()
    if tile:
        assert output.write_tiles(0, width, 0, height, 0, 1, pixels), output.geterror()
    else:
        assert output.write_scanlines(0, height, 0, pixels), output.geterror()
    assert output.close()
    return path


def save_named(path: Path, pixels: np.ndarray, names: dict[str, str], attributes: dict[str, Any]) -> Path:
    """Channels of these names, and attributes."""
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, "uint8")
    if names:
        spec.channelnames, spec.alpha_channel = tuple(names["channels"].split(",")), channels - 1
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec) and output.write_scanlines(0, height, 0, pixels) and output.close()
    return path


def raw(path: Path) -> np.ndarray:
    """The file's own numbers."""
    source = oiio.ImageInput.open(str(path))
    spec = source.spec()
    return source.read_scanlines(0, spec.height, 0, 0, spec.nchannels, spec.format)


def write(path: Path, pixels: np.ndarray, bit_depth: str, *, like: PictureInfo | None = None, band: int = 10) -> Path:
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    with PictureWriter(path, height, width, channels=channels, bit_depth=bit_depth, like=like) as writer:
        for y0 in range(0, height, band):
            writer.write(pixels[y0 : y0 + band])
    return path


def whole(path: Path) -> np.ndarray:
    with open_picture(path) as picture:
        return picture.rows(0, picture.info.height)


def info(**changes: Any) -> PictureInfo:
    fields = {
        "path": None,
        "height": HEIGHT,
        "width": WIDTH,
        "channels": 3,
        "has_alpha": False,
        "dtype": np.dtype(np.uint8),
        "encoding": SRGB,
        "icc": None,
        "resolution": None,
    }
    return PictureInfo(**(fields | changes))


def profile(space: bytes = b"RGB ") -> bytes:
    """An ICC profile of one tag, the smallest that libpng reads back."""
    text = b"text\0\0\0\0hdmatt test\0"
    head = struct.pack(
        ">I4sI4s4s4s12s4s4sI4sIQI3I",
        144 + len(text),
        b"test",
        0x02100000,
        b"mntr",
        space,
        b"XYZ ",
        bytes(12),
        b"acsp",
        bytes(4),
        0,
        bytes(4),
        0,
        0,
        0,
        0xF6D6,
        0x10000,
        0xD32D,
    )
    return head.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"cprt", 144, len(text)) + text
