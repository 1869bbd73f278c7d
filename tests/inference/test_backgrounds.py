"""What lies behind a composite: transparent backgrounds, read back by programs that are not ours."""

from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import tifffile
from PIL import Image
from small_outputs import ALPHA, HEIGHT, WIDTH, exr, through
from small_pictures import save

from hdmatt.errors import InputError, OutputError
from hdmatt.inference.outputs import Outputs

FOREGROUND = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)
GROUND = np.full((HEIGHT, WIDTH, 3), (10, 200, 30), np.uint8)
COVER = np.tile(np.uint8([0, 51, 255]), (HEIGHT, WIDTH // 3))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    save(tmp_path / "p.png", FOREGROUND)
    Image.fromarray(np.dstack([GROUND, COVER])).save(tmp_path / "clear.png")
    Image.fromarray(np.dstack([GROUND, np.full_like(COVER, 255)])).save(tmp_path / "opaque.png")
    save(tmp_path / "plain.png", GROUND)
    return tmp_path


def over() -> tuple[np.ndarray, np.ndarray]:
    """Premultiplied colours and alpha of the composite, in float64."""
    share, beneath = ALPHA.astype(float)[..., None], COVER[..., None] / 255
    colours = share * (FOREGROUND / 255) + (1 - share) * beneath * (GROUND / 255)
    return colours, (share + (1 - share) * beneath)[..., 0]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_a_composite_over_a_transparent_background_is_straight_and_transparent(files, suffix):
    outputs = Outputs(composite=files / f"c{suffix}", background=files / "clear.png")
    through(files / "p.png", outputs)
    if suffix == ".tif":
        found = tifffile.imread(files / "c.tif")
    else:
        with Image.open(files / f"c{suffix}") as file:
            assert file.mode == "RGBA"
            found = np.asarray(file)
    colours, alpha = over()
    assert np.abs(found[..., 3] - alpha * 255).max() <= 0.51
    shown = found[..., 3] > 0
    straight = colours[shown] / alpha[shown][:, None] * 255
    assert np.abs(found[shown][:, :3] - straight).max() <= 0.51
    assert not found[~shown].any()  # what is hidden under alpha 0 of the background is not shown, nor kept
    assert (~shown).any()


def test_an_exr_of_it_is_premultiplied(files):
    through(files / "p.png", Outputs(composite=files / "c.exr", background=files / "clear.png", bit_depth="float"))
    found, (_, alpha) = exr(files / "c.exr"), over()
    np.testing.assert_allclose(found[..., 3], alpha, rtol=0, atol=1e-6)
    assert (found[..., :3] <= found[..., 3:] + 1e-6).all()
    with Image.open(files / "clear.png") as file:
        light = (np.asarray(file)[0, 2, :3] / 255 + 0.055) / 1.055
    np.testing.assert_allclose(found[0, 2, 1], light[1] ** 2.4, rtol=0, atol=0.01)


def test_an_opaque_alpha_counts_as_none_and_jpeg_holds_the_composite(files):
    for ground in ("opaque", "plain"):
        for suffix in (".png", ".jpg"):
            through(
                files / "p.png",
                Outputs(composite=files / f"{ground}{suffix[1:]}{suffix}", background=files / f"{ground}.png"),
            )
    assert (files / "opaquepng.png").read_bytes() == (files / "plainpng.png").read_bytes()
    assert (files / "opaquejpg.jpg").read_bytes() == (files / "plainjpg.jpg").read_bytes()


def test_a_jpeg_over_a_transparent_background_is_refused(files):
    with pytest.raises(OutputError, match="JPEG has no alpha channel") as caught:
        through(files / "p.png", Outputs(composite=files / "c.jpg", background=files / "clear.png"))
    assert ".png" in str(caught.value.hint) and ".tif" in str(caught.value.hint)
    assert not (files / "c.jpg").exists()


def test_a_premultiplied_background_is_divided_and_one_with_light_under_alpha_0_is_refused(files):
    cover = np.tile(np.float32([0, 0.2, 1]), (HEIGHT, WIDTH // 3))
    colours = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32) * cover[..., None]
    for name, pixels in (("ground", colours), ("glow", colours + np.float32(0.1))):
        channels = {"RGBA": np.dstack([pixels, cover])}
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        with OpenEXR.File(header, channels) as file:
            file.write(str(files / f"{name}.exr"))
    save(files / "linear.exr", np.full((HEIGHT, WIDTH, 3), 0.8, np.float32))
    through(files / "linear.exr", Outputs(composite=files / "c.exr", background=files / "ground.exr"))
    share = ALPHA[..., None]
    np.testing.assert_allclose(exr(files / "c.exr")[..., :3], share * 0.8 + (1 - share) * colours, rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="light where its alpha is 0, first at x 0, y 0"):
        through(files / "linear.exr", Outputs(composite=files / "c.exr", background=files / "glow.exr"))
