"""Two thousand pictures with names of eleven kinds: killed again and again, two runs at once, and all is right."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PICTURES, BAD = 2000, 37
KINDS = (  # eleven kinds of names, each with its number
    *(b"plain%04d", b"with two spaces %04d", "ü-é-ß%04d".encode(), "写真🦔%04d".encode(), b"brackets [%04d] (x)"),
    *(b"new\nline%04d", b"-dash%04d", b"%04d-" + 180 * b"l", b"\xff\xfe not utf8 %04d", b'quote\'s "%04d" \\ $HOME'),
    b"{stem} #### %%04d %04d",
)
COMMAND = """
import sys, hdmatt.batching.batch as batch
from functools import partial
batch.Processes = partial(batch.Processes, compute="cheap_compute:copy")
from hdmatt.cli.main import main
sys.exit(main())
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}


def name(number: int) -> str:
    """A picture's path below the input without its suffix; every third lies in a folder of such a name."""
    stem = KINDS[number % len(KINDS)] % number
    folder = KINDS[number // 7 % len(KINDS)] % 1 + b"/" if number % 3 == 0 else b""
    return os.fsdecode(folder + stem)


def started(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", COMMAND, "batch", "in", "-o", "out", "--memory", "2GiB", "--workers", "2"]
    return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def stopped(folder: Path, number: int, *, lines: int) -> int:
    """The exit code of a run that gets a signal after so many pictures."""
    run = started(folder)
    assert run.stdout
    for _ in range(lines):
        assert run.stdout.readline()
    run.send_signal(number)
    run.communicate()
    return run.returncode


def rows(folder: Path) -> list[dict]:
    files = sorted((folder / "out/.hdmatt").glob("*.jsonl"))
    lines = [line for file in files for line in file.read_bytes().split(b"\n")]
    return [json.loads(line) for line in lines if line.endswith(b"}")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    picture = cv2.imencode(".png", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()
    for number in range(PICTURES):
        path = folder / "in" / name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        bad = number % (PICTURES // BAD) == 5 and number // (PICTURES // BAD) < BAD
        Path(f"{path}.png").write_bytes(b"bad" if bad else picture)
        Path(f"{path}_trimap.png").write_bytes(b"trimap of %d" % number)
    return folder


@pytest.mark.release
def test_two_thousand_pictures_are_each_computed_once_however_often_the_run_dies(folder):
    when = random.Random(0)
    for _ in range(10):
        assert stopped(folder, signal.SIGKILL, lines=when.randint(1, 120)) == -signal.SIGKILL
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        assert stopped(folder, number, lines=when.randint(1, 60)) == code
    together = [started(folder), started(folder)]
    says = [run.communicate()[0].splitlines()[-1].decode() for run in together]
    assert [run.returncode for run in together] == [3, 3]
    assert all(f"{BAD} failed" in line for line in says), says
    shared = [int(line.split(" done")[0]) for line in says]
    assert all(shared), "one of the two did all the work"

    written = rows(folder)
    done = Counter(row["name"] for row in written if row["state"] == "done")
    assert len(done) == PICTURES - BAD and set(done.values()) == {1}
    assert len({row["name"] for row in written if row["state"] == "failed"}) == BAD
    sizes = {place: size for row in written if row["state"] == "done" for place, size in row["outputs"].items()}
    there = {path.relative_to(folder / "out") for path in (folder / "out").rglob("*") if path.is_file()}
    there = {str(path) for path in there if path.parts[0] != ".hdmatt"}
    assert there == set(sizes)
    for number in range(PICTURES):
        output = folder / "out" / f"{name(number)}_alpha.png"
        if f"{name(number)}.png" in done:
            assert output.read_bytes() == b"trimap of %d" % number and sizes[f"{name(number)}_alpha.png"] > 0
        else:
            assert not output.exists()

    last = started(folder)
    out = last.communicate()[0].decode()
    assert last.returncode == 3 and out.startswith(f"0 done, {PICTURES - BAD} unchanged, {BAD} failed")
