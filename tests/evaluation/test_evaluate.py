"""The scores are those of the files, no picture is scored twice, and every mistake is named without losing a score."""

import json
import multiprocessing
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, fields, replace
from types import SimpleNamespace

import cv2
import numpy as np
import psutil
import pytest
from small_evaluation import HEIGHT, NAMES, WIDTH, call, make_set, read, refused, rows_of

from hdmatt.cli.main import main
from hdmatt.evaluation import evaluate as evaluate_module
from hdmatt.evaluation import metrics, seams
from hdmatt.evaluation.evaluate import _EvalJob, _matte_path, evaluate, find_items, report, score_file
from hdmatt.evaluation.ledger import ScoreRow
from hdmatt.evaluation.methods import Settings, parse_method
from hdmatt.evaluation.provenance import facts
from hdmatt.evaluation.run_method import method_program
from hdmatt.evaluation.summary import best_of, summarise
from hdmatt.inference.options import NetworkChoice, Options
from hdmatt.patches.windows import grid


@pytest.fixture
def data(tmp_path):
    return make_set(tmp_path / "toys")


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory, weights):
    """All kinds of methods through the command line, once: (data, out, words, exit code)."""
    folder = tmp_path_factory.mktemp("run")
    data, out = make_set(folder / "toys"), folder / "report"
    words = ["--method", "crop", "--method", "cf", "--method", f"folder:{data / 'mattes'}", "--model", weights]
    words += ["--patch", 64, "--overlap", 16]
    return data, out, words, call(data, out, *words)


@pytest.mark.release
def test_every_row_holds_the_metrics_of_the_files(whole_run):
    data, out, _, code = whole_run
    assert code == 0
    rows = rows_of(out)
    assert [row.method for row in rows] == ["crop"] * 2 + ["cf"] * 2 + [f"folder:{data / 'mattes'}"] * 2
    windows = grid(HEIGHT, WIDTH, size=64, overlap=16)
    for row in rows:
        assert (row.dataset, row.variant, row.error) == ("toys", "trimap", None)
        matte = read(out / row.matte)
        truth, trimap = read(data / "alpha" / f"{row.name}.png"), read(data / "trimap" / f"{row.name}.png")
        borders = seams.patch_borders(windows, height=HEIGHT, width=WIDTH) if row.method == "crop" else None
        wanted = asdict(metrics.score(matte, truth, trimap, borders=borders))
        found = asdict(row)
        assert {k: found[k] for k in wanted} == {k: None if np.isnan(v) else v for k, v in wanted.items()}
        assert (row.seam is not None) == (row.method == "crop")
        if row.method.startswith("folder:"):
            np.testing.assert_array_equal(matte, read(data / "mattes" / f"{row.name}.png"))
            assert row.seconds is None and row.peak_memory is None
        else:
            assert row.seconds > 0 and row.peak_memory > 2**20
            assert (matte[trimap == 255] == 255).all() and (matte[trimap == 0] == 0).all()
    assert max(row.mad for row in rows if row.method == "cf") < 0.1  # plain colours: cf solves it


def test_a_second_run_computes_nothing_and_says_the_same(whole_run, monkeypatch, capsys):
    data, out, words, _ = whole_run
    before = (out / "scores.jsonl").read_bytes()
    monkeypatch.setattr(evaluate_module, "_row", lambda *_: pytest.fail("computed again"))
    assert call(data, out, *words) == 0
    assert (out / "scores.jsonl").read_bytes() == before
    printed, said = capsys.readouterr()
    assert said.startswith("hdmatt: note: all rows are of an earlier run, ") and said.count("\n") == 1
    assert "MSE ×1000" in printed and "report.html" in printed
    assert re.search(r"toys\s+trimap\s+cf\s+2\s", printed)


def test_the_report_is_one_file_with_every_method_and_picture(whole_run):
    data, out, words, _ = whole_run
    page = (out / "report.html").read_text(encoding="utf-8")
    for text in ("crop", "cf", f"folder:{data / 'mattes'}", "b&amp;rd", "hair", "toys", "<b>"):
        assert text in page
    assert "b&rd" not in page
    assert "http" not in re.sub(r"base64,[\w+/=]+", "", page)
    assert set(re.findall(r'(?:src|href)="(.{5})', page)) == {"data:"}
    assert page.count("<img") == 2 * (2 + 3 * 2)  # pictures: picture and truth, matte and error of each method
    assert all(str(word) in page for word in words)  # the command


def test_the_record_names_command_machine_and_versions(whole_run):
    _, out, _, _ = whole_run
    record = json.loads((out / "result.json").read_text())
    assert record["command"].startswith("hdmatt eval --data")
    assert record["machine"]["cores"] >= 1 and record["machine"]["ram_bytes"] > 0 and record["machine"]["cpu"]
    assert {"hdmatt", "python", "numpy", "torch", "pymatting"} <= set(record["versions"])
    assert record["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", record["commit"])
    assert [one["pictures"] for one in record["summary"]] == [2, 2, 2]
    assert record["failed"] == []


def test_a_mean_is_the_plain_mean_of_the_pictures(whole_run):
    _, out, _, _ = whole_run
    rows = rows_of(out)
    for one in summarise(rows):
        mine = [row for row in rows if row.method == one.method]
        assert one.sad == (mine[0].sad + mine[1].sad) / 2 and one.mse == (mine[0].mse + mine[1].mse) / 2


@pytest.mark.release
def test_a_method_that_fails_is_a_row_and_the_others_go_on(data, tmp_path, capsys):
    # PyMatting refuses a trimap without known pixels
    cv2.imwrite(str(data / "trimap" / "hair.png"), np.full((HEIGHT, WIDTH), 128, np.uint8))
    out = tmp_path / "report"
    methods = ["--method", "cf", "--method", f"folder:{data / 'mattes'}"]
    assert call(data, out, *methods) == 1
    printed, said = capsys.readouterr()
    assert "cf failed on toys trimap hair: " in said and "Traceback" not in said
    assert "1 of 4 mattes failed" in said and "give the same command with --retry." in said
    assert "1 of 2" in printed
    bad = next(row for row in rows_of(out) if row.error)
    assert (bad.method, bad.name, bad.sad, bad.matte) == ("cf", "hair", None, None)
    summaries = summarise(rows_of(out))
    assert (summaries[0].pictures, summaries[0].failed) == (1, ("hair",))
    assert summaries[0].sad == next(row.sad for row in rows_of(out) if row.name != "hair")
    assert json.loads((out / "result.json").read_text())["failed"][0]["name"] == "hair"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Not part of any mean" in page and "failed: " in page


@pytest.mark.release
def test_a_failed_row_is_held_until_it_is_to_be_tried_again(data, tmp_path):
    out = tmp_path / "report"
    assert call(data, out, "--method", "cf") == 0
    first, second = rows_of(out)
    failed = ScoreRow(*[getattr(second, field.name) for field in fields(ScoreRow)[:6]], error="ran out of memory")
    lines = [json.dumps(asdict(row)) + "\n" for row in (first, failed)]
    (out / "scores.jsonl").write_text("".join(lines))
    before = (out / "scores.jsonl").read_bytes()
    assert call(data, out, "--method", "cf") == 1
    assert (out / "scores.jsonl").read_bytes() == before
    assert call(data, out, "--method", "cf", "--retry") == 0
    assert (out / "scores.jsonl").read_bytes().startswith(before)  # nothing is lost
    result = evaluate(find_items([data]), ["cf"], out)
    assert (result.computed, [row.error for row in result.rows]) == (0, [None, None])


@pytest.mark.release
def test_settings_of_one_method_stand_side_by_side(data, tmp_path, weights):
    names = [f"{kind}:model={weights},patch=64,overlap=16,batch=1" for kind in ("crop", "hdmatt")]
    names[1] += ",topk=0"
    result = evaluate(find_items([data], limit=1), names, tmp_path / "report")
    assert [(row.method, row.error) for row in result.rows] == [(name, None) for name in names]
    mattes = [read(tmp_path / "report" / row.matte) for row in result.rows]
    np.testing.assert_array_equal(*mattes)  # crop is hdmatt without context
    assert "overlap 16, topk 0" in result.rows[1].options
    summary = json.loads((tmp_path / "report" / "result.json").read_text())["summary"]
    assert [one["method"] for one in summary] == names


def test_a_method_s_own_settings_reach_the_network(data, tmp_path, weights):
    item = find_items([data])["toys"][0]

    def matte(kind, more):
        name = f"{kind}:model={weights},patch=64,{more}"
        method_program(parse_method(name, Settings()))(item, tmp_path / "matte.png")
        return read(tmp_path / "matte.png")

    crop = matte("crop", "overlap=16")
    np.testing.assert_array_equal(matte("hdmatt", "overlap=16,topk=0"), crop)  # crop is hdmatt without context
    for other in (("hdmatt", "overlap=0,topk=0"), ("tiles", "batch=1")):
        assert (matte(*other) != crop).any(), other


@pytest.mark.release
def test_the_command_line_runs_a_method_with_its_options(data, tmp_path, weights):
    out, words = tmp_path / "r", ["--limit", 1, "--model", weights, "--patch", 64, "--overlap", 16]
    mattes = f"folder:{data / 'mattes'}"
    assert call(data, out, *words, "--paper", "--method", "hdmatt", "--method", mattes) == 0
    rows = rows_of(out)
    assert [(row.method, row.error) for row in rows] == [("hdmatt", None), (mattes, None)]
    assert "topk 3 candidates 30, no small first, blend paper" in rows[0].options
    settings = json.loads((out / "result.json").read_text())["settings"]
    assert (settings["windows"], settings["blend"], settings["model"]) == ("grid", "paper", str(weights))


def test_a_report_of_the_default_name_is_not_written_over_unasked(data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["eval", "--data", str(data), "--method", f"folder:{data / 'mattes'}"]
    assert main(command) == 0
    before = (tmp_path / "hdmatt-eval" / "report.html").read_bytes()
    capsys.readouterr()
    refused(capsys, main(command), "report.html exists already", "--overwrite", "--out")
    assert (tmp_path / "hdmatt-eval" / "report.html").read_bytes() == before
    assert main([*command, "--overwrite"]) == 0
    assert main([*command, "--out", "hdmatt-eval"]) == 0  # named: it continues
    assert len(rows_of(tmp_path / "hdmatt-eval")) == 2  # and nothing was scored again


def test_a_method_that_takes_the_machine_s_memory_is_ended_and_is_a_row(data, tmp_path, monkeypatch):
    # nothing is free: its process is over the limit before PyMatting is loaded
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=0, total=2**30))
    result = evaluate(find_items([data], limit=1), ["cf"], tmp_path / "report")
    assert "ran out of memory: it held" in result.rows[0].error
    assert result.summaries[0].pictures == 0 and result.summaries[0].sad is None
    assert not multiprocessing.active_children()


def test_a_row_that_was_cut_off_is_scored_again(data, tmp_path):
    out = tmp_path / "report"
    assert call(data, out) == 0
    ledger = out / "scores.jsonl"
    before, rows = ledger.read_bytes(), rows_of(out)
    ledger.write_bytes(before[:-20])
    assert call(data, out) == 0
    assert ledger.read_bytes().startswith(before.splitlines(keepends=True)[0])
    assert [replace(row, run="", date=None) for row in rows_of(out)] == [replace(r, run="", date=None) for r in rows]


def test_limit_takes_the_first_pictures(data, tmp_path):
    assert call(data, tmp_path / "r", "--limit", 1, "--method", f"folder:{data / 'mattes'}") == 0
    assert [row.name for row in rows_of(tmp_path / "r")] == [min(NAMES)]


def test_other_options_do_not_overwrite_mattes(data, tmp_path):
    job = _EvalJob("crop", "patch 64", "toys", find_items([data])["toys"][0], "0123")
    first = _matte_path(job, tmp_path, [])
    held = ScoreRow("crop", "patch 64", "toys", "trimap", job.item.name, matte=first.relative_to(tmp_path).as_posix())
    second = _matte_path(job._replace(options="patch 320"), tmp_path, [held])
    assert second != first
    held = [held, replace(held, options="patch 320", matte=second.relative_to(tmp_path).as_posix())]
    third = _matte_path(job._replace(options="patch 320", inputs="4567"), tmp_path, held)
    assert third not in (first, second)


def test_the_best_competes_only_on_all_pictures_and_never_alone():
    def row(method, name, sad, seam=None, error=None):
        return ScoreRow(method, "", "set", "t", name, sad=sad, seam=seam, error=error)

    rows = [row("a", "1", 3.0, 1.2), row("b", "1", 2.0, 0.9), row("c", "1", 0.1), row("c", "2", None, error="gone")]
    assert best_of(summarise(rows)) == {(1, "sad"), (1, "seam")}  # 0.9 is closer to 1 than 1.2
    assert best_of(summarise(rows[:1])) == set()


# ----------------------------------------------------------------------------------------------- mistakes, exit code 2


def test_nothing_is_lost_when_a_later_set_is_bad(data, tmp_path, capsys):
    out = tmp_path / "report"
    assert call(data, out) == 0
    before = (out / "scores.jsonl").read_bytes()
    bad = make_set(tmp_path / "more")
    cv2.imwrite(str(bad / "alpha" / "hair.png"), np.full((HEIGHT, WIDTH), 255, np.uint8))
    capsys.readouterr()
    code = call(data, out, "--data", bad, "--method", f"folder:{data / 'mattes'}")
    refused(capsys, code, bad / "alpha" / "hair.png", "255 everywhere", "without variation")
    assert (out / "scores.jsonl").read_bytes() == before


def test_a_missing_picture_is_named(data, tmp_path, capsys):
    (data / "image" / "hair.png").unlink()
    refused(capsys, call(data, tmp_path / "r"), data / "alpha" / "hair.png", "has no picture")


def test_a_size_mismatch_names_both_files(data, tmp_path, capsys):
    path = data / "alpha" / "hair.png"
    cv2.imwrite(str(path), read(path)[:-1])
    code = call(data, tmp_path / "r")
    refused(capsys, code, f"{path} is 120x89", f"{data / 'image' / 'hair.png'} is 120x90")
    assert not (tmp_path / "r").exists()


def test_a_finished_matte_of_another_size_is_named(data, tmp_path, capsys):
    path = data / "mattes" / "hair.png"
    cv2.imwrite(str(path), read(path)[:, :-1])
    refused(capsys, call(data, tmp_path / "r"), f"{path} is 119x90")


def test_a_missing_finished_matte_is_named(data, tmp_path, capsys):
    (data / "mattes" / "hair.png").unlink()
    refused(capsys, call(data, tmp_path / "r"), data / "mattes" / "hair.png", "does not exist")


def test_a_finished_matte_is_found_whatever_format_it_has(data, tmp_path, capsys):
    wanted = {row.name: row for row in evaluate(*finished(data, tmp_path / "png")).rows}
    for name, suffix in zip(NAMES, (".TIF", ".webp"), strict=True):
        path = data / "mattes" / f"{name}.png"
        words = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
        cv2.imwrite(str(path.with_suffix(suffix.lower())), read(path), words)
        path.with_suffix(suffix.lower()).rename(path.with_suffix(suffix))
        path.unlink()
    for row in evaluate(*finished(data, tmp_path / "others")).rows:
        assert (row.sad, row.mse, row.error) == (wanted[row.name].sad, wanted[row.name].mse, None)
    both = [data / "mattes" / f"hair{suffix}" for suffix in (".png", ".webp")]
    cv2.imwrite(str(both[0]), read(data / "alpha" / "hair.png"))
    refused(capsys, call(data, tmp_path / "r"), *both, "same name but for the suffix")


def finished(data, out):
    return find_items([data]), [f"folder:{data / 'mattes'}"], out


def test_two_evaluations_do_not_write_to_one_folder(data, tmp_path, capsys, monkeypatch):
    out, codes, words = tmp_path / "r", [], []
    score = score_file

    def meanwhile(*arguments):
        codes.append(call(data, out))
        words.append(capsys.readouterr())
        return score(*arguments)

    monkeypatch.setattr(evaluate_module, "score_file", meanwhile)
    assert call(data, out) == 0
    assert codes == [2, 2] and all(f"another evaluation writes to {out}" in err and not o for o, err in words)
    assert len(rows_of(out)) == len(NAMES)
    monkeypatch.undo()
    assert call(data, out) == 0


def test_an_evaluation_that_was_killed_leaves_no_lock(data, tmp_path):
    out = tmp_path / "r"
    code = "import os, pathlib\nfrom hdmatt.system.files import locked\n"
    code += f"with locked(pathlib.Path({str(out)!r}), user='another evaluation'): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9 and out.is_dir()
    assert call(data, out) == 0 and len(rows_of(out)) == len(NAMES)


def test_an_empty_folder_is_named(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    refused(capsys, call(tmp_path / "empty", tmp_path / "r"), tmp_path / "empty", "no test set")


def test_an_empty_folder_of_pictures_is_named(data, tmp_path, capsys):
    shutil.rmtree(data / "image")
    (data / "image").mkdir()
    refused(capsys, call(data, tmp_path / "r"), data / "image", "no pictures")


def test_a_picture_without_a_truth_is_named(data, tmp_path, capsys):
    shutil.rmtree(data / "alpha")
    refused(capsys, call(data, tmp_path / "r"), "no true matte")


def test_a_picture_without_a_trimap_is_named(data, tmp_path, capsys):
    shutil.rmtree(data / "trimap")
    refused(capsys, call(data, tmp_path / "r"), data / "image" / "b&rd.png", "have no trimap", "--make-trimap 20")


def test_an_unknown_method_a_bad_patch_and_a_missing_model_are_named(data, tmp_path, capsys, weights):
    out = tmp_path / "r"
    refused(capsys, call(data, out, "--method", "magic"), "'magic'", "hdmatt, crop")
    refused(capsys, call(data, out, "--method", f"folder:{out}"), out, "not a folder")
    refused(capsys, call(data, out, "--model", weights, "--patch", 65), "patch of 65", "multiple of 8")
    refused(capsys, call(data, out, "--model", tmp_path / "no.safetensors"), "no.safetensors")
    assert not out.exists()


def test_two_sets_of_the_same_name_are_refused(data, tmp_path, capsys):
    more = make_set(tmp_path / "other" / "toys")
    refused(capsys, call(data, tmp_path / "r", "--data", more), "two data sets", "toys")


def test_a_ledger_that_is_not_ours_is_named(data, tmp_path, capsys):
    out = tmp_path / "report"
    out.mkdir()
    (out / "scores.jsonl").write_text('{"what": 1}\n{}\n')
    refused(capsys, call(data, out), "line 1", "scores.jsonl")


def test_settings_are_the_options_of_a_matte_but_for_the_grid():
    assert Settings().options == Options(windows="grid")  # the seam score needs borders that run through the picture
    assert Settings().network == NetworkChoice(device="cpu")


def test_the_page_sorts_every_table_marks_failed_rows_and_shortens_long_folders(tmp_path):
    rows = [
        ScoreRow("folder:/a/very/long/path/to/the/mattes", "", "set", "t", "1", sad=10.0),
        ScoreRow("cf", "", "set", "t", "1", error="too <large>"),
        ScoreRow("cf", "", "set", "u", "1", sad=9.0, note="of /a/folder/with/a/long/name: all of it"),
        ScoreRow("cf", "", "set", "t", "2", error="OSError: /a/folder/with/a/long/name/alpha.exr: no space is left"),
    ]
    summaries = summarise(rows)
    known = facts(Settings(), "hdmatt eval")
    page = report.render(known, summaries, best_of(summaries), rows, [])
    assert '<span title="folder:/a/very/long/path/to/the/mattes">folder:…/the/mattes</span>' in page
    assert '<th class="n" tabindex="0" scope="col">SAD</th>' in page and 'data-v="10.0">10.00</td>' in page
    assert page.count('<tr class="failed">') == 3 and '<tr class="first">' in page  # a summary and two pictures
    for remark in (rows[2].note, f"failed: {rows[3].error}"):  # a path is shortened where it names a method only
        assert f">{remark}</td>" in page
    assert "too &lt;large&gt;" in page and "<large>" not in page
    assert '<th tabindex="0" scope="col">remark</th>' in page
    without = report.render(known, summaries, set(), rows[:1], [])
    assert "remark</th>" not in without
