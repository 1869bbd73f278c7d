"""Under alpha 0 no file shows the background that was there: near the subject and far from it, in any tile."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import hdmatt
from hdmatt.errors import InputError
from hdmatt.inference.outputs import Outputs, check_options
from hdmatt.pictures.colours.colour import linear_to_srgb
from hdmatt.pictures.colours.foreground import TILE

WIDTH = 2 * TILE + 300  # three tiles, of which one has soft pixels


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A subject of red 200 and more, before a background of red 60 and less."""
    folder = tmp_path_factory.mktemp("scene")
    rng = np.random.default_rng(0)
    picture, trimap = rng.integers(0, 61, (90, WIDTH, 3), np.uint8), np.zeros((90, WIDTH), np.uint8)
    trimap[20:70, 30:130], trimap[30:60, 40:120] = 128, 255
    picture[trimap > 0] = rng.integers(200, 256, (int((trimap > 0).sum()), 3))
    cv2.imwrite(str(folder / "picture.png"), picture)
    cv2.imwrite(str(folder / "trimap.png"), trimap)
    return folder


def run(scene, network, outputs):
    hdmatt.matte_files(scene / "picture.png", scene / "trimap.png", outputs, network=network, strategy="tiles")


def read(path):
    if path.suffix == ".tif":
        return tifffile.imread(path)
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize(("suffix", "depth"), [("png", "8"), ("webp", "8"), ("tif", "float"), ("tif", "16")])
def test_where_alpha_is_0_stands_the_foreground_or_nothing(scene, network, tmp_path, suffix, depth):
    outputs = Outputs(foreground=tmp_path / f"f.{suffix}", cutout=tmp_path / f"c.{suffix}", bit_depth=depth)
    run(scene, network, outputs)
    white = {"8": 255, "16": 65535, "float": 1}[depth]
    cutout, foreground = read(tmp_path / f"c.{suffix}"), read(tmp_path / f"f.{suffix}")
    clear = cutout[..., 3] == 0
    assert clear[:, 200:].all() and clear[:, :150].any() and not clear.all()
    np.testing.assert_array_equal(cutout[..., :3], foreground)
    for colours in (cutout[..., :3], foreground):
        background = (colours.max(2) < 61 / 255 * white) & colours.any(2)
        assert not background[clear].any()
    assert foreground[clear].all()

    run(scene, network, replace(outputs, clean=True))
    cleaned, foreground = read(tmp_path / f"c.{suffix}"), read(tmp_path / f"f.{suffix}")
    np.testing.assert_array_equal(cleaned[..., 3], cutout[..., 3])
    np.testing.assert_array_equal(cleaned[~clear], cutout[~clear])
    assert not cleaned[clear].any() and not foreground[clear].any()


@pytest.mark.release
def test_the_matte_and_the_composite_do_not_change(scene, network, tmp_path):
    def outputs(name, **more):
        return Outputs(
            alpha=tmp_path / f"{name}-a.png", composite=tmp_path / f"{name}-c.png", background="teal", **more
        )

    run(scene, network, outputs("plain"))
    run(scene, network, outputs("clean", clean=True, cutout=tmp_path / "clean.png"))
    run(scene, network, outputs("continued", foreground=tmp_path / "continued.png"))
    for name in ("clean", "continued"):
        for kind in ("a", "c"):
            np.testing.assert_array_equal(read(tmp_path / f"{name}-{kind}.png"), read(tmp_path / f"plain-{kind}.png"))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (Outputs("a.png", clean=True), "--clean changes colours"),
        (Outputs(psd="a.psd", clean=True), "--clean changes colours"),
        (Outputs("a.webp", quality=90), "a quality is for JPEG and WebP"),
    ],
)
def test_an_option_that_changes_no_output_is_refused(outputs, message):
    with pytest.raises(InputError, match=message):
        check_options(outputs)


def encoded(rgba):
    """Display-encoded; a TIFF of floats is linear."""
    return np.concatenate([linear_to_srgb(rgba[..., :3]), rgba[..., 3:]], axis=2)


@pytest.mark.release
def test_python_gives_what_the_files_hold(scene, network, tmp_path):
    matte = hdmatt.matte(scene / "picture.png", scene / "trimap.png", network=network, strategy="tiles")
    run(scene, network, Outputs(cutout=tmp_path / "c.tif", bit_depth="float"))
    np.testing.assert_allclose(matte.cutout(), encoded(read(tmp_path / "c.tif")), rtol=0, atol=2e-6)
    run(scene, network, Outputs(cutout=tmp_path / "c.tif", bit_depth="float", clean=True))
    np.testing.assert_allclose(matte.cutout(clean=True), encoded(read(tmp_path / "c.tif")), rtol=0, atol=2e-6)


def test_a_matte_of_the_callers_own_continues_what_is_opaque(scene, network):
    matte = hdmatt.matte(scene / "picture.png", scene / "trimap.png", network=network, strategy="tiles")
    own = hdmatt.Matte(matte.alpha, matte.picture)
    assert own.foreground()[own.alpha == 0].min() >= 200 / 255 - 1e-6
