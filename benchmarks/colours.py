"""Foreground colours against PyMatting's `estimate_foreground_ml`: errors where the truth is known, seconds and memory.

    python -m benchmarks.colours --pack PACK [--pack PACK2] [--limit 48] [--mattes]
    python -m benchmarks.colours --time [--picture FILE --alpha FILE]

--pack: a folder with foregrounds*/ (straight RGBA) and backgrounds*/, as for training. Foregrounds, every n-th up to
--limit of each pack, lie over the backgrounds in turn, rounded to 8 bits. The error is alpha |F - truth|, of 255, mean
over the soft pixels (0 < alpha < 1 in truth) and colours: what a composite is off by. It is measured with

    true     the true alpha
    blurred  by a Gaussian of 1 pixel
    noisy    a Gaussian of half a pixel, and noise of 0.03
    window   the true alpha, of the 96 x 96 pixels with the most soft ones; few hold solid and clear pixels
    matte    --mattes: what hdmatt makes of the picture and a trimap, 10 pixels wider than the truth (seconds a picture)

"wins" is the share of pictures where ours is off by no more than PyMatting. Exit code 1: a mean or the worst picture
of any of them is worse than PyMatting's.

--time: seconds from the start of a process to the last row, and the most memory it held (MB), for the picture of
examples/ if none is given, in processes of their own; PyMatting as installed just now (an empty cache of numba's), and
once more. Needs PyMatting (the extra `baselines`).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from hdmatt.pictures import reader
from hdmatt.pictures.colours.colour import composite
from hdmatt.pictures.colours.foreground import PIECE, estimate_foreground, foreground_bands
from hdmatt.pictures.trimap import from_alpha
from hdmatt.samples.packs import decode, discover_assets, read_foreground
from hdmatt.system import memory

EXAMPLES = Path(__file__).parents[1] / "examples"
OURS, PYMATTING = "hdmatt", "PyMatting"
WINDOW = 96
RADIUS = 10  # of the trimaps for --mattes

Estimate = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Case(NamedTuple):
    """A picture, an alpha to estimate with, and the truth."""

    kind: str
    picture: np.ndarray
    alpha: np.ndarray
    foreground: np.ndarray
    truth: np.ndarray


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, action="append", help="folder of a training pack; repeatable")
    parser.add_argument("--limit", type=int, default=48, help="foregrounds of each pack")
    parser.add_argument("--mattes", action="store_true", help="also with mattes of the shipped network")
    parser.add_argument("--time", action="store_true", help="measure seconds and memory")
    parser.add_argument("--picture", type=Path, default=EXAMPLES / "hair.jpg")
    parser.add_argument("--alpha", type=Path, default=EXAMPLES / "hair-alpha.png")
    parser.add_argument("--one", choices=(OURS, PYMATTING), help=argparse.SUPPRESS)  # in a process of its own
    given = parser.parse_args(arguments)
    if given.one:
        print(*run_one(given.one, given.picture, given.alpha))
        return 0
    if not given.pack and not given.time:
        parser.error("give --pack, --time or both")
    worse = False
    if given.pack:
        rows = errors(cases(given.pack, given.limit, mattes=given.mattes))
        worse = any(row[1] > row[2] or row[3] > row[4] for row in rows)
        print("| alpha | hdmatt | PyMatting | hdmatt, worst | PyMatting, worst | wins | pictures |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        for kind, *values, wins, pictures in rows:
            print(f"| {kind} | {' | '.join(f'{value:.2f}' for value in values)} | {wins:.0%} | {pictures} |")
    if given.time:
        print_times(given.picture, given.alpha)
    return int(worse)


def cases(packs: Sequence[Path], limit: int, *, mattes: bool = False) -> Iterator[Case]:
    """Composites of the packs' foregrounds, every n-th, over their backgrounds in turn; the same ones each time."""
    found = [discover_assets(pack) for pack in packs]
    backgrounds = [path for pack in found for path in pack.backgrounds]
    fronts = [entry for pack in found for entry in pack.foregrounds[:: max(1, len(pack.foregrounds) // limit)][:limit]]
    rng = np.random.default_rng(0)
    for entry in fronts:
        rgba = reader.as_float(read_foreground(entry))
        height, width = rgba.shape[:2]
        foreground, truth = rgba[..., :3].copy(), rgba[..., 3].copy()
        behind = decode(backgrounds[rng.integers(len(backgrounds))], "colour")
        behind = reader.as_float(cv2.resize(behind, (width, height), interpolation=cv2.INTER_AREA))
        picture = np.rint(composite(foreground, truth, behind) * 255).astype(np.uint8)
        for kind, alpha in _alphas(truth, rng):
            yield Case(kind, reader.as_float(picture), alpha, foreground, truth)
        inside = _softest(truth)
        yield Case("window", *(part[inside].copy() for part in (reader.as_float(picture), truth, foreground, truth)))
        if mattes:
            from hdmatt import matte

            trimap = from_alpha(np.rint(truth * 255).astype(np.uint8), radius=RADIUS)
            if (trimap == 128).any():
                yield Case("matte", reader.as_float(picture), matte(picture, trimap).alpha, foreground, truth)


def errors(given: Iterator[Case]) -> list[tuple[str, float, float, float, float, float, int]]:
    """For each kind of alpha: mean errors, the worst pictures', and the share of pictures where ours is no worse."""
    found: dict[str, list[tuple[float, float]]] = {}
    for case in given:
        soft = (case.truth > 0) & (case.truth < 1)
        if soft.any():
            pair = [error(estimate(case.picture, case.alpha), case, soft) for estimate in (ours, pymatting)]
            found.setdefault(case.kind, []).append((pair[0], pair[1]))
    rows = []
    for kind, pairs in found.items():
        one, other = np.array(pairs).T
        rows.append((kind, one.mean(), other.mean(), one.max(), other.max(), (one <= other).mean(), len(pairs)))
    return rows


def error(estimate: np.ndarray, case: Case, soft: np.ndarray) -> float:
    """Mean of alpha |F - truth| over the soft pixels, of 255."""
    return float((case.truth[..., None] * np.abs(estimate - case.foreground))[soft].mean() * 255)


def ours(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return estimate_foreground(picture, alpha)


def pymatting(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    return estimate_foreground_ml(picture, alpha)


def run_one(which: str, picture: Path, alpha: Path) -> tuple[float, int]:
    """Colours of a picture file in this process: when they were done (s since 1970), the most it held (bytes)."""
    colours, shares = decode(picture, "colour"), decode(alpha, "grey")
    if which == PYMATTING:
        pymatting(reader.as_float(colours), reader.as_float(shares))
    else:
        height, width = shares.shape

        def bands() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
            for y in range(0, height, PIECE):
                yield y, reader.as_float(colours[y : y + PIECE]), reader.as_float(shares[y : y + PIECE])

        for _ in foreground_bands(bands(), height=height, width=width):
            pass
    return time.time(), memory.peak()


def print_times(picture: Path, alpha: Path) -> None:
    """Seconds and memory of fresh processes, and the ratio to ours."""
    with tempfile.TemporaryDirectory() as cache:
        runs = [
            (name, _timed(which, picture, alpha, cache))
            for name, which in ((OURS, OURS), (f"{PYMATTING}, just installed", PYMATTING), (PYMATTING, PYMATTING))
        ]
    print("| | s | MB | s, of ours |\n|---|---:|---:|---:|")
    for name, (seconds, held) in runs:
        print(f"| {name} | {seconds:.2f} | {held / 1e6:.0f} | {seconds / runs[0][1][0]:.1f} |")


def _timed(which: str, picture: Path, alpha: Path, cache: str) -> tuple[float, int]:
    """Of a fresh process, its start included."""
    command = [sys.executable, "-m", "benchmarks.colours", "--one", which]
    command += ["--picture", str(picture.resolve()), "--alpha", str(alpha.resolve())]
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    root = Path(__file__).parents[1]
    started = time.time()
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    finished, held = done.stdout.split()[-2:]
    return float(finished) - started, int(held)


def _alphas(truth: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    yield "true", truth
    blurred = cv2.GaussianBlur(truth, (0, 0), 1.0)
    # what is nearly solid or clear in a matte is written as that
    yield "blurred", np.where(blurred > 0.998, 1, np.where(blurred < 0.002, 0, blurred)).astype(np.float32)
    noise = cv2.GaussianBlur(rng.normal(0, 0.03, truth.shape).astype(np.float32), (0, 0), 0.7)
    noisy = cv2.GaussianBlur(truth, (0, 0), 0.5) + noise * ((truth > 0) & (truth < 1))
    yield "noisy", np.clip(noisy, 0, 1)


def _softest(truth: np.ndarray) -> tuple[slice, slice]:
    """The window with the most soft pixels."""
    height, width = min(WINDOW, truth.shape[0]), min(WINDOW, truth.shape[1])
    sums = np.pad(((truth > 0) & (truth < 1)).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    counts = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    y, x = np.unravel_index(counts.argmax(), counts.shape)
    return slice(int(y), int(y) + height), slice(int(x), int(x) + width)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
