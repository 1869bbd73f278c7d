"""Trimaps from masks: a fixed band against the automatic one, on pictures whose alpha is known.

    python -m benchmarks.trimaps --data DATA [--pictures 14] [--mattes 14] [--again auto] [--out FILE]
    python -m benchmarks.trimaps --table [--out FILE]

DATA holds image/, alpha/ and trimap1/ or trimap/ (hand-made). The mask is what a segmentation network gives: alpha
above 0.5, opened and smoothed, so that no single strand is in it. For every trimap: the share of the soft pixels (alpha
from 0.02 to 0.98) that are unknown in it, the share of the picture that is unknown, and how many sure pixels are wrong
(by more than 0.05), as a share of the soft ones. For the first --mattes pictures also the SAD of the matte over the
whole picture, in thousands: known pixels count, because they may be wrong.

Measures only: nothing is chosen on these pictures. --out keeps a record a picture; pictures that it has are not
measured again, but for the trimap that --again names. --table writes the table of docs/trimaps.md from the records.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import hdmatt
from benchmarks._shared import command_of
from benchmarks.readme_table import put
from hdmatt.evaluation.methods import Settings
from hdmatt.evaluation.provenance import facts
from hdmatt.pictures.reader import read_grey
from hdmatt.system.files import write_text_atomic

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "trimaps" / "bands.json"
PAGE = ROOT / "docs" / "trimaps.md"
BEGIN, END = "<!-- bands: made by python -m benchmarks.trimaps --table -->", "<!-- end of bands -->"
FIXED = ("1%", "2%", "4%", "6%")
MATTED = ("hand-made", "auto", "1%", "2%")
NAMES = {"hand-made": "hand-made", "auto": "auto", **{width: f"fixed, {width}" for width in FIXED}}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of a test set")
    parser.add_argument("--pictures", type=int, default=1000, help="of the set, in the order of their names")
    parser.add_argument("--mattes", type=int, default=1000, help="pictures of them that are matted, too")
    parser.add_argument("--again", choices=list(NAMES), help="measure this trimap of recorded pictures anew")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="write the page's table")
    given = parser.parse_args(arguments)
    record: dict[str, Any] = json.loads(given.out.read_text()) if given.out.exists() else {"pictures": {}}
    records = record["pictures"]
    if given.data:
        pictures = sorted((given.data / "image").iterdir())[: given.pictures]
        for number, path in enumerate(pictures):
            name = f"{given.data.name}/{path.stem}"
            wanted = list(NAMES) if name not in records else [given.again] if given.again else []
            if wanted:
                measured = measure(given.data, path, wanted, mattes=number < given.mattes)
                records[name] = {**records.get(name, {}), **measured}
                given.out.parent.mkdir(parents=True, exist_ok=True)
                record = {**facts(Settings(), command_of(__file__, list(arguments))), "pictures": records}
                write_text_atomic(given.out, json.dumps(record, indent=1) + "\n")
                print(name, records[name], flush=True)
    if given.table:
        write_text_atomic(PAGE, put(PAGE.read_text(encoding="utf-8"), table(records), BEGIN, END))
    return 0


def rough_mask(alpha: np.ndarray) -> np.ndarray:
    """Alpha above 0.5 without what is narrower than 1 % of the diagonal, its edge smoothed."""
    diagonal = float(np.hypot(*alpha.shape))
    side = max(3, int(0.01 * diagonal) | 1)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    opened = cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_OPEN, brush)
    return cv2.GaussianBlur(opened.astype(np.float32), (0, 0), 0.003 * diagonal) > 0.5


def measure(data: Path, path: Path, wanted: Sequence[str], *, mattes: bool) -> dict[str, Any]:
    """The numbers of one picture, by trimap; of those that are `wanted`."""
    trimaps = "trimap1" if (data / "trimap1").is_dir() else "trimap"
    alpha, hand = (read_grey(next((data / folder).glob(f"{path.stem}.*"))) for folder in ("alpha", trimaps))
    mask = rough_mask(alpha)
    record: dict[str, Any] = {"megapixels": round(alpha.size / 1e6, 2)}
    made = {"hand-made": np.where(hand < 1 / 3, 0, np.where(hand < 2 / 3, 128, 255)).astype(np.uint8)}
    if "auto" in wanted:
        started = time.process_time()
        made["auto"] = hdmatt.make_trimap(mask, path)
        record["seconds"] = round(time.process_time() - started, 1)
    for width in (width for width in FIXED if width in wanted):
        try:
            made[width] = hdmatt.make_trimap(mask, band=width)
        except hdmatt.InputError as error:  # nothing known is left on a side
            record[width] = {"refused": error.message.split(" with ")[-1]}
    for name, trimap in ((name, trimap) for name, trimap in made.items() if name in wanted):
        record[name] = numbers(alpha, trimap)
        if mattes and name in MATTED:
            matte = hdmatt.matte(path, trimap).alpha
            record[name]["sad"] = round(float(np.abs(matte - alpha).sum()) / 1000, 3)
    return record


def numbers(alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    """Soft pixels covered, share unknown, and sure pixels that are wrong."""
    soft, unknown = (alpha > 0.02) & (alpha < 0.98), trimap == 128
    wrong = ((trimap == 255) & (alpha < 0.95)) | ((trimap == 0) & (alpha > 0.05))
    return {
        "covered": round(float((soft & unknown).sum() / soft.sum()), 4),
        "unknown": round(float(unknown.mean()), 4),
        "wrong": round(float(wrong.sum() / soft.sum()), 4),
    }


def table(records: Mapping[str, Any]) -> str:
    """Markdown: a row for each set and trimap, means over its pictures."""
    lines = [
        "| pictures | trimap | soft pixels covered | picture unknown | sure and wrong | SAD |",
        "| -- | -- | -: | -: | -: | -: |",
    ]
    for data in dict.fromkeys(name.split("/")[0] for name in records):
        some = [record for name, record in records.items() if name.startswith(f"{data}/")]
        matted = [record for record in some if all("sad" in record.get(kind, {}) for kind in MATTED)]
        for kind, text in NAMES.items():
            found = [record[kind] for record in some if "covered" in record[kind]]
            means = [f"{100 * np.mean([one[key] for one in found]):.1f} %" for key in ("covered", "unknown", "wrong")]
            sad = f"{np.mean([one[kind]['sad'] for one in matted]):.2f}" if matted and kind in MATTED else ""
            refused = f" ({len(some) - len(found)} refused)" if len(found) < len(some) else ""
            title = f"{data}, {len(some)} ({len(matted)} matted)" if kind == "hand-made" else ""
            lines.append(f"| {title} | {text}{refused} | {' | '.join(means)} | {sad} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
