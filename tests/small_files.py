"""Tiny files of every kind, made by programs that are not ours, or byte by byte.

    Sample     how a kind of file is made
    SAMPLES    (format, kind) of docs/formats_table.py -> its samples

A maker takes a path and straight numbers, [h, w, channels] from 0 to white; alpha is the last channel. Labels are
`icc` (a profile), `resolution` (pixels in an inch), `orientation`, and what some formats have besides.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import OpenEXR
import pillow_heif
import tifffile
from PIL import Image
from small_exr import save_by_hand, save_exr

HEIGHT, WIDTH = 20, 24
Maker = Callable[..., Any]


@dataclass(frozen=True)
class Sample:
    """How a kind of file is made.

    Attributes:
        channels: Of the numbers that the maker takes, alpha among them.
        white: The largest number; 1 for floats.
        few: At most 16 colours, as palettes have.
        step: How far the numbers that are read may be from those that were given, as parts of white.
    """

    make: Maker
    suffix: str
    channels: int = 3
    dtype: Any = np.uint8
    white: float = 255
    few: bool = False
    step: float = 1e-6

    @property
    def lossy(self) -> bool:
        """Whether the kind keeps smooth colours only."""
        return self.step > 1 / 64

    @property
    def alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.channels in (2, 4)

    def pixels(self) -> np.ndarray:
        """Colours without a symmetry; alpha from a half to 1, so that a division by it rounds little."""
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        random = np.random.default_rng(0).random((HEIGHT, WIDTH, self.channels))
        if self.lossy:
            ramp = np.stack([60 + 5 * y, 200 - 3 * x, 90 + 2 * x + y, 255 - 2 * x], -1) / 255
            random = ramp[..., [*range(self.channels - self.alpha), *([3] * self.alpha)]]
        if self.few:
            random = np.random.default_rng(0).random((16, self.channels))[(3 * x + 5 * y) % 16]
        if self.alpha and not self.lossy:
            random[..., -1] = 0.5 + random[..., -1] / 2
        return self._as_numbers(random)

    def trimap(self) -> tuple[np.ndarray, np.ndarray]:
        """A file's numbers, opaque, and the trimap that they mean; lossy kinds get blocks of 8 pixels, as JPEG has."""
        marks = np.random.default_rng(0).choice(np.array([0, 128, 255], np.uint8), (HEIGHT, WIDTH))
        if self.lossy:
            marks[:, :8], marks[:, 8:16], marks[:, 16:] = 0, 128, 255
        if self.white == 1 and np.dtype(self.dtype).kind == "u":
            marks[marks == 128] = 0
        shares = np.repeat(np.select([marks == 255, marks == 128], [1, 0.5], 0)[..., None], self.channels, 2)
        if self.alpha:
            shares[..., -1] = 1
        if np.dtype(self.dtype).kind == "u":  # half of 2 bits is 1 of 3, which is unknown, where 2 of 3 is not
            return np.floor(shares * self.white).astype(self.dtype), marks
        return shares.astype(self.dtype), marks

    def _as_numbers(self, shares: np.ndarray) -> np.ndarray:
        numbers = shares * self.white
        return (np.rint(numbers) if np.dtype(self.dtype).kind == "u" else numbers).astype(self.dtype)


def exif(orientation: int | None) -> dict[str, Any]:
    """Pillow's option for it."""
    if orientation is None:
        return {}
    tags = Image.Exif()
    tags[0x0112] = orientation
    return {"exif": tags}


def plane(pixels: np.ndarray) -> np.ndarray:
    """One channel without an axis for it."""
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def pillow(mode: str | None = None, **options: Any) -> Maker:
    """By Pillow, converted to a mode first."""

    def make(
        path: Path,
        pixels: np.ndarray,
        *,
        icc: bytes | None = None,
        resolution: tuple[int, int] | None = None,
        orientation: int | None = None,
    ) -> None:
        image = Image.fromarray(plane(pixels), "LA" if pixels.shape[2] == 2 else None)
        if mode == "P":
            image = image.quantize(256) if pixels.shape[2] == 3 else image
        elif mode:
            image = image.convert(mode)
        labels = {"icc_profile": icc} if icc else {}
        image.save(path, **options, **labels, **({"dpi": resolution} if resolution else {}), **exif(orientation))

    return make


def png(bits: int, *, palette: bool = False) -> Maker:
    """By zlib alone: rows without a filter."""

    def make(path: Path, pixels: np.ndarray, **labels: Any) -> None:
        chunks = _png_labels(**labels)
        kind = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]]
        if palette:
            colours, numbers = np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0, return_inverse=True)
            chunks.append((b"PLTE", colours[:, :3].tobytes()))
            if pixels.shape[2] == 4:
                chunks.append((b"tRNS", colours[:, 3].tobytes()))
            pixels, kind = numbers.reshape(*pixels.shape[:2], 1).astype(np.uint8), 3
        rows = [b"\0" + _packed(row, bits) for row in pixels]
        head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, kind, 0, 0, 0)
        chunks = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks))

    return make


def tiff(**options: Any) -> Maker:
    """By tifffile."""

    def make(
        path: Path,
        pixels: np.ndarray,
        *,
        icc: bytes | None = None,
        resolution: tuple[int, int] | None = None,
        orientation: int | None = None,
    ) -> None:
        own = dict(options)
        pixels = own.pop("change", lambda numbers: numbers)(pixels)
        if own.get("bitspersample") == 1:
            pixels = pixels > 0
        if own.get("photometric") == "palette" and "colormap" not in own:
            colours, numbers = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
            table = np.zeros((3, 256), np.uint16)
            table[:, : len(colours)] = colours.T.astype(np.uint16) * 257
            pixels, own["colormap"] = numbers.reshape(*pixels.shape[:2], 1).astype(np.uint8), table
        if own.get("planarconfig") == "separate":
            pixels = pixels.transpose(2, 0, 1)
        tags = [(274, 3, 1, orientation, True)] if orientation else []
        units = {"resolution": resolution, "resolutionunit": "INCH"} if resolution else {}
        numbers = pixels if own.get("planarconfig") == "separate" else plane(pixels)
        tifffile.imwrite(path, numbers, iccprofile=icc, extratags=tags, **units, **own)

    return make


def exr(dtype: Any, *, layer: str = "", parts: bool = False) -> Maker:
    """By OpenEXR; colours multiplied by alpha, as EXR has them."""

    def make(path: Path, pixels: np.ndarray, **header: Any) -> None:
        if resolution := header.pop("resolution", None):
            header |= {"xDensity": float(resolution[0]), "pixelAspectRatio": resolution[1] / resolution[0]}
        if pixels.shape[2] == 4:
            pixels = np.concatenate([pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]], 2)
        names = "Y" if pixels.shape[2] == 1 else "RGBA"
        planes = np.ascontiguousarray(np.moveaxis(pixels.astype(dtype), 2, 0))
        channels = {f"{layer}{name}": channel for name, channel in zip(names, planes, strict=False)}
        depth = np.full(pixels.shape[:2], 7, np.float32)
        if parts:
            made = [
                OpenEXR.Part({"name": "depth", "type": OpenEXR.scanlineimage, **header}, {"Z": depth}, "depth"),
                OpenEXR.Part({"name": "rgba", "type": OpenEXR.scanlineimage, **header}, channels, "rgba"),
            ]
            with OpenEXR.File(made) as file:
                file.write(str(path))
        else:
            save_exr(path, {**channels, **({"A.depth.Z": depth, "ao.R": depth} if layer else {})}, **header)

    return make


def avif(bits: int = 8) -> Maker:
    """By Pillow, or by imagecodecs with more than 8 bit and with labels of ITU-T H.273."""

    def make(path: Path, pixels: np.ndarray, *, cicp: tuple[int, int] | None = None, **labels: Any) -> None:
        if bits == 8 and not cicp:
            pillow(quality=100, subsampling="4:4:4")(path, pixels, **labels)
            return
        numbers = {"primaries": cicp[0], "transfer": cicp[1]} if cicp else {}
        deep = pixels.astype(np.uint16) << (bits - 8) if bits > 8 else pixels
        path.write_bytes(imagecodecs.avif_encode(deep, level=100, bitspersample=bits, **numbers))

    return make


def heic(bits: int = 8) -> Maker:
    """By pillow-heif."""

    def make(path: Path, pixels: np.ndarray, *, icc: bytes | None = None, orientation: int | None = None) -> None:
        mode = ("RGB" if pixels.shape[2] == 3 else "RGBA") + (";16" if bits > 8 else "")
        file = pillow_heif.from_bytes(mode, pixels.shape[1::-1], np.ascontiguousarray(pixels).tobytes())
        if orientation:
            file[0].info["exif"] = exif(orientation)["exif"].tobytes()
        if icc:
            file[0].info["icc_profile"], file[0].info["icc_profile_type"] = icc, "prof"
        file.save(path, quality=100, chroma=444)

    return make


def encoded(encode: Callable[..., bytes], **options: Any) -> Maker:
    """By a function of imagecodecs."""

    def make(path: Path, pixels: np.ndarray) -> None:
        path.write_bytes(encode(plane(pixels), **options))

    return make


def opencv(path: Path, pixels: np.ndarray) -> None:
    """By OpenCV, which has blue first."""
    assert cv2.imwrite(str(path), pixels[..., ::-1])


def psd(bits: int, mode: int) -> Maker:
    """By hand: the merged picture without layers; inks are stored as white minus the ink."""

    def make(path: Path, pixels: np.ndarray) -> None:
        planes = np.moveaxis(pixels, 2, 0)
        if mode == 4:
            planes = np.concatenate([planes, np.full_like(planes[:1], np.iinfo(planes.dtype).max)])
        data = b"".join(_packed(1 - row if bits == 1 else row, bits) for row in planes.reshape(-1, pixels.shape[1]))
        head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, len(planes), *pixels.shape[:2], bits, mode)
        path.write_bytes(head + bytes(12) + b"\0\0" + data)

    return make


def dpx(bits: int, transfer: int = 6) -> Maker:
    """By hand, after SMPTE 268M: one element of RGB."""

    def make(path: Path, pixels: np.ndarray) -> None:
        if bits == 10:
            words = pixels.astype(np.uint32) << np.array([22, 12, 2], np.uint32)
            data = np.bitwise_or.reduce(words, 2).astype(">u4").tobytes()
        else:
            data = pixels.astype(">u2" if bits == 16 else np.uint8).tobytes()
        head = bytearray(2048)
        struct.pack_into(">4sI8sIIIII", head, 0, b"SDPX", 2048, b"V2.0", 2048 + len(data), 20, 1, 1664, 384)
        struct.pack_into(">I", head, 660, 0xFFFFFFFF)
        struct.pack_into(">HHII", head, 768, 0, 1, *pixels.shape[1::-1])
        element = (0, 0, 0, 2**bits - 1, 0, 50, transfer, transfer, bits, int(bits == 10), 0, 2048, 0, 0)
        struct.pack_into(">IIfIfBBBBHHIII", head, 780, *element)
        path.write_bytes(bytes(head) + data)

    return make


def head(mark: bytes, at: int = 0) -> Sample:
    """Nothing but the first bytes that a format has."""
    return Sample(lambda path, pixels: path.write_bytes((bytes(at) + mark).ljust(300, b"\0")), "bin")


def _packed(row: np.ndarray, bits: int) -> bytes:
    """Numbers of one row, big-endian, narrow ones side by side."""
    if bits >= 8:
        return row.astype(">u2" if bits == 16 else np.uint8).tobytes()
    ones = np.unpackbits(row.reshape(-1, 1).astype(np.uint8), axis=1)[:, 8 - bits :]
    return np.packbits(ones.ravel()).tobytes()


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png_labels(
    *,
    icc: bytes | None = None,
    resolution: tuple[int, int] | None = None,
    orientation: int | None = None,
    gama: float | None = None,
    cicp: tuple[int, int] | None = None,
) -> list[tuple[bytes, bytes]]:
    chunks = []
    if icc:
        chunks.append((b"iCCP", b"a\0\0" + zlib.compress(icc)))
    if resolution:  # in a metre
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in resolution), 1)))
    if orientation:
        chunks.append((b"eXIf", exif(orientation)["exif"].tobytes().removeprefix(b"Exif\0\0")))
    if gama:
        chunks.append((b"gAMA", struct.pack(">I", round(gama * 100000))))
    if cicp:
        chunks.append((b"cICP", bytes((*cicp, 0, 1))))
    return chunks


def _inks(pixels: np.ndarray) -> np.ndarray:
    """RGB as CMYK without black ink."""
    white = np.iinfo(pixels.dtype).max
    return np.concatenate([white - pixels, np.zeros_like(pixels[..., :1])], 2)


def _ycbcr(pixels: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(pixels).convert("YCbCr"))


def _multiplied(pixels: np.ndarray) -> np.ndarray:
    white = np.iinfo(pixels.dtype).max
    colours = pixels[..., :3] * (pixels[..., 3:] / white)
    return np.concatenate([np.rint(colours).astype(pixels.dtype), pixels[..., 3:]], 2)


def _deep_exr(path: Path, pixels: np.ndarray) -> None:
    depths = np.empty((HEIGHT, WIDTH), object)
    for y, x in np.ndindex(HEIGHT, WIDTH):
        depths[y, x] = np.ones(1, np.float32)
    kind = {"type": OpenEXR.deepscanline, "compression": OpenEXR.ZIPS_COMPRESSION}
    with OpenEXR.File(kind, dict.fromkeys("RGBZ", depths)) as file:
        file.write(str(path))


def _chroma_exr(path: Path, pixels: np.ndarray) -> None:
    save_by_hand(path, "Y", "RY", "BY", half=("RY", "BY"))


def _whole_exr(path: Path, pixels: np.ndarray) -> None:
    save_exr(path, dict.fromkeys("RGB", np.zeros((HEIGHT, WIDTH), np.uint32)))


def _greys(bits: int, photometric: str = "minisblack", dtype: Any = None, **options: Any) -> Sample:
    """TIFF: grey of so many bits."""
    white = 2**bits - 1
    dtype = dtype or (np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)
    change = {"change": lambda pixels: (white - pixels).astype(dtype)} if photometric == "miniswhite" else {}
    make = tiff(photometric=photometric, bitspersample=bits, **change, **options)
    # OpenImageIO widens 6 and 10 to 14 bit by repeating bits, which rounds down
    return Sample(make, "tif", 1, dtype, white, step=1.01 / 65535 if 8 < bits < 16 else 1e-6)


def _tiff(channels: int, dtype: Any, step: float = 1e-6, **options: Any) -> Sample:
    white = float(np.iinfo(dtype).max) if np.dtype(dtype).kind == "u" else 1
    own: dict[str, Any] = {"photometric": "rgb" if channels > 2 else "minisblack", **options}
    if channels in (2, 4):
        own.setdefault("extrasamples", ["unassalpha"])
        own.setdefault("planarconfig", "contig")
    return Sample(tiff(**own), "tif", channels, dtype, white, step=step, few=own["photometric"] == "palette")


def _exr(channels: int, dtype: Any, step: float = 1e-6, **options: Any) -> Sample:
    return Sample(exr(dtype, **options), "exr", channels, dtype, 1, step=step)


def _of(channels: int, maker: Maker, suffix: str, **fields: Any) -> Sample:
    return Sample(maker, suffix, channels, **fields)


U16 = {"dtype": np.uint16, "white": 65535}
F32 = {"dtype": np.float32, "white": 1}
LOSSY = {"step": 8 / 255}
_JXL, _JP2 = {"lossless": True}, {"level": 0, "reversible": True}
_LOSSLESS = {"lossless": True, "exact": True}

SAMPLES: dict[tuple[str, str], list[Sample]] = {
    ("PNG", "grey of 1 bit"): [_of(1, png(1), "png", white=1)],
    ("PNG", "grey of 2, 4 and 8 bit"): [_of(1, png(bits), "png", white=2**bits - 1) for bits in (2, 4, 8)],
    ("PNG", "grey of 16 bit"): [_of(1, png(16), "png", **U16)],
    ("PNG", "grey and alpha of 8 bit"): [_of(2, png(8), "png")],
    ("PNG", "grey and alpha of 16 bit"): [_of(2, png(16), "png", **U16)],
    ("PNG", "RGB of 8 bit"): [_of(3, png(8), "png")],
    ("PNG", "RGB of 16 bit"): [_of(3, png(16), "png", **U16)],
    ("PNG", "RGBA of 8 bit"): [_of(4, png(8), "png")],
    ("PNG", "RGBA of 16 bit"): [_of(4, png(16), "png", **U16)],
    ("PNG", "palette"): [_of(3, png(bits, palette=True), "png", few=True) for bits in (4, 8)],
    ("PNG", "palette with alpha"): [_of(4, png(8, palette=True), "png", few=True)],
    ("JPEG", "grey"): [_of(1, pillow(quality=100), "jpg", **LOSSY)],
    ("JPEG", "RGB, baseline and progressive"): [
        _of(3, pillow(quality=100, subsampling=0, progressive=several), "jpg", **LOSSY) for several in (False, True)
    ],
    ("JPEG", "CMYK"): [_of(3, pillow("CMYK", quality=100), "jpg", **LOSSY)],
    ("JPEG", "12 bit"): [
        _of(3, encoded(imagecodecs.jpeg8_encode, level=95, bitspersample=12), "jpg", dtype=np.uint16, white=4095)
    ],
    ("JPEG", "lossless"): [_of(1, encoded(imagecodecs.ljpeg_encode, bitspersample=16), "jpg", **U16)],
    ("JPEG", "JPEG-LS"): [_of(3, encoded(imagecodecs.jpegls_encode), "jpg")],
    ("TIFF", "grey of 1 bit"): [_greys(1)],
    ("TIFF", "grey of 4 and 8 bit"): [_greys(4), _greys(8)],
    ("TIFF", "grey of 10, 12, 14 and 16 bit"): [_greys(bits) for bits in (16, 10, 12, 14)],
    ("TIFF", "grey of 32-bit integers"): [_greys(32)],
    ("TIFF", "grey of half floats"): [_tiff(1, np.float16)],
    ("TIFF", "grey of floats"): [_tiff(1, np.float32)],
    ("TIFF", "min-is-white of 1, 4 and 8 bit"): [_greys(bits, "miniswhite") for bits in (8, 4, 1)],
    ("TIFF", "min-is-white of 12 and 16 bit"): [_greys(bits, "miniswhite") for bits in (16, 12)],
    ("TIFF", "min-is-white of 32-bit integers"): [_greys(32, "miniswhite")],
    ("TIFF", "min-is-white floats"): [_tiff(1, dtype, photometric="miniswhite") for dtype in (np.float16, np.float32)],
    ("TIFF", "grey and alpha of 8 bit"): [_tiff(2, np.uint8)],
    ("TIFF", "RGB of 8 bit; strips, tiles, planes"): [
        _tiff(3, np.uint8, **layout) for layout in ({}, {"tile": (16, 16)}, {"planarconfig": "separate"})
    ],
    ("TIFF", "RGB of 16 bit"): [_tiff(3, np.uint16)],
    ("TIFF", "RGB of 32-bit integers"): [_tiff(3, np.uint32)],
    ("TIFF", "RGB of half floats"): [_tiff(3, np.float16)],
    ("TIFF", "RGB of floats"): [_tiff(3, np.float32)],
    ("TIFF", "RGBA of 8 bit"): [_tiff(4, np.uint8)],
    ("TIFF", "RGBA of 16 bit"): [_tiff(4, np.uint16)],
    ("TIFF", "RGBA of floats"): [_tiff(4, np.float32)],
    ("TIFF", "RGBA of 16 bit, associated"): [
        _tiff(4, np.uint16, 2 / 65535, extrasamples=["assocalpha"], change=_multiplied)
    ],
    ("TIFF", "palette"): [_tiff(3, np.uint8, photometric="palette")],
    ("TIFF", "CMYK of 8 bit"): [_tiff(3, np.uint8, 1.01 / 255, photometric="separated", change=_inks)],
    ("TIFF", "CMYK of 16 bit"): [_tiff(3, np.uint16, 1.01 / 65535, photometric="separated", change=_inks)],
    ("TIFF", "YCbCr"): [_tiff(3, np.uint8, 4 / 255, photometric="ycbcr", subsampling=(1, 1), change=_ycbcr)],
    ("TIFF", "palette of 16 bit"): [
        _tiff(1, np.uint16, photometric="palette", colormap=np.zeros((3, 65536), np.uint16))
    ],
    ("TIFF", "64-bit floats"): [_tiff(3, np.float64)],
    ("TIFF", "signed integers"): [
        _tiff(1, np.uint8, change=lambda pixels, dtype=dtype: pixels.astype(dtype)) for dtype in (np.int8, np.int16)
    ],
    ("TIFF", "CIELab"): [_tiff(3, np.uint8, photometric="cielab")],
    ("TIFF", "colour filter array"): [_tiff(1, np.uint16, photometric="cfa")],
    ("TIFF", "two alphas"): [
        _tiff(
            3,
            np.uint8,
            planarconfig="contig",
            extrasamples=["unassalpha", "unassalpha"],
            change=lambda pixels: np.concatenate([pixels, pixels[..., :2]], 2),
        )
    ],
    ("TIFF", "coded by LZW, zip or PackBits"): [
        _tiff(3, np.uint8, compression=name) for name in ("lzw", "deflate", "packbits")
    ],
    ("TIFF", "coded by JPEG"): [_tiff(3, np.uint8, 8 / 255, compression="jpeg", compressionargs={"level": 100})],
    ("TIFF", "coded by Zstandard"): [_tiff(3, np.uint8, compression="zstd")],
    ("TIFF", "coded by LZMA"): [_tiff(3, np.uint8, compression="lzma")],
    ("TIFF", "coded by JPEG XL"): [_tiff(3, np.uint8, compression="jpegxl")],
    ("EXR", "luminance of half floats"): [_exr(1, np.float16)],
    ("EXR", "RGB of half floats"): [_exr(3, np.float16)],
    ("EXR", "RGB of floats"): [_exr(3, np.float32)],
    ("EXR", "RGBA of floats"): [_exr(4, np.float32)],
    ("EXR", "layers beside depth"): [_exr(3, np.float32, layer="beauty.")],
    ("EXR", "several parts"): [_exr(3, np.float32, parts=True)],
    ("EXR", "luminance and chroma"): [Sample(_chroma_exr, "exr")],
    ("EXR", "whole numbers"): [Sample(_whole_exr, "exr")],
    ("EXR", "deep"): [Sample(_deep_exr, "exr")],
    ("WebP", "RGB, lossless"): [_of(3, pillow(**_LOSSLESS), "webp")],
    ("WebP", "RGBA, lossless"): [_of(4, pillow(**_LOSSLESS), "webp")],
    ("WebP", "RGB, lossy"): [_of(3, pillow(quality=100), "webp", **LOSSY)],
    ("AVIF", "RGB of 8 bit"): [_of(3, avif(), "avif", **LOSSY)],
    ("AVIF", "RGBA of 8 bit"): [_of(4, avif(), "avif", **LOSSY)],
    ("AVIF", "RGB of 10 and 12 bit"): [_of(3, avif(bits), "avif", **LOSSY) for bits in (10, 12)],
    ("HEIC", "RGB of 8 bit"): [_of(3, heic(), "heic", **LOSSY)],
    ("HEIC", "RGBA of 8 bit"): [_of(4, heic(), "heic", **LOSSY)],
    ("HEIC", "RGB of 10 bit"): [_of(3, heic(10), "heic", **U16, **LOSSY)],
    ("JPEG 2000", "grey and RGB of 8 bit"): [_of(n, encoded(imagecodecs.jpeg2k_encode, **_JP2), "jp2") for n in (3, 1)],
    ("JPEG 2000", "grey and RGB of 16 bit"): [
        _of(n, encoded(imagecodecs.jpeg2k_encode, **_JP2), "jp2", **U16) for n in (3, 1)
    ],
    ("JPEG 2000", "RGBA of 8 bit"): [_of(4, encoded(imagecodecs.jpeg2k_encode, **_JP2), "jp2")],
    ("JPEG 2000", "grey and alpha"): [_of(2, pillow(), "jp2")],
    ("JPEG XL", "grey and RGB of 8 bit"): [_of(n, encoded(imagecodecs.jpegxl_encode, **_JXL), "jxl") for n in (3, 1)],
    ("JPEG XL", "grey and alpha of 8 bit"): [_of(2, encoded(imagecodecs.jpegxl_encode, **_JXL), "jxl")],
    ("JPEG XL", "RGBA of 8 bit"): [_of(4, encoded(imagecodecs.jpegxl_encode, **_JXL), "jxl")],
    ("JPEG XL", "grey and RGB of 16 bit"): [
        _of(n, encoded(imagecodecs.jpegxl_encode, **_JXL), "jxl", **U16) for n in (3, 1)
    ],
    ("JPEG XL", "RGB of floats"): [_of(3, encoded(imagecodecs.jpegxl_encode, **_JXL), "jxl", **F32)],
    ("PSD", "merged picture: bitmap"): [_of(1, psd(1, 0), "psd", white=1)],
    ("PSD", "merged picture: grey and RGB of 8 bit"): [_of(3, psd(8, 3), "psd"), _of(1, psd(8, 1), "psd")],
    ("PSD", "merged picture: grey and RGB of 16 bit"): [
        _of(3, psd(16, 3), "psd", **U16),
        _of(1, psd(16, 1), "psd", **U16),
    ],
    ("PSD", "merged picture: CMYK of 8 bit"): [_of(3, psd(8, 4), "psd", step=1.01 / 255)],
    ("PSD", "merged picture: CMYK of 16 bit"): [_of(3, psd(16, 4), "psd", **(U16 | {"step": 1.01 / 65535}))],
    ("PSD", "merged picture: Lab"): [_of(3, psd(8, 9), "psd")],
    ("PSD", "merged picture: duotone"): [_of(1, psd(8, 8), "psd")],
    ("PSD", "merged picture: multichannel"): [_of(3, psd(8, 7), "psd")],
    ("BMP", "1, 8 and 24 bit"): [
        _of(3, pillow(), "bmp"),
        _of(1, pillow(), "bmp"),
        _of(3, pillow("P"), "bmp", few=True),
    ],
    ("BMP", "32 bit"): [_of(4, pillow(), "bmp")],
    ("TGA", "grey, RGB and palette"): [
        _of(1, pillow(), "tga"),
        _of(3, pillow(compression="tga_rle"), "tga"),
        _of(3, pillow("P"), "tga", few=True),
    ],
    ("TGA", "grey and alpha"): [_of(2, pillow(), "tga")],
    ("TGA", "RGBA"): [_of(4, pillow(), "tga")],
    ("GIF", "palette"): [_of(3, pillow("P"), "gif", few=True)],
    ("PNM", "PBM, PGM and PPM of 1 and 8 bit"): [
        _of(3, pillow(), "ppm"),
        _of(1, pillow(), "pgm"),
        _of(1, lambda path, pixels: Image.fromarray(pixels[..., 0] > 0).save(path), "pbm", white=1),
    ],
    ("PNM", "PGM and PPM of 16 bit"): [_of(3, opencv, "ppm", **U16), _of(1, opencv, "pgm", **U16)],
    ("PNM", "PFM"): [_of(3, opencv, "pfm", **F32), _of(1, pillow(), "pfm", **F32)],
    ("HDR", "RGBE"): [_of(3, opencv, "hdr", **F32, step=1 / 128)],
    ("SGI", "grey and RGB"): [_of(3, pillow(), "sgi"), _of(1, pillow(), "sgi")],
    ("SGI", "RGBA"): [_of(4, pillow(), "sgi")],
    ("DDS", "RGB"): [_of(3, pillow(), "dds")],
    ("DDS", "RGBA"): [_of(4, pillow(), "dds")],
    ("DPX", "RGB of 8 bit"): [_of(3, dpx(8), "dpx")],
    ("DPX", "RGB of 10 and 16 bit"): [
        _of(3, dpx(16), "dpx", **U16),
        _of(3, dpx(10), "dpx", dtype=np.uint16, white=1023, step=1.01 / 65535),
    ],
    ("DPX", "RGB of 10 bit, marked linear"): [
        _of(3, dpx(10, 2), "dpx", dtype=np.uint16, white=1023, step=1.01 / 65535)
    ],
    ("DPX", "RGB of 10 bit, logarithmic or printing density"): [
        _of(3, dpx(10, transfer), "dpx", dtype=np.uint16, white=1023, step=1.01 / 65535) for transfer in (3, 1)
    ],
    ("camera raw", "CR2"): [head(b"II*\0\x10\0\0\0CR\x02\0")],
    ("camera raw", "CR3"): [head(b"\0\0\0\x18ftypcrx \0\0\0\x01")],
    ("camera raw", "RAF"): [head(b"FUJIFILMCCD-RAW 0201")],
    ("camera raw", "ORF"): [head(b"IIRO\x08\0\0\0")],
    ("camera raw", "RW2"): [head(b"IIU\0\x18\0\0\0")],
    ("camera raw", "DNG, NEF, ARW"): [_tiff(3, np.uint8, subfiletype=1)],
    ("others", "JPEG XR"): [_of(3, encoded(imagecodecs.jpegxr_encode), "jxr")],
    ("others", "QOI"): [_of(3, pillow(), "qoi")],
    ("others", "film (MP4, MOV)"): [head(b"\0\0\0\x18ftypisom\0\0\x02\0")],
    ("others", "PDF"): [_of(3, pillow(), "pdf")],
    ("others", "Krita, OpenRaster"): [head(b"PK\x03\x04\x14\0")],
    ("others", "GIMP project (XCF)"): [head(b"gimp xcf v011")],
}
