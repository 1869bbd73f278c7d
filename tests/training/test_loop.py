import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_training import SHORT, cpu, curve, make_pack, start, train

from hdmatt.cli.main import main
from hdmatt.errors import InputError
from hdmatt.network.checkpoint import load_card, load_state, read_model
from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt
from hdmatt.training import losses
from hdmatt.training.config import LossWeights, read_config
from hdmatt.training.curves import CurveRecorder, vanished
from hdmatt.training.presets import PRESETS
from hdmatt.training.processes import make_fabric
from hdmatt.training.run import Run
from hdmatt.training.step import candidates, compile_network, group_contexts, learning_rate
from hdmatt.training.train import new_training

TEN = replace(
    SHORT,
    sample=replace(SHORT.sample, procedural=0.3),
    groups=1,
    steps=10,
    warmup=2,
    losses=LossWeights(laplacian=0.1, gradient=0.1, probes=0.5),
    save_every=5,
)
# what the presets have and a plain run has not; 3 lies between the steps that share a canvas
LIKE_OURS = replace(
    TEN,
    model=replace(TEN.model, extra_channels=True, normed=True, coarse=True),
    groups=2,
    steps_per_composite=2,
    clip=1.0,
    ema=0.9,
    workers=1,
    precision="bf16-mixed",
)

# The loss falls within a few steps: they see four pictures, each of them many times.
EASY = replace(
    TEN,
    sample=replace(TEN.sample, procedural=0.0, merge=0.0, faults=0.0, scales=(1.0,), band=4.0, wide=0.0, blunt=0.0),
    groups=4,
    steps_per_composite=15,
    steps=15,
    warmup=3,
    rate=1e-2,
    save_every=5,
)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return make_pack(tmp_path_factory.mktemp("data") / "pack")


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(TEN, id="plain"),
        pytest.param(LIKE_OURS, id="as our presets, with a worker", marks=pytest.mark.release),
    ],
)
def test_six_steps_equal_three_a_stop_and_three_more_bit_for_bit(pack, tmp_path, config):
    config = replace(config, steps=6, save_every=3)
    train(config, [pack], tmp_path / "straight", fabric=make_fabric(config.precision, accelerator="cpu"))
    train(config, [pack], tmp_path / "stopped", fabric=make_fabric(config.precision, accelerator="cpu"), max_steps=3)
    assert load_state(tmp_path / "stopped/state.safetensors")[1]["step"] == 3
    train(config, [pack], tmp_path / "stopped", fabric=make_fabric(config.precision, accelerator="cpu"), resume=True)
    ours, numbers = load_state(tmp_path / "stopped/state.safetensors")
    theirs, expected = load_state(tmp_path / "straight/state.safetensors")
    assert numbers == expected and numbers["step"] == 6
    assert set(ours) == set(theirs)
    assert [n for n in ours if not torch.equal(ours[n], theirs[n])] == []
    assert {n.split(".")[0] for n in ours} == {"model", "ema", "adam", "probes"}


@pytest.mark.release
def test_the_more_errors_at_foreground_count_the_higher_are_a_runs_alphas(pack, tmp_path):
    model = replace(TEN.model, extra_channels=True, coarse=True)
    found = []
    for weight in (0.1, 1.9):
        config = replace(TEN, model=model, foreground_weight=weight, steps=4, warmup=1)
        found.append(read_model(train(config, [pack], tmp_path / f"{weight}")).eval())
    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    inputs = network_input(picture, torch.full((1, 64, 64), 128, dtype=torch.uint8))
    with torch.no_grad():
        out = [network(inputs, [[]]) for network in found]
    for low, high in ([o.alpha.mean() for o in out], [o.coarse.mean() for o in out]):
        assert low < high


def test_a_run_learns_and_leaves_weights_and_a_curve(pack, tmp_path):
    config = replace(EASY, model=replace(TEN.model, extra_channels=True))
    weights = train(config, [pack], tmp_path / "run", fabric=cpu())
    rows = curve(tmp_path / "run")
    assert [row["step"] for row in rows] == [5, 10, 15]
    assert rows[-1]["loss"] < 0.95 * rows[0]["loss"]
    assert read_model(weights).config == config.model
    assert read_config(tmp_path / "run/config.json") == config


@pytest.mark.release
def test_a_run_starts_from_given_weights(pack, tmp_path):
    first = train(replace(TEN, steps=2), [pack], tmp_path / "first", fabric=cpu())
    train(replace(TEN, steps=1, rate=0.0, warmup=0), [pack], tmp_path / "next", fabric=cpu(), init=first)
    before, after = read_model(first).state_dict(), read_model(tmp_path / "next/model.safetensors").state_dict()
    learned = [n for n, _ in read_model(first).named_parameters()]
    assert all(torch.equal(before[n], after[n]) for n in learned)


def test_weights_of_another_shape_are_no_start(pack, tmp_path):
    first = train(replace(TEN, steps=1), [pack], tmp_path / "first", fabric=cpu())
    other = replace(TEN, model=replace(TEN.model, extra_channels=True))
    with pytest.raises(InputError, match=r"with extra_channels False, the run asks for extra_channels True$"):
        train(other, [pack], tmp_path / "next", fabric=cpu(), init=first)


def nan_loss(at):
    """`losses.total`, but no number for the patches of the calls whose number is in `at`."""
    calls = iter(range(1000))

    def total(alpha, truth, *rest, **names):
        loss, parts = losses.total(alpha, truth, *rest, **names)
        return (loss * float("nan") if next(calls) in at else loss), parts

    return total


@pytest.mark.release
def test_a_step_whose_gradient_is_no_number_is_not_taken_and_is_counted(pack, tmp_path, monkeypatch):
    monkeypatch.setattr("hdmatt.training.step.total", nan_loss({2}))
    weights = train(replace(TEN, steps=5), [pack], tmp_path / "run", fabric=cpu())
    assert all(torch.isfinite(t).all() for t in read_model(weights).state_dict().values())
    (row,) = curve(tmp_path / "run")
    assert row["skipped"] == 1 and np.isfinite(row["loss"])


@pytest.mark.release
def test_ten_such_steps_end_the_run_and_keep_the_last_checkpoint(pack, tmp_path, monkeypatch):
    monkeypatch.setattr("hdmatt.training.step.total", nan_loss(range(5, 100)))
    with pytest.raises(RuntimeError, match=r"no number 10 steps in a row \(up to step 15"):
        train(replace(TEN, steps=30, save_every=5), [pack], tmp_path / "run", fabric=cpu())
    assert all(torch.isfinite(t).all() for t in load_state(tmp_path / "run/state.safetensors")[0].values())


def test_a_folder_with_a_run_is_not_overwritten_and_an_empty_one_not_resumed(pack, tmp_path):
    train(replace(TEN, steps=1), [pack], tmp_path / "run", fabric=cpu())
    with pytest.raises(InputError, match="already holds a run"):
        train(TEN, [pack], tmp_path / "run", fabric=cpu())
    with pytest.raises(InputError, match="holds no run to resume"):
        train(TEN, [pack], tmp_path / "nothing", fabric=cpu(), resume=True)


def test_the_rate_warms_up_and_then_follows_a_cosine():
    config = replace(TEN, rate=1.0, warmup=4, steps=104, floor=0.1)
    assert [learning_rate(config, s) for s in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert learning_rate(config, 29) == pytest.approx(0.1 + 0.9 * (1 + 0.5**0.5) / 2)  # an eighth of a turn
    assert learning_rate(config, 54) == pytest.approx(0.55)
    assert learning_rate(config, 104) == pytest.approx(0.1)


def test_contexts_come_from_the_patchs_own_group_and_never_are_the_patch_itself():
    contexts = group_contexts(3, 4, topk=2, seed=(0, 7))
    assert len(contexts) == 12
    for own, chosen in enumerate(contexts):
        assert len(set(chosen)) == 2 and own not in chosen
        assert {i // 4 for i in chosen} == {own // 4}
    assert contexts == group_contexts(3, 4, topk=2, seed=(0, 7)) != group_contexts(3, 4, topk=2, seed=(0, 8))


def test_by_score_a_patch_may_look_at_all_others_of_its_group_and_chooses():
    config = replace(SHORT, contexts="score", sample=replace(SHORT.sample, group=3), topk=2)
    assert candidates(config, 2, seed=(0, 1)) == ([[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]], 2)
    random = candidates(replace(config, contexts="random"), 2, seed=(0, 1))
    assert random == (group_contexts(2, 3, topk=2, seed=(0, 1)), None)


def test_the_preset_paper_is_the_papers_recipe():
    paper = PRESETS["paper"]
    assert (paper.steps, paper.rate, paper.decay, paper.topk) == (200_000, 5e-4, 1e-4, 3)
    assert (paper.groups * paper.sample.group, paper.contexts, paper.blend) == (32, "score", "paper")
    assert (paper.model.width, paper.model.cpc, paper.model.form, paper.model.scaled) == (64, "tgnl", "literal", False)
    assert not (paper.model.extra_channels or paper.model.coarse or paper.model.normed)
    assert paper.losses == LossWeights(alpha=0.5, composition=0.5) and paper.foreground_weight == 1
    sample = paper.sample
    assert [round(sample.patch * scale) for scale in sample.scales] == [320, 480, 640]
    assert (sample.layout, sample.alike, sample.rotation, sample.longest) == ("whole", False, 15, 0)
    assert sample.tone == (1, 1) and sample.merge > 0
    ours = ("procedural", "similar", "shade", "smooth", "defocus", "wall", "faults", "wide", "blunt", "forgotten",
            "clutter", "elsewhere")  # fmt: skip
    assert not any(getattr(sample, name) for name in ours)


@pytest.mark.release
def test_the_papers_recipe_trains_and_stops_and_goes_on(pack, tmp_path):
    paper = PRESETS["paper"]
    config = replace(
        SHORT, model=replace(paper.model, width=4), sample=replace(paper.sample, patch=64, group=3), groups=1,
        contexts=paper.contexts, topk=1,
    )  # fmt: skip
    train(config, [pack], tmp_path / "straight")
    train(config, [pack], tmp_path / "stopped", max_steps=2)
    train(config, [pack], tmp_path / "stopped", resume=True)
    ours, theirs = (load_state(tmp_path / name / "state.safetensors")[0] for name in ("stopped", "straight"))
    assert [n for n in theirs if not torch.equal(ours[n], theirs[n])] == []


@pytest.mark.release
def test_the_command_line_trains_and_refuses_what_is_no_pack(pack, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, "cpu-128", replace(TEN, steps=2))
    assert main(["train", "--data", str(pack), "--out", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run/model.safetensors").is_file()
    capsys.readouterr()
    assert main(["train", "--data", str(tmp_path / "run"), "--out", str(tmp_path / "other")]) == 2
    assert str(tmp_path / "run") in capsys.readouterr().err
    assert main(["train", "--data", str(pack), "--out", str(tmp_path / "x"), "--preset", "huge"]) == 2


def test_decay_does_not_kill_weights_whose_gradient_is_small():
    """Inside of Adam a decay of 1e-4 moved such weights by the whole rate towards 0, every step."""
    run = new_training(replace(TEN, rate=1e-3, decay=1e-4))
    weights = [p for p in run.model.parameters() if p.ndim == 4]
    before = [float(p.detach().norm()) for p in weights]
    for step in range(20):
        for i, parameter in enumerate(weights):
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1000 * step + i))
            parameter.grad = 1e-8 * noise
        run.optimiser.step()
    for parameter, norm in zip(weights, before, strict=True):
        assert float(parameter.detach().norm()) > 0.99 * norm


@pytest.mark.release
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch.compile's own
def test_compiling_takes_in_encoder_and_decoder_and_changes_nothing():
    torch.manual_seed(0)
    model = HDMatt(SHORT.model).eval()
    inputs = network_input(torch.rand(2, 64, 64, 3), torch.full((2, 64, 64), 128, dtype=torch.uint8))
    plain = model(inputs, [[1], [0]]).alpha
    seen = 0

    def counting(graph, example):
        nonlocal seen
        seen += sum("conv2d" in str(node.target) for node in graph.graph.nodes)
        return graph.forward

    compile_network(model, counting)
    torch.testing.assert_close(model(inputs, [[1], [0]]).alpha, plain)
    convolutions = sum(isinstance(m, torch.nn.Conv2d) for m in model.modules())
    assert seen > 0.8 * convolutions  # all but the context module's


def test_neither_checkpoint_nor_validation_counts_as_a_steps_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("hdmatt.training.loop.time.monotonic", lambda: now[0])
    recorder = CurveRecorder()
    for spent, paused in ((2.0, 50.0), (4.0, 100.0)):
        now[0] += spent
        recorder.add({"loss": torch.zeros(())}, finite=True)
        with recorder.paused():
            now[0] += paused
    row = recorder.row(new_training(SHORT), cpu(), rate=0.1)
    assert row["seconds_a_step"] == 3.0


def test_dead_layers_show_in_the_curve(pack, tmp_path):
    assert vanished(torch.nn.Conv2d(8, 8, 3)) < 0.01
    dead = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3), torch.nn.Conv2d(8, 24, 3))
    with torch.no_grad():
        dead[1].weight.zero_()
    assert vanished(dead) == pytest.approx(0.75, abs=0.01)
    train(replace(TEN, steps=2, save_every=2), [pack], tmp_path / "run")
    assert 0 <= curve(tmp_path / "run")[0]["vanished"] < 0.05


def test_the_decoder_alone_learns_and_leaves_the_encoder_as_it_was(pack, tmp_path):
    model = replace(TEN.model, extra_channels=True, normed=True, coarse=True)
    config = replace(TEN, model=model, part="decoder", steps=6, rate=1e-2, losses=LossWeights(), ema=0.0)
    init = start(config, tmp_path)
    before = read_model(init).state_dict()
    after = read_model(train(config, [pack], tmp_path / "run", init=init, fabric=cpu())).state_dict()
    moved = {n for n in before if not torch.equal(before[n], after[n])}
    assert {"cpc.theta.weight", "decoder.coarse.weight"} <= moved
    assert not any(n.startswith("encoder.") for n in moved)  # nor its norms' statistics


@pytest.mark.parametrize("changes", [{"part": "decoder"}, {"norm": "frozen"}])
def test_what_does_not_learn_must_come_from_weights(pack, tmp_path, changes):
    config = replace(TEN, model=replace(TEN.model, extra_channels=True, coarse=True), steps=1, **changes)
    with pytest.raises(InputError, match="no weights to start from"):
        train(config, [pack], tmp_path / "run", fabric=cpu())
    with pytest.raises(InputError, match="no weights to start from"):
        train(config, [pack], tmp_path / "run", backbone=tmp_path / "any", fabric=cpu())
    with pytest.raises(InputError, match="and a backbone are given"):
        train(config, [pack], tmp_path / "run", init=start(config, tmp_path), backbone=tmp_path / "any", fabric=cpu())
    assert not (tmp_path / "run").exists()
    train(config, [pack], tmp_path / "run", init=start(config, tmp_path), fabric=cpu())


@pytest.mark.release
def test_patches_seen_are_counted_through_changes_of_the_batch_and_from_the_weights_before(pack, tmp_path):
    train(replace(TEN, groups=2), [pack], tmp_path / "run", init=start(TEN, tmp_path), fabric=cpu(), max_steps=2)
    weights = train(TEN, [pack], tmp_path / "run", fabric=cpu(), resume=True, changes=["groups=3"], max_steps=1)
    assert [row["patches"] for row in curve(tmp_path / "run")] == [8, 14]
    assert load_card(weights)["patches"] == "1014"


@pytest.mark.release
def test_a_run_goes_on_with_its_own_pictures_unless_it_is_told(pack, tmp_path):
    other = make_pack(tmp_path / "other")
    shutil.copyfile(other / "backgrounds/noise.jpg", other / "backgrounds/again.jpg")
    weights = train(TEN, [pack], tmp_path / "run", fabric=cpu(), max_steps=1)
    assert load_card(weights)["pictures"].startswith("1 foregrounds, 1 backgrounds, ")
    with pytest.raises(InputError, match=r"trained on 1 foregrounds, 1 back.*given 1 foregrounds, 2 back"):
        train(TEN, [other], tmp_path / "run", fabric=cpu(), resume=True)
    said = []
    train(TEN, [other], tmp_path / "run", fabric=cpu(), resume=True, other_pictures=True, max_steps=1, say=said.append)
    assert said[0].startswith("step 1: going on with other pictures: 1 foregrounds, 2 backgrounds")
    assert load_card(weights)["pictures"].startswith("1 foregrounds, 2 backgrounds, ")


def test_a_state_of_another_network_is_not_gone_on_from(pack, tmp_path):
    train(TEN, [pack], tmp_path / "run", fabric=cpu(), max_steps=1)
    with pytest.raises(InputError, match=r"state\.safetensors does not fit the run's configuration") as caught:
        train(TEN, [pack], tmp_path / "run", fabric=cpu(), resume=True, changes=["model.width=8"])
    assert caught.value.hint == "Undo the changes of model.*."


def test_statistics_that_a_bad_batch_spoilt_are_those_of_the_running_mean_again():
    norm = torch.nn.BatchNorm2d(2)
    run = Run({"model": norm}, torch.optim.AdamW(norm.parameters()), ema=0.9)
    norm.running_mean[:] = torch.tensor([1.0, torch.nan])
    norm.running_var[:] = 3.0
    run.restore_statistics()
    assert norm.running_mean.tolist() == [0, 0] and norm.running_var.tolist() == [3, 3]


@pytest.mark.release
def test_a_run_that_goes_on_does_not_look_at_what_it_was_started_from(pack, tmp_path):
    train(TEN, [pack], tmp_path / "run", fabric=cpu(), max_steps=1)
    train(TEN, [pack], tmp_path / "run", init=tmp_path / "gone.safetensors", fabric=cpu(), resume=True, max_steps=1)
    assert load_state(tmp_path / "run/state.safetensors")[1]["step"] == 2


@pytest.mark.release
def test_time_that_is_over_ends_a_run_with_a_checkpoint_it_can_go_on_from(pack, tmp_path, monkeypatch):
    now = iter(range(0, 10_000, 20))  # every look at the clock is 20 seconds later
    monkeypatch.setattr("hdmatt.training.loop.time.monotonic", lambda: next(now))
    train(TEN, [pack], tmp_path / "run", fabric=cpu(), max_minutes=5)
    stopped = load_state(tmp_path / "run/state.safetensors")[1]["step"]
    assert 0 < stopped < 10
    train(TEN, [pack], tmp_path / "run", fabric=cpu(), resume=True)
    assert load_state(tmp_path / "run/state.safetensors")[1]["step"] == 10


@pytest.mark.parametrize("detach", [False, True])
def test_detached_contexts_get_no_gradient(detach):
    torch.manual_seed(0)
    model = HDMatt(SHORT.model)
    with torch.no_grad():  # the fresh module adds nothing of what it reads
        model.cpc.fuse[0].weight.normal_()
    inputs = network_input(torch.rand(2, 64, 64, 3), torch.full((2, 64, 64), 128, dtype=torch.uint8)).requires_grad_()
    model.eval()(inputs, [[1], []], detach=detach).alpha[0].sum().backward()
    assert inputs.grad[0].any() and bool(inputs.grad[1].any()) != detach
