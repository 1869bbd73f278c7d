"""What the scripts of the paper's tables and figures share: data and options, the record, markdown tables.

Not a command itself. Scores come from hdmatt.evaluation.evaluate, mattes from hdmatt.inference.files.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hdmatt.errors import HDMattError
from hdmatt.evaluation import report
from hdmatt.evaluation.evaluate import Evaluation, Listener, evaluate, find_items
from hdmatt.evaluation.ledger import ScoreRow
from hdmatt.evaluation.methods import Settings
from hdmatt.evaluation.summary import ScoreSummary
from hdmatt.evaluation.testsets import Item
from hdmatt.inference.options import NetworkChoice, Options
from hdmatt.system.files import write_text_atomic


def parser(text: str, *, data: bool = True) -> argparse.ArgumentParser:
    """Options that all the scripts have."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        made.add_argument("--data", type=Path, action="append", required=True, help="folder of a test set; repeatable")
        made.add_argument("--layout", default="auto", help="layout of all --data; see docs/datasets.md")
        made.add_argument("--backgrounds", type=Path, help="for sets published in parts")
        made.add_argument("--limit", type=int, help="only the first N pictures of each set")
    made.add_argument("--out", type=Path, required=True, help="folder of the results; tables continue a run")
    made.add_argument("--model", default="hdmatt-s", help="name or safetensors file")
    made.add_argument("--patch", type=int, default=320)
    made.add_argument("--overlap", type=int, default=64)
    made.add_argument("--topk", type=int, help="default: 7; with --paper 3")
    made.add_argument("--candidates", type=int, default=30)
    made.add_argument("--paper", action="store_true", help="patches as in the paper, as of hdmatt matte --paper")
    made.add_argument("--memory", help="hdmatt's peak memory, like 2GiB")
    made.add_argument("--device", default="cpu")
    return made


def settings_of(given: argparse.Namespace, **changed: Any) -> Settings:
    """Settings of `parser`'s options, on the grid; `changed` are options. With --paper it is the grid in any case."""
    names = ("patch", "overlap", "topk", "candidates", "memory")
    typed = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    start = Options.paper() if given.paper else Options(windows="grid")
    options = replace(start, **{**typed, **changed, **({"windows": "grid"} if given.paper else {})})
    return Settings(options, NetworkChoice(given.model, device=given.device))


def items_of(given: argparse.Namespace) -> dict[str, list[Item]]:
    return find_items(given.data, given.layout, backgrounds=given.backgrounds, limit=given.limit)


def command_of(script: str, arguments: Sequence[str]) -> str:
    return shlex.join(["python", "-m", f"{Path(script).parent.name}.{Path(script).stem}", *arguments])


def score(
    items: dict[str, list[Item]], methods: Sequence[str], out: Path, settings: Settings, command: str
) -> Evaluation:
    """evaluate, with its progress on stderr."""
    listener = Listener(progress=_progress) if sys.stderr.isatty() else Listener(finished=_finished)
    return evaluate(items, methods, out, settings=settings, command=command, listener=listener)


def facts_of(results: Sequence[Evaluation]) -> dict[str, Any]:
    """The facts of several evaluations: those of the first, with the runs and remarks of all."""
    runs: dict[str | None, dict[str, Any]] = {}
    for one in (one for result in results for one in result.facts["runs"]):
        runs.setdefault(one["run"], {**one, "rows": 0})["rows"] += one["rows"]
    remarks = dict.fromkeys(result.facts["provenance"] for result in results)
    return {**results[0].facts, "provenance": "; ".join(filter(None, remarks)), "runs": list(runs.values())}


def write_record(path: Path, facts: dict[str, Any], summaries: Sequence[ScoreSummary], **more: Any) -> None:
    """JSON in the format of hdmatt eval's result.json: command, date, commit, machine, versions; then `more`."""
    record = {**facts, **more, "summary": [asdict(one) for one in summaries]}
    write_text_atomic(path, json.dumps(record, indent=1, allow_nan=False, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    write_text_atomic(path, text)
    print(text, end="")


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> str:
    """A table whose first `words` columns are text, the others numbers."""
    line = "|" + "|".join(["---"] * words + ["---:"] * (len(heads) - words)) + "|"
    body = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", line, *body]) + "\n"


def best(values: Sequence[float | None], shown: Sequence[str]) -> list[str]:
    """The texts, the smallest value's in bold when there are others to beat."""
    known = [value for value in values if value is not None]
    return [
        f"**{text}**" if value is not None and len(known) > 1 and value == min(known) else text
        for value, text in zip(values, shown, strict=True)
    ]


def run(main: Callable[[list[str]], int]) -> None:
    """As a program: a caller's mistake is two lines on stderr and exit code 2, not a traceback."""
    try:
        sys.exit(main(sys.argv[1:]))
    except HDMattError as error:
        print(f"{Path(sys.argv[0]).name}: {error.message}\n  {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


def _progress(what: str, done: int, total: int) -> None:
    print(f"\r{what} {done}/{total}\033[K", end="" if done < total else "\n", file=sys.stderr)


def _finished(row: ScoreRow, done: int, total: int) -> None:
    print(report.line(row, done, total), file=sys.stderr, flush=True)
