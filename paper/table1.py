"""Table 1 of the paper: the same networks on the whole picture and on patches.

    python -m paper.table1 --data alphamatting-dev --out t1
    python -m paper.table1 --data composition1k --method whole --method crop --method hdmatt \\
        --method vitmatte:PATH --method vitmatte-patches:PATH --out t1

Takes any method of `hdmatt eval`, also finished mattes (folder:PATH), and sorts them into the sections: whole picture,
down-sampled picture, patches, finished mattes. Writes table1.md beside result.json, report.html and the mattes.
"""

from benchmarks._shared import best, command_of, items_of, markdown, parser, run, score, settings_of, write_text
from hdmatt.errors import plural
from hdmatt.evaluation.methods import FOLDER
from hdmatt.evaluation.run_method import GRID_METHODS, TILES
from hdmatt.evaluation.summary import ScoreSummary

METHODS = ("whole", "crop", "hdmatt")
SECTIONS = ("Whole", "Down-sampled", "Patch", "Finished")
MEASURES = {
    "sad": "SAD",
    "mse": "MSE x 1000",
    "grad": "Grad",
    "conn": "Conn",
    "seam": "seam",
    "peak_memory": "peak MiB",
}
SCALE = {"mse": 1000.0, "peak_memory": 2.0**-20}
DIGITS = {"sad": 2, "mse": 1, "grad": 1, "conn": 1, "seam": 2, "peak_memory": 0}


def section(method: str) -> str:
    """Where a method stands in the table."""
    name = method.partition(":")[0]
    if method.startswith(FOLDER):
        return "Finished"
    if name in (*GRID_METHODS, *TILES):
        return "Patch"
    return "Down-sampled" if name.endswith("downsample") else "Whole"


def table(summaries: list[ScoreSummary]) -> str:
    """One table for each data set and trimap."""
    parts: list[str] = []
    for place in dict.fromkeys((s.dataset, s.variant) for s in summaries):
        here = [s for s in summaries if (s.dataset, s.variant) == place]
        here.sort(key=lambda s: SECTIONS.index(section(s.method)))
        columns = {m: best(*_column(here, m)) for m in MEASURES}
        rows: list[list[str]] = []
        last = ""
        for i, one in enumerate(here):
            name = one.method + (
                f" ({len(one.failed)} of {one.pictures + len(one.failed)} failed)" if one.failed else ""
            )
            kind = section(one.method)
            rows.append([kind if kind != last else "", name, *(columns[m][i] for m in MEASURES)])
            last = kind
        title = " ".join(part for part in place if part)
        pictures = max((s.pictures for s in here), default=0)
        heads = ["", "Methods", *MEASURES.values()]
        parts.append(f"## {title}, {plural(pictures, 'picture')}\n\n{markdown(heads, rows, words=2)}")
    return "# Table 1: whole against patch\n\n" + "\n".join(parts)


def _column(here: list[ScoreSummary], measure: str) -> tuple[list[float | None], list[str]]:
    values = [getattr(one, measure) for one in here]
    shown = ["-" if v is None else f"{v * SCALE.get(measure, 1):.{DIGITS[measure]}f}" for v in values]
    if measure == "seam":  # 1 is best; methods without borders in brackets, on those of the grid
        controls = [one.seam_control if one.seam is None else None for one in here]
        shown = [text if c is None else f"({c:.2f})" for text, c in zip(shown, controls, strict=True)]
        values = [None if v is None else abs(v - 1) for v in values]
    return [None if one.failed else value for one, value in zip(here, values, strict=True)], shown


def main(arguments: list[str]) -> int:
    options = parser(__doc__ or "")
    options.add_argument("--method", action="append", help=f"repeatable; default: {' '.join(METHODS)}")
    given = options.parse_args(arguments)
    methods = given.method or list(METHODS)
    result = score(items_of(given), methods, given.out, settings_of(given), command_of(__file__, arguments))
    write_text(given.out / "table1.md", table(result.summaries))
    return 1 if any(row.error for row in result.rows) else 0


if __name__ == "__main__":
    run(main)
