"""The benchmark of batches: what is typed, and what is compared."""

import importlib
import subprocess
from pathlib import Path

import cv2
import pytest


@pytest.fixture(scope="module")
def batch():
    return importlib.import_module("benchmarks.batch")


def test_the_pictures_have_the_size_and_differ(batch, tmp_path):
    batch.make_pictures(tmp_path, 0.01, 2)
    one, other = (cv2.imread(str(tmp_path / f"p{number}.jpg")) for number in (0, 1))
    assert one.shape[0] * one.shape[1] == pytest.approx(10_000, rel=0.02) and (one != other).any()  # 2 %: whole pixels
    assert cv2.imread(str(tmp_path / "p1_trimap.png"), 0).shape == one.shape[:2]


@pytest.mark.parametrize("way", ["loop", "cores"])
def test_the_shells_run_one_command_a_picture(batch, tmp_path, monkeypatch, way):
    said = tmp_path / "said"
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    subprocess.run(batch.command(way, Path("in"), Path("out"), 3), check=True)
    wanted = [f"-m hdmatt matte in/p{n}.jpg in/p{n}_trimap.png -o out/p{n}_alpha.png --device cpu" for n in range(3)]
    assert sorted(said.read_text().splitlines()) == wanted


def test_ratios_are_compared_with_what_is_wanted(batch):
    def row(way: str, seconds: float, memory: int):
        return batch.Measured(way, 1.0, 10, seconds, 2 * seconds, memory, 2.0)

    lines = batch.checks([row("loop", 40, 10), row("cores", 11, 40), row("batch", 10, 30)])
    assert "4.00 x loop" in lines[0] and "wanted 3: met" in lines[0]
    assert "1.10 x cores" in lines[1] and "wanted 1.2: NOT MET" in lines[1] and "0.75 x its memory" in lines[1]
    assert batch.checks([row("loop", 40, 10)]) == []
