import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SAID = {"unknown_share": 0.1, "patches": 4, "encoded": 5, "cache_hits": 3, "seconds": 1.0} | {
    "expected_memory": 600 << 20,
    "memory_limit": 1 << 30,
    "peak_memory": 500 << 20,
}


@pytest.fixture(scope="module")
def benchmark():
    return importlib.import_module("benchmarks.memory")


@pytest.mark.parametrize(("code", "row"), [(0, {"peak_memory": 500 << 20}), (2, {"error": "hdmatt: too small"})])
def test_rows_are_kept_with_their_origin_and_a_failed_run_leaves_with_1(
    benchmark, monkeypatch, tmp_path, capsys, code, row
):
    def matte(command, **_):
        assert command[command.index("--memory") + 1] == "700MiB" and Path(command[4]).stat().st_size
        return subprocess.CompletedProcess(command, code, json.dumps(SAID), "hdmatt: too small\n" * bool(code))

    monkeypatch.setattr(benchmark, "_matte", matte)
    monkeypatch.setattr(sys, "argv", ["x", "--limit", "700MiB", "--size", "70x50", "--json", str(tmp_path / "m.json")])
    assert benchmark.main() == (1 if code else 0)
    assert ("500" in capsys.readouterr().out) == (not code)
    record = json.loads((tmp_path / "m.json").read_text())
    assert record["command"].startswith("python -m benchmarks.memory --limit 700MiB")
    assert re.fullmatch(r"[0-9a-f]{40}\+?|unknown", str(record["commit"])) and record["machine"]["cpu"]
    assert [{key: found[key] for key in row} for found in record["rows"]] == [row]
    assert record["rows"][0]["picture"] == "70x50"
