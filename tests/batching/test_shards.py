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
batch.Processes = partial(batch.Processes, compute="cheap_compute:busy")
from hdmatt.cli.main import main
sys.exit(main(["batch", "in", "-o", "out", "--memory", "1GiB", "--workers", "1", "--shard", sys.argv[1]]))
"""


def started(folder: Path, shard: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}
    command = [sys.executable, "-c", COMMAND, shard]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.release
def test_a_shard_that_is_killed_and_started_again_leaves_no_picture_out(tmp_path):
    pairs(tmp_path / "in", *(f"{number:02}" for number in range(PICTURES)))
    whole, killed = started(tmp_path, "1/2"), started(tmp_path, "2/2")
    assert killed.stdout
    for _ in range(10):
        assert killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    again = started(tmp_path, "2/2")
    says = [run.communicate()[0].splitlines()[-1] for run in (whole, again)]
    assert whole.returncode == again.returncode == 0
    assert sum(int(line.split(" done")[0]) for line in says) < PICTURES, "nothing was left for the killed run"
    mattes = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.png")}
    assert mattes == {f"{one:02}_alpha.png": b"trimap%02d_trimap.png" % one for one in range(PICTURES)}
    ledger = [line for path in (tmp_path / "out/.hdmatt").glob("*.jsonl") for line in path.read_text().splitlines()]
    done = Counter(row["name"] for row in map(json.loads, ledger) if row["state"] == "done")
    assert len(done) == PICTURES and set(done.values()) == {1}
