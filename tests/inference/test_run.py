import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
import torch
from PIL import Image

from hdmatt.errors import InputError, MemoryLimitError
from hdmatt.inference import needs
from hdmatt.inference.candidates import choose_candidates
from hdmatt.inference.load import load_model
from hdmatt.inference.names import WINDOWS
from hdmatt.inference.options import Counters, RunOptions
from hdmatt.inference.plan import make_plan
from hdmatt.inference.pool import ContextPool, fill_pool, select_contexts
from hdmatt.inference.run import run
from hdmatt.inference.strategies import matte_rows
from hdmatt.network.config import ModelConfig
from hdmatt.network.cpc import Context
from hdmatt.network.encoder import Body
from hdmatt.network.model import HDMatt
from hdmatt.overview.small_matte import SmallMatte
from hdmatt.patches.windows import Window, grid
from hdmatt.pictures.files.decoder import FileDecoder
from hdmatt.pictures.reader import ArrayReader, open_picture
from hdmatt.pictures.trimap import open_trimap
from hdmatt.system import memory

SMALL = RunOptions(patch=64, overlap=16, candidates=6, memory=memory.GIB * 4)


def network(**config):
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=8, **config)).eval()
    for module in model.modules():  # norms of a fresh network would hide the differences between patches
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.02, 0.05)
    return model


@pytest.fixture(scope="module", params=[False, True], ids=["paper", "extra channels"])
def model(request):
    return network(extra_channels=request.param)


def scene(height=200, width=170):
    """A picture with a disc, and its trimap: unknown ring, background outside."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (height, width, 3), np.uint8)
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - 90, x - 60)
    trimap = np.where(radius < 25, 255, np.where(radius < 45, 128, 0)).astype(np.uint8)
    return picture, trimap


def matte(picture, trimap, model, options, strategy="hdmatt", counters=None):
    job = matte_rows(strategy, ArrayReader(picture), open_trimap(trimap), model, options, counters=counters)
    bands = list(job.rows)
    assert [y for y, _ in bands] == np.cumsum([0, *(len(rows) for _, rows in bands)])[:-1].tolist()
    return np.concatenate([rows for _, rows in bands])


def test_batch_size_and_band_height_move_alpha_by_rounding_only(model):
    picture, trimap = scene()
    few = replace(SMALL, topk=2)  # so that each patch has contexts of its own
    reference = matte(picture, trimap, model, replace(few, batch=1, band=200))
    assert np.ptp(reference[trimap == 128]) > 0.01
    for batch, band in ((3, 7), (2, 64), (8, 1)):
        # 1e-5: float32 sums in another order
        np.testing.assert_allclose(
            matte(picture, trimap, model, replace(few, batch=batch, band=band)), reference, rtol=0, atol=1e-5
        )


def test_the_same_input_gives_the_same_bytes(model):
    picture, trimap = scene()
    assert matte(picture, trimap, model, SMALL).tobytes() == matte(picture, trimap, model, SMALL).tobytes()


@pytest.mark.parametrize("strategy", ["hdmatt", "crop", "tiles", "downsample", "whole"])
def test_known_pixels_come_out_exactly_0_or_1_and_the_size_is_the_pictures(model, strategy):
    picture, trimap = scene(131, 97)
    alpha = matte(picture, trimap, model, SMALL, strategy)
    assert alpha.shape == (131, 97) and alpha.dtype == np.float32
    assert (alpha[trimap == 255] == 1).all() and (alpha[trimap == 0] == 0).all()
    assert alpha.min() >= 0 and alpha.max() <= 1


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (1, 64), (3, 5), (64, 64), (65, 63)])
@pytest.mark.parametrize("strategy", ["hdmatt", "downsample", "whole"])
def test_any_size_works(model, size, strategy):
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    trimap = np.full(size, 128, np.uint8)
    trimap[0, 0] = 255
    alpha = matte(picture, trimap, model, SMALL, strategy)
    assert alpha.shape == size and alpha[0, 0] == 1


def test_context_changes_the_matte_and_crop_is_the_engine_without_it(model):
    picture, trimap = scene()
    crop = matte(picture, trimap, model, SMALL, "crop")
    np.testing.assert_array_equal(crop, matte(picture, trimap, model, replace(SMALL, topk=0)))
    assert np.abs(crop - matte(picture, trimap, model, SMALL)).max() > 1e-4


def test_the_order_of_the_context_pool_does_not_matter(model, monkeypatch):
    picture, trimap = scene()
    reference = matte(picture, trimap, model, SMALL)
    original = fill_pool

    def reversed_pool(*arguments):
        pool = original(*arguments)
        return pool._replace(contexts=dict(reversed(pool.contexts.items())))

    monkeypatch.setattr("hdmatt.inference.run.fill_pool", reversed_pool)
    # 1e-5: the same contexts, summed in another order
    np.testing.assert_allclose(matte(picture, trimap, model, SMALL), reference, rtol=0, atol=1e-5)


def test_patches_without_unknown_pixels_are_never_decoded_and_each_patch_is_encoded_once(model):
    picture, trimap = scene(300, 300)
    windows = grid(300, 300, size=64, overlap=16)
    unknown = [w for w in windows if (trimap[w.y : w.y + 64, w.x : w.x + 64] == 128).any()]
    for placement in ("grid", "fewest"):
        counters = Counters()
        plan = make_plan(open_trimap(trimap), model, replace(SMALL, windows=placement))
        list(run(plan, ArrayReader(picture), open_trimap(trimap), model, counters=counters))
        assert plan.on_grid == len(unknown) < len(windows)
        assert counters.decoded == len(plan.queries)
        assert counters.encoded == len(set(plan.queries) | set(plan.pool)) == plan.encodes
        shared = len(set(plan.queries) & set(plan.pool))
        assert shared, "the scene must have a patch that is query and context"
        assert (counters.cache_hits, counters.cache_misses) == (shared, len(plan.queries) - shared)
        assert (set(plan.queries) == set(unknown)) == (placement == "grid")
    assert counters.decoded < len(unknown)


def test_a_limit_without_room_for_kept_features_encodes_again_and_moves_alpha_by_rounding_only(model, monkeypatch):
    picture, trimap = scene(300, 300)
    reference = matte(picture, trimap, model, replace(SMALL, batch=2))
    # features of a hundred GiB each: no room for any
    monkeypatch.setattr(needs, "body_bytes", lambda *_, **__: 100 * memory.GIB)
    counters = Counters()
    options = replace(SMALL, batch=2)
    plan = make_plan(open_trimap(trimap), model, options)
    alpha = matte(picture, trimap, model, options, counters=counters)
    assert plan.cache == counters.cache_hits == 0
    assert counters.encoded == plan.encodes == len(plan.queries) + len(plan.pool)
    # 1e-5: float32 sums in another order
    np.testing.assert_allclose(alpha, reference, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [None, 2])
def test_first_layers_that_are_kept_are_not_computed_again_and_give_the_same_bytes(model, monkeypatch, batch):
    picture, trimap = scene(300, 300)
    mattes, options = {}, replace(SMALL, batch=batch)
    for room in (0, 3, 10**6):
        monkeypatch.setattr(
            "hdmatt.inference.budget.STEMS", room * needs.stem_bytes(64, width=8, inputs=model.encoder.inputs)
        )
        counters, plan = Counters(), make_plan(open_trimap(trimap), model, options)
        mattes[room] = matte(picture, trimap, model, options, counters=counters)
        assert plan.stems == min(room, plan.cache) and plan.cache > 3
        again = len(plan.queries) + len(plan.pool) - counters.stems
        # a batch is taken from what is kept if all of it is
        assert again == plan.stems if batch is None else again <= plan.stems
        assert counters.stems == plan.first_layers if batch is None else counters.stems >= plan.first_layers
        assert (counters.encoded, counters.cache_hits) == (plan.encodes, plan.cache)
    np.testing.assert_array_equal(mattes[3], mattes[0])
    np.testing.assert_array_equal(mattes[10**6], mattes[0])


def test_nothing_is_ranked_when_there_are_no_more_candidates_than_contexts(model, monkeypatch):
    picture, trimap = scene(300, 300)
    few = replace(SMALL, candidates=2, topk=2)
    reference = matte(picture, trimap, model, few)
    monkeypatch.setattr("hdmatt.inference.pool.select", None)
    np.testing.assert_array_equal(matte(picture, trimap, model, few), reference)


def test_the_windows_are_the_same_for_every_limit_and_batch(model):
    _, trimap = scene(300, 300)
    plans = [
        make_plan(open_trimap(trimap), model, replace(SMALL, memory=limit, batch=batch, band=band))
        for limit, batch, band in ((3 * memory.GIB, 1, 7), (8 * memory.GIB, None, 256), (4 * memory.GIB, 2, 64))
    ]
    assert all((plan.queries, plan.pool) == (plans[0].queries, plans[0].pool) for plan in plans)


@pytest.mark.release
def test_the_matte_of_a_tiled_file_reads_the_tiles_of_its_windows_only_and_is_that_of_the_array(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=8)).eval()
    picture, _ = scene(1024, 1024)
    trimap = np.zeros((1024, 1024), np.uint8)
    trimap[:400, :200] = 255
    trimap[380:440, 180:260] = 128
    output = oiio.ImageOutput.create(str(tmp_path / "tiled.tif"))
    spec = oiio.ImageSpec(1024, 1024, 3, "uint8")
    spec.tile_width = spec.tile_height = 64
    output.open(str(tmp_path / "tiled.tif"), spec)
    output.write_image(picture)
    output.close()
    decoded, native = [0], FileDecoder._native

    def counted(self, y0, y1, x0, x1):
        decoded[0] += (y1 - y0) * (x1 - x0)
        return native(self, y0, y1, x0, x1)

    with open_picture(tmp_path / "tiled.tif") as tiled:
        monkeypatch.setattr(FileDecoder, "_native", counted)
        job = matte_rows("hdmatt", tiled, open_trimap(trimap), model, SMALL)
        alpha = np.concatenate([rows for _, rows in job.rows])
        windows = set(job.plan.queries) | set(job.plan.pool)
        # a window of 64 touches at most 2 x 2 tiles of 64; the context pool and the queries are two passes
        assert decoded[0] <= (len(job.plan.queries) + len(job.plan.pool)) * 4 * 64 * 64
        assert decoded[0] < 0.2 * picture[..., 0].size and len(windows) < 20
    np.testing.assert_array_equal(alpha, matte(picture, trimap, model, SMALL))


@pytest.mark.parametrize("where", ["rows", "decode"])
def test_what_goes_wrong_in_either_thread_arrives_and_no_thread_stays(model, monkeypatch, where):
    picture, trimap = scene(300, 300)

    class Broken(ArrayReader):
        def rows(self, y0, y1):
            if y1 > 90:
                raise InputError("damaged in row 90", hint="Copy it again.")
            return super().rows(y0, y1)

    def stopped(*_, **__):
        raise KeyboardInterrupt

    if where == "decode":
        monkeypatch.setattr(model, "decode", stopped)
    reader = Broken(picture) if where == "rows" else ArrayReader(picture)
    job = matte_rows("hdmatt", reader, open_trimap(trimap), model, replace(SMALL, band=1))
    with pytest.raises(InputError if where == "rows" else KeyboardInterrupt):
        list(job.rows)
    assert not [t for t in threading.enumerate() if t.name.startswith("hdmatt")]


def test_rows_are_read_at_most_twice_and_once_more_for_the_colours_around(model):
    picture, trimap = scene(600, 100)
    counters = Counters()
    matte(picture, trimap, model, replace(SMALL, band=32), counters=counters)
    assert counters.rows_read <= (3 if model.config.extra_channels else 2) * 600


def test_what_lies_outside_a_patch_reaches_it_but_not_with_crop(model):
    trimap = np.full((300, 64), 128, np.uint8)
    trimap[:30] = 255
    picture = np.full((300, 64, 3), 90, np.uint8)
    red, blue = picture.copy(), picture.copy()
    red[:30], blue[:30] = (255, 0, 0), (0, 0, 255)
    options = replace(SMALL, candidates=1)
    far = [matte(p, trimap, model, options)[200:] for p in (red, blue)]
    crop = [matte(p, trimap, model, options, "crop")[200:] for p in (red, blue)]
    assert np.abs(far[0] - far[1]).max() > 1e-4
    np.testing.assert_array_equal(*crop)


@pytest.mark.parametrize(("cpc", "reaches"), [("none", False), ("tgnl", True)])
def test_extra_channels_of_the_patch_alone_leave_the_rest_of_the_picture_to_the_context(cpc, reaches):
    alone = network(cpc=cpc, extra_channels=True, surroundings=False)
    trimap = np.full((300, 64), 128, np.uint8)
    trimap[:30] = 255
    red, blue = (np.full((300, 64, 3), 90, np.uint8) for _ in range(2))
    red[:30], blue[:30] = (255, 0, 0), (0, 0, 255)
    assert not make_plan(open_trimap(trimap), alone, SMALL).known_colours
    far = [matte(p, trimap, alone, replace(SMALL, candidates=1))[200:] for p in (red, blue)]
    assert bool((far[0] != far[1]).any()) is reaches


def test_candidates_are_patches_with_unknown_pixels_spread_out():
    windows = [Window(0, i, 64) for i in range(100)]
    counts = np.zeros((100, 3), np.int64)
    counts[:, 0] = 100
    counts[40:60, 1] = np.arange(20) + 1
    counts[50:75, 2] = 10
    assert choose_candidates(windows, counts, 30) == windows[40:60]
    chosen = choose_candidates(windows, counts, 5, least=4)
    assert chosen == [windows[i] for i in (40, 45, 50, 54, 59)]


def test_known_patches_are_candidates_where_those_with_unknown_pixels_are_too_few():
    windows = [Window(0, i, 64) for i in range(9)]
    counts = np.array([[9, 0, 0]] * 4 + [[3, 3, 3]] + [[0, 0, 9]] * 2 + [[9, 0, 0]] * 2)

    def chosen(limit, least):
        return [w.x for w in choose_candidates(windows, counts, limit, least=least)]

    assert chosen(30, 1) == [4]
    assert chosen(30, 3) == [4, 5, 6]  # foreground first
    assert chosen(30, 4) == [0, 4, 5, 6]
    assert chosen(30, 99) == list(range(9))
    assert chosen(2, 99) == [4, 5]


@pytest.mark.parametrize("windows", WINDOWS)
def test_the_pool_is_of_queries_and_of_known_patches_only_where_these_are_few(model, windows):
    _, trimap = scene(600, 600)
    options = replace(SMALL, candidates=30, windows=windows)
    few = make_plan(open_trimap(trimap), model, replace(options, topk=3))
    assert len(few.queries) >= 4 and set(few.pool) <= set(few.queries)
    one = np.zeros((600, 600), np.uint8)
    one[310:316, 310:316], one[316:330, 310:316] = 128, 255
    for topk, candidates in ((3, 4), (7, 8), (100, 8)):
        plan = make_plan(open_trimap(one), model, replace(options, topk=topk))
        assert len(plan.queries) < 4 and set(plan.queries) < set(plan.pool) and len(plan.pool) == candidates
    many = np.full((600, 600), 128, np.uint8)
    many[:200] = 255
    plan = make_plan(open_trimap(many), model, replace(options, topk=100))
    assert len(plan.pool) == 30 and set(plan.pool) <= set(plan.queries)


def test_a_query_whose_unknown_pixels_are_on_its_rim_is_a_candidate(model):
    trimap = np.zeros((292, 292), np.uint8)
    trimap[:60], trimap[289:] = 255, 128
    plan = make_plan(open_trimap(trimap), model, replace(SMALL, topk=3))
    assert plan.pool == plan.queries and plan.cache == len(plan.queries)


def test_alpha_ends_at_1_where_a_patchs_details_come_on_top_of_the_smaller_pictures_matte(model):
    picture, trimap = scene()
    plan = make_plan(open_trimap(trimap), model, SMALL)
    small_matte = SmallMatte(np.ones((100, 85), np.float32), 2)
    rows = run(plan, ArrayReader(picture), open_trimap(trimap), model, small_matte=small_matte)
    alpha = np.concatenate([band for _, band in rows])
    assert (alpha[trimap == 128] == 1).any() and alpha.max() == 1 and alpha.min() == 0


def test_each_query_of_a_batch_gets_the_contexts_that_are_most_like_itself(model, monkeypatch):
    _, trimap = scene(300, 300)
    plan = make_plan(open_trimap(trimap), model, replace(SMALL, topk=1))
    likes = torch.eye(3)
    contexts = {w: Context(*3 * [torch.zeros(0)], like) for w, like in zip(plan.pool[:3], likes, strict=True)}
    maps = torch.zeros(2, 1, 8, 8)
    monkeypatch.setattr(model.cpc, "summaries", lambda deep, label: likes[[2, 0]])
    windows = [Window(400, 0, 64), Window(400, 64, 64)]  # none of the pool
    found = select_contexts(plan, windows, Body(*4 * [maps]), maps.long(), model, ContextPool(contexts, {}, {}))
    assert [[one.summary_C.argmax() for one in own] for own in found] == [[2], [0]]


def test_a_query_is_not_its_own_context():
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=8)).eval()  # with extra channels the colours around would make the difference
    picture, trimap = scene(64, 64)  # one window: its only candidate is itself
    crop = matte(picture, trimap, model, SMALL, "crop")
    np.testing.assert_array_equal(matte(picture, trimap, model, SMALL), crop)


def test_a_trimap_without_unknown_pixels_is_the_matte(model):
    picture, trimap = scene()
    trimap = np.where(trimap == 128, 255, trimap).astype(np.uint8)
    counters = Counters()
    np.testing.assert_array_equal(matte(picture, trimap, model, SMALL, counters=counters), trimap / np.float32(255))
    assert counters.encoded == counters.decoded == 0


def test_a_trimap_without_known_pixels_is_refused(model):
    picture, trimap = scene()
    for strategy in ("hdmatt", "whole"):
        with pytest.raises(InputError, match="every pixel of the trimap is unknown"):
            matte(picture, np.full_like(trimap, 128), model, SMALL, strategy)


def test_a_memory_limit_that_is_too_small_names_the_smallest_that_would_do(model):
    picture, trimap = scene()
    with pytest.raises(MemoryLimitError, match="too small") as error:
        matte(picture, trimap, model, replace(SMALL, memory=memory.MIB))
    for part in ("the process", "libraries 100MiB", "rows", "one patch"):  # what was taken
        assert part in str(error.value)
    enough = memory.parse_bytes(error.value.hint.split("at least ")[1].split(" ")[0])
    with pytest.raises(MemoryLimitError, match="too small"):
        matte(picture, trimap, model, replace(SMALL, memory=enough - 2 * needs.SPREAD))
    matte(picture, trimap, model, replace(SMALL, memory=enough))


def test_of_a_patch_and_of_work_that_excludes_patches_the_plan_counts_the_larger(model):
    _, trimap = scene()
    each = needs.patch_bytes(SMALL.patch, width=model.config.width)
    if model.config.extra_channels:
        each = max(each, needs.propagation_bytes(*trimap.shape))  # excludes patches, too

    def peak(exclusive):
        # a limit that leaves no first layers to keep or drop
        return make_plan(
            open_trimap(trimap), model, replace(SMALL, memory=8 * memory.GIB, exclusive_bytes=exclusive)
        ).peak

    # 4 MiB: the process itself moves between two looks at it
    near = 4 * memory.MIB
    assert peak(each) == pytest.approx(peak(0), abs=near)
    assert peak(each + 100 * memory.MIB) == pytest.approx(peak(0) + 100 * memory.MIB, abs=near)
    with pytest.raises(MemoryLimitError, match="too small"):
        make_plan(open_trimap(trimap), model, replace(SMALL, memory=memory.GIB, exclusive_bytes=memory.GIB))


def test_a_batch_that_does_not_fit_the_limit_is_refused(model):
    picture, trimap = scene()
    with pytest.raises(MemoryLimitError, match="a batch of 1000000 patches does not fit"):
        matte(picture, trimap, model, replace(SMALL, batch=1000000))


def test_a_network_in_training_mode_is_refused_and_left_alone(model):
    picture, trimap = scene()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    model.train()
    try:
        with pytest.raises(InputError, match="in training mode"):
            matte(picture, trimap, model, SMALL)
    finally:
        model.eval()
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_model_a_encodes_no_context(model):
    picture, trimap = scene(300, 300)
    torch.manual_seed(0)
    counters = Counters()
    matte(picture, trimap, HDMatt(ModelConfig(width=8, cpc="none")).eval(), SMALL, counters=counters)
    assert counters.encoded == counters.decoded


def test_sizes_that_differ_are_refused_with_both_sizes(model):
    picture, trimap = scene()
    with pytest.raises(InputError, match="the trimap is 170x100 but the picture is 170x200"):
        matte(picture, trimap[:100], model, SMALL)


@pytest.mark.release
@pytest.mark.parametrize("side", [4000, 10000])
def test_the_peak_memory_of_a_large_picture_stays_under_the_stated_limit(side):
    """A subprocess, so that the peak is that of this one job."""
    script = """
import sys
import numpy as np
from hdmatt.inference.options import Options
from hdmatt.inference.strategies import matte_rows
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.pictures.colours.encoding import SRGB
from hdmatt.pictures.info import PictureInfo
from hdmatt.system import memory

class Made:  # side x side pixels that exist only while they are looked at
    def __init__(self, trimap):
        self.trimap = trimap
        self.info = PictureInfo(None, side, side, 3, False, np.dtype(np.uint8), SRGB, None, None)
    def rows(self, y0, y1):
        y, x = np.mgrid[y0:y1, :side]
        if self.trimap:
            return np.where(abs(x - y) < 0.3 * side, 255, 0).astype(np.uint8) + np.uint8(128) * (
                (abs(x - y - 0.3 * side - 100) < 60) & (y > 0.4 * side) & (y < 0.65 * side)).astype(np.uint8)
        return ((x + y)[..., None] % np.array([251, 241, 239])).astype(np.uint8)

side, limit = int(sys.argv[1]), memory.parse_bytes(sys.argv[2])
model = HDMatt(ModelConfig(width=8)).eval()
job = matte_rows("hdmatt", Made(False), Made(True), model, Options(memory=limit))
rows = sum(len(alpha) for _, alpha in job.rows)
assert rows == side and len(job.plan.queries) > 4, (rows, len(job.plan.queries))
print(memory.peak(), job.plan.peak)
"""
    command = [sys.executable, "-c", script, str(side), "900MiB"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak, expected = map(int, done.stdout.split())
    assert peak < 900 * memory.MIB
    assert peak < 1.25 * expected  # what the plan promises is what happens


@pytest.mark.release
def test_patches_of_a_strip_are_as_high_as_the_strip_needs(monkeypatch):
    seen, forward = set(), HDMatt.decode

    def decode(self, stem, *arguments, **more):
        seen.add(tuple(stem.inputs.shape[2:]))
        return forward(self, stem, *arguments, **more)

    monkeypatch.setattr(HDMatt, "decode", decode)
    picture, trimap = scene(40, 2000)  # long enough for the smaller picture, too
    trimap[5:35, 300:500], trimap[15:25, 380:420] = 128, 255
    for sides in ((40, 2000), (2000, 40)):
        turned = sides[0] > sides[1]
        p, t = (picture.transpose(1, 0, 2), trimap.T) if turned else (picture, trimap)
        alpha = matte(p, t, network(extra_channels=True), RunOptions(memory=memory.GIB * 4))
        assert alpha.shape == sides and (alpha[t == 255] == 1).all() and (alpha[t == 0] == 0).all()
        assert seen == {(320, 64) if turned else (64, 320)}
        seen.clear()


@pytest.mark.release
def test_a_strip_of_the_example_is_as_good_as_with_whole_patches():
    root = Path(__file__).parents[2] / "examples"
    picture, trimap, truth = (
        np.asarray(Image.open(root / f"hair{name}"))[300:350] for name in (".jpg", "-trimap.png", "-alpha.png")
    )
    error = matte(picture, trimap, load_model(), RunOptions(memory=memory.GIB * 4)) - truth / np.float32(255)
    # whole patches of 320 pixels give 0.00668, parts of 64 rows 0.00654
    assert np.square(error[trimap == 128]).mean() < 0.0067
