import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from repeated import examples

from hdmatt.pictures.colours.continued import (
    CELL,
    LEVELS,
    OPAQUE,
    cleared,
    coarse_colours,
    continued_bands,
    continued_foreground,
)

SIZES = st.tuples(st.integers(1, 150), st.integers(1, 150))


def drawn(height, width, seed=0):
    """A foreground of 0.5 to 1, and an alpha of three kinds, mostly clear."""
    rng = np.random.default_rng(seed)
    foreground = rng.random((height, width, 3), np.float32) / 2 + np.float32(0.5)
    alpha = rng.choice(np.float32([0, 0.25, 1]), (height, width), p=[0.98, 0.01, 0.01])
    alpha[: height // 2, : width // 3] = 0  # empty cells, too
    return foreground, alpha


def coarse_of(foreground, sure):
    return coarse_colours((foreground[y : y + CELL], sure[y : y + CELL]) for y in range(0, len(sure), CELL))


def in_bands(foreground, alpha, coarse, heights):
    def bands():
        y = i = 0
        while y < len(alpha):
            rows = heights[i % len(heights)]
            yield y, foreground[y : y + rows], alpha[y : y + rows]
            y, i = y + rows, i + 1

    height, width = alpha.shape
    parts = list(continued_bands(bands(), coarse, height=height, width=width))
    assert [y for y, _, _ in parts] == list(range(0, height, CELL))
    np.testing.assert_array_equal(np.concatenate([shares for _, _, shares in parts]), alpha)
    return np.concatenate([rows for _, rows, _ in parts])


def slowly(foreground, alpha, coarse):
    """The whole picture's pyramid, pixel by pixel, down to the coarse colours."""
    height, width = alpha.shape
    rows, columns = (size * CELL for size in coarse.shape[:2])
    sums = np.zeros((rows, columns, 4))
    weight = alpha**8 / OPAQUE if coarse.any() else alpha
    sums[:height, :width, :3], sums[:height, :width, 3] = foreground * weight[..., None], weight
    levels = [sums]
    for _ in range(LEVELS):
        fine = levels[-1]
        sums = fine[0::2, 0::2] + fine[0::2, 1::2] + fine[1::2, 0::2] + fine[1::2, 1::2]
        levels.append(sums / np.maximum(1, sums[..., 3:]))
    filled = coarse.astype(np.float64)
    for level in reversed(levels[1:]):
        filled = level[..., :3] + (1 - level[..., 3:]) * filled
        for axis in (0, 1):
            first, last = np.take(filled, [0], axis), np.take(filled, [-1], axis)
            before = np.concatenate([first, np.delete(filled, -1, axis)], axis)
            after = np.concatenate([np.delete(filled, 0, axis), last], axis)
            both = np.stack([0.75 * filled + 0.25 * before, 0.75 * filled + 0.25 * after], axis + 1)
            filled = both.reshape(np.multiply(filled.shape, [2 if i == axis else 1 for i in range(3)]))
    return np.where(alpha[..., None] > 0, foreground, filled[:height, :width])


@examples(15)
@given(SIZES, st.integers(0, 9))
def test_bands_are_the_pyramid_of_the_whole_picture(size, seed):
    foreground, alpha = drawn(*size, seed)
    coarse = coarse_of(foreground, alpha == 1)
    # 1e-6: float32 against float64
    np.testing.assert_allclose(
        in_bands(foreground, alpha, coarse, [CELL]), slowly(foreground, alpha, coarse), rtol=0, atol=1e-6
    )


@examples(8)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=4))
def test_the_result_does_not_depend_on_the_bands(heights):
    foreground, alpha = drawn(150, 130)
    coarse = coarse_of(foreground, alpha == 1)
    whole = continued_foreground(foreground.copy(), alpha, coarse)
    np.testing.assert_array_equal(in_bands(foreground, alpha, coarse, heights), whole)


@examples(15)
@given(SIZES, st.integers(0, 9))
def test_colours_stay_where_alpha_is_not_0_and_are_the_foregrounds_elsewhere(size, seed):
    foreground, alpha = drawn(*size, seed)
    alpha[-1, -1] = 1
    background = np.where(alpha[..., None] > 0, foreground, np.float32(0.1))  # where alpha is 0 the picture shows it
    result = continued_foreground(background, alpha, coarse_of(background, alpha == 1))
    np.testing.assert_array_equal(result[alpha > 0], foreground[alpha > 0])
    seen = foreground[alpha > 0]
    # 1e-6: float32; a trace of the background of 0.1 would show
    assert (result >= seen.min(0) - 1e-6).all() and (result <= seen.max(0) + 1e-6).all()


def test_the_nearest_foreground_counts_most():
    picture = np.zeros((96, 400, 3), np.float32)
    picture[:, :40], picture[:, 360:] = (1, 0, 0), (0, 0, 1)
    alpha = picture.max(2)
    result = continued_foreground(picture, alpha, coarse_of(picture, alpha == 1))
    assert (result[:, :110, 0] > 0.75).all() and (result[:, 290:, 2] > 0.75).all()
    assert (np.abs(np.diff(result[48, :, 0])) < 0.05).all()  # 1/20 a pixel: smooth


def test_opaque_pixels_far_from_what_is_sure_are_continued_too():
    foreground = np.full((200, 400, 3), 0.2, np.float32)
    foreground[:, 200:] = 0.7
    sure, alpha = np.zeros((2, 200, 400), np.float32)
    sure[100:110, 10:20] = alpha[100:110, 10:20] = alpha[100:140, 330:370] = 1
    result = continued_foreground(foreground.copy(), alpha, coarse_of(foreground, sure == 1))
    assert (result[98:142, 328:372] > 0.5).all() and (result[:, :200] < 0.3).all()


def test_where_nothing_is_sure_soft_pixels_are_continued():
    foreground = np.full((200, 200, 3), 0.7, np.float32)
    alpha = np.zeros((200, 200), np.float32)
    alpha[100:110, 100:110] = 0.5
    result = continued_foreground(foreground.copy(), alpha, coarse_of(foreground, alpha == 1))
    np.testing.assert_allclose(result[100:110, 100:110], 0.7, atol=1e-6)
    along = result[105, 109:200, 0]
    assert (np.diff(along) <= 0).all() and along[10] > 0.3  # it fades to what is far away: nothing
    assert (result[:32] == 0).all()  # nothing is sure in this picture


def test_a_picture_without_any_foreground_is_black():
    picture, none = np.ones((70, 50, 3), np.float32), np.zeros((70, 50), np.float32)
    assert (continued_foreground(picture, none, coarse_of(picture, none == 1)) == 0).all()


@pytest.mark.parametrize(("white", "largest"), [(255, 0.5 / 255), (65535, 0.5 / 65535), (0, 0)])
def test_cleared_colours_are_0_where_the_files_alpha_is(white, largest):
    alpha = np.linspace(0, 1e-2, 5001, dtype=np.float32)[None]
    colours = cleared(np.ones((1, 5001, 3), np.float32), alpha, white=white)
    assert ((colours == 0).all(2) == (alpha <= largest)).all()
