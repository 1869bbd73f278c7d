"""The table of scores in README.md, made from benchmarks/results/*.json.

    python -m benchmarks.readme_table            writes it between the two markers
    python -m benchmarks.readme_table --check    leaves with 1 if README.md says something else

A results file is the result.json that `hdmatt eval` leaves, copied here under a name that says what it is of. Of the
same data set, trimap and method the newest one counts. A file without scores of data sets, and any file in a
subfolder (ablations and the like), is not part of the table.

Below the table stands where the rows of each file were computed. A file must say commit, machine, versions, settings
and options; what nobody knows any more is null there, and the line says "unknown". Files of before rows were traced to
runs lack "runs", and the line says that, too.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from hdmatt.evaluation.methods import CLASSICAL, KINDS

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- scores: made by benchmarks/readme_table.py -->", "<!-- end of scores -->"
HEAD = ["set", "method", "SAD", "MSE x 1000", "Grad", "Conn", "seam"]
FACTS = ("command", "commit", "date", "machine", "settings", "versions")  # of a file
ENTRIES = ("conn", "dataset", "grad", "method", "mse", "options", "pictures", "sad", "seam", "variant")  # of its means
KNOWN = ("date", "settings")  # of FACTS, that may not be null: which file is newer, what the model is called
CALLED = {"cf": "closed-form", "rw": "random walk"}


class BadResults(Exception):
    """A file that cannot be read; the message names it."""


def read(folder: Path) -> list[dict[str, Any]]:
    """The results that have scores, oldest first, each with its file's name."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadResults(f"{path} cannot be read: {error}") from error
        summary = record.get("summary") if isinstance(record, dict) else None
        if not isinstance(summary, list) or not any("sad" in one for one in summary):
            continue
        missing = [name for name in FACTS if name not in record or (name in KNOWN and record[name] is None)]
        missing += [name for name in ENTRIES if any(name not in one for one in summary)]
        if missing:
            raise BadResults(f"{path} lacks {', '.join(missing)}: is it the result.json of hdmatt eval?")
        found.append({**record, "file": path.name})
    return sorted(found, key=newest_row)


def newest_row(record: dict[str, Any]) -> str:
    """When the last of a file's rows was computed; a later call that computed nothing does not count."""
    return max((one["date"] for one in record.get("runs") or () if one["date"]), default=record["date"])


def table(records: list[dict[str, Any]]) -> str:
    """Markdown, and below it where the numbers come from."""
    newest: dict[tuple[str, str, str], tuple[str, dict[str, Any], str]] = {}
    for record in records:
        for one in record["summary"]:
            label = called(one["method"], Path(record["settings"]["model"]).stem)
            newest[one["dataset"], one["variant"], label] = (one["method"], one, record["file"])
    places = list(dict.fromkeys(key[:2] for key in newest))
    kinds = list(KINDS)
    order = sorted(newest, key=lambda key: (places.index(key[:2]), kinds.index(newest[key][0].partition(":")[0]), key))
    lines = [HEAD, ["---"] * len(HEAD)]
    for key in order:
        one = newest[key][1]
        lines.append([place(one), key[2], *map(number, *zip(*numbers(one), strict=True))])
    used = {newest[key][2] for key in order}
    sources = [source(record) for record in records if record["file"] in used]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n\n" + "\n".join(sources)


def place(one: dict[str, Any]) -> str:
    """Data set, trimap and pictures of a row; "12 of 14" where a method failed."""
    variant = "" if one["variant"] in ("", "trimap") else f" {one['variant']}"
    failed = len(one.get("failed", ()))
    count = f"{one['pictures']} of {one['pictures'] + failed}" if failed else str(one["pictures"])
    return f"{one['dataset']}{variant} ({count})"


def called(method: str, model: str) -> str:
    """A method as a reader knows it; folders lose what lies above them."""
    kind, _, rest = method.partition(":")
    if kind not in KINDS:
        raise BadResults(f"there is no method {method!r}")
    if method == "hdmatt":
        return f"**{model}**"
    if "model" in KINDS[kind]:
        return f"{model}, `{method}`"
    if kind in CLASSICAL:
        return f"{CALLED.get(kind, kind.upper())} (PyMatting)"
    return f"`{kind}:{Path(rest).name}`" if rest else f"`{kind}`"


def numbers(one: dict[str, Any]) -> list[tuple[float | None, int]]:
    mse = None if one["mse"] is None else 1000 * one["mse"]
    return [(one["sad"], 2), (mse, 1), (one["grad"], 1), (one["conn"], 1), (one["seam"], 3)]


def number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def source(record: dict[str, Any]) -> str:
    """A file's name, and where its rows are from; what is not known is said."""
    runs = record.get("runs") or [record]
    parts = [origin(one) + (f" ({one['rows']} row{'s' * (one['rows'] != 1)})" if len(runs) > 1 else "") for one in runs]
    if "runs" not in record:
        parts.append("of the last call: rows were not traced to runs yet")
    if unknown := sorted({one["method"] for one in record["summary"] if one["options"] is None}):
        parts.append(f"options unknown: {', '.join(unknown)}")
    return f"*{record['file']}: {'; '.join(parts)}.*"


def origin(run: dict[str, Any]) -> str:
    """Day, commit ("+" where files differed from it) and processor."""
    commit = run["commit"] or "unknown"
    changed = "+" if commit.endswith("+") else ""
    day = run["date"][:10] if run["date"] else "date unknown"
    cpu = (run["machine"] or {}).get("cpu") or "machine unknown"
    return f"{day}, commit {commit.removesuffix('+')[:12]}{changed}, {cpu}"


def put(page: str, text: str) -> str:
    """The page with `text` between the two markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BadResults(f"README.md lacks the line {BEGIN if not begin else END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--page", type=Path, default=ROOT / "README.md")
    asked = parser.parse_args(arguments)
    try:
        records = read(asked.results)
        if not records:
            raise BadResults(f"{asked.results} holds no results")
        old = asked.page.read_text(encoding="utf-8")
        new = put(old, table(records))
    except (BadResults, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if asked.check and new != old:
        print(f"{asked.page} does not say what the results say: python -m benchmarks.readme_table", file=sys.stderr)
        return 1
    if new != old:
        asked.page.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
