"""The glance: the small picture's matte reaches every patch, in training as in the engine, and is learned from."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_engine import SMALL, matte, network, scene
from training import GLANCING, SHORT, cpu, make_pack

from hdmatt import engine, memory
from hdmatt.checkpoint import load_model, load_state
from hdmatt.cpc import _attend
from hdmatt.engine import Counters
from hdmatt.errors import ModelError
from hdmatt.feed import groups_of
from hdmatt.field import mirrored, under
from hdmatt.glance import glanced, joined, put, small_of
from hdmatt.image import ArrayReader, open_trimap
from hdmatt.model import HDMatt, ModelConfig, in_deep, network_input, with_glance, without_glance
from hdmatt.synth.assets import load_assets
from hdmatt.train import Run, train

CONFIG = replace(SHORT, model=GLANCING, groups=2, probes=0.1)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return make_pack(tmp_path_factory.mktemp("data") / "pack")


def batch_of(pack, config=CONFIG, index=0):
    arrays = groups_of(load_assets([pack]), config, index)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.mark.parametrize("repeat", [1, 3])
def test_a_patch_is_told_of_its_own_place_in_the_small_matte(pack, repeat):
    turned = set()
    for index in range(4):
        batch = batch_of(pack, replace(CONFIG, repeat=repeat, sample=replace(CONFIG.sample, crops=(1.0, 2.0))), index)
        side = int(batch["side"][0])
        matte_1nn = torch.rand(1, side, side)
        found = joined(batch, {0: matte_1nn}).numpy()
        np.testing.assert_array_equal(found[..., :82], batch["around"].numpy())
        for place, around in zip(batch["place"].tolist(), found, strict=True):
            y, x, size, flipped = place
            own = under(matte_1nn[0].numpy(), y, x, size / 64, number=(2, 2))
            expected = np.concatenate([np.zeros((2, 2, 18), np.float32), own], axis=-1)
            expected = mirrored(expected) if flipped else expected
            # 0.04: OpenCV takes places to 1/32 of a pixel, and this matte is noise
            np.testing.assert_allclose(around[..., 82:], expected[..., 18:], rtol=0, atol=0.04)
            turned.add(flipped)
    assert turned == {0.0, 1.0}


def test_small_pictures_come_by_size_with_the_known_pixels_that_the_trimap_says(pack):
    one, other = (batch_of(pack, index=i) for i in (0, 1))
    batch = {name: torch.cat([one[name], other[name]]) for name in one}
    found = list(small_of(batch))
    assert sorted(i for small in found for i in small.which) == [0, 1]
    for small in found:
        side = int(batch["side"][small.which[0]])
        assert small.inputs.shape == (len(small.which), 6, side, side)
        alpha = put(torch.full_like(small.alpha, 0.3), small.trimap)
        expected = torch.where(small.trimap == 128, 0.3, (small.trimap == 255).float())
        assert torch.equal(alpha, expected) and {0.0, 1.0} <= set(alpha.unique().tolist())


def test_a_network_that_is_given_a_glance_keeps_its_alpha_until_it_sees_one():
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=8, hints=True, coarse=True)).eval()
    wider = with_glance(model)
    assert wider.config == replace(model.config, glance=True)
    inputs = network_input(torch.rand(2, 64, 64, 3), torch.full((2, 64, 64), 128, dtype=torch.uint8))
    around = torch.rand(2, 2, 2, 82)
    other = torch.cat([around, 1 - around[..., 18:]], dim=-1)
    with torch.no_grad():
        for given in (around, None):
            alpha = model(inputs, [[1], [0]], around=given).alpha
            # 1e-5: one product more in each sum
            torch.testing.assert_close(wider(inputs, [[1], [0]], around=given).alpha, alpha, rtol=0, atol=1e-5)
        seen = [wider(inputs, [[1], [0]], around=given).alpha for given in (around, other)]
        assert (seen[0] - seen[1]).abs().max() > 1e-4
    again = without_glance(wider).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(ModelError, match="has no glance"):
        without_glance(model)
    with pytest.raises(ModelError, match="a glance already"):
        with_glance(wider)
    with pytest.raises(ModelError, match="needs `hints` and `around`"):
        HDMatt(ModelConfig(width=8, hints=True, around=False, glance=True))


def test_the_engine_looks_at_the_small_picture_once_and_not_with_crop():
    model = network(hints=True, coarse=True, glance=True)
    picture, trimap = scene()
    seen = {}
    for strategy in ("hdmatt", "crop"):
        seen[strategy] = counters = Counters()
        matte(picture, trimap, model, SMALL, strategy, counters)
    assert seen["hdmatt"].glances == 1 and seen["crop"].glances == 0


def test_the_engines_glance_is_that_of_the_training():
    """Its matte is the network's of the small picture as a whole, known pixels as the trimap says."""
    model = network(hints=True, coarse=True, glance=True)
    small = np.random.default_rng(0).integers(0, 255, (200, 176, 3), np.uint8)
    marks = scene(200, 176)[1]
    # 400 x 352 pixels are more than 100000: two of them are one of the small picture
    picture, trimap = (a.repeat(2, axis=0).repeat(2, axis=1) for a in (small, marks))
    plan = engine.make_plan(open_trimap(trimap), model, SMALL)
    assert plan.glance == 200 * 176 == memory.small_pixels(400, 352)
    field = engine._read_field(ArrayReader(picture), open_trimap(trimap), engine._lanes(plan, model)[0])
    around = torch.from_numpy(field.whole(200, 176)[None, ..., :82])
    inputs = network_input(torch.from_numpy(small[None]).float() / 255, torch.from_numpy(marks[None]))
    with torch.no_grad():
        alpha = put(model(inputs, [[]], around=around).alpha, torch.from_numpy(marks)[None, None])[0, 0]
    # 1e-5: attention's sums in another order
    np.testing.assert_allclose(field.glance, alpha, rtol=0, atol=1e-5)
    assert np.ptp(field.glance[marks == 128]) > 0.01


def test_what_the_engine_saw_at_a_glance_reaches_every_patch(monkeypatch):
    model = network(hints=True, coarse=True, glance=True)
    picture, trimap = scene()
    first = matte(picture, trimap, model, SMALL)
    with torch.no_grad():  # the same network, but the glance counts more
        model.decoder.at1.convs[2].weight[:, -1] += 5
    monkeypatch.setattr(engine, "_glance", lambda colours, marks, field, lane: (marks == 255).astype(np.float32))
    low = matte(picture, trimap, model, SMALL)
    monkeypatch.setattr(engine, "_glance", lambda colours, marks, field, lane: (marks != 0).astype(np.float32))
    high = matte(picture, trimap, model, SMALL)
    for window in engine.make_plan(open_trimap(trimap), model, SMALL).queries:
        inside = np.s_[max(window.y, 0) : window.y + 64, max(window.x, 0) : window.x + 64]
        assert (low != high)[inside].any()
    for found in (first, low, high):
        np.testing.assert_array_equal(found[trimap != 128], trimap[trimap != 128] / np.float32(255))


def test_stopped_and_resumed_it_is_the_same_run_and_the_small_pictures_have_a_curve(pack, tmp_path):
    train(CONFIG, [pack], tmp_path / "straight", fabric=cpu())
    train(CONFIG, [pack], tmp_path / "stopped", fabric=cpu(), max_steps=2)
    train(CONFIG, [pack], tmp_path / "stopped", fabric=cpu(), resume=True)
    ours, theirs = (load_state(tmp_path / n / "state.safetensors")[0] for n in ("straight", "stopped"))
    assert [n for n in ours if not torch.equal(ours[n], theirs[n])] == []
    with (tmp_path / "straight/curve.csv").open() as file:
        assert all(float(row["first"]) > 0 for row in csv.DictReader(file))
    assert load_model(tmp_path / "straight/model.safetensors").config == GLANCING


def test_the_network_learns_from_small_pictures_by_the_weight_of_their_loss(pack, tmp_path):
    gradients = []
    for first in (0.0, 1.0, 2.0):
        config = replace(CONFIG, first=first, clip=0.0, steps=1, warmup=0, norm="frozen")
        train(config, [pack], tmp_path / str(first), fabric=cpu())
        state = load_state(tmp_path / str(first) / "state.safetensors")[0]
        gradients.append(torch.cat([t.flatten() for n, t in state.items() if n.endswith("exp_avg")]))
    none, once, twice = gradients
    assert (once - none).abs().max() > 0.01 * none.abs().max()
    # moments are a tenth of the gradient; 1e-4 of the largest: float32 sums in another order
    torch.testing.assert_close(twice - none, 2 * (once - none), rtol=1e-3, atol=1e-4 * float(none.abs().max()))


def test_a_network_without_a_glance_starts_one_with_it(pack, tmp_path):
    plain = replace(CONFIG, model=replace(GLANCING, glance=False), steps=1)
    first = train(plain, [pack], tmp_path / "first", fabric=cpu())
    run = Run(CONFIG, first)
    for name, tensor in with_glance(load_model(first)).state_dict().items():
        assert torch.equal(run.model.state_dict()[name], tensor)


def test_held_out_samples_are_matted_after_a_glance(pack):
    torch.manual_seed(0)
    model = HDMatt(GLANCING).eval()
    batch = batch_of(pack)
    around = glanced(model, batch)
    (small,) = small_of(batch)
    with torch.no_grad():
        own = put(model(small.inputs, [[]], around=small.around).alpha, small.trimap)
    torch.testing.assert_close(around, joined(batch, {0: own[0]}), rtol=0, atol=0)
    assert around.shape[-1] == 82 + 64


def test_the_shallow_part_learns_and_the_deep_one_stays(pack, tmp_path):
    config = replace(CONFIG, part="shallow", ema=0.0, steps=6, rate=1e-2)
    torch.manual_seed(config.seed)
    before = {n: t.clone() for n, t in Run(config).model.state_dict().items()}
    after = load_model(train(config, [pack], tmp_path / "run", fabric=cpu())).state_dict()
    moved = {n for n in before if not torch.equal(before[n], after[n]) and not n.endswith("num_batches_tracked")}
    assert moved and not any(in_deep(n) for n in moved)
    assert {"encoder.conv1.weight", "encoder.layer2.0.conv1.weight", "decoder.alpha.weight"} <= moved


def test_with_the_deep_part_fixed_the_alpha_is_the_same_but_nothing_learns_by_it():
    model = network(hints=True, coarse=True)
    inputs = network_input(torch.rand(2, 64, 64, 3), torch.full((2, 64, 64), 128, dtype=torch.uint8))
    whole, fixed = (model(inputs, [[1], [0]], fixed_deep=choice).alpha for choice in (False, True))
    # 1e-5: without a gradient the attention's sums are taken in another order
    torch.testing.assert_close(fixed, whole, rtol=0, atol=1e-5)
    fixed.mean().backward()
    learned = {name: parameter.grad is not None for name, parameter in model.named_parameters()}
    assert [n for n, has in learned.items() if has == in_deep(n)] == []


def test_in_bfloat16_the_fixed_deep_part_reads_its_contexts_as_the_whole_network_does():
    torch.manual_seed(0)
    query, key, value = torch.randn(40, 16), torch.randn(200, 16), torch.randn(200, 8)
    with torch.autocast("cpu", torch.bfloat16):
        wide = _attend(query, 40 * key, value, outside=0, form="strict", scale=1.0)
        with torch.no_grad():
            fixed = _attend(query, 40 * key, value, outside=0, form="strict", scale=1.0)
    assert torch.equal(fixed, wide)


def test_small_pictures_leave_the_batch_norms_alone(pack, tmp_path):
    found = {}
    for first in (0.0, 1.0):
        config = replace(CONFIG, first=first, norm="batch", steps=1, warmup=0, rate=0.0)
        train(config, [pack], tmp_path / str(first), fabric=cpu())
        found[first] = load_state(tmp_path / str(first) / "state.safetensors")[0]
    names = [n for n in found[0.0] if n.startswith("model.") and n.endswith(("mean", "var", "tracked"))]
    assert names and all(torch.equal(found[0.0][n], found[1.0][n]) for n in names)
    assert all(int(found[1.0][n]) == 1 for n in names if n.endswith("tracked"))
