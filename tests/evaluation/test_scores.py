"""A seam score stands beside that of mattes without seams, on the same borders of the same pictures."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from small_evaluation import HEIGHT, WIDTH, call, make_set, read, rows_of

from hdmatt.evaluation import report, scores, seams
from hdmatt.evaluation.evaluate import find_items
from hdmatt.evaluation.ledger import ScoreRow
from hdmatt.evaluation.methods import Settings, parse_method
from hdmatt.evaluation.summary import best_of, summarise
from hdmatt.inference.options import Options
from hdmatt.patches.windows import grid, tiles

SMALL = Settings(Options(patch=64, overlap=16, windows="grid"))


@pytest.fixture
def data(tmp_path):
    return make_set(tmp_path / "toys")


def on_borders(windows, matte, truth, trimap):
    return seams.seam(matte, truth, trimap, seams.patch_borders(windows, height=HEIGHT, width=WIDTH))


def numbers(name, row, out, data, windows):
    files = (read(folder / f"{row.name}.png") for folder in (data / "alpha", data / "trimap"))
    truth, trimap = files
    return {
        name: on_borders(windows, read(out / row.matte), truth, trimap),
        "seam_truth": on_borders(windows, truth, np.zeros_like(truth), trimap),
    }


@pytest.mark.release
def test_methods_that_cut_nothing_are_measured_on_the_borders_of_the_one_that_cuts(data, tmp_path, weights):
    out, mattes = tmp_path / "r", f"folder:{data / 'mattes'}"
    words = ["--model", weights, "--patch", 64, "--overlap", 16, "--method", mattes]
    assert call(data, out, *words, "--method", "crop:patch=72,overlap=8") == 0
    folder, crop = (rows_of(out)[i] for i in (0, 2))
    wanted = numbers("seam_control", folder, out, data, grid(HEIGHT, WIDTH, size=72, overlap=8))
    assert {key: getattr(folder, key) for key in wanted} == wanted and folder.borders == "grid 72 8"
    assert folder.seam is None and crop.seam is not None and crop.seam_control is None
    assert crop.seam_truth == folder.seam_truth and crop.borders == folder.borders
    page, record = (out / "report.html").read_text(), json.loads((out / "result.json").read_text())
    mean = record["summary"][0]["seam_control"]
    assert mean == sum(row.seam_control for row in rows_of(out)[:2]) / 2 and f">({mean:.3f})<" in page
    assert "seam, truth" in page


@pytest.mark.release
def test_other_borders_are_measured_from_the_mattes_that_are_there(data, tmp_path, capsys):
    out, words = tmp_path / "r", ["--method", f"folder:{data / 'mattes'}"]
    assert call(data, out, *words, "--patch", 64, "--overlap", 16) == 0
    first = rows_of(out)
    lines = (out / "scores.jsonl").read_text()
    old = [json.loads(line) for line in lines.splitlines()]
    for one in old:  # as they were written before there was a control
        for name in ("seam_control", "seam_truth", "borders"):
            one.pop(name)
    (out / "scores.jsonl").write_text("".join(json.dumps(one) + "\n" for one in old))
    assert call(data, out, *words, "--patch", 64, "--overlap", 16) == 0
    assert rows_of(out)[2:] == first  # with run and date of the row, which was not computed again
    assert call(data, out, *words, "--patch", 72, "--overlap", 8) == 0
    assert "(" in capsys.readouterr().out
    again = rows_of(out)[4]
    wanted = numbers("seam_control", again, out, data, grid(HEIGHT, WIDTH, size=72, overlap=8))
    assert again == replace(first[0], **wanted, borders="grid 72 8") and wanted["seam_control"] != first[0].seam_control
    for row in first:
        (out / row.matte).unlink()
    assert call(data, out, *words, "--patch", 64, "--overlap", 16) == 0
    assert len(rows_of(out)) == 6
    assert [one["seam_control"] for one in json.loads((out / "result.json").read_text())["summary"]] == [None]


def test_tiles_are_measured_on_their_own_borders(data):
    item = find_items([data])["toys"][0]
    own = scores.borders_of(parse_method("tiles", SMALL), scores.reference_grid([parse_method("crop", SMALL)], SMALL))
    path = data / "mattes" / f"{item.name}.png"
    truth, trimap = read(item.alpha), read(item.trimap)
    found = scores.seams(path, item, own)
    assert found["seam"] == on_borders(tiles(HEIGHT, WIDTH, size=64), read(path), truth, trimap)
    assert found["borders"] == "tiles 64" and found.get("seam_control") is None


def test_whose_borders_are_taken():
    methods = [
        parse_method(name, SMALL) for name in ("cf", "tiles", "hdmatt:windows=fewest", "crop:patch=72", "hdmatt")
    ]
    control = scores.reference_grid(methods, SMALL)
    assert control.name == "crop:patch=72"
    assert scores.reference_grid(methods[:3], SMALL).settings == SMALL  # tiles are no grid
    found = [scores.borders_of(method, control) for method in methods]
    assert [cuts and (cuts.text, cuts.own) for cuts in found] == [
        ("grid 72 16", False), ("tiles 64", True), None, ("grid 72 16", True), ("grid 64 16", True),
    ]  # fmt: skip


def test_a_matte_with_a_step_on_the_borders_is_far_from_its_control(data, tmp_path):
    truth = read(data / "alpha" / "hair.png")
    cv2.imwrite(str(data / "trimap" / "hair.png"), np.full_like(truth, 128))
    stepped = truth.astype(int)
    stepped[:, 48:] -= 40  # the disc is white there
    noise = np.random.default_rng(0).integers(-3, 4, truth.shape)
    item = next(item for item in find_items([data])["toys"] if item.name == "hair")
    cuts = scores.PatchBorders(parse_method("crop", SMALL), own=True)
    assert 48 in cuts.borders(HEIGHT, WIDTH).columns
    values = []
    for pixels in (truth + noise, stepped + noise):
        cv2.imwrite(str(tmp_path / "matte.png"), pixels.clip(0, 255).astype(np.uint8))
        values.append(scores.seams(tmp_path / "matte.png", item, cuts)["seam"])
    assert abs(values[0] - 1) < 0.1 < values[1] - 1


def test_a_control_is_in_brackets_and_never_the_best():
    rows = [ScoreRow("hdmatt", "", "set", "t", "1", seam=1.2, seam_truth=1.1)]
    rows += [ScoreRow(name, "", "set", "t", "1", seam_control=value) for name, value in (("cf", 1.0), ("knn", 0.9))]
    summaries = summarise(rows)
    assert [report.measure_text(one, "seam") for one in summaries] == [
        ("1.200", 1.2),
        ("(1.000)", 1.0),
        ("(0.900)", 0.9),
    ]
    assert [report.measure_text(one, "seam_truth")[0] for one in summaries] == ["1.100", "–", "–"]
    assert best_of(summaries) == set()
