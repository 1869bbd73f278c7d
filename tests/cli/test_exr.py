"""EXRs from the command line: layers in, layers out, pixels paired by coordinates. Judged by the OpenEXR package."""

import json
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
import torch
from small_exr import save_exr, windows

from hdmatt.cli.main import main
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt

HEIGHT, WIDTH = 70, 90
SHOWN = windows((-4, 6, WIDTH, HEIGHT), (0, 0, 100, 80))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(HDMatt(ModelConfig(width=4)), path, half=True)
    return path


@pytest.fixture
def scene(tmp_path):
    """a.exr, whose picture is the premultiplied layer rgba, and t.exr, cropped to what is not background."""
    rng = np.random.default_rng(0)
    colours = rng.random((HEIGHT, WIDTH, 3), np.float32) * 3  # brighter than white
    alpha = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    channels = {f"rgba.{name}": colours[..., i] * alpha for i, name in enumerate("RGB")}
    depth = {"Z": np.full_like(alpha, 9), "AO.R": alpha, "AO.G": alpha, "AO.B": alpha}
    save_exr(tmp_path / "a.exr", channels | {"rgba.A": alpha} | depth, owner="a studio", **SHOWN)
    trimap = np.full((40, 50), 0.5, np.float32)
    trimap[10:30, 10:40] = 1
    save_exr(tmp_path / "t.exr", {"A": trimap}, **windows((16, 21, 50, 40), (0, 0, 100, 80)))
    np.save(tmp_path / "colours.npy", colours)
    return tmp_path


def call(scene: Path, weights: Path, *more: object, picture: str = "a.exr") -> int:
    paths = [str(scene / picture), str(scene / "t.exr")]
    options = ["--model", str(weights), "--device", "cpu", "--patch", "64", "--overlap", "16"]
    return main(["matte", *paths, *options, *map(str, more)])


def channels_of(path: Path) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        return {name: channel.pixels for name, channel in file.channels().items()}, dict(file.header())


def stacked(channels: dict[str, np.ndarray], names: str, prefix: str = "") -> np.ndarray:
    return np.dstack([channels[prefix + name] for name in names]).astype(np.float32)


def test_a_layered_file_holds_cut_out_foreground_and_plate_at_the_pictures_place(scene, weights, capsys):
    outputs = ["-o", scene / "alpha.exr", "--foreground", scene / "f.exr", "--layered", scene / "layers.exr", "--plate"]
    assert call(scene, weights, *outputs, "--json") == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert (summary["layer"], summary["trimap_layer"]) == ("rgba", "") and err.startswith(
        "hdmatt: note: the picture is layer 'rgba'"
    )
    channels, header = channels_of(scene / "layers.exr")
    assert set(channels) == {*"RGBA", "fg.R", "fg.G", "fg.B", "plate.R", "plate.G", "plate.B"}
    assert {pixels.dtype.name for pixels in channels.values()} == {"float16"}
    assert header["compression"] == OpenEXR.ZIPS_COMPRESSION and header["owner"] == "a studio"
    np.testing.assert_array_equal(header["dataWindow"], SHOWN["dataWindow"])
    np.testing.assert_array_equal(header["displayWindow"], SHOWN["displayWindow"])
    foreground, alpha = (
        stacked(channels_of(scene / "f.exr")[0], "RGB"),
        stacked(channels_of(scene / "alpha.exr")[0], "Y"),
    )
    colours = np.load(scene / "colours.npy")
    half = {"rtol": 2**-11, "atol": 2**-25}  # half floats round to 11 bits
    np.testing.assert_allclose(stacked(channels, "RGB", "plate."), colours, **half)
    np.testing.assert_allclose(stacked(channels, "RGB", "fg."), foreground, **half)
    np.testing.assert_allclose(stacked(channels, "A"), alpha, **half)
    np.testing.assert_allclose(stacked(channels, "RGB"), foreground * alpha, **half)
    sure = np.zeros((HEIGHT, WIDTH), bool)
    sure[25:45, 30:60] = True  # the trimap's foreground, 16 + 10 - -4 from the left and 21 + 10 - 6 from above
    assert (alpha[sure] == 1).all() and (alpha[:15] == 0).all()
    np.testing.assert_allclose(foreground[sure], colours[sure], rtol=1e-6)  # multiplied by alpha and divided again


def test_a_background_is_laid_under_the_picture_by_coordinates(scene, weights, capsys):
    behind = np.random.default_rng(1).random((80, 104), np.float32)
    save_exr(scene / "b.exr", dict.fromkeys("RGB", behind), **windows((-4, 0, 104, 80), (0, 0, 100, 80)))
    outputs = ["-o", scene / "a.png", "--composite", scene / "c.exr"]
    assert call(scene, weights, *outputs, "--background", scene / "b.exr") == 0
    assert f"{scene / 'a.png'} holds the picture's data window, 90x70 at -4,6 of what" in capsys.readouterr().err
    composite = stacked(channels_of(scene / "c.exr")[0], "R")[..., 0]
    np.testing.assert_array_equal(composite[:15], behind[6:21, :90])


def test_windows_that_cannot_be_paired_end_with_2_and_both_windows(scene, weights, capsys):
    pixels = {name: np.zeros((80, 80), np.float32) for name in "RGB"}
    save_exr(scene / "other.exr", pixels, **windows((0, 0, 80, 80), (0, 0, 80, 80)))
    before = {path.name for path in scene.iterdir()}
    assert call(scene, weights, "-o", scene / "m.png", picture="other.exr") == 2
    err = capsys.readouterr().err
    assert "50x40 at 16,21 (data window) of 100x80 at 0,0" in err and "80x80 at 0,0 (data window)" in err
    assert {path.name for path in scene.iterdir()} == before


def test_two_layers_with_an_equal_claim_end_with_2_and_a_name_helps(scene, weights, capsys):
    colours = np.load(scene / "colours.npy")
    layers = {f"{layer}.{name}": colours[..., i] * share for layer, share in (("key", 1), ("fill", 0.5))
              for i, name in enumerate("RGB")}  # fmt: skip
    save_exr(scene / "two.exr", layers, **SHOWN)
    assert call(scene, weights, "-o", scene / "m.png", picture="two.exr") == 2
    assert "several layers that may be the picture: 'fill', 'key'" in capsys.readouterr().err
    outputs = ["--foreground", scene / "f.exr", "--input-layer", "key"]
    assert call(scene, weights, *outputs, picture="two.exr") == 0
    np.testing.assert_array_equal(stacked(channels_of(scene / "f.exr")[0], "RGB")[30, 40], colours[30, 40])


def test_layers_go_into_an_exr_and_the_plate_needs_them(scene, weights, capsys):
    assert call(scene, weights, "--layered", scene / "l.png") == 2
    assert "we need one of .exr" in capsys.readouterr().err
    assert call(scene, weights, "-o", scene / "m.png", "--plate") == 2
    assert "--plate is a layer of --layered" in capsys.readouterr().err


def test_a_display_encoded_picture_makes_a_layered_file_too(scene, weights):
    cv2.imwrite(str(scene / "p.png"), np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8))
    assert call(scene, weights, "--layered", scene / "l.exr", picture="p.png") == 0
    channels, header = channels_of(scene / "l.exr")
    assert set(channels) == {*"RGBA", "fg.R", "fg.G", "fg.B"} and channels["A"].shape == (80, 100)
    assert (channels["A"][31:51, 26:56] == 1).all() and "capDate" not in header
