"""The scripts of the paper's tables and figures: what they print is what hdmatt eval scored."""

import importlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks._shared import parser, settings_of
from hdmatt.errors import InputError
from hdmatt.evaluation.summary import ScoreSummary
from hdmatt.inference.options import Options
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.training.config import card_of
from hdmatt.training.presets import PRESETS

NAMES = ("troll", "doll")
SMALL = ["--patch", "64", "--overlap", "16", "--device", "cpu"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for name, config in {"a": ModelConfig(width=4, cpc="none"), "c": ModelConfig(width=4)}.items():
        torch.manual_seed(0)
        save_model(HDMatt(config), folder / f"{name}.safetensors", half=True)
    return folder


@pytest.fixture
def data(tmp_path):
    """Two discs with soft rims, three trimaps; mattes good/ (a little off) and bad/ (far off)."""
    folder, (height, width) = tmp_path / "toys", (90, 120)
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(0)
    for i, name in enumerate(NAMES):
        distance = np.hypot(y - 45, x - 60 + 6 * i)
        files = {"alpha": 255 * np.clip((34 - distance) / 8, 0, 1)}
        files["good"] = 255 * np.clip((33 - distance) / 8, 0, 1)
        files["bad"] = 255 * np.clip((25 - distance) / 8, 0, 1)
        files["image"] = 40 + 0.6 * files["alpha"][..., None] + rng.integers(0, 20, (height, width, 3))
        for k, wide in enumerate((2, 4, 8), 1):
            files[f"trimap{k}"] = np.select([distance < 26 - wide, distance > 34 + wide], [255, 0], 128)
        for kind, pixels in files.items():
            (folder / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / kind / f"{name}.png"), np.rint(pixels).astype(np.uint8))
    return folder


def one(method, sad, *, place=("set", "t"), failed=(), seam=None):
    return ScoreSummary(*place, method, "", 2, failed, sad, sad / 1000, sad, sad, sad, seam, 1.0, 2.0**30)


def test_paper_is_an_option_of_every_script():
    def options(*words, **changed):
        return settings_of(parser("", data=False).parse_args(["--out", "x", *words]), **changed).options

    assert options() == Options(windows="grid") and options(windows="fewest") == Options()
    assert options("--paper", windows="fewest") == Options.paper()
    assert options("--paper", "--topk", "5", "--memory", "1GiB") == replace(Options.paper(), topk=5, memory=2**30)


def test_table_1_sorts_any_method_into_its_section_and_prints_the_best_in_bold(script):
    table1 = script("paper.table1")
    methods = {"hdmatt": 3.0, "vitmatte:w": 1.0, "crop": 4.0, "whole": 2.0, "vitmatte-patches:w": 5.0, "folder:x": 6.0}
    text = table1.table([one(method, sad) for method, sad in methods.items()] + [one("downsample", 9, failed=("a",))])
    lines = [line for line in text.splitlines() if line.startswith("| ") and "Methods" not in line]
    assert [line.split(" | ")[:2] for line in lines] == [
        ["| Whole", "vitmatte:w"], ["| ", "whole"], ["| Down-sampled", "downsample (1 of 3 failed)"],
        ["| Patch", "hdmatt"], ["| ", "crop"], ["| ", "vitmatte-patches:w"], ["| Finished", "folder:x"],
    ]  # fmt: skip
    assert "| **1.00** |" in lines[0] and "| 2.00 |" in lines[1]


def test_table_1_shows_controls_in_brackets_and_one_picture_as_one(script):
    table1 = script("paper.table1")
    control = replace(one("cf", 3.0), pictures=1, seam_control=0.97)
    seamed = [replace(one(name, 3.0, seam=seam), pictures=1) for name, seam in (("hdmatt", 1.04), ("crop", 0.8))]
    text = table1.table([control, *seamed])
    assert "## set t, 1 picture\n" in text
    assert [line.split(" | ")[6] for line in text.splitlines()[6:]] == ["(0.97)", "**1.04**", "0.80"]


def test_table_1_scores_and_writes_the_table_beside_the_report(script, data, weights, tmp_path, capsys):
    table1, out = script("paper.table1"), tmp_path / "t1"
    words = ["--data", str(data), "--limit", "1", "--out", str(out), "--model", str(weights / "c.safetensors"), *SMALL]
    assert table1.main([*words, "--method", f"folder:{data / 'bad'}", "--method", f"folder:{data / 'good'}"]) == 0
    record = json.loads((out / "result.json").read_text())
    assert record["command"].startswith("python -m paper.table1 --data")
    text = (out / "table1.md").read_text()
    assert text == capsys.readouterr().out and text.count("## toys trimap") == 3
    for summary in record["summary"]:
        assert f"{summary['sad']:.2f}" in text
    assert (out / "report.html").exists()


def test_equal_scores_share_the_better_rank_and_all_is_the_mean_over_the_trimaps(script):
    table2 = script("paper.table2")
    assert table2.ranks([3.0, 1.0, 1.0, 2.0]) == [4, 1, 1, 3]
    tests = {("S", "troll"): [1.0, 2.0], ("S", "doll"): [1.0, 2.0], ("L", "troll"): [2.0, 1.0]}
    overall, by_trimap = table2.average_ranks(tests)
    assert by_trimap == {"S": [1.0, 2.0], "L": [2.0, 1.0]}
    assert overall == [1.5, 1.5]  # not the mean over the tests, which is 4 / 3


def test_table_2_has_the_pictures_in_the_papers_order_and_ranks_the_better_method_first(script, data, tmp_path, capsys):
    table2, out = script("paper.table2"), tmp_path / "t2"
    methods = ["--method", f"folder:{data / 'bad'}", "--method", f"folder:{data / 'good'}"]
    assert table2.main(["--data", str(data), "--out", str(out), *methods]) == 0
    text = (out / "table2.md").read_text()
    assert "| method | All | S | L | U | troll S | troll L | troll U | doll S | doll L | doll U |" in text
    first = next(line for line in text.splitlines() if line.startswith("| folder:"))
    assert first.startswith(f"| folder:{data / 'good'} | **1.0** | **1.0** | **1.0** | **1.0** |")
    record = json.loads((out / "table2.json").read_text())
    assert {"command", "date", "commit", "machine", "versions", "summary", "ranks"} <= set(record)
    ranked = record["ranks"]["sad"][f"folder:{data / 'bad'}"]
    assert ranked["all"] == 2 and len(ranked["tests"]) == 6
    rows = [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]
    wanted = {(r["variant"], r["name"]): r["sad"] for r in rows if r["method"].endswith("bad")}
    assert {(t["trimap"], t["picture"]): t["score"] for t in ranked["tests"]} == wanted


def test_table_2_says_that_the_truth_is_hidden(script, data, tmp_path):
    table2 = script("paper.table2")
    shutil.rmtree(data / "alpha")
    with pytest.raises(InputError, match=r"the truth of doll and 5 more tests .*alphamatting.com keeps it") as caught:
        table2.main(["--data", str(data), "--out", str(tmp_path / "t2")])
    assert "folder alpha/" in caught.value.hint and not (tmp_path / "t2").exists()
    with pytest.raises(InputError, match="one method has no rank"):
        table2.main(["--data", str(data), "--out", str(tmp_path / "t2"), "--method", "cf"])


def test_table_3_computes_what_it_has_weights_for_and_names_the_rest(script, data, weights, tmp_path, capsys):
    table3, out = script("paper.table3"), tmp_path / "t3"
    words = ["--data", str(data), "--limit", "1", "--out", str(out), *SMALL]
    words += ["--weights", f"C={weights / 'c.safetensors'}", "--rows", "B,C-K1"]
    assert table3.main(words) == 0
    text = (out / "table3.md").read_text()
    assert "| Model C (1, 64) * |" in text
    assert "Missing, for want of weights: Model B (3, 64) (--weights B=)" in text
    assert "| C | not told |" in text and "**Not equal budgets**, or not known to be" in text
    record = json.loads((out / "table3.json").read_text())
    rows = [(row["key"], row["test_only"], row["topk"]) for row in record["rows"]]
    assert rows == [("C-K1", True, 1)]
    assert record["missing"] == ["B"]
    summary = json.loads((out / "rows" / "C-K1" / "result.json").read_text())["summary"]
    assert record["summary"] == summary and f"| {summary[0]['sad']:.2f} |" in text.replace("**", "")


def test_table_3_has_the_papers_rows(script):
    table3 = script("paper.table3")
    labels = [line.label(320) for line in table3.LINES]
    assert labels[:3] == ["Model A (-, 320)", "Model B (3, 320)", "Model C (3, 320)"]
    assert {"Model C (3, 480)", "Model C (3, 640)", "Model C (all, 320)", "Model C (0, 320)"} <= set(labels)
    there, missing = table3.lines_there({"C": "c"})
    assert {line.key for line, _ in there} == {"C", "C-480", "C-640", "C-K0", "C-K1", "C-K5", "C-K7", "C-all"}
    assert {line.key for line in missing} == {"A", "B", "C-literal", "C-MS", "A-alone", "B-alone", "C-alone"}


def test_table_3_says_whether_budgets_were_equal(script, tmp_path):
    files = {}
    for key, steps, weight in (("A", 20, 1.0), ("C", 20, 1.0), ("B", 30, 1.0), ("weighted", 20, 1.2)):
        files[key] = str(tmp_path / f"{key}.safetensors")
        config = replace(PRESETS["tiny"], foreground_weight=weight)
        card = card_of(config, {"step": steps, "seen": 4 * steps, "pictures": "two"})
        save_model(HDMatt(ModelConfig(width=4)), Path(files[key]), half=True, card=card)
    budgets = script("paper.table3").budgets
    assert "| A | 20 | 80 | all | 1.0 |" in budgets(files)
    assert "Not equal" not in budgets({key: files[key] for key in "AC"})
    assert "Not equal" in budgets({key: files[key] for key in "AB"})
    assert "Not equal" in budgets({key: files[key] for key in ("A", "weighted")})


@pytest.mark.parametrize(
    ("given", "text"),
    [("X=c", "--weights X=c is not KEY=FILE"), ("A=c", "cpc tgnl, form strict, but A stands for cpc none"),
     ("C=a", "cpc none, form strict, but C stands for cpc tgnl"), ("C-literal=c", "form literal"),
     ("C-alone=c", "c.safetensors is a network with channels of the whole picture")],
)  # fmt: skip
def test_table_3_refuses_weights_that_are_not_what_their_key_says(script, weights, given, text):
    key, name = given.split("=")
    path = weights / f"{name}.safetensors" if key != "X" else name
    with pytest.raises(InputError, match=text):
        script("paper.table3").weights_of([f"{key}={path}"])


def test_figure_1_shows_the_places_where_the_mattes_differ(script, data, weights, tmp_path):
    figure1, out = script("paper.figure1"), tmp_path / "f1"
    paths = [data / "image" / "troll.png", data / "trimap3" / "troll.png", "--truth", data / "alpha" / "troll.png"]
    words = [*paths, "--also", f"other={data / 'bad' / 'troll.png'}", "--out", out, "--crop", 32, "--crops", 2]
    words += ["--model", weights / "c.safetensors", *SMALL]
    assert figure1.main([str(word) for word in words]) == 0
    record = json.loads((out / "figure1.json").read_text())
    assert {"command", "date", "commit", "machine", "versions", "settings", "figure"} <= set(record)
    view = record["figure"][0]
    assert list(view["mattes"]) == ["DS", "C", "other", "HDMatt", "truth"] and len(view["places"]) == 2
    assert set(view["sad"]) == {"DS", "C", "other", "HDMatt"}
    first, second = ((place["y"], place["x"]) for place in view["places"])
    assert max(abs(first[0] - second[0]), abs(first[1] - second[1])) >= 32  # they do not overlap
    assert cv2.imread(str(out / "figure1.png")).shape[2] == 3
    # the matte of the figure is the one that hdmatt matte makes
    made = cv2.imread(str(out / "mattes" / "troll" / "hdmatt.png"), cv2.IMREAD_UNCHANGED)
    from hdmatt import NetworkChoice, Options, matte

    options, network = Options(patch=64, overlap=16), NetworkChoice(weights / "c.safetensors", device="cpu")
    alpha = matte(*map(str, paths[:2]), options=options, network=network).alpha
    np.testing.assert_array_equal(made, np.floor(255 * alpha + 0.5).astype(np.uint8))


def test_figure_6_has_a_row_of_views_for_each_picture(script, data, weights, tmp_path):
    figure6, out = script("paper.figure6"), tmp_path / "f6"
    words = ["--data", data, "--out", out, "--crop", 40, "--model", weights / "c.safetensors", *SMALL]
    words += ["--also", f"good={data / 'good'}"]
    assert figure6.main([str(word) for word in words]) == 0
    record = json.loads((out / "figure6.json").read_text())
    assert [view["picture"] for view in record["figure"]] == ["doll.png", "troll.png"]
    assert all(list(view["mattes"]) == ["DS", "C", "good", "HDMatt", "truth"] for view in record["figure"])
    with pytest.raises(InputError, match="there is no picture 'nobody'"):
        figure6.main([str(word) for word in [*words, "--name", "nobody"]])
    with pytest.raises(InputError, match="NAME=PATH with a new name"):
        figure6.main([str(word) for word in [*words, "--also", "DS=x"]])


def test_figure_6_keeps_the_mattes_of_two_sets_with_pictures_of_one_name(script, data, weights, tmp_path):
    figure6, out, other = script("paper.figure6"), tmp_path / "f6", tmp_path / "others"
    shutil.copytree(data, other)
    for name in NAMES:
        path = other / "image" / f"{name}.png"
        cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    words = ["--data", data, "--data", other, "--name", "troll", "--out", out, "--crop", 40]
    assert figure6.main([str(word) for word in [*words, "--model", weights / "c.safetensors", *SMALL]]) == 0
    views = json.loads((out / "figure6.json").read_text())["figure"]
    first, second = (Path(view["mattes"]["HDMatt"]).read_bytes() for view in views)
    assert first != second


def test_crops_do_not_overlap_and_end_where_nothing_differs(rng):
    from paper._figures import most_different

    difference = np.zeros((40, 60), np.float32)
    difference[5, 5], difference[30, 50], difference[6, 8] = 3, 2, 1
    found = most_different(difference, size=10, number=5)
    assert len(found) == 2
    for (y, x), (at_y, at_x) in zip(found, ((5, 5), (30, 50)), strict=True):
        assert y <= at_y < y + 10 and x <= at_x < x + 10
    assert most_different(np.zeros((5, 5), np.float32), size=10, number=3) == []


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "figure6"])
@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_two_lines_and_exit_code_2(script, data, weights, tmp_path, capsys, name, limit):
    made = script(f"paper.{name}")
    words = [name, "--data", str(data), "--out", str(tmp_path / "out"), "--limit", str(limit)]
    words += ["--weights", f"C={weights / 'c.safetensors'}"] if name == "table3" else []
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(sys, "argv", words)
        importlib.import_module("benchmarks._shared").run(made.main)
    assert stop.value.code == 2
    assert f"{name}: --limit is {limit}\n  Give the number" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_labels_of_narrow_panels_go_on_in_the_next_line_and_are_never_cut():
    from hdmatt.figures.sheet import GAP, TEXT, Panel, _width, _wrapped, sheet

    wide, narrow = np.zeros((40, 900, 3), np.uint8), np.zeros((40, 90, 3), np.uint8)
    label = "(a) picture, 4000 x 6000, SAD 104.63"
    for text in (label, "vitmatte-patches-of-a-very-long-name"):
        parts = _wrapped(text, 90, TEXT)
        assert "".join(parts).replace(" ", "") == text.replace(" ", "")  # nothing is lost
        assert all(_width(part, TEXT) <= 90 for part in parts)

    def below(pixels):  # ink under the panel, in rows that hold any
        page = sheet([[Panel(pixels, below=(label,))]])
        return page, (page[GAP + 44 :] < 128).any((1, 2))

    (_, one), (small, many) = below(wide), below(narrow)
    assert small.shape[1] == 90 + 2 * GAP and many.sum() > 3 * one.sum()
    assert (small[:, -GAP + 1 :] == 255).all()  # no letter runs out of the page


def test_the_label_of_a_box_at_the_rim_lies_inside_the_picture():
    from hdmatt.figures.sheet import RED, box

    grey = np.full((60, 50, 3), 128, np.uint8)
    boxed = box(grey, y=40, x=44, height=20, width=6, colour=RED, label="12")
    inside = box(grey, y=40, x=2, height=20, width=6, colour=RED, label="12")
    white = [int((pixels == 255).all(2).sum()) for pixels in (boxed, inside)]
    assert white[0] == white[1] > 20  # the same digits, whole


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "figure1", "figure6"])
def test_every_script_says_what_it_does(script, name, capsys):
    with pytest.raises(SystemExit) as stop:
        script(f"paper.{name}").main(["--help"])
    assert stop.value.code == 0
    assert f"python -m paper.{name}" in capsys.readouterr().out


def test_table_3_takes_the_folder_that_the_ablation_lands(script, tmp_path):
    table3 = script("paper.table3")
    from hdmatt.errors import InputError

    ablation = script("paper.ablation")
    assert set(ablation.ROWS) == set(table3.KEYS) - {"C-K0"}  # K = 0 is a matter of testing only
    (tmp_path / "C-K5.safetensors").touch()
    assert table3.in_folder(tmp_path) == [f"C-K5={tmp_path / 'C-K5.safetensors'}"]
    with pytest.raises(InputError, match="no weights of the ablation"):
        table3.in_folder(tmp_path / "none")


def test_a_card_of_an_older_version_has_todays_names(script):
    renamed_card = script("paper.table3").renamed_card
    assert renamed_card({"steps": "7", "lean": "0.2", "crops": "1.0,2.0"}) == {
        "steps": "7", "foreground_weight": "1.2", "scales": "1.0,2.0",
    }  # fmt: skip
    assert renamed_card({"steps": "7"}) == {"steps": "7"}
