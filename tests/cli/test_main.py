"""Every mistake a caller can make: its text, its exit code, and that it leaves no file."""

import json
import os
import subprocess
import sys
import warnings
from inspect import signature
from typing import get_args

import cv2
import numpy as np
import pytest
import torch

import hdmatt
from hdmatt.cli import shared, train
from hdmatt.cli.main import main
from hdmatt.cli.matte import matte_command
from hdmatt.inference.names import Blend, Strategy
from hdmatt.inference.options import NetworkChoice, Options
from hdmatt.inference.strategies import STRATEGIES
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.runtimes.choose import choose_precision


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(HDMatt(ModelConfig(width=4)), path, half=True)
    return path


@pytest.fixture
def scene(tmp_path):
    """picture.png and trimap.png in a folder of their own."""
    rng = np.random.default_rng(0)
    trimap = np.zeros((90, 120), np.uint8)
    trimap[20:70, 30:90] = 128
    trimap[35:55, 50:70] = 255
    cv2.imwrite(str(tmp_path / "picture.png"), rng.integers(0, 255, (90, 120, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "trimap.png"), trimap)
    return tmp_path


def call(scene, weights, *more, picture="picture.png", trimap="trimap.png", out="alpha.png"):
    return main(
        ["matte", str(scene / picture), str(scene / trimap), "-o", str(scene / out), "--model", str(weights)]
        + ["--device", "cpu", "--patch", "64", "--overlap", "16", *map(str, more)]
    )


def refused(capsys, scene, before, code, *texts):
    out, err = capsys.readouterr()
    assert code == 2, err
    assert out == ""
    for text in texts:
        assert text in err
    assert "Traceback" not in err
    assert {p.name for p in scene.iterdir()} == before


def names(folder):
    return {p.name for p in folder.iterdir()}


def test_progress_lines_count_the_patches(scene, weights, capsys):
    assert call(scene, weights, "--progress-lines", "--json") == 0
    out, err = capsys.readouterr()
    patches = json.loads(out)["patches"]
    assert err.splitlines() == [f"progress: patches {i} of {patches}" for i in range(1, patches + 1)]


def test_a_matte_and_all_that_follows_from_it(scene, weights, capsys):
    more = ["--foreground", scene / "f.png", "--cutout", scene / "c.png", "--composite", scene / "p.png"]
    assert call(scene, weights, *more, "--background", "#00ff00") == 0
    out, err = capsys.readouterr()
    assert err == "" and out.count("\n") == 1
    assert "120x90" in out and "unknown" in out and "patches" in out and "MiB" in out
    alpha = cv2.imread(str(scene / "alpha.png"), cv2.IMREAD_UNCHANGED)
    trimap = cv2.imread(str(scene / "trimap.png"), cv2.IMREAD_UNCHANGED)
    picture = cv2.imread(str(scene / "picture.png"))
    assert alpha.dtype == np.uint8 and alpha.shape == (90, 120)
    assert (alpha[trimap == 255] == 255).all() and (alpha[trimap == 0] == 0).all()
    assert (cv2.imread(str(scene / "f.png"))[alpha == 255] == picture[alpha == 255]).all()
    cutout = cv2.imread(str(scene / "c.png"), cv2.IMREAD_UNCHANGED)
    assert (cutout[..., 3] == alpha).all()
    assert (cv2.imread(str(scene / "p.png"))[alpha == 0] == (0, 255, 0)).all()


def test_json_is_the_whole_summary(scene, weights, capsys):
    assert call(scene, weights, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["width"] == 120 and summary["patches"] > 0 and summary["strategy"] == "hdmatt"
    assert summary["outputs"] == [str(scene / "alpha.png")]


def test_16_bit_in_gives_16_bit_out(scene, weights):
    deep = np.random.default_rng(0).integers(0, 65535, (90, 120, 3), np.uint16)
    cv2.imwrite(str(scene / "deep.png"), deep)
    assert call(scene, weights, "--cutout", scene / "c.png", picture="deep.png") == 0
    alpha, cutout = (cv2.imread(str(scene / n), cv2.IMREAD_UNCHANGED) for n in ("alpha.png", "c.png"))
    assert alpha.dtype == cutout.dtype == np.uint16
    assert (cutout[40, 60, :3] == deep[40, 60]).all()
    assert len(np.unique(alpha)) > 256


@pytest.mark.parametrize("strategy", ["crop", "tiles", "downsample", "whole"])
def test_the_strategies_of_the_papers_comparison_are_one_option_away(scene, weights, strategy):
    assert call(scene, weights, "--strategy", strategy) == 0
    assert cv2.imread(str(scene / "alpha.png"), cv2.IMREAD_UNCHANGED).shape == (90, 120)


def test_no_unknown_pixel_is_a_warning_and_the_matte_is_the_trimap(scene, weights, capsys):
    trimap = np.zeros((90, 120), np.uint8)
    trimap[40:] = 255
    cv2.imwrite(str(scene / "known.png"), trimap)
    assert call(scene, weights, trimap="known.png") == 0
    assert "the trimap has no unknown pixel: the matte is the trimap" in capsys.readouterr().err
    assert (cv2.imread(str(scene / "alpha.png"), cv2.IMREAD_UNCHANGED) == trimap).all()


def test_warnings_of_others_are_not_swallowed(scene, weights, monkeypatch):
    from hdmatt.inference import files

    run = files.matte_files

    def warned(*arguments, **more):
        warnings.warn("a library grumbles", ResourceWarning, stacklevel=2)
        return run(*arguments, **more)

    monkeypatch.setattr(files, "matte_files", warned)
    with pytest.warns(ResourceWarning, match="a library grumbles"):
        assert call(scene, weights) == 0


def test_snapped_trimap_pixels_are_counted(scene, weights, capsys):
    trimap = cv2.imread(str(scene / "trimap.png"), cv2.IMREAD_UNCHANGED)
    trimap[trimap == 128] = 127
    cv2.imwrite(str(scene / "odd.png"), trimap)
    assert call(scene, weights, trimap="odd.png") == 0
    assert f"{int((trimap == 127).sum())} trimap pixels were not 0, 128 or 255" in capsys.readouterr().err


def test_sizes_that_differ(scene, weights, capsys):
    cv2.imwrite(str(scene / "small.png"), np.full((90, 100), 128, np.uint8))
    before = names(scene)
    code = call(scene, weights, trimap="small.png")
    refused(capsys, scene, before, code, "small.png is 100x90", "picture.png is 120x90", "width x height")


def test_all_unknown(scene, weights, capsys):
    cv2.imwrite(str(scene / "unknown.png"), np.full((90, 120), 128, np.uint8))
    before = names(scene)
    refused(capsys, scene, before, call(scene, weights, trimap="unknown.png"), "every pixel of the trimap is unknown")


def test_a_missing_an_unreadable_and_a_truncated_file(scene, weights, capsys):
    whole = (scene / "picture.png").read_bytes()
    (scene / "cut.png").write_bytes(whole[: len(whole) // 2])
    (scene / "text.png").write_text("not a picture")
    before = names(scene)
    for picture in ("nowhere.png", "cut.png", "text.png"):
        refused(capsys, scene, before, call(scene, weights, picture=picture), picture)


def test_a_picture_with_nan(scene, weights, capsys):
    import OpenImageIO as oiio

    pixels = np.full((90, 120, 3), 0.5, np.float32)
    pixels[50, 60, 1] = np.nan
    output = oiio.ImageOutput.create("nan.exr")
    output.open(str(scene / "nan.exr"), oiio.ImageSpec(120, 90, 3, "float"))
    output.write_image(pixels)
    output.close()
    before = names(scene)
    refused(capsys, scene, before, call(scene, weights, picture="nan.exr"), "nan.exr")


def test_paths_that_cannot_be_written(scene, weights, capsys):
    before = names(scene)
    for out in ("nowhere/alpha.png", "alpha.xyz", "picture.png", "trimap.png"):
        refused(capsys, scene, before, call(scene, weights, out=out), out.split("/")[-1].split(".")[-1])


def test_when_one_output_fails_at_the_end_the_others_are_taken_away(scene, weights, capsys, monkeypatch):
    from hdmatt.errors import OutputError
    from hdmatt.pictures.writer import PictureWriter

    finish, before = PictureWriter._finish, names(scene)

    def failing(writer):
        if writer._path.name == "alpha.png":
            raise OutputError("the disk is full", hint="Make room.")
        finish(writer)

    monkeypatch.setattr(PictureWriter, "_finish", failing)
    code = call(scene, weights, "--foreground", scene / "f.tif")
    refused(capsys, scene, before, code, "the disk is full")


def test_two_outputs_with_one_path(scene, weights, capsys):
    before = names(scene)
    code = call(scene, weights, "--foreground", scene / "alpha.png")
    refused(capsys, scene, before, code, "two outputs have the same path")


def test_a_model_that_is_not_ours(scene, weights, capsys):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3, np.float32)}, scene / "other.safetensors")
    (scene / "pickle.pth").write_bytes(b"\x80\x04not a model")
    broken = weights.read_bytes()
    (scene / "broken.safetensors").write_bytes(broken[: len(broken) // 2])
    before = names(scene)
    for name, text in (
        ("other.safetensors", "not an hdmatt model"),
        ("pickle.pth", "not a safetensors file"),
        ("broken.safetensors", "not a safetensors file"),
        ("nothing", "there is no model"),
    ):
        code = main(
            [
                "matte",
                str(scene / "picture.png"),
                str(scene / "trimap.png"),
                "-o",
                str(scene / "a.png"),
                "--model",
                str(scene / name),
            ]
        )
        refused(capsys, scene, before, code, text)


def test_a_memory_limit_that_is_too_small(scene, weights, capsys):
    before = names(scene)
    code = call(scene, weights, "--memory", "10MiB")
    refused(capsys, scene, before, code, "a memory limit of 10MiB is too small", "Give at least")


def test_a_decompression_bomb(scene, weights, capsys):
    before = names(scene)
    code = call(scene, weights, "--max-pixels", 5000)
    refused(capsys, scene, before, code, "picture.png", "5000", "--max-pixels")
    assert call(scene, weights, "--max-pixels", 20000) == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--strategy", "magic"], "--strategy"),
        (["--bit-depth", "12"], "--bit-depth"),
        (["--memory", "lots"], "'lots' is not an amount of memory"),
        (["--device", "cuda:9"], "no device"),
        (["--device", "cpu:0"], "no device"),
        (["--batch", "0"], "batch is 0"),
        (["--max-pixels", "0"], "--max-pixels"),
        (["--memory", ""], "is not an amount of memory"),
        (["--overlap", "40"], "an overlap of 40 pixels does not fit"),
        (["--composite", "x.png"], "both a background and a place"),
        (["--patch", "many"], "--patch"),
        (["--nonsense"], "--nonsense"),
        (["--windows", "most"], "--windows"),
    ],
)
def test_options_that_make_no_sense(scene, weights, capsys, options, text):
    before = names(scene)
    refused(capsys, scene, before, call(scene, weights, *options), text)


def test_a_choice_that_is_none_is_told_with_those_that_are_and_the_command_to_ask(scene, weights, capsys):
    before = names(scene)
    code = call(scene, weights, "--blend", "hard")
    wanted = "'--blend': 'hard' is not one of 'smooth', 'paper'", "See hdmatt matte --help."
    refused(capsys, scene, before, code, *wanted)


def test_a_background_that_is_neither_colour_nor_picture(scene, weights, capsys):
    before = names(scene)
    code = call(scene, weights, "--background", "nonsense", "--composite", scene / "p.png")
    refused(capsys, scene, before, code, "nonsense")


def test_an_internal_error_has_exit_code_1_and_no_traceback(scene, weights, capsys, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr("hdmatt.inference.files.matte_files", broken)
    assert call(scene, weights) == 1
    err = capsys.readouterr().err
    assert "internal error: RuntimeError: a bug" in err and "Traceback" not in err


def test_info_names_version_models_and_devices(capsys):
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["version"] and "cpu" in found["devices"]
    assert found["models"]["hdmatt-s"]["width"] == 32


def test_linear_exr_in_gives_display_encoded_png_and_linear_exr_out(scene, weights):
    import OpenImageIO as oiio

    from hdmatt.pictures.colours.colour import linear_to_srgb

    linear = np.random.default_rng(0).random((90, 120, 3), np.float32)
    output = oiio.ImageOutput.create("in.exr")
    output.open(str(scene / "in.exr"), oiio.ImageSpec(120, 90, 3, "float"))
    output.write_image(linear)
    output.close()
    more = ["--foreground", scene / "f.png", "--bit-depth", "16"]
    assert call(scene, weights, *more, picture="in.exr") == 0
    assert call(scene, weights, "--foreground", scene / "f.exr", picture="in.exr", out="alpha.exr") == 0
    known = cv2.imread(str(scene / "trimap.png"), cv2.IMREAD_UNCHANGED) == 255
    encoded = cv2.imread(str(scene / "f.png"), cv2.IMREAD_UNCHANGED)[..., ::-1][known] / 65535
    # 1e-5: rounding to 16 bits
    np.testing.assert_allclose(encoded, linear_to_srgb(linear)[known], rtol=0, atol=1e-5)
    reader = oiio.ImageInput.open(str(scene / "f.exr"))
    np.testing.assert_array_equal(reader.read_image("float")[known], linear[known])
    reader.close()


def test_stopping_by_hand_has_its_own_exit_code(scene, weights, capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    before = names(scene)
    monkeypatch.setattr("hdmatt.inference.files.matte_files", stopped)
    assert call(scene, weights) == 130
    assert capsys.readouterr().err == "hdmatt: stopped\n" and names(scene) == before


def test_the_plan_is_printed_and_nothing_is_written(scene, weights, capsys):
    before = names(scene)
    picture, trimap = str(scene / "picture.png"), str(scene / "trimap.png")
    plan = ["matte", picture, trimap, "--plan", "--model", str(weights), "--device", "cpu", "--patch", "64"]
    plan += ["--overlap", "16", "--memory", "2GiB"]
    assert main(plan) == 0
    out, err = capsys.readouterr()
    runs = f"folded {choose_precision('auto', 'folded')}"
    for text in ("120x90", "patches to decode", "on the grid", "batch", runs, "limit 2048 MiB", "estimate"):
        assert text in out
    assert main([*plan, "--json", "-o", str(scene / "alpha.png"), "--cutout", str(scene / "c.png")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert err == "" and names(scene) == before
    assert 0 < found["patches"] <= found["patches_on_grid"] <= 6 and found["windows"] == "fewest"
    assert found["expected_seconds"] > 0 and 0 < found["expected_memory"] <= found["memory_limit"] == 2 << 30
    assert call(scene, weights, "--memory", "2GiB", "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["patches"], done["encoded"], done["batch"]) == (found["patches"], found["encodes"], found["batch"])
    assert (done["cache_hits"], done["cache_misses"]) == (found["cached"], found["patches"] - found["cached"])


def test_a_plan_meets_the_same_mistakes_as_the_job(scene, weights, capsys):
    (scene / "picture_alpha.png").write_bytes(b"mine")
    before = names(scene)
    plan = ["matte", str(scene / "picture.png"), str(scene / "trimap.png"), "--plan", "--model", str(weights)]
    refused(capsys, scene, before, main(plan), "picture_alpha.png exists already")
    assert main([*plan, "--overwrite", "--device", "cpu"]) == 0
    capsys.readouterr()
    for options, text in (
        (["--memory", "10MiB"], "a memory limit of 10MiB is too small"),
        (["--strategy", "whole"], "cuts no patches"),
        (["--foreground", scene / "alpha.png"], "two outputs have the same path"),
    ):
        refused(capsys, scene, before, call(scene, weights, "--plan", *options), text)


@pytest.mark.parametrize(
    "command", [["train", "--show"], ["train", "backbone", "--data", "x", "--out", "y"], ["train", "norms", "x"]]
)
def test_training_without_its_libraries_names_the_extra(scene, capsys, monkeypatch, command):
    for name in ("lightning_fabric", "lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    words = [*command, "--data", "x", "-o", str(scene / "y")] if command[1] == "norms" else command
    refused(
        capsys, scene, names(scene), main(words), "hdmatt train needs lightning_fabric", "pip install 'hdmatt[train]'"
    )


def test_the_grid_is_one_option_away(scene, weights, capsys):
    assert call(scene, weights, "--windows", "grid", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["windows"] == "grid" and found["patches"] == 6


def test_without_an_output_the_matte_lies_beside_the_picture_and_is_not_written_over_unasked(scene, weights, capsys):
    command = ["matte", str(scene / "picture.png"), str(scene / "trimap.png"), "--model", str(weights)]
    command += ["--device", "cpu", "--patch", "64", "--overlap", "16"]
    assert main(command) == 0
    assert "picture_alpha.png: 120x90" in capsys.readouterr().out
    (scene / "picture_alpha.png").write_bytes(b"mine")
    before = names(scene)
    refused(capsys, scene, before, main(command), "picture_alpha.png exists already", "Give --overwrite", "-o")
    assert (scene / "picture_alpha.png").read_bytes() == b"mine"
    assert main([*command, "--overwrite"]) == 0
    alpha = (scene / "picture_alpha.png").read_bytes()
    (scene / "picture_alpha.png").write_bytes(b"mine")
    assert main([*command, "-o", str(scene / "picture_alpha.png")]) == 0  # named, so it may be replaced
    assert (scene / "picture_alpha.png").read_bytes() == alpha != b"mine"


def test_the_papers_way_is_one_option_and_what_contradicts_it_is_refused(scene, weights, capsys):
    assert call(scene, weights, "--paper", "--topk", "3", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["windows"], found["blend"], found["small_first"], found["patches"]) == ("grid", "paper", False, 6)
    alpha = (scene / "alpha.png").read_bytes()
    each = ["--windows", "grid", "--blend", "paper", "--topk", "3", "--candidates", "30", "--no-small-first"]
    assert call(scene, weights, *each) == 0
    assert (scene / "alpha.png").read_bytes() == alpha
    (scene / "alpha.png").unlink()
    before = names(scene)
    capsys.readouterr()
    for typed, wanted in (
        (["--topk", "7"], "--paper means --topk 3, but --topk 7 was given, too"),
        (["--windows", "fewest"], "--paper means --windows grid"),
        (["--small-first"], "--paper means --no-small-first, but --small-first was given, too"),
    ):
        refused(capsys, scene, before, call(scene, weights, "--paper", *typed), wanted, "Leave one of the two out.")


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hdmatt {hdmatt.__version__}\n"


@pytest.mark.parametrize(("typed", "offered"), [("--sm", "--small-first"), ("--pap", "--paper")])
def test_a_shell_completes_options_without_loading_torch(typed, offered):
    line = {"_HDMATT_COMPLETE": "complete_bash", "COMP_WORDS": f"hdmatt matte {typed}", "COMP_CWORD": "2"}
    code = "import sys; from hdmatt.cli.main import main; import atexit\n"
    code += "atexit.register(lambda: print('torch' in sys.modules)); main(['matte'])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**os.environ, **line}, capture_output=True, text=True, check=False)
    assert offered in done.stdout.splitlines() and done.stdout.splitlines()[-1] == "False", done.stderr


def test_the_choices_of_the_command_line_are_those_of_the_library():
    from hdmatt.patches.stitch import BLENDS
    from hdmatt.pictures.info import DEFAULT_MAX_PIXELS
    from hdmatt.training.presets import PRESETS

    assert get_args(Blend) == BLENDS
    assert get_args(Strategy) == tuple(STRATEGIES)
    assert set(get_args(train.Preset)) == set(PRESETS)
    assert shared.MAX_PIXELS == DEFAULT_MAX_PIXELS


def test_every_option_of_a_command_that_is_in_options_has_its_default_but_where_the_help_says_otherwise():
    """`hdmatt matte` and `hdmatt.matte` do the same when nothing is asked for."""
    defaults = {name: parameter.default for name, parameter in signature(matte_command).parameters.items()}
    for values in (Options(), NetworkChoice()):
        assert vars(values).items() <= defaults.items()


@pytest.mark.parametrize("outputs", [[], ["--foreground", "f.png"]])
def test_a_writer_that_fails_in_its_thread_ends_the_job_and_leaves_no_file(
    scene, weights, capsys, monkeypatch, outputs
):
    import threading

    from hdmatt.errors import OutputError
    from hdmatt.pictures.writer import PictureWriter

    def failing(writer, rows):
        assert threading.current_thread() is not threading.main_thread()
        raise OutputError("the disk is full", hint="Make room.")

    before = names(scene)
    monkeypatch.setattr(PictureWriter, "write", failing)
    code = call(scene, weights, *[scene / o if "." in o else o for o in outputs])
    refused(capsys, scene, before, code, "the disk is full")
    assert not [t for t in threading.enumerate() if t.name.startswith("hdmatt")]


def test_ctrl_c_in_the_middle_leaves_no_file_and_no_thread(scene, weights, capfd, monkeypatch):
    import threading

    from hdmatt.patches.stitch import Stitcher

    def stopped(*_):
        raise KeyboardInterrupt

    before = names(scene)
    monkeypatch.setattr(Stitcher, "add", stopped)
    assert call(scene, weights) == 130
    assert names(scene) == before
    assert "libpng" not in capfd.readouterr().err
    assert not [t for t in threading.enumerate() if t.name.startswith("hdmatt")]
