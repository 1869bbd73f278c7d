"""Means of scores per method, data set and trimap, and which of them are best.

Knows rows (evaluation/ledger.py), no files and no methods. Read top to bottom:

    MEASURES        the measures of which the best is printed in bold
    ScoreSummary    the means of one method on one data set and trimap
    summarise       rows -> summaries
    best_of         the best of each measure
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hdmatt.evaluation.ledger import ScoreRow

MEASURES = ("sad", "mse", "grad", "conn", "mad", "seam", "seconds", "peak_memory")
CONTROLS = ("seam_control", "seam_truth")  # means too, but no method is better by them


@dataclass(frozen=True)
class ScoreSummary:
    """Plain means over the pictures that were scored; `failed` names those that were not."""

    dataset: str
    variant: str
    method: str
    options: str
    pictures: int  # that were scored
    failed: tuple[str, ...]
    sad: float | None
    mse: float | None
    grad: float | None
    conn: float | None
    mad: float | None
    seam: float | None
    seconds: float | None
    peak_memory: float | None
    runs: tuple[str | None, ...] = ()  # of ledger.origins, that its rows are of
    seam_control: float | None = None  # as in ledger.ScoreRow
    seam_truth: float | None = None


def summarise(rows: Iterable[ScoreRow]) -> list[ScoreSummary]:
    """Means per (data set, variant, method), data sets and variants together, methods in the order of the rows."""
    groups: dict[tuple[str, str, str, str], list[ScoreRow]] = {}
    for row in rows:
        groups.setdefault((row.dataset, row.variant, row.method, row.options), []).append(row)
    places = list(dict.fromkeys(key[:2] for key in groups))
    result: list[ScoreSummary] = []
    for key in sorted(groups, key=lambda key: places.index(key[:2])):
        scored = [row for row in groups[key] if row.error is None]
        result.append(
            ScoreSummary(
                dataset=key[0],
                variant=key[1],
                method=key[2],
                options=key[3],
                pictures=len(scored),
                failed=tuple(row.name for row in groups[key] if row.error is not None),
                **{m: _mean(getattr(row, m) for row in scored) for m in (*MEASURES, *CONTROLS)},
                runs=tuple(dict.fromkeys(row.run or None for row in groups[key])),
            )
        )
    return result


def best_of(summaries: Sequence[ScoreSummary]) -> set[tuple[int, str]]:
    """(index, measure) of the best of each data set and variant, for bold print; ties are all best.

    Only methods that scored every picture compete, and only against another one.
    """
    best: set[tuple[int, str]] = set()
    for place in {(s.dataset, s.variant) for s in summaries}:
        here = [i for i, s in enumerate(summaries) if (s.dataset, s.variant) == place and not s.failed]
        for measure in MEASURES:
            values = {i: getattr(summaries[i], measure) for i in here}
            far = {i: abs(v - 1) if measure == "seam" else v for i, v in values.items() if v is not None}
            if len(far) > 1:
                best |= {(i, measure) for i, v in far.items() if v == min(far.values())}
    return best


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
