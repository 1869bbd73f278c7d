"""Small valid files of every format that can be opened, made in code: what mutations start from.

SEEDS     format -> its files, as bytes
COMMON    the formats that hdmatt says it reads; the others are what OpenImageIO opens besides
"""

import io
import struct
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
from PIL import Image, ImageCms
from small_profiles import ink_profile, save_inks, save_psd

from hdmatt.pictures.files.psd import PsdWriter

COMMON = ("png", "jpg", "tif", "exr", "webp")
OTHERS = (
    "psd",
    "psb",
    "jp2",
    "jxl",
    "avif",
    "hdr",
    "dpx",
    "bmp",
    "tga",
    "gif",
    "pnm",
    "sgi",
    "rla",
    "iff",
    "ico",
    "dds",
    "cmyk",  # JPEG, TIFF and PSD with a profile
)
HEIGHT, WIDTH = 19, 23


@cache
def seeds(file_format: str) -> tuple[bytes, ...]:
    """The files of one format."""
    with tempfile.TemporaryDirectory() as folder:
        made = _by_openimageio(file_format, Path(folder)) + _by_pillow(file_format)
        made += _by_hand(file_format)
        if file_format in ("psd", "psb"):
            made += [_layers(Path(folder) / f"a.{file_format}", depth) for depth in ("8", "16")]
        if file_format == "cmyk":
            made += _inks(Path(folder))
    assert made, file_format
    return tuple(made)


def _pixels(channels: int, depth: str) -> np.ndarray:
    """A ramp with a constant half, so that every kind of compression has something to do; one channel is a trimap."""
    y, x, c = np.mgrid[:HEIGHT, :WIDTH, :channels]
    values = np.where(x < WIDTH // 2, 0.25, (3 * x + 5 * y + 7 * c) % 40 / 39)
    if channels == 1:
        values = np.select([values < 0.3, values < 0.6], [0, 128 / 255], 1)
    if depth.startswith("u"):
        values = np.rint(values * np.iinfo(depth).max)
    return values.astype({"half": np.float16, "float": np.float32}.get(depth, depth))


_VARIANTS: dict[str, list[tuple[int, str, dict[str, Any]]]] = {
    "png": [(c, d, {}) for c in (1, 2, 3, 4) for d in ("uint8", "uint16")],
    "jpg": [
        (3, "uint8", {"Orientation": 6, "Make": "camera", "XResolution": 300.0, "ResolutionUnit": "in"}),
        (3, "uint8", {"jpeg:progressive": 1, "jpeg:subsampling": "4:2:0"}),
        (1, "uint8", {}),
    ],
    "tif": [
        (3, "uint8", {"compression": compression, "tiff:RowsPerStrip": 4})
        for compression in ("none", "lzw", "zip", "packbits", "jpeg")
    ]
    + [
        (4, "uint16", {"compression": "zip", "oiio:UnassociatedAlpha": 1}),
        (3, "float", {"compression": "zip", "tiff:zipquality": 1}),
        (1, "half", {"compression": "none"}),
        (3, "uint8", {"tile": 16, "compression": "lzw"}),
        (3, "uint16", {"planarconfig": "separate", "compression": "none"}),
        (1, "uint8", {"oiio:BitsPerSample": 4, "compression": "none", "tiff:PhotometricInterpretation": 0}),
    ],
    "exr": [(1, "half", {"compression": "zip"}), (1, "float", {"compression": "none"})]
    + [(3, "half", {"compression": compression}) for compression in ("none", "rle", "zip", "zips", "piz")]
    + [(4, "float", {"compression": compression}) for compression in ("pxr24", "b44a", "dwaa", "zip")]
    + [(4, "half", {"tile": 16, "compression": "zip"}), (6, "half", {"channels": "R,G,B,A,Z,depth.V"})],
    "webp": [(3, "uint8", {"compression": "lossless"}), (4, "uint8", {"compression": "lossless"})],
    "jxl": [(1, "uint8", {}), (3, "uint8", {}), (4, "uint8", {}), (3, "uint16", {})],
    "hdr": [(3, "float", {})],
    "dpx": [
        (1, "uint8", {}),
        (3, "uint8", {}),
        (3, "uint16", {}),
        (4, "uint8", {}),
        (3, "uint16", {"oiio:BitsPerSample": 10}),
    ],
    "bmp": [(3, "uint8", {}), (4, "uint8", {}), (1, "uint8", {})],
    "tga": [(3, "uint8", {}), (4, "uint8", {"compression": "rle"}), (1, "uint8", {"compression": "none"})],
    "gif": [(3, "uint8", {}), (4, "uint8", {"gif:Interlacing": 1})],
    "pnm": [(3, "uint8", {}), (1, "uint8", {"pnm:binary": 0}), (3, "uint16", {}), (3, "float", {})],
    "sgi": [(3, "uint8", {"compression": "rle"}), (4, "uint16", {}), (1, "uint8", {})],
    "rla": [(3, "uint8", {}), (4, "uint16", {}), (3, "float", {})],
    "iff": [(3, "uint8", {"compression": "rle", "tile": 64}), (4, "uint16", {"tile": 64})],
    "ico": [(4, "uint8", {})],
}
_SUFFIXES = {("pnm", 1): "pgm", ("pnm", 3): "ppm"}


def _by_openimageio(file_format: str, folder: Path) -> list[bytes]:
    files = []
    for channels, depth, given in _VARIANTS.get(file_format, []):
        attributes = dict(given)
        suffix = (
            "pfm" if (file_format, depth) == ("pnm", "float") else _SUFFIXES.get((file_format, channels), file_format)
        )
        path = folder / f"a.{suffix}"
        pixels = _pixels(channels, depth)
        spec = oiio.ImageSpec(WIDTH, HEIGHT, channels, depth)
        spec.tile_width = spec.tile_height = tile = attributes.pop("tile", 0)
        if "channels" in attributes:
            spec.channelnames = tuple(attributes.pop("channels").split(","))
        for name, value in attributes.items():
            spec.attribute(name, value)
        output = oiio.ImageOutput.create(str(path))
        assert output and output.open(str(path), spec), (file_format, given, oiio.geterror())
        if tile:
            assert output.write_tiles(0, WIDTH, 0, HEIGHT, 0, 1, pixels), output.geterror()
        else:
            assert output.write_image(pixels), output.geterror()
        assert output.close(), output.geterror()
        files.append(path.read_bytes())
    return files


def _by_pillow(file_format: str) -> list[bytes]:
    picture = Image.fromarray(_pixels(3, "uint8"))
    palette, grey = picture.quantize(16), Image.fromarray(_pixels(1, "uint8")[..., 0])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    variants: dict[str, list[tuple[Image.Image, str, dict[str, Any]]]] = {
        "png": [
            (palette, "PNG", {"transparency": 3}),
            (grey.convert("1"), "PNG", {}),
            (picture, "PNG", {"icc_profile": profile}),
        ],
        "jpg": [
            (picture.convert("CMYK"), "JPEG", {}),
            (picture, "JPEG", {"icc_profile": profile, "restart_marker_rows": 1}),
            (picture, "MPO", {"save_all": True, "append_images": [picture.transpose(0)]}),
        ],
        "tif": [
            (palette, "TIFF", {}),
            (grey.convert("1"), "TIFF", {"compression": "group4"}),
            (picture.convert("CMYK"), "TIFF", {}),
        ],
        "webp": [
            (grey.convert("RGB"), "WEBP", {"lossless": True}),
            (picture, "WEBP", {"quality": 50}),
            (picture.convert("RGBA"), "WEBP", {"quality": 50, "icc_profile": profile}),
        ],
        "dds": [(picture, "DDS", {}), (picture.convert("RGBA"), "DDS", {"pixel_format": "DXT5"})],
        "avif": [(picture, "AVIF", {"speed": 10}), (picture.convert("RGBA"), "AVIF", {"speed": 10})],
        "jp2": [
            (picture, "JPEG2000", {"tile_size": (16, 16)}),
            (picture.convert("RGBA"), "JPEG2000", {"irreversible": True}),
            (grey, "JPEG2000", {"no_jp2": True}),
        ],
        "bmp": [(palette, "BMP", {})],
        "ico": [(picture, "ICO", {"bitmap_format": "bmp"})],
    }
    files = []
    for pixels, name, options in variants.get(file_format, []):
        file = io.BytesIO()
        pixels.save(file, name, **options)
        files.append(file.getvalue())
    return files


def _layers(path: Path, depth: str) -> bytes:
    colours = _pixels(3, "float")
    with PsdWriter(path, HEIGHT, WIDTH, bit_depth=depth) as writer:
        writer.write(colours, 1 - colours, colours[..., 0].copy())
    return path.read_bytes()


def _inks(folder: Path) -> list[bytes]:
    profile = ink_profile(lambda inks: np.repeat(1 - inks.mean(axis=1, keepdims=True), 3, 1))
    inks = _pixels(4, "uint8")
    files = [save_inks(folder / f"a.{suffix}", inks, profile) for suffix in ("jpg", "tif", "psd")]
    files.append(save_psd(folder / "packed.psd", inks, profile, packed=True))
    files.append(save_psd(folder / "deep.psb", inks, profile, bits=16, big=True, packed=True, alpha=True))
    return [file.read_bytes() for file in files]


def _by_hand(file_format: str) -> list[bytes]:
    """What neither OpenImageIO nor Pillow writes."""
    if file_format == "hdr":
        lines = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\nEXPOSURE=2\nGAMMA=2.2\nPRIMARIES=.7 .3 .2 .7 .1 .05 .31 .33\n\n"
        return [lines + b"+X %d -Y %d\n" % (WIDTH, HEIGHT) + _pixels(4, "uint8").tobytes()]
    if file_format == "bmp":
        rows = np.pad(_pixels(1, "uint16")[..., 0], ((0, 0), (0, WIDTH % 2))).tobytes()
        sizes = struct.pack("<IHHI", 66 + len(rows), 0, 0, 66)
        sizes += struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 16, 3, len(rows), 0, 0, 0, 0)
        return [b"BM" + sizes + struct.pack("<3I", 0xF800, 0x7E0, 0x1F) + rows]
    return []
