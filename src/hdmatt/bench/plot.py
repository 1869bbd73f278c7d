"""The plot of `hdmatt bench`: seconds and peak memory against megapixels, a line for each method.

Both axes are logarithmic. A cross at the top of a panel marks a size at which a method failed. Draws with matplotlib
on figures of its own: no pyplot and no settings of the process. Read top to bottom:

    check_matplotlib    refuses to go on where matplotlib is missing
    draw_plot           a record of bench.json -> SVG
    figure              the same as a matplotlib figure
    _panel, _line       one of the two diagrams, one method in it
"""

import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import Any

from hdmatt.errors import InputError
from hdmatt.system.memory import MIB

# The colours of Okabe and Ito without yellow: distinct for nearly everybody, and on white
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
INCHES = (10.0, 4.7)
TOP, STEP = 0.96, 0.05  # height of the first cross at a size, and from one to the next, in parts of the panel
PANELS = (("seconds", "seconds", 1.0), ("peak_memory", "peak memory, MiB", MIB))  # field of a row, title, unit

Records = Sequence[Mapping[str, Any]]


def check_matplotlib() -> None:
    """Raise InputError where matplotlib is not installed: before anything is measured."""
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("the plot of hdmatt bench needs matplotlib", hint="pip install 'hdmatt[figures]'")


def draw_plot(record: Mapping[str, Any]) -> str:
    """The plot of what bench.json holds, as SVG that needs nothing beside it."""
    check_matplotlib()
    text = io.StringIO()
    figure(record).savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def figure(record: Mapping[str, Any]) -> Any:
    """The plot as a matplotlib figure: two axes, and in each a line for each method."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    rows: Records = record["rows"]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    machine = record["machine"]
    cores = "1 core" if machine["usable_cores"] == 1 else f"{machine['usable_cores']} cores"
    where = f"{machine.get('gpu') or machine['cpu']}, {cores}"
    under = f"{where} · {record['date'][:10]} · {(record['commit'] or 'no commit')[:10]}"
    made = Figure(figsize=INCHES, layout="constrained")
    title = f"Time and memory against the size of the picture\n{under}"
    made.suptitle(title, x=0.01, ha="left", fontsize="large", parse_math=False)
    for axes, (measure, head, unit) in zip(made.subplots(1, len(PANELS)), PANELS, strict=True):
        _panel(axes, rows, methods, measure, unit)
        axes.set_title(head, loc="left", fontsize="medium", fontweight="bold")
    lines = [Line2D([], [], color=_colour(i), marker="o", label=method) for i, method in enumerate(methods)]
    if any(_failed(row) for row in rows):
        lines.append(Line2D([], [], color="grey", marker="x", linestyle="", label="failed, or over a limit"))
    legend = made.legend(handles=lines, loc="outside lower left", ncols=4, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a method's name may hold a path, and that a dollar sign
    return made


def _panel(axes: Any, rows: Records, methods: Sequence[str], measure: str, unit: float) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    sizes = sorted({row["megapixels"] for row in rows})
    axes.set(xscale="log", yscale="log", xlabel="megapixels")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
    for i in reversed(range(len(methods))):  # the first method on top
        _line(axes, rows, methods[i], measure, unit, _colour(i))
    known = [row[measure] / unit for row in rows if row[measure] and not row["error"]] or [1.0, 10.0]
    axes.set_ylim(min(known) / 1.4, max(known) * 2 * (max(known) / min(known)) ** 0.1)  # room for the crosses
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if max(known) < 8 * min(known) else (1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#e3e3e3")
    axes.set_axisbelow(True)


def _line(axes: Any, rows: Records, method: str, measure: str, unit: float, colour: str) -> None:
    """One method: its points, and a cross where it failed, below those of the other methods at that size."""
    own = [row for row in rows if row["method"] == method]
    points = [(row["megapixels"], row[measure] / unit) for row in own if row[measure] and not row["error"]]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, marker="o", label=method)
    for row in (row for row in own if _failed(row)):
        here = [r["method"] for r in rows if r["megapixels"] == row["megapixels"] and _failed(r)]
        at = row["megapixels"], TOP - STEP * here.index(method)
        style = {"color": colour, "marker": "x", "markersize": 8, "markeredgewidth": 2.5, "linestyle": ""}
        axes.plot(*([value] for value in at), transform=axes.get_xaxis_transform(), label=f"{method} failed", **style)
        if points:
            dotted = {"arrowstyle": "-", "linestyle": ":", "color": colour}
            axes.annotate("", at, points[-1], xycoords=("data", "axes fraction"), textcoords="data", arrowprops=dotted)


def _failed(row: Mapping[str, Any]) -> bool:
    return bool(row["error"]) and not row["skipped"]


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]
