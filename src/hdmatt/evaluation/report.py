"""The HTML report of an evaluation: tables, worst regions, machine. One file that needs nothing beside it.

Prepares plain values; the page is the template report.html. Jinja2 escapes every value in it (autoescape), so nothing
here builds HTML. Reads no pictures and knows no addresses.

    RegionPicture, Region   a worst region: picture and truth, matte and error of each method, as encoded pictures
    COLUMNS          the measures of the tables, and how a number is printed
    format_measure   a value of a column as text
    measure_text     the text and the sorting value of a row or summary in a column
    line             a finished row as a line of a log
    render           the page
"""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

from hdmatt.errors import plural
from hdmatt.evaluation.ledger import ScoreRow
from hdmatt.evaluation.methods import KINDS
from hdmatt.evaluation.summary import ScoreSummary
from hdmatt.system.memory import GIB, MIB


class RegionPicture(NamedTuple):
    """One encoded picture of a region."""

    method: str  # "" for picture and truth, which all methods share
    what: str
    kind: str  # "png" or "jpeg"
    data: bytes

    @property
    def address(self) -> str:
        """The picture itself as a data: address."""
        return f"data:image/{self.kind};base64,{base64.b64encode(self.data).decode()}"


class Region(NamedTuple):
    """One region at 100 %, at the same place for all methods."""

    dataset: str
    variant: str
    name: str
    corner: tuple[int, int]  # y, x
    pictures: tuple[RegionPicture, ...]  # two of each method, side by side
    missing: tuple[str, ...] = ()  # methods without a matte of this picture


COLUMNS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "sad": ("SAD", "{:.2f}".format),
    "mse": ("MSE ×1000", lambda value: f"{1000 * value:.2f}"),
    "grad": ("Grad", "{:.2f}".format),
    "conn": ("Conn", "{:.2f}".format),
    "mad": ("MAD", "{:.4f}".format),
    "seam": ("seam", "{:.3f}".format),
    "seam_truth": ("seam, truth", "{:.3f}".format),
    "seconds": ("time, s", "{:.1f}".format),
    "peak_memory": ("peak, MiB", lambda value: f"{value / MIB:.0f}"),
}


def format_measure(measure: str, value: float | None) -> str:
    """A value as the tables print it; a dash for None."""
    return "–" if value is None else COLUMNS[measure][1](value)


def measure_text(row: ScoreRow | ScoreSummary, measure: str) -> tuple[str, float | None]:
    """The printed text of a measure and the value to sort by; a control's seam score is printed in brackets."""
    value = getattr(row, measure)
    if measure == "seam" and value is None and row.seam_control is not None:
        return f"({format_measure(measure, row.seam_control)})", row.seam_control
    return format_measure(measure, value), value


def line(row: ScoreRow, done: int, total: int) -> str:
    """A finished row as one line of a log, for terminals without a progress bar."""
    place = " ".join(part for part in (row.method, row.dataset, row.variant, row.name) if part)
    if row.error is not None:
        return f"{done}/{total} {place}: failed"
    seconds = "" if row.seconds is None else f", {format_measure('seconds', row.seconds)} s"
    return f"{done}/{total} {place}: SAD {format_measure('sad', row.sad)}{seconds}"


def render(
    facts: Mapping[str, Any],
    summaries: Sequence[ScoreSummary],
    best: Collection[tuple[int, str]],
    rows: Sequence[ScoreRow],
    regions: Sequence[Region],
) -> str:
    """The page.

    Args:
        facts: Of evaluate.Evaluation; "runs" and "provenance" may be missing.
        best: (index of a summary, measure) to be printed in bold.
        regions: In the order in which they are shown.
    """
    runs, provenance = facts.get("runs", ()), facts.get("provenance", "")
    return _template().render(
        provenance=provenance,
        facts=_facts(facts),
        runs=_runs_table(runs) if provenance else None,  # only where the facts of this call are not those of all rows
        summary=_summary_table(summaries, best),
        options=dict.fromkeys((one.method, one.options) for one in summaries),
        failed=[(row.method, _place(row), row.error) for row in rows if row.error is not None],
        pictures=_pictures_table(rows, with_runs=len(runs) > 1),
        regions=[(_place(region), region, _by_method(region)) for region in regions],
    )


class _Cell(NamedTuple):
    text: str
    value: Any  # the table sorts by it
    bold: bool = False


class _Table(NamedTuple):
    heads: Sequence[str]
    words: Collection[str]  # heads of the columns that hold text; the others hold numbers
    rows: Sequence[tuple[str, Sequence[_Cell]]]  # CSS classes of the row, its cells


@lru_cache(maxsize=1)
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    page = resources.files("hdmatt.evaluation").joinpath("report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters["shortened"] = _shortened
    return environment.from_string(page)


def _shortened(text: str) -> str:
    """The name of a method with the end of its path only, if that is long: folder:…/b/c. Other texts stay."""
    kind, _, path = text.partition(":")
    parts = path.replace("\\", "/").rstrip("/").split("/")
    if kind not in KINDS or len(path) < 24 or len(parts) < 3:  # a remark may have a colon and a path in it, too
        return text
    return f"{kind}:…/{'/'.join(parts[-2:])[-40:]}"


def _texts(*texts: str) -> list[_Cell]:
    return [_Cell(text, text) for text in texts]


def _measures(row: ScoreRow | ScoreSummary, bold: Callable[[str], bool] = lambda _: False) -> list[_Cell]:
    values = {measure: measure_text(row, measure) for measure in COLUMNS}
    return [_Cell(text, "" if value is None else value, bold(m)) for m, (text, value) in values.items()]


def _summary_table(summaries: Sequence[ScoreSummary], best: Collection[tuple[int, str]]) -> _Table:
    heads = ["data set", "trimap", "method", "pictures", *(title for title, _ in COLUMNS.values())]
    rows: list[tuple[str, list[_Cell]]] = []
    for i, one in enumerate(summaries):
        count = f"{one.pictures} of {one.pictures + len(one.failed)}" if one.failed else str(one.pictures)
        cells = [*_texts(one.dataset, one.variant, one.method), _Cell(count, one.pictures)]
        cells += _measures(one, lambda measure, i=i: (i, measure) in best)
        before = summaries[i - 1] if i else one
        new = (one.dataset, one.variant) != (before.dataset, before.variant)
        rows.append((" ".join(["first"] * new + ["failed"] * bool(one.failed)), cells))
    return _Table(heads, ("data set", "trimap", "method"), rows)


def _pictures_table(rows: Sequence[ScoreRow], *, with_runs: bool) -> _Table:
    heads = ["data set", "trimap", "picture", "method", *(title for title, _ in COLUMNS.values())]
    remarks = [f"failed: {row.error}" if row.error is not None else row.note or "" for row in rows]
    lines = [[*_texts(row.dataset, row.variant, row.name, row.method), *_measures(row)] for row in rows]
    if with_runs:
        heads.append("run")
        lines = [[*line, *_texts(row.run or "not recorded")] for line, row in zip(lines, rows, strict=True)]
    if any(remarks):
        heads.append("remark")
        lines = [[*line, *_texts(remark)] for line, remark in zip(lines, remarks, strict=True)]
    marks = ["failed" if row.error is not None else "" for row in rows]
    words = ("data set", "trimap", "picture", "method", "run", "remark")
    return _Table(heads, words, list(zip(marks, lines, strict=True)))


def _runs_table(runs: Sequence[Mapping[str, Any]]) -> _Table:
    heads = ["run", "rows", "date", "commit", "machine", "memory limit, MiB", "batch", "versions", "command"]
    rows: list[tuple[str, list[_Cell]]] = []
    for one in runs:
        settings = one["settings"] or {}
        limit, known = settings.get("memory"), one["date"] is not None
        texts = [
            one["date"] or "unknown",
            one["commit"] or "unknown",
            _machine(one["machine"]) if one["machine"] else "unknown",
            (f"{limit / MIB:.0f}" if limit else "half of the free memory") if known else "unknown",
            str(settings.get("batch") or "by memory") if known else "unknown",
            _versions(one["versions"] or {}) or "unknown",
            one["command"] or ("called from Python" if known else "unknown"),
        ]
        count = _Cell(str(one["rows"]), one["rows"])
        rows.append(("", [*_texts(one["run"] or "not recorded"), count, *_texts(*texts)]))
    return _Table(heads, [head for head in heads if head != "rows"], rows)


def _by_method(region: Region) -> dict[str, list[RegionPicture]]:
    methods = dict.fromkeys(one.method for one in region.pictures)
    return {method: [one for one in region.pictures if one.method == method] for method in methods}


def _place(row: ScoreRow | Region) -> str:
    return " / ".join(part for part in (row.dataset, row.variant, row.name) if part)


def _machine(machine: Mapping[str, Any]) -> str:
    ram = f"{machine['ram_bytes'] / GIB:.0f} GiB"
    described = f"{machine['cpu']}, {machine['usable_cores']} of {plural(machine['cores'], 'core')}, {ram} RAM, "
    return described + ", ".join(str(machine[key]) for key in ("gpu", "system") if key in machine)


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _facts(facts: Mapping[str, Any]) -> dict[str, str]:
    return {
        "command": facts["command"] or "called from Python",
        "date": facts["date"],
        "commit": facts["commit"] or "unknown",
        "machine": _machine(facts["machine"]),
        "versions": _versions(facts["versions"]),
    }
