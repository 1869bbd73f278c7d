import numpy as np
import pytest
from small_pictures import HEIGHT, WIDTH, photo, save

from hdmatt.errors import InputError
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN, classify, from_alpha, open_trimap


def some_trimap(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).choice(np.array([BACKGROUND, UNKNOWN, FOREGROUND], np.uint8), (height, width))


def test_every_8_bit_value_falls_into_its_third():
    trimap, snapped = classify(np.arange(256, dtype=np.uint8)[None])
    assert (trimap[0, :85] == BACKGROUND).all()
    assert (trimap[0, 85:170] == UNKNOWN).all()
    assert (trimap[0, 170:] == FOREGROUND).all()
    assert snapped == 256 - 3


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint16, 257), (np.float32, 1 / 255), (np.float64, 1 / 255)])
def test_the_same_picture_at_another_depth_is_the_same_trimap(dtype, scale):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    trimap, snapped = classify((grey * np.float64(scale)).astype(dtype))
    np.testing.assert_array_equal(trimap, classify(grey)[0])
    assert snapped == 256 - 3


def test_half_floats_of_an_exact_trimap_are_exact():
    trimap, snapped = classify(np.array([[0, 0.5, 128 / 255, 1]], np.float16))
    assert trimap.tolist() == [[BACKGROUND, UNKNOWN, UNKNOWN, FOREGROUND]]
    assert snapped == 0


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 128, 255]], np.uint8),
        np.array([[0, 32768, 32896, 65535]], np.uint16),
        np.array([[0, 0.5, 128 / 255, 1]], np.float32),
    ],
)
def test_exact_values_are_not_counted_as_snapped(values):
    assert classify(values)[1] == 0


def test_sixteen_bit_thresholds_sit_at_85_and_170_times_257():
    trimap, _ = classify(np.array([[21844, 21845, 43689, 43690]], np.uint16))
    assert trimap.tolist() == [[BACKGROUND, UNKNOWN, UNKNOWN, FOREGROUND]]


def test_floats_beyond_the_range_are_snapped():
    trimap, snapped = classify(np.array([[-0.5, 1.5]], np.float32))
    assert trimap.tolist() == [[BACKGROUND, FOREGROUND]]
    assert snapped == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_trimap_classified_again_does_not_change(dtype):
    trimap = some_trimap(9, 7)
    values = trimap if dtype == np.uint8 else (trimap / 255).astype(dtype)
    again, snapped = classify(values)
    np.testing.assert_array_equal(again, trimap)
    assert snapped == 0


def test_a_trimap_with_nan_is_refused():
    with pytest.raises(InputError, match="not finite"):
        classify(np.array([[0, np.nan]], np.float32))


def test_a_trimap_of_other_numbers_is_refused():
    with pytest.raises(InputError, match="array of int32, we need uint8") as caught:
        classify(np.zeros((2, 2), np.int32))
    assert "astype" in caught.value.hint


def test_a_large_radius_is_an_exact_disc():
    alpha = np.zeros((401, 401), np.uint8)
    alpha[200, 200] = 255
    y, x = np.mgrid[-200:201, -200:201]
    np.testing.assert_array_equal(from_alpha(alpha, radius=150) != BACKGROUND, y * y + x * x <= 150 * 150)


@pytest.mark.parametrize(("value", "known"), [(0, BACKGROUND), (255, FOREGROUND)])
def test_a_matte_without_a_rim_leaves_nothing_unknown(value, known):
    assert (from_alpha(np.full((5, 6), value, np.uint8), radius=9) == known).all()


def test_the_inverse_matte_gives_the_inverse_trimap():
    alpha = np.random.default_rng(2).choice(np.array([0, 255, 255, 255, 9], np.uint8), (30, 40))
    turned = from_alpha(255 - alpha, radius=2)
    np.testing.assert_array_equal(from_alpha(alpha, radius=2).astype(int), 255 - turned + (turned == UNKNOWN))


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
