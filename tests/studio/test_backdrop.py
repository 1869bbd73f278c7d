"""hdmatt.studio.backdrop: a picture of any size covers the one in front, and its parts fit together."""

import numpy as np
import pytest
from PIL import Image

from hdmatt.errors import InputError
from hdmatt.pictures.box import Box
from hdmatt.pictures.info import DEFAULT_INPUT
from hdmatt.pictures.reader import ArrayReader
from hdmatt.studio.backdrop import Backdrop

HEIGHT, WIDTH = 90, 160
WHOLE = Box(0, 0, HEIGHT, WIDTH)


@pytest.fixture
def opened(tmp_path):
    """Write pixels and open them behind a picture of 160 x 90."""
    made = []

    def make(pixels):
        Image.fromarray(pixels).save(tmp_path / "behind.png")
        front = ArrayReader(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).info
        made.append(Backdrop(tmp_path / "behind.png", front, DEFAULT_INPUT))
        return made[-1]

    yield make
    for one in made:
        one.close()


def ramp(height, width):
    """Colours that say where they are, from 0 to 255 along each side."""
    y, x = np.mgrid[:height, :width]
    values = (y + 0.5) / height, (x + 0.5) / width, np.zeros((height, width))
    return np.rint(np.stack(values, axis=2) * 255).astype(np.uint8)


def test_one_of_the_picture_s_size_is_itself(opened):
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    assert np.array_equal(opened(pixels).part(WHOLE, 0)[0], pixels)


@pytest.mark.parametrize("size", [(30, 40), (180, 320), (700, 900), (20, 1600)])
def test_one_of_another_size_covers_the_picture_and_is_cut_evenly(opened, size):
    height, width = size
    found = opened(ramp(height, width)).part(WHOLE, 0)[0].astype(float)
    factor = max(HEIGHT / height, WIDTH / width)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    # where each pixel's centre lies, from 0 to 1 along the sides of the one behind
    at_y = ((y + 0.5) / factor + (height - HEIGHT / factor) / 2) / height
    at_x = ((x + 0.5) / factor + (width - WIDTH / factor) / 2) / width
    inner = np.s_[5:-5, 5:-5]  # at the rim there is nothing to interpolate with
    # two of 255: rounding to 8 bits twice; half a pixel of a smaller one, whose sides are rounded up
    slack = 2 + 255 / min(HEIGHT, height)
    assert np.abs(found[inner][..., 0] - 255 * at_y[inner]).max() < slack
    assert np.abs(found[inner][..., 1] - 255 * at_x[inner]).max() < slack


def test_parts_fit_together(opened):
    one = opened(np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8))
    left, right = one.part(Box(0, 0, HEIGHT, 70), 0)[0], one.part(Box(0, 70, HEIGHT, WIDTH), 0)[0]
    whole = one.part(WHOLE, 0)[0].astype(int)
    assert np.abs(np.concatenate([left, right], axis=1) - whole).max() <= 1  # the places are rounded to 1/32 pixel


def test_a_smaller_view_of_it_is_the_same_picture(opened):
    one = opened(ramp(45, 80))
    half = one.part(Box(0, 0, HEIGHT // 2, WIDTH // 2), 1)[0].astype(int)
    assert np.abs(half - ramp(45, 80)).max() <= 1


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "behind.png").write_bytes(b"nothing")
    with pytest.raises(InputError):
        Backdrop(tmp_path / "behind.png", ArrayReader(np.zeros((4, 4, 3), np.uint8)).info, DEFAULT_INPUT)
