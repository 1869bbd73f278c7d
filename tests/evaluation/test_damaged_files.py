"""Files that are damaged, ambiguous or half written: found before work is done for them, and no score is lost."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_evaluation import call, make_set, read, refused, rows_of

from hdmatt.cli.main import main
from hdmatt.errors import InputError
from hdmatt.evaluation import evaluate as evaluate_module
from hdmatt.evaluation import ledger
from hdmatt.evaluation.compose import Composition
from hdmatt.evaluation.testsets import Item
from hdmatt.pictures.reader import read_grey
from hdmatt.system.worker import WorkerProcess, answer


@pytest.fixture
def data(tmp_path):
    return make_set(tmp_path / "toys")


def cut(path):
    """Its first half: the header is fine, the pixels end too early."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("kind", ["image", "trimap", "alpha", "mattes"])
def test_a_file_that_is_cut_short_is_named_before_anything_is_scored(data, tmp_path, capsys, kind):
    path = data / kind / "hair.png"  # the second: the first would be scored by then
    cut(path)
    refused(capsys, call(data, tmp_path / "r"), path, "damaged or cut short")
    assert not (tmp_path / "r").exists()


def test_a_cut_picture_keeps_what_was_scored_before(data, tmp_path, capsys):
    out = tmp_path / "r"
    assert call(data, out) == 0
    before = {name: (out / name).read_bytes() for name in ("scores.jsonl", "result.json", "report.html")}
    capsys.readouterr()
    cut(data / "image" / "hair.png")
    refused(capsys, call(data, out), data / "image" / "hair.png", "damaged or cut short")
    assert {name: (out / name).read_bytes() for name in before} == before


def test_every_part_of_a_composed_picture_is_looked_at(data, tmp_path):
    background = tmp_path / "background.png"
    cv2.imwrite(str(background), np.random.default_rng(0).integers(0, 255, (100, 130, 3), np.uint8))
    parts = Composition(data / "image" / "hair.png", data / "alpha" / "hair.png", background)
    item = Item("hair_0", parts, data / "trimap" / "hair.png", data / "alpha" / "hair.png", "trimap")
    cut(background)
    with pytest.raises(InputError, match=r"background\.png is damaged or cut short"):
        evaluate_module.evaluate({"toys": [item]}, ["cf"], tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_trimap_without_unknown_pixels_is_named_itself(data, tmp_path, capsys):
    path = data / "trimap" / "hair.png"
    cv2.imwrite(str(path), np.where(read(path) == 255, 255, 0).astype(np.uint8))
    refused(capsys, call(data, tmp_path / "r"), f"{path} has no unknown pixel")


@pytest.mark.parametrize("command", ["eval", "bench"])
def test_a_device_that_is_not_there_is_a_mistake_and_not_a_row(data, tmp_path, capsys, command):
    more = ["--data", str(data)] if command == "eval" else ["--megapixels", "0.01"]
    code = main([command, *more, "--out", str(tmp_path / "r"), "--method", "crop", "--device", "cuda:77"])
    refused(capsys, code, "there is no device 'cuda:77'")
    assert not (tmp_path / "r").exists()


def test_a_matte_with_another_one_in_its_alpha_is_refused(data, tmp_path, capsys):
    path = data / "mattes" / "hair.png"
    matte = read(path)
    empty, opaque = np.zeros_like(matte), np.full_like(matte, 255)
    for alpha, same in ((opaque, True), (empty, True), (matte, True), (255 - matte, False)):
        cv2.imwrite(str(path), np.dstack([matte, matte, matte, alpha]))
        if same:
            np.testing.assert_array_equal(np.rint(255 * read_grey(path)), matte)
    refused(capsys, call(data, tmp_path / "r"), path, "greys and an alpha channel that say different things")
    assert not (tmp_path / "r").exists()


def test_a_folder_of_trimaps_in_capitals_is_one(data, tmp_path):
    (data / "trimap").rename(data / "Trimap1")
    assert call(data, tmp_path / "r") == 0
    assert {row.variant for row in rows_of(tmp_path / "r")} == {"Trimap1"}


def test_the_end_of_a_ledger_that_was_cut_off_is_removed_and_nothing_else_is_written(data, tmp_path, monkeypatch):
    out = tmp_path / "r"
    assert call(data, out) == 0
    path = out / "scores.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"method": "cu')
    monkeypatch.setattr(Path, "write_bytes", lambda *_: pytest.fail("written again: a kill here would lose all"))
    assert len(ledger.read_rows(out)) == 2
    assert path.read_bytes() == whole


def _work_in_a_folder(connection):
    answer(connection, _wait_in_a_folder)


def _wait_in_a_folder(parent):
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        (Path(folder) / "picture.png").write_bytes(b"large")
        time.sleep(60)


@pytest.mark.release
def test_a_process_that_is_ended_removes_its_temporary_files(tmp_path, monkeypatch):
    class Interrupted(Exception):
        pass

    def look(_):  # while it waits for the answer it looks at the memory; we interrupt it there, as Ctrl-C would
        if list(tmp_path.glob("*/picture.png")):
            raise Interrupted
        return 0

    monkeypatch.setattr(WorkerProcess, "_resident", look)
    with pytest.raises(Interrupted), WorkerProcess(_work_in_a_folder) as worker:
        worker.ask(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.release
def test_python_m_hdmatt_is_the_command_line():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "hdmatt", "eval", "--data", "nowhere"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.startswith("hdmatt: nowhere is not a folder")
