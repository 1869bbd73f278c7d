"""Peak memory and time against the picture's size, under one limit.

    python -m benchmarks.memory [--limit 1GiB] [--colours] [--json FILE] MEGAPIXELS ...
    python -m benchmarks.memory [--limit 1.5GB] --size 20000x20000 [--unknown 0.05]
    python -m benchmarks.memory [--limit 1.2GB] --colours --files picture.png trimap.png

Makes tiled TIFF pictures (8 bit), band by band, and runs `hdmatt matte` on them in processes of their own; prints what
each promised and what it held at most. MEGAPIXELS: square, with a ring of unknown pixels of the same length in each.
--size WIDTHxHEIGHT: with a given share of unknown pixels, in rings around the middle. --files: a picture of your own.
--json keeps the rows with command, date, commit and machine. Exit code 1: a run failed.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import OpenImageIO as oiio

from hdmatt.evaluation.methods import Settings
from hdmatt.evaluation.provenance import facts
from hdmatt.system.files import write_text_atomic
from hdmatt.system.memory import parse

TILE = 256


def trimap_band(yy: np.ndarray, xx: np.ndarray, height: int, width: int, unknown: float | None) -> np.ndarray:
    """Rows of the trimap: one ring of radius 900 to 1000, or rings of equal width that leave a share unknown."""
    radius = np.hypot(yy - height // 2, xx - width // 2, dtype=np.float32)
    if unknown is None:
        return np.where(radius < 900, 255, np.where(radius < 1000, 128, 0)).astype(np.uint8)
    pitch = 8000  # pixels from one ring to the next
    inside = radius % pitch
    ring = inside < unknown * pitch
    return np.where(ring, 128, np.where((radius // pitch).astype(np.int32) % 2, 0, 255)).astype(np.uint8)


def write(path: Path, height: int, width: int, *, channels: int, unknown: float | None) -> float:
    """A picture or its trimap, one row of tiles at a time; returns the trimap's unknown share."""
    output = oiio.ImageOutput.create(str(path))
    spec = oiio.ImageSpec(width, height, channels, "uint8")
    spec.attribute("compression", "zip")
    spec.tile_width = spec.tile_height = TILE
    if not output.open(str(path), spec):
        raise RuntimeError(output.geterror())
    unknown_pixels = 0
    for y in range(0, height, TILE):
        yy, xx = np.ogrid[y : min(y + TILE, height), :width]
        marks = trimap_band(yy, xx, height, width, unknown)
        unknown_pixels += int((marks == 128).sum())
        if channels == 1:
            band = marks[..., None]
        else:
            band = np.where((marks > 0)[..., None], np.uint8([200, 120, 60]), np.uint8([40, 90, 160]))
            band += ((xx * 7 + yy * 13) % 31).astype(np.uint8)[..., None]
        if not output.write_tiles(0, width, y, min(y + TILE, height), 0, 1, np.ascontiguousarray(band)):
            raise RuntimeError(output.geterror())
    output.close()
    return unknown_pixels / (height * width)


def run(
    name: str, picture: Path, trimap: Path, folder: Path, arguments: argparse.Namespace
) -> dict[str, str | int | float]:
    """What `hdmatt matte --json` said of one picture, or its error."""
    command = [sys.executable, "-c", "import sys; from hdmatt.cli.main import main; sys.exit(main())", "matte"]
    command += [str(picture), str(trimap), "-o", str(folder / f"alpha{arguments.suffix}")]
    command += ["--memory", arguments.limit, "--device", "cpu", "--json"]
    if arguments.colours:
        command += ["--foreground", str(folder / f"foreground{arguments.suffix}")]
        command += ["--cutout", str(folder / f"cutout{arguments.suffix}")]
    done = _matte(command)
    if done.returncode:
        print(f"{name:>14} {done.stderr.strip()}", flush=True)
        return {"picture": name, "error": done.stderr.strip()}
    found = json.loads(done.stdout)
    expected, peak = found["expected_memory"] / 2**20, found["peak_memory"] / 2**20
    share, hits = 100 * found["unknown_share"], found["cache_hits"]
    print(
        f"{name:>14} {share:>8.1f} {found['patches']:>8} {found['encoded']:>8} {hits:>5} {found['seconds']:>8.1f} "
        f"{expected:>13.0f} {peak:>9.0f}",
        flush=True,
    )
    kept = ("unknown_share", "patches", "encoded", "cache_hits", "expected_memory", "memory_limit", "peak_memory")
    return {"picture": name, "colours": arguments.colours, **{key: found[key] for key in kept}}


def _matte(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", default="1GiB")
    parser.add_argument("--colours", action="store_true", help="write foreground and cut-out too")
    parser.add_argument("--size", action="append", default=[], metavar="WIDTHxHEIGHT")
    parser.add_argument("--unknown", type=float, default=0.05, help="share of unknown pixels, with --size")
    parser.add_argument("--files", type=Path, nargs=2, metavar=("PICTURE", "TRIMAP"))
    parser.add_argument("--suffix", default=".tif", help="format of the outputs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the rows, too")
    parser.add_argument("megapixels", type=int, nargs="*")
    arguments = parser.parse_args()
    heads = ("picture", 14), ("unknown", 8), ("patches", 8), ("encodes", 8), ("hits", 5), ("seconds", 8)
    heads += ("expected MiB", 13), ("peak MiB", 9)
    print(*(f"{head:>{width}}" for head, width in heads), f"  limit {arguments.limit}", flush=True)
    sizes = [(round((m * 1e6) ** 0.5),) * 2 + (None,) for m in arguments.megapixels]
    sizes += [(*map(int, size.split("x")), arguments.unknown) for size in arguments.size]
    rows = []
    for width, height, unknown in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder / "picture.tif", height, width, channels=3, unknown=unknown)
            write(folder / "trimap.tif", height, width, channels=1, unknown=unknown)
            rows.append(run(f"{width}x{height}", folder / "picture.tif", folder / "trimap.tif", folder, arguments))
    if arguments.files:
        with tempfile.TemporaryDirectory() as name:
            rows.append(run(arguments.files[0].name[:14], *arguments.files, Path(name), arguments))
    if arguments.json:
        command = shlex.join(["python", "benchmarks/memory.py", *sys.argv[1:]])
        record = {**facts(Settings(memory=parse(arguments.limit)), command), "rows": rows}
        write_text_atomic(arguments.json, json.dumps(record, indent=1) + "\n")
    return int(any("error" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
