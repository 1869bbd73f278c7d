import re

import numpy as np
import pytest


@pytest.fixture
def tone(script):
    return script("research.tone")


def scene(front, behind):
    """A ramp of 20 pixels between two plain sides; the truth and the sides' colours."""
    truth = np.broadcast_to(np.clip((np.arange(60) - 20) / 20, 0, 1), (40, 60))
    marks = np.where(truth == 0, 0, np.where(truth == 1, 255, 128)).astype(np.uint8)
    colours = np.where(np.arange(60)[None, :, None] < 30, behind, front) * np.ones((40, 60, 3))
    return colours, marks, truth


def test_the_sign_of_the_error_is_told_by_what_is_brighter(tone):
    colours, marks, truth = scene(0.9, 0.2)
    brighter, darker = tone.signed(colours, marks, np.clip(truth + 0.05, 0, 1), truth, step=0.1)
    assert brighter == pytest.approx(0.05) and np.isnan(darker)
    colours, marks, truth = scene(0.2, 0.9)
    brighter, darker = tone.signed(colours, marks, np.clip(truth - 0.1, 0, 1), truth, step=0.1)
    assert np.isnan(brighter) and darker == pytest.approx(-0.1)
    assert all(np.isnan(tone.signed(*scene(0.5, 0.45)[:2], truth, truth, step=0.1)))


def test_the_command_reads_a_set_and_its_mattes(tone, tmp_path, capsys):
    from hdmatt.evaluation.items import write_matte

    colours, marks, truth = scene(0.9, 0.2)
    folders = {"image": colours[..., 0], "trimap": marks / 255, "alpha": truth, "../mattes": np.clip(truth + 0.1, 0, 1)}
    for name, pixels in folders.items():
        (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
        write_matte(tmp_path / "set" / name / "one.png", *pixels.shape, [pixels.astype(np.float32)])
    assert tone.main(["--data", str(tmp_path / "set"), "--mattes", str(tmp_path / "mattes")]) == 0
    said = re.search(r"^\| set \| trimap \| \+(\S+) \| - \| 1 \|$", capsys.readouterr().out, re.MULTILINE)
    assert said and float(said[1]) == pytest.approx(0.1, abs=1 / 255)  # both are files of 8 bits
