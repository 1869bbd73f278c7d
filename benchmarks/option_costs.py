"""What the options of `hdmatt matte` cost and save: docs/large.md's table.

    python -m benchmarks.option_costs            # measures, writes results/readme/option-costs.json and the page
    python -m benchmarks.option_costs --table    # writes the page from what was measured

The picture is examples/portrait.jpg (6 megapixels). Each line is a process of its own, started as from a shell.
Processor seconds (user and system, of the process) compare the lines where other work shares the machine; memory is
the peak that `--json` reports.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._shared import command_of
from benchmarks.readme_table import put
from hdmatt.evaluation.methods import Settings
from hdmatt.evaluation.provenance import facts
from hdmatt.system.files import write_text_atomic

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "readme" / "option-costs.json"
PAGE = ROOT / "docs" / "large.md"
BEGIN, END = "<!-- costs: made by python -m benchmarks.option_costs -->", "<!-- end of costs -->"
LINES = (  # what is typed beside -o alpha.png, and what the page says of it
    ("", "the matte alone"),
    ("--memory 900MiB", "fewer patches at a time"),
    ("--no-small-first", "no matte of the smaller picture first"),
    ("--topk 3", "three context patches, not seven"),
    ("--windows grid", "patches on the paper's grid"),
    ("--paper", "the paper's method"),
    ("--strategy downsample", "shrunk to 1024 pixels: what most tools do"),
    ("--foreground foreground.png", "and the foreground's colours"),
    ("--cutout cutout.png", "and the cut-out"),
    ("--cutout cutout.webp --quality 90", "and a small cut-out"),
    ("--psd layers.psd", "and layers for Photoshop"),
    ("--layered layers.exr", "and an EXR with layers"),
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", action="store_true", help="only write the page from what was measured")
    parser.add_argument("--lines", type=int, default=len(LINES), help="measure only the first of them")
    given = parser.parse_args(arguments)
    if not given.table:
        rows = [measured(typed) for typed, _ in LINES[: given.lines]]
        record = {**facts(Settings(), command_of(__file__, sys.argv[1:])), "rows": rows}
        write_text_atomic(RESULTS, json.dumps(record, indent=1) + "\n")
    text = PAGE.read_text(encoding="utf-8")
    write_text_atomic(PAGE, with_table(text, json.loads(RESULTS.read_text(encoding="utf-8"))))
    return 0


def measured(typed: str) -> dict[str, object]:
    """What one line took: processor seconds, seconds, bytes of memory, patches, bytes of the files."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(ROOT / "examples" / name) for name in ("portrait.jpg", "portrait-trimap.png")]
        command = [sys.executable, "-m", "hdmatt", "matte", *paths, "-o", "alpha.png", *typed.split(), "--json"]
        before = os.times()
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
        after = os.times()
        summary = json.loads(done.stdout)
        sizes = {path.name: path.stat().st_size for path in sorted(Path(folder).iterdir())}
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    row = {name: summary[name] for name in ("seconds", "peak_memory", "patches", "memory_limit")}
    print(f"{typed or 'the matte alone'}: {processor:.1f} processor seconds", flush=True)
    return {"typed": typed, "processor_seconds": processor, "sizes": sizes, **row}


def with_table(page: str, record: dict) -> str:
    """The page with its table between the markers."""
    said = dict(LINES)
    base = record["rows"][0]["processor_seconds"]
    lines = [
        "| added to `-o alpha.png` | what it is | processor time | peak memory | patches | its file |",
        "| -- | -- | -: | -: | -: | -: |",
    ]
    for row in record["rows"]:
        others = sum(size for name, size in row["sizes"].items() if name != "alpha.png")
        size = f"{others / 1e6:.1f} MB" if others else ""
        share, memory = row["processor_seconds"] / base, row["peak_memory"] / 2**20
        typed = f"`{row['typed']}`" if row["typed"] else "nothing"
        lines.append(f"| {typed} | {said[row['typed']]} | {share:.2f} | {memory:.0f} MiB | {row['patches']} | {size} |")
    note = f"1.00 is {base:.0f} processor seconds of one {record['machine']['cpu']}, start of Python included."
    return put(page, "\n".join(lines) + f"\n\n{note}", BEGIN, END)


if __name__ == "__main__":
    sys.exit(main())
