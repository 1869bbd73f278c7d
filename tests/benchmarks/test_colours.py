import importlib
import re

import cv2
import numpy as np
import pytest
from small_scene import scene

from hdmatt.pictures.colours.colour import composite


@pytest.fixture(scope="module")
def colours():
    return importlib.import_module("benchmarks.colours")


@pytest.fixture
def pack(tmp_path, rng):
    """Two foregrounds and a background."""
    for folder in ("foregrounds", "backgrounds"):
        (tmp_path / folder).mkdir()
    for name, size in (("one", (120, 110)), ("two", (60, 150))):
        foreground, _, alpha, _ = scene(*size)
        rgba = np.rint(np.dstack([foreground[..., ::-1], alpha]) * 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"foregrounds/{name}.png"), rgba)
    cv2.imwrite(str(tmp_path / "backgrounds/wall.png"), rng.integers(0, 256, (50, 50, 3), np.uint8))
    return tmp_path


def test_the_truth_of_a_case_explains_its_picture(colours, pack):
    found = list(colours.cases([pack], 10))
    assert [case.kind for case in found] == ["true", "blurred", "noisy", "window"] * 2
    for case in found:
        assert case.picture.shape == case.foreground.shape == (*case.truth.shape, 3) == (*case.alpha.shape, 3)
        solid = case.truth == 1
        np.testing.assert_array_equal(case.picture[solid], case.foreground[solid])
        assert colours.error(case.foreground, case, case.truth < 1) == 0
        assert (case.kind in ("true", "window")) == np.array_equal(case.alpha, case.truth)
        # a background explains the picture: what is left is a rounding
        behind = (case.picture - case.truth[..., None] * case.foreground) / np.maximum(1 - case.truth, 1e-6)[..., None]
        again = composite(case.foreground, case.truth, np.clip(behind, 0, 1))
        assert np.abs(again - case.picture).max() < 0.51 / 255
    assert len(list(colours.cases([pack], 1))) == 4


def test_the_window_holds_the_most_soft_pixels(colours, rng):
    truth = np.clip(rng.normal(0.5, 0.6, (110, 120)), 0, 1).astype(np.float32)
    size = colours.WINDOW
    soft = (truth > 0) & (truth < 1)
    most = max(soft[y : y + size, x : x + size].sum() for y in range(110 - size + 1) for x in range(120 - size + 1))
    window = colours._softest(truth)
    assert truth[window].shape == (size, size) and soft[window].sum() == most


def test_the_table_says_whether_ours_is_worse_anywhere(colours, pack, capsys):
    code = colours.main(["--pack", str(pack)])
    rows = re.findall(r"^\| (\w+) \| (\S+) \| (\S+) \| (\S+) \| (\S+) \| \d+% \| 2 \|$", capsys.readouterr().out, re.M)
    assert [row[0] for row in rows] == ["true", "blurred", "noisy", "window"]
    worse = any(float(row[1]) > float(row[2]) or float(row[3]) > float(row[4]) for row in rows)
    assert code == worse


def test_a_process_of_its_own_says_when_it_was_done_and_what_it_held(colours, pack):
    front = pack / "foregrounds/one.png"
    seconds, held = colours._timed(colours.OURS, front, front, str(pack))
    assert seconds > 0 and held > 30e6  # Python and NumPy alone
