import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from repeated import examples

from hdmatt.errors import InputError
from hdmatt.patches.stitch import Stitcher, blending_weight
from hdmatt.patches.windows import Window, cut, grid, mirror, rows_of

SIZES = st.sampled_from([(64, 0), (64, 16), (64, 32), (65, 32), (7, 3)])


@examples(40)
@given(st.integers(1, 200), st.integers(1, 200), SIZES)
def test_stitching_untouched_patches_gives_the_picture_back(height, width, patch):
    size, overlap = patch
    picture = np.random.default_rng(0).random((height, width), np.float32)
    weight = blending_weight(size, overlap, blend="paper")
    stitcher = Stitcher(height, width)
    for window in grid(height, width, size=size, overlap=overlap):
        stitcher.add(window, cut(picture, window), weight)
    # 1e-6: one float32 rounding per overlapping patch, at most four of them
    np.testing.assert_allclose(stitcher.result(), picture, rtol=0, atol=1e-6)


@examples(15)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from([(64, 16), (64, 32), (65, 20)]))
def test_the_weights_of_every_pixel_sum_to_one_after_the_division(height, width, patch):
    size, overlap = patch
    weight = blending_weight(size, overlap, blend="paper")
    windows = grid(height, width, size=size, overlap=overlap)
    total, shares = np.zeros((height, width)), np.zeros((height, width))
    pieces = []
    for window in windows:
        y0, y1 = max(window.y, 0), min(window.y + size, height)
        x0, x1 = max(window.x, 0), min(window.x + size, width)
        pieces.append((np.s_[y0:y1, x0:x1], weight[y0 - window.y : y1 - window.y, x0 - window.x : x1 - window.x]))
        total[pieces[-1][0]] += pieces[-1][1]
    assert total.min() > 0
    for i, window in enumerate(windows):  # the share of one patch: 1 in it, 0 in all others
        one = Stitcher(height, width)
        for j, other in enumerate(windows):
            one.add(other, np.full((size, size), i == j, np.float32), weight)
        share = one.result()
        where, own = pieces[i]
        # 1e-6: float32 rounding of at most four weights
        np.testing.assert_allclose(share[where], own / total[where], rtol=0, atol=1e-6)
        assert share.sum() == pytest.approx(share[where].sum()) and window.size == size
        shares += share
    np.testing.assert_allclose(shares, 1, rtol=0, atol=1e-6)


def test_rows_taken_early_equal_rows_taken_at_the_end():
    picture = np.random.default_rng(1).random((150, 90), np.float32)
    weight, windows = blending_weight(64, 16, blend="paper"), grid(150, 90, size=64, overlap=16)
    early, late, rows = Stitcher(150, 90), Stitcher(150, 90), []
    for window in windows:
        rows.append(early.take(window.y))
        early.add(window, cut(picture, window), weight)
        late.add(window, cut(picture, window), weight)
    np.testing.assert_array_equal(np.concatenate([*rows, early.result()]), late.result())


@given(st.integers(1, 12), st.integers(-40, 20), st.integers(1, 60))
def test_mirror_is_reflection_repeated_as_often_as_needed(length, start, count):
    index = mirror(start, start + count, length)
    there_and_back = [*range(length), *range(length - 2, 0, -1)] or [0]
    assert index.tolist() == [there_and_back[i % len(there_and_back)] for i in range(start, start + count)]


def test_cutting_from_a_band_equals_cutting_from_the_picture():
    picture = np.arange(200 * 50 * 3).reshape(200, 50, 3)
    for window in grid(200, 50, size=64, overlap=32):
        top, bottom = rows_of(window, 200)
        band = picture[top:bottom]
        np.testing.assert_array_equal(cut(band, window, first_row=top, height=200), cut(picture, window))


def test_windows_stay_inside_a_picture_that_is_larger_than_they_are():
    for window in grid(501, 320, size=320, overlap=64):
        assert 0 <= window.y <= 501 - 320
        assert window.x == 0


def test_a_small_picture_lies_in_the_middle_of_its_only_window():
    assert grid(10, 20, size=64, overlap=0) == [Window(-27, -22, 64)]


def test_an_overlap_of_more_than_half_a_patch_is_refused():
    with pytest.raises(InputError, match="an overlap of 33 pixels does not fit patches of 64"):
        blending_weight(64, 33, blend="paper")
    with pytest.raises(InputError, match="does not fit"):
        grid(10, 10, size=64, overlap=-1)


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(InputError, match="0x5 pixels"):
        grid(5, 0, size=64, overlap=0)
