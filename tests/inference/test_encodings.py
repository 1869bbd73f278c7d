"""Colours of one encoding in files of another: what OutputFiles writes, read by programs that are not ours."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from small_outputs import ALPHA, HEIGHT, WIDTH, exr, through
from small_pictures import raw, save
from small_profiles import SRGB_CURVE, gamma, make_profile

from hdmatt.errors import InputError
from hdmatt.inference.outputs import Outputs
from hdmatt.pictures.colours import colour
from hdmatt.pictures.reader import as_float, open_picture

RAMP = np.arange(HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3)
INTEGERS = {"8": (RAMP * 255 // RAMP.max()).astype(np.uint8), "16": (RAMP * 65535 // RAMP.max()).astype(np.uint16)}


def light(encoded: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("depth", ["8", "16"])
def test_an_exr_of_an_srgb_picture_is_linear_and_the_way_back_is_the_identity(tmp_path, depth):
    save(tmp_path / "a.png", INTEGERS[depth])
    through(tmp_path / "a.png", Outputs(tmp_path / "m.exr", tmp_path / "f.exr", tmp_path / "c.exr"))
    expected = light(INTEGERS[depth] / (2 ** int(depth) - 1))
    # half floats are 2^-11 apart, floats far less
    np.testing.assert_allclose(exr(tmp_path / "f.exr"), expected, rtol=2**-11 if depth == "8" else 1e-5, atol=1e-6)
    straight = exr(tmp_path / "c.exr")
    np.testing.assert_allclose(straight[..., :3], expected * ALPHA[..., None], rtol=0, atol=5e-4)
    np.testing.assert_allclose(straight[..., 3], ALPHA, rtol=0, atol=5e-4)
    np.testing.assert_allclose(exr(tmp_path / "m.exr")[..., 0], ALPHA, rtol=0, atol=5e-4)  # never converted
    through(tmp_path / "f.exr", Outputs(foreground=tmp_path / "back.png", bit_depth=depth))
    np.testing.assert_array_equal(raw(tmp_path / "back.png"), INTEGERS[depth])


def test_a_float_tiff_without_a_label_is_linear_and_one_with_a_profile_holds_what_that_says(tmp_path):
    icc = make_profile(gamma(1.8), "ProPhoto RGB")
    save(tmp_path / "a.png", INTEGERS["16"])
    save(tmp_path / "b.png", INTEGERS["16"], ICCProfile=icc)
    for name, expected in (("a", light(INTEGERS["16"] / 65535)), ("b", INTEGERS["16"] / 65535)):
        through(tmp_path / f"{name}.png", Outputs(foreground=tmp_path / f"{name}.tif", bit_depth="float"))
        with tifffile.TiffFile(tmp_path / f"{name}.tif") as file:
            np.testing.assert_allclose(file.asarray(), expected, rtol=0, atol=1e-6)
            assert file.pages[0].tags.valueof(34675) == (icc if name == "b" else None)
        through(tmp_path / f"{name}.tif", Outputs(foreground=tmp_path / "back.tif", bit_depth="16"))
        assert np.abs(raw(tmp_path / "back.tif").astype(int) - INTEGERS["16"]).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_numbers_and_profile_stay_together(tmp_path, suffix):
    icc = make_profile(gamma(1.8), "ProPhoto RGB")
    save(tmp_path / "a.png", INTEGERS["8"], ICCProfile=icc)
    through(tmp_path / "a.png", Outputs(foreground=tmp_path / f"f{suffix}"))
    with Image.open(tmp_path / f"f{suffix}") as file:
        assert file.info["icc_profile"] == icc
        if suffix != ".jpg":
            np.testing.assert_array_equal(np.asarray(file), INTEGERS["8"])


def test_an_exr_has_the_primaries_of_rec709_whatever_the_profile(tmp_path):
    # LittleCMS: Adobe RGB's (128, 128, 128) is a grey, and its green lies outside of Rec. 709
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    pixels[:, 12:] = 0, 255, 0
    save(tmp_path / "a.png", pixels, ICCProfile=make_profile(gamma(2.2), "Adobe RGB"))
    through(tmp_path / "a.png", Outputs(foreground=tmp_path / "f.exr", bit_depth="float"))
    found = exr(tmp_path / "f.exr")
    np.testing.assert_allclose(found[0, 0], (128 / 255) ** 2.2, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found[0, 12], [-0.398, 1.0, -0.043], rtol=0, atol=2e-3)


def test_a_linear_png_comes_back_as_it_was_and_its_exr_holds_its_numbers(tmp_path):
    for more in ({"ICCProfile": make_profile(gamma(1.0))}, {"oiio__ColorSpace": "lin_rec709_scene"}):
        save(tmp_path / "a.png", INTEGERS["16"], **more)
        through(tmp_path / "a.png", Outputs(foreground=tmp_path / "f.png", cutout=tmp_path / "f.exr"))
        np.testing.assert_array_equal(raw(tmp_path / "f.png"), INTEGERS["16"])
        with open_picture(tmp_path / "a.png") as before, open_picture(tmp_path / "f.png") as after:
            assert before.info.linear and after.info.linear
        np.testing.assert_allclose(exr(tmp_path / "f.exr")[-1, -1, 2], 1.0)
        through(tmp_path / "a.png", Outputs(foreground=tmp_path / "f.jpg"))
        with Image.open(tmp_path / "f.jpg") as file:
            grey, linear = np.asarray(file)[8, 12, 0], RAMP[8, 12, 0] / RAMP.max()
            expected = linear if "ICCProfile" in more else colour.linear_to_srgb(np.array([linear], np.float32))[0]
            assert abs(grey / 255 - expected) < 0.02  # JPEG


def test_grey_pictures_leave_their_profile_and_become_srgb(tmp_path):
    save(tmp_path / "a.tif", INTEGERS["8"][..., :1], ICCProfile=make_profile(gamma(1.0), grey=True))
    through(tmp_path / "a.tif", Outputs(foreground=tmp_path / "f.png"))
    expected = colour.linear_to_srgb(as_float(INTEGERS["8"][..., :1])) * 255
    assert np.abs(raw(tmp_path / "f.png") - expected).max() <= 0.51


def test_numbers_of_a_camera_stay_in_files_of_integers_and_become_light_in_an_exr(tmp_path):
    save(tmp_path / "a.tif", INTEGERS["16"])
    outputs = Outputs(foreground=tmp_path / "f.tif", cutout=tmp_path / "f.exr")
    through(tmp_path / "a.tif", outputs, transfer="ARRI LogC4")
    np.testing.assert_array_equal(raw(tmp_path / "f.tif"), INTEGERS["16"])
    assert exr(tmp_path / "f.exr")[-1, -1, 2] == pytest.approx(469.8, abs=0.1)  # LogC4's white


def test_a_table_profile_is_kept_where_it_can_be_and_refused_in_an_exr(tmp_path):
    save(tmp_path / "a.tif", INTEGERS["8"], ICCProfile=make_profile(SRGB_CURVE, A2B0=b"mft2" + bytes(60)))
    through(tmp_path / "a.tif", Outputs(foreground=tmp_path / "f.tif"))
    np.testing.assert_array_equal(raw(tmp_path / "f.tif"), INTEGERS["8"])
    with pytest.raises(InputError, match="cannot be converted"):
        through(tmp_path / "a.tif", Outputs(foreground=tmp_path / "f.exr"))
    assert not (tmp_path / "f.exr").exists()
