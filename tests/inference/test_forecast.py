"""The seconds that a plan promises follow from the seconds of its steps."""

from dataclasses import replace

import numpy as np
import pytest

from hdmatt.inference import forecast
from hdmatt.inference.forecast import Speed
from hdmatt.inference.options import Options, Plan, RunOptions
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.patches.windows import Part, Window
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import open_trimap

WINDOW = Window(0, 0, 320)
PLAN = Plan(
    options=RunOptions.of(Options(), device="cpu"),
    height=1000,
    width=1000,
    unknown=10,
    queries=[WINDOW] * 10,
    pool=[WINDOW] * 4,
    known_colours=False,
    batch=1,
    limit=1,
    peak=1,
    on_grid=10,
    cache=3,  # 11 patches pass the encoder
    cache_bytes=0,
    stems=2,  # 12 pass the first layers
    part=Part(0, 320, 0, 320),
)


@pytest.fixture
def seconds(monkeypatch):
    """The forecast of a plan by given speeds."""
    picture, model = ArrayReader(np.zeros((8, 8, 3), np.uint8)), HDMatt(ModelConfig(width=4))
    trimap = open_trimap(np.full((8, 8), 128, np.uint8))

    def forecast_of(speed, **changes):
        monkeypatch.setattr(forecast, "time_one_patch", lambda *_: speed)
        return forecast.seconds(replace(PLAN, **changes), picture, trimap, model)

    return forecast_of


def test_the_steps_of_all_patches_are_added_up(seconds):
    assert seconds(Speed(1.0, 0.1, 0.01, 0.0)) == pytest.approx(12 + 1.1 + 0.1)


def test_reading_and_computing_overlap_and_known_colours_come_before_both(seconds):
    speed = Speed(0.1, 0.0, 0.0, 0.001)
    assert seconds(speed) == pytest.approx(2.0)  # the rows are read for the candidates and for the patches
    assert seconds(speed, known_colours=True) == pytest.approx(3.0)
    assert seconds(Speed(1.0, 0.0, 0.0, 0.001)) == pytest.approx(12.0)
    alone = seconds(Speed(0.0, 0.0, 0.01, 0.001), pool=[], cache=0, stems=0)
    assert alone == pytest.approx(1.0)  # read once


def test_twice_the_patches_take_twice_the_time(seconds):
    speed = Speed(0.3, 0.2, 0.1, 0.0)
    twice = seconds(speed, queries=[WINDOW] * 20, pool=[WINDOW] * 8, cache=6, stems=4)
    assert twice == pytest.approx(2 * seconds(speed))


def test_nothing_unknown_takes_no_time(seconds):
    assert seconds(Speed(1.0, 1.0, 1.0, 1.0), queries=[]) == 0
