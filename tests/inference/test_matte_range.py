"""Levels of the matte and the inverted matte: what the files hold, by independent readers."""

import cv2
import numpy as np
import OpenImageIO as oiio
import pytest
import tifffile
from PIL import Image
from psd_tools import PSDImage

import hdmatt
from hdmatt.errors import InputError
from hdmatt.inference.matte_range import in_range, levels
from hdmatt.inference.outputs import Outputs


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    trimap = np.zeros((90, 120), np.uint8)
    trimap[20:70, 20:100], trimap[35:55, 40:80] = 128, 255
    cv2.imwrite(str(folder / "picture.png"), np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    cv2.imwrite(str(folder / "trimap.png"), trimap)
    return folder


@pytest.fixture(scope="module")
def run(scene, network):
    def run(outputs):
        hdmatt.matte_files(scene / "picture.png", scene / "trimap.png", outputs, network=network, strategy="tiles")

    return run


@pytest.fixture(scope="module")
def plain(scene, run):
    run(Outputs(scene / "plain.tif", bit_depth="float"))
    return tifffile.imread(scene / "plain.tif")


@pytest.fixture(scope="module")
def low_high(plain):
    """Levels that change a third of the soft pixels to 0 and a third to 1."""
    low, high = np.quantile(plain[(plain > 0) & (plain < 1)], [1 / 3, 2 / 3])
    return float(low), float(high)


def test_levels_are_0_and_1_outside_and_linear_between():
    alpha = np.linspace(0, 1, 101, dtype=np.float32)[None]
    changed = levels(alpha, 0.1, 0.7)
    assert (changed[alpha <= np.float32(0.1)] == 0).all() and (changed[alpha >= np.float32(0.7)] == 1).all()
    np.testing.assert_allclose(changed[0, 10:71], np.linspace(0, 1, 61), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(alpha, np.linspace(0, 1, 101, dtype=np.float32)[None])


def test_the_whole_range_gives_the_very_same_rows():
    alpha = np.random.default_rng(0).random((3, 4), np.float32)
    assert [rows is alpha for _, rows in in_range(iter([(0, alpha)]), (0.0, 1.0))] == [True]


@pytest.mark.release
def test_all_outputs_hold_the_changed_matte(run, plain, low_high, scene, tmp_path):
    names = {"alpha": "a.tif", "cutout": "c.tif", "composite": "over.tif", "layered": "l.exr", "foreground": "f.tif"}
    paths = {kind: tmp_path / name for kind, name in names.items()}
    run(Outputs(**paths, background="black", bit_depth="float", matte_range=low_high))
    wanted = levels(plain, *low_high)
    assert ((plain > 0) & (wanted == 0)).any() and ((plain < 1) & (wanted == 1)).any()
    read = {kind: tifffile.imread(path) for kind, path in paths.items() if path.suffix == ".tif"}
    np.testing.assert_array_equal(read["alpha"], wanted)
    np.testing.assert_array_equal(read["cutout"][..., 3], wanted)
    assert not read["composite"][wanted == 0].any()
    np.testing.assert_array_equal(oiio.ImageBuf(str(paths["layered"])).get_pixels()[..., 3], wanted)

    # colours belong to the changed alpha: where it is 1 they are the picture's
    run(Outputs(foreground=tmp_path / "f.png", matte_range=low_high))
    foreground, picture = np.asarray(Image.open(tmp_path / "f.png")), np.asarray(Image.open(scene / "picture.png"))
    np.testing.assert_array_equal(foreground[wanted == 1], picture[wanted == 1])

    trimap = np.asarray(Image.open(scene / "trimap.png"))
    assert (wanted[trimap == 0] == 0).all() and (wanted[trimap == 255] == 1).all()


def test_the_mask_of_a_psd_holds_the_changed_matte(run, plain, low_high, tmp_path):
    run(Outputs(psd=tmp_path / "p.psd", matte_range=low_high))
    mask = PSDImage.open(tmp_path / "p.psd")[-1].mask.topil()
    np.testing.assert_array_equal(np.asarray(mask), np.rint(levels(plain, *low_high) * 255))


def test_only_the_file_of_the_matte_is_inverted(run, plain, tmp_path):
    for name, invert in (("plain", False), ("inverted", True)):
        folder = tmp_path / name
        folder.mkdir()
        run(Outputs(folder / "a.tif", cutout=folder / "c.tif", bit_depth="float", invert=invert))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "inverted" / "a.tif"), 1 - plain)
    first, second = (tifffile.imread(tmp_path / name / "c.tif") for name in ("plain", "inverted"))
    np.testing.assert_array_equal(first, second)


def test_levels_come_before_the_inversion(run, plain, low_high, tmp_path):
    run(Outputs(tmp_path / "a.tif", bit_depth="float", matte_range=low_high, invert=True))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), 1 - levels(plain, *low_high))


def test_an_inverted_matte_that_is_not_written_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="--invert is of the matte"):
        run(Outputs(cutout=tmp_path / "c.png", invert=True))
