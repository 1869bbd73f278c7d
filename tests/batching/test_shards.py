"""Two shards as two runs on one folder, one of them killed in the middle and started again."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from small_batch import pairs

ROOT = Path(__file__).parents[2]
PICTURES = 80
COMMAND = """
import sys, hdmatt.batching.batch as batch
from functools import partial
batch.Processes = partial(batch.Processes, compute=f"cheap_compute:{sys.argv[2]}")
from hdmatt.cli.main import main
sys.exit(main(["batch", "in", "-o", "out", "--memory", "1GiB", "--workers", "1", "--shard", sys.argv[1]]))
"""


def started(folder: Path, shard: str, compute: str = "busy") -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}
    command = [sys.executable, "-c", COMMAND, shard, compute]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def rows(folder: Path) -> list[dict[str, str]]:
    lines = [line for path in (folder / "out/.hdmatt").glob("*.jsonl") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


@pytest.mark.release
def test_a_shard_that_is_killed_with_a_picture_in_flight_and_started_again_leaves_none_out(tmp_path):
    pairs(tmp_path / "in", *(f"{number:02}" for number in range(PICTURES)))
    os.mkfifo(tmp_path / "held")
    whole, killed = started(tmp_path, "1/2"), started(tmp_path, "2/2", "held")
    picture = (tmp_path / "held").read_text()  # waits until the 11th picture is begun
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    before = [row["state"] for row in rows(tmp_path) if row["name"] == picture]
    assert before == ["started"]
    again = started(tmp_path, "2/2")
    says = [run.communicate()[0].splitlines()[-1] for run in (whole, again)]
    assert whole.returncode == again.returncode == 0
    assert sum(int(line.split(" done")[0]) for line in says) == PICTURES - 10
    assert sorted(row["state"] for row in rows(tmp_path) if row["name"] == picture) == ["done", "started", "started"]
    mattes = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.png")}
    assert mattes == {f"{one:02}_alpha.png": b"trimap%02d_trimap.png" % one for one in range(PICTURES)}
    done = Counter(row["name"] for row in rows(tmp_path) if row["state"] == "done")
    assert len(done) == PICTURES and set(done.values()) == {1}
