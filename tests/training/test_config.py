from dataclasses import replace

import pytest

from hdmatt.cli.main import main
from hdmatt.errors import InputError
from hdmatt.samples.config import SampleConfig
from hdmatt.training.config import (
    LossWeights,
    TrainConfig,
    changed,
    check_config,
    read_config,
    settings,
    write_config,
)
from hdmatt.training.presets import PRESETS


def test_changes_take_the_kind_of_what_they_change():
    config = changed(
        TrainConfig(),
        [
            "rate=3e-4",
            "sample.scales=0.5,1,2",
            "model.cpc=none",
            "steps=20",
            "betas=0.5,0.99",
            "detach=true",
            "losses.gradient=0.2",
            "precision=bf16-mixed",
            "sample.drawn=480,960",
        ],
    )
    assert config.sample.drawn == (480, 960)
    assert (config.rate, config.sample.scales, config.model.cpc, config.steps) == (3e-4, (0.5, 1.0, 2.0), "none", 20)
    assert (config.betas, config.detach, config.precision) == ((0.5, 0.99), True, "bf16-mixed")
    assert config.losses == LossWeights(gradient=0.2)
    assert TrainConfig().losses == LossWeights()


def test_the_last_change_of_a_name_wins():
    assert changed(TrainConfig(), ["steps=5", "steps=7"]).steps == 7


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("rate", "has no '='"),
        ("speed=3", "there is no 'speed'"),
        ("sample.speed=3", "there is no 'sample.speed'"),
        ("smaple.patch=3", "there is no 'smaple'"),
        ("sample=3", "sample has parts"),
        ("rate.x=3", "rate has no parts"),
        ("losses.style=1", "there is no 'losses.style'"),
        ("steps=1.5", "steps is '1.5', but should be a valid integer"),
        ("detach=maybe", "detach is 'maybe', but should be a valid boolean"),
        ("model.cpc=all", "model.cpc is 'all', but should be 'none', 'nonlocal' or 'tgnl'"),
        ("betas=0.9", "betas"),
        ("sample.scales=a,b", "sample.scales is 'a', but should be a valid number"),
        ("sample.drawn=480.5", "sample.drawn is '480.5', but should be a valid integer"),
        ("rate=-1", "rate is '-1', but should be greater than or equal to 0"),
    ],
)
def test_a_change_that_does_not_fit_is_refused_with_what_would(change, words):
    with pytest.raises(InputError, match=words) as caught:
        changed(TrainConfig(), [change])
    assert caught.value.hint


def test_the_hint_lists_the_names_there_are():
    with pytest.raises(InputError) as caught:
        changed(TrainConfig(), ["model.kind=x"])
    assert "model.width, model.cpc, model.form" in caught.value.hint


@pytest.mark.parametrize("name", PRESETS)
def test_the_settings_of_a_preset_are_what_set_takes(name, tmp_path, capsys):
    assert changed(TrainConfig(), settings(PRESETS[name])) == PRESETS[name]
    write_config(PRESETS[name], tmp_path / "config.json")
    changes, expected = ["--set", "rate=0.125", "--steps", "7"], settings(replace(PRESETS[name], rate=0.125, steps=7))
    for words in (["--preset", name], ["--resume", "--out", str(tmp_path)]):
        assert main(["train", *words, "--show", *changes]) == 0
        assert capsys.readouterr().out.splitlines() == expected


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_validated_before_it_ends(name):
    assert 0 < PRESETS[name].validate_every <= PRESETS[name].steps


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_work_and_comes_back_from_its_file(name, tmp_path):
    check_config(PRESETS[name])
    write_config(PRESETS[name], tmp_path / "config.json")
    assert read_config(tmp_path / "config.json") == PRESETS[name]
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "wrong",
    [
        "steps=0",
        "groups=0",
        "sample.group=0",
        "sample.patch=72",
        "sample.scales=0",
        "topk=-1",
        "rate=-1",
        "floor=2",
        "betas=0.9,1",
        "ema=1",
        "losses.alpha=-1",
        "precision=16",
        "workers=-1",
        "save_every=0",
        "held_out=0",
        "steps_per_composite=0",
        "sample.tone=2,1",
        "sample.wall=0.6",
        "sample.rotation=50",
        "losses.probes=-1",
        "seed=-1",
        "sample.drawn=480,32",
        "sample.scales=inf",
        "sample.faults=7",
        "sample.band=0",
        "model.width=0",
        "topk=4",
        "foreground_weight=2",
    ],
)
def test_a_configuration_that_cannot_work_is_refused(wrong):
    check_config(TrainConfig())
    with pytest.raises(InputError, match=wrong.partition("=")[0]):  # the message names what is to be changed
        check_config(changed(TrainConfig(), [wrong]))


def test_a_configuration_made_in_python_is_checked_as_well():
    for wrong in ({"steps": 0}, {"sample": replace(SampleConfig(), patch=72)}, {"losses": LossWeights(0, 0, coarse=0)}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            check_config(replace(TrainConfig(), **wrong))


def test_extra_channels_of_what_lies_around_do_not_go_with_turned_patches():
    turned = changed(TrainConfig(), ["model.extra_channels=true", "sample.rotation=15"])
    with pytest.raises(InputError, match="upright patches only"):
        check_config(turned)
    check_config(changed(turned, ["model.surroundings=false"]))


def test_groups_must_share_evenly_among_the_processes():
    check_config(replace(TrainConfig(), groups=8), processes=4)
    with pytest.raises(InputError, match="3 processes cannot share evenly"):
        check_config(replace(TrainConfig(), groups=8), processes=3)


def test_a_configuration_of_an_older_version_goes_on_with_todays_names(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(
        '{"model": {"width": 8, "hints": true, "around": false}, "hint_faults": [0.1, 0, 0],'
        ' "sample": {"patch": 64, "crops": [1.0], "overview": false}, "betas": [0.9, 0.99], "lean": 0.2,'
        ' "losses": {"alpha": 1, "laplacian": 0.5}, "probes": 0.3, "coarse": 0.5, "repeat": 4, "spread": 4}'
    )
    config = read_config(path)
    assert (config.model.width, config.sample.scales, config.steps_per_composite) == (8, (1.0,), 4)
    assert config.model.extra_channels and not config.model.surroundings
    assert config.extra_channel_faults == (0.1, 0.0, 0.0)
    assert (config.foreground_weight, config.betas) == (1.2, (0.9, 0.99))
    assert config.losses == LossWeights(alpha=1.0, laplacian=0.5, probes=0.3, coarse=0.5)
    for text in ('{"model": {"colour": 8}}', '{"part": "coarse"}', '{"repeat": 4, "spread": 2}', "[]", "no JSON"):
        path.write_text(text)
        with pytest.raises(InputError, match="is no configuration of a training run") as caught:
            read_config(path)
        assert "version of hdmatt" in caught.value.hint
    with pytest.raises(InputError, match="there is no"):
        read_config(tmp_path / "nothing.json")
