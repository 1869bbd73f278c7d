"""The loop: decode the queries, stitch them, hand out finished rows of the matte.

Knows readers of rows, windows and the network; nothing of file formats, colours or the terminal. The steps before it
are files of their own: plan.py, cut.py, pool.py; who computes which batch is in device_workers.py.

    run                plan -> rows of the matte, as they are finished

A patch without unknown pixels is never decoded. A patch is encoded once, also when it is query and context (unless
the memory limit leaves no room for its features). A second thread reads ahead of the network (threads.py); it alone
reads picture and trimap, and the order of the work is that of one thread.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32

from hdmatt.errors import ModelError
from hdmatt.inference import transfer
from hdmatt.inference.cut import KnownRows, cut_picture, read_known_colours
from hdmatt.inference.device_workers import (
    DeviceWorker,
    LoadedPatches,
    device_workers,
    patch_inputs,
    round_robin,
    worker_threads,
)
from hdmatt.inference.options import Counters, Plan, Progress, Rows
from hdmatt.inference.pool import ContextPool, bodies_of, fill_pool, pool_of_each_device, select_contexts, stems_of
from hdmatt.inference.threads import map_in_order, prefetch
from hdmatt.network.inputs import labels
from hdmatt.network.model import HDMatt
from hdmatt.overview.guide import Guide
from hdmatt.patches.stitch import Stitcher, blending_weight, with_known
from hdmatt.system import memory


def run(
    plan: Plan,
    picture: Rows,
    trimap: Rows,
    model: HDMatt,
    *,
    progress: Progress | None = None,
    counters: Counters | None = None,
    guide: Guide | None = None,
) -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
    """Rows of the matte, top to bottom, as (first row, rows); together they are the whole matte.

    Known pixels come out exactly 0 or 1.

    Args:
        guide: The matte of the smaller picture, from which patches take their low frequencies; None: they keep theirs.

    Raises:
        InputError: The network is in training mode, or the picture's rows cannot be read.
        ModelError: The network's answer is not a number.
    """
    counters = counters if counters is not None else Counters()
    lanes = device_workers(plan, model)
    try:
        yield from _rows(plan, picture, trimap, lanes, progress, counters, guide)
    finally:
        counters.join([lane.counters for lane in lanes])
        memory.give_back()


def _rows(
    plan: Plan,
    picture: Rows,
    trimap: Rows,
    lanes: Sequence[DeviceWorker],
    progress: Progress | None,
    counters: Counters,
    guide: Guide | None,
) -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
    field = read_known_colours(picture, trimap, counters) if plan.field else None
    pools = pool_of_each_device(fill_pool(plan, picture, trimap, field, lanes, counters), lanes)
    stitcher = Stitcher(plan.height, plan.width)
    weight = blending_weight(plan.options.patch, plan.options.overlap, blend=plan.options.blend)
    done = 0

    def decode(lane: int, piece: KnownRows | LoadedPatches) -> transfer.Download:
        assert isinstance(piece, LoadedPatches)
        return _decode(plan, piece, lanes[lane], pools[lane])

    pieces = prefetch(round_robin(cut_picture(plan, picture, trimap, field, counters), lanes))
    for piece, landing in map_in_order(pieces, decode, threads=worker_threads(plan, lanes), depth=transfer.DEPTH):
        if isinstance(piece, KnownRows):
            yield piece.first, with_known(stitcher.take(piece.first + len(piece.marks)), piece.marks)
            continue
        assert landing is not None
        alphas = landing.array()
        if not np.isfinite(alphas).all():
            raise ModelError(
                f"the network gave values that are no numbers, in the patch at {piece.windows[0]}",
                hint="Try --precision fp32; if that gives none either, the weights are damaged.",
            )
        for window, alpha, marks in zip(piece.windows, alphas, piece.marks, strict=True):
            stitcher.add(window, guide.corrected(window, alpha, marks) if guide else alpha, weight)
        done += len(piece.windows)
        if progress:
            progress(done, len(plan.queries))


def _decode(plan: Plan, piece: LoadedPatches, lane: DeviceWorker, pool: ContextPool) -> transfer.Download:
    windows = piece.windows
    with lane.computing():
        inputs, around = patch_inputs(lane, piece.cargo)
        stem = stems_of(windows, inputs, around, lane, pool)
        body = bodies_of(windows, stem, lane, pool)
        contexts = select_contexts(plan, windows, body, labels(inputs), lane.model, pool)
        alpha = lane.model.decode(stem, body, contexts).alpha[:, 0].float()
    lane.counters.decoded += len(windows)
    with torch.inference_mode():
        return lane.ferry.down(alpha)
