"""The GIMP plug-in without GIMP: how hdmatt is found and called, and that pixels reach it as they are.

GIMP itself runs it in integrations/gimp/try_gimp.py, by hand.
"""

import ast
import importlib.util
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import psd_tools
import pytest
import torch
from PIL import Image
from psd_tools.constants import Resource
from small_profiles import SRGB_CURVE, make_profile

from hdmatt.cli.main import main
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt

ICC = make_profile(SRGB_CURVE)
FOLDER = Path(__file__).parents[2] / "integrations" / "gimp" / "hdmatt_gimp"


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("hdmatt_program", FOLDER / "hdmatt_program.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def executable(path, text="#!/bin/sh\nexit 0\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def nowhere(program, monkeypatch, tmp_path):
    """A machine without hdmatt: no PATH, an empty home, and a Python that lacks it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(sys, "executable", executable(tmp_path / "gimp" / "python3", "#!/bin/sh\nexit 1\n"))
    return home


def python(code):
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_png_holds_the_pixels_that_were_given(program, rng, tmp_path, depth, channels):
    pixels = rng.integers(0, 256**depth, (11, 7, channels), np.uint16).astype(("u1", "u2")[depth - 1])
    for name, height in (("a.png", 4), ("b.png", 11)):
        strips = (pixels[y : y + height].tobytes() for y in range(0, 11, height))
        program.write_png(tmp_path / name, strips, height=11, width=7, channels=channels, depth=depth)
    read = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    if channels == 2:  # OpenCV makes BGRA of grey and alpha
        read = read[..., 2:]
    elif channels > 2:
        read = read[..., [2, 1, 0, 3][:channels]]
    np.testing.assert_array_equal(read.reshape(pixels.shape), pixels)
    assert read.dtype == pixels.dtype
    assert (tmp_path / "a.png").stat().st_size == (tmp_path / "b.png").stat().st_size


def test_a_png_holds_the_profile_that_was_given(program, tmp_path):
    for icc in (ICC, None):
        program.write_png(tmp_path / "a.png", [bytes(6)], height=1, width=2, channels=3, depth=1, icc=icc)
        with Image.open(tmp_path / "a.png") as read:
            assert read.info.get("icc_profile") == icc


def test_a_row_that_is_missing_is_noticed(program, tmp_path):
    with pytest.raises(RuntimeError, match="has 1 rows, expected 2"):
        program.write_png(tmp_path / "a.png", [bytes(6)], height=2, width=2, channels=3, depth=1)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("wanted", [(0, 1, 2), (3,), (0, 1, 2, 3), (2, 0)])
def test_channels_are_taken_out_as_numpy_does(program, rng, depth, wanted):
    pixels = rng.integers(0, 256**depth, (5, 3, 4), np.uint16).astype(("u1", "u2")[depth - 1])
    found = program.some_channels(pixels.tobytes(), channels=4, depth=depth, wanted=wanted)
    assert found == np.ascontiguousarray(pixels[..., list(wanted)]).tobytes()


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ((4000, 6000, 1), "matte.psd"),
        ((100, 30_001, 1), "matte.psb"),
        ((10_000, 10_001, 1), "matte.psb"),
        ((7000, 7200, 2), "matte.psb"),
    ],
)
def test_a_large_picture_comes_back_as_psb(program, size, name):
    assert program.psd_name(*size) == name


def test_the_setting_comes_first(program, nowhere, tmp_path):
    there = executable(tmp_path / "with space" / "hdmatt")
    assert program.find_program(f" {there} ") == [there]
    venv = executable(tmp_path / "venv" / "python3.12")
    assert program.find_program(venv) == [venv, "-m", "hdmatt"]
    assert program.find_program(f"{venv} -u -m hdmatt") == [venv, "-u", "-m", "hdmatt"]
    with pytest.raises(program.Refused, match=r'^"hdmatt-9" is no program'):
        program.find_program("hdmatt-9")


def test_else_hdmatt_is_looked_for(program, nowhere, tmp_path, monkeypatch):
    with pytest.raises(program.Refused, match="was not found"):
        program.find_program()
    monkeypatch.setattr(sys, "executable", executable(tmp_path / "better" / "python3"))
    assert program.find_program() == [sys.executable, "-m", "hdmatt"]
    local = executable(nowhere / ".local" / "bin" / "hdmatt")
    assert program.find_program() == [local]
    there = executable(tmp_path / "bin" / "hdmatt")
    monkeypatch.setenv("PATH", os.pathsep.join(["", str(tmp_path / "bin")]))
    assert program.find_program() == [there]


def test_progress_is_shown_and_notes_come_back(program, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # GIMP's own, which would stop any other Python
    shown = []
    code = """if True:
        import sys, time
        time.sleep(0.25)
        for line in ("progress: patches 1 of 4", "hdmatt: note: \\u00e9", "progress: patches 4 of 4", "progress: soon"):
            print(line, file=sys.stderr, flush=True)
        print("not shown")
    """
    assert program.run(python(code), shown.append) == ["hdmatt: note: é"]
    assert shown[0] is None and [share for share in shown if share is not None] == [0.25, 0.25, 1.0]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import sys; print('hdmatt: no\\n  Do this.', file=sys.stderr); sys.exit(2)", "hdmatt: no\n  Do this."),
        ("import sys; sys.exit(3)", "hdmatt ended with code 3 and said nothing."),
    ],
)
def test_what_hdmatt_said_is_the_error(program, code, text):
    with pytest.raises(program.Refused) as refused:
        program.run(python(code), lambda share: None)
    assert str(refused.value) == text


def test_a_program_that_cannot_start_is_named(program, tmp_path):
    with pytest.raises(program.Refused, match="hdmatt could not be started: No such file"):
        program.run([str(tmp_path / "hdmatt")], lambda share: None)


def test_hdmatt_ends_when_the_plug_in_is_stopped(program):
    def stop(share):
        raise KeyboardInterrupt

    code = "import sys, time; print('progress: patches 0 of 9', file=sys.stderr, flush=True); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        program.run(python(code), stop)


def test_a_trimap_is_given_by_its_place_and_a_mask_by_its_option(program):
    psd = Path("f") / "matte.psd"
    of_trimap, of_mask = (program.arguments(Path("f"), psd=psd, is_mask=mask, band=" ") for mask in (False, True))
    assert of_trimap[1:3] == [str(Path("f") / "picture.png"), str(Path("f") / "trimap.png")]
    assert of_mask[2:6] == ["--mask", str(Path("f") / "trimap.png"), "--band", "auto"]
    assert of_trimap[3:] == of_mask[6:] == ["--psd", str(psd), "--progress-lines"]


def test_hdmatt_makes_of_the_plug_ins_files_the_psd_that_gimp_loads(program, rng, tmp_path, capsys):
    """The real command: progress, the picture's numbers and profile, and a foreground with a mask."""
    torch.manual_seed(0)
    save_model(HDMatt(ModelConfig(width=4)), tmp_path / "tiny.safetensors", half=True)
    picture = rng.integers(0, 256, (80, 104, 3), np.uint8)
    y, x = np.mgrid[:80, :104]
    distance = np.hypot(y - 40, x - 50)
    size = {"height": 80, "width": 104, "depth": 1}
    program.write_png(tmp_path / "picture.png", [picture.tobytes()], channels=3, icc=ICC, **size)
    mask = np.where(distance < 28, 255, 0).astype(np.uint8)
    program.write_png(tmp_path / "trimap.png", [mask.tobytes()], channels=1, **size)
    words = program.arguments(tmp_path, psd=tmp_path / "matte.psd", is_mask=True, band="6")
    assert main([*words, "--model", str(tmp_path / "tiny.safetensors"), "--device", "cpu"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [program._share(line) for line in lines if line.startswith("progress: ")][-1] == 1.0
    psd = psd_tools.PSDImage.open(tmp_path / "matte.psd")
    original, foreground = psd
    assert (original.name, foreground.name) == ("original", "foreground")
    np.testing.assert_array_equal(np.rint(original.numpy("color") * 255), picture)
    matte = np.asarray(foreground.mask.topil())
    assert (matte[distance < 20] == 255).all() and (matte[distance > 36] == 0).all() and len(np.unique(matte)) > 2
    assert psd.image_resources.get_data(Resource.ICC_PROFILE) == ICC
    program.hide_profile(tmp_path / "matte.psd")
    bare = psd_tools.PSDImage.open(tmp_path / "matte.psd")
    assert Resource.ICC_PROFILE not in bare.image_resources
    np.testing.assert_array_equal(bare[0].numpy("color"), original.numpy("color"))
    np.testing.assert_array_equal(np.asarray(bare[1].mask.topil()), matte)


def test_gimp_finds_the_plug_in_and_it_needs_nothing_but_gimp():
    script = FOLDER / "hdmatt_gimp.py"  # GIMP runs the file that is called like its folder
    assert script.stem == FOLDER.name and os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.split(".")[0]
                assert top in ("gi", "hdmatt_program") or top in sys.stdlib_module_names, (path.name, name)
