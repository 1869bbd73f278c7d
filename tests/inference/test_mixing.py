"""How colours mix: what the network sees, and what is written."""

import cv2
import numpy as np
import pytest
import tifffile
import torch
from small_network import network, scene

import hdmatt
from hdmatt.errors import InputError
from hdmatt.inference.mixing import DISPLAY_EXPONENT, as_mixed
from hdmatt.inference.options import NetworkChoice, Options, RunOptions
from hdmatt.inference.outputs import Outputs
from hdmatt.inference.strategies import STRATEGIES, matte_rows
from hdmatt.inference.window_decoder import WindowDecoder
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.pictures.colours.colour import linear_to_srgb, srgb_to_linear
from hdmatt.pictures.reader import ArrayReader, network_colours
from hdmatt.pictures.trimap import open_trimap
from hdmatt.system.memory import GIB

SMALL = {"patch": 64, "overlap": 16, "candidates": 6, "memory": 4 * GIB}


@pytest.fixture(scope="module")
def model():
    return network(extra_channels=True)


def alpha_of(model, picture, strategy="hdmatt", **options):
    job = matte_rows(strategy, ArrayReader(picture), open_trimap(scene()[1]), model, Options(**SMALL, **options))
    return np.concatenate([rows for _, rows in job.rows])


@pytest.mark.parametrize("mixing", ["auto", "linear"])
def test_a_photograph_is_the_very_same_picture(mixing):
    picture = ArrayReader(scene()[0])
    assert as_mixed(picture, mixing) is picture


def test_mixed_display_values_are_seen_to_a_power():
    picture = ArrayReader(scene()[0])
    seen = as_mixed(picture, "display")
    wanted = (scene()[0][:9] / np.float32(255)) ** np.float32(DISPLAY_EXPONENT)
    np.testing.assert_array_equal(network_colours(seen.rows(0, 9), seen.info.encoding), wanted)
    assert picture.info.encoding.exponent == 1


@pytest.mark.release
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_matte_is_that_of_the_picture_to_the_power(model, strategy):
    picture = scene()[0] / np.float32(255)
    powered = picture ** np.float32(DISPLAY_EXPONENT)
    mixed = alpha_of(model, picture, strategy, mixing="display")
    np.testing.assert_array_equal(mixed, alpha_of(model, powered, strategy))
    assert (mixed != alpha_of(model, picture, strategy)).any()


def test_windows_in_any_order_see_the_power_too(model):
    picture, trimap = scene()
    options = RunOptions.of(Options(**SMALL, windows="grid"))
    powered = (picture / np.float32(255)) ** np.float32(DISPLAY_EXPONENT)
    alphas = []
    for pixels, mixing in ((picture, "display"), (powered, "auto")):
        given = RunOptions.of(options, mixing=mixing)
        decoder = WindowDecoder(ArrayReader(pixels), open_trimap(trimap), model, given)
        alphas.append(decoder.decode(decoder.plan.queries[0], lambda y0, y1, x0, x1: trimap[y0:y1, x0:x1]))
    np.testing.assert_array_equal(*alphas)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    save_model(HDMatt(ModelConfig(width=4)), folder / "tiny.safetensors", half=False)
    trimap = np.zeros((90, 120), np.uint8)
    trimap[20:70, 20:100], trimap[35:55, 40:80] = 128, 255
    cv2.imwrite(str(folder / "picture.png"), np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    cv2.imwrite(str(folder / "trimap.png"), trimap)
    return folder


def run(folder, outputs, **options):
    choice = NetworkChoice(folder / "tiny.safetensors", device="cpu")
    paths = folder / "picture.png", folder / "trimap.png"
    return hdmatt.matte_files(*paths, outputs, options=Options(**options), network=choice, strategy="tiles")


def read(path):
    return tifffile.imread(path)


@pytest.fixture(scope="module")
def plain(files):
    outputs = Outputs(files / "a.tif", composite=files / "over.tif", background="#4080c0", bit_depth="float")
    assert run(files, outputs).matte_for is None
    return read(files / "a.tif"), read(files / "over.tif")


def test_alpha_that_is_for_the_picture_s_own_mixing_stays_bit_for_bit(files, plain, tmp_path):
    run(files, Outputs(tmp_path / "a.tif", matte_for="linear", bit_depth="float"))
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), plain[0])


def test_converted_alpha_keeps_what_is_known(files, plain, tmp_path):
    summary = run(files, Outputs(tmp_path / "a.tif", matte_for="display", bit_depth="float"))
    made, trimap = read(tmp_path / "a.tif"), cv2.imread(str(files / "trimap.png"), cv2.IMREAD_UNCHANGED)
    assert (summary.mixing, summary.matte_for) == ("auto", "display")
    assert (made[trimap == 0] == 0).all() and (made[trimap == 255] == 1).all()
    soft = (plain[0] > 0.1) & (plain[0] < 0.9)
    assert np.abs(made - plain[0])[soft].mean() > 0.02 and 0 <= made.min() <= made.max() <= 1


def test_a_composite_is_mixed_where_its_alpha_is_for(files, plain, tmp_path):
    names = {"alpha": "a.tif", "foreground": "f.tif", "composite": "over.tif"}
    paths = {kind: tmp_path / name for kind, name in names.items()}
    run(files, Outputs(**paths, background="#4080c0", matte_for="linear", bit_depth="float"))
    alpha, foreground, whole = (read(path) for path in paths.values())
    behind = np.array([0x40, 0x80, 0xC0], np.float32) / 255
    light = [srgb_to_linear(colours) for colours in (linear_to_srgb(foreground), behind)]
    share = alpha[..., None]
    # float TIFFs hold light (docs/colour.md)
    np.testing.assert_allclose(whole, share * light[0] + (1 - share) * light[1], rtol=0, atol=1e-4)
    assert np.abs(whole - plain[1]).max() > 0.02


def test_arrays_and_files_agree(files, tmp_path):
    paths = {"alpha": tmp_path / "a.tif", "foreground": tmp_path / "f.png"}
    run(files, Outputs(**paths, matte_for="display"))
    choice = NetworkChoice(files / "tiny.safetensors", device="cpu")
    whole = hdmatt.matte(
        files / "picture.png", files / "trimap.png", network=choice, strategy="tiles", matte_for="display"
    )
    assert whole.matte_for == "display"
    stored = read(tmp_path / "a.tif")
    np.testing.assert_allclose(
        whole.alpha, stored / np.iinfo(stored.dtype).max, rtol=0, atol=0.6 / np.iinfo(stored.dtype).max
    )
    colours = cv2.imread(str(tmp_path / "f.png"))[..., ::-1]
    np.testing.assert_allclose(whole.foreground() * 255, colours, rtol=0, atol=0.6)


def test_half_of_white_over_black_is_half_of_the_light_or_of_the_number():
    white, half = np.ones((8, 8, 3), np.float32), np.full((8, 8), 0.5, np.float32)
    light = hdmatt.Matte(half, white, matte_for="linear").composite("black")
    np.testing.assert_allclose(light, linear_to_srgb(half)[..., None] + np.zeros(3), rtol=0, atol=1e-3)
    np.testing.assert_allclose(hdmatt.Matte(half, white).composite("black"), 0.5, rtol=0, atol=1e-3)


def test_levels_apply_to_the_converted_alpha(files, tmp_path):
    for name, levels in (("a.tif", (0.0, 1.0)), ("b.tif", (0.3, 0.6))):
        run(files, Outputs(tmp_path / name, matte_for="display", matte_range=levels, bit_depth="float"))
    whole, changed = read(tmp_path / "a.tif"), read(tmp_path / "b.tif")
    np.testing.assert_allclose(changed, ((whole - 0.3) / 0.3).clip(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("matte_for", ["linear", "display"])
def test_where_levels_make_alpha_1_the_colours_are_the_picture_s_own(files, tmp_path, matte_for):
    run(files, Outputs(cutout=tmp_path / "c.tif", matte_for=matte_for, matte_range=(0.0, 0.02)))
    cutout, picture = read(tmp_path / "c.tif"), cv2.imread(str(files / "picture.png"))[..., ::-1]
    opaque = cutout[..., 3] == 255
    assert opaque.sum() > 900  # 800 of them are the trimap's foreground
    np.testing.assert_array_equal(cutout[opaque][:, :3], picture[opaque])


def test_names_that_are_none_are_refused():
    with pytest.raises(InputError, match="mixing is 'film'"):
        Options(mixing="film")
    with pytest.raises(InputError, match="matte_for is 'screen'"):
        Outputs("a.png", matte_for="screen")
