"""The paper's way through a picture: what `Options.paper` says, and that the engine does it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reference import slow_stitch

from hdmatt.inference.options import Options
from hdmatt.inference.plan import make_plan
from hdmatt.inference.run import run
from hdmatt.inference.strategies import matte_rows
from hdmatt.inference.without_context import network_of
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.patches.windows import cut, grid
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import open_trimap
from hdmatt.system.memory import GIB

SMALL = replace(Options.paper(), patch=64, overlap=16, memory=4 * GIB)


def network(**config):
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=8, **config)).eval()
    for module in model.modules():  # norms of a fresh network would hide the differences between patches
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.02, 0.05)
    return model


def scene(height, width):
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - 60, x - 70)
    return picture, np.where(radius < 25, 255, np.where(radius < 50, 128, 0)).astype(np.uint8)


def joined(rows):
    return np.concatenate([alpha for _, alpha in rows])


def test_the_paper_mode_is_what_the_paper_says():
    paper = Options.paper()
    assert (paper.patch, paper.topk, paper.candidates) == (320, 3, 30)
    assert (paper.windows, paper.blend, paper.small_first) == ("grid", "paper", False)
    others = ("overlap", "memory", "batch")
    assert [getattr(paper, name) for name in others] == [getattr(Options(), name) for name in others]


def test_the_papers_matte_is_the_slow_mean_of_the_grids_patches_and_crop_has_the_same_blend():
    model, (picture, trimap) = network(), scene(130, 140)
    alone = network_of(model, device="cpu")
    unknown = [w for w in grid(130, 140, size=64, overlap=16) if (cut(trimap, w) == 128).any()]
    patches = {
        (w.y, w.x): alone(cut(picture, w)[None] / np.float32(255), cut(trimap, w)[None])[0].astype(np.float64)
        for w in unknown
    }
    expected = slow_stitch(patches, 130, 140, size=64, overlap=16)
    mattes = {
        (strategy, blend): joined(
            matte_rows(
                strategy, ArrayReader(picture), open_trimap(trimap), model, replace(SMALL, topk=0, blend=blend)
            ).rows
        )
        for strategy in ("hdmatt", "crop")
        for blend in ("paper", "smooth")
    }
    inside = trimap == 128
    for strategy in ("hdmatt", "crop"):
        # 1e-5: float32 sums in another order
        np.testing.assert_allclose(mattes[strategy, "paper"][inside], expected[inside], rtol=0, atol=1e-5)
        assert np.abs(mattes[strategy, "smooth"] - expected)[inside].max() > 1e-3


def test_a_network_without_extra_channels_reads_no_colours_from_outside_the_patch():
    _, trimap = scene(130, 140)
    assert network().encoder.inputs == 6
    assert not make_plan(open_trimap(trimap), network(), SMALL).known_colours
    assert make_plan(open_trimap(trimap), network(extra_channels=True), SMALL).known_colours


@pytest.mark.release
@pytest.mark.parametrize("blend", ["paper", "smooth"])
def test_a_large_picture_without_the_smaller_one_is_matted_by_its_patches_alone(blend):
    model, (picture, trimap) = network(), scene(140, 1900)
    options = replace(SMALL, blend=blend)
    plan = make_plan(open_trimap(trimap), model, options)
    expected = joined(run(plan, ArrayReader(picture), open_trimap(trimap), model))

    def matte(small_first):
        asked = replace(options, small_first=small_first)
        return joined(matte_rows("hdmatt", ArrayReader(picture), open_trimap(trimap), model, asked).rows)

    np.testing.assert_array_equal(matte(small_first=False), expected)
    assert np.abs(matte(small_first=True) - expected).max() > 1e-3
