"""How busy a GPU is: seconds in the network on a large picture, and the share of what the GPU's bfloat16 can do.

    python benchmarks/gpu.py                                       # 36 megapixels on the first GPU, hdmatt-r34's size
    python benchmarks/gpu.py --device cuda:0,cuda:1                # the patches split over two; or twice on one: cuda:0,cuda:0
    python benchmarks/gpu.py --device cpu --megapixels 0.3 --width 32    # without a GPU: to see that it works

One generated picture in memory, rows of the matte out; no file takes part. Each precision runs in turns with the others,
`--runs` times after one run that does not count; medians are shown. `busy` is the network's share of all the seconds (the
rest is reading, cutting and stitching that nothing overlapped), `of bf16 peak` the network's operations a second as a share
of a large bfloat16 convolution's on the same device, the better of before and after; `max` and `mean` are what alpha
differs by from the first precision's at unknown pixels. Time does not depend on the weights, so they are random ones unless
--model names some (with random ones `max` and `mean` say little). Run it while nothing else runs. --json FILE has all of it,
with command, date, commit and machine.
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
from typing import Any

import _shared
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hdmatt import api
from hdmatt.bench import entry
from hdmatt.bench.pictures import TILE, Generated
from hdmatt.bench.run import best_of
from hdmatt.bench.speed import Count
from hdmatt.engine import Counters, Options
from hdmatt.errors import InputError, OutputError
from hdmatt.evaluate import facts
from hdmatt.image import ArrayReader, open_trimap
from hdmatt.methods import Settings
from hdmatt.model import HDMatt
from hdmatt.strategies import matte_rows
from hdmatt.transfer import kind, names
from hdmatt.trimap import UNKNOWN

PRECISIONS = ("fp32", "bf16")


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    device = _device(given.device)
    if given.runs < 1 or given.megapixels <= 0:
        raise InputError(
            f"{given.runs} runs of {given.megapixels:g} megapixels measure nothing", hint="Give --runs 1 or more."
        )
    if given.json and not given.json.parent.is_dir():
        raise OutputError(f"the folder {given.json.parent} does not exist", hint="Make it, or give another --json.")
    side = round(math.sqrt(given.megapixels * 1e6))
    colours, marks = _picture(side, given.unknown)
    options = Options(patch=given.patch, overlap=given.overlap, batch=given.batch, device=device)
    plain = _network(given)
    with Count() as count:  # of one thread, so on the CPU; large operations are not computed
        _run(plain, colours, marks, replace(options, device="cpu"))
    precisions = given.precision or PRECISIONS
    networks = {
        name: api.load_network(plain, runtime="folded", precision=name, device=device) for name in precisions
    }
    tries = [_peaks(device)]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in precisions}
    alphas: dict[str, np.ndarray] = {}
    for turn in range(given.runs + 1):
        for name, network in networks.items():
            alphas[name], run = _run(network, colours, marks, options)
            runs[name] += [run] if turn else []  # the first one warms up
    tries.append(_peaks(device))
    peak = best_of(tries)["bf16"]
    unknown = marks == UNKNOWN
    rows = [
        _row(name, runs[name], float(count.flops), peak, np.abs(alphas[name] - alphas[precisions[0]])[unknown])
        for name in precisions
    ]
    _print(rows, side, device, peak)
    if given.json:
        command = shlex.join(["python", "benchmarks/gpu.py", *arguments])
        known = facts(Settings(model=str(given.model or "random"), patch=given.patch, device=device), command)
        picture = {"side": side, "unknown_share": float(unknown.mean()), "width": plain.config.width}
        record = {**known, **picture, "flops": float(count.flops), "peaks": tries, "rows": rows, "runs": runs}
        given.json.write_text(json.dumps(record, indent=1, allow_nan=False, default=str) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--device", default="cuda", help="cuda, cuda:1, several by commas, cuda:all; cpu to try it out")
    made.add_argument("--megapixels", type=float, default=36.0)
    made.add_argument("--unknown", type=float, default=0.1, help="share of unknown pixels")
    made.add_argument("--precision", action="append", choices=PRECISIONS, help="repeatable; default: all")
    made.add_argument("--model", help="name or safetensors file; default: random weights")
    made.add_argument("--width", type=int, default=64, help="of the random network; 64 is hdmatt-r34")
    made.add_argument("--patch", type=int, default=320)
    made.add_argument("--overlap", type=int, default=64)
    made.add_argument("--batch", type=int, help="patches computed at once; default: as hdmatt matte")
    made.add_argument("--runs", type=int, default=3)
    made.add_argument("--json", type=Path)
    return made


def _device(name: str) -> str:
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            "this measures a GPU, and torch sees none on this machine",
            hint="Run it on one with a GPU; --device cpu --megapixels 0.3 tries out all the rest.",
        )
    return api.pick_device(name)


def _network(given: argparse.Namespace) -> HDMatt:
    if given.model:
        return api.load_model(given.model)
    torch.manual_seed(0)
    return HDMatt(replace(api.load_model().config, width=given.width)).eval()


def _picture(side: int, unknown: float) -> tuple[np.ndarray, np.ndarray]:
    scene = Generated(side, unknown=unknown)
    bands = [scene.rows(y, min(y + TILE, side)) for y in range(0, side, TILE)]
    return np.concatenate([colours for colours, _ in bands]), np.concatenate([marks for _, marks in bands])


def _run(
    network: HDMatt, colours: np.ndarray, marks: np.ndarray, options: Options
) -> tuple[np.ndarray, dict[str, Any]]:
    counters, started = Counters(), time.perf_counter()
    job = matte_rows("hdmatt", ArrayReader(colours), open_trimap(marks), network, options, counters=counters)
    alpha = np.concatenate([rows for _, rows in job.rows])
    assert job.plan is not None
    found = {"seconds": time.perf_counter() - started, "batch": job.plan.batch, **asdict(counters)}
    return alpha, found


def _peaks(device: str) -> dict[str, Any]:
    """Operations a second of all the devices together, each measured alone."""
    found = [entry.machine_peaks(name) for name in dict.fromkeys(names(device))]
    bf16 = [one["bf16"] for one in found]
    return {
        **found[0],
        "fp32": sum(one["fp32"] for one in found),
        "bf16": None if None in bf16 else sum(bf16),
        "bandwidth": sum(one["bandwidth"] for one in found),
    }


def _row(
    name: str, runs: Sequence[dict[str, Any]], flops: float, peak: float | None, differences: np.ndarray
) -> dict[str, Any]:
    seconds, network = (median(run[key] for run in runs) for key in ("seconds", "network_seconds"))
    return {
        "precision": name,
        "patches": runs[0]["decoded"],
        "batch": runs[0]["batch"],
        "seconds": seconds,
        "network_seconds": network,
        "busy": network / seconds,
        "flops_a_second": flops / network,
        "share_of_bf16_peak": flops / network / peak if peak else None,
        "max_difference": float(differences.max()),
        "mean_difference": float(differences.mean()),
    }


def _print(rows: Sequence[dict[str, Any]], side: int, device: str, peak: float | None) -> None:
    table = Table("precision", box=None, pad_edge=False)
    for head in ("patches", "batch", "seconds", "network", "busy", "TFLOP/s", "of bf16 peak", "max", "mean"):
        table.add_column(head, justify="right")
    for row in rows:
        share = row["share_of_bf16_peak"]
        table.add_row(
            row["precision"],
            str(row["patches"]),
            str(row["batch"]),
            f"{row['seconds']:.2f}",
            f"{row['network_seconds']:.2f}",
            f"{100 * row['busy']:.0f} %",
            f"{row['flops_a_second'] / 1e12:.2f}",
            "–" if share is None else f"{100 * share:.0f} %",
            f"{row['max_difference']:.1e}",
            f"{row['mean_difference']:.1e}",
        )
    console = Console(width=120)
    name = ", ".join(torch.cuda.get_device_name(one) for one in names(device)) if kind(device) == "cuda" else device
    known = "has none of its own" if peak is None else f"measured {peak / 1e12:.1f} TFLOP/s"
    console.print(f"{side}x{side} on {name}; bf16 peak: {known}", highlight=False)
    console.print(table)


if __name__ == "__main__":
    _shared.run(main)
