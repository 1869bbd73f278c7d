"""GEGL and ViTMatte are asked in their own conventions; what is missing, broken or unsafe is refused with a way out.

GEGL is a stub here but for one test, which needs the program. ViTMatte is a tiny one with random weights.
"""

import json
import multiprocessing
import os
import shutil
import sys

import cv2
import numpy as np
import pytest

from hdmatt.bench import measure
from hdmatt.errors import InputError, ModelError
from hdmatt.evaluation import peers, timed
from hdmatt.evaluation.evaluate import evaluate, find_items
from hdmatt.evaluation.methods import Settings, parse_method
from hdmatt.evaluation.run_method import method_program
from hdmatt.inference.options import Options
from hdmatt.inference.without_context import patch_rows
from hdmatt.patches.windows import grid
from hdmatt.pictures.colours.colour import linear_to_srgb
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import open_trimap

HEIGHT, WIDTH = 50, 70


def scene():
    """Blue over red with a soft edge, exactly mixed in display values: (colours, trimap, alpha)."""
    x = np.mgrid[:HEIGHT, :WIDTH][1]
    alpha = np.clip((x - 25) / 20, 0, 1).astype(np.float32)
    noise = 0.1 * np.random.default_rng(0).random((HEIGHT, WIDTH, 1), np.float32)
    colours = alpha[..., None] * np.float32([0.1, 0.2, 0.9]) + (1 - alpha[..., None]) * np.float32([0.8, 0.1, 0.1])
    trimap = np.select([x < 20, x > 50], [0, 255], 128).astype(np.uint8)
    return (colours + noise).clip(0, 1).astype(np.float32), trimap, alpha


def make_set(folder, *, beside=1):
    """The scene, `beside` times side by side."""
    colours, trimap, alpha = (np.concatenate([part] * beside, axis=1) for part in scene())
    for kind, pixels in (("image", 255 * colours[..., ::-1]), ("trimap", trimap), ("alpha", 255 * alpha)):
        (folder / kind).mkdir(parents=True)
        cv2.imwrite(str(folder / kind / "one.png"), np.rint(pixels).astype(np.uint8))
    return folder


# ---------------------------------------------------------------------------------------------------------------- GEGL

STUB = """#!{python}
import json, os, sys
import cv2, numpy as np
if sys.argv[1] == "--exists":
    sys.exit(int(os.environ.get("STUB") == "none"))
json.dump(sys.argv[1:], open(os.environ["STUB_LOG"], "w"))
picture = cv2.imread(sys.argv[1], cv2.IMREAD_UNCHANGED)
trimap = cv2.imread("trimap.png", cv2.IMREAD_UNCHANGED)
assert picture.dtype == np.uint16 and set(np.unique(trimap)) <= {{0, 128, 255}}
print("gegl is sad", file=sys.stderr)
mode = os.environ.get("STUB")
if mode == "silent":
    sys.exit(0)
alpha = picture[..., 0].astype(np.float32) / 65535  # blue
if mode == "nan":
    alpha[25, 30] = np.nan
if mode == "small":
    alpha = alpha[1:]
channels = 3 if mode == "picture" else 1
rows = np.repeat(alpha[..., None], 3, axis=2) if channels == 3 else alpha
import OpenImageIO as oiio
out = oiio.ImageOutput.create("alpha.exr")
out.open("alpha.exr", oiio.ImageSpec(rows.shape[1], rows.shape[0], channels, "float"))
out.write_image(np.ascontiguousarray(rows).reshape(*rows.shape[:2], channels))
out.close()
"""


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """An executable gegl on PATH whose matte is the picture's blue; STUB in the environment makes it fail."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "gegl"
    path.write_text(STUB.format(python=sys.executable))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STUB_LOG", str(tmp_path / "asked.json"))
    return tmp_path / "asked.json"


def test_gegl_is_given_picture_trimap_and_operation_and_its_linear_answer_is_read_as_each_operation_means_it(stub):
    colours, trimap, _ = scene()
    found = {method: peers.gegl_alpha(method, colours, trimap) for method in peers.GEGL_OPERATIONS}
    assert json.loads(stub.read_text()) == [
        *("picture.png", "-o", "alpha.exr", "--", "gegl:matting-levin", "levels=0", "active-levels=0"),
        *("aux=[", "gegl:load", "path=trimap.png", "]"),
    ]
    unknown, blue = trimap == 128, colours[..., 2]
    # 1/65535: the picture travels as 16 bit; five times that where the sRGB curve is steepest
    np.testing.assert_allclose(found["gegl-global"][unknown], blue[unknown], rtol=0, atol=1 / 65535)
    np.testing.assert_allclose(found["gegl-levin"][unknown], linear_to_srgb(blue)[unknown], rtol=0, atol=5 / 65535)
    for alpha in found.values():
        assert (alpha[trimap == 255] == 1).all() and (alpha[trimap == 0] == 0).all()


@pytest.mark.parametrize("mode", ["silent", "picture", "small"])
def test_a_gegl_that_fails_without_saying_so_is_found_out(stub, monkeypatch, mode):
    monkeypatch.setenv("STUB", mode)
    with pytest.raises(RuntimeError, match=r"code 0 and no matte; it said: gegl is sad"):
        peers.gegl_alpha("gegl-global", *scene()[:2])


def test_a_gegl_matte_with_nan_is_no_matte(stub, monkeypatch):
    monkeypatch.setenv("STUB", "nan")
    with pytest.raises(RuntimeError, match=r"cannot be used: alpha\.exr holds NaN"):
        peers.gegl_alpha("gegl-levin", *scene()[:2])


def test_a_missing_gegl_or_operation_says_what_to_install(stub, tmp_path, monkeypatch):
    monkeypatch.setenv("STUB", "none")
    with pytest.raises(InputError, match="no operation gegl:matting-levin"):
        peers.gegl_version("gegl-levin")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="not installed") as caught:
        peers.gegl_version("gegl-global")
    assert "apt-get install gegl" in caught.value.hint and caught.value.exit_code == 2


@pytest.mark.release
def test_gegl_is_a_method_and_its_failure_a_row(stub, tmp_path, monkeypatch):
    items = find_items([make_set(tmp_path / "toys")])
    row = evaluate(items, ["gegl-global"], tmp_path / "report").rows[0]
    assert row.error is None and row.mad is not None and row.peak_memory > 2**20 and row.seam is None
    monkeypatch.setenv("STUB", "silent")
    rows = evaluate(items, ["gegl-levin", "gegl-global"], tmp_path / "report").rows
    assert [row.method for row in rows] == ["gegl-levin", "gegl-global"]  # as asked for, whenever they were made
    assert "gegl ended with code 0" in rows[0].error and rows[1] == row


@pytest.mark.release
@pytest.mark.parametrize(("method", "most"), [("gegl-global", 0.06), ("gegl-levin", 0.03)])
def test_the_real_gegl_solves_a_picture_of_two_colours(method, most):
    colours, trimap, alpha = scene()
    assert peers.gegl_version(method)
    # read with the wrong gamma, the mean error is 0.13 and 0.12
    assert np.abs(peers.gegl_alpha(method, colours, trimap) - alpha)[trimap == 128].mean() < most


# ------------------------------------------------------------------------------------------------------------ ViTMatte


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A tiny ViTMatte with random weights, and its processor, as save_pretrained leaves them."""
    import torch
    import transformers
    from transformers.models.vitmatte.image_processing_pil_vitmatte import VitMatteImageProcessorPil

    torch.manual_seed(0)
    backbone = transformers.VitDetConfig(
        image_size=64,
        pretrain_image_size=64,
        num_channels=4,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        window_block_indices=[0],
        window_size=2,
        out_features=["stage2"],
    )
    config = transformers.VitMatteConfig(
        backbone_config=backbone,
        hidden_size=12,
        convstream_hidden_sizes=[4, 4, 8],
        fusion_hidden_sizes=[8, 8, 4, 4],
    )
    model = transformers.VitMatteForImageMatting(config)
    for weights in model.parameters():  # as it is made it answers 0.5 to everything
        torch.nn.init.normal_(weights, std=0.5)
    folder = tmp_path_factory.mktemp("vitmatte")
    model.save_pretrained(folder)
    VitMatteImageProcessorPil().save_pretrained(folder)
    return folder


@pytest.mark.release
def test_vitmatte_is_fed_as_its_own_processor_feeds_it(saved):
    import torch
    import transformers
    from transformers.models.vitmatte.image_processing_pil_vitmatte import VitMatteImageProcessorPil

    colours, trimap, _ = scene()
    picture = np.rint(255 * colours).astype(np.uint8)
    inputs = VitMatteImageProcessorPil.from_pretrained(saved)(images=picture, trimaps=trimap, return_tensors="pt")
    with torch.inference_mode():
        wanted = transformers.VitMatteForImageMatting.from_pretrained(saved).eval()(**inputs).alphas[0, 0]
    found = peers.load_vitmatte(saved)((picture / np.float32(255))[None], trimap[None])[0]
    assert wanted.shape == (64, 96) and found.shape == (HEIGHT, WIDTH) and np.ptp(found) > 0.1
    # 1e-5: float32, normalised in another order
    np.testing.assert_allclose(found, wanted.numpy()[:HEIGHT, :WIDTH], rtol=0, atol=1e-5)


def test_vitmatte_runs_whole_and_through_every_strategy(saved, tmp_path):
    item = find_items([make_set(tmp_path / "toys")])["toys"][0]
    trimap, mattes = scene()[1], {}
    for name in (f"vitmatte{way}:{saved}" for way in ("", "-patches", "-tiles", "-downsample")):
        method = parse_method(name, Settings(Options(patch=64, overlap=24, windows="grid")))
        method_program(method)(item, tmp_path / "matte.png")
        mattes[method.kind] = matte = cv2.imread(str(tmp_path / "matte.png"), cv2.IMREAD_UNCHANGED)
        assert (matte[trimap == 255] == 255).all() and (matte[trimap == 0] == 0).all()
    np.testing.assert_array_equal(mattes["vitmatte"], mattes["vitmatte-downsample"])  # below 1024 nothing is shrunk
    picture = cv2.imread(str(item.picture))[..., ::-1].copy()
    windows = grid(HEIGHT, WIDTH, size=64, overlap=24)
    network = peers.load_vitmatte(saved)
    rows = patch_rows(ArrayReader(picture), open_trimap(trimap), windows, network, overlap=24, batch=1)
    wanted = 255 * np.concatenate([alpha for _, alpha in rows])
    # 0.51: the file is rounded
    np.testing.assert_allclose(mattes["vitmatte-patches"], wanted, rtol=0, atol=0.51)
    assert (mattes["vitmatte-patches"] != mattes["vitmatte-tiles"]).any()


def test_loading_vitmatte_leaves_the_environment_and_the_messages_of_transformers(saved, monkeypatch):
    from transformers.utils import logging

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    before, level, bars = dict(os.environ), logging.get_verbosity(), logging.is_progress_bar_enabled()
    try:
        logging.set_verbosity_warning()
        logging.enable_progress_bar()
        peers.load_vitmatte(saved)
        assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (logging.WARNING, True)
        assert dict(os.environ) == before
    finally:
        logging.set_verbosity(level)
        if not bars:
            logging.disable_progress_bar()


@pytest.mark.parametrize("program", [timed, measure])
def test_a_method_in_a_process_of_its_own_asks_no_server(program, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.delenv("HF_HUB_OFFLINE")  # in this order what the call sets is taken back, too
    monkeypatch.setattr(program, "answer", lambda *_: None)
    ours, _theirs = multiprocessing.Pipe()
    program._serve(ours, parse_method("knn", Settings()))
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.release
def test_vitmatte_is_a_method_with_settings_of_its_own(saved, tmp_path):
    items = find_items([make_set(tmp_path / "toys", beside=2)])  # patches end at 32 and 96, in the soft edges
    name = f"vitmatte-patches:{saved},patch=64,overlap=32"
    row = evaluate(items, [name], tmp_path / "report", settings=Settings()).rows[0]
    assert row.error is None and row.method == name and row.seam is not None and row.peak_memory > 2**20
    assert "patch 64 overlap 32" in row.options and "transformers" in row.options


def test_a_pickle_is_refused_with_a_way_to_convert_it(saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin is a pickle") as caught:
        peers.check_vitmatte(folder)
    assert "model.safetensors" in caught.value.hint and "save_pretrained" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.json", None, "config.json cannot be read"),
        ("config.json", "{", "is no JSON"),
        ("config.json", '{"model_type": "vitdet"}', "a 'vitdet', not a vitmatte"),
        ("config.json", '{"model_type": "vitmatte", "backbone": "x/y"}', "would have to be downloaded"),
        ("preprocessor_config.json", "{}", "is not ViTMatte's: 'image_mean'"),
        ("preprocessor_config.json", None, "preprocessor_config.json cannot be read"),
        ("model.safetensors", None, "holds no model.safetensors"),
    ],
)
def test_a_folder_that_is_not_vitmatte_is_refused_before_anything_is_computed(saved, tmp_path, name, text, message):
    folder = shutil.copytree(saved, tmp_path / "vitmatte")
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    items = find_items([make_set(tmp_path / "toys")])
    with pytest.raises(ModelError) as caught:
        evaluate(items, [f"vitmatte:{folder}"], tmp_path / "report")
    assert message in caught.value.message and str(folder) in caught.value.message
    assert not (tmp_path / "report").exists()


def test_weights_that_do_not_fit_are_an_error_and_never_random_numbers(saved, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(saved, tmp_path / "vitmatte")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("decoder.matting_head.matting_convs.0.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"decoder\.matting_head\.matting_convs\.0\.weight is missing"):
        peers.load_vitmatte(folder)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="does not load"):
        peers.load_vitmatte(folder)


def test_patches_that_cannot_be_are_refused(saved, tmp_path):
    items = find_items([make_set(tmp_path / "toys")])
    wrong = {"patch=16": "patch of 16", "patch=64,overlap=40": "overlap of 40", "batch=0": "batch is 0"}
    for more, message in wrong.items():
        with pytest.raises(InputError, match=message):
            evaluate(items, [f"vitmatte-patches:{saved},{more}"], tmp_path / "report")
    assert parse_method(f"vitmatte:{saved}", Settings()).on_device
