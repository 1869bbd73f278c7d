from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from small_exr import HEIGHT, WIDTH, layer, save_by_hand, save_exr, windows
from small_pictures import noise, save

from hdmatt.pictures.reader import as_float, open_picture
from hdmatt.pictures.writer import PictureWriter

DESCRIBING: dict[str, Any] = {
    "chromaticities": (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767),  # ACEScg
    "timeCode": OpenEXR.TimeCode(1, 2, 3, 4, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8),
    "keyCode": OpenEXR.KeyCode(1, 2, 3, 4, 5, 6, 20),
    "pixelAspectRatio": 2.0,
    "comments": "a note",
    "owner": "a studio",
    "capDate": "2020:01:02 03:04:05",
    "expTime": 0.01,
    "aperture": 2.8,
    "isoSpeed": 100.0,
    "whiteLuminance": 80.0,
    "custom": "text",
    "number": 7,
    "worldToCamera": np.eye(4, dtype=np.float32),
    "corner": np.array([1, 2], np.int32),
    "screenWindowCenter": np.array([0.5, 0.25], np.float32),
}


def header(path: Path) -> dict[str, Any]:
    with OpenEXR.File(str(path)) as file:
        return dict(file.header())


def copied(source: Path, place: Path, channels: int = 3, depth: str = "half") -> Path:
    """An output that is like the picture."""
    with open_picture(source) as picture:
        info, rows = picture.info, as_float(picture.rows(0, picture.info.height))
    pixels = np.concatenate([rows, rows[..., :1].clip(0, 1)], axis=2)[..., :channels]
    with PictureWriter(place, info.height, info.width, channels=channels, bit_depth=depth, like=info) as writer:
        writer.write(pixels[: HEIGHT // 2])
        writer.write(pixels[HEIGHT // 2 :])
    return place


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_windows_and_attributes_travel_to_exr_outputs(tmp_path, channels):
    shown = windows((-2, 3, WIDTH, HEIGHT), (0, 0, 20, 15))
    source = save_exr(tmp_path / "a.exr", layer("rgba.", 0.5, 0.25, 1), **DESCRIBING, **shown)
    before, after = header(source), header(copied(source, tmp_path / "b.exr", channels))
    for name in (*DESCRIBING, "dataWindow", "displayWindow"):
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    with OpenEXR.File(str(tmp_path / "b.exr"), separate_channels=True) as file:
        assert len(file.channels()) == channels


def test_what_describes_the_file_and_its_channels_stays_behind(tmp_path):
    stored = {
        "compression": OpenEXR.PIZ_COMPRESSION,
        "multiView": ["left", "right"],
        "cryptomatte/1/name": "objects",
        "Orientation": 1,
        "version": 1,
    }
    source = save_exr(tmp_path / "a.exr", layer("", 0.5, 0.25, 1), **stored)
    after = header(copied(source, tmp_path / "b.exr"))
    assert after["compression"] == OpenEXR.ZIP_COMPRESSION
    assert set(stored) & set(after) == {"compression"}


def test_the_same_rows_give_the_same_bytes_whatever_the_time(tmp_path):
    source = save(tmp_path / "a.tif", noise())
    assert "capDate" not in header(copied(source, tmp_path / "b.exr"))


def test_text_that_is_not_utf_8_travels_as_it_is(tmp_path):
    text = {"owner": b"M\xfcller", "ICCProfile": b"sRGB"}
    data = copied(save_by_hand(tmp_path / "a.exr", "R", "G", "B", text=text), tmp_path / "b.exr").read_bytes()
    assert b"M\xfcller" in data and b"ICCProfile" not in data


def test_other_formats_hold_the_data_window(tmp_path):
    source = save_exr(tmp_path / "a.exr", layer("", 0.5, 0.25, 1), **windows((-2, 3, WIDTH, HEIGHT), (0, 0, 20, 15)))
    with open_picture(copied(source, tmp_path / "b.png", depth="16")) as picture:
        assert (picture.info.height, picture.info.width, picture.info.windows) == (HEIGHT, WIDTH, None)
