"""The generated tables: five methods in README.md, all scores in docs/model-card.md, sizes in docs/benchmarks.md.

    python -m benchmarks.readme_table            writes them, each between its two markers
    python -m benchmarks.readme_table --check    exit code 1 if a page says something else

All results: benchmarks/results/*.json, each the result.json that `hdmatt eval` leaves, copied there under a name of its
own. Of the same data set, trimap and method the newest one counts. A file without scores of data sets, and any file in
a subfolder, is not part of that table. Below it stands where the rows of each file were computed. A file must have
commit, machine, versions, settings and options; what nobody knows any more is null there, and the line says "unknown".
Files written before rows were traced to runs lack "runs", and the line says that, too.

Five methods: benchmarks/results/readme/methods.json, one run of `hdmatt eval` with all five methods on one machine:

    hdmatt eval --data alphamatting-dev --method hdmatt:windows=fewest --method cf --method knn \\
        --method downsample --method crop --out OUT

Sizes: benchmarks/results/bench.json, the record of `hdmatt bench`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import mdformat

from hdmatt.evaluation.methods import CLASSICAL, KINDS
from hdmatt.system.files import write_text_atomic

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- scores: made by python -m benchmarks.readme_table -->", "<!-- end of scores -->"
HEAD = ["set", "method", "SAD", "MSE x 1000", "Grad", "Conn", "seam"]
FACTS = ("command", "commit", "date", "machine", "settings", "versions")  # of a file
ENTRIES = ("conn", "dataset", "grad", "method", "mse", "options", "pictures", "sad", "seam", "variant")  # of its means
KNOWN = ("date", "settings")  # of FACTS, that may not be null: which file is newer, what the model is called
CALLED = {"cf": "closed-form", "rw": "random walk"}
METHODS_BEGIN = "<!-- methods: made by python -m benchmarks.readme_table -->"
METHODS_END = "<!-- end of methods -->"
SIZES_BEGIN = "<!-- sizes: made by python -m benchmarks.readme_table -->"
SIZES_END = "<!-- end of sizes -->"
FIVE = {
    "hdmatt:windows=fewest": "**hdmatt**",
    "cf": "closed-form (PyMatting)",
    "knn": "KNN (PyMatting)",
    "downsample": "our network, picture shrunk to 1024 pixels",
    "crop": "our network, patches without context",
}


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
    lines = [HEAD, ["--"] * len(HEAD)]
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
    return f"- {record['file']}: {'; '.join(parts)}."


def origin(run: dict[str, Any]) -> str:
    """Day, commit ("+" where files differed from it) and processor."""
    commit = run["commit"] or "unknown"
    changed = "+" if commit.endswith("+") else ""
    day = run["date"][:10] if run["date"] else "date unknown"
    cpu = (run["machine"] or {}).get("cpu") or "machine unknown"
    return f"{day}, commit {commit.removesuffix('+')[:12]}{changed}, {cpu}"


def methods_table(record: dict[str, Any]) -> str:
    """Markdown: a row a method, for each set SAD, MSE, seconds a picture and the largest peak memory.

    Raises:
        BadResults: A method has no scores on one of the sets and did not fail there.
    """
    sets = list(dict.fromkeys((one["dataset"], one["variant"]) for one in record["summary"]))
    found = {(one["dataset"], one["variant"], one["method"]): one for one in record["summary"]}
    units = "SAD, MSE x 1000, seconds, memory"
    head = [" ", *(f"{place(found[*where, next(iter(FIVE))])}: {units}" for where in sets)]
    lines = [head, ["--"] * len(head)]
    for method, name in FIVE.items():
        if missing := [where for where in sets if (*where, method) not in found]:
            raise BadResults(f"{method} has no row for {' '.join(missing[0])}")
        lines.append([name, *(summed(found[*where, method]) for where in sets)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n\n" + source({**record, "file": "methods.json"})


def summed(one: dict[str, Any]) -> str:
    """The four numbers of a method on a set; what failed is said."""
    if one["sad"] is None:
        return "out of memory"
    memory = f"{one['peak_memory'] / 1e9:.1f} GB"
    return f"{one['sad']:.2f}, {1000 * one['mse']:.1f}, {one['seconds']:.1f} s, {memory}"


def sizes_table(record: dict[str, Any]) -> str:
    """Markdown: the command, a row a size and method, and where they were measured."""
    head = ["megapixels", "method", "seconds", "peak MiB", "unknown MP/s", "of peak"]
    lines = [head, ["--"] * len(head)]
    for row in record["rows"]:
        cells = ["not tried" if row["skipped"] else row["error"], "", "", ""]
        if not row["error"]:
            share = "" if row["share_of_peak"] is None else f"{100 * row['share_of_peak']:.0f} %"
            cells = [f"{row['seconds']:.1f}", f"{row['peak_memory'] / 2**20:.0f}", f"{row['unknown_rate']:.3f}", share]
        lines.append([f"{row['megapixels']:g}", row["method"], *cells])
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"`{record['command']}`\n\n{body}\n\n- bench.json: {origin(record)}."


def put(page: str, text: str, begin: str, end: str) -> str:
    """The page with `text` between the two markers."""
    options = {"wrap": 100, "plugin": {"tables": {"compact_tables": True}}}  # as .mdformat.toml
    text = mdformat.text(text, options=options, extensions={"gfm", "tables"}).strip()
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise BadResults(f"the page lacks the line {end if found else begin}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "model-card.md", help="of all results")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help="of the five methods")
    parser.add_argument("--sizes", type=Path, default=ROOT / "docs" / "benchmarks.md", help="of hdmatt bench")
    asked = parser.parse_args(arguments)
    try:
        wanted = {asked.page: all_results(asked.page, asked.results)}
        if (methods := asked.results / "readme" / "methods.json").exists():
            text = methods_table(json.loads(methods.read_text(encoding="utf-8")))
            wanted[asked.readme] = put(asked.readme.read_text(encoding="utf-8"), text, METHODS_BEGIN, METHODS_END)
        if (sizes := asked.results / "bench.json").exists():
            text = sizes_table(json.loads(sizes.read_text(encoding="utf-8")))
            wanted[asked.sizes] = put(asked.sizes.read_text(encoding="utf-8"), text, SIZES_BEGIN, SIZES_END)
    except (BadResults, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    changed = [page for page, text in wanted.items() if text != page.read_text(encoding="utf-8")]
    for page in changed:
        if asked.check:
            print(f"{page} does not say what the results say: python -m benchmarks.readme_table", file=sys.stderr)
        else:
            write_text_atomic(page, wanted[page])
    return int(asked.check and bool(changed))


def all_results(page: Path, results: Path) -> str:
    """The page with the table of all results."""
    records = read(results)
    if not records:
        raise BadResults(f"{results} holds no results")
    return put(page.read_text(encoding="utf-8"), table(records), BEGIN, END)


if __name__ == "__main__":
    sys.exit(main())
