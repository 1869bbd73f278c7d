"""The program behind `hdmatt bench`: sizes x methods -> seconds, peak memory and share of the machine's peak.

Knows methods and records; nothing of the terminal. Read top to bottom:

    SweepPlan    sizes, methods, pictures and limits to measure with
    BenchRow     one method at one size: medians of its runs, or why there are none
    bench        peaks, then size by size, the methods in turn, run by run, then peaks again
    record       everything as JSON: command, date, commit, machine, versions, peaks, rows
    save_record  bench.json and bench.svg

A method that failed at one size is not tried at larger ones; each of these is a row that says so.
"""

import json
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from hdmatt.bench import plot
from hdmatt.bench.measure import BenchLimits, Measured, machine_peaks, measure_method, network_layers
from hdmatt.errors import InputError
from hdmatt.evaluation.methods import FOLDER, Method, Settings, parse_method
from hdmatt.evaluation.provenance import facts
from hdmatt.evaluation.scenes import Generated, Own, Scene, write
from hdmatt.evaluation.settings_check import method_fingerprint
from hdmatt.system.files import make_folder, write_text_atomic

METHODS = ("hdmatt", "whole", "downsample", "cf", "knn")
MEGAPIXELS = (1.0, 4.0, 9.0, 16.0, 36.0)
SMALLEST = 32 * 32 / 1e6  # megapixels that the network can do something with
SweepProgress = Callable[[str, int, int], None]  # what is being done, runs done, runs in all


@dataclass(frozen=True)
class SweepPlan:
    """Sizes, methods, pictures and limits to measure with.

    Attributes:
        megapixels: Sizes; they are measured from the smallest to the largest.
        methods: Names as `methods.parse_method` takes them.
        unknown: Share of unknown pixels in generated pictures.
        picture, trimap: A user's own, brought to each size; None: generated.
        runs: Fresh processes for each method and size.
        limits: Of each run.
        layers: Measure the network layer by layer, too.
        colours: Our own methods write foreground and cut-out, too.
    """

    megapixels: Sequence[float] = MEGAPIXELS
    methods: Sequence[str] = METHODS
    unknown: float = 0.1
    picture: Path | None = None
    trimap: Path | None = None
    runs: int = 1
    limits: BenchLimits = field(default_factory=BenchLimits)
    layers: bool = False
    colours: bool = False


@dataclass(frozen=True)
class BenchRow:
    """One method at one size."""

    method: str
    megapixels: float  # asked for
    width: int
    height: int
    unknown: int  # pixels
    runs: int = 0
    seconds: float | None = None  # median; so is network_seconds
    seconds_min: float | None = None
    seconds_max: float | None = None
    peak_memory: int | None = None  # bytes, the most of the runs
    network_seconds: float | None = None
    flops: float | None = None
    patches: int | None = None
    encoded: int | None = None
    gpu_memory: int | None = None
    expected_memory: int | None = None  # bytes that the plan promised, the most of the runs
    unknown_rate: float | None = None  # unknown megapixels a second
    share_of_peak: float | None = None  # flops / network_seconds / the machine's
    error: str | None = None
    skipped: bool = False  # not tried, since a smaller size failed


@dataclass(frozen=True)
class BenchResult:
    """One call of `bench`."""

    rows: list[BenchRow]
    peaks: Mapping[str, Any]  # speed.Peaks, the better of `tries`
    tries: Sequence[Mapping[str, Any]]  # before and after everything else: whether the machine kept its pace
    layers: Mapping[str, Any] | None  # speed.Layers, with `lost` seconds of each group
    options: Mapping[str, str]  # what each method ran with


def bench(plan: SweepPlan, settings: Settings, *, progress: SweepProgress | None = None) -> BenchResult:
    """Measure every method at every size, on this machine, now.

    Runs in spawned processes: a script that calls this needs the usual `if __name__ == "__main__"`.

    Raises:
        InputError: A method, size, picture or limit that cannot be used; before anything is measured.
        OutputError: The pictures cannot be written to the folder for temporary files.
    """
    methods = _checked(plan, settings)
    options = {method.name: method_fingerprint(method) for method in methods}
    total = len(plan.megapixels) * len(methods) * plan.runs

    def say(what: str, done: int) -> None:
        if progress:
            progress(what, done, total)

    say("peaks", 0)
    tries = [machine_peaks(settings.network.device)]
    rows: list[BenchRow] = []
    failed: dict[str, float] = {}  # method -> the size it failed at
    for i, size in enumerate(sorted(plan.megapixels)):
        start = i * len(methods) * plan.runs
        some = _at_size(plan, size, methods, failed, lambda what, done, start=start: say(what, start + done))
        rows += some
        failed |= {row.method: size for row in some if row.error and not row.skipped}
    say("peaks", total)
    tries.append(machine_peaks(settings.network.device))
    peaks = best_rates(tries)
    say("layers" if plan.layers else "done", total)
    layers = network_layers(settings, peak_of(peaks, settings.network.precision)) if plan.layers else None
    of = {method.name: peak_of(peaks, method.settings.network.precision) for method in methods}
    return BenchResult([with_share(row, of[row.method]) for row in rows], peaks, tries, layers, options)


def _at_size(
    plan: SweepPlan,
    size: float,
    methods: Sequence[Method],
    failed: Mapping[str, float],
    say: Callable[[str, int], None],
) -> list[BenchRow]:
    """The rows of one size: the methods take turns, run by run; those that failed at a smaller size are not tried."""
    with tempfile.TemporaryDirectory(prefix="hdmatt-bench-") as name:
        folder = Path(name)
        paths = folder / "picture.tif", folder / "trimap.tif"
        say(f"{size:g} megapixels: picture", 0)
        scene = _scene(plan, size)
        unknown = write(scene, *paths)
        found: dict[str, list[Measured]] = {method.name: [] for method in methods if method.name not in failed}
        for turn in range(plan.runs):
            for j, method in enumerate(methods):
                say(f"{size:g} megapixels: {method.name}", turn * len(methods) + j)
                runs = found.get(method.name)
                if runs is not None and not any(one.error for one in runs):
                    runs.append(measure_method(method, *paths, folder, limits=plan.limits, count=not runs))
    rows: list[BenchRow] = []
    for method in methods:
        empty = BenchRow(method.name, size, scene.width, scene.height, unknown)
        if method.name in failed:
            text = f"not tried: it failed at {failed[method.name]:g} megapixels"
            rows.append(replace(empty, error=text, skipped=True))
        else:
            rows.append(summed(empty, found[method.name]))
    return rows


def summed(row: BenchRow, runs: Sequence[Measured]) -> BenchRow:
    """The row with its runs' medians; of runs of which one failed, with that one's error and what it held."""
    failed = [run for run in runs if run.error]
    if failed:
        held = failed[0].peak_memory
        return replace(row, runs=len(runs), peak_memory=held, error=failed[0].error)
    seconds = [run.seconds for run in runs if run.seconds is not None]
    network = [run.network_seconds for run in runs if run.network_seconds is not None]
    flops = next((run.flops for run in runs if run.flops is not None), None)
    middle = median(seconds)
    in_network = median(network) if network else None
    return replace(
        row,
        runs=len(runs),
        seconds=middle,
        seconds_min=min(seconds),
        seconds_max=max(seconds),
        peak_memory=max(run.peak_memory or 0 for run in runs),
        network_seconds=in_network,
        flops=flops,
        patches=runs[0].patches,
        encoded=runs[0].encoded,
        gpu_memory=_most(run.gpu_memory for run in runs),
        expected_memory=_most(run.expected_memory for run in runs),
        unknown_rate=row.unknown / 1e6 / middle,
    )


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def with_share(row: BenchRow, peak: float) -> BenchRow:
    """The row with its share of the machine's peak, in operations a second; without one if it counted none."""
    share = row.flops / row.network_seconds / peak if row.flops and row.network_seconds else None
    return replace(row, share_of_peak=share)


def best_rates(tries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The highest rate of each kind that any of the tries found: a peak is what the machine did once."""
    rates = ("fp32", "bf16", "bandwidth")
    return {**tries[0], **{rate: max((one[rate] for one in tries if one[rate]), default=None) for rate in rates}}


def parse_sizes(text: str) -> list[float]:
    """Megapixels of "1,4,9".

    Raises:
        InputError: Not numbers.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--megapixels is {text!r}", hint="Give numbers by commas, like 1,4,9.") from None


def peak_of(peaks: Mapping[str, Any], precision: str) -> float:
    """Operations a second that the network's share is of: bfloat16's where it runs in it and the device has it."""
    bf16 = peaks["bf16"]
    return float(bf16 if precision == "bf16" and bf16 else peaks["fp32"])


def record(result: BenchResult, plan: SweepPlan, settings: Settings, command: str) -> dict[str, Any]:
    """What bench.json holds."""
    asked = {**asdict(plan), "limits": plan.limits._asdict(), "picture": _name(plan.picture)}
    return {
        **facts(settings, command),
        "settings": settings.record(),
        "plan": {**asked, "trimap": _name(plan.trimap)},
        "options": dict(result.options),
        "peaks": {**result.peaks, "tries": [dict(one) for one in result.tries]},
        "layers": result.layers,
        "rows": [asdict(row) for row in result.rows],
    }


def save_record(made: Mapping[str, Any], out: Path) -> tuple[Path, Path]:
    """bench.json and bench.svg of a record, in the folder `out`, which is made.

    Raises:
        InputError: matplotlib is missing.
        OutputError: They cannot be written.
    """
    page, drawing = out / "bench.json", out / "bench.svg"
    make_folder(out)
    write_text_atomic(page, json.dumps(made, indent=1, allow_nan=False) + "\n")
    write_text_atomic(drawing, plot.draw_plot(made))
    return page, drawing


def _checked(plan: SweepPlan, settings: Settings) -> list[Method]:
    plot.check_matplotlib()
    methods = [parse_method(name, settings) for name in dict.fromkeys(plan.methods)]
    for method in methods:
        if method.kind == FOLDER:
            raise InputError(f"{method.name} is finished, nothing of it can be timed", hint="Leave it out.")
    for size in plan.megapixels:
        if not (math.isfinite(size) and size >= SMALLEST):
            raise InputError(f"a picture of {size:g} megapixels is too small", hint="Give numbers like 1 or 0.25.")
    if not methods or not plan.megapixels:
        raise InputError("there is nothing to measure", hint="Name a size and a method.")
    if (plan.picture is None) != (plan.trimap is None):
        raise InputError("a picture of your own needs its trimap", hint="Give --picture and --trimap, or neither.")
    if plan.runs < 1:
        raise InputError(f"{plan.runs} runs measure nothing", hint="Give --runs 1 or more.")
    if plan.limits.seconds is not None and plan.limits.seconds <= 0:
        raise InputError(f"a time limit of {plan.limits.seconds:g} s", hint="Give seconds, like --time-limit 600.")
    _scene(plan, min(plan.megapixels))  # unreadable, or a share of unknown pixels that cannot be
    return methods


def _scene(plan: SweepPlan, megapixels: float) -> Scene:
    if plan.picture and plan.trimap:
        return Own(plan.picture, plan.trimap, megapixels)
    return Generated(round(math.sqrt(megapixels * 1e6)), unknown=plan.unknown)


def _name(path: Path | None) -> str | None:
    return path.name if path else None
