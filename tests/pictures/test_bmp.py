"""BMPs of 32 bit whose masks name another order of the colours."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_pictures import HEIGHT, WIDTH, noise, whole

from hdmatt.errors import InputError
from hdmatt.pictures.reader import open_picture
from hdmatt.pictures.trimap import open_trimap

SHIFTS = {"BGRX": (16, 8, 0), "RGBX": (0, 8, 16), "XBGR": (24, 16, 8), "XRGB": (8, 16, 24), "GBRX": (16, 0, 8)}


def save_bmp(path: Path, pixels: np.ndarray, masks: tuple[int, ...]) -> Path:
    """By hand: numbers of 32 bit from the bottom row up, with the masks behind a header of 40 bytes."""
    data = pixels[::-1].astype("<u4").tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 32, 3, len(data), 0, 0, 0, 0)
    path.write_bytes(
        b"BM" + struct.pack("<IHHI", 66 + len(data), 0, 0, 66) + header + struct.pack("<3I", *masks) + data
    )
    return path


@pytest.mark.parametrize("order", SHIFTS)
def test_the_masks_say_where_the_colours_are(tmp_path, order):
    colours, shifts = noise(3), SHIFTS[order]
    numbers = sum(colours[..., i].astype(np.uint32) << shifts[i] for i in range(3))
    path = save_bmp(tmp_path / "a.bmp", numbers, tuple(0xFF << shift for shift in shifts))
    np.testing.assert_array_equal(whole(path), colours)
    if order in ("BGRX", "XBGR"):  # Pillow knows no others
        np.testing.assert_array_equal(np.asarray(Image.open(path).convert("RGB")), colours)


def test_a_trimap_in_any_order_is_a_trimap(tmp_path):
    marks = np.random.default_rng(0).choice(np.array([0, 128, 255], np.uint32), (HEIGHT, WIDTH))
    path = save_bmp(tmp_path / "a.bmp", marks << 8 | marks << 16 | marks << 24, (0xFF000000, 0xFF0000, 0xFF00))
    with open_trimap(path) as trimap:
        np.testing.assert_array_equal(trimap.rows(0, HEIGHT), marks)


def test_colours_of_10_bit_are_refused_by_name(tmp_path):
    path = save_bmp(tmp_path / "a.bmp", np.zeros((HEIGHT, WIDTH)), (0x3FF00000, 0xFFC00, 0x3FF))
    with pytest.raises(InputError, match=r"colours are no whole bytes \(masks 3ff00000, 000ffc00, 000003ff\)"):
        open_picture(path)
