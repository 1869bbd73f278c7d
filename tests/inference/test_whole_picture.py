"""The whole picture as a context of every patch."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from small_network import network

from hdmatt.errors import InputError
from hdmatt.inference.options import Options, RunOptions
from hdmatt.inference.plan import make_plan
from hdmatt.inference.strategies import matte_rows
from hdmatt.inference.whole_picture import always, whole_picture_patch
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


def test_the_whole_picture_is_the_picture_in_the_size_of_a_patch(model):
    picture, trimap = scene(192)
    pixels, marks = ArrayReader(picture), open_trimap(trimap)
    plan = make_plan(marks, model, RunOptions.of(Options(**SMALL, whole_picture=True)), channels_bytes=3, chunk_rows=1)
    patch = whole_picture_patch(plan, pixels, marks, None)
    assert patch is not None and list(patch.windows) == [Window(0, 0, 192)]
    small = cv2.resize(picture / np.float32(255), (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(patch.colours[0], small, rtol=0, atol=1e-5)
    assert set(np.unique(patch.trimaps)) == {0, 128, 255} and patch.trimaps[0, 32, 32] == 255
    without = replace(plan, options=replace(plan.options, whole_picture=False))
    assert whole_picture_patch(without, pixels, marks, None) is None


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
    assert always(patches, [*patches, whole], patch=64) == [*patches[:2], whole]
    assert always([whole, patches[0]], [*patches, whole], patch=64) == [whole, patches[0]]
    assert always(patches, patches, patch=64) == patches and always([], [whole], patch=64) == []
