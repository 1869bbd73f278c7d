from dataclasses import replace

import pytest

from hdmatt.cli.main import main
from hdmatt.errors import InputError
from hdmatt.training.config import TrainConfig, changed, check, read_config, settings, write_config
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
    assert config.losses == {"alpha": 0.5, "composition": 0.5, "gradient": 0.2}
    assert TrainConfig().losses == {"alpha": 0.5, "composition": 0.5}


def test_the_last_change_of_a_name_wins():
    assert changed(TrainConfig(), ["steps=5", "steps=7"]).steps == 7


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("rate", "has no '='"),
        ("speed=3", "no 'speed'"),
        ("sample.speed=3", "no 'speed'"),
        ("sample=3", "has parts"),
        ("rate.x=3", "has no parts"),
        ("losses.style=1", "weight by part"),
        ("steps=1.5", "'1.5' does not fit"),
        ("detach=yes", "'yes' does not fit"),
        ("model.cpc=all", "'all' does not fit"),
        ("betas=0.9", "'0.9' does not fit"),
        ("sample.scales=a,b", "'a,b' does not fit"),
        ("sample.drawn=480.5", "'480.5' does not fit"),
    ],
)
def test_a_change_that_does_not_fit_is_refused_with_what_would(change, words):
    with pytest.raises(InputError, match=words) as caught:
        changed(TrainConfig(), [change])
    assert caught.value.hint


def test_the_hint_lists_the_names_there_are():
    with pytest.raises(InputError) as caught:
        changed(TrainConfig(), ["model.kind=x"])
    assert "width, cpc, form" in caught.value.hint


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
    check(PRESETS[name])
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
        "repeat=3",
        "rate=-1",
        "floor=2",
        "betas=0.9,1",
        "ema=1",
        "losses.alpha=0",
        "precision=16",
        "workers=-1",
        "save_every=0",
        "held_out=0",
        "repeat=0",
        "spread=0",
        "sample.drawn=480,32",
        "sample.scales=inf",
        "sample.faults=7",
        "sample.band=0",
        "model.width=0",
        "topk=4",
        "lean=1.5",
    ],
)
def test_a_configuration_that_cannot_work_is_refused(wrong):
    config = replace(TrainConfig(), losses={"alpha": 1.0})
    check(config)
    name = wrong.partition("=")[0].split(".")[0 if wrong.startswith("losses") else -1]
    with pytest.raises(InputError, match=name):  # and the message names what is to be changed
        check(changed(config, [wrong]))


def test_groups_must_share_evenly_among_the_processes():
    check(replace(TrainConfig(), groups=8), processes=4)
    with pytest.raises(InputError, match="3 processes cannot share evenly"):
        check(replace(TrainConfig(), groups=8), processes=3)
    with pytest.raises(InputError, match="spread is 3"):
        check(replace(TrainConfig(), groups=8, repeat=4, spread=3))
    with pytest.raises(InputError, match="repeat is 4, which does not divide the 1 groups of a process and 2 steps"):
        check(replace(TrainConfig(), groups=1, repeat=4, spread=2))
    with pytest.raises(InputError, match="repeat is 2"):
        check(replace(TrainConfig(), groups=8, repeat=2), processes=8)


def test_a_configuration_of_an_older_version_has_defaults_for_what_it_did_not_know(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"model": {"width": 8}, "sample": {"patch": 64, "scales": [1.0]}, "betas": [0.9, 0.99]}')
    config = read_config(path)
    assert (config.model.width, config.sample.scales, config.repeat) == (8, (1.0,), 1)
    path.write_text('{"model": {"colour": 8}}')
    with pytest.raises(InputError, match="no configuration"):
        read_config(path)
    with pytest.raises(InputError, match="there is no"):
        read_config(tmp_path / "nothing.json")
