"""One HTML file that shows an evaluation: tables, worst regions, machine. It needs nothing beside it.

Text in, text out: no files, no pictures decoded, no addresses. All that comes from outside passes html.escape.

    Crop      one worst region: picture, truth, matte and error as encoded pictures
    COLUMNS   what the tables show, and how a number is printed
    cell      a value of a column as text
    render    the page
"""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape
from string import Template
from typing import Any, NamedTuple


class Crop(NamedTuple):
    """One region at 100 %."""

    method: str
    dataset: str
    variant: str
    name: str
    corner: tuple[int, int]  # y, x
    pictures: tuple[tuple[str, str, bytes], ...]  # what it shows, "png" or "jpeg", the encoded picture


COLUMNS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "sad": ("SAD", "{:.2f}".format),
    "mse": ("MSE ×1000", lambda value: f"{1000 * value:.2f}"),
    "grad": ("Grad", "{:.2f}".format),
    "conn": ("Conn", "{:.2f}".format),
    "mad": ("MAD", "{:.4f}".format),
    "seam": ("seam", "{:.3f}".format),
    "seconds": ("time, s", "{:.1f}".format),
    "peak_memory": ("peak, MiB", lambda value: f"{value / 2**20:.0f}"),
}


def cell(measure: str, value: float | None) -> str:
    """A value as the tables print it; a dash where there is none."""
    return "–" if value is None else COLUMNS[measure][1](value)


def render(
    facts: Mapping[str, Any],
    summaries: Sequence[Any],
    best: Collection[tuple[int, str]],
    rows: Sequence[Any],
    crops: Sequence[Crop],
) -> str:
    """The page.

    Args:
        facts: command, date, commit, machine, versions of evaluate.Result.
        summaries: evaluate.Summary.
        best: (index of a summary, measure) to be printed in bold.
        rows: evaluate.Row.
        crops: In the order in which they are shown.
    """
    return _PAGE.substitute(
        facts=_facts(facts),
        summary=_summary(summaries, best),
        failed=_failed(rows),
        pictures=_pictures(rows),
        crops="\n".join(map(_crop, crops)) or "<p>There are no mattes to show.</p>",
    )


def _table(heads: Sequence[str], lines: Sequence[Sequence[tuple[str, Any, bool]]], *, sortable: bool) -> str:
    """Cells are (text, value to sort by, bold)."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body: list[str] = []
    for line in lines:
        cells: list[str] = []
        for text, value, bold in line:
            shown = f"<b>{escape(text)}</b>" if bold else escape(text)
            cells.append(f'<td{_number(value)} data-v="{escape(str(value))}">{shown}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    kind = ' class="sortable"' if sortable else ""
    rows = "\n".join(body)
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'


def _number(value: Any) -> str:
    return "" if isinstance(value, str) and value else ' class="n"'


def _text(text: str) -> tuple[str, Any, bool]:
    return text, text, False


def _measures(row: Any, bold: Callable[[str], bool]) -> list[tuple[str, Any, bool]]:
    values = {measure: getattr(row, measure) for measure in COLUMNS}
    return [(cell(m, v), "" if v is None else v, bold(m)) for m, v in values.items()]


def _summary(summaries: Sequence[Any], best: Collection[tuple[int, str]]) -> str:
    heads = ["data set", "trimap", "method", "pictures", *(title for title, _ in COLUMNS.values())]
    lines: list[list[tuple[str, Any, bool]]] = []
    for i, one in enumerate(summaries):
        count = f"{one.pictures} of {one.pictures + len(one.failed)}" if one.failed else str(one.pictures)
        place = [_text(one.dataset), _text(one.variant), _text(one.method), (count, one.pictures, False)]
        lines.append(place + _measures(one, lambda measure, i=i: (i, measure) in best))
    options = dict.fromkeys((one.method, one.options) for one in summaries)
    methods = "".join(f"<li>{escape(method)}: {escape(text)}</li>" for method, text in options)
    return _table(heads, lines, sortable=False) + f"<ul>{methods}</ul>"


def _failed(rows: Sequence[Any]) -> str:
    lines = [
        f"<li>{escape(row.method)} on {escape(_place(row))}: {escape(row.error)}</li>"
        for row in rows
        if row.error is not None
    ]
    if not lines:
        return ""
    return f'<h2>Failed</h2><p>Not part of any mean above.</p><ul class="failed">{"".join(lines)}</ul>'


def _pictures(rows: Sequence[Any]) -> str:
    heads = ["data set", "trimap", "picture", "method", *(title for title, _ in COLUMNS.values()), "remark"]
    lines = [
        [
            *map(_text, (row.dataset, row.variant, row.name, row.method)),
            *_measures(row, lambda _: False),
            _text(f"failed: {row.error}" if row.error is not None else row.note or ""),
        ]
        for row in rows
    ]
    return _table(heads, lines, sortable=True)


def _crop(crop: Crop) -> str:
    y, x = crop.corner
    figures = "".join(
        f'<figure><img alt="{escape(what)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{escape(what)}</figcaption></figure>"
        for what, kind, data in crop.pictures
    )
    title = f"{crop.method}: {_place(crop)}"
    return f'<h3>{escape(title)} <small>at x {x}, y {y}</small></h3><div class="crops">{figures}</div>'


def _place(row: Any) -> str:
    return " / ".join(part for part in (row.dataset, row.variant, row.name) if part)


def _facts(facts: Mapping[str, Any]) -> str:
    machine = facts["machine"]
    ram = f"{machine['ram_bytes'] / 2**30:.0f} GiB"
    described = f"{machine['cpu']}, {machine['usable_cores']} of {machine['cores']} cores, {ram} RAM, "
    described += ", ".join(str(machine[key]) for key in ("gpu", "system") if key in machine)
    lines = {
        "command": facts["command"] or "called from Python",
        "date": facts["date"],
        "commit": facts["commit"] or "unknown",
        "machine": described,
        "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
    }
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in lines.items())


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hdmatt eval</title>
<style>
:root { color-scheme: light dark; --line: #8885; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; } small { font-weight: normal; opacity: .7; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
td.n { text-align: right; }
tbody tr:hover { background: var(--soft); }
.sortable th { cursor: pointer; user-select: none; }
.sortable th[data-way="1"]::after { content: " ↑"; } .sortable th[data-way="-1"]::after { content: " ↓"; }
.failed { color: #c33; }
dt { float: left; clear: left; width: 6rem; opacity: .7; } dd { margin-left: 6.5rem; overflow-wrap: anywhere; }
.crops { display: flex; flex-wrap: wrap; gap: .5rem; }
figure { margin: 0; } figcaption { font-size: .8rem; opacity: .7; }
img { display: block; image-rendering: pixelated; background: #888; }
</style>
</head>
<body>
<h1>hdmatt eval</h1>
<p>SAD, Grad and Conn are in thousands, MSE is times 1000; lower is better, and for seam closer to 1. All are counted
over the unknown pixels of the trimap. Means are plain means over pictures; the best is bold where a method scored all
of them and another did, too. Memory is the peak of the method's own process.</p>
$summary
$failed
<h2>Pictures</h2>
<p>A click on a heading sorts.</p>
$pictures
<h2>Worst regions</h2>
<p>At 100 %, where the error is largest; error from black (none) to yellow (all of 1), unknown pixels only.</p>
$crops
<h2>How it was made</h2>
<dl>$facts</dl>
<script>
for (const head of document.querySelectorAll(".sortable th")) head.onclick = () => {
  const body = head.closest("table").tBodies[0], column = head.cellIndex;
  const way = head.dataset.way === "1" ? -1 : 1;
  for (const other of head.parentNode.children) delete other.dataset.way;
  head.dataset.way = way;
  const value = row => row.cells[column].dataset.v;
  const compare = (a, b) => a === "" || b === "" ? (a === "") - (b === "")
    : way * (isNaN(a) || isNaN(b) ? a.localeCompare(b, undefined, {numeric: true}) : a - b);
  body.append(...[...body.rows].sort((a, b) => compare(value(a), value(b))));
};
</script>
</body>
</html>
""")
