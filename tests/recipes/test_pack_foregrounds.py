import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RUNS = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def packer(monkeypatch):
    monkeypatch.syspath_prepend(str(RUNS))
    yield importlib.import_module("pack_foregrounds")
    sys.modules.pop("pack_foregrounds")


def disc(inside, beside):
    """A disc whose inside is not quite opaque and whose surroundings are not quite empty, 96 x 96."""
    y, x = np.mgrid[:96, :96]
    share = np.clip((30 - np.hypot(y - 48, x - 48)) / 4, 0, 1)
    rgba = np.zeros((96, 96, 4), np.uint8)
    rgba[..., :3] = np.where(share[..., None] > 0, (200, 120, 40), 0)
    rgba[..., 3] = np.round(beside + share * (inside - beside))
    return rgba


def packed(folder, rgba, *options, name="disc.png"):
    source = folder / "in"
    source.mkdir(exist_ok=True)
    Image.fromarray(rgba, "RGBA").save(source / name, lossless=True, exact=True)
    command = [sys.executable, str(RUNS / "pack_foregrounds.py"), str(source), str(folder / "out"), "--workers", "1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    return done, folder / "out" / f"{Path(name).stem}.webp"


def test_alpha_is_kept_and_colours_go_on_under_it(tmp_path):
    rgba = disc(255, 0)
    done, path = packed(tmp_path, rgba)
    assert done.stdout == "disc.png: packed\n"
    found = np.asarray(Image.open(path))
    np.testing.assert_array_equal(found[..., 3], rgba[..., 3])
    assert np.abs(found[5, 5, :3].astype(int) - (200, 120, 40)).max() < 12  # the PNG holds black there


@pytest.mark.parametrize("name", ["disc.png", "disc.webp"])
def test_levels_make_the_inside_opaque_and_what_is_beside_empty(tmp_path, name):
    rgba = disc(240, 9)
    _, path = packed(tmp_path, rgba, "--levels", "16", "220", name=name)
    alpha = np.asarray(Image.open(path))[..., 3]
    assert (alpha[40:56, 40:56] == 255).all() and (alpha[:10] == 0).all()
    np.testing.assert_array_equal(alpha, np.round((rgba[..., 3].clip(16, 220) - 16.0) * 255 / 204))


def test_levels_that_are_no_range_are_refused(tmp_path):
    done, path = packed(tmp_path, disc(255, 0), "--levels", "220", "16")
    assert done.returncode == 2 and "--levels 220 16" in done.stderr and not path.exists()


def test_two_pictures_that_would_be_one_file_are_refused(tmp_path):
    packed(tmp_path, disc(255, 0), name="disc.webp")
    done, _ = packed(tmp_path, disc(255, 0), name="disc.png")
    assert done.returncode == 2 and "of one name" in done.stderr


def test_single_pixels_of_noise_go_and_strands_stay(packer):
    rgb = np.full((20, 20, 3), 60, np.uint8)
    rgb[:, 10] = 180  # a strand
    rgb[5, 4] = 255  # a firefly
    calm = packer.calmed(rgb)
    assert (calm[:, 10] == 180).all() and (calm[5, 4] == 60).all()
    np.testing.assert_array_equal(np.delete(calm, 4, axis=1), np.delete(rgb, 4, axis=1))


def test_next_to_nothing_is_left_out(tmp_path):
    done, path = packed(tmp_path, np.zeros((96, 96, 4), np.uint8))
    assert "left out" in done.stdout and not path.exists()
