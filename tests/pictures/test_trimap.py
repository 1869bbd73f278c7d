import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdmatt.errors import InputError
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN, Counts, classify, count, from_mask, shrink


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


def test_counts_sum_to_the_pixels():
    assert count(np.array([[0, 0, 128], [255, 255, 255]], np.uint8)) == Counts(2, 1, 3)


@pytest.mark.parametrize("radii", [(0, 0), (1, 3), (5, 2), (4, 4)])
def test_the_band_is_all_within_the_radius_of_the_other_side(radii):
    erode, dilate = radii
    mask = np.random.default_rng(1).random((20, 17)) > 0.9
    mask[5:16, 4:15] = True
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    expected = np.where(mask, FOREGROUND, BACKGROUND)
    for at in np.ndindex(mask.shape):
        other = mask != mask[at]
        if ((y - at[0]) ** 2 + (x - at[1]) ** 2)[other].min() <= (erode if mask[at] else dilate) ** 2:
            expected[at] = UNKNOWN
    np.testing.assert_array_equal(from_mask(mask, erode=erode, dilate=dilate), expected)


def test_a_large_radius_is_an_exact_disc():
    mask = np.zeros((401, 401), bool)
    mask[200, 200] = True
    y, x = np.mgrid[-200:201, -200:201]
    trimap = from_mask(mask, erode=0, dilate=150)
    np.testing.assert_array_equal(trimap != BACKGROUND, y * y + x * x <= 150 * 150)


def test_erosion_is_dilation_of_the_inverse():
    mask = np.random.default_rng(2).random((30, 40)) > 0.2
    turned = from_mask(~mask, erode=3, dilate=2)
    np.testing.assert_array_equal(from_mask(mask, erode=2, dilate=3).astype(int), 255 - turned + (turned == UNKNOWN))


@pytest.mark.parametrize(("value", "known"), [(False, BACKGROUND), (True, FOREGROUND)])
def test_a_mask_without_a_rim_has_no_band(value, known):
    assert (from_mask(np.full((5, 6), value), erode=9, dilate=9) == known).all()


def test_masks_of_every_type_agree():
    mask = np.random.default_rng(3).random((12, 12)) > 0.5
    expected = from_mask(mask, erode=1, dilate=1)
    for other in (mask * np.uint8(255), mask * np.uint16(65535), mask.astype(np.float32)):
        np.testing.assert_array_equal(from_mask(other, erode=1, dilate=1), expected)


def test_negative_radii_and_odd_masks_are_refused():
    with pytest.raises(InputError, match="erode=-1 and dilate=2"):
        from_mask(np.ones((2, 2), bool), erode=-1, dilate=2)
    with pytest.raises(InputError, match="array of int64"):
        from_mask(np.ones((2, 2), np.int64), erode=1, dilate=1)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 9))
def test_a_shrunk_cell_is_unknown_if_any_pixel_is_else_the_majority(height, width, factor):
    mostly_known = np.array([0, 0, 0, 128, 255, 255, 255], np.uint8)
    trimap = np.random.default_rng(height * width).choice(mostly_known, (height, width))
    small = shrink(trimap, factor)
    assert small.shape == (-(-height // factor), -(-width // factor))
    for (y, x), value in np.ndenumerate(small):
        cell = count(trimap[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor])
        known = FOREGROUND if cell.foreground > cell.background else BACKGROUND
        assert value == (UNKNOWN if cell.unknown else known)


def test_stride_one_changes_nothing():
    trimap = some_trimap(6, 5)
    np.testing.assert_array_equal(shrink(trimap, 1), trimap)
