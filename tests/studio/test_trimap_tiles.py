"""hdmatt.studio.trimap_tiles and fill: a trimap in tiles is the array that it stands for."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from hdmatt.pictures.box import Box
from hdmatt.pictures.reader import ArrayReader
from hdmatt.studio.fill import connected
from hdmatt.studio.strokes import Stroke, covered
from hdmatt.studio.trimap_tiles import SIZE, TrimapTiles

HEIGHT, WIDTH = SIZE + 131, 2 * SIZE + 57


def empty(label=128):
    return TrimapTiles(ArrayReader(np.zeros((HEIGHT, WIDTH), np.uint8)).info, label)


def strokes():
    rng = np.random.default_rng(3)
    for label in (0, 255, 128, 255, 0):
        path = rng.uniform((-20, -20, 5), (HEIGHT + 20, WIDTH + 20, 90), (4, 3))
        yield Stroke("brush", label, tuple(map(tuple, path.tolist())))
    yield Stroke("lasso", 255, tuple((float(y), float(x), 0.0) for y, x in rng.uniform(0, 600, (6, 2))))


def painted():
    """A trimap after some strokes, and the array painted in the same way."""
    trimap, array = empty(), np.full((HEIGHT, WIDTH), 128, np.uint8)
    for stroke in strokes():
        trimap.paint(stroke)
        array[covered(stroke, Box(0, 0, HEIGHT, WIDTH))] = stroke.label
    return trimap, array


def test_strokes_paint_the_pixels_that_they_cover():
    trimap, array = painted()
    assert np.array_equal(trimap.rows(0, HEIGHT), array)
    assert np.array_equal(trimap.read(Box(400, 77, 600, 1033)), array[400:600, 77:1033])


@pytest.mark.parametrize("kind", ["brush", "lasso", "widen"])
@pytest.mark.parametrize("place", [(50.0, -40.0), (50.0, WIDTH + 40.0), (-40.0, 50.0), (HEIGHT + 40.0, 50.0)])
def test_a_stroke_beside_the_picture_changes_nothing(kind, place):
    before, dirty = empty().paint(Stroke(kind, 255 if kind != "widen" else 128, ((*place, 9.0),), 5))
    assert before == {}
    assert dirty.empty


def test_the_box_of_a_stroke_holds_all_changes_and_no_row_more():
    trimap, _ = painted()
    before = trimap.rows(0, HEIGHT)
    _, box = trimap.paint(Stroke("brush", 0, ((520.0, 500.0, 60.0), (600.0, 900.0, 20.0))))
    rows, columns = np.nonzero(trimap.rows(0, HEIGHT) != before)
    assert box == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)


def test_putting_tiles_back_undoes_and_does_again():
    trimap = empty()
    states = [trimap.rows(0, HEIGHT)]
    undo = []
    for stroke in strokes():
        undo.append(trimap.paint(stroke)[0])
        states.append(trimap.rows(0, HEIGHT))
    redo = []
    for tiles, state in zip(reversed(undo), reversed(states[:-1]), strict=True):
        redo.append(trimap.put_back(tiles))
        assert np.array_equal(trimap.rows(0, HEIGHT), state)
    for tiles, state in zip(reversed(redo), states[1:], strict=True):
        trimap.put_back(tiles)
        assert np.array_equal(trimap.rows(0, HEIGHT), state)


@pytest.mark.parametrize("level", [1, 2])
def test_a_smaller_view_shows_unknown_before_foreground_before_background(level):
    trimap, array = painted()
    side = 2**level
    order = np.select([array == 128, array == 255], [2, 1], 0)
    order = np.pad(order, ((0, -HEIGHT % side), (0, -WIDTH % side)), mode="constant")
    blocks = order.reshape(order.shape[0] // side, side, -1, side).max((1, 3))
    height, width = trimap.size(level)
    assert np.array_equal(trimap.read(Box(0, 0, height, width), level), np.array([0, 255, 128])[blocks])


def test_a_snapshot_stays_as_it_was():
    trimap, array = painted()
    snapshot = trimap.snapshot()
    trimap.paint(Stroke("brush", 0, ((300.0, 300.0, 250.0),)))
    assert np.array_equal(snapshot.rows(0, HEIGHT), array) and not np.array_equal(trimap.rows(0, HEIGHT), array)


def test_labels_written_into_a_box_are_read_again():
    trimap, array = painted()
    labels = np.random.default_rng(0).choice(np.array([0, 128, 255], np.uint8), (200, 700))
    trimap.write(Box(420, 300, 620, 1000), labels)
    array[420:620, 300:1000] = labels
    assert np.array_equal(trimap.rows(0, HEIGHT), array)


def test_widening_makes_unknown_what_is_near_to_unknown_under_the_brush():
    trimap, array = painted()
    trimap.paint(Stroke("widen", 128, ((500.0, 500.0, 200.0),), amount=9))
    distance = cv2.distanceTransform((array != 128).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    array[(distance <= 9) & (np.hypot(y - 500, x - 500) <= 200)] = 128
    assert np.array_equal(trimap.rows(0, HEIGHT), array)


@pytest.mark.parametrize("place", [(100, 100), (530, 520), (HEIGHT - 1, WIDTH - 1)])
def test_a_fill_reaches_what_is_connected(place):
    trimap, array = painted()
    # a comb across the border of tiles, whose teeth are connected on one side only
    array[480:560:4, 200:700] = 128
    trimap.write(Box(0, 0, HEIGHT, WIDTH), array)
    found = np.zeros(array.shape, bool)
    for box, mask in connected(trimap, *place):
        found[box.y0 : box.y1, box.x0 : box.x1] = mask
    parts = ndimage.label(array == array[place])[0]  # of the whole array, by a program that is not ours
    assert np.array_equal(found, parts == parts[place])
