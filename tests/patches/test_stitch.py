import numpy as np
import pytest
from reference import slow_stitch

from hdmatt.errors import InputError
from hdmatt.patches.stitch import Stitcher, blending_weight
from hdmatt.patches.windows import grid


@pytest.mark.parametrize(("size", "overlap"), [(16, 5), (16, 8), (17, 0)])
def test_the_papers_blend_is_the_mean_weighted_by_the_distance_to_the_patchs_border(rng, size, overlap):
    windows = grid(37, 29, size=size, overlap=overlap)
    patches = {(w.y, w.x): rng.random((size, size), np.float32) for w in windows}
    stitcher, weight = Stitcher(37, 29), blending_weight(size, overlap, blend="paper")
    for window in windows:
        stitcher.add(window, patches[window.y, window.x], weight)
    # 1e-6: float32 rounding of at most four patches
    expected = slow_stitch(patches, 37, 29, size=size, overlap=overlap)
    np.testing.assert_allclose(stitcher.result(), expected, rtol=0, atol=1e-6)


def test_the_papers_weight_is_linear_and_the_smooth_one_is_its_square():
    weight = blending_weight(8, 3, blend="paper")
    np.testing.assert_array_equal(weight[4], np.float32([0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25]))
    np.testing.assert_array_equal(weight, weight.T)
    np.testing.assert_array_equal(blending_weight(8, 3, blend="smooth"), weight**2)
    np.testing.assert_array_equal(blending_weight(8, 0, blend="paper"), 1)


def test_an_unknown_blend_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match="blend is 'hard'") as error:
        blending_weight(8, 3, blend="hard")
    assert error.value.hint == "Choose one of: smooth, paper."
