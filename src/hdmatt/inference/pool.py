"""The context pool: every candidate is encoded once, and the most similar K of them are chosen for each query.

Knows the network's parts, windows and workers; nothing of stitching. Read top to bottom:

    ContextPool            contexts of all candidates, and features kept for the queries among them
    fill_pool              encode the candidates
    pool_of_each_device    the contexts on every device
    stems_of, bodies_of    features of queries: kept from the pool, or computed now
    select_contexts        the K most similar candidates of each query (eq. 1)
"""

from collections.abc import Sequence
from itertools import chain, groupby
from typing import NamedTuple

import torch
from torch import Tensor

from hdmatt.inference import transfer
from hdmatt.inference.cut import KnownRows, PatchPixels, RowBand, cut_row
from hdmatt.inference.device_workers import DeviceWorker, UploadedPatches, round_robin, uploaded_inputs, worker_threads
from hdmatt.inference.options import Counters, Plan, Progress, RowSource
from hdmatt.inference.shrunken import shrunken_patches, with_whole
from hdmatt.inference.threads import map_in_order, prefetch
from hdmatt.network.cpc import Context, select
from hdmatt.network.encoder import Body, Stem
from hdmatt.network.inputs import labels
from hdmatt.network.model import HDMatt
from hdmatt.overview.known_colours import KnownColours
from hdmatt.patches.windows import Window


class ContextPool(NamedTuple):
    """Contexts of the candidates. Features are kept for candidates that are queries too, until they are decoded."""

    contexts: dict[Window, Context]
    bodies: dict[Window, Body]
    stems: dict[Window, tuple[Tensor, Tensor]]  # inputs and full, of some of them


class EncodedCandidate(NamedTuple):
    """The parts of one candidate that are kept; None for those that are not."""

    context: Context | None
    body: Body | None
    stem: tuple[Tensor, Tensor] | None


def fill_pool(
    plan: Plan,
    picture: RowSource,
    trimap: RowSource,
    known_colours: KnownColours | None,
    workers: Sequence[DeviceWorker],
    counters: Counters,
    go_on: Progress = lambda *_: None,
) -> ContextPool:
    """Encode every candidate once, on the devices in turn.

    Args:
        go_on: Called after each batch, with candidates done and in all; what it raises ends the work.
    """
    pool = ContextPool({}, {}, {})
    queries = set(plan.queries)
    kept = [window for window in plan.pool if window in queries][: plan.cache]
    kept_bodies, kept_stems = set(kept), set(kept[: plan.stems])
    pixels, marks = PatchPixels(picture, plan), RowBand(trimap, plan.options.band)
    rows = (list(row) for _, row in groupby(plan.pool, key=lambda w: w.y))
    pieces = (p for row in rows for p in cut_row(plan, row, pixels, marks, known_colours, picture.info.encoding))
    pieces = chain(shrunken_patches(plan, picture, trimap, known_colours, counters), pieces)

    def encode(number: int, piece: KnownRows | UploadedPatches) -> list[EncodedCandidate]:
        assert isinstance(piece, UploadedPatches)
        return _encode(piece, workers[number], kept_bodies, kept_stems)

    batches, done = prefetch(round_robin(pieces, workers)), 0
    for piece, candidates in map_in_order(batches, encode, threads=worker_threads(plan, workers), depth=transfer.DEPTH):
        assert isinstance(piece, UploadedPatches) and candidates is not None
        done += sum(window.size == plan.options.patch for window in piece.windows)
        go_on(done, len(plan.pool))
        for window, candidate in zip(piece.windows, candidates, strict=True):
            if candidate.context:
                pool.contexts[window] = candidate.context
            if candidate.body:
                pool.bodies[window] = candidate.body
            if candidate.stem:
                pool.stems[window] = candidate.stem
    counters.rows_read += pixels.rows_read
    return pool


def _encode(
    piece: UploadedPatches, worker: DeviceWorker, kept_bodies: set[Window], kept_stems: set[Window]
) -> list[EncodedCandidate]:
    model = worker.model
    with worker.computing():
        inputs, surroundings = uploaded_inputs(worker, piece.upload)
        stem = model.encoder.stem(inputs, surroundings)
        body = model.encoder.body(stem)
        contexts = model.contexts(body, labels(inputs))
        candidates = [
            EncodedCandidate(
                Context(*(t.clone() for t in contexts[i])) if contexts else None,
                Body(*(_alone(t, i) for t in body)) if window in kept_bodies else None,
                (_alone(stem.inputs, i), _alone(stem.full, i)) if window in kept_stems else None,
            )
            for i, window in enumerate(piece.windows)
        ]
    worker.counters.encoded += len(piece.windows)
    worker.counters.stems += len(piece.windows)
    return candidates


def pool_of_each_device(pool: ContextPool, workers: Sequence[DeviceWorker]) -> list[ContextPool]:
    """The pool for each device: contexts are copied there now, bodies and stems when they are decoded."""
    if len(workers) == 1:
        return [pool]
    pools: list[ContextPool] = []
    with torch.inference_mode():
        for worker in workers:
            with worker.link.computing():
                contexts = {w: Context(*map(worker.link.to_device, context)) for w, context in pool.contexts.items()}
            pools.append(pool._replace(contexts=contexts))
    return pools


def _alone(batch: Tensor, i: int) -> Tensor:
    """One patch of a batch, in memory of its own."""
    return batch if len(batch) == 1 else batch[i : i + 1].clone()


def stems_of(
    windows: Sequence[Window], inputs: Tensor, surroundings: Tensor | None, worker: DeviceWorker, pool: ContextPool
) -> Stem:
    """The first layers of a batch: taken from the pool if all were kept, else computed."""
    kept = [pool.stems.pop(window) for window in windows if window in pool.stems]
    if len(kept) == len(windows):
        full = [worker.model.encoder.pooled(*map(worker.link.to_device, one)) for one in kept]
        return full[0] if len(full) == 1 else Stem(*(torch.cat(tensors) for tensors in zip(*full, strict=True)))
    worker.counters.stems += len(windows)
    return worker.model.encoder.stem(inputs, surroundings)


def bodies_of(windows: Sequence[Window], stem: Stem, worker: DeviceWorker, pool: ContextPool) -> Body:
    """Encoded bodies of a batch: taken from the pool where they were kept, the others computed."""
    new = [i for i, window in enumerate(windows) if window not in pool.bodies]
    worker.counters.encoded += len(new)
    worker.counters.cache_misses += len(new)
    worker.counters.cache_hits += len(windows) - len(new)
    if len(new) == len(windows):
        return worker.model.encoder.body(stem)
    fresh = iter(())
    if new:
        body = worker.model.encoder.body(Stem(*(t[new] for t in stem)))
        fresh = iter([Body(*(t[i : i + 1] for t in body)) for i in range(len(new))])
    kept = {w: Body(*map(worker.link.to_device, pool.bodies.pop(w))) for w in windows if w in pool.bodies}
    parts = [kept[w] if w in kept else next(fresh) for w in windows]
    return Body(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def select_contexts(
    plan: Plan, windows: Sequence[Window], body: Body, label: Tensor, model: HDMatt, pool: ContextPool
) -> list[list[Context]]:
    """The K candidates most similar to each query (eq. 1), best first; a query is not its own context."""
    others = [[context for candidate, context in pool.contexts.items() if candidate != w] for w in windows]
    if all(len(among) <= plan.options.topk for among in others):
        return others  # nothing to choose
    summaries = model.cpc.summaries(body.deep, label)
    return [
        [pool.contexts[w] for w in rank_candidates(plan, window, summary, pool)]
        for window, summary in zip(windows, summaries, strict=True)
    ]


def rank_candidates(plan: Plan, query: Window, summary: Tensor, pool: ContextPool) -> list[Window]:
    """The windows of the K candidates most similar to a query, best first."""
    others = [candidate for candidate in pool.contexts if candidate != query]
    if not others:
        return []
    candidates = torch.stack([pool.contexts[w].summary_C for w in others])
    chosen = [others[i] for i in select(summary, candidates, plan.options.topk)]
    return with_whole(chosen, others, patch=plan.options.patch) if plan.options.whole_picture else chosen
