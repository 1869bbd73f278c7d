"""Hard-cut tiling: every pixel comes from one patch, which saw nothing else; seams are what it is for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from repeated import examples

from hdmatt.errors import InputError, MemoryLimitError
from hdmatt.evaluation.seams import patch_borders, seam
from hdmatt.inference.options import Counters, Options
from hdmatt.inference.strategies import matte_rows
from hdmatt.inference.without_context import network_of, patch_rows, windows_with_unknown
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.patches.windows import cut, tiles
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import open_trimap
from hdmatt.system import memory

OPTIONS = Options(patch=64, overlap=16, memory=4 * memory.GIB)


def scene(height=150, width=170):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - 80, x - 100)
    trimap = np.where(radius < 15, 255, np.where(radius < 45, 128, 0)).astype(np.uint8)
    return rng.integers(0, 255, (height, width, 3), np.uint8), trimap


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return HDMatt(ModelConfig(width=8)).eval()


def joined(job):
    return np.concatenate([rows for _, rows in job])


@examples(30)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([7, 64, 201]))
def test_tiles_hold_every_pixel_once(height, width, size):
    count = np.zeros((height, width), int)
    for window in tiles(height, width, size=size):
        count[window.y : window.y + size, window.x : window.x + size] += 1
    assert (count == 1).all()


def test_each_pixel_is_what_its_own_tile_alone_gives(model):
    picture, trimap = scene()
    counters = Counters()
    job = matte_rows("tiles", ArrayReader(picture), open_trimap(trimap), model, OPTIONS, counters=counters)
    alpha = joined(job.rows)
    network = network_of(model, device="cpu")
    wanted = (trimap == 255).astype(np.float32)
    for window in job.plan.queries:
        patch = network((cut(picture, window) / np.float32(255))[None], cut(trimap, window)[None])[0]
        y, x = np.nonzero(trimap == 128)
        inside = (y // 64 == window.y // 64) & (x // 64 == window.x // 64)
        wanted[y[inside], x[inside]] = patch[y[inside] - window.y, x[inside] - window.x]
    # 1e-5: float32 sums in another order, as more patches are computed at once
    np.testing.assert_allclose(alpha, wanted, rtol=0, atol=1e-5)
    assert counters.decoded == len(job.plan.queries) == 6  # of nine


def test_the_seam_score_finds_the_cuts_of_a_network_that_answers_each_tile_differently():
    picture, trimap = scene()
    windows = windows_with_unknown(open_trimap(trimap), tiles(150, 170, size=64), band=50)

    def network(colours, _):
        return np.broadcast_to(colours.mean((1, 2, 3), keepdims=True)[..., 0], colours.shape[:3]).astype(np.float32)

    rows = patch_rows(ArrayReader(picture), open_trimap(trimap), windows, network, overlap=0, batch=2)
    borders = patch_borders(tiles(150, 170, size=64), height=150, width=170)
    assert seam(joined(rows), np.full((150, 170), 0.5, np.float32), trimap, borders) == np.inf


def test_bad_input_is_refused_before_anything_is_computed(model):
    picture, trimap = scene()
    with pytest.raises(MemoryLimitError):
        matte_rows("tiles", ArrayReader(picture), open_trimap(trimap), model, replace(OPTIONS, memory=1))
    with pytest.raises(InputError, match="every pixel"):
        matte_rows("tiles", ArrayReader(picture), open_trimap(np.full_like(trimap, 128)), model, OPTIONS)
