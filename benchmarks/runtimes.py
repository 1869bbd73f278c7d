"""Every runtime against eager PyTorch, part by part, in one run on one machine.

    python -m benchmarks.runtimes [--model hdmatt-s] [--patch 320] [--batch 1] [--rounds 5] [--json FILE] [RUNTIME ...]

Five patches of examples/hair.jpg with three contexts each go through every runtime in turns (round by round, so that a
disturbance hits all alike); the fastest of the rounds counts. Printed for each part: the ratio to eager PyTorch
(smaller is faster), the seconds a patch, and what alpha differs by. The last lines are what a plain convolution reaches
on this machine; the column before it is what the trunk reaches. Run it while nothing else runs; `AUTO` of
runtimes/choose.py follows from it (docs/runtimes.md). The first use of onnx and openvino makes their graphs, that of
compiled compiles: neither is timed.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import hdmatt.runtimes.export as exporter
from hdmatt.evaluation.methods import Settings
from hdmatt.evaluation.provenance import facts
from hdmatt.inference.load import load_model
from hdmatt.inference.options import NetworkChoice
from hdmatt.network.encoder import Body
from hdmatt.network.inputs import labels, network_input
from hdmatt.network.model import HDMatt
from hdmatt.pictures.colours.encoding import SRGB
from hdmatt.pictures.info import InputOptions
from hdmatt.pictures.reader import network_colours, open_picture
from hdmatt.pictures.trimap import UNKNOWN, open_trimap
from hdmatt.runtimes.choose import RUNTIMES, installed
from hdmatt.runtimes.prepare import prepare
from hdmatt.system.files import write_text_atomic
from hdmatt.system.memory import keep_freed

EXAMPLES = Path(__file__).parents[1] / "examples"
PARTS = ("front", "trunk", "context", "decoder")
LIMIT = 10**9


def patches(size: int, count: int) -> torch.Tensor:
    """`count` patches of the example that are more than a fifth unknown, evenly spread, as the network's input."""
    with (
        open_picture(EXAMPLES / "hair.jpg", InputOptions(max_pixels=LIMIT)) as picture,
        open_trimap(EXAMPLES / "hair-trimap.png", InputOptions(max_pixels=LIMIT)) as trimap,
    ):
        height, width = picture.info.height, picture.info.width
        colours, marks = network_colours(picture.rows(0, height), SRGB), trimap.rows(0, height)
    places = [(y, x) for y in range(0, height - size, size // 2) for x in range(0, width - size, size // 2)]
    cuts = [(slice(y, y + size), slice(x, x + size)) for y, x in places]
    cuts = [cut for cut in cuts if (marks[cut] == UNKNOWN).mean() > 0.2]
    cuts = [cuts[i] for i in np.linspace(0, len(cuts) - 1, count).round().astype(int)]
    inputs = network_input(*(torch.from_numpy(np.stack([a[cut] for cut in cuts])) for a in (colours, marks)))
    return inputs.contiguous(memory_format=torch.channels_last)


def once(network: HDMatt, inputs: torch.Tensor, batch: int) -> tuple[dict[str, float], torch.Tensor]:
    """Seconds of each part, and alpha: as the engine does it, with three of the other patches as contexts."""
    seconds = dict.fromkeys(PARTS, 0.0)

    def timed(part: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        seconds[part] += time.perf_counter() - start
        return result

    def front(some: torch.Tensor) -> tuple[Any, ...]:
        stem = network.encoder.stem(some)
        quarter = network.encoder.layer1(stem.pooled)
        return stem, quarter, *network.encoder.before_trunk(stem.inputs, quarter)

    encoded, pool = [], []
    with torch.inference_mode():
        for some in inputs.split(batch):
            stem, quarter, pooled, index3 = timed("front", lambda some=some: front(some))
            eighth, deep = timed("trunk", lambda pooled=pooled: network.encoder.trunk(pooled))
            body = Body(quarter, index3, eighth, deep)
            pool += timed("context", lambda body=body, some=some: network.contexts(body, labels(some)))
            encoded.append((stem, body, some))
        alpha, first, count = [], 0, len(inputs)
        for stem, body, some in encoded:
            own = [[pool[(i + j) % count] for j in (1, 2, 3)] for i in range(first, first + len(some))]
            deep = timed("context", lambda b=body, s=some, own=own: network.cpc(b.deep, labels(s), own))
            decoded = timed("decoder", lambda s=stem, b=body, deep=deep: network.decoder(s, b, deep))
            alpha.append(decoded.alpha)
            first += len(some)
    return seconds, torch.cat(alpha)


def convolution_peak(rounds: int) -> float:
    """GFLOP/s of a plain 3 x 3 convolution, 256 channels on 80 x 80 cells: what a convolution can hope for."""
    x = torch.rand(1, 256, 80, 80).contiguous(memory_format=torch.channels_last)
    weight = torch.rand(256, 256, 3, 3).contiguous(memory_format=torch.channels_last)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(rounds + 1):
            start = time.perf_counter()
            F.conv2d(x, weight, padding=1)
            best = min(best, time.perf_counter() - start)
    return 2 * 9 * 256 * 256 * 80 * 80 / best / 1e9


def trunk_gflop(model: HDMatt, patch: int) -> float:
    """Of the trunk, a patch; counted, not estimated."""
    total = 0

    def count(module: Any, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        total += 2 * module.weight[0].numel() * output[0].numel()

    encoder = model.encoder
    layers = [encoder.layer2, encoder.layer3, encoder.layer4, encoder.aspp]
    convs = [m for layer in layers for m in layer.modules() if isinstance(m, torch.nn.Conv2d)]
    hooks = [conv.register_forward_hook(count) for conv in convs]
    with torch.inference_mode():
        encoder.trunk(torch.rand(1, encoder.layer2[0].conv1.in_channels, patch // 8, patch // 8))
    for hook in hooks:
        hook.remove()
    return total / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="hdmatt-s")
    parser.add_argument("--patch", type=int, default=320)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("runtimes", nargs="*", metavar="RUNTIME", help="like folded or openvino/bf16; default: all")
    arguments = parser.parse_args()
    everything = [*RUNTIMES, "folded/bf16", "openvino/bf16"]
    wanted = ["torch", *(n for n in arguments.runtimes or everything if n != "torch")]
    missing = [n for n in wanted if not installed(n.split("/")[0])]
    if missing:
        parser.error(f"not installed: {', '.join(missing)} (pip install 'hdmatt[export]')")
    model, inputs = load_model(arguments.model), patches(arguments.patch, 5)
    networks: dict[str, HDMatt] = {}
    for name in wanted:
        runtime, _, precision = name.partition("/")
        graphs = exporter.cached(model, runtime) if runtime in ("onnx", "openvino") else None
        network = prepare(model, runtime, precision=precision or "fp32", graphs=graphs)
        networks[name] = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    best = {name: dict.fromkeys(PARTS, float("inf")) for name in networks}
    peak, alphas = 0.0, {}
    keep_freed()  # as the command line does
    for turn in range(arguments.rounds + 1):  # the first one warms up
        peak = max(peak, convolution_peak(3))
        for name, network in networks.items():
            seconds, alphas[name] = once(network, inputs, arguments.batch)
            if turn:
                best[name] = {part: min(best[name][part], s) for part, s in seconds.items()}
    rows = []
    for name, seconds in best.items():
        difference = (alphas[name] - alphas["torch"]).abs()
        rows.append(
            {
                "runtime": name,
                "seconds_a_patch": sum(seconds.values()) / len(inputs),
                "ratio": sum(seconds.values()) / sum(best["torch"].values()),
                "parts": {part: seconds[part] / best["torch"][part] for part in PARTS},
                "max_difference": float(difference.max()),
                "mean_difference": float(difference.mean()),
            }
        )
    rows.sort(key=lambda row: row["ratio"])
    reached = {n: trunk_gflop(model, arguments.patch) * len(inputs) / best[n]["trunk"] for n in best}
    heads = " ".join(f"{part:>8}" for part in PARTS)
    print(f"{'runtime':14} {'ratio':>6} {heads}   s/patch  max diff  mean diff  trunk")
    for row in rows:
        parts = " ".join(f"{row['parts'][part]:8.2f}" for part in PARTS)
        print(
            f"{row['runtime']:14} {row['ratio']:6.2f} {parts} {row['seconds_a_patch']:9.3f}"
            f"  {row['max_difference']:.1e}   {row['mean_difference']:.1e}  {reached[row['runtime']]:5.0f} GFLOP/s"
        )
    print(f"a plain convolution reaches {peak:.0f} GFLOP/s with {torch.get_num_threads()} threads")
    if arguments.json:
        record = {
            **facts(
                Settings(network=NetworkChoice(arguments.model, device="cpu")),
                shlex.join(["python", "benchmarks/runtimes.py", *sys.argv[1:]]),
            ),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
            "model": arguments.model,
            "patch": arguments.patch,
            "batch": arguments.batch,
            "convolution_gflops": peak,
            "trunk_gflops": reached,
            "runtimes": rows,
        }
        write_text_atomic(arguments.json, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
