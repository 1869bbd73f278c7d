"""The promises for pictures of any size, measured on this machine with `hdmatt bench` and compared.

    python -m benchmarks.promises --data hr-dev                              # all of them: hours on two cores
    python -m benchmarks.promises --data hr-dev --only hr25 --only peak      # some of them
    python -m benchmarks.promises --only 400mp                               # needs no data

    hr25     a picture of the folder (HR25), against PyMatting's closed-form matting: at least 8 times as fast, at most
             a fifth of its peak memory; a network of hdmatt-r34's size: at least twice as fast
    36mp     the same picture enlarged to four times its pixels; matte, foreground and cut-out within 1.2 GB. Beside
             it, closed-form matting with a limit of 20 GB
    400mp    a generated TIFF of 20000 x 20000 pixels, 5 % unknown, within 1.5 GB; a patch takes at most 10 % longer
             than at 9 megapixels
    peak     HR25: the network reaches at least 70 % of the operations a second of a large float32 convolution

Run it while nothing else runs. Each result is merged into --results as soon as it is measured, with its command, date,
commit and machine. GB are 10^9 bytes. Time does not depend on weights: hdmatt-r34 has random ones unless --r34 names a
file. --name, --megapixels, --options and --r34-width make it small, to try it out. Exit code 1: a promise is not kept,
or a run failed.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from benchmarks import _shared
from hdmatt.bench.measure import BenchLimits
from hdmatt.bench.sweep import BenchResult, BenchRow, SweepPlan, bench
from hdmatt.cli.tables import kind_table, layer_table
from hdmatt.errors import InputError
from hdmatt.evaluation.items import picture_size
from hdmatt.evaluation.methods import Settings
from hdmatt.evaluation.provenance import facts
from hdmatt.system.files import make_folder, write_text_atomic

RESULTS = Path(__file__).parent / "results" / "any-size.json"
GB = 10**9


class Check(NamedTuple):
    """One number of a promise."""

    what: str
    measured: float
    required: float
    least: bool = False  # whether `required` is the smallest value that is good enough, not the largest

    @property
    def met(self) -> bool:
        return self.measured >= self.required if self.least else self.measured <= self.required

    def __str__(self) -> str:
        bound, word = "at least" if self.least else "at most", "met" if self.met else "NOT MET"
        return f"{self.what}: {self.measured:.4g}, {bound} {self.required:.4g} required: {word}"


class Measured(NamedTuple):
    """A promise as measured."""

    checks: list[Check]
    results: list[BenchResult]
    note: str = ""


class RunFailed(Exception):
    """A method that must not fail did."""


def hr25(given: argparse.Namespace) -> Measured:
    with r34_weights(given) as weights:
        found = measured(given, ["hdmatt", "cf", f"hdmatt:model={weights}"], own_pair(given), runs=given.runs)
    ours, cf, r34 = map(good, found.rows)
    checks = [
        Check("cf's seconds / hdmatt's", cf.seconds / ours.seconds, 8.0, least=True),
        Check("hdmatt's peak memory / cf's", ours.peak_memory / cf.peak_memory, 0.2),
        Check("cf's seconds / hdmatt-r34's", cf.seconds / r34.seconds, 2.0, least=True),
    ]
    return Measured(checks, [found])


def colours(given: argparse.Namespace) -> Measured:
    limits = BenchLimits(memory=20 * GB)
    methods = ["hdmatt:memory=1.2GB", "cf"]
    found = measured(given, methods, own_pair(given), times=4.0, limits=limits, colours=True)
    ours, cf = good(found.rows[0]), found.rows[1]
    note = f"closed-form matting, limit 20 GB: {cf.error or f'finished in {cf.seconds:.0f} s'}"
    return Measured([Check("peak memory, bytes", ours.peak_memory, 1.2 * GB)], [found], note)


def large(given: argparse.Namespace) -> Measured:
    """The small picture before and after the large one: a machine that slows down is not held against it."""
    small, whole = given.megapixels
    both = measured(given, ["hdmatt:memory=1.5GB"], None, megapixels=(small, whole), unknown=0.05)
    after = measured(given, ["hdmatt:memory=1.5GB"], None, megapixels=(small,), unknown=0.05)
    patches = [row.network_seconds / row.patches for row in map(good, [*both.rows, *after.rows])]
    ratio = patches[1] / ((patches[0] + patches[2]) / 2)
    checks = [
        Check("peak memory, bytes", both.rows[1].peak_memory or 0, 1.5 * GB),
        Check("network seconds of a patch / the small picture's", ratio, 1.1),
    ]
    return Measured(checks, [both, after])


def peak(given: argparse.Namespace) -> Measured:
    found = measured(given, ["hdmatt"], own_pair(given), runs=given.runs, layers=True)
    assert found.layers is not None
    Console(width=120).print(layer_table(found.layers), kind_table(found.layers), sep="\n\n")
    share = good(found.rows[0]).share_of_peak
    return Measured([Check("share of the float32 convolution's peak", share, 0.7, least=True)], [found])


PROMISES: dict[str, Callable[[argparse.Namespace], Measured]] = {
    "hr25": hr25,
    "36mp": colours,
    "400mp": large,
    "peak": peak,
}


def main(arguments: list[str]) -> int:
    given = parser().parse_args(arguments)
    chosen = [name for name in PROMISES if name in (given.only or PROMISES)]
    if given.data is None and chosen != ["400mp"]:
        raise InputError(f"{', '.join(chosen)} need a data folder", hint="Give --data DIR, or --only 400mp.")
    kept = True
    for name in chosen:
        try:
            found = PROMISES[name](given)
        except RunFailed as failed:
            print(f"{name:6} failed: {failed}")
            kept = False
            continue
        save(given.results, name, found, _shared.command_of(__file__, arguments))
        for line in (*map(str, found.checks), *filter(None, [found.note])):
            print(f"{name:6} {line}")
        kept = kept and all(check.met for check in found.checks)
    return 0 if kept else 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", type=Path, help="folder with image/ and trimap/")
    made.add_argument("--only", action="append", choices=tuple(PROMISES), help="repeatable; default: all")
    made.add_argument("--runs", type=int, default=3, help="of hr25 and peak: medians")
    made.add_argument("--results", type=Path, default=RESULTS)
    made.add_argument("--name", default="HR25", help="of the picture in --data")
    made.add_argument("--megapixels", type=float, nargs=2, default=(9.0, 400.0), help="of 400mp: small and large")
    made.add_argument("--options", default="windows=fewest", help="of hdmatt, as in a method's name")
    made.add_argument("--r34", type=Path, help="weights of hdmatt-r34; default: random ones of its size")
    made.add_argument("--r34-width", type=int, default=64, help="of random weights")
    return made


def measured(
    given: argparse.Namespace,
    methods: Sequence[str],
    pair: tuple[Path, Path] | None,
    *,
    times: float = 1.0,
    megapixels: Sequence[float] = (),
    **more: Any,
) -> BenchResult:
    """`bench` of the methods, hdmatt with --options: on a picture with `times` its pixels, or on generated ones."""
    picture, trimap = pair or (None, None)
    if picture:
        height, width = picture_size(picture)
        megapixels = (times * height * width / 1e6,)
    named = [f"{name}{',' if ':' in name else ':'}{given.options}" if name != "cf" else name for name in methods]
    plan = SweepPlan(megapixels, named, picture=picture, trimap=trimap, **more)
    return bench(plan, Settings())


def good(row: BenchRow) -> Any:
    """The row, if it did not fail."""
    if row.error:
        raise RunFailed(f"{row.method} at {row.megapixels:g} megapixels: {row.error}")
    return row


def own_pair(given: argparse.Namespace) -> tuple[Path, Path]:
    """Picture and trimap of --name in --data."""
    found = [sorted((given.data / folder).glob(f"{given.name}.*")) for folder in ("image", "trimap")]
    if not all(found):
        raise InputError(f"{given.data} holds no {given.name} in image/ and trimap/", hint="Look at --data and --name.")
    return found[0][0], found[1][0]


@contextmanager
def r34_weights(given: argparse.Namespace) -> Iterator[Path]:
    """Weights of a network of hdmatt-r34's width, with the extra channels and patches of the default model."""
    import torch

    from hdmatt.network.checkpoint import read_model, save_model
    from hdmatt.network.model import HDMatt
    from hdmatt.network.names import models

    if given.r34:
        yield given.r34
        return
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as name:
        torch.manual_seed(0)
        path = Path(name) / "hdmatt-r34-random.safetensors"
        config = read_model(models()["hdmatt-s"]).config
        save_model(HDMatt(replace(config, width=given.r34_width)), path, half=True)
        yield path


def save(path: Path, name: str, found: Measured, command: str) -> None:
    """Merge one promise into the file of results."""
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    checks = [{**check._asdict(), "met": check.met} for check in found.checks]
    results = [asdict(result) for result in found.results]
    held[name] = {**facts(Settings(), command), "checks": checks, "note": found.note, "results": results}
    make_folder(path.parent)
    ordered = {one: held[one] for one in (*PROMISES, *held) if one in held}
    write_text_atomic(path, json.dumps(ordered, indent=1, allow_nan=False, default=str) + "\n")


if __name__ == "__main__":
    _shared.run(main)
