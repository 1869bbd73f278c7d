"""A method's name says what runs; several settings stand side by side; a mistake in a name is named."""

from pathlib import Path

import pytest

from hdmatt.errors import InputError
from hdmatt.evaluation.methods import KINDS, METHODS, NETWORK, STRATEGIES, Settings, parse, with_strategies

BASE = Settings(patch=192, memory=2**30)


def test_a_name_alone_runs_with_the_settings_of_the_call():
    for kind in KINDS:
        name = f"{kind}:x" if f"{kind}:PATH" in METHODS else kind
        method = parse(name, BASE)
        assert (method.name, method.kind, method.settings) == (name, kind, BASE)


def test_a_name_changes_its_own_settings_only():
    name = "hdmatt:topk=0,overlap=32,candidates=9,batch=2,memory=1.5GiB,model=a:b.safetensors"
    found = parse(name, BASE).settings
    assert (found.topk, found.overlap, found.candidates, found.batch, found.patch) == (0, 32, 9, 2, 192)
    assert (found.memory, found.model) == (3 * 2**29, "a:b.safetensors")


def test_every_engine_setting_but_the_device_can_be_chosen_by_a_name():
    assert set(KINDS["hdmatt"]) | {"device"} == set(Settings.__dataclass_fields__)


@pytest.mark.parametrize("path", ["w", "/a,b/c=1", "a,b", "x,topk=3"])
def test_a_path_may_hold_any_character(path):
    assert parse(f"folder:{path},patch=1", BASE).path == Path(f"{path},patch=1")
    method = parse(f"vitmatte-patches:{path},patch=256,overlap=0", BASE)
    assert (method.path, method.settings.patch, method.settings.overlap) == (Path(path), 256, 0)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("magic", "no method 'magic'", "Choose of: hdmatt, crop"),
        ("hdmat", "no method 'hdmat'", "Did you mean hdmatt?"),
        ("", "no method ''", "vitmatte-patches:PATH"),
        ("hdmatt:", "asks for ''", "topk"),
        ("hdmatt:topk", "topk to ''", "topk=2"),
        ("hdmatt:topk=two", "'two'", "whole number"),
        ("hdmatt:topk=1.5", "'1.5'", "whole number"),
        ("hdmatt:device=cpu", "no setting of hdmatt", "model, patch"),
        ("crop:topk=1", "no setting of crop", "overlap"),
        ("hdmatt:model=", "no model", "model=hdmatt-s"),
        ("hdmatt:runtime=", "no runtime", "runtime=auto"),
        ("hdmatt:memory=much", "not an amount of memory", "2GiB"),
        ("cf:radius=2", "no setting of cf", "none"),
        ("gegl-levin:levels=4", "no setting of gegl-levin", "none"),
        ("vitmatte", "needs a folder", "vitmatte:PATH"),
        ("folder:", "needs a folder", "folder:PATH"),
    ],
)
def test_a_mistake_in_a_name_is_named(name, message, hint):
    with pytest.raises(InputError) as caught:
        parse(name, BASE)
    assert message in caught.value.message and hint in caught.value.hint


def test_the_strategies_are_those_of_the_package_and_what_they_name_can_be_parsed():
    from hdmatt.inference.strategies import STRATEGIES as ours

    assert set(ours) == set(NETWORK) == set(STRATEGIES["hdmatt"])
    assert set(STRATEGIES["vitmatte"]) == set(NETWORK) - {"hdmatt"}
    names = with_strategies(["hdmatt:model=m", "vitmatte:w"], NETWORK)
    assert len({parse(name, BASE).kind for name in names}) == len(names) == 9


def test_a_network_runs_by_each_strategy_and_a_method_that_names_its_own_stays():
    found = with_strategies(["hdmatt:patch=64", "cf", "tiles", "vitmatte:a,b"], ["hdmatt", "crop", "whole", "crop"])
    assert found == [
        "hdmatt:patch=64", "crop:patch=64", "whole:patch=64", "cf", "tiles", "vitmatte-patches:a,b", "vitmatte:a,b",
    ]  # fmt: skip
    assert with_strategies(["hdmatt", "tiles"], ["tiles"]) == ["tiles"]
    assert with_strategies(["hdmatt", "cf"], []) == ["hdmatt", "cf"]


@pytest.mark.parametrize(
    ("methods", "strategies", "message", "hint"),
    [
        (["hdmatt"], ["crop", "tile"], "there is no strategy 'tile'", "Did you mean tiles?"),
        (["cf", "crop"], ["tiles"], "--strategy tiles, but none of the methods takes one: cf, crop", "--method hdmatt"),
        (["hdmatt", "vitmatte:w"], ["hdmatt"], "vitmatte:w has no strategy hdmatt", "It has crop, tiles"),
    ],
)
def test_a_strategy_that_nothing_can_run_is_refused(methods, strategies, message, hint):
    with pytest.raises(InputError) as caught:
        with_strategies(methods, strategies)
    assert caught.value.message == message and hint in caught.value.hint
