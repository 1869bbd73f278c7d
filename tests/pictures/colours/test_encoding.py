import numpy as np
import pytest

from hdmatt.errors import InputError
from hdmatt.pictures.colours.colour import linear_to_srgb, srgb_to_linear
from hdmatt.pictures.colours.encoding import (
    LIGHT,
    LINEAR,
    SRGB,
    Encoding,
    Parametric,
    Sampled,
    Srgb,
    as_displayed,
    convert,
    transfer,
    transfer_names,
)

COLOURS = np.random.default_rng(0).random((9, 7, 3), np.float32)
WIDE = Encoding("wide", (Parametric(2.2),), ((1.4, -0.4, 0.0), (0.0, 1.0, 0.0), (0.0, -0.04, 1.04)))
CURVES = [
    Srgb(),
    LIGHT,
    Parametric(1.8),
    Parametric(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    Parametric(2.0, 0.9, 0.1, d=0.0, e=-0.01, f=-0.01),
    Sampled(tuple(np.linspace(0, 1, 1024) ** 2.2)),
    Sampled((0.0, 0.2, 1.0)),
]


@pytest.mark.parametrize("curve", CURVES)
def test_encoding_undoes_decoding(curve):
    numbers = np.linspace(0, 1, 65536, dtype=np.float32)
    # half a step of 16 bits: PNG to EXR and back is the identity
    np.testing.assert_allclose(curve.encode(curve.decode(numbers)), numbers, rtol=0, atol=0.5 / 65535)


@pytest.mark.parametrize("name", transfer_names())
def test_every_named_transfer_function_can_be_undone(name):
    encoding = transfer(name)
    there = convert(COLOURS, encoding, LINEAR)
    # 3e-5: OpenColorIO's fast powers and logarithms
    np.testing.assert_allclose(convert(there, LINEAR, encoding), COLOURS, rtol=0, atol=3e-5)
    assert transfer(name.upper()) == encoding


@pytest.mark.parametrize("name", ["sRGB", "Rec.709", "Rec.1886"])
def test_our_curves_are_those_of_opencolorio(name):
    import OpenImageIO as oiio

    made = oiio.ImageBufAlgo.ocionamedtransform(
        oiio.ImageBuf(COLOURS), f"{name} - Curve", False, False, colorconfig="ocio://studio-config-latest"
    )
    np.testing.assert_allclose(convert(COLOURS, transfer(name), LINEAR), made.get_pixels(oiio.FLOAT), rtol=0, atol=1e-4)


def test_middle_grey_of_a_camera_is_18_percent_of_light():
    # ARRI: LogC4 holds 18 % grey at 0.2783958; Sony: S-Log3 at 420 of 1023 (their white papers)
    for name, grey in (("ARRI LogC4", 0.2783958), ("slog3_crv", 420 / 1023)):
        light = convert(np.full((1, 1, 3), grey, np.float32), transfer(name), LINEAR)
        np.testing.assert_allclose(light, 0.18, rtol=0, atol=1e-4)


def test_an_unknown_transfer_function_is_refused_with_all_that_are_known():
    with pytest.raises(InputError, match="'LogQ'") as caught:
        transfer("LogQ")
    assert all(name in caught.value.hint for name in transfer_names())


def test_greys_are_greys_in_all_primaries():
    greys = np.linspace(0, 1, 65536, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    # a row of WIDE's matrix sums to 1, up to float32's rounding of its numbers; the curve is steepest at black
    np.testing.assert_allclose(convert(greys, WIDE, SRGB), linear_to_srgb(greys**2.2), rtol=0, atol=2e-6)


def test_primaries_go_there_and_back():
    np.testing.assert_allclose(convert(convert(COLOURS, SRGB, WIDE), WIDE, SRGB), COLOURS, rtol=0, atol=1e-4)


def test_equal_encodings_leave_the_array_alone():
    assert convert(COLOURS, SRGB, Encoding("another name", (Srgb(),))) is COLOURS


def test_the_bands_of_a_picture_do_not_show():
    whole = convert(COLOURS, WIDE, LINEAR)
    np.testing.assert_array_equal(np.concatenate([convert(row[None], WIDE, LINEAR) for row in COLOURS]), whole)


def test_the_network_sees_display_values_as_they_are_and_light_through_srgb():
    np.testing.assert_array_equal(as_displayed(COLOURS * 2, WIDE), (COLOURS * 2).clip(0, 1))
    np.testing.assert_array_equal(
        as_displayed(srgb_to_linear(COLOURS), LINEAR), linear_to_srgb(srgb_to_linear(COLOURS))
    )
    log = transfer("ARRI LogC4")
    np.testing.assert_allclose(as_displayed(convert(COLOURS, SRGB, log), log), COLOURS, rtol=0, atol=1e-4)


def test_an_encoding_without_curves_is_not_converted_but_may_stay():
    table = Encoding("the ICC profile Press", ())
    assert convert(COLOURS, table, table) is COLOURS
    with pytest.raises(InputError, match="Press cannot be converted"):
        convert(COLOURS, table, LINEAR)
