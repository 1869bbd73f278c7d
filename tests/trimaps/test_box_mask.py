"""Masks from a box: objects that leave the picture, small boxes in large pictures, and masks that are not trusted."""

import numpy as np
import pytest

import hdmatt
from hdmatt.errors import InputError, MaskWarning
from hdmatt.pictures.box import Box
from hdmatt.pictures.reader import ArrayReader
from hdmatt.trimaps.box_mask import _doubt, mask_from_box, without_specks
from hdmatt.trimaps.masks import MaskSource

HEIGHT, WIDTH = 120, 100
OBJECT, SKY, HILLS = (60, 40, 30), (190, 210, 240), (150, 170, 190)
ALL = Box(1, 1, 39, 49)


def bust(behind=HILLS):
    """A person as in a portrait: head and shoulders, cut off below and on both sides, over sky and hills."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    head = np.hypot((y - 45) / 24, (x - 50) / 17) < 1
    shoulders = np.hypot((y - 125) / 55, (x - 50) / 70) < 1
    inside = head | shoulders
    ground = np.where((y < 60 + 4 * np.sin(x / 7))[..., None], SKY, behind)
    noise = np.random.default_rng(1).integers(-12, 13, (HEIGHT, WIDTH, 3))
    return (np.where(inside[..., None], OBJECT, ground) + noise).clip(0, 255).astype(np.uint8), inside


def overlap(mask, inside):
    found = mask.rows(0, mask.height) > 127
    return (found & inside).sum() / (found | inside).sum()


def test_a_person_whose_box_touches_three_edges_of_the_picture_is_found_without_the_hills():
    picture, inside = bust()
    mask = mask_from_box(ArrayReader(picture), (0, 15, WIDTH, HEIGHT))  # the hills are nowhere outside of the box
    assert overlap(mask, inside) > 0.95


def test_a_small_box_in_a_large_picture_is_looked_at_closely_and_nothing_outside_is_marked():
    picture, inside = bust(behind=SKY)
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


def square(x0, x1):
    mask = np.zeros((40, 50), bool)
    mask[10:30, x0:x1] = True
    return mask


def two_tones(mask):
    return np.where(mask[..., None], np.uint8(OBJECT), np.uint8(SKY))


def test_a_mask_on_a_plain_edge_is_not_doubted():
    assert _doubt(two_tones(square(10, 30)), [square(10, 30)] * 2, ALL) is None


def test_a_mask_that_does_not_reach_the_picture_s_edge_as_its_box_does_is_doubted():
    mask = square(10, 30)
    said = "the box reaches the picture's lower and right edge, and what was found does not"
    assert _doubt(two_tones(mask), [mask] * 2, Box(5, 5, 40, 50)) == said
    mask[10:, 10:30] = True
    assert "right edge" in _doubt(two_tones(mask), [mask] * 2, Box(5, 5, 40, 50))
    assert _doubt(two_tones(mask), [mask] * 2, Box(5, 5, 40, 45)) is None


def test_a_mask_without_an_edge_below_it_is_doubted():
    assert "hardly an edge" in _doubt(np.full((40, 50, 3), 90, np.uint8), [square(10, 30)] * 2, ALL)


def test_a_mask_of_the_colours_around_it_is_doubted():
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 1)) * np.ones(3, np.int64)
    assert "same colours" in _doubt(noise.astype(np.uint8), [square(10, 30)] * 2, ALL)


def test_two_masks_that_differ_on_edges_of_like_strength_are_doubted():
    picture = two_tones(square(10, 40))
    picture[:, 25:27] = SKY  # the object has a gap, so both lie on edges
    assert "two ways" in _doubt(picture, [square(10, 40), square(10, 25)], ALL)
    inner = square(15, 35) & (abs(np.arange(40) - 20) < 5)[:, None]  # lies on no edge
    assert _doubt(two_tones(square(10, 40)), [square(10, 40), inner], ALL) is None


def test_masks_of_all_or_nothing_of_the_box_are_doubted():
    assert "nearly all" in _doubt(two_tones(square(10, 30)), [square(10, 30)] * 2, Box(10, 10, 30, 30))
    speck = square(10, 11) & (np.arange(40) == 15)[:, None]
    assert "hardly anything" in _doubt(two_tones(speck), [speck] * 2, ALL)


def test_tiny_pieces_and_deep_tiny_holes_are_mended_and_gaps_at_the_edge_and_larger_holes_stay():
    mask = np.zeros((100, 100), bool)
    mask[10:90, 10:90] = True
    mask[60:70, 60:70] = False  # 100 of 6400 pixels
    mask[40:43, 12:15] = False  # 3 pixels from the edge
    mended = mask.copy()
    mask[40:43, 40:43] = False
    mask[2:5, 2:5] = True
    assert np.array_equal(without_specks(mask), mended)


def test_a_doubtful_mask_is_warned_of_with_what_to_do():
    picture = np.where(square(10, 40)[..., None], np.uint8(OBJECT), np.uint8(SKY))
    with pytest.warns(MaskWarning, match=r"nearly all of the box.*tighter box"):
        hdmatt.make_trimap(MaskSource(box=(10, 10, 40, 30)), picture, band=2)


def test_a_box_of_a_few_pixels_is_refused():
    with pytest.raises(InputError, match="few pixels"):
        mask_from_box(ArrayReader(bust()[0]), (20, 20, 22, 22))
