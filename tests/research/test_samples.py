from dataclasses import replace

import pytest
from small_training import SHORT, make_pack

from hdmatt.samples.packs import load_assets
from hdmatt.training.presets import PRESETS


@pytest.fixture
def samples(script):
    return script("research.samples")


def test_whole_rounds_are_counted_but_not_the_first(samples, tmp_path, monkeypatch):
    now = iter(range(1000))  # a second a look
    monkeypatch.setattr(samples.time, "monotonic", lambda: next(now))
    config = replace(SHORT, groups=2, steps_per_composite=2)  # two composites for two steps
    speed = samples.drawn(load_assets([make_pack(tmp_path / "pack")]), config, seconds=3)
    assert (speed.steps, speed.canvases, speed.patches) == (4, 4, 16)
    assert speed.seconds == 5  # four steps, and the look after them


def test_the_command_says_what_a_step_may_take(samples, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, "gpu-s", replace(SHORT, groups=3))
    assert samples.main(["--data", str(make_pack(tmp_path / "pack")), "--seconds", "0.01"]) == 0
    rows = dict(line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:])
    assert (rows["patches of a canvas"], rows["patches a step"]) == ("2", "6")
    step, rate = float(rows["shortest step that does not wait, s"]), float(rows["patches a second"])
    assert step * rate == pytest.approx(6, rel=0.05)
