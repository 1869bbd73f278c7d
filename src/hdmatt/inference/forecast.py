"""Forecast: how long a plan will take on this machine, from the time of one patch and a few rows.

    seconds    plan, picture, trimap, network -> expected seconds
    Speed      seconds for a patch and for a row
    time_one_patch  the timing, about two seconds

An estimate: caches, clocks and other programs change it. Only --plan uses it, and no result depends on it. Foreground
colours and the encoding of the outputs are not included.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from hdmatt.inference.options import Plan, RowSource
from hdmatt.network.cpc import Context
from hdmatt.network.inputs import labels, network_input
from hdmatt.network.model import HDMatt
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.runtimes.devices import names
from hdmatt.runtimes.float32 import exact_float32
from hdmatt.runtimes.prepare import network_on

TIMED_PATCH = 320  # pixels; larger patches are computed from it, by their area
TIMED_ROWS = 64


class Speed(NamedTuple):
    """Seconds for each step."""

    stem: float  # a patch through the extra channels and the first layers
    encode: float  # through the rest of the encoder, with its keys and values
    decode: float  # through CPC and decoder
    row: float  # of picture and trimap, read


def seconds(plan: Plan, picture: RowSource, trimap: RowSource, model: HDMatt) -> float:
    """Expected seconds of `run`. Reading and computing overlap, so the longer one counts."""
    if not plan.queries:
        return 0.0
    speed = time_one_patch(plan, picture, trimap, model)
    work = plan.first_layers * speed.stem + plan.encodes * speed.encode + len(plan.queries) * speed.decode
    work /= len(set(names(plan.options.device)))
    passes = 1 + bool(plan.pool)
    return max(work, passes * plan.height * speed.row) + plan.known_colours * plan.height * speed.row


def time_one_patch(plan: Plan, picture: RowSource, trimap: RowSource, model: HDMatt) -> Speed:
    """Time one patch with the plan's number of contexts, and the first rows."""
    options = plan.options
    part = plan.part.y1 - plan.part.y0, plan.part.x1 - plan.part.x0
    height, width = (min(side, TIMED_PATCH) for side in part)
    scale = part[0] * part[1] / (height * width)
    rows = min(plan.height, TIMED_ROWS)
    device = names(options.device)[0]
    model = network_on(model, device)
    # all cells unknown: the most that a patch can cost
    marks = torch.full((1, height, width), UNKNOWN, dtype=torch.uint8, device=device)
    inputs = network_input(torch.full((1, height, width, 3), 0.5, device=device), marks)
    inputs = inputs.contiguous(memory_format=torch.channels_last)

    def synchronised(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    with torch.inference_mode(), exact_float32():
        stem = model.encoder.stem(inputs)

        def encode() -> list[Context]:
            return model.contexts(model.encoder.body(stem), labels(inputs))

        pool = encode()  # warms up, too
        first = min(synchronised(lambda: model.encoder.stem(inputs)) for _ in range(2))
        encoding = min(synchronised(encode) for _ in range(2))
        contexts = [pool * min(options.topk, len(plan.pool))]
        body = model.encoder.body(stem)

        def decode() -> object:
            return model.decode(stem, body, contexts)

        decode()
        decoding = synchronised(decode)
    reading = synchronised(lambda: (picture.rows(0, rows), trimap.rows(0, rows)))
    return Speed(first * scale, encoding * scale, decoding * scale, reading / rows)
