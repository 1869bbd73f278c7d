from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import best_colours, cost_of_colours
from repeated import examples
from small_scene import scene

from hdmatt.pictures.colours import multilevel
from hdmatt.pictures.colours.colour import composite
from hdmatt.pictures.colours.foreground import estimate_foreground, foreground_bands
from hdmatt.pictures.colours.multilevel import multilevel_foreground


def in_bands(picture, alpha, heights, *, tile=96, overlap=24) -> np.ndarray:
    """All of `foreground_bands`, fed with bands of the given heights, over and over."""

    def bands():
        y = i = 0
        while y < len(alpha):
            rows = heights[i % len(heights)]
            yield y, picture[y : y + rows], alpha[y : y + rows]
            y, i = y + rows, i + 1

    height, width = alpha.shape
    y, out = 0, []
    for y0, rows, shares in foreground_bands(bands(), height=height, width=width, tile=tile, overlap=overlap):
        assert y0 == y
        np.testing.assert_array_equal(shares, alpha[y : y + len(rows)])
        y += len(rows)
        out.append(rows)
    return np.concatenate(out)


@pytest.mark.parametrize("gain", [1, 20])
def test_the_foreground_of_a_smooth_scene_comes_back(gain):
    foreground, _, alpha, picture = scene(160, 200)
    estimate = estimate_foreground(picture * np.float32(gain), alpha) / gain
    # measured 0.030; leaving the background's spill in, as the picture has it, is off by 0.22
    assert (alpha[..., None] * np.abs(estimate - foreground)).max() < 0.04
    assert (alpha[..., None] * np.abs(picture - foreground)).max() > 0.2


@pytest.mark.parametrize("gain", [1, 20])
def test_solid_pixels_are_the_pictures_bit_by_bit(gain):
    _, _, alpha, picture = scene(150, 170)
    picture = picture * np.float32(gain)
    result = in_bands(picture, alpha, [150])
    np.testing.assert_array_equal(result[alpha == 1], picture[alpha == 1])


@examples(8)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=4))
def test_the_result_does_not_depend_on_the_bands(heights):
    _, _, alpha, picture = scene(150, 170)
    np.testing.assert_array_equal(in_bands(picture, alpha, heights), in_bands(picture, alpha, [150]))


def test_the_estimate_is_the_same_twice():
    _, _, alpha, picture = scene(150, 170)
    np.testing.assert_array_equal(estimate_foreground(picture, alpha), estimate_foreground(picture, alpha))


def test_tiles_agree_with_the_whole_and_show_no_seam():
    _, _, alpha, picture = scene(190, 230)
    whole = estimate_foreground(picture, alpha)
    difference = alpha[..., None] * (in_bands(picture, alpha, [190]) - whole)
    # measured 0.006: colours come from as far as the matte is soft, tiles this small see less of them
    assert np.abs(difference).max() < 0.01
    # where tiles meet the mean step is that between any two rows, 2e-4 at most; cut hard it is 2e-3
    for axis in (0, 1):
        assert np.abs(np.diff(difference, axis=axis)).mean(axis=(1 - axis, 2)).max() < 5e-4


def test_light_above_1_changes_only_the_scale():
    _, _, alpha, picture = scene(150, 170)
    bright = in_bands(picture * 16, alpha, [150])
    assert bright[alpha < 1].max() > 8
    # every tile holds more than 1/16, so it is divided by its own maximum; powers of two are exact
    np.testing.assert_array_equal(in_bands(picture * 32, alpha, [150]), bright * 2)


def test_a_picture_without_soft_pixels_is_its_own_foreground():
    picture = np.random.default_rng(0).random((100, 120, 3), np.float32) * 3
    alpha = (picture[..., 0] > 1).astype(np.float32)
    np.testing.assert_array_equal(in_bands(picture, alpha, [30]), picture)


def test_tips_of_hair_without_any_solid_pixel_are_not_darkened():
    alpha = np.tile(np.linspace(0, 0.6, 100, dtype=np.float32), (80, 1))
    foreground = np.broadcast_to(np.float32([0.8, 0.6, 0.3]), (80, 100, 3))
    picture = composite(foreground, alpha, np.float32([0.1, 0.3, 0.7]))
    error = alpha[..., None] * np.abs(estimate_foreground(picture, alpha) - foreground)
    # measured 1e-5; an estimate that starts from the mean of solid pixels has black here, and is off by 0.06
    assert error.max() < 1e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (25, 24), (97, 3)])
def test_the_smallest_pictures_work(size):
    picture = np.full((*size, 3), 0.25, np.float32)
    result = in_bands(picture, np.full(size, 0.5, np.float32), [1])
    assert result.shape == picture.shape
    # nothing but 0.25 = F / 2 + B / 2 is known, so F is anything from 0 to 0.5
    assert ((result >= 0) & (result <= 0.5001)).all()


def test_bands_that_leave_rows_out_are_our_mistake():
    picture, alpha = np.zeros((10, 5, 3), np.float32), np.zeros((10, 5), np.float32)
    with pytest.raises(RuntimeError, match="starts at row 4, got one at 6"):
        list(foreground_bands([(0, picture[:4], alpha[:4]), (6, picture[6:], alpha[6:])], height=10, width=5))
    with pytest.raises(RuntimeError, match="starts at row 4, got one at -1"):
        list(foreground_bands([(0, picture[:4], alpha[:4])], height=10, width=5))


def test_many_sweeps_are_the_least_squares_solution(rng):
    _, _, _, picture = scene(7, 9)
    picture = 0.5 * picture + rng.random(picture.shape, np.float32) / 10 + np.float32(0.1)
    alpha = rng.random(picture.shape[:2], np.float32)
    foreground, background = best_colours(picture, alpha)
    assert min(foreground.min(), background.min()) > 0 and max(foreground.max(), background.max()) < 1  # none is cut
    equations = multilevel._equations(picture, alpha, np.float32(1))
    start = np.full((2, 3, 7, 9), 0.5, np.float32)
    swept = multilevel._sweeps(equations, alpha, start, (1.0,) * 1000)
    # 2e-5: float32, and a condition of 1e3
    np.testing.assert_allclose(swept[0], foreground.transpose(2, 0, 1), rtol=0, atol=2e-5)
    np.testing.assert_allclose(swept[1], background.transpose(2, 0, 1), rtol=0, atol=2e-5)


def test_three_damped_sweeps_take_more_off_than_four_plain_ones(rng):
    _, _, _, picture = scene(16, 18)
    alpha = rng.random((16, 18), np.float32)
    solution = np.stack(best_colours(picture, alpha)).transpose(0, 3, 1, 2).astype(np.float32)
    equations = multilevel._equations(picture, alpha, np.float32(1))
    start = np.clip(solution + rng.normal(0, 0.1, solution.shape), 0, 1).astype(np.float32)

    def left(*factors):
        return np.abs(multilevel._sweeps(equations, alpha, start, factors) - solution).mean()

    assert left(*multilevel._FEW) < left(1, 1, 1, 1) < left(1, 1, 1) < left()
    assert left(*multilevel._MANY) < left(*multilevel._FEW, *multilevel._FEW)


def test_the_cost_is_near_the_least_there_is(rng):
    _, _, alpha, picture = scene(20, 22)
    picture = np.clip(picture + rng.normal(0, 0.02, picture.shape), 0, 1).astype(np.float32)

    def cost(foreground):  # with the best background for it
        return cost_of_colours(picture, alpha, *best_colours(picture, alpha, foreground=foreground))

    least = cost_of_colours(picture, alpha, *best_colours(picture, alpha))
    # measured 0.03
    assert 0 < cost(multilevel_foreground(picture, alpha)) - least < 0.05 * (cost(picture) - least)


def test_flat_colours_come_back():
    _, _, alpha, _ = scene(100, 90)
    foreground, background = np.float32([0.8, 0.3, 0.1]), np.float32([0.1, 0.4, 0.9])
    picture = composite(np.broadcast_to(foreground, (100, 90, 3)), alpha, background)
    # they cost nothing; the first guess is drawn to the mean by 1e-3
    np.testing.assert_allclose(
        multilevel_foreground(picture, alpha), np.broadcast_to(foreground, picture.shape), atol=1e-3
    )


def test_a_transposed_picture_has_transposed_colours(rng):
    _, _, alpha, picture = scene(90, 150)
    picture += rng.normal(0, 0.02, picture.shape).astype(np.float32)
    picture = np.clip(picture, 0, 1)
    there = multilevel_foreground(picture, alpha)
    back = multilevel_foreground(picture.transpose(1, 0, 2).copy(), alpha.T.copy()).transpose(1, 0, 2)
    # sums in another order, float32; measured 1.3e-6
    np.testing.assert_allclose(back, there, rtol=0, atol=1e-5)


def test_the_background_of_a_matte_is_the_foreground_of_its_inverse(rng):
    _, _, alpha, picture = scene(50, 60)
    start = rng.random((2, 3, 50, 60), np.float32)
    one = multilevel._sweeps(multilevel._equations(picture, alpha, np.float32(1)), alpha, start, multilevel._FEW)
    inverse = 1 - alpha
    other = multilevel._sweeps(
        multilevel._equations(picture, inverse, np.float32(1)), inverse, start[::-1], multilevel._FEW
    )
    # 1 - (1 - alpha) is rounded; measured 1.4e-6
    np.testing.assert_allclose(other[::-1], one, rtol=0, atol=1e-5)


@pytest.mark.parametrize("window", [(16, 32), (1000, 1000)])
def test_windows_do_not_show(monkeypatch, rng, window):
    _, _, alpha, picture = scene(150, 271)
    picture = np.clip(picture + rng.normal(0, 0.1, picture.shape), 0, 1).astype(np.float32)
    there = multilevel_foreground(picture, alpha)
    monkeypatch.setattr(multilevel, "WINDOW", window)
    np.testing.assert_array_equal(multilevel_foreground(picture, alpha), there)


def test_threads_do_not_show():
    _, _, alpha, picture = scene(150, 170)
    alone = estimate_foreground(picture, alpha)
    with ThreadPoolExecutor(4) as threads:
        for together in threads.map(lambda _: estimate_foreground(picture, alpha), range(8)):
            np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("light", [0, 1e-30, 3e38])
def test_no_value_is_lost_to_overflow(rng, light):
    picture = rng.random((70, 50, 3), np.float32) * np.float32(light)
    alpha = np.clip(rng.normal(0.5, 0.5, (70, 50)), 0, 1).astype(np.float32)
    assert np.isfinite(estimate_foreground(picture, alpha)).all()
