"""hdmatt.studio.pyramid and alpha_pyramid: smaller views are means of the full size."""

import threading

import cv2
import numpy as np
import pytest
from PIL import Image

from hdmatt.errors import InputError
from hdmatt.pictures.box import Box
from hdmatt.pictures.colours.encoding import LINEAR, SRGB
from hdmatt.pictures.raw_copy import shared_picture
from hdmatt.pictures.reader import ArrayReader, open_picture
from hdmatt.studio.alpha_pyramid import AlphaPyramid, MarkedAlpha
from hdmatt.studio.pyramid import PicturePyramid, _quick_view, halved, shown
from hdmatt.studio.trimap_tiles import TrimapTiles


def noise(height, width, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(dtype)


def mean_of_squares(pixels):
    height, width = pixels.shape[:2]
    even = np.pad(pixels.astype(float), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.rint(even.reshape(-(-height // 2), 2, -(-width // 2), 2, 3).mean((1, 3)))


@pytest.mark.parametrize("size", [(700, 1031), (1537, 40), (512, 512), (1, 1025)])
def test_every_level_is_the_one_above_it_halved(size):
    pixels = noise(*size)
    levels = TrimapTiles(ArrayReader(pixels).info).levels
    pyramid = PicturePyramid(ArrayReader(pixels), levels, None, cheap=True)
    pyramid.wait()
    for level in range(1, levels):
        pixels = halved(pixels)
        whole = Box(0, 0, *pixels.shape[:2])
        assert pyramid.size(level) == pixels.shape[:2]
        assert np.array_equal(pyramid.read(whole, level), pixels)
    pyramid.close()


def test_halving_is_the_rounded_mean():
    pixels = noise(33, 20)
    assert np.abs(halved(pixels).astype(float) - mean_of_squares(pixels)).max() <= 1  # where half is rounded to


def test_what_is_shown_is_rounded_to_8_bits():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, 2)
    assert np.array_equal(shown(values, SRGB), np.rint(values / 65535 * 255))
    grey = np.full((2, 2, 3), 0.21404114, np.float32)  # linear light of half a display's white
    assert (shown(grey, LINEAR) == 128).all()


class Slow(ArrayReader):
    """A picture of which only the first rows can be read until it is let go."""

    def rows(self, y0, y1):
        if y0 > 0:
            raise InputError("cut short")
        return super().rows(y0, y1)


def test_a_damaged_picture_is_said_and_what_is_there_is_shown():
    told = []
    pyramid = PicturePyramid(
        Slow(noise(1500, 520)), 3, None, cheap=False, report=lambda done, of: told.append((done, of))
    )
    pyramid.wait()
    with pytest.raises(InputError, match="cut short"):
        pyramid.tile((2, 0, 0))
    assert told == [(512, 1500), (1500, 1500)]
    pyramid.close()


class Held(ArrayReader):
    """A picture of which only the first rows can be read until it is let go."""

    def __init__(self, pixels):
        super().__init__(pixels)
        self.began, self.go_on = threading.Event(), threading.Event()

    def rows(self, y0, y1):
        if y0 > 0:
            self.began.set()
            assert self.go_on.wait(60)
        return super().rows(y0, y1)


def test_a_view_that_cannot_wait_has_every_eighth_pixel_of_what_was_read(monkeypatch):
    monkeypatch.setattr("hdmatt.studio.pyramid._PATIENCE", 0.01)
    pixels = noise(4200, 100)
    held = Held(pixels)
    pyramid = PicturePyramid(held, 5, None, cheap=True)
    assert held.began.wait(60)
    tile, final = pyramid.tile((4, 0, 0))
    assert not final and tile.shape == (263, 7, 3)
    assert (tile[33:] == 128).all()
    places = np.arange(7) * 13 / 7 + 13 / 14
    assert np.array_equal(tile[0], pixels[0, (places.astype(int) * 8)])
    held.go_on.set()
    pyramid.wait()
    assert pyramid.tile((4, 0, 0))[1]
    pyramid.close()


@pytest.mark.release
def test_the_first_view_of_a_jpeg_comes_before_it_is_decoded(tmp_path, monkeypatch):
    y, x = np.mgrid[:900, :1300] / 1300
    pixels = np.rint(np.dstack([y, x, 1 - x]) * 255).astype(np.uint8)
    turned = Image.fromarray(pixels)
    exif = turned.getexif()
    exif[0x0112] = 6  # a quarter to the right
    turned.save(tmp_path / "a.jpg", quality=95, exif=exif)
    monkeypatch.setattr(PicturePyramid, "_add", lambda *_, **__: None)  # as if it were not there yet
    with shared_picture(open_picture(tmp_path / "a.jpg")) as reader:
        pyramid = PicturePyramid(reader, 3, tmp_path / "a.jpg", cheap=False)
        pyramid._quick, pyramid._done = None, False
        pyramid.wait()
        pyramid._quick = _quick_view(tmp_path / "a.jpg", 1300, 900)
        tile, final = pyramid.tile((2, 0, 0))
        assert not final and tile.shape == (325, 225, 3)
        expected = cv2.resize(np.rot90(pixels, -1), (225, 325), interpolation=cv2.INTER_AREA)
        assert np.abs(tile.astype(int) - expected).mean() < 3
        assert _quick_view(tmp_path / "nothing.png", 1, 1) is None
        pyramid.close()


class Matte:
    """A source of alpha with one computed box."""

    def __init__(self, height, width):
        self.values = np.random.default_rng(1).random((height, width)).astype(np.float32)
        self.trimap = TrimapTiles(ArrayReader(np.zeros((height, width), np.uint8)).info)
        self.box, self.asked = Box(0, 0, 0, 0), 0

    def alpha(self, box):
        self.asked += 1
        return self.values[box.y0 : box.y1, box.x0 : box.x1]

    def computed(self, box):
        return not Box(*map(max, box[:2], self.box[:2]), *map(min, box[2:], self.box[2:])).empty

    def snapshot(self):
        return self.trimap.snapshot()


def test_a_smaller_matte_follows_the_trimap_where_nothing_was_computed_and_the_matte_where_it_was():
    matte = Matte(1100, 900)
    pyramid = AlphaPyramid(matte)
    assert (pyramid.tile((2, 0, 0)) == 128).all() and matte.asked == 0
    matte.box = Box(0, 0, 600, 300)
    pyramid.touch(matte.box)
    eight = np.rint(matte.values * 255).astype(np.uint8)
    first = pyramid.tile((1, 0, 0))
    assert np.array_equal(first, halved(eight)[:512, :450])
    asked = matte.asked
    assert np.array_equal(pyramid.tile((1, 0, 0)), first) and matte.asked == asked
    matte.values = 1 - matte.values
    pyramid.touch(Box(1050, 0, 1060, 10))  # of another tile
    assert np.array_equal(pyramid.tile((1, 0, 0)), first)
    pyramid.touch(Box(1020, 0, 1030, 10))  # at the border of two tiles
    assert not np.array_equal(pyramid.tile((1, 0, 0)), first)
    pyramid.close()


def test_a_marked_matte_stays():
    matte = Matte(600, 520)
    matte.box = Box(0, 0, 300, 300)
    marked = MarkedAlpha(matte)
    before = matte.values.copy()
    matte.values = np.zeros_like(before)
    found = marked.alpha(Box(0, 0, 600, 520))
    assert np.abs(found[:512, :512] - before[:512, :512]).max() <= 0.5 / 255 + 1e-6
    assert np.allclose(found[512:], 128 / 255)  # nothing was computed there
    marked.close()
