"""Batches in processes of their own: killed workers, exit codes, the real network, what the command prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cheap_compute
import cv2
import numpy as np
import pytest
from small_batch import pairs, prepared, put

from hdmatt.batching.batch import run
from hdmatt.batching.division import Division
from hdmatt.batching.processes import Processes
from hdmatt.cli.main import main

ROOT = Path(__file__).parents[2]
DIVISION = Division(cores=2, at_once=2, memory=2**30)


@pytest.fixture(autouse=True)
def _tests_can_be_imported(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]))


def outcome(folder, compute, **options):
    made = prepared(folder / "in", folder / "out", **options)
    found = run(made, lambda _: Processes(DIVISION, f"cheap_compute:{compute.__name__}"))
    return {one.name: (one.state, one.reason) for one in found}


def scene(folder, *stems, size=48):
    """Real pictures and trimaps."""
    folder.mkdir(parents=True, exist_ok=True)
    trimap = np.zeros((size, size), np.uint8)
    trimap[8:-8, 8:-8] = 128
    trimap[16:-16, 16:-16] = 255
    for number, stem in enumerate(stems):
        pixels = np.random.default_rng(number).integers(0, 255, (size, size, 3), np.uint8)
        cv2.imwrite(str(folder / f"{stem}.png"), pixels)
        cv2.imwrite(str(folder / f"{stem}_trimap.png"), trimap)


@pytest.mark.release
def test_a_killed_process_costs_one_try_and_the_rest_goes_on(tmp_path):
    pairs(tmp_path / "in", "a", "die", "z")
    put(tmp_path / "in", "bad.jpg", data=b"bad")
    put(tmp_path / "in", "bad_trimap.png")
    found = outcome(tmp_path, cheap_compute.die)
    assert found["a.jpg"] == found["z.jpg"] == ("done", "") and found["bad.jpg"] == ("failed", "it is bad")
    state, reason = found["die.jpg"]
    assert state == "failed" and "killed (signal 9" in reason and reason.endswith("2 times")
    assert outcome(tmp_path, cheap_compute.die_once)["die.jpg"] == ("done", "")


@pytest.mark.release
def test_closing_the_iterator_leaves_no_process_and_a_ledger_to_go_on_from(tmp_path):
    pairs(tmp_path / "in", *"abcdef")
    executors: list[Processes] = []

    def make(_: Division) -> Processes:
        executors.append(Processes(DIVISION, "cheap_compute:copy"))
        return executors[-1]

    results = run(prepared(tmp_path / "in", tmp_path / "out"), make)
    next(results)
    started = [one.popen for one in executors[0]._all]
    results.close()
    assert started and all(one.poll() is not None for one in started)
    assert set(outcome(tmp_path, cheap_compute.copy).values()) <= {("done", ""), ("unchanged", "")}


@pytest.mark.release
def test_the_command_with_the_real_network(tmp_path, monkeypatch, capsys):
    """Three sorts of results, the exit code of each run, and files that are those of `hdmatt matte`."""
    monkeypatch.chdir(tmp_path)
    scene(tmp_path / "in", "a b", "-c")
    put(tmp_path / "in", "bad.png", "bad_trimap.png")
    batch = ["batch", "in", "-o", "out", "--device", "cpu", "--memory", "2GiB", "--workers", "1"]
    assert main([*batch, "--json"]) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == {"event": "summary", "done": 2, "unchanged": 0, "failed": 1, "left": 0}
    assert {one["name"]: one["state"] for one in lines[:-1]} == {
        "-c.png": "done",
        "a b.png": "done",
        "bad.png": "failed",
    }
    assert lines[0]["summary"]["width"] == 48
    assert main(batch) == 3
    out, err = capsys.readouterr()
    assert (
        out == "0 done, 2 unchanged, 1 failed (1 in earlier runs: --redo-failed tries again)\n"
        and "failed in an earlier run: in/bad.png is" in err
    )
    for suffix in ("", "_trimap"):
        os.unlink(tmp_path / "in" / f"bad{suffix}.png")
    assert main(batch) == 0
    capsys.readouterr()
    assert main([*batch, "--plan"]) == 0
    assert "2: 0 new, 0 changed or gone, 2 done, 0 failed" in capsys.readouterr().out
    assert main(["matte", "in/a b.png", "in/a b_trimap.png", "-o", "alone.png", "--device", "cpu"]) == 0
    assert (tmp_path / "alone.png").read_bytes() == (tmp_path / "out/a b_alpha.png").read_bytes()


@pytest.mark.release
def test_wrong_use_is_told_before_anything_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "a.jpg")
    for more, text in (
        (["a.jpg"], "a.jpg has no trimap"),
        ([], "no input was given"),
        (["a.jpg", "--list", "names"], "both inputs and --list"),
        (["--list", "names"], "names cannot be read"),
        (["a.jpg", "--shard", "3/2"], "--shard is '3/2'"),
        (["a.jpg", "--alpha", "{name}.png"], "{name}"),
        (["a.jpg", "--model", "nowhere"], "there is no model nowhere"),
    ):
        assert main(["batch", "-o", "out", *more]) == 2
        assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.release
def test_a_run_with_nothing_to_do_loads_no_torch(tmp_path):
    """Which is what makes it quick."""
    (tmp_path / "names").touch()
    pairs(tmp_path / "in", "a")
    assert outcome(tmp_path, cheap_compute.copy) == {"a.jpg": ("done", "")}
    code = (
        "import sys; from hdmatt.cli.main import main\n"
        "print(main(['batch', 'in', '-o', 'out', '--memory', '1GiB']), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0 done, 1 unchanged, 0 failed", "0 False"], done.stderr
