import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from small_pictures import profile
from small_profiles import ADOBE, COLORANTS, REC709, SRGB_CURVE, gamma, make_profile, parametric, table

from hdmatt.pictures.colours.encoding import LIGHT, LINEAR, SRGB, Parametric, Srgb, convert
from hdmatt.pictures.colours.icc import encoding_of_profile, primaries

CURVES = {
    "sRGB": SRGB_CURVE,
    "gamma 1.8": gamma(1.8),
    "gamma 2.2": parametric(0, 2.19921875),
    "linear": gamma(1.0),
    "table": table([(i / 1023) ** 2.1 for i in range(1024)]),
    "Lab's lightness": parametric(4, 3.0, 1 / 1.16, 0.16 / 1.16, 2700 / 24389, 0.08, 0.0, 0.0),
    "a line, then a power": parametric(2, 2.0, 0.9, 0.1, 0.0),
}


def littlecms(pixels: np.ndarray, source: bytes, target: bytes) -> np.ndarray:
    profiles = [ImageCms.ImageCmsProfile(io.BytesIO(icc)) for icc in (source, target)]
    made = ImageCms.profileToProfile(
        Image.fromarray(pixels), *profiles, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    assert made is not None
    return np.asarray(made)


@pytest.mark.parametrize("space", COLORANTS)
@pytest.mark.parametrize("curve", CURVES)
def test_colours_become_those_that_littlecms_makes(space, curve):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    icc, srgb = make_profile(CURVES[curve], space), make_profile(SRGB_CURVE)
    ours = convert(pixels.astype(np.float32) / 255, encoding_of_profile(icc), SRGB).clip(0, 1) * 255
    # LittleCMS computes 8 bits with tables of its own: a step and its rounding, in the darkest colours two
    assert np.abs(ours - littlecms(pixels, icc, srgb)).max() < 2.5
    assert np.abs(ours - littlecms(pixels, icc, srgb)).mean() < 0.35


def test_what_profiles_of_srgb_say_is_srgb_itself():
    built_in = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (built_in, make_profile(SRGB_CURVE)):
        assert encoding_of_profile(icc) == SRGB


@pytest.mark.parametrize("curve", [gamma(1.0), parametric(0, 1.0), table([0.0, 1.0]), table([0.0, 0.5, 1.0])])
def test_a_linear_profile_is_light_however_it_is_written(curve):
    encoding = encoding_of_profile(make_profile(curve))
    assert encoding == LINEAR and encoding.linear and encoding.label == ("ICC",)


def test_grey_profiles_have_one_curve_and_no_primaries():
    encoding = encoding_of_profile(make_profile(gamma(1.75), grey=True))
    assert encoding.curves == (Parametric(1.75),) and encoding.to_rec709 is None


@pytest.mark.parametrize(
    "icc",
    [
        b"",
        b"no profile",
        profile(),
        make_profile(SRGB_CURVE)[:300],
        make_profile(b"text" + bytes(20)),
        make_profile(table([1.0, 0.0])),
        make_profile(parametric(0, -1.0)),
        make_profile(SRGB_CURVE, A2B0=b"mft2" + bytes(60)),
    ],
)
def test_profiles_without_curves_that_we_know_are_kept_but_not_converted(icc):
    encoding = encoding_of_profile(icc)
    assert encoding.curves == () and not encoding.light and not encoding.refused


def test_profiles_of_hdr_displays_are_refused_by_name():
    for code, name in ((16, "PQ"), (18, "HLG")):
        icc = make_profile(SRGB_CURVE, cicp=b"cicp" + bytes(4) + bytes([9, code, 0, 1]))
        assert name in encoding_of_profile(icc).refused


def test_primaries_are_those_of_the_profiles():
    assert primaries(REC709) is None
    found = encoding_of_profile(make_profile(gamma(2.2), "Adobe RGB")).to_rec709
    np.testing.assert_allclose(primaries(ADOBE), found, rtol=0, atol=2e-3)


def test_curves_that_differ_by_colour_stay_apart():
    encoding = encoding_of_profile(make_profile(SRGB_CURVE, bTRC=gamma(1.0)))
    assert encoding.curves == (Srgb(), Srgb(), LIGHT)
    colours = np.full((1, 1, 3), 0.5, np.float32)
    np.testing.assert_allclose(convert(colours, encoding, LINEAR)[0, 0], [0.2140411, 0.2140411, 0.5], atol=1e-6)
