import cv2
import numpy as np

from hdmatt.samples.packs import discover_assets
from hdmatt.samples.reserved import BACKGROUNDS


def test_photographs_behind_test_pictures_are_never_trained_on(tmp_path):
    (tmp_path / "backgrounds-2").mkdir()
    for name in (*BACKGROUNDS, "meadow.jpg"):
        cv2.imwrite(str(tmp_path / "backgrounds-2" / name), np.zeros((4, 4, 3), np.uint8))
    assert [path.name for path in discover_assets(tmp_path).backgrounds] == ["meadow.jpg"]
    assert len(set(BACKGROUNDS)) == len(BACKGROUNDS)
