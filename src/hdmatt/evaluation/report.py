"""One HTML file that shows an evaluation: tables, worst regions, machine. It needs nothing beside it.

Text in, text out: no files, no pictures decoded, no addresses. All that comes from outside passes html.escape.

    Crop      one worst region: picture and truth, matte and error of each method, as encoded pictures
    COLUMNS   what the tables show, and how a number is printed
    cell      a value of a column as text
    shown     the text and value of a row or summary in a column
    line      a row that was just computed, for logs
    render    the page
"""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape
from string import Template
from typing import Any, NamedTuple

from hdmatt.errors import plural
from hdmatt.evaluation.methods import KINDS


class Shown(NamedTuple):
    """One encoded picture of a region."""

    method: str  # "" for what all methods share
    what: str
    kind: str  # "png" or "jpeg"
    data: bytes


class Crop(NamedTuple):
    """One region at 100 %, the same for all methods."""

    dataset: str
    variant: str
    name: str
    corner: tuple[int, int]  # y, x
    pictures: tuple[Shown, ...]  # two of each method, side by side
    missing: tuple[str, ...] = ()  # methods that have no matte of it


COLUMNS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "sad": ("SAD", "{:.2f}".format),
    "mse": ("MSE ×1000", lambda value: f"{1000 * value:.2f}"),
    "grad": ("Grad", "{:.2f}".format),
    "conn": ("Conn", "{:.2f}".format),
    "mad": ("MAD", "{:.4f}".format),
    "seam": ("seam", "{:.3f}".format),
    "seam_truth": ("seam, truth", "{:.3f}".format),
    "seconds": ("time, s", "{:.1f}".format),
    "peak_memory": ("peak, MiB", lambda value: f"{value / 2**20:.0f}"),
}


def cell(measure: str, value: float | None) -> str:
    """A value as the tables print it; a dash where there is none."""
    return "–" if value is None else COLUMNS[measure][1](value)


def shown(row: Any, measure: str) -> tuple[str, float | None]:
    """What a table prints of a row or a summary, and what it sorts by; a seam score in brackets is a control."""
    value = getattr(row, measure)
    if measure == "seam" and value is None and row.seam_control is not None:
        return f"({cell(measure, row.seam_control)})", row.seam_control
    return cell(measure, value), value


def line(row: Any, done: int, total: int) -> str:
    """An evaluate.Row as one line of a log, where a bar cannot move."""
    place = " ".join(part for part in (row.method, row.dataset, row.variant, row.name) if part)
    if row.error is not None:
        return f"{done}/{total} {place}: failed"
    seconds = "" if row.seconds is None else f", {cell('seconds', row.seconds)} s"
    return f"{done}/{total} {place}: SAD {cell('sad', row.sad)}{seconds}"


def render(
    facts: Mapping[str, Any],
    summaries: Sequence[Any],
    best: Collection[tuple[int, str]],
    rows: Sequence[Any],
    crops: Sequence[Crop],
) -> str:
    """The page.

    Args:
        facts: Of evaluate.Result; "runs" and "provenance" may be missing.
        summaries: evaluate.Summary.
        best: (index of a summary, measure) to be printed in bold.
        rows: evaluate.Row.
        crops: In the order in which they are shown.
    """
    return _PAGE.substitute(
        provenance=_provenance(facts),
        facts=_facts(facts) + _runs(facts),
        summary=_summary(summaries, best),
        failed=_failed(rows),
        pictures=_pictures(rows, with_runs=len(facts.get("runs", ())) > 1),
        crops="\n".join(map(_crop, crops)) or "<p>There are no mattes to show.</p>",
    )


_Cell = tuple[str, Any, bool]  # text, value to sort by, bold


def _table(
    heads: Sequence[str], lines: Sequence[Sequence[_Cell]], *, words: Collection[str], kinds: Sequence[str] = ()
) -> str:
    """A table that a click sorts.

    Args:
        words: The heads of columns that hold text; the others hold numbers.
        kinds: A class for each line, may be empty.
    """
    side = ["" if head in words else ' class="n"' for head in heads]
    head = "".join(
        f'<th{kind} tabindex="0" scope="col">{escape(text)}</th>' for text, kind in zip(heads, side, strict=True)
    )
    body: list[str] = []
    for i, line in enumerate(lines):
        cells: list[str] = []
        for (text, value, bold), kind in zip(line, side, strict=True):
            shown = f"<b>{_shown(text)}</b>" if bold else _shown(text)
            cells.append(f'<td{kind} data-v="{escape(str(value))}">{shown}</td>')
        mark = f' class="{kinds[i]}"' if kinds and kinds[i] else ""
        body.append(f"<tr{mark}>{''.join(cells)}</tr>")
    rows = "\n".join(body)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'


def _shown(text: str) -> str:
    """Escaped; of a method's long path (folder:/a/b/c) only the end, the whole of it when the mouse rests there."""
    kind, _, path = text.partition(":")
    parts = path.replace("\\", "/").rstrip("/").split("/")
    if kind not in KINDS or len(path) < 24 or len(parts) < 3:  # a remark may have a colon and a path in it, too
        return escape(text)
    return f'<span title="{escape(text)}">{escape(kind)}:…/{escape("/".join(parts[-2:])[-40:])}</span>'


def _text(text: str) -> _Cell:
    return text, text, False


def _measures(row: Any, bold: Callable[[str], bool]) -> list[_Cell]:
    values = {measure: shown(row, measure) for measure in COLUMNS}
    return [(text, "" if value is None else value, bold(m)) for m, (text, value) in values.items()]


def _summary(summaries: Sequence[Any], best: Collection[tuple[int, str]]) -> str:
    heads = ["data set", "trimap", "method", "pictures", *(title for title, _ in COLUMNS.values())]
    lines: list[list[_Cell]] = []
    kinds: list[str] = []
    for i, one in enumerate(summaries):
        count = f"{one.pictures} of {one.pictures + len(one.failed)}" if one.failed else str(one.pictures)
        place = [_text(one.dataset), _text(one.variant), _text(one.method), (count, one.pictures, False)]
        lines.append(place + _measures(one, lambda measure, i=i: (i, measure) in best))
        before = summaries[i - 1] if i else one
        new = (one.dataset, one.variant) != (before.dataset, before.variant)
        kinds.append(" ".join(["first"] * new + ["failed"] * bool(one.failed)))
    options = dict.fromkeys((one.method, one.options) for one in summaries)
    methods = "".join(f"<li><b>{escape(method)}</b>: {escape(text)}</li>" for method, text in options)
    table = _table(heads, lines, words=("data set", "trimap", "method"), kinds=kinds)
    return f'{table}<details><summary>Options of the methods</summary><ul class="options">{methods}</ul></details>'


def _failed(rows: Sequence[Any]) -> str:
    lines = [
        f"<li><b>{escape(row.method)}</b> on {escape(_place(row))}: {escape(row.error)}</li>"
        for row in rows
        if row.error is not None
    ]
    if not lines:
        return ""
    return f'<h2>Failed</h2><p>Not part of any mean above.</p><ul class="failed">{"".join(lines)}</ul>'


def _pictures(rows: Sequence[Any], *, with_runs: bool) -> str:
    heads = ["data set", "trimap", "picture", "method", *(title for title, _ in COLUMNS.values())]
    words = ["data set", "trimap", "picture", "method", "run", "remark"]
    remarks = [f"failed: {row.error}" if row.error is not None else row.note or "" for row in rows]
    lines = [
        [*map(_text, (row.dataset, row.variant, row.name, row.method)), *_measures(row, lambda _: False)]
        for row in rows
    ]
    if with_runs:
        heads.append("run")
        lines = [[*line, _text(row.run or "not recorded")] for line, row in zip(lines, rows, strict=True)]
    if any(remarks):
        heads.append("remark")
        lines = [[*line, _text(remark)] for line, remark in zip(lines, remarks, strict=True)]
    return _table(heads, lines, words=words, kinds=["failed" if row.error is not None else "" for row in rows])


def _crop(crop: Crop) -> str:
    y, x = crop.corner
    pairs = dict.fromkeys(shown.method for shown in crop.pictures)
    groups = [_pair([shown for shown in crop.pictures if shown.method == method]) for method in pairs]
    missing = f"<p>No matte of: {', '.join(map(_shown, crop.missing))}.</p>" if crop.missing else ""
    return (
        f"<h3>{escape(_place(crop))} <small>at x {x}, y {y}</small></h3>"
        f'<div class="crops">{"".join(groups)}</div>{missing}'
    )


def _pair(pictures: Sequence[Shown]) -> str:
    figures = "".join(
        f'<figure><img alt="{escape(f"{one.method} {one.what}".strip())}" '
        f'src="data:image/{one.kind};base64,{base64.b64encode(one.data).decode()}">'
        f"<figcaption>{escape(one.what)}</figcaption></figure>"
        for one in pictures
    )
    return f'<div class="pair"><p>{_shown(pictures[0].method) or "&nbsp;"}</p><div>{figures}</div></div>'


def _place(row: Any) -> str:
    return " / ".join(part for part in (row.dataset, row.variant, row.name) if part)


def _provenance(facts: Mapping[str, Any]) -> str:
    text = facts.get("provenance")
    if not text:
        return ""
    return f"<p><b>Mind:</b> {escape(text)}. The runs are listed at the end; compare times within one only.</p>"


def _runs(facts: Mapping[str, Any]) -> str:
    """A table, where the facts of the last call are not those of all rows."""
    if not facts.get("provenance"):
        return ""
    heads = ["run", "rows", "date", "commit", "machine", "memory limit, MiB", "batch", "versions", "command"]
    lines: list[list[_Cell]] = []
    for one in facts["runs"]:
        settings = one["settings"] or {}
        limit, known = settings.get("memory"), one["date"] is not None
        texts = [
            one["commit"] or "unknown",
            _machine(one["machine"]) if one["machine"] else "unknown",
            (f"{limit / 2**20:.0f}" if limit else "by what was free") if known else "unknown",
            str(settings.get("batch") or "by memory") if known else "unknown",
            ", ".join(f"{name} {version}" for name, version in (one["versions"] or {}).items()) or "unknown",
            one["command"] or ("called from Python" if known else "unknown"),
        ]
        rows = (str(one["rows"]), one["rows"], False)
        lines.append([_text(one["run"] or "not recorded"), rows, *map(_text, [one["date"] or "unknown", *texts])])
    table = _table(heads, lines, words=[head for head in heads if head != "rows"])
    return f"<h3>Runs that the rows are of</h3>{table}"


def _machine(machine: Mapping[str, Any]) -> str:
    ram = f"{machine['ram_bytes'] / 2**30:.0f} GiB"
    described = f"{machine['cpu']}, {machine['usable_cores']} of {plural(machine['cores'], 'core')}, {ram} RAM, "
    return described + ", ".join(str(machine[key]) for key in ("gpu", "system") if key in machine)


def _facts(facts: Mapping[str, Any]) -> str:
    lines = {
        "command": facts["command"] or "called from Python",
        "date": facts["date"],
        "commit": facts["commit"] or "unknown",
        "machine": _machine(facts["machine"]),
        "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in lines.items())
    whose = "<p>The call that wrote this page, not that of all rows:</p>" if facts.get("provenance") else ""
    return f"{whose}<dl>{listed}</dl>"


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hdmatt eval</title>
<style>
:root {
  color-scheme: light dark; --line: #8885; --soft: #8882; --bad: #b3261e;
  --paper: #fff; --ink: #1b1b1b;
}
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --paper: #16181c; --ink: #e4e4e4; } }
body {
  font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem;
  background: var(--paper); color: var(--ink);
}
p { max-width: 60rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; } small { font-weight: normal; opacity: .7; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
th { vertical-align: bottom; border-bottom: 2px solid var(--line); }
.n { text-align: right; }
td:nth-child(n + 9):last-child:not(.n) { white-space: normal; min-width: 12rem; font-size: .85em; }
tr.first td { border-top: 2px solid var(--line); }
tbody tr:hover { background: var(--soft); }
th { cursor: pointer; user-select: none; }
th:hover, th:focus-visible { background: var(--soft); }
th[aria-sort=ascending]::after { content: " ↑"; } th[aria-sort=descending]::after { content: " ↓"; }
.failed, tr.failed td { color: var(--bad); }
details { margin-top: .7rem; } .options { font-size: .9rem; overflow-wrap: anywhere; }
dt { float: left; clear: left; width: 6rem; opacity: .7; } dd { margin-left: 6.5rem; overflow-wrap: anywhere; }
.crops { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; }
.pair p { margin: 0; font-size: .9rem; font-weight: bold; } .pair div { display: flex; flex-wrap: wrap; gap: .5rem; }
figure { margin: 0; } figcaption { font-size: .8rem; opacity: .7; }
img { display: block; image-rendering: pixelated; background: #888; }
@media print { .wide { overflow: visible; } th::after { content: none; } .pair { break-inside: avoid; } }
</style>
</head>
<body>
<h1>hdmatt eval</h1>
<p>SAD, Grad and Conn are in thousands, MSE is times 1000; lower is better, and for seam closer to 1. All are counted
over the unknown pixels of the trimap. Means are plain means over pictures; the best is bold where a method scored all
of them and another did, too. Memory is the peak of the method's own process.</p>
<p>Seam is how many times rougher the error is across the borders of patches than elsewhere; 1 is no rougher. In
brackets is a control: a method that cuts nothing, on the borders of the first method on the grid, so what a matte
without seams has there. "Seam, truth" is the same of the truth's own steps: how much detail lies there by chance.</p>
$provenance
$summary
$failed
<h2>Pictures</h2>
<p>A click on a heading sorts, another one turns the order.</p>
$pictures
<h2>Worst regions</h2>
<p>At 100 %, of the pictures on which a method is worst, where the errors of all methods together are largest: one place
for all of them. Error from black (none) to yellow (all of 1), unknown pixels only.</p>
$crops
<h2>How it was made</h2>
$facts
<script>
const value = (row, column) => row.cells[column].dataset.v;
const sort = head => {
  const body = head.closest("table").tBodies[0], column = head.cellIndex, rows = [...body.rows];
  const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
  const compare = (a, b) => a === "" || b === "" ? (a === "") - (b === "")
    : way * (isNaN(a) || isNaN(b) ? a.localeCompare(b, undefined, {numeric: true}) : a - b);
  rows.sort((a, b) => compare(value(a, column), value(b, column)));
  for (const row of rows) row.classList.remove("first");
  body.append(...rows);
};
for (const head of document.querySelectorAll("th")) {
  head.onclick = () => sort(head);
  head.onkeydown = event => { if (event.key === "Enter") sort(head); };
}
</script>
</body>
</html>
""")
