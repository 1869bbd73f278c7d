"""The whole picture as a context of every patch."""

import cv2
import numpy as np
import pytest
from small_network import network

from hdmatt.errors import InputError
from hdmatt.inference.options import Counters, Options, RunOptions
from hdmatt.inference.plan import make_plan
from hdmatt.inference.shrunken import most_shrunken, shrunken_patches, with_whole
from hdmatt.inference.strategies import matte_rows
from hdmatt.patches.windows import Window
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import open_trimap
from hdmatt.system.memory import GIB

SMALL = {"patch": 64, "overlap": 16, "candidates": 6, "memory": 4 * GIB}


@pytest.fixture(scope="module")
def model():
    return network(extra_channels=True)


def scene(size):
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (9, 9, 3), np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:size, :size]
    radius = np.hypot(y - size / 2, x - size / 2) / size
    return picture, np.where(radius < 0.15, 255, np.where(radius < 0.4, 128, 0)).astype(np.uint8)


def alpha(model, size, **options):
    picture, trimap = scene(size)
    job = matte_rows("hdmatt", ArrayReader(picture), open_trimap(trimap), model, Options(**SMALL, **options))
    return np.concatenate([rows for _, rows in job.rows])


def patches_of(model, size, **options):
    picture, trimap = scene(size)
    pixels, marks = ArrayReader(picture), open_trimap(trimap)
    plan = make_plan(marks, model, RunOptions.of(Options(**SMALL, **options)), channels_bytes=3, chunk_rows=1)
    return picture, list(shrunken_patches(plan, pixels, marks, None, Counters()))


def test_the_whole_picture_is_the_picture_in_the_size_of_a_patch(model):
    picture, (patch, *_) = patches_of(model, 192, whole_picture=True)
    assert list(patch.windows) == [Window(0, 0, 192)]
    small = cv2.resize(picture / np.float32(255), (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(patch.colours[0], small, rtol=0, atol=1e-5)
    assert set(np.unique(patch.trimaps)) == {0, 128, 255} and patch.trimaps[0, 32, 32] == 255
    assert patches_of(model, 192)[1] == [] and patches_of(model, 64, whole_picture=True)[1] == []


def test_patches_of_scales_between_show_what_is_unknown_at_half_and_a_quarter_of_the_whole(model):
    picture, patches = patches_of(model, 512, whole_picture=True)
    windows = [patch.windows[0] for patch in patches]
    assert windows[0] == Window(0, 0, 512) and [w.size for w in windows].count(512) == 1
    halves, quarters = ([w for w in windows if w.size == size] for size in (256, 128))
    assert halves == [Window(y, x, 256) for y in (0, 256) for x in (0, 256)]
    assert 4 <= len(quarters) <= 8 and len(patches) == 5 + len(quarters) <= most_shrunken()
    for patch in patches:
        y, x, size = patch.windows[0]
        part = picture[y : y + size, x : x + size] / np.float32(255)
        small = cv2.resize(part, (64, 64), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(patch.colours[0], small, rtol=0, atol=1e-5)
        assert (patch.trimaps == 128).any()


def test_it_is_refused_where_patches_have_no_context(model):
    picture, trimap = ArrayReader(np.zeros((80, 80, 3), np.uint8)), open_trimap(np.full((80, 80), 128, np.uint8))
    for strategy in ("crop", "tiles", "downsample", "whole"):
        with pytest.raises(InputError, match=f"the strategy '{strategy}' has none"):
            matte_rows(strategy, picture, trimap, model, Options(whole_picture=True))
    with pytest.raises(InputError, match="no context is wanted"):
        Options(whole_picture=True, topk=0)


@pytest.mark.release
def test_every_patch_sees_it_where_there_is_one(model):
    large = [alpha(model, 192, whole_picture=whole) for whole in (False, True)]
    assert (large[0] != large[1]).any() and (large[1][scene(192)[1] == 255] == 1).all()
    small = [alpha(model, 60, whole_picture=whole) for whole in (False, True)]
    np.testing.assert_array_equal(*small)  # all of it is in one patch anyway


def test_the_whole_picture_takes_the_place_of_the_last_that_was_chosen():
    patches = [Window(0, x, 64) for x in (0, 48, 96)]
    whole = Window(0, 0, 192)
    assert with_whole(patches, [*patches, whole], patch=64) == [*patches[:2], whole]
    assert with_whole([whole, patches[0]], [*patches, whole], patch=64) == [whole, patches[0]]
    assert with_whole(patches, patches, patch=64) == patches and with_whole([], [whole], patch=64) == []
