"""Promises are compared with what was measured, merged into one file, and a broken one leaves with exit code 1."""

import json

import cv2
import pytest

from benchmarks import promises
from hdmatt.bench.measure import BenchLimits
from hdmatt.bench.sweep import BenchResult, BenchRow
from hdmatt.errors import InputError
from hdmatt.evaluation.scenes import Generated

LAYERS = {
    "batch": 4,
    "groups": [{"name": "stem", "seconds": 0.1, "flops": 1e9, "lost": 0.09}],
    "kinds": [{"name": "relu", "seconds": 0.1, "flops": 0.0}],
}


@pytest.fixture
def data(tmp_path):
    for folder in ("image", "trimap"):
        (tmp_path / "hr" / folder).mkdir(parents=True)
    colours, marks = Generated(64, unknown=0.2).rows(0, 64)
    cv2.imwrite(str(tmp_path / "hr" / "image" / "HR25.jpg"), colours)
    cv2.imwrite(str(tmp_path / "hr" / "trimap" / "HR25.png"), marks)
    return tmp_path / "hr"


def fakes(monkeypatch, *, slow=5.4):
    """`bench` with rows that keep every promise, if a patch of the large picture takes `slow` / 10 s at most."""
    plans = []

    def row(method, size, limits):
        empty = BenchRow(method, size, 1, 1, 1, runs=1)
        if method == "cf" and limits.memory:
            return BenchRow(**{**vars(empty), "error": "ran out of memory"})
        seconds, memory = (90.0, 4000) if method == "cf" else (40.0, 9000) if "r34" in method else (10.0, 700)
        network = slow if size == 0.04 else 5.0
        more = {"network_seconds": network, "patches": 10, "share_of_peak": 0.8}
        return BenchRow(**{**vars(empty), "seconds": seconds, "peak_memory": memory, **more})

    def bench(plan, settings):
        plans.append(plan)
        rows = [row(name, size, plan.limits) for size in plan.megapixels for name in plan.methods]
        return BenchResult(rows, {}, [], LAYERS if plan.layers else None, {})

    monkeypatch.setattr(promises, "bench", bench)
    return plans


def test_promises_are_merged_into_one_file_and_compared(data, tmp_path, monkeypatch, capsys):
    plans = fakes(monkeypatch)
    results = tmp_path / "results" / "any-size.json"
    words = ["--data", str(data), "--results", str(results), "--megapixels", "0.01", "0.04", "--r34-width", "4"]
    assert promises.main([*words, "--only", "peak"]) == 0
    assert promises.main(words) == 0
    held = json.loads(results.read_text())
    assert list(held) == ["hr25", "36mp", "400mp", "peak"]
    values = {name: [check["measured"] for check in one["checks"]] for name, one in held.items()}
    assert values == {"hr25": [9.0, 0.175, 2.25], "36mp": [700], "400mp": [700, pytest.approx(1.08)], "peak": [0.8]}
    assert all(check["met"] for one in held.values() for check in one["checks"])
    assert all({"command", "date", "commit", "machine", "versions"} <= set(one) for one in held.values())
    _, hr25, enlarged, both, after, _ = plans
    assert hr25.runs == 3 and hr25.methods[:2] == ["hdmatt:windows=fewest", "cf"]
    assert enlarged.megapixels == (4 * 64 * 64 / 1e6,) and enlarged.colours
    assert enlarged.methods == ["hdmatt:memory=1.2GB,windows=fewest", "cf"]
    assert enlarged.limits == BenchLimits(memory=20 * 10**9)
    assert (both.megapixels, after.megapixels, both.unknown) == ((0.01, 0.04), (0.01,), 0.05)
    out = capsys.readouterr().out
    assert "stem" in out and "relu" in out and "limit 20 GB: ran out of memory" in out


def test_a_promise_that_is_broken_or_cannot_be_measured_leaves_with_1(tmp_path, monkeypatch, capsys):
    fakes(monkeypatch, slow=6.0)
    words = ["--results", str(tmp_path / "r.json"), "--megapixels", "0.01", "0.04", "--only", "400mp"]
    assert promises.main(words) == 1
    assert "NOT MET" in capsys.readouterr().out
    failed = BenchRow("hdmatt", 0.01, 1, 1, 1, error="gone")
    monkeypatch.setattr(promises, "bench", lambda plan, settings: BenchResult([failed] * 2, {}, [], None, {}))
    assert promises.main(words) == 1
    assert "failed: hdmatt at 0.01 megapixels: gone" in capsys.readouterr().out
    with pytest.raises(InputError, match="need a data folder"):
        promises.main(["--only", "peak"])
