"""Table 2 of the paper: the layout of alphamatting.com, with ranks.

    python -m paper.table2 --data alphamatting --method hdmatt --method cf --method folder:other-mattes --out t2

Every picture with every trimap is one test. In each test the methods are ranked by their score (equal scores share
the better rank); S, L and U are the mean ranks over the pictures with the small, large and user trimap; "All" is the
mean of these. The ranks are those among the methods given here: the site ranks about sixty, so they are no places on
the site.

The truth of the eight test pictures (troll ... net) is not public. With it, in folders image/ trimap1/ trimap2/
trimap3/ alpha/, the table is the site's; any other test set gives a table of its own pictures. Writes table2.md and
table2.json beside hdmatt eval's result.json, report.html and the mattes.
"""

from collections.abc import Sequence
from typing import Any

from benchmarks._shared import (
    best,
    command_of,
    items_of,
    markdown,
    parser,
    run,
    score,
    settings_of,
    write_record,
    write_text,
)
from hdmatt.errors import InputError, plural
from hdmatt.evaluation.ledger import ScoreRow

PICTURES = ("troll", "doll", "donkey", "elephant", "plant", "pineapple", "plasticbag", "net")  # the paper's order
LETTERS = ("S", "L", "U")
MEASURES = {
    "sad": ("SAD", 1.0),
    "mse": ("MSE x 1000", 1000.0),
    "grad": ("Gradient", 1.0),
    "conn": ("Connectivity", 1.0),
}


def ranks(scores: Sequence[float]) -> list[int]:
    """1 for the smallest; equal scores share the better rank."""
    return [1 + sum(other < score for other in scores) for score in scores]


def average_ranks(tests: dict[tuple[str, str], list[float]]) -> tuple[list[float], dict[str, list[float]]]:
    """Overall and per trimap, for each method.

    Args:
        tests: (trimap, picture) -> the methods' scores, in one order.
    """
    found = {key: ranks(scores) for key, scores in tests.items()}
    by_trimap: dict[str, list[float]] = {}
    for trimap in dict.fromkeys(trimap for trimap, _ in tests):
        mine = [rank for (own, _), rank in found.items() if own == trimap]
        by_trimap[trimap] = [sum(column) / len(mine) for column in zip(*mine, strict=True)]
    overall = [sum(column) / len(by_trimap) for column in zip(*by_trimap.values(), strict=True)]
    return overall, by_trimap


def ordered(rows: Sequence[ScoreRow]) -> tuple[list[str], list[str], list[str]]:
    """Methods, trimaps, pictures, in the order of the table."""
    methods, trimaps, names = (
        list(dict.fromkeys(getattr(row, what) for row in rows)) for what in ("method", "variant", "name")
    )
    known = {name: i for i, name in enumerate(PICTURES)}
    names.sort(key=lambda name: known.get(name.lower().replace("_", "").replace(" ", ""), len(known)))
    return methods, trimaps, names


def main(arguments: list[str]) -> int:
    options = parser(__doc__ or "")
    options.add_argument("--method", action="append", help="repeatable, two or more")
    given = options.parse_args(arguments)
    methods = given.method or ["hdmatt", "crop"]
    if len(methods) < 2:
        raise InputError("one method has no rank", hint="Give two or more: --method hdmatt --method cf.")
    if len(given.data) > 1:
        raise InputError(f"{len(given.data)} data sets for one table", hint="Give one --data.")
    items = items_of(given)
    hidden = [item.name for some in items.values() for item in some if item.alpha is None]
    if hidden:
        more = f" and {plural(len(hidden) - 1, 'more test')}" if len(hidden) > 1 else ""
        raise InputError(
            f"the truth of {hidden[0]}{more} is not in {given.data[0]}: alphamatting.com keeps it to itself",
            hint="Make the mattes with hdmatt matte and send them to the site; or, if you have the truth, put it into "
            "a folder alpha/ beside image/ trimap1/ trimap2/ trimap3/.",
        )
    result = score(items, methods, given.out, settings_of(given), command_of(__file__, arguments))
    failed = [row for row in result.rows if row.error]
    if failed:
        raise InputError(
            f"{failed[0].method} has no matte of {failed[0].name}: {failed[0].error}",
            hint="Ranks need every method on every test: mend it, or leave the method out.",
        )
    methods, trimaps, names = ordered(result.rows)
    letters = dict(zip(trimaps, LETTERS if len(trimaps) <= len(LETTERS) else trimaps, strict=False))
    if len(trimaps) == 1:
        letters = {trimaps[0]: ""}
    text, record = "# Table 2: scores and ranks in the layout of alphamatting.com\n", {}
    for measure, (title, scale) in MEASURES.items():
        scores = {(r.variant, r.name, r.method): float(getattr(r, measure)) for r in result.rows}
        tests = {(t, n): [scores[t, n, m] for m in methods] for n in names for t in trimaps}
        overall, by_trimap = average_ranks(tests)
        heads = ["method", "All", *(letters[t] for t in trimaps if letters[t])]
        heads += [f"{n} {letters[t]}".strip() for n in names for t in trimaps]
        columns = [best(overall, [f"{v:.1f}" for v in overall])]
        columns += [best(v, [f"{one:.1f}" for one in v]) for t, v in by_trimap.items() if letters[t]]
        columns += [best(v, [f"{one * scale:.1f}" for one in v]) for v in tests.values()]
        order = sorted(range(len(methods)), key=overall.__getitem__)
        rows = [[methods[i], *(column[i] for column in columns)] for i in order]
        text += f"\n## {title}\n\n{markdown(heads, rows)}"
        record[measure] = _record(methods, overall, by_trimap, tests)
    text += "\nAll, " + ", ".join(f"{letters[t] or 'the trimap'}: {t}" for t in trimaps)
    text += f". Mean ranks among these {len(methods)} methods; then the scores.\n"
    write_text(given.out / "table2.md", text)
    write_record(given.out / "table2.json", result.facts, result.summaries, ranks=record)
    return 0


def _record(
    methods: list[str],
    overall: list[float],
    by_trimap: dict[str, list[float]],
    tests: dict[tuple[str, str], list[float]],
) -> dict[str, Any]:
    return {
        method: {
            "all": overall[i],
            "by_trimap": {trimap: values[i] for trimap, values in by_trimap.items()},
            "tests": [
                {"trimap": trimap, "picture": name, "score": scores[i], "rank": ranks(scores)[i]}
                for (trimap, name), scores in tests.items()
            ],
        }
        for i, method in enumerate(methods)
    }


if __name__ == "__main__":
    run(main)
