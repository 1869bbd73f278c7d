import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from repeated import examples

from hdmatt.errors import InputError
from hdmatt.patches.cover import CELL, CellMap, core, cover
from hdmatt.patches.stitch import blending_weight
from hdmatt.patches.windows import Window, grid

SIZES = st.sampled_from([(64, 0), (64, 16), (64, 32), (72, 17)])


def cell_map(trimap, band=1000):
    cells = CellMap(*trimap.shape)
    for y in range(0, len(trimap), band):
        cells.add(y, trimap[y : y + band])
    return cells


def windows_of(trimap, size, overlap):
    height, width = trimap.shape
    return cover(cell_map(trimap).unknown > 0, height=height, width=width, size=size, overlap=overlap)


def strokes(height, width, number, seed):
    """A trimap with a few crooked bands of unknown pixels."""
    rng = np.random.default_rng(seed)
    trimap = np.zeros((height, width), np.uint8)
    for _ in range(number):
        y, x = rng.integers(0, height), rng.integers(0, width)
        for _ in range(40):
            trimap[max(y - 4, 0) : y + 4, max(x - 4, 0) : x + 4] = 128
            y, x = np.clip(y + rng.integers(-9, 10), 0, height - 1), np.clip(x + rng.integers(-9, 10), 0, width - 1)
    return trimap


@examples(60)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 4), st.integers(0, 9), SIZES)
def test_every_unknown_pixel_lies_half_an_overlap_inside_of_one_window(height, width, number, seed, patch):
    size, overlap = patch
    trimap = strokes(height, width, number, seed)
    inside = np.zeros_like(trimap, bool)
    windows = windows_of(trimap, size, overlap)
    for window in windows:
        (top, bottom), (left, right) = (
            core(at, length, size=size, overlap=overlap) for at, length in ((window.y, height), (window.x, width))
        )
        assert (trimap[top:bottom, left:right] == 128).any()
        inside[top:bottom, left:right] = True
    assert inside[trimap == 128].all()
    assert windows == sorted(set(windows))  # the engine goes down row by row


@examples(60)
@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 4), st.integers(0, 9), SIZES)
def test_there_are_never_more_windows_than_those_of_the_grid_with_unknown_pixels(height, width, number, seed, patch):
    size, overlap = patch
    trimap = strokes(height, width, number, seed)
    of_grid = [
        w
        for w in grid(height, width, size=size, overlap=overlap)
        if (trimap[max(w.y, 0) : w.y + size, max(w.x, 0) : w.x + size] == 128).any()
    ]
    assert len(windows_of(trimap, size, overlap)) <= len(of_grid)


def test_a_square_that_the_grid_cuts_in_four_takes_one_window_around_it():
    trimap = np.zeros((640, 640), np.uint8)
    trimap[200:400, 200:400] = 128
    assert windows_of(trimap, 320, 64) == [Window(140, 140, 320)]  # in the middle of it


def test_all_unknown_takes_as_many_windows_as_the_grid():
    trimap = np.full((800, 1000), 128, np.uint8)
    assert len(windows_of(trimap, 320, 64)) == len(grid(800, 1000, size=320, overlap=64))


def test_two_far_pixels_in_one_band_take_two_windows_and_a_third_far_below_a_third():
    trimap = np.zeros((2000, 2000), np.uint8)
    for y, x in ((600, 100), (700, 1500), (1900, 1999)):
        trimap[y, x] = 128
    windows = windows_of(trimap, 320, 64)
    assert len(windows) == 3 and windows[0].y == windows[1].y and windows[2].x == 2000 - 320


def test_no_window_weighs_anything_where_it_ends():
    """Where a window's border crosses unknown pixels its share is less than at any border of the grid."""
    trimap = strokes(900, 900, 12, 3)
    size, overlap = 128, 32
    weight = blending_weight(size, overlap, blend="smooth")
    windows = windows_of(trimap, size, overlap)
    total = np.zeros(trimap.shape, np.float32)
    for w in windows:
        total[w.y : w.y + size, w.x : w.x + size] += weight
    rim = np.zeros((size, size), bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    shares = []
    for w in windows:
        if min(w.y, w.x) == 0 or max(w.y, w.x) + size == 900:
            continue  # ends with the picture
        here = np.s_[w.y : w.y + size, w.x : w.x + size]
        shares.append((weight / total[here])[rim & (trimap[here] == 128)])
    largest = np.concatenate(shares).max()
    # another window has the pixel at least half an overlap inside; on the grid the least share is 1 of overlap + 2
    assert 0 < largest <= 1 / (1 + (1 + overlap // 2) ** 2) * 1.001 < 1 / (overlap + 2)


def test_the_cells_counts_are_the_trimaps_however_its_rows_are_cut(rng):
    trimap = rng.choice([0, 128, 255], (61, 43)).astype(np.uint8)
    padded = np.full((64, 48), 7, np.uint8)
    padded[:61, :43] = trimap
    blocks = padded.reshape(8, CELL, 6, CELL)
    for band in (1, 7, 8, 30, 100):
        cells = cell_map(trimap, band)
        np.testing.assert_array_equal(cells.unknown, (blocks == 128).sum((1, 3)))
        np.testing.assert_array_equal(cells.foreground, (blocks == 255).sum((1, 3)))


def test_windows_on_cells_are_counted_exactly(rng):
    trimap = rng.choice([0, 128, 255], (130, 100)).astype(np.uint8)
    windows = [Window(0, 0, 64), Window(8, 32, 64), Window(66, 36, 64)]
    counts = cell_map(trimap).counts(windows[:2])
    for window, count in zip(windows, counts, strict=False):
        piece = trimap[window.y : window.y + 64, window.x : window.x + 64]
        assert count.tolist() == [(piece == value).sum() for value in (0, 128, 255)]


def test_an_overlap_of_more_than_half_a_patch_is_refused():
    with pytest.raises(InputError, match="does not fit patches of 64"):
        cover(np.ones((8, 8), bool), height=64, width=64, size=64, overlap=40)
