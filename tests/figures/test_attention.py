"""The attention shown is the attention used: the engine's patches, and weights that add up to what it reads."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from reference import slow_region_read
from small_exr import save_exr

from hdmatt.cli.main import main
from hdmatt.errors import InputError
from hdmatt.figures.attention import attend, draw
from hdmatt.inference.options import Options
from hdmatt.inference.strategies import matte_rows
from hdmatt.network import cpc
from hdmatt.network.attention import region_attention, region_weights
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import REGIONS, ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.pictures.info import InputOptions
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import open_trimap

SMALL = Options(patch=64, overlap=16, candidates=9, topk=3, batch=1)
Y, X = 60, 105  # unknown in `scene`


def network(kind="tgnl", form="strict"):
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=8, cpc=kind, form=form)).eval()
    for module in model.modules():  # norms of a fresh network would hide the differences between patches
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.02, 0.05)
    return model


def scene(height=200, width=170):
    """Noise, and the trimap of a disc: its rim is unknown."""
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - 90, x - 70)
    return picture, np.where(radius < 35, 255, np.where(radius < 60, 128, 0)).astype(np.uint8)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("form", ["strict", "literal"])
@pytest.mark.parametrize("present", [(0, 1, 2), (0, 1), (2,)])
def test_weights_times_values_are_what_region_attention_reads(form, present):
    query, key, value = normal(6, 4), normal(30, 4, seed=1), normal(30, 5, seed=2)
    label = torch.tensor([present[i % len(present)] for i in range(30)])
    reads = region_attention(query, key, value, label, form=form, scale=0.7)
    for region, read in zip(REGIONS, reads, strict=True):
        weight, lost = region_weights(query, key, label == region, form=form, scale=0.7)
        # 1e-12: float64, thirty terms
        torch.testing.assert_close(weight @ value, read, rtol=0, atol=1e-12)
        slow = slow_region_read(
            query[0].numpy(), key.numpy(), value.numpy(), label.tolist(), region, form=form, scale=0.7
        )
        np.testing.assert_allclose((weight @ value)[0], slow, rtol=0, atol=1e-12)
        assert (weight[:, label != region] == 0).all()
        there = float((label == region).any())
        np.testing.assert_allclose((weight.sum(1) + lost).numpy(), there, atol=1e-12)
        assert (lost > 0).all() == (form == "literal" and there and len(present) > 1)


@pytest.mark.parametrize("form", ["strict", "literal"])
@pytest.mark.parametrize("kind", ["tgnl", "nonlocal"])
def test_the_read_value_is_the_one_the_engine_reads_for_that_pixel(kind, form, monkeypatch):
    model, (picture, trimap) = network(kind, form), scene()
    seen = attend(picture, trimap, y=Y, x=X, network=model, options=SMALL)
    assert seen.regions == (("U", "F", "B") if kind == "tgnl" else ("all",))
    assert len(seen.patches) == 3 and seen.query not in seen.patches
    assert seen.weights_RKHW.shape == (len(seen.regions), 3, 8, 8) and seen.values_KHWV.shape == (3, 8, 8, 32)
    found = []
    original = cpc.CPC._read

    def spy(module, key_CHW, value_VHW, label_HW, contexts):
        out = original(module, key_CHW, value_VHW, label_HW, contexts)
        found.append((contexts, (out - value_VHW.repeat(module.reads, 1, 1))[:, *seen.cell]))
        return out

    monkeypatch.setattr(cpc.CPC, "_read", spy)
    list(matte_rows("hdmatt", ArrayReader(picture), open_trimap(trimap), model, SMALL).rows)
    values = torch.from_numpy(seen.values_KHWV.reshape(-1, 32))
    ours = [read for contexts, read in found if torch.equal(torch.cat([c.value_LV for c in contexts]), values)]
    assert ours, "the engine selects other context patches for this query"
    wanted = seen.read()
    # 1e-4 of the largest: float32 sums in another order, after logits of up to a thousand
    near = 1e-4 * np.abs(wanted).max()
    assert any(np.allclose(read.reshape(wanted.shape), wanted, rtol=0, atol=near) for read in ours)


def test_patches_are_ranked_by_similarity_and_scores_are_a_softmax_of_all_candidates():
    picture, trimap = scene()
    seen = attend(picture, trimap, y=Y, x=X, network=network(), options=SMALL)
    every = attend(picture, trimap, y=Y, x=X, network=network(), options=Options(patch=64, overlap=16, topk=99))
    assert every.candidates == len(every.patches) > 3
    np.testing.assert_allclose(every.scores_K.sum(), 1, atol=1e-6)
    assert (np.diff(every.similarity_K) <= 0).all() and (np.diff(seen.scores_K) <= 0).all()
    logits = np.exp(every.similarity_K.astype(np.float64) - every.similarity_K[0])
    np.testing.assert_allclose(logits / logits.sum(), every.scores_K, rtol=1e-3, atol=1e-30)


def test_the_query_is_the_patch_in_whose_middle_the_pixel_lies():
    picture, trimap = scene()
    seen = attend(picture, trimap, y=Y, x=X, network=network(), options=replace(SMALL, windows="grid"))
    # windows start at 0, 48 and 96 in x and y; at x 105 those of 48 (6 from its edge) and 96 (9 from its edge) overlap
    assert seen.query == (48, 96, 64)
    assert seen.cell == ((Y - seen.query.y) // 8, (X - seen.query.x) // 8)


def test_a_context_without_foreground_reads_nothing_from_it():
    picture, _ = scene(100, 200)
    trimap = np.zeros((100, 200), np.uint8)
    trimap[40:60] = 128
    seen = attend(picture, trimap, y=50, x=100, network=network(), options=SMALL)
    f = seen.regions.index("F")
    assert not seen.inside("F").any() and not seen.weights_RKHW[f].any() and not seen.read()[f].any()
    assert seen.read()[seen.regions.index("B")].any()
    assert draw(seen, picture, trimap).ndim == 3


@pytest.mark.parametrize("stretch", [False, True])
def test_a_region_that_loses_all_its_attention_can_be_drawn(stretch):
    picture, trimap = scene()
    seen = attend(picture, trimap, y=Y, x=X, network=network(form="literal"), options=SMALL)
    lost = replace(seen, weights_RKHW=np.zeros_like(seen.weights_RKHW), lost_R=np.ones_like(seen.lost_R))
    assert draw(lost, picture, trimap, stretch=stretch).shape == draw(seen, picture, trimap, stretch=stretch).shape


def test_the_figure_is_brightest_where_the_attention_is_largest():
    from hdmatt.figures.sheet import heat

    weight = np.array([[0.0, 0.5], [1.0, 0.25]], np.float32)
    inside = np.array([[True, True], [True, False]])
    drawn = heat(np.zeros((16, 16, 3), np.uint8), weight, inside, ends=(0, 1)).astype(int).sum(2)
    assert drawn[12, 4] > drawn[4, 12] > drawn[4, 4]
    np.testing.assert_array_equal(drawn[8:, 8:], drawn[8, 8])  # outside: the picture, faded, whatever the weight


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention")
    picture, trimap = scene()
    cv2.imwrite(str(folder / "picture.png"), picture)
    cv2.imwrite(str(folder / "trimap.png"), trimap)
    save_model(network(), folder / "c.safetensors", half=False)
    save_model(network("none"), folder / "a.safetensors", half=False)
    return folder


def call(files, *more, at=f"{X},{Y}", out="figure.png", model="c", patch=64):
    words = ["attention", files / "picture.png", files / "trimap.png", "--at", at, "-o", files / out, "--patch", patch]
    words += ["--overlap", 16, "--device", "cpu", "--model", files / f"{model}.safetensors", *more]
    return main([str(word) for word in words])


@pytest.mark.release
def test_the_command_writes_the_figure_and_the_numbers(files, capsys):
    numbers = files / "numbers.npz"
    assert call(files, "--numbers", numbers, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["at"] == {"x": X, "y": Y} and len(printed["patches"]) == 3
    for part in printed["regions"].values():
        assert sum(part["attention_per_patch"]) == pytest.approx(1, abs=1e-5)
    arrays = np.load(numbers)
    assert arrays["weights_RKHW"].shape == (3, 3, 8, 8) and arrays["patches"].shape == (3, 3)
    assert json.loads(str(arrays["summary"])) == printed
    figure = cv2.imread(str(files / "figure.png"))
    assert figure.shape[1] > 4 * 320  # query and three contexts side by side
    assert call(files, "--stretch", out="stretched.jpg") == 0
    assert "3 of 7 patches; U " in capsys.readouterr().out
    assert {p.name for p in files.iterdir()} >= {"figure.png", "stretched.jpg"}


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({"at": "0,0"}, ["x 0, y 0 is sure background", "The nearest unknown pixel is --at 33,43."]),
        ({"at": "70,90"}, ["x 70, y 90 is sure foreground", "The nearest unknown pixel is --at 70,55."]),
        ({"at": "170,0"}, ["x 170, y 0 lies outside", "170x200", "x from 0 to 169 and y from 0 to 199"]),
        ({"at": "-1,5"}, ["x -1, y 5 lies outside"]),
        ({"at": "here"}, ["'here', which is no pixel", "--at 712,430"]),
        ({"model": "a"}, ["a.safetensors is a network without context (cpc none)", "tgnl or nonlocal"]),
        ({"patch": 256}, ["the picture is one patch of 256 pixels", "--patch"]),
        ({"out": "nowhere/figure.png"}, ["does not exist"]),
        ({"out": "figure.abc"}, ["figure.abc"]),
    ],
)
def test_what_cannot_be_shown_is_refused_with_a_way_out(files, capsys, options, texts):
    before = {p.name for p in files.iterdir()}
    assert call(files, **options) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    for text in texts:
        assert text in err
    assert {p.name for p in files.iterdir()} == before


def test_no_context_patches_and_bad_names_are_refused(files, capsys):
    assert call(files, "--topk", 0) == 2
    assert "with topk 0 no patch looks at another one" in capsys.readouterr().err
    assert call(files, "--numbers", files / "numbers.csv") == 2
    assert "no .npz" in capsys.readouterr().err


def test_sizes_that_differ_and_training_mode_are_refused():
    picture, trimap = scene()
    with pytest.raises(InputError, match="the trimap is 170x100 but the picture is 170x200"):
        attend(picture, trimap[:100], y=Y, x=X, network=network(), options=SMALL)
    with pytest.raises(InputError, match="training mode"):
        attend(picture, trimap, y=Y, x=X, network=network().train(), options=SMALL)


def test_a_layer_of_an_exr_is_asked_for_by_name_and_read_as_the_transfer_function_says(tmp_path):
    picture, trimap = scene()
    colours = picture.astype(np.float32) / 255
    layers = {"key": colours, "fill": colours[::-1]}
    names = {
        f"{layer}.{c}": np.ascontiguousarray(of[..., i]) for layer, of in layers.items() for i, c in enumerate("RGB")
    }
    save_exr(tmp_path / "a.exr", names)
    where = {"y": Y, "x": X, "network": network(), "options": SMALL}
    with pytest.raises(InputError, match="several layers that may be the picture") as caught:
        attend(tmp_path / "a.exr", trimap, **where)
    assert "--input-layer NAME" in caught.value.hint
    found = attend(tmp_path / "a.exr", trimap, input_options=InputOptions(layer="key", transfer="sRGB"), **where)
    whole = attend(picture, trimap, **where)
    # 1e-3: an EXR holds halves, of 11 bits
    np.testing.assert_allclose(found.weights_RKHW, whole.weights_RKHW, atol=1e-3)
