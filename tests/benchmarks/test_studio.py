"""benchmarks.studio: the table of what was measured."""

import json

from benchmarks import studio

SECONDS = {"p50": 0.5, "p95": 1.25}
STROKES = {
    "machine": {"usable_cores": 2, "cpu": "a processor"},
    "memory_limit": "2GiB",
    "view_s": 0.4,
    "overlay_s": {"p50": 0.03, "p95": 0.07},
    "patch_s": SECONDS,
    "last_s": SECONDS,
    "refresh_s": {},
    "memory_mib": {"peak": 900, "own": 700},
}
MINUTES = {"each": [{"strokes": 100, "peak": 900, "own": 700}, {"strokes": 110, "peak": 900, "own": 701}]}
PAGE = {"stroke_s": {"p50": 0.1, "p95": 0.2}, "heap_mib": 5, "renderer_mib": 330}


def test_the_table_has_a_line_for_each_size_and_the_smallest_comes_first():
    large = {"megapixels": 36.0, "strokes": STROKES}
    lines = studio.table([large, {"megapixels": 4.0, "strokes": STROKES, "page": PAGE}]).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 4", "| 36"]
    assert "30, 70 ms | 0.50, 1.25 s | 0.50, 1.25 s |  | 900 MiB of 2GiB | 100, 200 ms | 330 MiB |" in lines[2]


def test_the_page_says_whether_memory_grew():
    page = studio.with_table(
        f"A\n\n{studio.BEGIN}\n\nold text\n\n{studio.END}\n",
        [{"megapixels": 4.0, "strokes": STROKES, "minutes": MINUTES}],
    )
    assert "2 minutes of strokes at 4 megapixels, 210 in all: 700 MiB" in " ".join(page.split())
    assert "2 cores of a processor" in page and "old text" not in page


def test_the_table_of_the_docs_is_that_of_the_results():
    records = [json.loads(path.read_text(encoding="utf-8")) for path in studio.RESULTS.glob("*.json")]
    text = studio.PAGE.read_text(encoding="utf-8")
    assert (studio.with_table(text, records) if records else text) == text
    assert studio.BEGIN in text and studio.END in text
