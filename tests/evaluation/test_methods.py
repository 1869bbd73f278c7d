"""A method's name says what runs; several settings stand side by side; a mistake in a name is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from hdmatt.errors import InputError
from hdmatt.evaluation.methods import KINDS, METHODS, NETWORK, Settings, parse_method
from hdmatt.inference.options import NetworkChoice, Options

BASE = Settings(Options(patch=192, memory=2**30, windows="grid"))


def test_a_name_alone_runs_with_the_settings_of_the_call():
    for kind in KINDS:
        name = f"{kind}:x" if f"{kind}:PATH" in METHODS else kind
        method = parse_method(name, BASE)
        wanted = replace(BASE.options, overlap=0) if kind.endswith("tiles") else BASE.options
        assert (method.name, method.kind, method.settings) == (name, kind, replace(BASE, options=wanted))


def test_a_name_changes_its_own_settings_only():
    name = "hdmatt:topk=0,overlap=32,candidates=9,batch=2,memory=1.5GiB,small_first=no,blend=paper"
    found = parse_method(f"{name},model=a:b.safetensors", BASE).settings
    wanted = {"topk": 0, "overlap": 32, "candidates": 9, "batch": 2, "memory": 3 * 2**29, "small_first": False}
    assert found.options == replace(BASE.options, **wanted, blend="paper")
    assert found.network == replace(BASE.network, model="a:b.safetensors")
    # 96 goes with the 16 that follows, not with the 64 of the call
    assert parse_method("hdmatt:patch=96,overlap=16", Settings()).settings.options.patch == 96


def test_every_option_but_the_device_can_be_chosen_by_a_name():
    assert {*KINDS["hdmatt"], "device"} == {*Options.__dataclass_fields__, *NetworkChoice.__dataclass_fields__}
    assert Settings().record().keys() == {*KINDS["hdmatt"], "device"}


@pytest.mark.parametrize("path", ["w", "/a,b/c=1", "a,b", "x,topk=3"])
def test_a_path_may_hold_any_character(path):
    assert parse_method(f"folder:{path},patch=1", BASE).path == Path(f"{path},patch=1")
    method = parse_method(f"vitmatte-patches:{path},patch=256,overlap=0", BASE)
    assert (method.path, method.settings.options.patch, method.settings.options.overlap) == (Path(path), 256, 0)


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
        ("hdmatt:small_first=maybe", "small_first to 'maybe'", "small_first=yes"),
        ("hdmatt:windows=most", "windows is 'most'", "fewest, grid"),
        ("hdmatt:memory=much", "not an amount of memory", "2GiB"),
        ("cf:radius=2", "no setting of cf", "none"),
        ("gegl-levin:levels=4", "no setting of gegl-levin", "none"),
        ("vitmatte", "needs a folder", "vitmatte:PATH"),
        ("folder:", "needs a folder", "folder:PATH"),
    ],
)
def test_a_mistake_in_a_name_is_named(name, message, hint):
    with pytest.raises(InputError) as caught:
        parse_method(name, BASE)
    assert message in caught.value.message and hint in caught.value.hint


def test_our_methods_are_the_packages_strategies():
    from hdmatt.inference.strategies import STRATEGIES

    assert tuple(STRATEGIES) == NETWORK
