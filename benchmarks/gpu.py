"""How busy a GPU is: seconds in the network on a large picture, and the share of what the GPU's bfloat16 can do.

    python -m benchmarks.gpu --json benchmarks/results/gpu.json   # 36 megapixels, both networks, on the first GPU
    python -m benchmarks.gpu --device cuda:0,cuda:1               # the patches split over two
    python -m benchmarks.gpu --device cpu --megapixels 0.2        # without a GPU: to see that it works

One generated picture in memory, rows of the matte out; no file takes part. Networks and precisions take turns, `--runs`
times after one run that does not count; medians are shown.

    busy          the network's share of all the seconds; the rest is reading, cutting and stitching that nothing
                  overlapped
    unknown MP/s  unknown megapixels by all the seconds
    of bf16       operations a second in the network, as a share of a large bfloat16 convolution's on the same devices,
                  the better of before and after; whatever the network runs in, that is what they can do
    kernels       share of the time from the first to the last operation in which the GPU computed
    copies        share of the seconds of all copies to and from the GPU in which it computed, too; both by
                  torch.profiler, in one more run that is not clocked
    max, mean     what alpha differs by from the first precision's, at unknown pixels

Time does not depend on the weights: hdmatt-r34 has random ones until there are others, and its differences say little.
Required of an H100: hdmatt-r34 in bf16 under 1 s in the network, and 40 % of the bf16 peak; exit code 1 if a GPU does
not meet it. Run it while nothing else runs.
"""

import argparse
import json
import math
import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks import _shared
from hdmatt.bench import measure
from hdmatt.bench.peaks import Count
from hdmatt.bench.sweep import best_rates
from hdmatt.errors import InputError, OutputError
from hdmatt.evaluation.methods import Settings
from hdmatt.evaluation.provenance import facts
from hdmatt.evaluation.scenes import TILE, Generated
from hdmatt.inference.load import load_model
from hdmatt.inference.options import Counters, NetworkChoice, Options, RunOptions
from hdmatt.inference.strategies import matte_rows
from hdmatt.network.model import HDMatt
from hdmatt.network.names import models
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import UNKNOWN, open_trimap
from hdmatt.runtimes import devices
from hdmatt.runtimes.devices import kind, names
from hdmatt.runtimes.prepare import prepare
from hdmatt.system.files import write_text_atomic

NETWORKS, PRECISIONS = ("hdmatt-s", "hdmatt-r34"), ("fp32", "bf16")
R34_WIDTH = 64
COUNTED = 480  # side of the picture, at most, on which operations are counted
REQUIRED = ("hdmatt-r34", "bf16")
SECONDS, SHARE = 1.0, 0.4  # in the network; of the bfloat16 peak
COPIES = ("Memcpy HtoD", "Memcpy DtoH")  # as the profiler calls them


class Pair(NamedTuple):
    colours: np.ndarray
    marks: np.ndarray


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    device = _device(given.device)
    if given.runs < 1 or given.megapixels <= 0:
        raise InputError(
            f"{given.runs} runs of {given.megapixels:g} megapixels measure nothing", hint="Give --runs 1 or more."
        )
    if given.json and not given.json.parent.is_dir():
        raise OutputError(f"the folder {given.json.parent} does not exist", hint="Make it, or give another --json.")
    precisions = given.precision or PRECISIONS
    options = RunOptions(patch=given.patch, overlap=given.overlap, batch=given.batch, device=device)
    pair = _pair(round(math.sqrt(given.megapixels * 1e6)), given.unknown)
    plain = {name: _network(name) for name in given.network or NETWORKS}
    small = _pair(min(len(pair.marks), COUNTED), given.unknown)
    each = {name: _flops_a_patch(network, small, options) for name, network in plain.items()}
    jobs = {
        (name, precision): prepare(network, "folded", precision=precision, device=device)
        for name, network in plain.items()
        for precision in precisions
    }
    tries = [_peaks(device)]
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {job: [] for job in jobs}
    alphas: dict[tuple[str, str], np.ndarray] = {}
    for turn in range(given.runs + 1):
        for job, network in jobs.items():
            alphas[job], run = _run(network, pair, options)
            runs[job] += [run] if turn else []  # the first one warms up
    tries.append(_peaks(device))
    peak = best_rates(tries)["bf16"]
    flops = {name: each[name] * runs[name, precisions[0]][0]["decoded"] for name in plain}
    unknown = pair.marks == UNKNOWN
    rows = [
        {
            "network": name,
            "precision": precision,
            **_speed(runs[name, precision], flops[name], peak, int(unknown.sum())),
            **_profiled(network, pair, options),
            **_difference(alphas[name, precision][unknown], alphas[name, precisions[0]][unknown]),
        }
        for (name, precision), network in jobs.items()
    ]
    checks = [check for row in rows for check in _checks(row)] if kind(device) == "cuda" else []
    _print(rows, checks, pair, device, peak)
    if given.json:
        choice = NetworkChoice(runtime="folded", device=device)
        settings = Settings(Options(patch=given.patch, overlap=given.overlap), choice)
        record = {
            **facts(settings, shlex.join(["python", "benchmarks/gpu.py", *arguments])),
            "settings": settings.record(),
            "checks": checks,
            "picture": {"side": len(pair.marks), "unknown": int(unknown.sum())},
            "widths": {name: network.config.width for name, network in plain.items()},
            "flops": flops,
            "peaks": tries,
            "rows": rows,
            "runs": {" ".join(job): found for job, found in runs.items()},
        }
        write_text_atomic(given.json, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return 0 if all(check["met"] for check in checks) else 1


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--device", default="cuda", help="cuda, cuda:1, several by commas, cuda:all; cpu to try it out")
    made.add_argument("--megapixels", type=float, default=36.0)
    made.add_argument("--unknown", type=float, default=0.14, help="share of unknown pixels")
    made.add_argument("--network", action="append", help=f"name or safetensors file; default: {', '.join(NETWORKS)}")
    made.add_argument("--precision", action="append", choices=PRECISIONS, help="repeatable; default: all")
    made.add_argument("--patch", type=int, default=320)
    made.add_argument("--overlap", type=int, default=64)
    made.add_argument("--batch", type=int, help="patches computed at once; default: as hdmatt matte")
    made.add_argument("--runs", type=int, default=3)
    made.add_argument("--json", type=Path, help="file with all of it, and command, date, commit, machine")
    return made


def _device(name: str) -> str:
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            "this measures a GPU, and torch sees none on this machine",
            hint="Run it on one with a GPU; --device cpu --megapixels 0.2 tries out all the rest.",
        )
    return devices.pick_device(name)


def _network(name: str) -> HDMatt:
    if name != "hdmatt-r34" or name in models():
        return load_model(name)
    torch.manual_seed(0)
    return HDMatt(replace(load_model().config, width=R34_WIDTH)).eval()


def _pair(side: int, unknown: float) -> Pair:
    made = Generated(side, unknown=unknown)
    bands = [made.rows(y, min(y + TILE, side)) for y in range(0, side, TILE)]
    return Pair(np.concatenate([colours for colours, _ in bands]), np.concatenate([marks for _, marks in bands]))


def _flops_a_patch(network: HDMatt, pair: Pair, options: RunOptions) -> float:
    """Counted on the CPU, where the caller's thread does the work, and on a small picture: there it takes a while."""
    with Count() as count:
        _, run = _run(network, pair, replace(options, device="cpu"))
    return float(count.flops) / run["decoded"]


def _run(network: HDMatt, pair: Pair, options: RunOptions) -> tuple[np.ndarray, dict[str, Any]]:
    counters, started = Counters(), time.perf_counter()
    readers = ArrayReader(pair.colours), open_trimap(pair.marks)
    job = matte_rows("hdmatt", *readers, network, options, counters=counters)
    alpha = np.concatenate([rows for _, rows in job.rows])
    assert job.plan is not None
    return alpha, {"seconds": time.perf_counter() - started, "batch": job.plan.batch, **asdict(counters)}


def _peaks(device: str) -> dict[str, Any]:
    """Operations a second of all the devices together, each measured alone."""
    found = [measure.machine_peaks(name) for name in dict.fromkeys(names(device))]
    rates = {rate: [one[rate] for one in found] for rate in ("fp32", "bf16", "bandwidth")}
    return {**found[0], **{rate: None if None in values else sum(values) for rate, values in rates.items()}}


def _speed(runs: Sequence[dict[str, Any]], flops: float, peak: float | None, unknown: int) -> dict[str, Any]:
    seconds, network = (median(run[key] for run in runs) for key in ("seconds", "network_seconds"))
    return {
        "patches": runs[0]["decoded"],
        "batch": runs[0]["batch"],
        "seconds": seconds,
        "network_seconds": network,
        "busy": network / seconds,
        "unknown_megapixels_a_second": unknown / 1e6 / seconds,
        "flops_a_second": flops / network,
        "share_of_bf16_peak": flops / network / peak if peak else None,
    }


def _profiled(network: HDMatt, pair: Pair, options: RunOptions) -> dict[str, float | None]:
    if kind(options.device) != "cuda":
        return {"kernels": None, "copies": None}
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        _run(network, pair, options)
    return _shares(profile.events() or [])


def _shares(events: Sequence[Any]) -> dict[str, float | None]:
    """Of the GPUs' kernels and copies, each GPU for itself: how long they ran, and ran together."""
    time_of = {"all": 0.0, "kernels": 0.0, "copies": 0.0, "both": 0.0}
    events = [event for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
    for number in {event.device_index for event in events}:
        here = [event for event in events if event.device_index == number]
        copies = [(e.time_range.start, e.time_range.end) for e in here if e.name.startswith(COPIES)]
        kernels = [(e.time_range.start, e.time_range.end) for e in here if not e.name.startswith(COPIES)]
        time_of["all"] += max(e.time_range.end for e in here) - min(e.time_range.start for e in here)
        time_of["copies"] += sum(end - start for start, end in copies)
        time_of["both"] += _within(copies, kernels)
        time_of["kernels"] += _within([(-math.inf, math.inf)], kernels)
    return {
        "kernels": time_of["kernels"] / time_of["all"] if time_of["all"] else None,
        "copies": time_of["both"] / time_of["copies"] if time_of["copies"] else None,
    }


def _within(spans: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]) -> float:
    """Length of the parts of `spans` that any of the others cover."""
    if not others:
        return 0.0
    apart: list[list[float]] = []
    for start, end in sorted(others):
        if apart and start <= apart[-1][1]:
            apart[-1][1] = max(apart[-1][1], end)
        else:
            apart.append([start, end])
    lengths = [end - start for start, end in apart]
    covered = np.stack([np.cumsum([0.0, *lengths[:-1]]), np.cumsum(lengths)], 1).ravel()  # before each start and end
    edges = np.array(apart).ravel()
    return float(sum(np.diff(np.interp(span, edges, covered))[0] for span in spans))


def _difference(alpha: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    differences = np.abs(alpha - reference)
    return {"max_difference": float(differences.max()), "mean_difference": float(differences.mean())}


def _checks(row: dict[str, Any]) -> list[dict[str, Any]]:
    if (row["network"], row["precision"]) != REQUIRED:
        return []
    seconds, share = row["network_seconds"], row["share_of_bf16_peak"]
    return [
        {"what": "seconds in the network", "measured": seconds, "required": SECONDS, "met": seconds <= SECONDS},
        {
            "what": "share of the bfloat16 peak",
            "measured": share,
            "required": SHARE,
            "met": share is not None and share >= SHARE,
        },
    ]


def _print(
    rows: Sequence[dict[str, Any]], checks: Sequence[dict[str, Any]], pair: Pair, device: str, peak: float | None
) -> None:
    def percent(share: float | None) -> str:
        return "–" if share is None else f"{100 * share:.0f} %"

    table = Table("network", "precision", box=None, pad_edge=False)
    for head in ("patches", "batch", "seconds", "network", "busy", "unknown MP/s", "of bf16", "kernels", "copies"):
        table.add_column(head, justify="right")
    for head in ("max", "mean"):
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(
            Path(row["network"]).stem,
            row["precision"],
            str(row["patches"]),
            str(row["batch"]),
            f"{row['seconds']:.2f}",
            f"{row['network_seconds']:.2f}",
            percent(row["busy"]),
            f"{row['unknown_megapixels_a_second']:.3g}",
            percent(row["share_of_bf16_peak"]),
            percent(row["kernels"]),
            percent(row["copies"]),
            f"{row['max_difference']:.1e}",
            f"{row['mean_difference']:.1e}",
        )
    console = Console(width=120)
    name = ", ".join(torch.cuda.get_device_name(one) for one in names(device)) if kind(device) == "cuda" else device
    known = "has none of its own" if peak is None else f"measured {peak / 1e12:.1f} TFLOP/s"
    side = len(pair.marks)
    console.print(f"{side}x{side} on {name}; bf16 peak: {known}", highlight=False)
    console.print(table)
    for check in checks:
        word = "met" if check["met"] else "NOT MET"
        console.print(f"{check['what']}: {check['measured']}, {check['required']} required: {word}", highlight=False)


if __name__ == "__main__":
    _shared.run(main)
