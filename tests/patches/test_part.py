"""Of the windows of a picture much narrower than a patch the network computes what the picture holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from repeated import examples

from hdmatt.network.config import STRIDE
from hdmatt.overview.known_colours import SAMPLE
from hdmatt.patches.windows import BLOCK, MARGIN, Part, Window, cut, grid, part_of, restored

SIDES = st.integers(1, 700)


@examples(30)
@given(SIDES, SIDES, st.sampled_from([64, 128, 320]))
def test_a_part_holds_the_picture_and_a_margin_of_every_window(height, width, size):
    part = part_of(height, width, size=size)
    for window in grid(height, width, size=size, overlap=0):
        for start, first, last, length in ((window.y, part.y0, part.y1, height), (window.x, part.x0, part.x1, width)):
            assert 0 <= first < last <= size
            if last - first < size:
                assert first <= -start - MARGIN and length - start + MARGIN <= last <= first + size // 2
                assert first % BLOCK == last % BLOCK == 0 == BLOCK % STRIDE == BLOCK - SAMPLE


@pytest.mark.parametrize("sides", [(320, 320), (2000, 3000), (333, 257), (150, 4000)])
def test_a_picture_that_is_not_narrow_is_computed_as_before(sides):
    assert part_of(*sides, size=320) == Part(0, 320, 0, 320)


def test_a_strip_of_50_rows_is_a_fifth_of_the_work():
    part = part_of(50, 20000, size=320)
    assert (part.y1 - part.y0, part.x1 - part.x0) == (64, 320)


@examples(30)
@given(SIDES, SIDES, st.sampled_from([64, 128, 320]))
def test_a_window_is_restored_from_its_part(height, width, size):
    picture = np.random.default_rng(0).random((height, width))
    part = part_of(height, width, size=size)
    for window in grid(height, width, size=size, overlap=0)[:3]:
        whole = cut(picture, window)
        np.testing.assert_array_equal(restored(whole[part.inside], window, part, height=height, width=width), whole)
    whole = Part(0, size, 0, size)
    assert restored(np.zeros((size, size)), Window(0, 0, size), whole, height=9, width=9).shape == (size, size)
