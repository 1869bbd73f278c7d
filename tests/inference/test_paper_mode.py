"""The paper's way through a picture: what `Options.paper` says, and that the engine does it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reference import slow_rank, slow_region_read, slow_stitch

from hdmatt.inference.options import Options
from hdmatt.inference.plan import make_plan
from hdmatt.inference.run import run
from hdmatt.inference.strategies import matte_rows
from hdmatt.inference.without_context import network_of
from hdmatt.network.config import REGION_UNKNOWN, REGIONS, ModelConfig
from hdmatt.network.inputs import labels, network_input
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


def slow_alphas(model, picture, trimap, windows, pool, *, most_similar):
    """Alpha of each window by eq. 1 to 3, a pixel at a time; only the convolutions are the network's own."""
    found = {}
    with torch.inference_mode():
        for window in sorted({*windows, *pool}):
            colours = torch.from_numpy(cut(picture, window)[None] / np.float32(255))
            inputs = network_input(colours, torch.from_numpy(cut(trimap, window)[None]))
            stem = model.encoder.stem(inputs)
            body = model.encoder.body(stem)
            maps = (model.cpc.theta(body.deep), model.cpc.delta(body.deep), model.cpc.phi(body.deep))
            key, own, value = (one[0].flatten(1).T.double().numpy() for one in maps)
            found[window] = stem, body, labels(inputs).flatten().tolist(), key, own, value
        alphas = {}
        for window in windows:
            stem, body, label, key, own, _ = found[window]
            others = [other for other in pool if other != window]
            # over means instead of sums the order is the same, and the exponentials of eq. 2 stay finite
            share = slow_rank(key / len(key), label, [found[other][3] / len(key) for other in others])
            order = sorted(range(len(others)), key=lambda i, share=share: -share[i])
            chosen = [others[i] for i in (order if most_similar else order[::-1])[:3]]
            labels_of, keys, values = (np.concatenate([found[other][i] for other in chosen]) for i in (2, 3, 5))
            read, scale = np.zeros((len(key), 3 * own.shape[1])), key.shape[1] ** -0.5
            for at in (at for at, region in enumerate(label) if region == REGION_UNKNOWN):
                parts = [
                    slow_region_read(key[at], keys, values, labels_of, region, form="strict", scale=scale)
                    for region in REGIONS
                ]
                read[at] = np.concatenate([own[at] + part for part in parts])
            read = torch.from_numpy(read.T).float().reshape(1, -1, *body.deep.shape[2:])
            deep = model.cpc.fuse(torch.cat([body.deep, read], dim=1))
            alphas[window.y, window.x] = model.decoder(stem, body, deep).alpha[0, 0].double().numpy()
    return alphas


def test_the_papers_matte_with_three_contexts_of_four_candidates_is_that_of_the_formulas():
    model = network()
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (112, 160, 3), np.uint8)
    trimap = np.repeat(np.repeat(rng.choice(np.array([0, 255], np.uint8), (14, 20)), 8, 0), 8, 1)
    trimap[20:100:32, 8:152] = 128  # some cells of every window
    windows = list(grid(112, 160, size=64, overlap=16))
    assert len(windows) == 6
    pool = [windows[i] for i in (0, 2, 3, 5)]  # an even spread
    options = replace(SMALL, candidates=4)
    matte = joined(matte_rows("hdmatt", ArrayReader(picture), open_trimap(trimap), model, options).rows)
    inside = trimap == 128
    slow = {
        best: slow_stitch(
            slow_alphas(model, picture, trimap, windows, pool, most_similar=best), 112, 160, size=64, overlap=16
        )
        for best in (True, False)
    }
    # 1e-5: float32 sums in another order
    np.testing.assert_allclose(matte[inside], slow[True][inside], rtol=0, atol=1e-5)
    assert np.abs(slow[True] - slow[False])[inside].max() > 1e-4, "the choice of contexts must be seen"


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
