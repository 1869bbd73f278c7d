"""A record of `hdmatt bench` as one SVG: seconds and peak memory against megapixels, a line for each method.

Text in, text out: it needs nothing beside it, no fonts and no scripts. Both axes are logarithmic. A cross stands where
a method failed, at the top of its panel. Top to bottom:

    draw      the drawing
    _Axis     values -> places on one axis, and its ticks
    _panel    one of the two diagrams
    _legend   the lines' names
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

# Okabe and Ito's colours without the yellow: told apart by nearly everybody, and on white
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
WIDTH, HEIGHT = 1000, 470
PANELS = (70, 570)  # left sides
SIDE, TOP, TALL = 390, 84, 290  # of a panel: width, y, height
CROSS = 5
INK, PALE = "#222222", "#e3e3e3"


def draw(record: Mapping[str, Any]) -> str:
    """The drawing of what bench.json holds."""
    rows: Sequence[Mapping[str, Any]] = record["rows"]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    machine = record["machine"]
    cores = "1 core" if machine["usable_cores"] == 1 else f"{machine['usable_cores']} cores"
    where = f"{machine.get('gpu') or machine['cpu']}, {cores}"
    commit = (record["commit"] or "no commit")[:10]
    panels = [
        _panel(rows, methods, PANELS[0], "seconds", "seconds", 1.0),
        _panel(rows, methods, PANELS[1], "peak_memory", "peak memory, MiB", 2.0**20),
    ]
    title = "Time and memory against the size of the picture"
    under = f"{where} · {record['date'][:10]} · {commit}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">',
            f"<title>{title}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            f'<text x="{PANELS[0]}" y="30" font-size="18" font-weight="bold">{title}</text>',
            f'<text x="{PANELS[0]}" y="50" fill="#666666">{escape(under)}</text>',
            *panels,
            _legend(rows, methods),
            "</svg>\n",
        ]
    )


class _Axis(NamedTuple):
    """A logarithmic axis from `low` (at `start`) to `high` (at `end`)."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """1, 2 and 5 of each decade; more of them on a short axis, powers of ten only on a long one."""
        ratio = self.high / self.low
        steps = (1, 1.5, 2, 3, 4, 5, 7) if ratio < 8 else (1, 2, 5) if ratio < 1000 else (1,)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found = [step * 10.0**decade for decade in decades for step in steps]
        return [value for value in found if self.low * 0.999 <= value <= self.high * 1.001]


def _axis(values: Sequence[float], start: float, end: float) -> _Axis:
    """A little wider than the values; at least a factor of three."""
    low, high = (min(values), max(values)) if values else (1.0, 10.0)
    middle, half = math.sqrt(low * high), max(math.sqrt(high / low), math.sqrt(3)) * 1.15
    return _Axis(middle / half, middle * half, start, end)


def _panel(
    rows: Sequence[Mapping[str, Any]], methods: Sequence[str], left: int, measure: str, title: str, unit: float
) -> str:
    sizes = [row["megapixels"] for row in rows]
    known = [row[measure] / unit for row in rows if row[measure] and not row["error"]]
    x = _axis(sizes, left, left + SIDE)
    y = _axis(known, TOP + TALL, TOP + 24)  # crosses stand above the largest value
    bottom = TOP + TALL
    parts = [f'<text x="{left}" y="{TOP - 10}" font-weight="bold">{title}</text>']
    for value in y.ticks():
        at = y.at(value)
        parts.append(f'<line x1="{left}" y1="{at:.1f}" x2="{left + SIDE}" y2="{at:.1f}" stroke="{PALE}"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in _thinned(sorted(set(sizes)), x):
        at = x.at(value)
        parts.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{bottom}" stroke="{PALE}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>')
    parts.append(f'<rect x="{left}" y="{TOP}" width="{SIDE}" height="{TALL}" fill="none" stroke="#999999"/>')
    middle = left + SIDE / 2
    parts.append(f'<text x="{middle:.1f}" y="{bottom + 38}" text-anchor="middle">megapixels</text>')
    parts += [_line(rows, methods, i, measure, unit, x, y) for i in reversed(range(len(methods)))]  # the first on top
    return "\n".join(parts)


def _line(
    rows: Sequence[Mapping[str, Any]],
    methods: Sequence[str],
    index: int,
    measure: str,
    unit: float,
    x: _Axis,
    y: _Axis,
) -> str:
    """One method: its points, and a cross for its failure, aside of the other methods' crosses at that size."""
    colour, own = _colour(index), [row for row in rows if row["method"] == methods[index]]
    good = [row for row in own if row[measure] and not row["error"]]
    points = [(x.at(row["megapixels"]), y.at(row[measure] / unit)) for row in good]
    parts: list[str] = []
    if points:
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        wide = 3 if index == 0 else 2
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{wide}"/>')
    for row, (px, py) in zip(good, points, strict=True):
        text = escape(f"{row['method']}, {row['megapixels']:g} megapixels: {row[measure] / unit:.3g}")
        parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}"><title>{text}</title></circle>')
    for row in own:
        if row["error"] and not row["skipped"]:
            here = [r["method"] for r in rows if r["megapixels"] == row["megapixels"] and _failed(r)]
            aside = (here.index(row["method"]) - (len(here) - 1) / 2) * 3 * CROSS
            px, py = x.at(row["megapixels"]) + aside, TOP + 12
            if points:
                last = points[-1]
                parts.append(
                    f'<line x1="{last[0]:.1f}" y1="{last[1]:.1f}" x2="{px:.1f}" y2="{py}" stroke="{colour}" '
                    'stroke-width="1.5" stroke-dasharray="2 5"/>'
                )
            text = escape(f"{row['method']}, {row['megapixels']:g} megapixels: {row['error']}")
            cross = f'<path d="{_cross(px, py)}" stroke="{colour}" stroke-width="2.5">'
            parts.append(f"{cross}<title>{text}</title></path>")
    return "\n".join(parts)


def _legend(rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> str:
    parts: list[str] = []
    x, y = float(PANELS[0]), HEIGHT - 24
    for i, method in enumerate(methods):
        parts.append(f'<line x1="{x:.0f}" y1="{y}" x2="{x + 22:.0f}" y2="{y}" stroke="{_colour(i)}" stroke-width="3"/>')
        parts.append(f'<circle cx="{x + 11:.0f}" cy="{y}" r="4" fill="{_colour(i)}"/>')
        parts.append(f'<text x="{x + 28:.0f}" y="{y + 4}">{escape(method)}</text>')
        x += 52 + 7.2 * len(method)
    if any(_failed(row) for row in rows):
        parts.append(f'<path d="{_cross(x + 5, y)}" stroke="#666666" stroke-width="2.5"/>')
        parts.append(f'<text x="{x + 16:.0f}" y="{y + 4}" fill="#666666">failed, or over a limit</text>')
    return "\n".join(parts)


def _failed(row: Mapping[str, Any]) -> bool:
    return bool(row["error"]) and not row["skipped"]


def _cross(x: float, y: float) -> str:
    return (
        f"M {x - CROSS:.1f} {y - CROSS:.1f} L {x + CROSS:.1f} {y + CROSS:.1f} "
        f"M {x - CROSS:.1f} {y + CROSS:.1f} L {x + CROSS:.1f} {y - CROSS:.1f}"
    )


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _thinned(values: Sequence[float], axis: _Axis) -> list[float]:
    """Those whose numbers have room."""
    kept: list[float] = []
    for value in values:
        if not kept or axis.at(value) - axis.at(kept[-1]) >= 30:
            kept.append(value)
    return kept
