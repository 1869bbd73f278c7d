"""The automatic band: known only where mask and matte agree, the same in any bands, and `matte --mask` in one go."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import hdmatt
from hdmatt.cli.main import main
from hdmatt.inference.options import Options
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.pictures.reader import ArrayReader
from hdmatt.trimaps import automatic
from hdmatt.trimaps.automatic import AutomaticBand, decide
from hdmatt.trimaps.mask_rows import WholeMask, three_values
from hdmatt.trimaps.widths import BandWidths

HEIGHT, WIDTH = 120, 160
DIAGONAL = 200


def radius(at=(60, 80)):
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return np.hypot(y - at[0], x - at[1])


@pytest.fixture
def network(monkeypatch):
    """A network that knows: the matte is `network.alpha` where the trimap is unknown. It keeps what trimaps it got."""
    given = SimpleNamespace(alpha=np.clip((40 - radius()) / 4 + 0.5, 0, 1).astype(np.float32), trimaps=[])

    def matte(picture, trimap, *, network, options, progress=None):
        given.trimaps.append(trimap)
        alpha = given.alpha if given.alpha.shape == trimap.shape else cv2.resize(given.alpha, trimap.shape[::-1])
        return SimpleNamespace(alpha=np.where(trimap == 128, alpha, trimap / np.float32(255)))

    monkeypatch.setattr(automatic, "matte", matte)
    return given


def decided(mask, **numbers):
    colours = np.zeros((*mask.shape, 3), np.float32)
    chosen = AutomaticBand(**numbers)
    return decide(colours, three_values(mask), network="", options=Options(), numbers=chosen)


def test_unknown_is_what_is_soft_with_a_margin_and_a_narrow_band_on_the_masks_edge(network):
    trimap = decided(radius() <= 40, soft=0.02, margin=0.01, narrow=0.02)
    r = radius()
    assert (trimap[np.abs(r - 40) < 3.5] == 128).all()  # soft from 38 to 42, 2 pixels more, 4 on the edge
    assert (trimap[r < 35] == 255).all() and (trimap[r > 45.5] == 0).all()


def test_the_wide_band_is_what_is_asked_of_the_network_and_leaves_the_innermost_pixels(network):
    decided(radius() <= 40, inside=0.05, outside=0.1)
    wide, r = network.trimaps[0], radius()
    assert (wide[r < 28] == 255).all() and (wide[(r > 32) & (r < 58)] == 128).all() and (wide[r > 62] == 0).all()
    decided(radius() <= 6, inside=0.05)
    assert (network.trimaps[1][radius() < 2] == 255).all()


def test_what_mask_and_matte_disagree_on_is_unknown(network):
    network.alpha = (radius((60, 90)) <= 40).astype(np.float32)  # the object lies ten pixels to the right
    trimap = decided(radius() <= 40, inside=0.05, outside=0.1)
    truth = network.alpha == 1
    assert not ((trimap == 255) & ~truth).any() and not ((trimap == 0) & truth).any()
    assert trimap[60, 80 - 35] == 128 and trimap[60, 80 + 45] == 128 and trimap[60, 80] == 255 and trimap[0, 0] == 0


def test_a_thing_of_the_background_that_the_network_would_take_stays_background(network):
    thing = radius((60, 20)) <= 8  # 12 pixels from the mask's edge
    network.alpha[thing] = 1
    assert (decided(radius() <= 40)[thing] == 0).all()
    assert (decided(radius() <= 40, outside=0.2)[thing] == 128).all()


def test_hair_that_goes_on_at_the_end_of_the_first_band_is_unknown_beyond_it(network):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    strand = (np.abs(y - 60) < 2) & (x > 80)
    network.alpha[strand] = 0.6
    trimap, r = decided(radius() <= 40, outside=0.03, margin=0.01), radius()
    assert (trimap[strand & (r > 40) & (r < 47)] == 128).all()  # the band ends at 46
    assert (trimap[~strand & (np.abs(y - 60) > 8) & (r > 44)] == 0).all()


def test_the_middle_of_a_part_that_the_band_covers_whole_stays_foreground(network):
    mask, pen = radius() <= 40, np.zeros((HEIGHT, WIDTH), bool)
    pen[58:63, 115:150] = True  # five pixels wide, the band reaches ten
    network.alpha = np.where(pen, 0, network.alpha).astype(np.float32)
    trimap = decided(mask | pen, inside=0.05)
    assert (network.trimaps[0][60, 130:145] == 255).all() and (trimap[60, 130:145] == 255).all()
    assert (trimap[[58, 62], 130:145] == 128).all() and (trimap[pen] != 0).all()
    assert (decided(mask | pen, inside=0.05, thin=0.02)[60, 130:145] == 128).all()


def test_a_mask_of_one_side_asks_no_network(network):
    assert (decided(np.zeros((20, 30), bool)) == 0).all() and network.trimaps == []


@pytest.mark.parametrize("rows", [1, 7, 50, 200])
def test_the_rows_of_a_large_picture_are_its_smaller_trimap_where_the_mask_agrees(network, rows, monkeypatch):
    monkeypatch.setattr(automatic, "AUTOMATIC_SIDE", 80)
    monkeypatch.setattr(automatic, "_ROWS", rows)
    mask, picture = three_values(radius() <= 40), ArrayReader(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    widths = BandWidths.parse("auto", None, None, picture=True)
    made = list(automatic.automatic_band_rows(picture, WholeMask(mask), widths, network=""))
    trimap = np.concatenate(made)
    assert network.trimaps[0].shape == (60, 80) and len(made) == -(-HEIGHT // rows)
    cells = trimap.reshape(60, 2, 80, 2)
    assert ((cells == cells[:, :1, :, :1]).all(axis=(1, 3)) | (cells == 128).any(axis=(1, 3))).all()
    known = trimap != 128
    np.testing.assert_array_equal(trimap[known], mask[known])
    assert (trimap[np.abs(radius() - 40) < 1] == 128).all() and 0.6 < known.mean() < 0.95


def test_a_limit_of_the_reach_is_kept(network):
    network.alpha = np.full((HEIGHT, WIDTH), 0.5, np.float32)  # nothing is sure for this one
    for outside, reach in ((10, 10), ("2%", 4)):
        trimap = hdmatt.make_trimap(radius() <= 40, np.zeros((HEIGHT, WIDTH, 3), np.uint8), inside=6, outside=outside)
        r = radius()
        assert (trimap[(r > 40) & (r < 40 + reach - 1)] == 128).all()
        assert (trimap[r > 40 + reach + 3] == 0).all() and (trimap[r < 40 - 6 - 3] == 255).all()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(HDMatt(ModelConfig(width=4)), path, half=True)
    return path


@pytest.fixture
def scene(tmp_path, weights):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :120]
    colours = np.where((np.hypot(y - 48, x - 60) < 30)[..., None], (200, 60, 40), (40, 160, 60))
    Image.fromarray((colours + rng.integers(-30, 30, colours.shape)).astype(np.uint8)).save(tmp_path / "picture.png")
    Image.fromarray(np.where(np.hypot(y - 48, x - 60) < 30, np.uint8(255), np.uint8(0))).save(tmp_path / "mask.png")

    def call(*words):
        names = [str(tmp_path / word) if word.endswith((".png", ".jpg")) else word for word in words]
        return main([*names, "--model", str(weights), "--device", "cpu"])

    return SimpleNamespace(folder=tmp_path, call=call)


def read(path):
    return np.asarray(Image.open(path))


@pytest.mark.release
def test_a_matte_of_a_mask_is_that_of_the_trimap_made_from_it(scene):
    small = ["--patch", "64", "--overlap", "16"]
    made = ["matte", "picture.png", "--mask", "mask.png", "-o", "alpha.png", "--save-trimap", "kept.png"]
    assert scene.call(*made, *small) == 0
    assert scene.call("matte", "picture.png", "kept.png", "-o", "again.png", *small) == 0
    trimap, alpha = read(scene.folder / "kept.png"), read(scene.folder / "alpha.png")
    np.testing.assert_array_equal(alpha, read(scene.folder / "again.png"))
    assert set(np.unique(trimap)) <= {0, 128, 255} and (alpha[trimap == 255] == 255).all()


def test_a_mask_with_a_fixed_band_leaves_no_trimap_behind(scene, capsys):
    made = ["matte", "picture.png", "--mask", "mask.png", "--band", "5", "--outside", "2%", "-o", "alpha.png"]
    assert scene.call(*made, "--patch", "64", "--overlap", "16", "--json") == 0
    wanted = hdmatt.make_trimap(scene.folder / "mask.png", band=5, outside="2%")
    alpha = read(scene.folder / "alpha.png")
    assert (alpha[wanted == 255] == 255).all() and (alpha[wanted == 0] == 0).all()
    assert {path.name for path in scene.folder.iterdir()} == {"picture.png", "mask.png", "alpha.png"}
    assert f'"unknown_share": {np.mean(wanted == 128)}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-o", "alpha.png"], "no trimap and no mask"),
        (["mask.png", "--mask", "mask.png", "-o", "alpha.png"], "both a trimap"),
        (["mask.png", "--save-trimap", "t.png", "-o", "alpha.png"], "--save-trimap"),
        (["mask.png", "--band", "20px", "-o", "alpha.png"], "--band is of the trimap of a --mask"),
        (["mask.png", "--outside", "2%", "-o", "alpha.png"], "--outside is of the trimap of a --mask"),
        (["--mask", "mask.png", "-o", "mask.png"], "is one of the inputs"),
        (["--mask", "mask.png", "-o", "alpha.png", "--save-trimap", "mask.png"], "is one of the inputs"),
        (["--mask", "mask.png", "-o", "alpha.png", "--save-trimap", "alpha.png"], "the same path"),
        (["--mask", "mask.png", "-o", "alpha.png", "--save-trimap", "t.jpg"], "exactly 0, 128 and 255"),
        (["--mask", "mask.png", "-o", "alpha.png", "--band", "wide"], "not a band's width"),
        (["--mask", "mask.png", "-o", "alpha.png", "--inside", "wide"], "not a band's width"),
        (["--mask", "picture.png", "-o", "alpha.png"], "looks like a colour picture"),
    ],
)
def test_what_the_mask_cannot_be_used_for_is_refused_first(scene, capsys, words, text):
    before = {path.name: path.read_bytes() for path in scene.folder.iterdir()}
    assert scene.call("matte", "picture.png", *words) == 2
    assert text in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in scene.folder.iterdir()} == before


def test_rembg_makes_the_mask_only_when_a_model_is_named(scene, capsys, monkeypatch):
    import importlib

    from hdmatt.trimaps import rembg

    def remove(pixels, *, session, only_mask):
        assert session == "u2net" and only_mask and pixels.dtype == np.uint8
        return Image.fromarray(np.where(pixels[..., 0] >= 0, read(scene.folder / "mask.png"), 0).astype(np.uint8))

    fake = SimpleNamespace(new_session=lambda name: name, remove=remove)
    monkeypatch.setattr(rembg, "import_module", lambda name: fake)
    made = ["trimap", "make", "--picture", "picture.png", "-o", "t.png", "--rembg", "u2net", "--band", "5"]
    assert scene.call(*made) == 0
    assert "Apache-2.0" in capsys.readouterr().err
    np.testing.assert_array_equal(read(scene.folder / "t.png"), hdmatt.make_trimap(scene.folder / "mask.png", band=5))
    monkeypatch.setattr(rembg, "import_module", importlib.import_module)
    monkeypatch.setitem(__import__("sys").modules, "rembg", None)
    assert scene.call(*made) == 2
    assert "hdmatt[rembg]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "reason"),
    [("withoutbg", "service"), ("isnet-general-use", "none to the weights"), ("silueta", "not known to us")],
)
def test_a_model_of_rembg_whose_licence_is_not_known_is_refused_before_anything_is_loaded(
    scene, capsys, monkeypatch, model, reason
):
    from hdmatt.trimaps import rembg

    monkeypatch.setattr(rembg, "import_module", None)
    made = ["trimap", "make", "--picture", "picture.png", "-o", "t.png", "--rembg", model, "--band", "5"]
    assert scene.call(*made) == 2
    said = capsys.readouterr().err
    assert reason in said and "u2net" in said and "note" not in said


def test_a_mask_of_another_size_by_rembg_is_refused(scene, capsys, monkeypatch):
    from hdmatt.trimaps import rembg

    def three(pixels, **_):
        return Image.fromarray(np.tile(pixels[..., 0], (3, 1)))

    monkeypatch.setattr(rembg, "import_module", lambda name: SimpleNamespace(new_session=str, remove=three))
    made = ["trimap", "make", "--picture", "picture.png", "-o", "t.png", "--rembg", "u2net", "--band", "5"]
    assert scene.call(*made) == 2
    assert "made a mask of" in capsys.readouterr().err


def test_the_command_makes_trimaps_of_boxes_and_says_so_as_json(scene, capsys):
    words = ["trimap", "make", "--picture", "picture.png", "-o", "t.png", "--band", "3"]
    assert scene.call(*words, "--box", "20", "20", "90", "80", "--json") == 0
    assert '"band": "3 px"' in capsys.readouterr().out
    assert scene.call(*words) == 2
    assert "there is no mask" in capsys.readouterr().err


def test_contexts_count_as_patches_so_that_the_first_look_is_told_from_its_beginning():
    told = []
    progress = automatic._from_the_contexts_on(lambda *values: told.append(values), 3)
    for values in ((0, 2), (0, 2), (1, 2), (2, 2)):
        progress(*values)
    assert told == [(1, 5), (2, 5), (4, 5), (5, 5)]
