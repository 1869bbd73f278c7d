import errno
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdmatt.errors import InputError, OutputError
from hdmatt.pictures import decoder, reader
from hdmatt.pictures.info import TYPES, PictureInfo
from hdmatt.pictures.reader import ArrayReader, as_float, network_colours, open_picture, read_grey, read_picture
from hdmatt.pictures.trimap import open_trimap
from hdmatt.pictures.writer import PictureWriter, check_output_path, default_bit_depth

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
        "linear": False,
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


# reading: every format and depth


@pytest.mark.parametrize(("suffix", "depth"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_was_written_is_read_back_exactly(tmp_path, suffix, depth, channels):
    pixels = noise(channels, DTYPES[depth])
    path = write(tmp_path / f"a{suffix}", as_float(pixels), depth)
    with open_picture(path) as picture:
        got = picture.rows(0, HEIGHT)
    np.testing.assert_array_equal(got, np.broadcast_to(pixels, got.shape))
    assert picture.info.dtype == got.dtype == DTYPES[depth]
    assert (picture.info.height, picture.info.width, picture.info.path) == (HEIGHT, WIDTH, path)
    assert picture.info.channels == (3 if suffix == ".webp" else channels)
    assert picture.info.linear == (suffix == ".exr") and not picture.info.has_alpha


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_comes_back_within_its_own_loss(tmp_path, channels):
    pixels = photo()[..., :channels]
    got = whole(write(tmp_path / "a.jpg", as_float(pixels), "8"))
    # 6: quality 95 rounds each coefficient of a block by up to half a quantum
    assert np.abs(got.astype(int) - pixels).max() <= 6


@pytest.mark.parametrize(("suffix", "depth"), [c for c in LOSSLESS if c[0] != ".exr"])
def test_straight_colours_stay_straight(tmp_path, suffix, depth):
    pixels = noise(4, DTYPES[depth])
    pixels[..., 3] = np.where(pixels[..., 3] == 0, 1, pixels[..., 3])  # WebP forgets colours that nothing shows
    path = write(tmp_path / f"a{suffix}", as_float(pixels), depth)
    with open_picture(path) as picture:
        np.testing.assert_array_equal(picture.rows(0, HEIGHT), pixels[..., :3])
        assert picture.info.has_alpha and picture.info.channels == 3


def test_exr_is_multiplied_by_alpha_in_the_file_and_divided_on_reading(tmp_path):
    pixels = noise(4, np.float32)
    pixels[0, 0, 3] = 0
    path = write(tmp_path / "a.exr", pixels, "float")
    np.testing.assert_array_equal(raw(path)[..., :3], pixels[..., :3] * pixels[..., 3:])
    straight = pixels[..., :3].copy()
    straight[0, 0] = 0
    # 2e-7: one float32 rounding of the product, one of the quotient
    np.testing.assert_allclose(whole(path), straight, rtol=2e-7)


def test_associated_tiff_is_divided_by_its_alpha(tmp_path):
    pixels = np.array([[[100, 50, 0, 128], [7, 7, 7, 0], [200, 255, 1, 255]]], np.uint8)
    path = save(tmp_path / "a.tif", pixels)
    assert whole(path).tolist() == [[[199, 100, 0], [7, 7, 7], [200, 255, 1]]]


@pytest.mark.parametrize(("channels", "colours", "alpha"), [(1, 1, False), (2, 1, True), (3, 3, False), (4, 3, True)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_is_repeated_and_alpha_dropped(tmp_path, suffix, channels, colours, alpha):
    pixels = noise(channels)
    attributes = {} if channels in (1, 3) else {"oiio__UnassociatedAlpha": 1}
    spec_alpha = {} if channels != 2 else {"channels": "Y,A"}
    path = _save_named(tmp_path / f"a{suffix}", pixels, spec_alpha, attributes)
    with open_picture(path) as picture:
        got = picture.rows(0, HEIGHT)
        np.testing.assert_array_equal(got, np.broadcast_to(pixels[..., :colours], got.shape))
        assert (picture.info.channels, picture.info.has_alpha) == (colours, alpha)


def _save_named(path: Path, pixels: np.ndarray, names: dict[str, str], attributes: dict[str, Any]) -> Path:
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, "uint8")
    if names:
        spec.channelnames, spec.alpha_channel = tuple(names["channels"].split(",")), channels - 1
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec) and output.write_scanlines(0, height, 0, pixels) and output.close()
    return path


@pytest.mark.parametrize(
    ("depth", "bits", "dtype"),
    [
        ("uint8", 1, np.uint8),
        ("uint8", 2, np.uint8),
        ("uint8", 4, np.uint8),
        ("uint16", 12, np.uint16),
        ("uint", 32, np.float32),
    ],
)
def test_other_depths_come_as_the_nearest_of_the_four(tmp_path, depth, bits, dtype):
    pixels = np.array([[[0.0], [1.0], [0.0], [1.0]]], np.float32)
    path = save(tmp_path / "a.tif", pixels, depth=depth, oiio__BitsPerSample=bits)
    got = whole(path)
    assert got.dtype == dtype
    np.testing.assert_array_equal(as_float(got)[..., 0], pixels[..., 0])


def test_double_tiff_is_refused_because_openimageio_reads_rubbish(tmp_path):
    path = save(tmp_path / "a.tif", noise().astype(np.float64), depth="double")
    with pytest.raises(InputError, match="64-bit floats") as error:
        open_picture(path)
    assert error.value.hint == "Save it with 32-bit floats."


def test_half_tiff_is_half(tmp_path):
    pixels = noise(3, np.float16)
    got = whole(save(tmp_path / "a.tif", pixels, tiff__half=1))
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, pixels)


def test_the_data_window_of_an_exr_is_the_picture(tmp_path):
    pixels = noise(3, np.float16)
    spec = oiio.ImageSpec(WIDTH, HEIGHT, 3, "half")
    spec.x, spec.y, spec.full_width, spec.full_height = 5, -7, 100, 90
    output = oiio.ImageOutput.create("a.exr")
    path = tmp_path / "a.exr"
    assert output.open(str(path), spec) and output.write_scanlines(-7, HEIGHT - 7, 0, pixels) and output.close()
    np.testing.assert_array_equal(whole(path), pixels)


def test_the_content_and_not_the_name_decides_the_format(tmp_path):
    path = save(tmp_path / "a.tif", noise())
    path.rename(tmp_path / "a.png")
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), noise())


# reading: orientation, order, windows


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """What EXIF 2.32 says of tag 274, in NumPy's words."""
    turned = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, 1),
    }
    return turned[orientation](pixels)


@pytest.mark.parametrize(
    "spool_bytes", [10 * WIDTH * 3, 32 * 2**20]
)  # blocks of ten rows, the last of seven; one block
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, monkeypatch, orientation, spool_bytes):
    monkeypatch.setattr(decoder, "SPOOL_BYTES", spool_bytes)
    path = save(tmp_path / "a.tif", noise(), Orientation=orientation, XResolution=300.0, ResolutionUnit="in")
    expected = upright(noise(), orientation)
    height, width = expected.shape[:2]
    with open_picture(path) as picture:
        assert (picture.info.height, picture.info.width) == (height, width)
        for y0, y1, x0, x1 in [(0, height, 0, width), (11, 19, 3, 17), (3, 12, 0, width), (20, 20, 0, 5)]:
            np.testing.assert_array_equal(picture.window(y0, y1, x0, x1), expected[y0:y1, x0:x1])


def test_a_jpeg_from_a_phone_held_upright_is_upright(tmp_path):
    path = save(tmp_path / "a.jpg", photo(), Orientation=6)
    straight = save(tmp_path / "b.jpg", photo())
    np.testing.assert_array_equal(whole(path), np.rot90(whole(straight), -1))


def test_turning_swaps_the_resolutions(tmp_path):
    aspect = {"XResolution": 300.0, "YResolution": 150.0, "ResolutionUnit": "in", "PixelAspectRatio": 0.5}
    with open_picture(save(tmp_path / "a.tif", noise(), Orientation=8, **aspect)) as picture:
        assert picture.info.resolution == (150.0, 300.0, "in")


def test_no_room_for_turning_says_where_room_is_needed(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif", noise(), Orientation=6)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with open_picture(path) as picture, pytest.raises(OutputError) as error:
        picture.rows(0, 1)
    assert error.value.message == f"turning the picture upright needs 1 MiB in {tmp_path / 'gone'} " + (
        f"({os.strerror(errno.ENOENT)})"
    )
    assert "TMPDIR" in error.value.hint


def test_the_temporary_file_goes_with_the_reader(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif", noise(), Orientation=6)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with open_picture(path) as picture:
        picture.rows(0, 1)
    assert (len(os.listdir("/proc/self/fd")) if before else 0) == before


BANDS = st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)).map(sorted), min_size=1, max_size=6)


@settings(deadline=None, derandomize=True, max_examples=12)
@given(BANDS, st.tuples(st.integers(0, WIDTH), st.integers(0, WIDTH)).map(sorted), st.sampled_from([1, 1000, 10**6]))
@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "tiled.tif", "exr", "tiled.exr", "webp"])
def test_any_order_of_bands_gives_the_same_rows(tmp_path_factory, kind, bands, columns, kept_bytes):
    path = tmp_path_factory.getbasetemp() / f"order.{kind}"
    if not path.exists():
        dtype = np.float16 if kind.endswith("exr") else np.uint8
        save(path, noise(3, dtype, height=80), tile=16 if "tiled" in kind else 0)
    expected = whole(path)
    x0, x1 = columns
    with pytest.MonkeyPatch.context() as patch, open_picture(path) as picture:
        patch.setattr(decoder, "_KEPT_BYTES", kept_bytes)
        for y0, y1 in bands:
            np.testing.assert_array_equal(picture.window(y0, y1, x0, x1), expected[y0:y1, x0:x1])
            np.testing.assert_array_equal(picture.rows(y0, y1), expected[y0:y1])


def test_bands_that_overlap_decode_every_row_once(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", noise())
    decoded = []
    native = decoder.Decoder._native

    def counted(self: Any, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        decoded.extend(range(y0, y1))
        return native(self, y0, y1, x0, x1)

    monkeypatch.setattr(decoder.Decoder, "_native", counted)
    with open_picture(path) as picture:
        for y0 in range(0, HEIGHT, 5):
            picture.rows(max(0, y0 - 3), min(y0 + 5, HEIGHT))
    assert decoded == list(range(HEIGHT))


def test_a_window_of_a_tiled_file_decodes_the_tiles_it_touches(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif", noise(height=80, width=80), tile=16)
    decoded = []
    native = decoder.Decoder._native

    def counted(self: Any, *window: int) -> np.ndarray:
        decoded.append(window)
        return native(self, *window)

    monkeypatch.setattr(decoder.Decoder, "_native", counted)
    with open_picture(path) as picture:
        picture.window(20, 33, 47, 49)
    assert decoded == [(16, 32, 32, 64), (32, 48, 32, 64)]


@pytest.mark.parametrize("kind", ["tif", "exr"])
def test_windows_that_share_tiles_decode_each_tile_once_and_no_other(tmp_path, kind):
    path = save(tmp_path / f"a.{kind}", noise(3, np.float32, height=100, width=150), tile=16)
    with open_picture(path) as picture:
        assert picture.tiled and picture.decoded == 0
        whole = read_picture(path)[0]
        # rows 20 to 45 are the tile rows 1 and 2, columns 5 to 60 the tile columns 0 to 3
        for x in (5, 20, 28):
            np.testing.assert_array_equal(picture.window(20, 45, x, x + 32), whole[20:45, x : x + 32])
        assert picture.decoded == 2 * 4 * 16 * 16
        # the tile row 2 is kept; row 3 is new, and of the columns that were not there before all three rows' tiles
        np.testing.assert_array_equal(picture.window(40, 60, 0, 70), whole[40:60, :70])
        assert picture.decoded == (2 * 4 + 4 + 2) * 16 * 16
        np.testing.assert_array_equal(picture.window(90, 100, 140, 150), whole[90:, 140:])


def test_rows_of_a_scanline_file_are_no_tiles(tmp_path):
    with open_picture(save(tmp_path / "a.png", noise())) as picture:
        assert not picture.tiled


@pytest.mark.parametrize(("width", "channels", "depth"), [(64, 1, "8"), (3000, 1, "16"), (900, 4, "8")])
@pytest.mark.parametrize("rows", [0, 1, 32])
def test_a_png_that_is_given_up_leaves_no_file_and_no_word_of_libpng(tmp_path, capfd, width, channels, depth, rows):
    with (
        pytest.raises(KeyboardInterrupt),
        PictureWriter(tmp_path / "a.png", 32, width, channels=channels, bit_depth=depth) as writer,
    ):
        for _ in range(rows):
            writer.write(np.zeros((1, width, channels), np.float32))
        raise KeyboardInterrupt
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_rows_belong_to_the_caller(tmp_path):
    path = save(tmp_path / "a.png", noise())
    with open_picture(path) as picture:
        picture.rows(0, 9)[:] = 0
        np.testing.assert_array_equal(picture.rows(0, 9), noise()[:9])


def test_a_closed_reader_gives_no_rows(tmp_path):
    with open_picture(save(tmp_path / "a.png", noise())) as picture:
        pass
    with pytest.raises(RuntimeError, match="is closed"):
        picture.rows(0, 1)


# reading: files that cannot be used


def cut_short(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "tiled.tif", "exr"])
def test_a_file_cut_short_gives_its_rows_or_an_error_but_never_other_rows(tmp_path, kind, share):
    pixels = noise(3, np.float16 if kind == "exr" else np.uint8, height=160, width=64)
    path = save(tmp_path / f"a.{kind}", pixels, tile=16 if "tiled" in kind else 0)
    expected = whole(path)
    cut_short(path, share)
    failed = []
    with open_picture(path) as picture:
        for y0 in range(0, 160, 8):
            try:
                np.testing.assert_array_equal(picture.rows(y0, y0 + 8), expected[y0 : y0 + 8])
            except InputError as error:
                failed.append((y0, error))
        assert failed[-1][0] == 152
        assert not share > 0.9 or failed[0][0] > 0
        for y0, _ in failed:
            with pytest.raises(InputError):
                picture.rows(y0, y0 + 8)
    assert "is damaged or cut short: rows " in failed[0][1].message and "of 160 cannot be decoded (" in str(
        failed[0][1]
    )
    assert "Copy or download it again" in failed[0][1].hint


def test_a_progressive_jpeg_cut_short_is_found_out(tmp_path):
    path = save(tmp_path / "a.jpg", noise(height=160, width=64), jpeg__progressive=1)
    assert b"\xff\xc2" in path.read_bytes()
    with open_picture(cut_short(path, 0.9)) as picture, pytest.raises(InputError, match="damaged or cut short"):
        picture.rows(0, 8)


def test_a_webp_cut_short_is_no_picture(tmp_path):
    with pytest.raises(InputError, match=r"a\.webp is not a picture that we can read \("):
        open_picture(cut_short(save(tmp_path / "a.webp", noise()), 0.9))


def test_data_behind_a_jpeg_does_no_harm(tmp_path):
    path = save(tmp_path / "a.jpg", photo())
    expected = whole(path)
    path.write_bytes(path.read_bytes() + b"a camera's own data" * 100)
    np.testing.assert_array_equal(whole(path), expected)


def test_more_pixels_than_allowed_are_refused_before_decoding(tmp_path):
    path = save(tmp_path / "a.png", noise())
    with pytest.raises(InputError) as error:
        open_picture(path, max_pixels=HEIGHT * WIDTH - 1)
    assert error.value.message == f"{path} is 29x37 (width x height): 1073 pixels to decode, the limit is 1072"
    assert error.value.hint == "If that is no mistake, allow it: --max-pixels 1073"
    open_picture(path, max_pixels=HEIGHT * WIDTH).close()
    with pytest.raises(InputError, match="the limit is 10"):
        open_trimap(path, max_pixels=10)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.png", None, "{} does not exist"),
        ("text.png", b"hello", "{} is not a picture that we can read (Not a PNG file)"),
        ("text.svg", b"<svg/>", "{} is not a picture that we can read (OpenImageIO could not find a format reader"),
        ("a.null", b"x", "{} is not a picture that we can read (unknown format)"),
        ("empty.jpg", b"", "{} is empty (0 bytes), we need a picture"),
        ("", None, "{} is a folder, we need a picture file"),
    ],
)
def test_what_is_no_picture_is_named_with_a_reason(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        open_picture(path)
    assert error.value.message.startswith(message.format(path)) and error.value.hint and error.value.exit_code == 2


def test_a_picture_without_pixels_is_refused(tmp_path):
    data = bytearray(save(tmp_path / "a.tif", noise(1, height=1, width=1)).read_bytes())
    entries = int.from_bytes(data[4:8], "little") + 2
    while data[entries : entries + 2] != struct.pack("<H", 257):  # ImageLength
        entries += 12
    data[entries + 8 : entries + 12] = bytes(4)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(InputError):
        open_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_with_their_place(tmp_path, value):
    pixels = noise(3, np.float16)
    pixels[20, 5, 1] = value
    path = save(tmp_path / "a.exr", pixels)
    with open_picture(path) as picture:
        picture.rows(0, 8)
        with pytest.raises(InputError) as error:
            picture.rows(16, 24)
    assert error.value.message.startswith(f"{path} holds NaN or infinite values, the first in row 20, column 5")
    with pytest.raises(InputError, match="NaN or infinite"):
        as_float(pixels)


# arrays


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64, ">u2"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_an_array_is_read_like_a_file(dtype, shape):
    array = noise(dtype=np.dtype(dtype).newbyteorder("="), height=5, width=7, channels=int(np.prod(shape[2:])))
    array = array.reshape(shape).astype(dtype)
    with ArrayReader(array) as picture:
        expected = array.reshape(5, 7, -1)[..., :3]
        got = picture.rows(1, 4)
        np.testing.assert_array_equal(got, np.broadcast_to(expected[1:4], got.shape).astype(got.dtype))
        np.testing.assert_array_equal(picture.window(1, 4, 2, 3), got[:, 2:3])
        assert got.dtype == picture.info.dtype == (np.float32 if dtype is np.float64 else np.dtype(dtype).name)
        assert (picture.info.channels, picture.info.has_alpha) == (min(3, expected.shape[2]), shape[2:] == (4,))
        assert picture.info.path is None and not picture.info.linear


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 5, 7)), r"shape \(3, 5, 7\) is no picture"),
        (np.zeros((5, 7, 2)), r"shape \(5, 7, 2\) is no picture"),
        (np.zeros(5), r"shape \(5,\) is no picture"),
        (np.zeros((0, 7)), r"has no pixels"),
        (np.zeros((5, 7), bool), "of bool, we need uint8"),
        (np.zeros((5, 7), np.int32), "of int32, we need uint8"),
        (np.full((5, 7), np.nan), "NaN or infinite"),
        (np.full((5, 7), 1e300), "NaN or infinite"),
        (np.full((5, 7), 255.0), "floats up to 255, we need 0 to 1"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(array, message):
    with pytest.raises(InputError, match=message) as error:
        ArrayReader(array)
    assert error.value.hint


def test_linear_arrays_may_exceed_one():
    assert ArrayReader(np.full((5, 7), 255.0), linear=True).info.linear


# trimaps


def test_a_trimap_file_has_three_values_and_counts_every_other_once(tmp_path):
    grey = np.array([[0, 84, 85], [128, 169, 170], [255, 1, 254]], np.uint8)
    with open_trimap(save(tmp_path / "a.png", grey[..., None])) as trimap:
        assert trimap.snapped == 0
        assert trimap.rows(0, 2).tolist() == [[0, 0, 128], [128, 128, 255]]
        assert trimap.snapped == 4
        assert trimap.rows(1, 3).tolist() == [[128, 128, 255], [255, 0, 255]]
        assert trimap.rows(0, 3).dtype == np.uint8
        assert trimap.snapped == 6
        assert (trimap.info.height, trimap.info.width) == (3, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_trimap_of_any_depth_and_channels_is_the_same_trimap(tmp_path, dtype, channels):
    values = np.random.default_rng(0).choice(np.array([0, 128, 255]), (HEIGHT, WIDTH))
    scaled = {np.uint8: values, np.uint16: values * 257}.get(dtype, values / 255)
    array = np.repeat(scaled[..., None], channels, axis=2).astype(dtype)
    if channels == 4:
        array[..., 3] = np.iinfo(dtype).max if array.dtype.kind == "u" else 1
    path = save(tmp_path / ("a.exr" if array.dtype.kind == "f" else "a.png"), array)
    for source in (array, path):
        with open_trimap(source) as trimap:
            np.testing.assert_array_equal(trimap.rows(0, HEIGHT), values)
            assert trimap.snapped == 0


def test_a_grey_jpeg_with_colour_channels_is_a_trimap(tmp_path):
    values = np.zeros((32, 32, 3), np.uint8)
    values[8:16], values[16:] = 128, 255
    with open_trimap(save(tmp_path / "a.jpg", values)) as trimap:
        np.testing.assert_array_equal(trimap.rows(0, 32), values[..., 0])


def test_a_colour_picture_is_no_trimap(tmp_path):
    path = save(tmp_path / "a.png", photo())
    with open_trimap(path) as trimap, pytest.raises(InputError) as error:
        trimap.rows(3, 9)
    assert error.value.message == (
        f"{path} looks like a colour picture, we need a trimap: row 3, column 0 is red 49, green 60, blue 103"
    )
    assert "Were two files swapped?" in error.value.hint
    with pytest.raises(InputError, match="the trimap array looks like a colour picture"):
        open_trimap(photo()).rows(0, 1)


def test_a_float_trimap_beyond_one_is_refused():
    with open_trimap(np.full((2, 2), 3.0)) as trimap, pytest.raises(InputError, match="values from 3 to 3"):
        trimap.rows(0, 2)


# numbers


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_integer_survives_the_way_through_float(dtype):
    white = np.iinfo(dtype).max
    values = np.arange(white + 1, dtype=dtype)
    floats = as_float(values)
    assert floats.dtype == np.float32 and floats[0] == 0 and floats[-1] == 1
    np.testing.assert_array_equal(np.rint(floats * np.float32(white)), values)


def test_as_float_gives_a_copy():
    values = noise(3, np.float32)
    as_float(values)[:] = 0
    assert values.any()


def test_the_network_sees_display_encoded_colours_between_0_and_1():
    linear = np.array([[[-1.0, 0.0, 0.0031308], [0.5, 1.0, 40.0]]], np.float32)
    # IEC 61966-2-1: 12.92 x below the knee, 1.055 x^(1/2.4) - 0.055 above; 1e-6 for float32's powers
    expected = [[[0, 0, 0.0031308 * 12.92], [1.055 * 0.5 ** (1 / 2.4) - 0.055, 1, 1]]]
    np.testing.assert_allclose(network_colours(linear, linear=True), expected, atol=1e-6)
    np.testing.assert_array_equal(network_colours(linear, linear=False), linear.clip(0, 1))
    np.testing.assert_array_equal(network_colours(photo(), linear=False), as_float(photo()))


def test_whole_pictures_and_mattes_come_as_floats(tmp_path):
    pixels, found = read_picture(save(tmp_path / "a.png", noise(3, np.uint16)))
    np.testing.assert_array_equal(pixels, as_float(noise(3, np.uint16)))
    assert found.dtype == np.uint16
    grey = noise(1)
    np.testing.assert_array_equal(read_grey(save(tmp_path / "b.png", grey)), as_float(grey)[..., 0])
    np.testing.assert_array_equal(read_grey(save(tmp_path / "c.png", np.repeat(grey, 3, 2))), as_float(grey)[..., 0])
    assert read_grey(save(tmp_path / "d.exr", np.full((1, 1, 1), 1.5, np.float32))).tolist() == [[1]]
    with pytest.raises(InputError, match="looks like a colour picture, we need a grey picture"):
        read_grey(tmp_path / "a.png")


# writing


@pytest.mark.parametrize("depth", ["8", "16"])
def test_integers_are_rounded_and_clipped(tmp_path, depth):
    white = WHITE[depth]
    values = np.array([[-0.5, 0.49 / white, 0.51 / white, 1 - 0.51 / white, 1.0, 7.0]], np.float32)
    assert raw(write(tmp_path / "a.tif", values, depth))[0, :, 0].tolist() == [0, 0, 1, white - 1, white, white]


@pytest.mark.parametrize(("suffix", "depth"), [(".exr", "half"), (".exr", "float"), (".tif", "float")])
def test_floats_keep_what_lies_outside_but_alpha_does_not(tmp_path, suffix, depth):
    pixels = np.array([[[-0.5, 2.0, 1e6, 1.5], [0.25, 0.5, 1.0, -1.0]]], np.float32)
    file = raw(write(tmp_path / f"a{suffix}", pixels, depth))
    assert file[0, 0].tolist() == [-0.5, 2.0, 65504.0 if depth == "half" else 1e6, 1.0]
    assert file[0, 1, 3] == 0


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr", ".webp", ".jpg"])
def test_the_heights_of_the_bands_do_not_show(tmp_path, suffix):
    depth = "half" if suffix == ".exr" else "8"
    pixels = as_float(photo())
    one = write(tmp_path / f"one{suffix}", pixels, depth, band=HEIGHT)
    many = write(tmp_path / f"many{suffix}", pixels, depth, band=1)
    np.testing.assert_array_equal(whole(one), whole(many))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr", ".webp", ".jpg"])
def test_an_exception_leaves_no_file_and_the_old_one_as_it_was(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    depth = "half" if suffix == ".exr" else "8"
    with pytest.raises(KeyError):
        _write_rows(path, depth, rows=4, then=KeyError)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [path.name]
    with pytest.raises(RuntimeError, match="4 of 9 rows"):
        _write_rows(path, depth, rows=4)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [path.name]
    with PictureWriter(path, 9, 9, channels=1, bit_depth=depth) as writer:
        writer.write(np.zeros((9, 9), np.float32))
        assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]
    assert whole(path).shape == (9, 9, 3)


def _write_rows(path: Path, depth: str, *, rows: int, then: type[Exception] | None = None) -> None:
    with PictureWriter(path, 9, 9, channels=1, bit_depth=depth) as writer:
        writer.write(np.zeros((rows, 9), np.float32))
        if then:
            raise then


def test_a_killed_process_leaves_a_hidden_file_at_most(tmp_path):
    program = (
        "import os, numpy as np; from hdmatt.pictures.reader import PictureWriter\n"
        f"with PictureWriter({str(tmp_path / 'a.png')!r}, 9, 9, channels=1, bit_depth='8') as writer:\n"
        "    writer.write(np.zeros((8, 9), np.float32)); os.kill(os.getpid(), 9)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(reader.__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == -signal.SIGKILL
    assert all(name.startswith(".hdmatt-") for name in os.listdir(tmp_path))


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()
    path = write(tmp_path / "a.png", noise(1, np.float32), "8")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr", ".webp", ".jpg"])
def test_a_full_disk_is_told_before_the_encoder_meets_it(tmp_path, monkeypatch, suffix):
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    depth = "half" if suffix == ".exr" else "8"
    with pytest.raises(OutputError) as error:
        write(tmp_path / f"a{suffix}", np.zeros((1024, 4096), np.float32), depth, band=512 + 256)
    assert "its disk has 1 MiB left, we may need " in error.value.message and "Make room" in error.value.hint
    assert os.listdir(tmp_path) == []


def test_a_file_that_lost_its_end_is_not_published(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # libpng buffers these rows and fails on closing
    try:
        with pytest.raises(OutputError, match=r"a\.png cannot be written \("):
            write(tmp_path / "a.png", noise(3, np.float32), "8")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_a_tiff_beyond_classic_tiff_is_a_bigtiff(tmp_path):
    def first_bytes(height: int) -> bytes:
        with PictureWriter(tmp_path / "a.tif", height, 30_000, channels=3, bit_depth="8") as writer:
            assert writer
            (hidden,) = tmp_path.iterdir()
            raise KeyError(hidden.read_bytes()[:4])

    for height, magic in ((1000, b"II*\0"), (40_000, b"II+\0")):
        with pytest.raises(KeyError) as error:
            first_bytes(height)
        assert error.value.args == (magic,)


# writing: metadata


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_the_profile_is_carried_to_as_many_colours(tmp_path, suffix):
    like = info(icc=profile())
    with open_picture(write(tmp_path / f"a{suffix}", as_float(photo()), "8", like=like)) as picture:
        assert picture.info.icc == profile()
    matte = as_float(photo()[..., 0])
    with open_picture(write(tmp_path / f"b{suffix}", matte, "8", like=like)) as picture:
        assert picture.info.icc is None
    if suffix in (".png", ".tif"):
        grey = info(icc=profile(b"GRAY"), channels=1)
        with open_picture(write(tmp_path / f"c{suffix}", matte, "8", like=grey)) as picture:
            assert picture.info.icc == profile(b"GRAY")


def test_a_damaged_profile_does_not_keep_a_picture_from_being_written(tmp_path):
    damaged = profile()[:64] + b"\xff" * 4 + profile()[68:]  # a rendering intent that libpng refuses
    with open_picture(write(tmp_path / "a.png", as_float(photo()), "8", like=info(icc=damaged))) as picture:
        np.testing.assert_array_equal(picture.rows(0, HEIGHT), photo())
        assert picture.info.icc is None


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".exr"])
@pytest.mark.parametrize("resolution", [(300.0, 300.0, "in"), (300.0, 150.0, "in"), (120.0, 120.0, "cm")])
def test_the_resolution_is_carried(tmp_path, suffix, resolution):
    depth = "half" if suffix == ".exr" else "8"
    path = write(tmp_path / f"a{suffix}", as_float(photo()), depth, like=info(resolution=resolution))
    with open_picture(path) as picture:
        assert picture.info.resolution
        x, y, unit = picture.info.resolution
    dots = np.array(resolution[:2]) * (2.54 if resolution[2] == "cm" else 1)
    # 0.02: PNG counts whole dots in a metre, JPEG whole dots
    np.testing.assert_allclose(np.array([x, y]) * (2.54 if unit == "cm" else 1), dots, rtol=0.02)


def test_pictures_without_metadata_have_none(tmp_path):
    for suffix in (".png", ".tif", ".jpg"):
        with open_picture(write(tmp_path / f"a{suffix}", as_float(photo()), "8")) as picture:
            assert picture.info.icc is None and picture.info.resolution is None


# writing: what formats hold


@pytest.mark.parametrize(
    ("suffix", "depth", "message"),
    [
        (".jpg", "16", "JPEG has no bit depth 16, we need 8"),
        (".webp", "16", "WebP has no bit depth 16, we need 8"),
        (".png", "half", "PNG has no bit depth half, we need 8 or 16"),
        (".exr", "8", "EXR has no bit depth 8, we need half or float"),
        (".tif", "half", "TIFF has no bit depth half, we need 8 or 16 or float"),
        (".png", "12", "PNG has no bit depth 12, we need 8 or 16"),
    ],
)
def test_a_depth_that_the_format_lacks_is_refused_with_those_it_has(tmp_path, suffix, depth, message):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(InputError) as error:
        PictureWriter(path, 9, 9, channels=1, bit_depth=depth)
    assert error.value.message == f"{path}: {message}" and "--bit-depth" in error.value.hint


def test_alpha_does_not_go_into_jpeg(tmp_path):
    with pytest.raises(OutputError, match="JPEG has no alpha channel") as error:
        PictureWriter(tmp_path / "a.jpg", 9, 9, channels=4, bit_depth="8")
    assert error.value.hint == "Write to a.png, or to .tif, .exr or .webp."


@pytest.mark.parametrize(("suffix", "side"), [(".webp", 16384), (".jpg", 65501)])
def test_a_picture_too_large_for_the_format_is_refused_before_any_work(tmp_path, suffix, side):
    with pytest.raises(OutputError, match=rf"9x{side} \(width x height\) is too large for .*, its sides end at"):
        PictureWriter(tmp_path / f"a{suffix}", side, 9, channels=1, bit_depth="8")


@pytest.mark.parametrize(
    ("dtype", "depths"),
    [
        (np.uint8, {".png": "8", ".jpg": "8", ".webp": "8", ".tif": "8", ".exr": "half"}),
        (np.uint16, {".png": "16", ".jpeg": "8", ".webp": "8", ".tiff": "16", ".exr": "float"}),
        (np.float16, {".png": "16", ".jpg": "8", ".webp": "8", ".tif": "float", ".exr": "half"}),
        (np.float32, {".PNG": "16", ".jpg": "8", ".webp": "8", ".tif": "float", ".exr": "float"}),
    ],
)
def test_the_default_depth_is_the_inputs_or_the_nearest(dtype, depths):
    for suffix, depth in depths.items():
        assert default_bit_depth(f"a{suffix}", info(dtype=np.dtype(dtype))) == depth


def test_output_paths_are_checked_before_the_work(tmp_path):
    (tmp_path / "in.png").write_bytes(b"x")
    (tmp_path / "link.png").symlink_to(tmp_path / "in.png")
    (tmp_path / "folder.png").mkdir()
    check_output_path(tmp_path / "out.png", [tmp_path / "in.png"])
    check_output_path(str(tmp_path / "OUT.TIFF"), [])
    for name, message in {
        "out.gif": "we cannot write .gif, we need one of .png .jpg",
        "out": "we cannot write a file without a suffix",
        "gone/out.png": f"its folder {tmp_path / 'gone'} does not exist",
        "folder.png": "is a folder, we need a file name",
        "in.png": "is one of the inputs",
        "link.png": "is one of the inputs",
        "folder.png/../in.png": "is one of the inputs",
    }.items():
        with pytest.raises(OutputError) as error:
            check_output_path(tmp_path / name, [tmp_path / "in.png"])
        assert message in error.value.message and str(tmp_path / name) in error.value.message and error.value.hint


def test_a_folder_closed_to_us_is_no_place_for_output(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda folder, mode: False)  # to root no folder is closed
    with pytest.raises(OutputError, match="we may not write into its folder"):
        check_output_path(tmp_path / "a.png", [])
