import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from repeated import examples
from small_exr import save_exr, windows
from small_pictures import info, save

from hdmatt.errors import InputError
from hdmatt.pictures.info import ExrWindows, PictureInfo
from hdmatt.pictures.placed import placed
from hdmatt.pictures.reader import ArrayReader, open_picture
from hdmatt.pictures.trimap import open_trimap

SHOWN = (0, 0, 20, 16)  # x, y, width, height of the display window


def like(x: int, y: int, width: int, height: int, display: tuple[int, ...] = SHOWN) -> PictureInfo:
    """Metadata of a picture with this data window."""
    x0, y0, w, h = display
    return info(height=height, width=width, windows=ExrWindows(x, y, x0, y0, w, h))


def numbers(height: int, width: int) -> np.ndarray:
    """Pixels that all differ, from 1."""
    return np.arange(1, height * width + 1, dtype=np.float32).reshape(height, width)


@examples(30)
@given(*[st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 20), st.integers(1, 20))] * 2, st.data())
def test_rows_are_paired_by_coordinates_and_zero_outside_of_the_data_window(theirs, ours, data):
    canvas = np.zeros((60, 60), np.float32)  # coordinates -20 .. 39
    (x, y, width, height), (left, top, wide, high) = theirs, ours
    canvas[y + 20 : y + 20 + height, x + 20 : x + 20 + width] = numbers(height, width)
    reader = ArrayReader(numbers(height, width), linear=True)
    reader.info = replace(reader.info, windows=ExrWindows(x, y, *SHOWN))
    expected = canvas[top + 20 : top + 20 + high, left + 20 : left + 20 + wide]
    try:
        found = placed(reader, like(*ours))
    except InputError:
        assert not expected.any()
        return
    y0, y1 = sorted(data.draw(st.tuples(st.integers(0, high), st.integers(0, high))))
    x0, x1 = sorted(data.draw(st.tuples(st.integers(0, wide), st.integers(0, wide))))
    np.testing.assert_array_equal(found.colours(y0, y1, x0, x1)[..., 0], expected[y0:y1, x0:x1])


def test_a_trimap_whose_data_window_is_cropped_is_background_outside_of_it(tmp_path):
    marks = np.array([[128, 255], [255, 128]], np.float32) / 255
    path = save_exr(tmp_path / "t.exr", {"Y": marks}, **windows((5, 3, 2, 2), SHOWN))
    expected = np.zeros((16, 20), np.uint8)
    expected[3:5, 5:7] = [[128, 255], [255, 128]]
    for picture in (like(*SHOWN), info(height=16, width=20)):
        with open_trimap(path, like=picture) as trimap:
            np.testing.assert_array_equal(trimap.rows(0, 16), expected)
            assert (trimap.info.height, trimap.info.width) == (16, 20)


def test_a_file_without_windows_covers_the_data_window_or_the_display_window(tmp_path):
    marks = np.zeros((16, 20, 1), np.uint8)
    marks[3:5, 5:7] = 255
    whole, part = save(tmp_path / "whole.png", marks), save(tmp_path / "part.png", marks[2:6, 4:9].copy())
    for path in (whole, part):
        with open_trimap(path, like=like(4, 2, 5, 4)) as trimap:
            np.testing.assert_array_equal(trimap.rows(0, 4), marks[2:6, 4:9, 0])


def test_the_same_pixels_are_read_as_they_are():
    reader = ArrayReader(numbers(16, 20), linear=True)
    assert placed(reader, info(height=16, width=20)) is reader
    assert placed(reader, like(*SHOWN)) is reader
    assert placed(reader, info(height=10, width=10)) is reader  # sizes are compared where both are read
    reader.info = like(3, 4, 20, 16)
    assert placed(reader, like(3, 4, 20, 16, display=(1, 1, 5, 5))) is reader


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (like(2, 2, 5, 5), like(0, 0, 20, 16, display=(0, 0, 30, 30))),
        (like(0, 0, 2, 2), like(5, 5, 4, 4)),
        (like(2, 2, 5, 5), info(height=5, width=5)),
        (info(height=16, width=20), like(-5, 0, 30, 16)),
        (info(height=16, width=20), like(1, 1, 20, 16)),
        (info(height=9, width=9), like(4, 2, 5, 4)),
    ],
)
def test_windows_that_cannot_be_paired_are_refused_with_both_named(theirs, ours):
    reader = ArrayReader(numbers(theirs.height, theirs.width), linear=True)
    reader.info = replace(theirs, path=None)
    with pytest.raises(InputError, match=r"they cannot be laid over each other") as error:
        placed(reader, ours)
    sizes = f"{theirs.width}x{theirs.height}", f"{ours.width}x{ours.height}"
    assert all(size in error.value.message for size in sizes) and error.value.hint
    assert re.search(r"\(data window\) of \d+x\d+ at \d+,\d+ \(display window\)", error.value.message)


def test_the_data_window_of_an_exr_says_where_it_lies(tmp_path):
    path = save_exr(tmp_path / "a.exr", {"Y": numbers(4, 5)}, **windows((-3, 7, 5, 4), SHOWN))
    with open_picture(path) as picture:
        assert picture.info.windows == ExrWindows(-3, 7, *SHOWN)
        np.testing.assert_array_equal(picture.colours(0, 4, 0, 5)[..., 0], numbers(4, 5))
