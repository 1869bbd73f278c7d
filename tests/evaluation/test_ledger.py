"""A row counts only for the bytes it was computed from, and says when and where that was."""

import hashlib
import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from small_evaluation import NAMES, call, make_set, read, rows_of

from hdmatt.errors import InputError
from hdmatt.evaluation import evaluate as evaluate_module
from hdmatt.evaluation import ledger, timed
from hdmatt.evaluation import provenance as provenance_module
from hdmatt.evaluation.compose import Composition
from hdmatt.evaluation.evaluate import _limits, find_items
from hdmatt.evaluation.ledger import ScoreRow, inputs_of
from hdmatt.evaluation.methods import Settings, parse_method
from hdmatt.evaluation.provenance import origins, provenance
from hdmatt.evaluation.run_method import method_program
from hdmatt.evaluation.scenes import tiny_pair
from hdmatt.evaluation.testsets import Item
from hdmatt.inference.options import Options
from hdmatt.pictures.trimap import from_alpha


@pytest.fixture
def data(tmp_path):
    return make_set(tmp_path / "toys")


def sha256(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


def record_of(out):
    return json.loads((out / "result.json").read_text())


def shift(path):
    """The same picture moved to the right: other bytes of the same size."""
    cv2.imwrite(str(path), np.roll(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 9, axis=1))


# ---------------------------------------------------------------------------------------------------- which bytes


def test_inputs_are_the_checksum_of_the_files_checksums_in_their_order(tmp_path):
    paths = {name: tmp_path / name for name in ("picture", "trimap", "truth", "finished", "background")}
    for name, path in paths.items():
        path.write_bytes(name.encode())
    item = Item("a", paths["picture"], paths["trimap"], paths["truth"], "")

    def wanted(*names):
        return sha256("".join(f"{sha256(name) if name != '-' else '-'}\n" for name in names))[:16]

    assert inputs_of(item) == wanted("picture", "trimap", "truth", "-")
    assert inputs_of(item, paths["finished"]) == wanted("picture", "trimap", "truth", "finished")
    parts = Composition(paths["picture"], paths["truth"], paths["background"])
    composed = replace(item, picture=parts)
    assert inputs_of(composed) == wanted("picture", "truth", "background", "trimap", "truth", "-")
    with pytest.raises(InputError, match=r"nothing\.png cannot be read \(No such file"):
        inputs_of(item, tmp_path / "nothing.png")


def test_a_file_is_read_once_for_all_methods_and_trimaps(data, tmp_path, monkeypatch):
    shutil.copytree(data / "trimap", data / "trimap2")
    seen = []
    monkeypatch.setattr(ledger, "digest", lambda path: (seen.append(path), sha256(path.read_bytes()))[1])
    methods = [f"folder:{data / 'mattes'}", f"folder:{data / 'alpha'}"]
    result = evaluate_module.evaluate(find_items([data]), methods, tmp_path / "report")
    assert result.computed == 2 * 2 * len(NAMES)
    assert len(seen) == len(set(seen)) == 5 * len(NAMES)  # image, two trimaps, alpha, mattes


@pytest.mark.release
@pytest.mark.parametrize("kind", ["image", "trimap", "alpha", "mattes"])
def test_a_file_that_changed_under_its_name_is_scored_again_and_only_that(data, tmp_path, kind):
    out, path = tmp_path / "report", data / kind / "hair.png"
    assert call(data, out) == 0
    before, first = rows_of(out), path.read_bytes()
    shift(path)
    assert call(data, out) == 0
    rows = rows_of(out)
    assert rows[:2] == before and [row.name for row in rows[2:]] == ["hair"]
    old, new = before[NAMES.index("hair")], rows[2]
    assert new.inputs != old.inputs and (new.sad != old.sad) == (kind != "image")
    assert record_of(out)["summary"][0]["sad"] == (before[NAMES.index("b&rd")].sad + new.sad) / 2
    assert new.matte != old.matte  # an earlier row's matte stays what it was
    path.write_bytes(first)
    assert call(data, out) == 0
    assert rows_of(out) == rows and record_of(out)["summary"][0]["sad"] == (before[0].sad + before[1].sad) / 2


def test_another_data_set_of_the_same_name_has_its_own_scores(data, tmp_path):
    out, method = tmp_path / "report", ("--method", f"folder:{data / 'mattes'}")
    assert call(data, out, *method) == 0
    other = make_set(tmp_path / "elsewhere" / "toys")
    for path in (other / "alpha").iterdir():
        shift(path)
    assert call(other, out, *method) == 0
    rows = rows_of(out)
    assert len(rows) == 4 and {row.sad for row in rows[:2]}.isdisjoint(row.sad for row in rows[2:])


def test_rows_of_before_there_were_checksums_count_only_when_a_script_fills_them_in(data, tmp_path):
    out = tmp_path / "report"
    assert call(data, out) == 0
    file = out / "scores.jsonl"
    new = [json.loads(line) for line in file.read_text().splitlines()]
    for row in new:
        for name in ("inputs", "run", "date", "memory_limit", "batch"):
            del row[name]
    file.write_text("".join(json.dumps(row) + "\n" for row in new))
    items = find_items([data])["toys"]
    filled = [
        {**row, "inputs": inputs_of(item, data / "mattes" / f"{item.name}.png")}
        for row, item in zip(new, items, strict=True)
    ]
    assert call(data, out) == 0 and len(rows_of(out)) == 4
    file.write_text("".join(json.dumps(row) + "\n" for row in filled))
    assert call(data, out) == 0 and len(rows_of(out)) == 2
    record = record_of(out)
    assert record["provenance"] == "where 2 of 2 rows were computed was not recorded"
    assert [(one["run"], one["commit"], one["rows"]) for one in record["runs"]] == [(None, None, 2)]
    assert record["summary"][0]["runs"] == [None]
    assert "was not recorded" in (out / "report.html").read_text(encoding="utf-8")


def test_a_made_trimap_is_made_again_when_the_truth_changed_and_left_alone_otherwise(data, tmp_path):
    shutil.rmtree(data / "trimap")
    out, words = tmp_path / "report", ["--method", f"folder:{data / 'mattes'}", "--make-trimap", 3]
    made = {name: out / "trimaps" / "toys" / "made-3" / f"{name}.png" for name in NAMES}
    assert call(data, out, *words) == 0
    before = {name: path.stat().st_mtime_ns for name, path in made.items()}
    shift(data / "alpha" / "hair.png")
    assert call(data, out, *words) == 0
    truth = read(data / "alpha" / "hair.png")
    np.testing.assert_array_equal(read(made["hair"]), from_alpha(truth, radius=3))
    assert made["b&rd"].stat().st_mtime_ns == before["b&rd"]
    assert [row.name for row in rows_of(out)[2:]] == ["hair"]
    (out / "trimaps/toys/made-3/hair.png.truth-sha256").unlink()  # as one that was made before there were checksums
    cv2.imwrite(str(made["hair"]), np.full_like(truth, 128))
    assert call(data, out, *words) == 0
    np.testing.assert_array_equal(read(made["hair"]), from_alpha(truth, radius=3))


# ---------------------------------------------------------------------------------------------------- when and where


def test_one_run_says_nothing_more_and_rows_of_two_commits_are_told_apart(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "report"
    words = ["--method", f"folder:{data / 'mattes'}"]
    monkeypatch.setattr(provenance_module, "_commit", lambda: "a" * 40)
    assert call(data, out, *words, "--limit", 1, "--memory", "2GiB") == 0
    record = record_of(out)
    assert record["provenance"] == "" and [one["commit"] for one in record["runs"]] == ["a" * 40]
    assert "Mind:" not in (out / "report.html").read_text(encoding="utf-8")
    assert "note:" not in capsys.readouterr().err

    monkeypatch.setattr(provenance_module, "_commit", lambda: "b" * 40)
    assert call(data, out, *words) == 0
    record = record_of(out)
    assert record["provenance"] == "rows are of 2 runs, which differ in commit"
    assert [(one["commit"], one["rows"], one["settings"]["memory"]) for one in record["runs"]] == [
        ("a" * 40, 1, 2**31),
        ("b" * 40, 1, None),
    ]
    first, second = rows_of(out)
    assert [first.run, second.run] == [one["run"] for one in record["runs"]] == record["summary"][0]["runs"]
    assert first.date is not None and second.date is not None and first.run != second.run
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "rows are of 2 runs, which differ in commit" in page and "a" * 40 in page and "b" * 40 in page
    assert "The call that wrote this page, not that of all rows" in page
    assert page.count(f">{first.run}</td>") == 2  # the picture's row and the run's
    assert "note: rows are of 2 runs" in capsys.readouterr().err

    monkeypatch.setattr(provenance_module, "_commit", lambda: "c" * 40)
    assert call(data, out, *words) == 0  # computes nothing, so it is no run of any row
    assert [one["commit"] for one in record_of(out)["runs"]] == ["a" * 40, "b" * 40]
    assert len((out / "runs.jsonl").read_text().splitlines()) == 2


def test_another_memory_limit_or_batch_is_the_same_row_and_is_told():
    def row(name, limit, batch=None, method="hdmatt", run="a"):
        return ScoreRow(method, "", "set", "t", name, run=run, memory_limit=limit, batch=batch)

    known = {"commit": "c", "machine": {}, "versions": {}, "date": "2026-01-01", "settings": {}, "command": ""}
    runs = {name: {"run": name, **known} for name in "ab"}

    def told(*rows):
        return provenance(rows, origins(rows, runs), "a")

    assert told(row("1", 1), row("2", 1)) == told(row("1", 1), row("1", None, method="cf")) == ""
    assert told(row("1", 1), row("2", 2, run="b")) == "rows are of 2 runs, which differ in memory limit"
    assert told(row("1", 1, 4), row("2", 1, run="b")) == "rows are of 2 runs, which differ in batch"
    other_method = told(row("1", 1), row("1", None, method="cf", run="b"))
    assert other_method == "rows are of 2 runs, of the same commit, machine, versions, memory limit and batch"
    assert told(row("1", 1, run="b")) == "all rows are of an earlier run, 2026-01-01, commit c"
    keys = {row("1", 1).key, row("1", 2, 4, run="b").key}
    assert len(keys) == 1


def test_a_row_holds_the_limits_of_its_own_method():
    settings = Settings(Options(memory=2**30, batch=2))
    limits = {name: _limits(parse_method(name, settings)) for name in ("hdmatt", "hdmatt:memory=1MiB", "cf", "whole")}
    assert limits == {
        "hdmatt": {"memory_limit": 2**30, "batch": 2},
        "hdmatt:memory=1MiB": {"memory_limit": 2**20, "batch": 2},
        "cf": {"memory_limit": None, "batch": None},
        "whole": {"memory_limit": 2**30, "batch": None},
    }


def test_a_complete_line_that_is_not_ours_is_an_error_and_stays(data, tmp_path, capsys):
    out = tmp_path / "report"
    assert call(data, out) == 0
    capsys.readouterr()
    with (out / "scores.jsonl").open("a") as file:
        file.write('{"from": "a later version"}\n')
    before = (out / "scores.jsonl").read_bytes()
    assert call(data, out) == 2 and "line 3 of" in capsys.readouterr().err
    assert (out / "scores.jsonl").read_bytes() == before


# ---------------------------------------------------------------------------------------------------- time


class Clock:
    """Seconds that pass only when a method says so."""

    seconds = 0.0

    def monotonic(self):
        return self.seconds


def test_the_first_picture_is_not_charged_for_what_happens_once(data, tmp_path, monkeypatch):
    clock, made = Clock(), []

    def load(method):
        clock.seconds += 1000

        def compute(item, path):
            clock.seconds += 1 if made else 100  # compiles on its first picture
            made.append(item.name)

        return compute

    monkeypatch.setattr(timed, "time", clock)
    monkeypatch.setattr(timed, "method_program", load)
    run = timed.clocked(parse_method("cf", Settings()))
    items = find_items([data])["toys"]
    runs = [run((item, tmp_path / "matte.png")) for item in items]
    assert [(seconds, error) for seconds, _, error in runs] == [(1.0, None), (1.0, None)]
    assert made == ["warm-up", *(item.name for item in items)]


def test_a_warm_up_that_fails_is_the_row_s_error_and_is_tried_again(data, tmp_path, monkeypatch):
    wrong = [RuntimeError("no kernel"), InputError("too small", hint="")]

    def compute(item, path):
        if wrong:
            raise wrong.pop(0)

    monkeypatch.setattr(timed, "method_program", lambda method: compute)
    run = timed.clocked(parse_method("cf", Settings()))
    item = find_items([data])["toys"][0]
    errors = [run((item, tmp_path / "matte.png"))[2] for _ in range(3)]
    assert errors == ["before the first picture: RuntimeError: no kernel", "before the first picture: too small", None]


@pytest.mark.release
@pytest.mark.parametrize("name", ["cf", "knn", "lbdm", "lkm", "rw", "sm"])
def test_every_classical_method_mattes_the_picture_of_the_warm_up(name, tmp_path):
    with tiny_pair() as (picture, trimap):
        marks = cv2.imread(str(trimap), cv2.IMREAD_UNCHANGED)
        item = Item("warm-up", picture, trimap, None, "")
        method_program(parse_method(name, Settings()))(item, tmp_path / "alpha.png")
    alpha = cv2.imread(str(tmp_path / "alpha.png"), cv2.IMREAD_UNCHANGED)
    assert (alpha[marks == 0] == 0).all() and (alpha[marks == 255] == 255).all()
    assert np.ptp(alpha[marks == 128]) > 25, "unknown pixels are not all alike"


# ---------------------------------------------------------------------------------------------------- what is shown


def test_without_a_terminal_each_computed_picture_is_a_line(data, tmp_path, capsys):
    out = tmp_path / "report"
    assert call(data, out) == 0
    said = capsys.readouterr().err
    rows = rows_of(out)
    assert said.splitlines() == [
        f"{i}/2 {row.method} toys trimap {row.name}: SAD {row.sad:.2f}" for i, row in enumerate(rows, 1)
    ]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(data, tmp_path, capsys, limit):
    with pytest.raises(InputError, match=f"--limit is {limit}"):
        find_items([data], limit=limit)
    assert call(data, tmp_path / "report", "--limit", limit) == 2
    assert "--limit" in capsys.readouterr().err
