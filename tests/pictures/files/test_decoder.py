import struct
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from repeated import examples
from small_pictures import HEIGHT, WIDTH, noise, photo, save, whole

from hdmatt.errors import InputError
from hdmatt.pictures.files import decoder
from hdmatt.pictures.reader import as_float, open_picture


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


BANDS = st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)).map(sorted), min_size=1, max_size=6)


@examples(12)
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
    native = decoder.FileDecoder._native

    def counted(self: Any, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        decoded.extend(range(y0, y1))
        return native(self, y0, y1, x0, x1)

    monkeypatch.setattr(decoder.FileDecoder, "_native", counted)
    with open_picture(path) as picture:
        for y0 in range(0, HEIGHT, 5):
            picture.rows(max(0, y0 - 3), min(y0 + 5, HEIGHT))
    assert decoded == list(range(HEIGHT))


def decoded_windows(monkeypatch):
    """The windows y0, y1, x0, x1 that are decoded from now on."""
    decoded, native = [], decoder.FileDecoder._native

    def counted(self: Any, *window: int) -> np.ndarray:
        decoded.append(window)
        return native(self, *window)

    monkeypatch.setattr(decoder.FileDecoder, "_native", counted)
    return decoded


def pixels_of(windows):
    return sum((y1 - y0) * (x1 - x0) for y0, y1, x0, x1 in windows)


def test_a_window_of_a_tiled_file_decodes_the_tiles_it_touches(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif", noise(height=80, width=80), tile=16)
    decoded = decoded_windows(monkeypatch)
    with open_picture(path) as picture:
        picture.window(20, 33, 47, 49)
    assert decoded == [(16, 32, 32, 64), (32, 48, 32, 64)]


@pytest.mark.parametrize("kind", ["tif", "exr"])
def test_windows_that_share_tiles_decode_each_tile_once_and_no_other(tmp_path, kind, monkeypatch):
    path = save(tmp_path / f"a.{kind}", noise(3, np.float32, height=100, width=150), tile=16)
    with open_picture(path) as picture:
        assert picture.tiled
        every = whole(path)
        decoded = decoded_windows(monkeypatch)
        # rows 20 to 45 are the tile rows 1 and 2, columns 5 to 60 the tile columns 0 to 3
        for x in (5, 20, 28):
            np.testing.assert_array_equal(picture.window(20, 45, x, x + 32), every[20:45, x : x + 32])
        assert pixels_of(decoded) == 2 * 4 * 16 * 16
        # the tile row 2 is kept; row 3 is new, and of the columns that were not there before all three rows' tiles
        np.testing.assert_array_equal(picture.window(40, 60, 0, 70), every[40:60, :70])
        assert pixels_of(decoded) == (2 * 4 + 4 + 2) * 16 * 16
        np.testing.assert_array_equal(picture.window(90, 100, 140, 150), every[90:, 140:])


def test_rows_of_a_scanline_file_are_no_tiles(tmp_path):
    with open_picture(save(tmp_path / "a.png", noise())) as picture:
        assert not picture.tiled


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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.png", None, "{} does not exist"),
        ("text.png", b"hello", "{} is not a picture that we can read (Not a PNG file)"),
        ("text.svg", b"<svg/>", "{} is a drawing (SVG), which we cannot read"),
        ("text.xyz", b"hello", "{} is not a picture that we can read (OpenImageIO could not find a format reader"),
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


@pytest.mark.parametrize("kind", ["tif", "exr"])
@pytest.mark.parametrize("allowed", [1024, 4096])  # by OpenImageIO: other code may have moved its limit
def test_more_channels_than_we_read_are_refused_with_their_number(tmp_path, kind, allowed):
    path = save(tmp_path / f"a.{kind}", np.zeros((2, 2, 1025), np.float16 if kind == "exr" else np.uint8))
    before = oiio.get_int_attribute("limits:channels")
    oiio.attribute("limits:channels", allowed)
    try:
        with pytest.raises(InputError, match="has 1025 channels, we read files of at most 1024") as caught:
            open_picture(path)
    finally:
        oiio.attribute("limits:channels", before)
    assert "without the other channels" in caught.value.hint


@pytest.mark.parametrize("tile", [0, 16])
def test_what_can_only_be_decoded_in_pieces_beyond_the_bound_is_refused(tmp_path, monkeypatch, tile):
    path = save(tmp_path / "a.exr", noise(40, np.float16, height=64, width=64), tile=tile, compression="zip")
    piece = 16 * (tile or 64) * 40 * 2  # zip has 16 rows in one
    monkeypatch.setattr(decoder, "LARGEST_CHUNK", piece)
    assert whole(path).shape == (64, 64, 3)
    monkeypatch.setattr(decoder, "LARGEST_CHUNK", piece - 1)
    with pytest.raises(InputError, match=r"must be decoded in pieces of 1MiB \(its 40 channels together\)"):
        open_picture(path)
