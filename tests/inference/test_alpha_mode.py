"""Straight and premultiplied outputs, as programs that are not ours read them."""

import numpy as np
import pytest
import tifffile
from small_outputs import ALPHA, HEIGHT, WIDTH, exr, through
from small_pictures import save
from small_profiles import gamma, make_profile

from hdmatt.errors import InputError
from hdmatt.inference.outputs import Outputs, check_outputs
from hdmatt.pictures.reader import open_picture

COLOURS = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)


@pytest.mark.parametrize(("depth", "white"), [("8", 255), ("16", 65535), ("float", 1)])
def test_a_premultiplied_tiff_is_multiplied_in_the_numbers_of_the_file_and_says_so(tmp_path, depth, white):
    save(tmp_path / "p.png", COLOURS, ICCProfile=make_profile(gamma(1.8), "ProPhoto RGB"))
    for mode, label in (("straight", 2), ("premultiplied", 1)):  # TIFF 6.0: unassociated, associated alpha
        through(tmp_path / "p.png", Outputs(cutout=tmp_path / "c.tif", bit_depth=depth, alpha_mode=mode))
        with tifffile.TiffFile(tmp_path / "c.tif") as file:
            found, extra = file.asarray(), file.pages[0].tags.valueof("ExtraSamples")
        assert tuple(extra) == (label,)
        share = ALPHA[..., None] if mode == "premultiplied" else 1
        np.testing.assert_allclose(
            found[..., :3], COLOURS / 255 * share * white, rtol=0, atol=0.51 if white > 1 else 1e-6
        )
        np.testing.assert_allclose(found[..., 3], ALPHA * white, rtol=0, atol=0.51 if white > 1 else 1e-6)
        assert (found[..., :3] <= found[..., 3:]).all() or mode == "straight"
    with open_picture(tmp_path / "c.tif") as back:
        solid = ALPHA > 0.9
        step = 1.2 if depth == "8" else 0.01
        values = back.rows(0, HEIGHT)[solid] / white * 255
        np.testing.assert_allclose(values, COLOURS[solid], rtol=0, atol=step)


def test_an_exr_is_premultiplied_asked_or_not(tmp_path):
    save(tmp_path / "p.png", COLOURS)
    for name, mode in (("a", None), ("b", "premultiplied")):
        through(tmp_path / "p.png", Outputs(cutout=tmp_path / f"{name}.exr", alpha_mode=mode))
    np.testing.assert_array_equal(exr(tmp_path / "a.exr"), exr(tmp_path / "b.exr"))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"cutout": "c.png", "alpha_mode": "premultiplied"}, "PNG is straight by its specification"),
        ({"cutout": "c.webp", "alpha_mode": "premultiplied"}, "WEBP is straight by its specification"),
        ({"psd": "c.psd", "alpha_mode": "premultiplied"}, "PSD is straight by its specification"),
        ({"cutout": "c.exr", "alpha_mode": "straight"}, "EXR is premultiplied by its specification"),
        ({"alpha": "a.png", "alpha_mode": "straight"}, "none of the outputs is one"),
        ({"cutout": "c.tif", "alpha_mode": "associated"}, "we need straight or premultiplied"),
    ],
)
def test_what_a_format_does_not_mean_is_refused(tmp_path, given, problem):
    paths = {name: value if name == "alpha_mode" else tmp_path / value for name, value in given.items()}
    with pytest.raises(InputError, match=problem) as caught:
        check_outputs(Outputs(**paths), tmp_path / "p.png", tmp_path / "t.png")
    assert caught.value.hint
    assert "EXR is" not in problem or "--layered" in caught.value.hint


def test_a_composite_counts_only_where_it_is_transparent(tmp_path):
    save(tmp_path / "p.png", COLOURS)
    through(tmp_path / "p.png", Outputs(composite=tmp_path / "c.png", background="teal", alpha_mode="premultiplied"))
    clear = np.dstack([COLOURS, np.full((HEIGHT, WIDTH), 51, np.uint8)])
    save(tmp_path / "clear.tif", clear, oiio__UnassociatedAlpha=1)
    clear = {"background": tmp_path / "clear.tif", "alpha_mode": "premultiplied"}
    with pytest.raises(InputError, match="PNG is straight"):
        through(tmp_path / "p.png", Outputs(composite=tmp_path / "d.png", **clear))
    through(tmp_path / "p.png", Outputs(composite=tmp_path / "d.tif", **clear))
    cover = ALPHA + (1 - ALPHA) * 0.2
    found = tifffile.imread(tmp_path / "d.tif")
    np.testing.assert_allclose(found[..., :3], COLOURS * cover[..., None], rtol=0, atol=0.51)
