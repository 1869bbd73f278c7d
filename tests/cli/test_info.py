"""`hdmatt info --check`: what works, what is absent, what fails."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from hdmatt.cli import info_check
from hdmatt.cli.main import main


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """A matte without a network: the trimap."""

    def matte(picture, trimap, **_):
        return SimpleNamespace(alpha=trimap / np.float32(255))

    monkeypatch.setattr("hdmatt.api.matte", matte)


def test_every_part_is_tried_and_the_exit_code_is_0(capsys):
    assert main(["info", "--check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    checks = found["checks"]
    assert found["works"] and {one["part"] for one in checks} >= {
        "system",
        "memory",
        "package",
        "format",
        "model",
        "device",
    }
    assert {one["state"] for one in checks} <= {"works", "absent"}
    names = {one["name"] for one in checks if one["part"] == "format" and one["state"] == "works"}
    assert {"png 8", "png 16", "jpg 8", "tif float", "exr half", "webp 8", "avif"} <= names


def test_what_fails_is_named_and_does_not_end_the_rest(capsys, monkeypatch):
    def broken(path, depth):
        raise OSError(f"no codec\nfor {path.suffix}")

    monkeypatch.setattr(info_check, "_written_and_read", broken)
    assert main(["info", "--check"]) == 1
    out = capsys.readouterr().out
    assert "fails   format   exr half" in out and "OSError: no codec\n" in out
    assert "works   device   cpu" in out and out.splitlines()[-1].startswith("fails: format png 8, format png 16")


@pytest.mark.parametrize(
    ("alpha", "said"),
    [
        (lambda trimap: trimap * np.float32(0), "wrong pixels"),
        (lambda trimap: trimap * np.float32("nan"), "wrong pixels"),
    ],
)
def test_wrong_pixels_of_a_device_fail(monkeypatch, alpha, said):
    monkeypatch.setattr("hdmatt.api.matte", lambda picture, trimap, **_: SimpleNamespace(alpha=alpha(trimap)))
    (cpu,) = [one for one in info_check._devices() if one.name == "cpu"]
    assert cpu.state == "fails" and said in cpu.detail


def test_a_device_that_is_off_from_the_first_fails():
    first = [np.full((96, 96), 0.5, np.float32)]
    with pytest.raises(RuntimeError, match=r"off by 0\.5"):
        info_check._tiny_matte("cuda:0", first)


def test_a_package_that_cannot_be_imported_is_named_and_the_rest_is_not_tried(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    assert main(["info", "--check"]) == 1
    out = capsys.readouterr().out
    assert "fails   package  OpenImageIO" in out and out.splitlines()[-1] == "fails: package OpenImageIO"
    assert "works   package  torch" in out and "format" not in out


def test_an_extra_is_absent_until_all_of_it_is_installed(monkeypatch):
    needs = [
        "numpy>=1; extra == 'here'",
        "numpy; extra == 'half'",
        "no-such-thing>=2 ; extra == 'half'",
        "pytest; extra == 'dev'",
    ]
    monkeypatch.setattr(info_check.metadata, "requires", lambda _: needs)
    found = {one.name: (one.state, one.detail) for one in info_check._extras()}
    assert found == {"here": ("works", "numpy"), "half": ("absent", "pip install 'hdmatt[half]'")}
