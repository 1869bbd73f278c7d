import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from small_training import environment

SCRIPT = Path(__file__).parents[2] / "recipes/contact_sheet.py"


def test_a_family_has_a_sheet_of_its_pictures_beside_their_alphas(tmp_path):
    for folder in ("foregrounds", "backgrounds"):
        (tmp_path / "pack" / folder).mkdir(parents=True)
    red = np.zeros((60, 40, 4), np.uint8)
    red[..., 2], red[10:30, :, 3] = 200, 255
    for name in ("toy_1", "toy_2", "hair-1"):
        cv2.imwrite(str(tmp_path / f"pack/foregrounds/{name}.png"), red)
    cv2.imwrite(str(tmp_path / "pack/backgrounds/one.jpg"), red[..., :3])
    command = [sys.executable, str(SCRIPT), str(tmp_path / "out"), "--data", str(tmp_path / "pack"), "--drawn", "0"]
    done = subprocess.run([*command, "--side", "60"], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["pack-hair.jpg", "pack-toy.jpg"]
    sheet = cv2.imread(str(tmp_path / "out/pack-toy.jpg"))[..., ::-1].astype(int)
    assert sheet.shape == (60, 4 * 60, 3)
    for left in (0, 120):  # red over green, then alpha
        assert np.abs(sheet[20, left + 20] - (200, 0, 0)).max() < 25
        assert np.abs(sheet[50, left + 20] - (60, 160, 60)).max() < 25
        assert sheet[20, left + 80].min() > 230 and sheet[50, left + 80].max() < 25


def test_a_pack_needs_no_background_for_a_sheet_and_one_that_is_none_is_refused(tmp_path):
    (tmp_path / "pack/foregrounds").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "pack/foregrounds/toy_1.png"), np.full((20, 20, 4), 99, np.uint8))
    command = [sys.executable, str(SCRIPT), str(tmp_path / "out"), "--drawn", "0", "--data"]
    done = [
        subprocess.run([*command, str(tmp_path / name)], env=environment(), capture_output=True, text=True)
        for name in ("pack", "pack/foregrounds")
    ]
    assert (done[0].returncode, done[1].returncode) == (0, 2), done[0].stderr
    assert (tmp_path / "out/pack-toy.jpg").is_file() and done[1].stderr.startswith("contact_sheet: ")


def test_every_drawn_family_has_a_sheet(tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--drawn", "1", "--side", "64"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    from hdmatt.samples.drawn.families import FAMILIES

    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"drawn-{name}.jpg" for name in FAMILIES)
