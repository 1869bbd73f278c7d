import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from small_training import SHORT, cpu, curve, make_pack

from hdmatt.cli.main import main
from hdmatt.errors import InputError, ModelError
from hdmatt.network.checkpoint import load_resnet34, load_state, load_tensors
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.training import backbone, batches
from hdmatt.training.backbone import BackboneConfig, Classifier, discover_classes, train_backbone
from hdmatt.training.curves import Curves
from hdmatt.training.loop import Limits
from hdmatt.training.presets import PRESETS
from hdmatt.training.step import schedule
from hdmatt.training.train import Start, new_training

SMALL = BackboneConfig(width=4, size=32, batch=8, epochs=12, rate=0.05, warmup=2, workers=0, save_every=4)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Two classes that the mean colour tells apart, six pictures each."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for name, base in (("dark", 20), ("light", 200)):
        (folder / name).mkdir()
        for i in range(6):
            pixels = (base + rng.integers(0, 40, (40, 48, 3))).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{i}.png"), pixels)
    return folder


@pytest.mark.release
def test_the_encoder_learns_classes_and_its_weights_start_a_matting_network(labelled, tmp_path):
    weights = train_backbone(SMALL, labelled, tmp_path / "run", fabric=cpu())
    rows = curve(tmp_path / "run")
    assert [row["step"] for row in rows] == [4, 8, 12]
    assert rows[-1]["loss"] < rows[0]["loss"] and rows[-1]["accuracy"] >= 0.5, rows
    tensors, metadata = load_tensors(weights)
    assert metadata == {"classes": "2", "steps": "12"}
    assert tensors["conv1.weight"].shape == (4, 3, 7, 7) and tensors["fc.weight"].shape == (2, 32)
    run = new_training(SHORT, Start(backbone=weights))
    encoder = run.model.encoder
    assert torch.equal(encoder.conv1.weight[:, :3], tensors["conv1.weight"])
    assert not encoder.conv1.weight[:, 3:].any()
    assert torch.equal(encoder.layer4[2].conv2.weight, tensors["layer4.2.conv2.weight"])
    assert torch.equal(run.ema["encoder.conv1.weight"], run.model.state_dict()["encoder.conv1.weight"])


def test_a_classifier_has_the_names_of_torchvisions_resnet34():
    names = {n for n in Classifier(8, 10).backbone() if not n.endswith("num_batches_tracked")}
    stages = {1: 3, 2: 4, 3: 6, 4: 3}
    expected = {"conv1.weight", "fc.weight", "fc.bias"} | {f"bn1.{n}" for n in NORM}
    for stage, blocks in stages.items():
        for block in range(blocks):
            for part in (1, 2):
                expected |= {f"layer{stage}.{block}.conv{part}.weight"}
                expected |= {f"layer{stage}.{block}.bn{part}.{n}" for n in NORM}
        if stage > 1:
            expected |= {f"layer{stage}.0.downsample.0.weight"}
            expected |= {f"layer{stage}.0.downsample.1.{n}" for n in NORM}
    assert names == expected


NORM = ("weight", "bias", "running_mean", "running_var")


def test_a_pre_training_stops_and_continues_bit_for_bit(labelled, tmp_path):
    train_backbone(SMALL, labelled, tmp_path / "straight", fabric=cpu(), limits=Limits(steps=4))
    train_backbone(SMALL, labelled, tmp_path / "stopped", fabric=cpu(), limits=Limits(steps=2))
    train_backbone(SMALL, labelled, tmp_path / "stopped", fabric=cpu(), limits=Limits(steps=2), resume=True)
    ours, theirs = (load_state(tmp_path / n / "state.safetensors")[0] for n in ("stopped", "straight"))
    assert set(ours) == set(theirs) and all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_a_pre_training_goes_on_as_it_was_started_or_not_at_all(labelled, tmp_path):
    train_backbone(SMALL, labelled, tmp_path / "run", fabric=cpu(), limits=Limits(steps=1))
    for name, value in (("batch", SMALL.batch + 1), ("epochs", SMALL.epochs + 1), ("rate", 0.7)):
        with pytest.raises(InputError, match=f"{name} is {value}, but .* was started with {getattr(SMALL, name)}"):
            train_backbone(replace(SMALL, **{name: value}), labelled, tmp_path / "run", fabric=cpu(), resume=True)
    assert load_state(tmp_path / "run/state.safetensors")[1]["step"] == 1


@pytest.mark.release
def test_a_pre_training_does_not_go_on_with_other_classes(labelled, tmp_path):
    train_backbone(SMALL, labelled, tmp_path / "run", fabric=cpu(), limits=Limits(steps=1))
    shutil.copytree(labelled, tmp_path / "more")
    (tmp_path / "more/light").rename(tmp_path / "more/pale")
    with pytest.raises(InputError, match=r"trained on 12 pictures of 2 classes, .*; it is given 12 pictures"):
        train_backbone(SMALL, tmp_path / "more", tmp_path / "run", fabric=cpu(), resume=True)


@pytest.mark.release
def test_a_worker_without_shared_memory_sends_the_same_pictures(labelled, tmp_path, monkeypatch):
    config = replace(SMALL, workers=1)
    train_backbone(config, labelled, tmp_path / "shared", fabric=cpu(), limits=Limits(steps=2))
    monkeypatch.setattr(batches, "SHARED_MEMORY", tmp_path / "none")
    train_backbone(config, labelled, tmp_path / "pipes", fabric=cpu(), limits=Limits(steps=2))
    ours, theirs = (load_state(tmp_path / n / "state.safetensors")[0] for n in ("pipes", "shared"))
    assert all(torch.equal(ours[n], theirs[n]) for n in theirs)


def test_a_folder_without_classes_is_refused(labelled, tmp_path):
    assert [name for _, name in zip(range(2), discover_classes(labelled)[1], strict=True)] == ["dark", "light"]
    with pytest.raises(InputError, match="0 subfolders"):
        discover_classes(tmp_path / "nothing")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="holds no picture"):
        discover_classes(tmp_path)
    with pytest.raises(InputError, match="holds no run to resume"):
        train_backbone(SMALL, labelled, tmp_path / "x", fabric=cpu(), resume=True)


@pytest.mark.parametrize(("name", "value"), [("width", 0), ("batch", 0), ("epochs", -1), ("size", 31)])
def test_what_cannot_be_pre_trained_is_refused_by_name(labelled, tmp_path, name, value):
    with pytest.raises(InputError, match=f"{name} is {value}, but should be greater than or equal to"):
        train_backbone(replace(SMALL, **{name: value}), labelled, tmp_path / "run", fabric=cpu())
    assert not (tmp_path / "run").exists()


def test_a_rate_that_is_not_above_0_is_a_callers_mistake(labelled, tmp_path):
    assert main(["train", "backbone", "--data", str(labelled), "--out", str(tmp_path / "run"), "--rate", "-1"]) == 2


@pytest.mark.release
def test_a_small_folders_rate_rises_in_a_tenth_of_its_steps_and_comes_down(labelled, tmp_path, monkeypatch):
    rates = []

    def noted(*args, **names):
        rates.append(schedule(*args, **names))
        return rates[-1]

    monkeypatch.setattr(backbone, "schedule", noted)
    train_backbone(replace(SMALL, epochs=30, warmup=500), labelled, tmp_path / "run", fabric=cpu())
    assert max(rates) == pytest.approx(SMALL.rate) and rates[-1] < 0.05 * SMALL.rate


def test_a_curve_loses_what_a_killed_pre_training_wrote_too_much(labelled, tmp_path):
    train_backbone(SMALL, labelled, tmp_path / "run", fabric=cpu(), limits=Limits(steps=1))
    Curves(tmp_path / "run", step=1, tensorboard=False).training({"step": 2, "loss": 9, "accuracy": 0})
    train_backbone(SMALL, labelled, tmp_path / "run", fabric=cpu(), limits=Limits(steps=2), resume=True)
    assert [row["step"] for row in curve(tmp_path / "run")] == [1, 3]


def test_a_pickle_is_not_opened_and_the_hint_converts_it(tmp_path):
    with pytest.raises(ModelError, match="is a pickle") as caught:
        load_tensors(tmp_path / "resnet34.pth")
    assert "weights_only=True" in caught.value.hint and str(tmp_path / "resnet34.safetensors") in caught.value.hint


def test_the_command_of_the_hint_converts_torchvisions_file(tmp_path):
    import shlex

    state = {name: tensor.contiguous() for name, tensor in Classifier(4, 10).backbone().items()}
    torch.save(state, tmp_path / "resnet34.pth")
    with pytest.raises(ModelError) as caught:
        load_tensors(tmp_path / "resnet34.pth")
    _, option, code = shlex.split(caught.value.hint.split(": ", 1)[1])
    assert option == "-c"
    exec(code)
    model = HDMatt(ModelConfig(width=4))
    load_resnet34(model, load_tensors(tmp_path / "resnet34.safetensors")[0])
    assert torch.equal(model.encoder.conv1.weight[:, :3], state["conv1.weight"])


@pytest.mark.release
def test_the_command_line_explains_and_runs_both_trainings(labelled, tmp_path, capsys):
    assert main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    for words in ("--resume", "--set", "--validate", "backbone", "curve.jsonl", *PRESETS):
        assert words in text
    out = tmp_path / "stage1"
    options = ["--width", "4", "--size", "32", "--batch", "12", "--epochs", "1", "--workers", "0"]
    assert main(["train", "backbone", "--data", str(labelled), "--out", str(out), *options]) == 0
    pack = make_pack(tmp_path / "pack")
    common = ["train", "--data", str(pack), "--preset", "tiny", "--accelerator", "cpu", "--set", "validate_every=0"]
    common += ["--out", str(tmp_path / "run")]
    assert main([*common, "--steps", "1", "--backbone", str(out / "backbone.safetensors")]) == 0
    assert main([*common, "--steps", "2", "--resume"]) == 0
    assert load_state(tmp_path / "run/state.safetensors")[1]["step"] == 2
    capsys.readouterr()
    assert main(["train", "--preset", "tiny"]) == 2
    assert "needs --data" in capsys.readouterr().err
    assert main([*common, "--resume", "--set", "speed=9"]) == 2
    assert "no 'speed'" in capsys.readouterr().err
