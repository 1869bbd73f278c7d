"""README's scores are those of benchmarks/results, and nothing else; the newest result of a method counts."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import readme_table

ROOT = Path(__file__).parents[2]


def record(date, *summary, model="hdmatt-s"):
    return {
        "command": "hdmatt eval",
        "date": date,
        "commit": "0123456789abcdef",
        "machine": {"cpu": "An abacus"},
        "versions": {},
        "settings": {"model": model},
        "summary": list(summary),
    }


def scores(method, sad, dataset="toys", variant="trimap", seam=None, failed=(), options="as they were"):
    return {
        "dataset": dataset,
        "variant": variant,
        "method": method,
        "options": options,
        "pictures": 2,
        "failed": list(failed),
        "sad": sad,
        "mse": None if sad is None else sad / 1000,
        "grad": sad,
        "conn": sad,
        "seam": seam,
    }


def without(values, name):
    return {key: value for key, value in values.items() if key != name}


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"Before.\n\n{readme_table.BEGIN}\nold\n{readme_table.END}\n\nAfter.\n")
    (tmp_path / "results").mkdir()
    return path


def call(page, *more):
    return readme_table.main(["--page", str(page), "--results", str(page.parent / "results"), *more])


def write(page, name, what):
    (page.parent / "results" / name).write_text(what if isinstance(what, str) else json.dumps(what))


def test_the_pages_say_what_the_results_say():
    assert (ROOT / "benchmarks/results/readme/methods.json").exists()
    assert readme_table.main(["--check"]) == 0


def five(dataset, values, failed=""):
    rows = []
    for method, value in zip(readme_table.FIVE, values, strict=True):
        row = scores(method, None if method == failed else value, dataset=dataset, failed=["x"] * (method == failed))
        rows.append({**row, "seconds": 10 * value, "peak_memory": value * 1e9})
    return rows


def test_the_readme_has_a_row_for_each_of_the_five_methods(page):
    write(page, "a.json", record("2026-01-01", scores("cf", 1.0)))
    readme = page.with_name("short.md")
    readme.write_text(f"{readme_table.METHODS_BEGIN}\n{readme_table.METHODS_END}\nAfter.\n")
    (page.parent / "results" / "readme").mkdir()
    rows = five("small", [1, 2, 3, 4, 5]) + five("large", [6, 7, 8, 9, 10], failed="knn")
    write(page, "readme/methods.json", record("2026-01-01", *rows))
    assert call(page, "--readme", str(readme)) == 0 and call(page, "--readme", str(readme), "--check") == 0
    lines = readme.read_text().splitlines()
    assert "| **hdmatt** | 1.00, 1.0, 10.0 s, 1.0 GB | 6.00, 6.0, 60.0 s, 6.0 GB |" in lines
    assert "| KNN (PyMatting) | 3.00, 3.0, 30.0 s, 3.0 GB | out of memory |" in lines
    assert lines[-1] == "After." and sum(line.startswith("| ") for line in lines) == 2 + len(readme_table.FIVE)
    write(page, "readme/methods.json", record("2026-01-01", *rows[:-1]))
    assert call(page, "--readme", str(readme)) == 2


def test_every_result_that_is_kept_says_where_it_is_from():
    paths = sorted((ROOT / "benchmarks" / "results").rglob("*.json"))
    assert paths
    for path in paths:
        found = json.loads(path.read_text(encoding="utf-8"))
        several = path.name == "any-size.json" or path.parent.name == "studio"  # a part for each measurement
        for part in filter(lambda one: isinstance(one, dict), found.values()) if several else [found]:
            assert {"command", "commit", "date", "machine", "versions"} <= part.keys(), path.name
            assert part["command"] and part["machine"]["cpu"] and part["versions"], path.name


def test_the_newest_result_of_each_method_counts_and_methods_have_one_order(page):
    write(page, "b.json", record("2026-01-02", scores("cf", 4.0), scores("hdmatt:topk=0", 3.0), scores("hdmatt", 2.0)))
    write(page, "a.json", record("2026-01-03", scores("hdmatt", 1.0, seam=1.234), scores("tiles", None, failed=["x"])))
    write(page, "c.json", record("2026-01-01", scores("vitmatte:/far/away/vit", 9.0), scores("hdmatt", 5.0)))
    write(page, "speed.json", {"seconds": 3})
    assert call(page, "--check") == 1 and "old" in page.read_text()
    assert call(page) == 0 and call(page, "--check") == 0
    text = page.read_text()
    assert text.startswith("Before.\n\n") and text.endswith("\n\nAfter.\n") and "old" not in text
    assert [line for line in text.splitlines() if line.startswith("| toys")] == [
        "| toys (2) | **hdmatt-s** | 1.00 | 1.0 | 1.0 | 1.0 | 1.234 |",
        "| toys (2) | hdmatt-s, `hdmatt:topk=0` | 3.00 | 3.0 | 3.0 | 3.0 |  |",
        "| toys (2 of 3) | hdmatt-s, `tiles` |  |  |  |  |  |",
        "| toys (2) | closed-form (PyMatting) | 4.00 | 4.0 | 4.0 | 4.0 |  |",
        "| toys (2) | `vitmatte:vit` | 9.00 | 9.0 | 9.0 | 9.0 |  |",
    ]
    assert "a.json: 2026-01-03, commit 0123456789ab, An abacus" in text and "far" not in text
    page.write_text(text.replace("9.00", "8.00"))
    assert call(page, "--check") == 1


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("{", "bad.json cannot be read"),
        ({"summary": [{"sad": 1.0}]}, "lacks command, commit, date, machine, settings, versions, conn, dataset"),
        (without(record("2026-01-01", scores("cf", 1.0)), "commit"), "bad.json lacks commit: "),
        (without(record("2026-01-01", scores("cf", 1.0)), "settings"), "bad.json lacks settings: "),
        ({**record("2026-01-01", scores("cf", 1.0)), "settings": None}, "bad.json lacks settings: "),
        (record("2026-01-01", without(scores("cf", 1.0), "options")), "bad.json lacks options: "),
        (record("2026-01-01", scores("magic", 1.0)), "no method 'magic'"),
    ],
)
def test_a_results_file_that_cannot_be_used_is_named(page, capsys, what, message):
    before = page.read_text()
    write(page, "bad.json", what)
    assert call(page) == 2 and message in capsys.readouterr().err and page.read_text() == before


def test_missing_markers_and_missing_results_are_errors(page, capsys):
    assert call(page) == 2 and "holds no results" in capsys.readouterr().err
    write(page, "a.json", record("2026-01-01", scores("cf", 1.0)))
    page.write_text("No marker.")
    assert call(page) == 2 and readme_table.BEGIN in capsys.readouterr().err


def run(date, commit, cpu, rows):
    return {"run": "r", "date": date, "commit": commit, "machine": cpu and {"cpu": cpu}, "rows": rows}


def source_of(page):
    """The list below the table, its lines joined again."""
    return re.findall(r"^- .*$", page.read_text().replace("\n  ", " "), re.MULTILINE)


def test_the_lines_below_the_table_are_of_the_runs_that_the_rows_are_of(page):
    one = {**record("2026-03-09", scores("cf", 1.0)), "runs": [run("2026-01-05", "a" * 40 + "+", "A slide rule", 2)]}
    two = {**record("2026-02-09", scores("rw", 1.0))}
    two["runs"] = [run(None, None, None, 1), run("2026-02-01", "b" * 40, "An abacus", 1)]
    write(page, "one.json", one)
    write(page, "two.json", two)
    assert call(page) == 0
    assert source_of(page) == [  # of the last call's 2026-03-09 there is no word: no row is of it
        "- one.json: 2026-01-05, commit aaaaaaaaaaaa+, A slide rule.",
        "- two.json: date unknown, commit unknown, machine unknown (1 row); "
        "2026-02-01, commit bbbbbbbbbbbb, An abacus (1 row).",
    ]


def test_the_newest_rows_count_and_not_the_newest_call(page):
    older = {**record("2026-09-09", scores("cf", 9.0)), "runs": [run("2026-01-01", None, None, 2)]}
    write(page, "a.json", older)
    write(page, "b.json", {**record("2026-05-05", scores("cf", 5.0)), "runs": [run("2026-05-05", None, None, 2)]})
    assert call(page) == 0
    assert "| 5.00 |" in page.read_text() and "| 9.00 |" not in page.read_text()


def test_what_is_not_known_is_null_and_is_said(page):
    write(page, "a.json", {**record("2026-01-01", scores("cf", 1.0, options=None)), "commit": None, "machine": None})
    assert call(page) == 0
    assert source_of(page) == [
        "- a.json: 2026-01-01, commit unknown, machine unknown; of the last call: rows were not traced to runs yet; "
        "options unknown: cf."
    ]


def test_sizes_have_a_row_each_and_failures_their_reason(page):
    write(page, "a.json", record("2026-01-01", scores("cf", 1.0)))
    row = {"megapixels": 4.0, "method": "hdmatt", "seconds": 1.25, "peak_memory": 3 << 20, "unknown_rate": 0.5}
    row |= {"share_of_peak": 0.75, "error": None, "skipped": False}
    failed = {**row, "method": "cf", "error": "gone"}
    rows = [row, {**row, "method": "knn", "share_of_peak": None}, failed, {**failed, "method": "rw", "skipped": True}]
    write(page, "bench.json", {**record("2026-01-02"), "rows": rows})
    sizes = page.with_name("sizes.md")
    sizes.write_text(f"{readme_table.SIZES_BEGIN}\n{readme_table.SIZES_END}\n")
    assert call(page, "--sizes", str(sizes)) == 0 and call(page, "--sizes", str(sizes), "--check") == 0
    assert [line for line in sizes.read_text().splitlines() if line.startswith("| 4 ")] == [
        "| 4 | hdmatt | 1.2 | 3 | 0.500 | 75 % |",
        "| 4 | knn | 1.2 | 3 | 0.500 |  |",
        "| 4 | cf | gone |  |  |  |",
        "| 4 | rw | not tried |  |  |  |",
    ]
