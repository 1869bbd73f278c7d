import os

import numpy as np
import pytest
from small_pictures import DTYPES, HEIGHT, LOSSLESS, WIDTH, noise, photo, raw, save, save_named, whole, write

from hdmatt.errors import InputError
from hdmatt.pictures.colours.encoding import LINEAR, SRGB
from hdmatt.pictures.info import InputOptions
from hdmatt.pictures.reader import ArrayReader, as_float, network_colours, open_picture, read_grey
from hdmatt.pictures.trimap import open_trimap


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
    assert picture.info.linear == (suffix == ".exr" or depth == "float") and not picture.info.has_alpha


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_comes_back_within_its_own_loss(tmp_path, channels):
    pixels = photo()[..., :channels]
    got = whole(write(tmp_path / "a.jpg", as_float(pixels), "8"))
    # 6: quality 95 rounds each coefficient of a block by up to half a quantum
    assert np.abs(got.astype(int) - pixels).max() <= 6


@pytest.mark.parametrize(("suffix", "depth"), [c for c in LOSSLESS if c[0] != ".exr"])
def test_straight_colours_stay_straight(tmp_path, suffix, depth):
    pixels = noise(4, DTYPES[depth])
    assert (pixels[..., 3] == 0).any() or depth != "8"
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
    path = save_named(tmp_path / f"a{suffix}", pixels, spec_alpha, attributes)
    with open_picture(path) as picture:
        got = picture.rows(0, HEIGHT)
        np.testing.assert_array_equal(got, np.broadcast_to(pixels[..., :colours], got.shape))
        assert (picture.info.channels, picture.info.has_alpha) == (colours, alpha)


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


def test_more_pixels_than_allowed_are_refused_before_decoding(tmp_path):
    path = save(tmp_path / "a.png", noise())
    with pytest.raises(InputError) as error:
        open_picture(path, InputOptions(max_pixels=HEIGHT * WIDTH - 1))
    assert error.value.message == f"{path} is 29x37 (width x height): 1073 pixels to decode, the limit is 1072"
    assert error.value.hint == "If that is no mistake, allow it: --max-pixels 1073"
    open_picture(path, InputOptions(max_pixels=HEIGHT * WIDTH)).close()
    with pytest.raises(InputError, match="the limit is 10"):
        open_trimap(path, InputOptions(max_pixels=10))


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
    np.testing.assert_allclose(network_colours(linear, LINEAR), expected, atol=1e-6)
    np.testing.assert_array_equal(network_colours(linear, SRGB), linear.clip(0, 1))
    np.testing.assert_array_equal(network_colours(photo(), SRGB), as_float(photo()))


def test_grey_pictures_come_whole_as_floats(tmp_path):
    save(tmp_path / "a.png", noise(3, np.uint16))
    grey = noise(1)
    np.testing.assert_array_equal(read_grey(save(tmp_path / "b.png", grey)), as_float(grey)[..., 0])
    np.testing.assert_array_equal(read_grey(save(tmp_path / "c.png", np.repeat(grey, 3, 2))), as_float(grey)[..., 0])
    assert read_grey(save(tmp_path / "d.exr", np.full((1, 1, 1), 1.5, np.float32))).tolist() == [[1]]
    with pytest.raises(InputError, match="looks like a colour picture, we need a grey picture"):
        read_grey(tmp_path / "a.png")


def test_a_name_that_is_not_utf8_is_read_and_written(tmp_path):
    strange = tmp_path / os.fsdecode(b"n\xff\n.png")
    os.rename(save(tmp_path / "a.png", noise()), strange)
    np.testing.assert_array_equal(whole(strange), noise())
    np.testing.assert_array_equal(whole(write(strange, as_float(noise())[:, ::-1], "8")), noise()[:, ::-1])
