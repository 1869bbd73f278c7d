"""The main loop: all steps of a plan, patches stitched, finished rows of the matte yielded.

Knows readers of rows, windows and the network; nothing of file formats, foreground colours or the terminal. The steps
are in plan.py, cut.py, pool.py and decode.py; which device computes which batch is decided in device_workers.py.

    run    plan -> rows of the matte, as soon as they are finished

A patch without unknown pixels is never decoded. A patch that is both query and context is encoded once, unless the
memory limit leaves no room for its features. Another thread reads picture and trimap ahead of the network
(threads.py); the results are those of one thread.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float32

from hdmatt.inference import transfer
from hdmatt.inference.cut import KnownRows, cut_picture, read_known_colours
from hdmatt.inference.decode import check_finite, decode_patches
from hdmatt.inference.device_workers import (
    DeviceWorker,
    UploadedPatches,
    device_workers,
    round_robin,
    worker_threads,
)
from hdmatt.inference.options import Counters, Plan, Progress, RowSource
from hdmatt.inference.pool import fill_pool, pool_of_each_device
from hdmatt.inference.threads import map_in_order, prefetch
from hdmatt.network.model import HDMatt
from hdmatt.overview.small_matte import SmallMatte
from hdmatt.patches.stitch import Stitcher, blending_weight, with_known
from hdmatt.patches.windows import restored
from hdmatt.system import memory


def run(
    plan: Plan,
    picture: RowSource,
    trimap: RowSource,
    model: HDMatt,
    *,
    progress: Progress | None = None,
    counters: Counters | None = None,
    small_matte: SmallMatte | None = None,
    go_on: Progress = lambda *_: None,
) -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
    """Rows of the matte, top to bottom, as (first row, rows); together they are the whole matte.

    Known pixels come out exactly 0 or 1.

    Args:
        progress: Called after each batch, with patches done and in all; what it raises ends the work.
        small_matte: The matte of the smaller picture, for the patches' low frequencies; None: they keep their own.
        go_on: The same for the context pool, before the first patch.

    Raises:
        InputError: The network is in training mode, or the picture's rows cannot be read.
        ModelError: The network's answer is not a number.
    """
    counters = counters if counters is not None else Counters()
    workers = device_workers(plan, model)
    try:
        yield from _rows(plan, picture, trimap, workers, progress, counters, small_matte, go_on)
    finally:
        counters.join([worker.counters for worker in workers])
        memory.give_back()


def _rows(
    plan: Plan,
    picture: RowSource,
    trimap: RowSource,
    workers: Sequence[DeviceWorker],
    progress: Progress | None,
    counters: Counters,
    small_matte: SmallMatte | None,
    go_on: Progress,
) -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
    known_colours = read_known_colours(picture, trimap, counters) if plan.known_colours else None
    pool = fill_pool(plan, picture, trimap, known_colours, workers, counters, go_on)
    pools = pool_of_each_device(pool, workers)
    stitcher = Stitcher(plan.height, plan.width)
    weight = blending_weight(plan.options.patch, plan.options.overlap, blend=plan.options.blend)
    done = 0

    def decode(number: int, piece: KnownRows | UploadedPatches) -> transfer.Download:
        assert isinstance(piece, UploadedPatches)
        return decode_patches(plan, piece, workers[number], pools[number])

    pieces = prefetch(round_robin(cut_picture(plan, picture, trimap, known_colours, counters), workers))
    for piece, download in map_in_order(pieces, decode, threads=worker_threads(plan, workers), depth=transfer.DEPTH):
        if isinstance(piece, KnownRows):
            yield piece.first, with_known(stitcher.take(piece.first + len(piece.trimap)), piece.trimap)
            continue
        assert download is not None
        alphas = download.array()
        check_finite(alphas, piece.windows)
        for window, *values in zip(piece.windows, alphas, piece.trimaps, strict=True):
            alpha, marks = (restored(v, window, plan.part, height=plan.height, width=plan.width) for v in values)
            corrected = small_matte.corrected(window, alpha, marks) if small_matte else alpha
            stitcher.add(window, corrected, weight)
        done += len(piece.windows)
        if progress:
            progress(done, len(plan.queries))
