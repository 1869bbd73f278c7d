"""PNGs with a palette hold the same pixels, as Pillow reads them, and say the same of them."""

import errno
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_pictures import info
from small_profiles import gamma, make_profile

from hdmatt.errors import OutputError
from hdmatt.pictures.colours.encoding import Encoding, Parametric
from hdmatt.pictures.files.formats import Extras
from hdmatt.pictures.files.palette import ColourCount
from hdmatt.pictures.info import Description, ExrWindows, PictureInfo
from hdmatt.pictures.writer import PictureWriter
from hdmatt.system import hidden


def drawing(colours: int, height: int = 90, width: int = 37) -> np.ndarray:
    """Straight RGBA of so many colours, a few of them transparent."""
    rng = np.random.default_rng(colours)
    palette = rng.permutation(colours).astype(np.uint8)[:, None] * np.array([1, 3, 7, 1], np.uint8)  # all differ
    palette[:, 3] = np.where(np.arange(colours) % 3, 255, palette[:, 3])
    chosen = rng.integers(0, colours, height * width)
    chosen[:colours] = np.arange(colours)
    return palette[chosen].reshape(height, width, 4)


def write(path: Path, pixels: np.ndarray, like: PictureInfo | None = None, **extras: ExrWindows) -> int:
    """A cut-out in bands; how many colours its palette has."""
    shares = pixels.astype(np.float32) / 255
    extras = Extras(palette=True, **extras)
    with PictureWriter(path, *pixels.shape[:2], channels=4, bit_depth="8", like=like, extras=extras) as writer:
        for y in range(0, len(pixels), 50):
            writer.write(shares[y : y + 50])
    return writer.palette_colours


def chunks(path: Path) -> list[tuple[bytes, bytes]]:
    content, found, at = path.read_bytes(), [], 8
    while at < len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        data = content[at + 8 : at + 8 + length]
        assert zlib.crc32(name + data) == struct.unpack_from(">I", content, at + 8 + length)[0]
        found.append((name, data))
        at += 12 + length
    return found


@pytest.mark.parametrize(("colours", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (16, 4), (17, 8), (256, 8), (257, 0)])
def test_up_to_256_colours_are_written_with_a_palette_and_the_same_pixels(tmp_path, colours, bits):
    path, pixels = tmp_path / "a.png", drawing(min(colours, 256))
    if colours == 257:
        pixels[-1, -1] = (9, 9, 9, 9)
    assert write(path, pixels) == (colours if bits else 0)
    with Image.open(path) as image:
        assert image.mode == ("P" if bits else "RGBA")
        np.testing.assert_array_equal(np.asarray(image.convert("RGBA")), pixels)
    head = dict(chunks(path))[b"IHDR"]
    assert (head[8], head[9]) == ((bits, 3) if bits else (8, 6))
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 300), st.integers(0, 99))
def test_colours_are_counted_in_any_bands(height, width, colours, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (colours, 4), np.uint8)[rng.integers(0, colours, (height, width))]
    expected = np.unique(pixels.reshape(-1, 4), axis=0)
    count = ColourCount()
    for y in range(height):
        count.add(pixels[y : y + 1])
    palette = count.palette()
    assert (palette is None) == (len(expected) > 256)
    if palette is not None:
        np.testing.assert_array_equal(np.unique(palette, axis=0), expected)
        assert (np.diff(palette[:, 3] == 255) >= 0).all()  # transparent ones first, for a short tRNS


def test_only_as_many_alphas_are_stored_as_there_are_transparent_colours(tmp_path):
    pixels = drawing(30)
    write(tmp_path / "a.png", pixels)
    transparent = len(np.unique(pixels[pixels[..., 3] < 255], axis=0))
    assert len(dict(chunks(tmp_path / "a.png"))[b"tRNS"]) == transparent
    pixels[..., 3] = 255
    write(tmp_path / "a.png", pixels)
    assert b"tRNS" not in dict(chunks(tmp_path / "a.png"))


@pytest.mark.parametrize(
    "of_it",
    [
        {"icc": make_profile(gamma(1.8), "ProPhoto RGB"), "resolution": (300.0, 300.0, "in")},
        {"encoding": Encoding("g", (Parametric(1.8),), label=("gAMA", 1.8))},
        {"description": Description(exif=b"MM\0*\0\0\0\x08\0\0\0\0\0\0", xmp=b"<x:xmpmeta/>")},
    ],
    ids=["profile", "gamma", "description"],
)
def test_what_a_file_says_of_its_pixels_stays_and_stands_where_it_must(tmp_path, of_it):
    like, pixels = info(**of_it), drawing(20)
    windows = ExrWindows(5, 7, 0, 0, 99, 99)
    write(tmp_path / "a.png", pixels, like, windows=windows)
    extras = Extras(windows=windows)
    with PictureWriter(tmp_path / "b.png", 90, 37, channels=4, bit_depth="8", like=like, extras=extras) as writer:
        writer.write(pixels.astype(np.float32) / 255)
    found, usual = chunks(tmp_path / "a.png"), chunks(tmp_path / "b.png")
    pixels_of = (b"IHDR", b"IDAT", b"PLTE", b"tRNS")
    assert sorted(c for c in found if c[0] not in pixels_of) == sorted(c for c in usual if c[0] not in pixels_of)
    names = [name for name, _ in found]
    assert names.index(b"PLTE") < names.index(b"tRNS") < names.index(b"IDAT")
    for name in (b"iCCP", b"gAMA", b"sRGB"):
        assert name not in names or names.index(name) < names.index(b"PLTE")


def test_a_write_that_fails_anywhere_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path, written, write_file = tmp_path / "a.png", [], hidden._write
    monkeypatch.setattr(hidden, "_write", lambda file, data: written.append(write_file(file, data)) or written[-1])
    write(path, drawing(4))
    path.write_bytes(b"old")
    for limit in (0, 40, sum(written) // 2, sum(written) - 1):
        room = [limit]

        def fill(file: int, data: memoryview, room: list[int] = room) -> int:
            count = min(len(data), room[0])
            room[0] -= count
            if not count:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write_file(file, data[:count])

        monkeypatch.setattr(hidden, "_write", fill)
        with pytest.raises(OutputError, match="No space left on device"):
            write(path, drawing(4))
        assert path.read_bytes() == b"old" and [file.name for file in tmp_path.iterdir()] == ["a.png"]
