"""hdmatt.evaluation.metrics: values of the reference, equality with the loops of reference.py, what must not matter."""

import math

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from repeated import examples

from hdmatt.errors import InputError
from hdmatt.evaluation import matte_bytes, metrics
from hdmatt.evaluation.metrics import check_truth, conn, grad, mad, mse, sad, score
from hdmatt.evaluation.seams import Borders, patch_borders, seam
from hdmatt.patches.windows import Window, grid

METRICS = (sad, mse, mad, grad, conn)
STEPS = (0, 25, 51, 77, 102, 128, 153, 178, 204, 230, 255)  # at and around the thresholds of Conn


def random_case(seed, size=24):
    """A matte of blobs, a wrong copy of it, and a trimap. Few grey levels, so that Conn meets ties and thresholds."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(STEPS, (size // 4, size // 4)).astype(np.uint8)
    truth = np.kron(coarse, np.ones((4, 4), np.uint8))
    prediction = np.where(rng.random((size, size)) < 0.3, rng.choice(STEPS, (size, size)), truth).astype(np.uint8)
    trimap = rng.choice(np.array([0, 128, 128, 255], np.uint8), (size, size))
    return prediction, truth, trimap


def constant_truth():
    trimap = np.zeros((32, 32), np.uint8)
    trimap[:16, :16] = 128
    trimap[16:, 16:] = 255
    return np.where(trimap == 255, 255, 0).astype(np.uint8), np.full((32, 32), 255, np.uint8), trimap


def small_square():
    truth = np.zeros((8, 8), np.uint8)
    truth[2:6, 2:6], truth[2:6, 1], truth[2:6, 6], truth[7, 7] = 255, 102, 153, 204
    prediction = truth.copy()
    prediction[2:6, 1], prediction[2:6, 6], prediction[7, 7], prediction[0, 0] = 51, 204, 255, 77
    trimap = np.full((8, 8), 128, np.uint8)
    trimap[3:5, 3:5] = 255
    return prediction, truth, trimap


seeds = st.integers(0, 2**32 - 1)

# --------------------------------------------------------------------------------------------------------------------
# The reference
# --------------------------------------------------------------------------------------------------------------------


def test_golden_values_of_a_constant_truth():
    scores = score(*constant_truth())
    assert (scores.sad, scores.mse, scores.mad, scores.conn) == (0.256, 1.0, 1.0, 0.256)
    assert scores.grad == pytest.approx(0.0028887, abs=5e-8)  # the golden value has five digits


def test_golden_values_of_a_small_square():
    scores = score(*small_square())
    # 1e-7: the golden values were summed in float32
    assert scores.sad == pytest.approx(2.1019608e-3, rel=1e-7)
    assert scores.grad == pytest.approx(1.9375367e-3, rel=1e-7)
    assert scores.conn == pytest.approx(2.1019607e-3, rel=1e-7)
    assert scores.mse == pytest.approx(0.0075196719, rel=1e-7)


def test_the_filter_of_grad_has_length_one_and_the_golden_centre_row():
    smooth, slope = metrics._gradient_filter()
    h = np.outer(smooth, slope)
    assert h.shape == (9, 9)
    centre = [0.027487, 0.122946, 0.293474, 0.315434, 0, -0.315434, -0.293474, -0.122946, -0.027487]
    np.testing.assert_allclose(h[4], centre, atol=5e-7)  # six digits are printed
    assert abs(h.sum()) < 1e-12 and (h**2).sum() == pytest.approx(1, abs=1e-12)


@examples(40)
@given(seeds)
def test_plain_errors_equal_their_loops(seed):
    case = random_case(seed)
    for ours, twin in ((sad, reference.sad), (mse, reference.mse), (mad, reference.mad)):
        assert ours(*case) == pytest.approx(twin(*case), rel=1e-12)  # the order of a float64 sum


@examples(12)
@given(seeds)
def test_grad_equals_its_loops(seed):
    case = random_case(seed)
    assert grad(*case) == pytest.approx(reference.grad(*case), rel=1e-9)  # the order of float64 sums


@examples(25)
@given(seeds)
def test_conn_equals_its_loops(seed):
    case = random_case(seed)
    assert conn(*case) == pytest.approx(reference.conn(*case), rel=1e-12)


@examples(25)
@given(seeds, st.sets(st.integers(-2, 26), min_size=1), st.sets(st.integers(-2, 26), min_size=1), st.integers(1, 3))
def test_seam_equals_its_loops(seed, rows, columns, band):
    prediction, truth, trimap = random_case(seed)
    trimap[:] = 128
    borders = Borders(tuple(rows), tuple(columns))
    try:
        expected = reference.seam(prediction, truth, trimap, rows, columns, band)
    except ZeroDivisionError:
        assert math.isnan(seam(prediction, truth, trimap, borders, band=band))
    else:
        assert seam(prediction, truth, trimap, borders, band=band) == pytest.approx(expected, rel=1e-12)


@examples(10)
@given(seeds)
def test_bands_of_rows_change_nothing(seed):
    case = random_case(seed)
    borders = Borders((8, 16), (8, 16))
    whole = score(*case, borders=borders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matte_bytes, "BAND_PIXELS", 24 * 5)  # five rows at a time, less than the filter's nine
        banded = score(*case, borders=borders)
    assert banded.grad == pytest.approx(whole.grad, rel=1e-12)
    assert (banded.sad, banded.mse, banded.mad, banded.conn) == (whole.sad, whole.mse, whole.mad, whole.conn)
    assert banded.seam == whole.seam


@examples(10)
@given(seeds)
def test_score_gives_what_the_functions_give(seed):
    case = random_case(seed)
    borders = Borders((8,), (16,))
    scores = score(*case, borders=borders)
    assert [getattr(scores, metric.__name__) for metric in METRICS] == [metric(*case) for metric in METRICS]
    assert scores.seam == seam(*case, borders)
    assert math.isnan(score(*case).seam)


# --------------------------------------------------------------------------------------------------------------------
# What must hold, and the quirks
# --------------------------------------------------------------------------------------------------------------------


@examples(10)
@given(seeds)
def test_the_truth_itself_scores_zero_and_shows_no_seam(seed):
    _, truth, trimap = random_case(seed)
    assert [metric(truth, truth, trimap) for metric in METRICS] == [0, 0, 0, 0, 0]
    assert seam(truth, truth, np.full_like(trimap, 128), Borders((8,), (8,))) == 1


@examples(10)
@given(seeds)
def test_known_pixels_do_not_change_the_plain_errors(seed):
    prediction, truth, trimap = random_case(seed)
    shuffled = prediction.copy()
    shuffled[trimap != 128] = np.random.default_rng(seed).permutation(prediction[trimap != 128])
    for metric in (sad, mse, mad):
        assert metric(shuffled, truth, trimap) == metric(prediction, truth, trimap)


@examples(10)
@given(seeds)
def test_errors_are_symmetric(seed):
    prediction, truth, trimap = random_case(seed)
    for metric in METRICS:
        assert metric(prediction, truth, trimap) == pytest.approx(metric(truth, prediction, trimap), rel=1e-12)


def test_a_matte_at_half_strength_scores_grad_zero_but_not_sad():
    truth = np.kron(np.array([[0, 254], [100, 254]], np.uint8), np.ones((6, 6), np.uint8))
    trimap = np.full((12, 12), 128, np.uint8)
    assert grad(truth // 2, truth, trimap) == pytest.approx(0, abs=1e-25)  # 1/254 in float64, squared
    assert sad(truth // 2, truth, trimap) == pytest.approx(36 * (127 + 50 + 127) / 255 / 1000)


def test_uint8_differences_do_not_wrap():
    low, high = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    trimap = np.full((4, 4), 128, np.uint8)
    assert sad(low, high, trimap) == sad(high, low, trimap) == 16 / 1000
    assert mse(low, high, trimap) == mse(high, low, trimap) == 1
    stripes = np.tile(np.array([0, 255], np.uint8), (4, 2))
    border = Borders((), (2,))
    assert seam(stripes, low, trimap, border, band=1) == seam(low, stripes, trimap, border, band=1)
    assert mad(stripes, low, trimap) == mad(low, stripes, trimap) == 0.5


def test_grey_153_reaches_the_threshold_of_six_tenths():
    # all at 153: level 0.6 everywhere, so nothing rises above it; one level less would leave 0.1, still under 0.15.
    # At 191 = 0.749 the rise is 0.149 over 0.6, but 0.249 over 0.5, which counts.
    truth = np.full((4, 4), 153, np.uint8)
    prediction = truth.copy()
    prediction[1, 1] = 191
    trimap = np.full((4, 4), 128, np.uint8)
    assert conn(prediction, truth, trimap) == 0


def test_conn_does_not_take_the_outside_for_a_component():
    # the argmax(bincount(labels)) of many ports gives 0 here
    prediction, truth, trimap = constant_truth()
    assert conn(prediction, truth, trimap) == 0.256


def test_conn_breaks_ties_down_the_columns():
    # Two single pixels that touch only at a corner. Down the columns the lower left one comes first, so it is the
    # largest component up to 0.8 and keeps that level: 229/255 rises 0.098 above it, which does not count, the truth
    # 0.2. The other one hangs at level 0, where the plain difference counts. Along the rows it is the other way round.
    truth = np.zeros((4, 4), np.uint8)
    truth[1, 1] = truth[0, 2] = 255
    for dot, expected in (((1, 1), 0.2), ((0, 2), 26 / 255)):
        prediction, trimap = truth.copy(), np.zeros((4, 4), np.uint8)
        prediction[dot], trimap[dot] = 229, 128
        assert conn(prediction, truth, trimap) == pytest.approx(expected / 1000, rel=1e-12)


def test_floats_are_rounded_to_the_nearest_grey():
    prediction, truth, trimap = random_case(7)
    for dtype in (np.float16, np.float32, np.float64):
        noisy = (np.clip(prediction + 0.3, 0, 255) / 255).astype(dtype)
        grey = (noisy.astype(np.float64) * 255 + 0.5).astype(np.uint8)
        for metric in METRICS:
            assert metric(noisy, truth, trimap) == metric(grey, truth, trimap)


# --------------------------------------------------------------------------------------------------------------------
# Seams
# --------------------------------------------------------------------------------------------------------------------


def test_a_step_on_the_border_and_nowhere_else_is_an_infinite_seam():
    truth = np.zeros((16, 16), np.uint8)
    prediction = truth.copy()
    prediction[:, 8:] = 10
    trimap = np.full((16, 16), 128, np.uint8)
    assert seam(prediction, truth, trimap, Borders((), (8,)), band=1) == math.inf
    assert seam(prediction, truth, trimap, Borders((), (4,)), band=1) == 0
    assert math.isnan(seam(prediction, truth, trimap, Borders((), ())))


def test_noise_without_patches_has_a_seam_of_about_one():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 256, (200, 200), np.uint8)
    trimap = np.full((200, 200), 128, np.uint8)
    borders = patch_borders(grid(200, 200, size=64, overlap=16), height=200, width=200)
    # 5000 steps on the bands, each with a deviation of 0.7 of its mean: 0.05 is five standard errors
    assert seam(prediction, np.zeros_like(prediction), trimap, borders) == pytest.approx(1, abs=0.05)


def test_patch_borders_are_the_inner_edges_of_the_windows():
    windows = [Window(-4, -4, 8), Window(4, 0, 8), Window(4, 8, 8)]
    assert patch_borders(windows, height=12, width=16) == Borders(rows=(4,), columns=(4, 8))


# --------------------------------------------------------------------------------------------------------------------
# Errors
# --------------------------------------------------------------------------------------------------------------------

GOOD = np.full((4, 5), 128, np.uint8)


@pytest.mark.parametrize(
    ("prediction", "truth", "trimap", "message"),
    [
        (GOOD[:3], GOOD, GOOD, "the prediction is 3x5 but the trimap is 4x5"),
        (GOOD, GOOD.T.copy(), GOOD, "the truth is 5x4 but the trimap is 4x5"),
        (GOOD[..., None], GOOD, GOOD, r"the prediction has shape \(4, 5, 1\), need two axes"),
        (GOOD.astype(np.uint16), GOOD, GOOD, "the prediction is uint16, need uint8 or float"),
        (GOOD, GOOD.astype(bool), GOOD, "the truth is bool, need uint8 or float"),
        (GOOD, GOOD, GOOD / 255, "the trimap is float64, need uint8"),
        (GOOD, GOOD, GOOD - 1, r"no unknown pixel \(exactly 128\); it holds 127"),
        (np.full((4, 5), np.nan, np.float32), GOOD, GOOD, "the prediction holds NaN"),
        (GOOD, np.full((4, 5), 255.0), GOOD, r"the truth is float from 255 to 255, need \[0, 1\]"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_a_reason(prediction, truth, trimap, message):
    for metric in (*METRICS, score):
        with pytest.raises(InputError, match=message) as caught:
            metric(prediction, truth, trimap)
        assert caught.value.hint


def test_a_band_needs_at_least_one_pixel():
    with pytest.raises(InputError, match="band is 0 pixels"):
        seam(GOOD, GOOD, GOOD, Borders((2,), (2,)), band=0)


def test_a_constant_truth_is_named_and_refused_by_check_truth():
    _, truth, trimap = constant_truth()
    with pytest.raises(InputError, match=r"GT01\.png is 255 everywhere") as caught:
        check_truth(truth, trimap, "GT01.png")
    assert "alpha matte" in caught.value.hint
    truth[0, 0] = 254
    check_truth(truth, trimap, "GT01.png")
