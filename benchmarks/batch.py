"""Pictures a minute of `hdmatt batch`, beside a shell loop and beside one process per core.

    python -m benchmarks.batch                                # 12 pictures of 1 megapixel, 6 of 12: ten minutes
    python -m benchmarks.batch --megapixels 1 --pictures 4    # a part of it

    loop     for p in *.jpg; do hdmatt matte $p ...; done
    cores    the same by xargs -P: as many at a time as there are cores, one thread each
    batch    hdmatt batch, as it comes

The pictures are copies of examples/hair.jpg at the asked size, a row of pixels different in each: 22 % unknown. From 4
megapixels on it takes half of each side, as a subject of a photograph does, before its own mirror image that is
background: 5.5 % unknown. Memory is the largest
sum of all processes' proportional shares (PSS), looked at five times a second, so shared libraries count once. Run it
while nothing else runs. On a busy machine the seconds mean little; the processor seconds (user and system, of all
processes) still compare the ways. Each way's result is merged into --results as soon as it is measured.

Wanted: batch at 1 megapixel at least 3 x loop and 1.2 x cores; at 12 megapixels at least as fast as cores, in less
memory.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import psutil

from benchmarks._shared import command_of
from hdmatt.batching.division import cores
from hdmatt.evaluation.methods import Settings
from hdmatt.evaluation.provenance import facts
from hdmatt.system.files import write_text_atomic

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "batch.json"
WAYS = ("loop", "cores", "batch")
LOOK_SECONDS = 0.2
LARGE = 4.0  # megapixels


@dataclass(frozen=True)
class Measured:
    """What one way took for all pictures."""

    way: str
    megapixels: float
    pictures: int
    seconds: float
    processor_seconds: float
    memory: int  # bytes, of all processes at the most
    load: float  # of the machine when it ended: about the cores in use if nothing else ran

    @property
    def a_minute(self) -> float:
        return 60 * self.pictures / self.seconds


def make_pictures(folder: Path, megapixels: float, count: int) -> None:
    """Copies of the example at this size, with their trimaps."""
    picture = cv2.imread(str(ROOT / "examples" / "hair.jpg"))
    trimap = cv2.imread(str(ROOT / "examples" / "hair-trimap.png"), cv2.IMREAD_GRAYSCALE)
    height, width = picture.shape[:2]
    scale = (megapixels * 1e6 / (height * width)) ** 0.5 * (1 if megapixels < LARGE else 0.5)
    size = round(width * scale), round(height * scale)
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    trimap = cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST)
    if megapixels >= LARGE:
        around = [side for length in reversed(size) for side in (length // 2, length - length // 2)]
        picture = cv2.copyMakeBorder(picture, *around, borderType=cv2.BORDER_REFLECT)
        trimap = cv2.copyMakeBorder(trimap, *around, borderType=cv2.BORDER_CONSTANT, value=0)
    for number in range(count):
        picture[number % len(picture)] = number % 256
        cv2.imwrite(str(folder / f"p{number}.jpg"), picture)
        cv2.imwrite(str(folder / f"p{number}_trimap.png"), trimap)


def command(way: str, folder: Path, out: Path, count: int) -> list[str]:
    """What a user would type."""
    python = f"{shlex.quote(sys.executable)} -m hdmatt"
    one = f"{python} matte {folder}/p$N.jpg {folder}/p$N_trimap.png -o {out}/p$N_alpha.png --device cpu".replace(
        "$N", "${N}"
    )
    numbers = " ".join(map(str, range(count)))
    if way == "loop":
        return ["sh", "-c", f"for N in {numbers}; do {one} || exit 1; done"]
    if way == "cores":
        quoted = shlex.quote(f"N=$1; OMP_NUM_THREADS=1 {one}")
        return ["sh", "-c", f"printf '%s\\n' {numbers} | xargs -P {cores()} -I @ sh -c {quoted} x @"]
    return [sys.executable, "-m", "hdmatt", "batch", str(folder), "-o", str(out), "--device", "cpu"]


def measure(way: str, megapixels: float, count: int) -> Measured:
    """Run one way over new pictures.

    Raises:
        RuntimeError: A picture failed.
    """
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place, "in"), Path(place, "out")
        folder.mkdir()
        out.mkdir()
        make_pictures(folder, megapixels, count)
        path = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        before, started = os.times(), time.monotonic()
        run = subprocess.Popen(
            command(way, folder, out, count), env={**environment, "PYTHONPATH": path}, stdout=subprocess.DEVNULL
        )
        held: list[int] = [0]
        watcher = threading.Thread(target=_watch, args=(run, held))
        watcher.start()
        code = run.wait()
        seconds = time.monotonic() - started
        watcher.join()
        after = os.times()
        there = len(list(out.glob("*_alpha.png")))
        if code or there != count:
            raise RuntimeError(f"{way}: exit code {code}, {there} of {count} mattes")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Measured(way, megapixels, count, round(seconds, 2), round(used, 2), max(held), os.getloadavg()[0])


def checks(rows: Sequence[Measured]) -> list[str]:
    """The ratios that are wanted, with what was measured, for the sizes that have all ways."""
    lines: list[str] = []
    for size in sorted({row.megapixels for row in rows}):
        found = {row.way: row for row in rows if row.megapixels == size}
        if set(found) != set(WAYS):
            continue
        loop, each, batch = (found[way] for way in WAYS)
        for other, wanted in ((loop, 3.0 if size <= 1 else 1.0), (each, 1.2 if size <= 1 else 1.0)):
            ratio = batch.a_minute / other.a_minute
            used = (other.processor_seconds / other.pictures) / (batch.processor_seconds / batch.pictures)
            met = "met" if ratio >= wanted else "NOT MET"
            lines.append(
                f"{size:g} MP: {ratio:.2f} x {other.way} pictures a minute (wanted {wanted:g}: {met}), "
                f"{used:.2f} x fewer processor seconds, {batch.memory / max(1, other.memory):.2f} x its memory"
            )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--megapixels", type=float, action="append", help="sizes; default 1 and 12")
    made.add_argument("--pictures", type=int, help="of each size; default 12, from 4 megapixels on 6")
    made.add_argument("--ways", choices=WAYS, action="append", help="default: all")
    made.add_argument("--note", default="", help="how it was measured, for the record")
    made.add_argument("--results", type=Path, default=RESULTS)
    typed = sys.argv[1:] if arguments is None else list(arguments)
    given = made.parse_args(typed)
    record: dict[str, Any] = {"rows": []}
    with suppress(FileNotFoundError):
        record = json.loads(given.results.read_text(encoding="utf-8"))
    for size in given.megapixels or [1.0, 12.0]:
        for way in given.ways or WAYS:
            row = measure(way, size, given.pictures or (12 if size < LARGE else 6))
            kept = [old for old in record["rows"] if (old["way"], old["megapixels"]) != (way, size)]
            how = {**facts(Settings(), command_of(__file__, typed)), "cores": cores(), "note": given.note}
            record = {**how, "rows": [*kept, asdict(row)]}
            write_text_atomic(given.results, json.dumps(record, indent=1) + "\n")
            print(f"{size:g} MP {way}: {row.a_minute:.2f} a minute, {row.memory / 2**20:.0f} MiB", flush=True)
    print("\n".join(checks([Measured(**row) for row in record["rows"]])))
    return 0


def _watch(run: subprocess.Popen[bytes], held: list[int]) -> None:
    """The largest sum of the shares of a process and all that it started."""
    while run.poll() is None:
        total = 0
        with suppress(psutil.Error):
            root = psutil.Process(run.pid)
            for process in [root, *root.children(recursive=True)]:
                with suppress(psutil.Error):
                    total += process.memory_full_info().pss
        held[0] = max(held[0], total)
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
