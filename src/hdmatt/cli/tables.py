"""Tables on the terminal: scores of `hdmatt eval`; sizes and methods, parts and operations of `hdmatt bench`."""

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hdmatt.system.memory import MIB

HEADS = ("seconds", "range", "peak MiB", "expected", "unknown MP/s", "of peak", "patches")


def print_scores(summaries: Sequence[Any], best: Collection[tuple[int, str]]) -> None:
    """A line for each data set and method; as wide as it needs to be where it goes into a pipe.

    Args:
        summaries: `evaluation.summary.ScoreSummary`s.
        best: Which scores are bold, as `evaluation.summary.best_of` gives them.
    """
    from hdmatt.evaluation.report import COLUMNS, measure_text

    made = Table("data set", "trimap", "method", "pictures", box=None, pad_edge=False)
    for title, _ in COLUMNS.values():
        made.add_column(title, justify="right")
    for i, one in enumerate(summaries):
        count = f"{one.pictures} of {one.pictures + len(one.failed)}" if one.failed else str(one.pictures)
        scores = [Text(measure_text(one, m)[0], "bold" if (i, m) in best else "") for m in COLUMNS]
        made.add_row(Text(one.dataset), Text(one.variant), Text(one.method), count, *scores)
    if any(one.seam is None and one.seam_control is not None for one in summaries):
        made.caption = "seam in brackets: of a method without borders, on those of the grid"
        made.caption_justify = "left"
    Console(width=None if sys.stdout.isatty() else 200).print(made)


def print_bench(made: Mapping[str, Any], *, width: int | None = None) -> None:
    """The record of bench.sweep.record on the terminal."""
    console = Console(width=width)
    peaks = made["peaks"]
    bf16 = f", bf16 {_giga(peaks['bf16'])}" if peaks["bf16"] else ""
    console.print(
        f"measured peaks: fp32{' (tf32)' if peaks['tf32'] else ''} {_giga(peaks['fp32'])}{bf16} GFLOP/s, "
        f"copies {peaks['bandwidth'] / 1e9:.1f} GB/s, {peaks['threads']} threads",
        highlight=False,
    )
    if made["layers"]:
        console.print(layer_table(made["layers"]))
        console.print(kind_table(made["layers"]))
    console.print(table(made["rows"]))


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A line for each method and size, sizes together."""
    made = Table("megapixels", "method", box=None, pad_edge=False)
    made.columns[0].justify = "right"
    for head in HEADS:
        made.add_column(head, justify="right")
    made.add_column("")
    before = None
    for row in rows:
        if before is not None and row["megapixels"] != before:
            made.add_row()
        size = f"{row['megapixels']:g}" if row["megapixels"] != before else ""
        before = row["megapixels"]
        # where a row failed its error says what it held and how long it took
        cells = ["–"] * len(HEADS) if row["error"] else _cells(row)
        made.add_row(size, Text(row["method"]), *cells, Text(row["error"] or "", "dim" if row["skipped"] else "red"))
    return made


def layer_table(layers: Mapping[str, Any]) -> Table:
    """A line for each part of the network: milliseconds of a patch, operations, and what is lost beside the peak."""
    made = Table("part", box=None, pad_edge=False, title=f"one patch, in batches of {layers['batch']}")
    for head in ("ms", "GFLOP", "GFLOP/s", "lost ms"):
        made.add_column(head, justify="right")
    groups = layers["groups"]
    whole: dict[str, Any] = {name: sum(group[name] for group in groups) for name in ("seconds", "flops", "lost")}
    whole["name"] = "all"
    for group in [*groups, whole]:
        seconds, flops = group["seconds"], group["flops"]
        rate = f"{flops / seconds / 1e9:.0f}" if flops and seconds > 0 else "–"
        made.add_row(
            Text(group["name"]), f"{1e3 * seconds:.1f}", f"{flops / 1e9:.2f}", rate, f"{1e3 * group['lost']:.1f}"
        )
    return made


def kind_table(layers: Mapping[str, Any], *, most: int = 10) -> Table:
    """The same time by PyTorch's operations, the longest first: what a part without operations spends it on."""
    made = Table("operation", box=None, pad_edge=False)
    made.add_column("ms", justify="right")
    kinds = layers["kinds"]
    for kind in kinds[:most]:
        made.add_row(Text(kind["name"]), f"{1e3 * kind['seconds']:.1f}")
    if kinds[most:]:
        made.add_row(f"{len(kinds) - most} others", f"{1e3 * sum(kind['seconds'] for kind in kinds[most:]):.1f}")
    return made


def _cells(row: Mapping[str, Any]) -> list[str]:
    seconds, share = row["seconds"], row["share_of_peak"]
    return [
        _seconds(seconds),
        f"{_seconds(row['seconds_min'])} to {_seconds(row['seconds_max'])}" if row["runs"] > 1 else "–",
        f"{row['peak_memory'] / MIB:.0f}",
        f"{expected / MIB:.0f}" if (expected := row.get("expected_memory")) else "–",  # not in older records
        f"{row['unknown_rate']:.3f}",
        "–" if share is None else f"{100 * share:.0f} %",
        "–" if row["patches"] is None else str(row["patches"]),
    ]


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _giga(value: float) -> str:
    return f"{value / 1e9:.0f}"
