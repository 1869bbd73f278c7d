"""Any size on any machine: what is promised, and what this machine measures.

    python -m benchmarks.any_size --hr-dev DIR                                # all lines, hours on two cores
    python -m benchmarks.any_size --hr-dev DIR --only hr25 --only peak        # some of them
    python -m benchmarks.any_size --hr-dev DIR --missing                      # goes on after it was stopped

    hr25     HR25 of the folder, hdmatt against PyMatting's closed form: 8 times as fast, a fifth of the memory;
             a network of hdmatt-r34's size: twice as fast
    36mp     HR25 enlarged to four times its pixels, matte, foreground and cut-out in 1.2 GB; and what
             closed-form matting makes of it in 20 GB (needs 21 GiB of free memory; --no-cf leaves it out)
    400mp    a generated tiled TIFF of 20000 x 20000, 5 % unknown, under 1.5 GB; a patch as fast as at 9 megapixels
    peak     HR25: operations a second in the network, as a share of a large float32 convolution's; layer by layer

Time does not depend on the weights, so hdmatt-r34 is random ones of its size unless --r34 names a file.
Each line's result is merged into --results as soon as it is measured, with its own command, date, commit and
machine. Run it while nothing else runs. GB are 10^9 bytes, in what is required as in --memory. --picture-name, --sides
and --patch make it small, to try it out. Exit code 1: a line is not met, or failed.
"""

import argparse
import json
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console

from benchmarks import _shared
from hdmatt.bench.measure import Limits, Measured, machine_peaks, measure, network_layers
from hdmatt.cli.tables import kind_table, layer_table
from hdmatt.errors import InputError
from hdmatt.evaluation.methods import Settings
from hdmatt.evaluation.methods import parse as parse_method
from hdmatt.evaluation.provenance import facts
from hdmatt.evaluation.scenes import Generated, Own, write
from hdmatt.system.files import make_folder, write_text_atomic
from hdmatt.system.memory import parse

RESULTS = Path(__file__).parent / "results" / "any-size.json"
FASTER, SMALLER = 8.0, 0.2  # of closed-form matting's seconds and peak memory
COLOURS_BYTES, LARGE_BYTES = 1.2e9, 1.5e9
PATCH_RATIO = 1.1  # seconds of a patch in the large picture to those in the small one, at most
PEAK_SHARE = 0.7
R34_FASTER = 2.0  # than closed-form matting
CF_BYTES = 20e9  # in which closed-form matting cannot do 36 megapixels


class Check(NamedTuple):
    """One number of a line."""

    what: str
    measured: float
    required: float
    least: bool = False  # whether `required` is the smallest that will do, not the largest

    @property
    def met(self) -> bool:
        return self.measured >= self.required if self.least else self.measured <= self.required


class Line(NamedTuple):
    """What a line measured."""

    checks: list[Check]
    runs: dict[str, Any]
    notes: Sequence[str] = ()  # what nothing is required of


def hr25(given: argparse.Namespace) -> Line:
    found: dict[str, list[Measured]] = {"hdmatt": [], "cf": [], "r34": []}
    with _r34(given) as weights:
        names = {"hdmatt": "hdmatt", "cf": "cf", "r34": f"hdmatt:model={weights}"}
        for _ in range(given.runs):
            for name, runs in found.items():
                runs.append(_run(given, names[name], *_pair(given)))
    seconds = {name: median(_number(run.seconds) for run in runs) for name, runs in found.items()}
    peaks = {name: max(_number(run.peak_memory) for run in runs) for name, runs in found.items()}
    return Line(
        [
            Check("cf's seconds / hdmatt's", seconds["cf"] / seconds["hdmatt"], FASTER, least=True),
            Check("hdmatt's peak memory / cf's", peaks["hdmatt"] / peaks["cf"], SMALLER),
            Check("cf's seconds / hdmatt-r34's", seconds["cf"] / seconds["r34"], R34_FASTER, least=True),
        ],
        {name: [asdict(run) for run in runs] for name, runs in found.items()},
    )


def colours(given: argparse.Namespace) -> Line:
    picture, trimap = _pair(given)
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as name:
        folder = Path(name)
        large, marks = folder / "picture.tif", folder / "trimap.tif"
        own = Own(picture, trimap, None)
        write(Own(picture, trimap, 4 * own.height * own.width / 1e6), large, marks)
        run = _run(given, "hdmatt", large, marks, memory="1.2GB", colours=True)
        checks = [Check("peak memory, bytes", _number(run.peak_memory), COLOURS_BYTES)]
        if given.no_cf:
            return Line(checks, {"hdmatt": asdict(run)}, ["closed-form matting was not asked"])
        limits = Limits(memory=int(CF_BYTES))
        cf = measure(parse_method("cf", _settings(given)), large, marks, folder, limits=limits)
    note = f"closed-form matting, limit {CF_BYTES / 1e9:g} GB: {cf.error or f'finished in {cf.seconds:.0f} s'}"
    return Line(checks, {"hdmatt": asdict(run), "cf": asdict(cf)}, [note])


def large(given: argparse.Namespace) -> Line:
    """The small picture before and after the large one, so that a machine that grows slower is not held against it."""
    small_side, side = given.sides
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as name:
        pairs = {}
        for of, length in (("small", small_side), ("large", side)):
            pairs[of] = Path(name) / f"{of}-picture.tif", Path(name) / f"{of}-trimap.tif"
            write(Generated(length, unknown=given.unknown), *pairs[of])
        before, run, after = (_run(given, "hdmatt", *pairs[of], memory="1.5GB") for of in ("small", "large", "small"))
    patch, small = _per_patch(run), (_per_patch(before) + _per_patch(after)) / 2
    return Line(
        [
            Check("peak memory, bytes", _number(run.peak_memory), LARGE_BYTES),
            Check("network seconds of a patch / the small picture's", patch / small, PATCH_RATIO),
        ],
        {"sides": [small_side, side], "large": asdict(run), "small": [asdict(before), asdict(after)]},
    )


def peak(given: argparse.Namespace) -> Line:
    """The machine's peak before and after, the better one counts."""
    peaks = [machine_peaks("cpu")]
    runs = [_run(given, "hdmatt", *_pair(given), count=not i) for i in range(given.runs)]
    peaks.append(machine_peaks("cpu"))
    best = max(one["fp32"] for one in peaks)
    layers = network_layers(_settings(given), best)
    Console(width=120).print(layer_table(layers), kind_table(layers), sep="\n\n")
    share = _number(runs[0].flops) / median(_number(run.network_seconds) for run in runs) / best
    return Line(
        [Check("share of the float32 convolution's peak", share, PEAK_SHARE, least=True)],
        {"peaks": peaks, "layers": layers, "hdmatt": [asdict(run) for run in runs]},
    )


LINES: dict[str, Callable[[argparse.Namespace], Line]] = {
    "hr25": hr25,
    "36mp": colours,
    "400mp": large,
    "peak": peak,
}
NEEDS_DATA = ("hr25", "36mp", "peak")


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    chosen = [name for name in LINES if name in (given.only or LINES)]
    if given.hr_dev is None and any(name in NEEDS_DATA for name in chosen):
        raise InputError(f"{', '.join(chosen)} need a data folder", hint="Give --hr-dev DIR, or --only 400mp.")
    if given.runs < 1:
        raise InputError(f"{given.runs} runs measure nothing", hint="Give --runs 1 or more.")
    held = _held(given.results)
    if given.missing:
        chosen = [name for name in chosen if not _same(held.get(name), facts(_settings(given), ""))]
    command = shlex.join(["python", "benchmarks/any_size.py", *arguments])
    good = True
    for name in chosen:
        try:
            line = LINES[name](given)
        except _Failed as failed:
            print(f"{name:6} failed: {failed}")
            good = False
            continue
        checks = [{**check._asdict(), "met": check.met} for check in line.checks]
        settings = _settings(given)
        known = facts(settings, command)
        held[name] = {**known, "settings": asdict(settings), "checks": checks, "notes": line.notes, "runs": line.runs}
        _write(given.results, held)
        for check in line.checks:
            bound, word = "at least" if check.least else "at most", "met" if check.met else "NOT MET"
            print(f"{name:6} {check.what}: {check.measured:.4g}, {bound} {check.required:.4g} required: {word}")
            good = good and check.met
        for note in line.notes:
            print(f"{name:6} {note}")
    return 0 if good else 1


class _Failed(Exception):
    """A run that gave nothing to compare."""


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--hr-dev", type=Path, help="folder with image/ and trimap/")
    made.add_argument("--only", action="append", choices=tuple(LINES), help="repeatable; default: all")
    made.add_argument("--missing", action="store_true", help="not what --results holds of this machine")
    made.add_argument("--runs", type=int, default=3, help="of hr25 and peak: medians")
    made.add_argument("--no-cf", action="store_true", help="leave closed-form matting out of 36mp")
    made.add_argument("--results", type=Path, default=RESULTS)
    made.add_argument("--picture-name", default="HR25")
    made.add_argument("--sides", type=int, nargs=2, default=(3000, 20000), metavar=("SMALL", "LARGE"), help="of 400mp")
    made.add_argument("--unknown", type=float, default=0.05, help="share of unknown pixels of 400mp")
    made.add_argument("--model", default="hdmatt-s", help="name or safetensors file")
    made.add_argument("--patch", type=int, default=320)
    made.add_argument("--overlap", type=int, default=64)
    made.add_argument("--runtime", default="auto")
    made.add_argument("--r34", type=Path, help="weights of hdmatt-r34; default: random ones of its size")
    made.add_argument("--r34-width", type=int, default=64, help="of random weights; smaller to try it out")
    return made


@contextmanager
def _r34(given: argparse.Namespace) -> Iterator[Path]:
    """Weights of the network of width 64, with the default model's hints and patches."""
    import torch

    from hdmatt.network.checkpoint import load_model, save_model
    from hdmatt.network.model import HDMatt

    if given.r34:
        yield given.r34
        return
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as name:
        torch.manual_seed(0)
        path = Path(name) / "hdmatt-r34-random.safetensors"
        save_model(HDMatt(replace(load_model(given.model).config, width=given.r34_width)), path, half=True)
        yield path


def _same(line: dict[str, Any] | None, known: dict[str, Any]) -> bool:
    """Whether a line was measured on this processor, with as many cores. Not the commit: results are files of it."""
    return line is not None and all(line["machine"][key] == known["machine"][key] for key in ("cpu", "usable_cores"))


def _settings(given: argparse.Namespace, memory: str | None = None) -> Settings:
    return Settings(
        model=given.model,
        patch=given.patch,
        overlap=given.overlap,
        memory=parse(memory) if memory else None,
        device="cpu",
        windows="fewest",
        runtime=given.runtime,
    )


def _pair(given: argparse.Namespace) -> tuple[Path, Path]:
    def one(folder: str) -> Path:
        found = sorted((given.hr_dev / folder).glob(f"{given.picture_name}.*"))
        if not found:
            raise InputError(
                f"{given.hr_dev / folder} holds no {given.picture_name}", hint="Look at --hr-dev and --picture-name."
            )
        return found[0]

    return one("image"), one("trimap")


def _run(given: argparse.Namespace, name: str, picture: Path, trimap: Path, **more: Any) -> Measured:
    """One run in a fresh process.

    Raises:
        _Failed: It failed, or took what it may not.
    """
    method = parse_method(name, _settings(given, more.pop("memory", None)))
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as folder:
        found = measure(method, picture, trimap, Path(folder), **more)
    if found.error:
        raise _Failed(f"{name} on {picture.name}: {found.error}")
    return found


def _number(value: float | None) -> float:
    if value is None:
        raise _Failed("a number was not measured")
    return value


def _per_patch(run: Measured) -> float:
    return _number(run.network_seconds) / max(1, int(_number(run.patches)))


def _held(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", hint="Remove it, or give another --results.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not ours", hint="Remove it, or give another --results.")
    return found


def _write(path: Path, held: dict[str, Any]) -> None:
    order: Sequence[str] = [*(name for name in LINES if name in held), *(name for name in held if name not in LINES)]
    make_folder(path.parent)
    write_text_atomic(path, json.dumps({name: held[name] for name in order}, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    _shared.run(main)
