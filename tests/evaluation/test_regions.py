"""The report shows all methods of a picture at one place, every method has crops, and none of them is too much."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_evaluation import make_set, read

from hdmatt.evaluation import regions, report
from hdmatt.evaluation.evaluate import find_items
from hdmatt.evaluation.ledger import ScoreRow
from hdmatt.evaluation.methods import Settings
from hdmatt.evaluation.provenance import facts
from hdmatt.evaluation.regions import _corner, chosen, worst_regions


@pytest.fixture
def data(tmp_path):
    return make_set(tmp_path / "toys")


def row(method, name, matte, mad, variant="trimap"):
    return ScoreRow(method, "", "toys", variant, name, mad=mad, matte=matte)


def decoded(shown):
    return cv2.imdecode(np.frombuffer(shown.data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_all_methods_of_a_picture_are_cut_at_one_place_and_a_missing_one_is_named(data, monkeypatch):
    truth = read(data / "alpha" / "hair.png")
    for name, columns in (("left", slice(20, 36)), ("right", slice(84, 100))):  # wrong at opposite ends
        (data / name).mkdir()
        wrong = truth.copy()
        wrong[30:60, columns] = 255 - wrong[30:60, columns]
        cv2.imwrite(str(data / name / "hair.png"), wrong)
    cv2.imwrite(str(data / "left" / "b&rd.png"), read(data / "mattes" / "b&rd.png"))
    (data / "right" / "b&rd.png").unlink(missing_ok=True)
    monkeypatch.setattr(regions, "SIDE", 32)
    rows = [row("l", "hair", "left/hair.png", 0.3), row("r", "hair", "right/hair.png", 0.2)]
    rows += [row("l", "b&rd", "left/b&rd.png", 0.1), ScoreRow("r", "", "toys", "trimap", "b&rd", error="gone")]
    hair, bird = worst_regions(rows, find_items([data]), data)
    assert (hair.name, hair.missing, bird.name, bird.missing) == ("hair", (), "b&rd", ("r",))
    assert [(s.method, s.what) for s in hair.pictures] == [
        ("", "picture"), ("", "truth"), ("l", "matte"), ("l", "error"), ("r", "matte"), ("r", "error"),
    ]  # fmt: skip
    assert [s.method for s in bird.pictures] == ["", "", "l", "l"]
    y, x = hair.corner
    here = slice(y, y + 32), slice(x, x + 32)
    for shown, folder in zip(hair.pictures[1::2][:1] + hair.pictures[2::2], ("alpha", "left", "right"), strict=True):
        np.testing.assert_array_equal(decoded(shown), read(data / folder / "hair.png")[here])
    page = report.render(facts(Settings(), ""), [], (), [], [bird])
    assert "No matte of: r." in page and page.count("<img") == 4 and "b&amp;rd" in page


def test_the_place_is_where_the_methods_together_are_most_wrong():
    errors = np.zeros((64, 128), np.float32)
    errors[40:50, 100:110] = 90.0
    errors[0:10, 0:10] = 80.0
    y, x = _corner(errors, 32)
    assert y <= 40 and y + 32 >= 50 and x <= 100 and x + 32 >= 110
    errors[0:10, 0:10] += 80.0
    assert _corner(errors, 32) == (0, 0)


def test_the_worst_picture_of_every_method_comes_first_and_each_once():
    rows = [row("a", str(i), "m", i / 10) for i in range(5)] + [row("b", "0", "m", 0.9), row("b", "4", "m", 0.8)]
    rows += [row("a", "4", "m", 0.3, variant="wide")]  # of a picture the trimap with the larger error counts
    found = chosen(rows)
    places = [(place.name, first) for place, first in found.items()]
    assert places == [("4", True), ("0", True), ("3", False), ("2", False)]
    assert {place.variant for place in found} == {"trimap"}


def test_every_method_has_crops_however_many_there_are(data, monkeypatch):
    names = [f"mattes{i}" for i in range(6)]
    for name in names:
        shutil.copytree(data / "mattes", data / name)
    rows = [row(m, p.stem, f"{m}/{p.name}", 0.1) for m in names for p in sorted((data / "mattes").iterdir())]
    one = list(worst_regions([r for r in rows if r.method == names[0]], find_items([data]), data))
    monkeypatch.setattr(regions, "MOST_BYTES", 30_000)  # one picture with all of them would take more
    found = list(worst_regions(rows, find_items([data]), data))
    assert len(one) == 2 and {s.method for crop in found for s in crop.pictures} == {"", *names}
    assert sum(len(s.data) for crop in found for s in crop.pictures) <= 30_000
    assert decoded(found[0].pictures[1]).shape < decoded(one[0].pictures[1]).shape


def test_a_matte_that_was_removed_is_not_shown(data):
    rows = [row("a", "hair", "mattes/hair.png", 0.1), row("b", "hair", str(Path("gone") / "hair.png"), 0.2)]
    (crop,) = worst_regions(rows, find_items([data]), data)
    assert crop.missing == ("b",)
