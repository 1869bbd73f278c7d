"""How fast are samples drawn? Canvases and patches a second, and the shortest step that would not wait for them.

    python -m research.samples --data PACK [--preset gpu-s] [--set workers=15 ...] [--seconds 30]

Draws batches as a training does, with the preset's workers, and throws them away; the first round, in which workers
start, is not counted. A canvas gives `steps_per_composite` groups of `sample.group` patches: where that is high,
patches are cheap, and alike. Set OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1, as a training with many workers must.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2

from benchmarks import _shared
from hdmatt.errors import InputError
from hdmatt.samples.packs import Assets, load_assets
from hdmatt.training.batches import batches
from hdmatt.training.config import TrainConfig, changed, check_config
from hdmatt.training.presets import PRESETS


class Speed(NamedTuple):
    """What was drawn in how many seconds."""

    seconds: float
    steps: int
    canvases: float
    patches: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="asset pack; repeatable")
    parser.add_argument("--preset", default="gpu-s", choices=list(PRESETS))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="changes")
    parser.add_argument("--seconds", type=float, default=30.0, help="at least so long")
    given = parser.parse_args(arguments)
    if not given.seconds > 0:
        raise InputError(f"--seconds is {given.seconds:g}", hint="Give a time above 0.")
    config = changed(PRESETS[given.preset], given.changes)
    check_config(config)
    cv2.setNumThreads(0)  # OpenCV's threads do not survive in the workers, which are forked
    speed = drawn(load_assets(given.data, longest=config.sample.longest), config, seconds=given.seconds)
    rows = [
        ["workers", str(config.workers)],
        ["canvases a second", f"{speed.canvases / speed.seconds:.2f}"],
        ["patches a second", f"{speed.patches / speed.seconds:.1f}"],
        ["patches of a canvas", str(config.steps_per_composite * config.sample.group)],
        ["patches a step", str(config.groups * config.sample.group)],
        ["shortest step that does not wait, s", f"{speed.seconds / speed.steps:.4f}"],
    ]
    print(_shared.markdown([given.preset, ""], rows), end="")
    return 0


def drawn(assets: Assets, config: TrainConfig, *, seconds: float) -> Speed:
    """Whole rounds (steps that share canvases) until the time is over, after one that is not counted."""
    began, steps = 0.0, -config.steps_per_composite
    for _ in batches(assets, replace(config, steps=10**9), first=0):
        steps += 1
        now = time.monotonic()
        if steps == 0:
            began = now
        elif steps > 0 and steps % config.steps_per_composite == 0 and now - began >= seconds:
            break
    patches = steps * config.groups * config.sample.group
    return Speed(time.monotonic() - began, steps, steps * config.groups / config.steps_per_composite, patches)


if __name__ == "__main__":
    _shared.run(main)
