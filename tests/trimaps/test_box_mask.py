"""Masks from a box: objects that leave the picture, small boxes in large pictures, and masks that are not trusted."""

import numpy as np
import pytest

import hdmatt
from hdmatt.errors import InputError, MaskWarning
from hdmatt.pictures.reader import ArrayReader
from hdmatt.trimaps.box_mask import mask_from_box
from hdmatt.trimaps.masks import MaskSource

HEIGHT, WIDTH = 120, 100
OBJECT, SKY, HILLS = (40, 120, 120), (90, 150, 230), (70, 90, 70)


def bust(noise=6):
    """A person as in a portrait: head and shoulders, cut off below and on both sides, over sky and hills."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    head = np.hypot((y - 40) / 22, (x - 50) / 16) < 1
    shoulders = np.hypot((y - 125) / 62, (x - 50) / 60) < 1
    inside = head | shoulders
    behind = np.where((y < 30)[..., None], SKY, HILLS)
    picture = np.where(inside[..., None], OBJECT, behind) + np.random.default_rng(0).integers(-noise, noise + 1, (1, 1))
    picture = picture + np.random.default_rng(1).integers(-noise, noise + 1, (HEIGHT, WIDTH, 3))
    return picture.clip(0, 255).astype(np.uint8), inside


def overlap(mask, inside):
    found = mask.rows(0, mask.height) == 255
    return (found & inside).sum() / (found | inside).sum()


def test_a_person_whose_box_touches_three_edges_of_the_picture_is_found_without_the_hills():
    picture, inside = bust()
    mask = mask_from_box(ArrayReader(picture), (0, 12, WIDTH, HEIGHT))  # the hills are nowhere outside of the box
    assert overlap(mask, inside) > 0.95 and mask.doubt is None


def test_a_small_box_in_a_large_picture_is_looked_at_closely_and_nothing_outside_is_marked():
    picture, inside = bust()
    large = np.zeros((1500, 1800, 3), np.uint8) + np.uint8(SKY)
    large[700 : 700 + HEIGHT, 900 : 900 + WIDTH] = picture
    whole = np.zeros(large.shape[:2], bool)
    whole[700 : 700 + HEIGHT, 900 : 900 + WIDTH] = inside
    mask = mask_from_box(ArrayReader(large), (895, 712, 1005, 825))
    assert (mask.height, mask.width) == (1500, 1800) and overlap(mask, whole) > 0.9
    rows = np.concatenate([mask.rows(y, min(y + 333, 1500)) for y in range(0, 1500, 333)])
    assert np.array_equal(rows, mask.rows(0, 1500))
    rows[712:825, 895:1005] = 0
    assert not rows.any()


def test_an_object_that_looks_like_its_surroundings_is_found_with_a_warning():
    picture = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)
    with pytest.warns(MaskWarning, match=r"same colours.*tighter box"):
        hdmatt.make_trimap(MaskSource(box=(20, 20, 70, 60)), picture, band=2)


def test_a_ground_without_any_edge_in_it_is_found_with_a_warning():
    y, x = np.mgrid[:80, :90]
    picture = np.dstack([(y + 20), (x + 40), (y + x) // 2]).astype(np.uint8)
    mask = mask_from_box(ArrayReader(picture), (20, 20, 70, 60))
    assert mask.doubt


def test_a_box_of_a_few_pixels_is_refused():
    with pytest.raises(InputError, match="few pixels"):
        mask_from_box(ArrayReader(bust()[0]), (20, 20, 22, 22))
