import numpy as np
import pytest
from small_scene import scene

from hdmatt.errors import InputError
from hdmatt.pictures.colours import colour


def test_transfer_functions_are_inverses():
    values = np.concatenate([np.linspace(-2, 2, 4001), [8, 100]]).astype(np.float32)
    # 2e-6: a few float32 roundings (6e-8 each), stretched by the powers' slopes, 12.92 at most
    np.testing.assert_allclose(colour.srgb_to_linear(colour.linear_to_srgb(values)), values, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(colour.linear_to_srgb(colour.srgb_to_linear(values)), values, rtol=2e-6, atol=2e-6)


def test_transfer_function_has_the_standards_values():
    encoded = np.array([0, 0.04045, 0.5, 1], np.float32)
    # 1e-6: the standard's own two pieces differ by less than that where they meet
    np.testing.assert_allclose(colour.srgb_to_linear(encoded), [0, 0.0031308, 0.2140411, 1], rtol=0, atol=1e-6)
    assert colour.srgb_to_linear(encoded)[[0, 3]].tolist() == [0, 1]


def test_negative_light_mirrors_positive_light():
    values = np.linspace(0, 3, 100, dtype=np.float32)
    for function in (colour.srgb_to_linear, colour.linear_to_srgb):
        np.testing.assert_array_equal(function(-values), -function(values))


@pytest.mark.parametrize("text", ["#ff8000", "#FF8000", "255,128,0", " 255, 128 , 0 "])
def test_a_colour_can_be_written_in_several_ways(text):
    np.testing.assert_array_equal(colour.parse_colour(text), np.array([255, 128, 0], np.float32) / 255)


def test_short_hex_doubles_its_digits_and_names_are_css():
    np.testing.assert_array_equal(colour.parse_colour("#0f8"), colour.parse_colour("#00ff88"))
    np.testing.assert_array_equal(colour.parse_colour("Teal"), colour.parse_colour("#008080"))
    np.testing.assert_array_equal(colour.parse_colour("RebeccaPurple"), colour.parse_colour("#663399"))
    np.testing.assert_array_equal(colour.parse_colour("rgb(255, 128, 0)"), colour.parse_colour("255,128,0"))


@pytest.mark.parametrize(
    "text", ["", "transparent", "#ff", "#ggg", "256,0,0", "1,2", "-1,0,0", "0.5,0,0", "١,٢,٣", "beach.jpg", "#ff000080"]
)
def test_what_is_no_colour_is_refused_with_the_ways_to_write_one(text):
    with pytest.raises(InputError, match="is not a colour") as caught:
        colour.parse_colour(text)
    assert repr(text) in caught.value.message
    assert "#ff8800" in caught.value.hint


def test_a_composite_is_the_foreground_at_1_and_the_background_at_0():
    foreground, background, alpha, picture = scene(90, 80)
    assert (alpha == 0).any()
    assert (alpha == 1).any()
    np.testing.assert_array_equal(picture[alpha == 1], foreground[alpha == 1])
    np.testing.assert_array_equal(picture[alpha == 0], background[alpha == 0])


def test_a_composite_over_itself_is_itself():
    foreground, _, alpha, _ = scene(60, 50)
    # two roundings of values below 1
    np.testing.assert_allclose(colour.composite(foreground, alpha, foreground), foreground, rtol=0, atol=1.2e-7)


def test_a_composite_over_one_colour_is_that_over_a_flat_picture():
    foreground, _, alpha, _ = scene(20, 30)
    red = colour.parse_colour("red")
    flat = np.broadcast_to(red, foreground.shape)
    np.testing.assert_array_equal(colour.composite(foreground, alpha, red), colour.composite(foreground, alpha, flat))


def test_a_cutout_is_straight():
    foreground, _, alpha, _ = scene(20, 30)
    rgba = colour.cutout(foreground, alpha)
    np.testing.assert_array_equal(rgba[..., :3], foreground)
    np.testing.assert_array_equal(rgba[..., 3], alpha)
