import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_training import SHORT, cpu, make_pack, start

from hdmatt.cli.main import main
from hdmatt.errors import InputError
from hdmatt.network.checkpoint import load_card, load_model, load_state
from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt, in_coarse
from hdmatt.training import losses
from hdmatt.training.config import read_config
from hdmatt.training.curves import CurveRecorder
from hdmatt.training.loop import train, train_together
from hdmatt.training.presets import PRESETS
from hdmatt.training.processes import make_fabric
from hdmatt.training.run import Row, Run
from hdmatt.training.step import compile_network, group_contexts, learning_rate, vanished

TEN = replace(
    SHORT,
    sample=replace(SHORT.sample, procedural=0.3),
    groups=1,
    steps=10,
    warmup=2,
    losses={"alpha": 0.5, "composition": 0.5, "laplacian": 0.1, "gradient": 0.1},
    probes=0.5,
    save_every=5,
)
# what the presets have and a plain run has not; 3 lies between the steps that share a canvas
LIKE_OURS = replace(
    TEN,
    model=replace(TEN.model, hints=True, normed=True, coarse=True),
    groups=2,
    repeat=2,
    spread=2,
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
    repeat=60,
    spread=15,
    steps=15,
    warmup=3,
    rate=1e-2,
    save_every=5,
)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return make_pack(tmp_path_factory.mktemp("data") / "pack")


@pytest.mark.parametrize("config", [TEN, LIKE_OURS], ids=["plain", "as our presets, with a worker"])
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


@pytest.mark.parametrize("part", ["all", "coarse"])  # "coarse" has no loss but that of alpha at stride 8
def test_the_more_a_run_leans_to_foreground_the_higher_are_its_alphas(pack, tmp_path, part):
    config, start = TEN, None
    if part == "coarse":
        config = replace(TEN, model=replace(TEN.model, hints=True, coarse=True), part=part)
        train(replace(config, part="all", steps=1), [pack], tmp_path / "start", fabric=cpu())
        start = tmp_path / "start/model.safetensors"
    rows = [Row(replace(config, lean=lean), tmp_path / f"{lean}", start) for lean in (-0.9, 0.0, 0.9)]
    train_together(rows, [pack], fabric=cpu())
    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    inputs = network_input(picture, torch.full((1, 64, 64), 128, dtype=torch.uint8))
    with torch.no_grad():
        out = [load_model(row.out / "model.safetensors").eval()(inputs, [[]]) for row in rows]
    low, middle, high = ((o.alpha if part == "all" else o.coarse).mean() for o in out)
    assert low < middle < high


def test_rows_that_share_their_batches_get_the_weights_that_each_gets_alone(pack, tmp_path):
    rows = [
        Row(replace(TEN, steps=4, save_every=2, model=replace(TEN.model, cpc=cpc), topk=topk), tmp_path / cpc)
        for cpc, topk in (("none", 0), ("nonlocal", 1), ("tgnl", 1))
    ]
    lines = []
    train_together(rows, [pack], fabric=cpu(), max_steps=2)
    weights = train_together(rows, [pack], fabric=cpu(), resume=True, say=lines.append)
    assert [line.split(":")[0] for line in lines] == ["none", "nonlocal", "tgnl"]
    for row, path in zip(rows, weights, strict=True):
        alone = load_model(train(row.config, [pack], tmp_path / f"{row.out.name}-alone", fabric=cpu()))
        together = load_model(path).state_dict()
        assert [n for n, t in alone.state_dict().items() if not torch.equal(t, together[n])] == []
        assert [r["step"] for r in csv.DictReader((row.out / "curve.csv").read_text().splitlines())] == ["2", "4"]


def test_rows_that_want_other_batches_or_stopped_elsewhere_are_refused(pack, tmp_path):
    rows = [Row(replace(TEN, seed=seed), tmp_path / str(seed)) for seed in (0, 1)]
    with pytest.raises(InputError, match="2 rows that differ"):
        train_together(rows, [pack], fabric=cpu())
    for name, steps in (("a", 1), ("b", 2)):
        train(replace(TEN, save_every=1), [pack], tmp_path / name, fabric=cpu(), max_steps=steps)
    with pytest.raises(InputError, match="at different steps"):
        train_together([Row(TEN, tmp_path / name) for name in ("a", "b")], [pack], fabric=cpu(), resume=True)


def test_a_run_learns_and_leaves_weights_and_a_curve(pack, tmp_path):
    config = replace(EASY, model=replace(TEN.model, hints=True))
    weights = train(config, [pack], tmp_path / "run", fabric=cpu())
    with (tmp_path / "run/curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [5, 10, 15]
    assert float(rows[-1]["loss"]) < 0.95 * float(rows[0]["loss"])
    assert load_model(weights).config == config.model
    assert read_config(tmp_path / "run/config.json") == config


def test_a_run_starts_from_given_weights(pack, tmp_path):
    first = train(replace(TEN, steps=2), [pack], tmp_path / "first", fabric=cpu())
    train(replace(TEN, steps=1, rate=0.0, warmup=0), [pack], tmp_path / "next", fabric=cpu(), init=first)
    before, after = load_model(first).state_dict(), load_model(tmp_path / "next/model.safetensors").state_dict()
    learned = [n for n, _ in load_model(first).named_parameters()]
    assert all(torch.equal(before[n], after[n]) for n in learned)


def test_weights_of_another_shape_are_no_start(pack, tmp_path):
    first = train(replace(TEN, steps=1), [pack], tmp_path / "first", fabric=cpu())
    other = replace(TEN, model=replace(TEN.model, hints=True))
    with pytest.raises(InputError, match=r"is a network with hints False, the run asks for hints True$"):
        train(other, [pack], tmp_path / "next", fabric=cpu(), init=first)


def nan_loss(at):
    """`losses.total`, but no number for the patches of the calls whose number is in `at`."""
    calls = iter(range(1000))

    def total(alpha, truth, *rest, **names):
        loss, parts = losses.total(alpha, truth, *rest, **names)
        return (loss * float("nan") if next(calls) in at else loss), parts

    return total


def test_a_step_whose_gradient_is_no_number_is_not_taken_and_is_counted(pack, tmp_path, monkeypatch):
    monkeypatch.setattr("hdmatt.training.step.total", nan_loss({2}))
    weights = train(replace(TEN, steps=5), [pack], tmp_path / "run", fabric=cpu())
    assert all(torch.isfinite(t).all() for t in load_model(weights).state_dict().values())
    with (tmp_path / "run/curve.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["skipped"] == "1" and np.isfinite(float(row["loss"]))


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


def test_the_preset_paper_is_the_papers_recipe():
    paper = PRESETS["paper"]
    assert (paper.steps, paper.rate, paper.decay, paper.topk) == (200_000, 5e-4, 1e-4, 3)
    assert paper.groups * paper.sample.group == 32
    assert paper.losses == {"alpha": 0.5, "composition": 0.5}
    assert [round(paper.sample.patch * c) for c in paper.sample.scales] == [320, 480, 640]


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
    run = Run(replace(TEN, rate=1e-3, decay=1e-4))
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
        recorder.pause()
        now[0] += paused
        recorder.restart()
    row = recorder.row(SHORT, Run(SHORT), cpu())
    assert float(row["seconds_a_step"]) == 3.0


def test_dead_layers_show_in_the_curve(pack, tmp_path):
    assert vanished(torch.nn.Conv2d(8, 8, 3)) < 0.01
    dead = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3), torch.nn.Conv2d(8, 24, 3))
    with torch.no_grad():
        dead[1].weight.zero_()
    assert vanished(dead) == pytest.approx(0.75, abs=0.01)
    train(replace(TEN, steps=2, save_every=2), [pack], tmp_path / "run")
    with (tmp_path / "run" / "curve.csv").open() as file:
        assert 0 <= float(next(csv.DictReader(file))["vanished"]) < 0.05


def test_the_coarse_part_alone_learns_and_leaves_what_comes_before_and_after_as_it_was(pack, tmp_path):
    model = replace(TEN.model, hints=True, normed=True, coarse=True)
    config = replace(EASY, model=model, part="coarse", rate=2e-2, probes=0.0, ema=0.0)
    init = start(config, tmp_path)
    before = load_model(init).state_dict()
    after = load_model(train(config, [pack], tmp_path / "run", init=init, fabric=cpu())).state_dict()
    moved = {n for n in before if not torch.equal(before[n], after[n]) and not n.endswith("num_batches_tracked")}
    assert moved and all(in_coarse(n) for n in moved)
    assert {"encoder.layer2.0.conv1.weight", "cpc.theta.weight", "decoder.coarse.weight"} <= moved
    with (tmp_path / "run/curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["coarse"]) < 0.95 * float(rows[0]["coarse"])
    assert float(rows[-1]["loss"]) == pytest.approx(float(rows[-1]["coarse"]), abs=1e-4)


def test_the_decoder_alone_learns_and_leaves_the_encoder_as_it_was(pack, tmp_path):
    model = replace(TEN.model, hints=True, normed=True, coarse=True)
    config = replace(TEN, model=model, part="decoder", steps=6, rate=1e-2, probes=0.0, ema=0.0)
    init = start(config, tmp_path)
    before = load_model(init).state_dict()
    after = load_model(train(config, [pack], tmp_path / "run", init=init, fabric=cpu())).state_dict()
    moved = {n for n in before if not torch.equal(before[n], after[n])}
    assert {"cpc.theta.weight", "decoder.coarse.weight"} <= moved
    assert not any(n.startswith("encoder.") for n in moved)  # nor its norms' statistics


def test_a_network_without_a_coarse_alpha_has_no_coarse_part(pack, tmp_path):
    with pytest.raises(InputError, match=r"model\.coarse=true"):
        train(replace(TEN, part="coarse"), [pack], tmp_path / "run", init=start(TEN, tmp_path), fabric=cpu())


@pytest.mark.parametrize("changes", [{"part": "decoder"}, {"part": "coarse"}, {"norm": "frozen"}])
def test_what_does_not_learn_must_come_from_weights(pack, tmp_path, changes):
    config = replace(TEN, model=replace(TEN.model, hints=True, coarse=True), steps=1, **changes)
    with pytest.raises(InputError, match="no weights to start from"):
        train(config, [pack], tmp_path / "run", fabric=cpu())
    with pytest.raises(InputError, match="no weights to start from"):
        train(config, [pack], tmp_path / "run", backbone=tmp_path / "any", fabric=cpu())
    with pytest.raises(InputError, match="and a backbone are given"):
        train(config, [pack], tmp_path / "run", init=start(config, tmp_path), backbone=tmp_path / "any", fabric=cpu())
    assert not (tmp_path / "run").exists()
    train(config, [pack], tmp_path / "run", init=start(config, tmp_path), fabric=cpu())


def test_patches_seen_are_counted_through_changes_of_the_batch_and_from_the_weights_before(pack, tmp_path):
    train(replace(TEN, groups=2), [pack], tmp_path / "run", init=start(TEN, tmp_path), fabric=cpu(), max_steps=2)
    weights = train(TEN, [pack], tmp_path / "run", fabric=cpu(), resume=True, changes=["groups=3"], max_steps=1)
    with (tmp_path / "run/curve.csv").open() as file:
        assert [row["patches"] for row in csv.DictReader(file)] == ["8", "14"]
    assert load_card(weights)["patches"] == "1014"


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


def test_a_run_that_goes_on_does_not_look_at_what_it_was_started_from(pack, tmp_path):
    train(TEN, [pack], tmp_path / "run", fabric=cpu(), max_steps=1)
    train(TEN, [pack], tmp_path / "run", init=tmp_path / "gone.safetensors", fabric=cpu(), resume=True, max_steps=1)
    assert load_state(tmp_path / "run/state.safetensors")[1]["step"] == 2


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"part": "coarse", "coarse": 0.0}, "has no weight"),
        ({"coarse": -1.0}, "negative"),
        ({"probes": -0.1}, "negative"),
    ],
)
def test_a_loss_that_leaves_nothing_to_learn_by_is_refused_before_a_step(pack, tmp_path, changes, words):
    model = replace(TEN.model, hints=True, coarse=True)
    with pytest.raises(InputError, match=words):
        config = replace(TEN, model=model, **changes)
        train(config, [pack], tmp_path / "run", init=start(config, tmp_path), fabric=cpu())
