"""The light of a green or blue screen in the foreground's colours."""

import cv2
import numpy as np
import pytest
from psd_tools import PSDImage

from hdmatt.errors import InputError
from hdmatt.inference.files import matte_files
from hdmatt.inference.outputs import Outputs
from hdmatt.pictures.colours.despill import despilled, screen_of

HEIGHT, WIDTH = 60, 50
GREEN, BLUE, GREY = (0.1, 0.7, 0.2), (0.1, 0.25, 0.6), (0.4, 0.45, 0.4)


def colours(count=200):
    return np.random.default_rng(0).random((count, 1, 3), np.float32)


@pytest.mark.parametrize("screen", [1, 2])
def test_the_screens_colour_is_at_most_the_larger_of_the_others_and_nothing_else_changes(screen):
    before, others = colours(), [i for i in range(3) if i != screen]
    after = despilled(before, screen, 1.0)
    limit = before[..., others].max(axis=2)
    np.testing.assert_array_equal(after[..., screen], np.minimum(before[..., screen], limit))
    np.testing.assert_array_equal(after[..., others], before[..., others])
    np.testing.assert_array_equal(despilled(after, screen, 1.0), after)  # once is enough
    np.testing.assert_array_equal(despilled(before, screen, 0.0), before)
    # half the strength, half the way; 1e-7: one rounding
    np.testing.assert_allclose(despilled(before, screen, 0.5), (before + after) / 2, atol=1e-7)


def test_greys_skin_and_the_other_screen_stay():
    kept = np.float32([[[0.5, 0.5, 0.5], [0.8, 0.6, 0.5], [0.9, 0.9, 0.1], [0.1, 0.2, 0.9]]])
    np.testing.assert_array_equal(despilled(kept, 1, 1.0), kept)


def test_the_same_screen_is_found_in_light_and_in_display_values():
    for colour, number in ((GREEN, 1), (BLUE, 2)):
        rows = np.float32(np.broadcast_to(colour, (4, 4, 3)))
        for values in (rows, rows**2.2):
            assert screen_of([(values, np.ones((4, 4), bool))] * 2, "a.png") == number


@pytest.mark.parametrize("colour", [GREY, (0.7, 0.1, 0.1), (0.1, 0.6, 0.6)])
def test_what_is_no_green_or_blue_screen_is_refused_with_its_colour(colour):
    rows = np.float32(np.broadcast_to(colour, (4, 4, 3)))
    with pytest.raises(InputError, match=rf"the background of a\.png is red {colour[0]:.2f}, green {colour[1]:.2f}"):
        screen_of([(rows, np.ones((4, 4), bool))], "a.png")
    with pytest.raises(InputError, match="has no background"):
        screen_of([(rows, np.zeros((4, 4), bool))], "a.png")


@pytest.mark.parametrize("value", [-0.1, 1.5, True, float("nan")])
def test_a_strength_is_a_number_from_0_to_1(value):
    with pytest.raises(InputError, match="despill is"):
        Outputs("a.png", cutout="c.png", despill=value)


def save_scene(folder, screen):
    """A subject of all colours before a screen."""
    rng = np.random.default_rng(0)
    picture = np.uint8(np.rint(np.broadcast_to(screen, (HEIGHT, WIDTH, 3)) * 255))
    picture[15:45, 10:40] = rng.integers(0, 256, (30, 30, 3))
    trimap = np.zeros((HEIGHT, WIDTH), np.uint8)
    trimap[13:47, 8:42], trimap[17:43, 12:38] = 128, 255
    cv2.imwrite(str(folder / "picture.png"), picture[..., ::-1])
    cv2.imwrite(str(folder / "trimap.png"), trimap)


def test_all_outputs_have_the_colours_without_spill_and_the_picture_stays(tmp_path, network):
    save_scene(tmp_path, GREEN)
    written = {}
    for strength in (0, 1):
        folder = tmp_path / str(strength)
        folder.mkdir()
        names = {"alpha": "a.png", "foreground": "f.png", "cutout": "c.png", "composite": "w.png", "psd": "l.psd"}
        outputs = Outputs(**{key: folder / name for key, name in names.items()}, background="white", despill=strength)
        matte_files(tmp_path / "picture.png", tmp_path / "trimap.png", outputs, network=network, strategy="tiles")
        written[strength] = {name: cv2.imread(str(folder / name), -1) for name in ("a.png", "f.png", "c.png", "w.png")}
        layers = {layer.name: layer.numpy("color") for layer in PSDImage.open(folder / "l.psd")}
        written[strength] |= layers
    with_spill, without = written[0], written[1]
    np.testing.assert_array_equal(without["a.png"], with_spill["a.png"])
    np.testing.assert_array_equal(without["original"], with_spill["original"])
    blue, green, red = np.moveaxis(with_spill["f.png"], 2, 0)
    expected = np.dstack([blue, np.minimum(green, np.maximum(red, blue)), red])
    np.testing.assert_array_equal(without["f.png"], expected)
    np.testing.assert_array_equal(without["c.png"][..., :3], expected)
    np.testing.assert_allclose(without["foreground"][..., ::-1] * 255, expected, atol=1e-3)
    solid = without["a.png"] == 255
    np.testing.assert_array_equal(without["w.png"][solid], expected[solid])


def test_what_cannot_be_done_is_refused_before_anything_is_written(tmp_path, network):
    save_scene(tmp_path, GREY)
    arguments = (tmp_path / "picture.png", tmp_path / "trimap.png")
    with pytest.raises(InputError, match="for a green or blue screen"):
        matte_files(*arguments, Outputs(cutout=tmp_path / "c.png", despill=1), network=network, strategy="tiles")
    with pytest.raises(InputError, match="--despill changes foreground colours"):
        matte_files(*arguments, Outputs(tmp_path / "a.png", despill=1), network=network, strategy="tiles")
    assert {path.name for path in tmp_path.iterdir()} == {"picture.png", "trimap.png"}
