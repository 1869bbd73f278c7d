"""hdmatt.studio.strokes: the pixels under a brush, a lasso, and what is no stroke."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdmatt.errors import InputError
from hdmatt.pictures.box import Box
from hdmatt.studio.strokes import Stroke, covered, path_mask, polygon_mask

place = st.floats(-10, 60, width=16)
points = st.lists(st.tuples(place, place, st.floats(0, 20, width=16)), min_size=1, max_size=5)


def hull_of_discs(points, box):
    """Slow and obvious: 1500 discs between two neighbouring points, their radius changing along the way."""
    y, x = (np.arange(low, high) + 0.5 for low, high in ((box.y0, box.y1), (box.x0, box.x1)))
    inside = np.zeros((len(y), len(x)), bool)
    margin = np.full(inside.shape, np.inf)
    for one, other in pairwise(points) if len(points) > 1 else [(points[0], points[0])]:
        for share in np.linspace(0, 1, 1500):
            cy, cx, radius = (1 - share) * np.array(one) + share * np.array(other)
            distance = np.hypot(y[:, None] - cy, x[None] - cx) - radius
            inside |= distance <= 0
            margin = np.minimum(margin, np.abs(distance))
    return inside, margin


@settings(deadline=None, derandomize=True, max_examples=2)
@given(points)
def test_a_brush_covers_the_hull_of_neighbouring_discs(path):
    box = Box(0, 0, 20, 30)
    expected, margin = hull_of_discs(path, box)
    found = path_mask(np.array(path, np.float64), box)
    # the slow version steps: a pixel this near to the edge of one of its discs may lie on either side
    sure = margin > 0.05
    assert np.array_equal(found[sure], expected[sure])


def test_a_brush_of_one_point_is_a_disc():
    mask = covered(Stroke("brush", 0, ((5.0, 5.0, 3.0),)), Box(0, 0, 10, 10))
    y, x = np.mgrid[:10, :10] + 0.5
    assert np.array_equal(mask, np.hypot(y - 5, x - 5) <= 3)


def test_a_box_sees_its_part_of_a_stroke():
    stroke = Stroke("brush", 0, ((-4.0, 3.0, 7.5), (40.0, 61.0, 2.0), (12.0, 70.0, 11.0)))
    whole = covered(stroke, Box(0, 0, 60, 90))
    assert np.array_equal(covered(stroke, Box(13, 27, 44, 71)), whole[13:44, 27:71])


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.tuples(place, place), min_size=3, max_size=8))
def test_a_lasso_holds_the_pixels_with_an_odd_number_of_sides_to_their_left(corners):
    corners = np.array(corners, np.float64)
    found = polygon_mask(corners, Box(0, 0, 40, 50))
    expected = np.zeros((40, 50), int)
    for (ya, xa), (yb, xb) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        for row in range(40):
            y = row + 0.5
            if min(ya, yb) <= y < max(ya, yb):
                expected[row] += np.arange(50) + 0.5 >= xa + (y - ya) * ((xb - xa) / (yb - ya))
    assert np.array_equal(found, expected % 2 == 1)


def test_a_stroke_comes_back_from_json():
    stroke = Stroke("widen", 128, ((1.5, 2.5, 3.0), (4.0, 5.0, 6.0)), amount=7)
    assert Stroke.of(stroke.values()) == stroke


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "spray", "label": 0, "points": [[1, 2, 3]]}, "kind 'spray'"),
        ({"kind": "brush", "label": 7, "points": [[1, 2, 3]]}, "label 7"),
        ({"kind": "brush", "label": 0, "points": []}, "0 points"),
        ({"kind": "brush", "label": 0, "points": [[1, 2, float("nan")]]}, "not finite"),
        ({"kind": "brush", "label": 0, "points": [[1, 2, -1]]}, "radius"),
        ({"kind": "brush", "label": 0, "points": [[1, 2]]}, "no stroke"),
        ({"kind": "brush", "label": 0, "points": "abc"}, "no stroke"),
        ({"label": 0}, "no stroke"),
    ],
)
def test_what_is_no_stroke_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        Stroke.of(values)
