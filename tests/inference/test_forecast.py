"""The seconds that a plan promises follow from the seconds of its steps."""

from types import SimpleNamespace

import pytest

from hdmatt.inference import forecast
from hdmatt.inference.forecast import Speed


def plan(**more):
    """What the forecast reads of a plan: 10 patches to decode, 4 candidates, 1000 rows."""
    facts = {"queries": [0] * 10, "pool": [0] * 4, "first_layers": 12, "encodes": 11, "height": 1000}
    return SimpleNamespace(**{**facts, "known_colours": False, "options": SimpleNamespace(device="cpu"), **more})


def seconds(monkeypatch, speed, **more):
    monkeypatch.setattr(forecast, "measure", lambda *_: speed)
    return forecast.seconds(plan(**more), None, None, None)


def test_the_steps_of_all_patches_are_added_up(monkeypatch):
    assert seconds(monkeypatch, Speed(1.0, 0.1, 0.01, 0.0)) == pytest.approx(12 + 1.1 + 0.1)


def test_reading_and_computing_overlap_and_known_colours_come_before_both(monkeypatch):
    speed = Speed(0.1, 0.0, 0.0, 0.001)
    assert seconds(monkeypatch, speed) == pytest.approx(2.0)  # the rows are read for the candidates and for the patches
    assert seconds(monkeypatch, speed, pool=[]) == pytest.approx(1.2)  # read once, which takes 1 s
    assert seconds(monkeypatch, speed, known_colours=True) == pytest.approx(3.0)


def test_twice_the_patches_take_twice_the_time_and_two_devices_half(monkeypatch):
    speed = Speed(0.3, 0.2, 0.1, 0.0)
    once = seconds(monkeypatch, speed)
    assert seconds(monkeypatch, speed, queries=[0] * 20, first_layers=24, encodes=22) == pytest.approx(2 * once)
    both = SimpleNamespace(device="cuda:0,cuda:1")
    assert seconds(monkeypatch, speed, options=both) == pytest.approx(once / 2)


def test_nothing_unknown_takes_no_time(monkeypatch):
    assert seconds(monkeypatch, Speed(1.0, 1.0, 1.0, 1.0), queries=[]) == 0
