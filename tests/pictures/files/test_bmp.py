"""BMPs whose masks say where the colours lie."""

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


def save_bmp(path: Path, pixels: np.ndarray, masks: tuple[int, ...], *, bits: int = 32) -> Path:
    """By hand: numbers of 16 or 32 bit from the bottom row up, with the masks behind a header of 40 bytes."""
    rows = np.pad(pixels[::-1].astype(f"<u{bits // 8}"), ((0, 0), (0, WIDTH % 2 if bits == 16 else 0)))
    data = rows.tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, bits, 3, len(data), 0, 0, 0, 0)
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


@pytest.mark.parametrize("green", [5, 6])
def test_colours_of_16_bit_have_five_or_six_bits_of_green(tmp_path, green):
    colours = noise(3) >> np.array([3, 8 - green, 3], np.uint8)
    numbers = [colours[..., i].astype(np.uint16) for i in range(3)]
    pixels = numbers[0] << (5 + green) | numbers[1] << 5 | numbers[2]
    masks = (0x1F << (5 + green), (0x7E0 if green == 6 else 0x3E0), 0x1F)
    path = save_bmp(tmp_path / "a.bmp", pixels, masks, bits=16)
    # 1: a step between rounding to the nearest and repeating bits
    np.testing.assert_allclose(whole(path), colours * (255 / np.array([31, 2**green - 1, 31])), atol=1)


def test_other_colours_of_16_bit_are_refused_by_name(tmp_path):
    path = save_bmp(tmp_path / "a.bmp", np.zeros((HEIGHT, WIDTH)), (0xF00, 0xF0, 0xF), bits=16)
    with pytest.raises(InputError, match="neither 5, 5, 5 nor 5, 6, 5 bits"):
        open_picture(path)
