"""The context pool: every candidate is encoded once, and the best K of them are chosen for each query.

fill_pool          encode the candidates
select_contexts    the top K of the pool for each query (eq. 1)
stems_of, bodies_of    encoded features of the queries: kept ones, or computed now
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from hdmatt.inference import transfer
from hdmatt.inference.cut import KnownRows, PatchPixels, RowBand, cut_row
from hdmatt.inference.device_workers import DeviceWorker, LoadedPatches, patch_inputs, round_robin, worker_threads
from hdmatt.inference.options import Counters, Plan, Rows
from hdmatt.inference.threads import map_in_order, prefetch
from hdmatt.network.cpc import Context, select
from hdmatt.network.encoder import Body, Stem
from hdmatt.network.inputs import labels
from hdmatt.network.model import HDMatt
from hdmatt.overview.known_colours import ColourField
from hdmatt.patches.windows import Window


class ContextPool(NamedTuple):
    contexts: dict[Window, Context]
    bodies: dict[Window, Body]  # of candidates that are queries too, until they are decoded
    stems: dict[Window, tuple[Tensor, Tensor]]  # of some of them, inputs and full


class EncodedCandidate(NamedTuple):
    """What is kept of one patch of the pool; None is not."""

    context: Context | None
    body: Body | None
    stem: tuple[Tensor, Tensor] | None


def fill_pool(
    plan: Plan,
    picture: Rows,
    trimap: Rows,
    field: ColourField | None,
    lanes: Sequence[DeviceWorker],
    counters: Counters,
) -> ContextPool:
    """Every candidate is encoded once, by the device whose turn it is."""
    pool = ContextPool({}, {}, {})
    queries = set(plan.queries)
    kept = [window for window in plan.pool if window in queries][: plan.cache]
    keeps, keeps_stem = set(kept), set(kept[: plan.stems])
    pixels, marks = PatchPixels(picture, plan), RowBand(trimap, plan.options.band)
    rows = (list(row) for _, row in groupby(plan.pool, key=lambda w: w.y))
    pieces = (p for row in rows for p in cut_row(plan, row, pixels, marks, field, linear=picture.info.linear))

    def encode(lane: int, piece: KnownRows | LoadedPatches) -> list[EncodedCandidate]:
        assert isinstance(piece, LoadedPatches)
        return _encode(piece, lanes[lane], keeps, keeps_stem)

    dealt = prefetch(round_robin(pieces, lanes))
    for piece, candidates in map_in_order(dealt, encode, threads=worker_threads(plan, lanes), depth=transfer.DEPTH):
        assert isinstance(piece, LoadedPatches) and candidates is not None
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
    piece: LoadedPatches, lane: DeviceWorker, keeps: set[Window], keeps_stem: set[Window]
) -> list[EncodedCandidate]:
    model = lane.model
    with lane.computing():
        inputs, around = patch_inputs(lane, piece.cargo)
        stem = model.encoder.stem(inputs, around)
        body = model.encoder.body(stem)
        contexts = model.contexts(body, labels(inputs))
        candidates = [
            EncodedCandidate(
                Context(*(t.clone() for t in contexts[i])) if contexts else None,
                Body(*(_alone(t, i) for t in body)) if window in keeps else None,
                (_alone(stem.inputs, i), _alone(stem.full, i)) if window in keeps_stem else None,
            )
            for i, window in enumerate(piece.windows)
        ]
    lane.counters.encoded += len(piece.windows)
    lane.counters.stems += len(piece.windows)
    return candidates


def pool_of_each_device(pool: ContextPool, lanes: Sequence[DeviceWorker]) -> list[ContextPool]:
    """Each device's view of the pool: the contexts are there, bodies and stems come when they are decoded."""
    if len(lanes) == 1:
        return [pool]
    pools: list[ContextPool] = []
    with torch.inference_mode():
        for lane in lanes:
            with lane.ferry.computing():
                contexts = {w: Context(*map(lane.ferry.adopt, context)) for w, context in pool.contexts.items()}
            pools.append(pool._replace(contexts=contexts))
    return pools


def _alone(batch: Tensor, i: int) -> Tensor:
    """One patch of a batch, without holding the others."""
    return batch if len(batch) == 1 else batch[i : i + 1].clone()


def stems_of(
    windows: Sequence[Window], inputs: Tensor, around: Tensor | None, lane: DeviceWorker, pool: ContextPool
) -> Stem:
    """The first layers of the windows: kept ones for the last time, if all of them were kept."""
    kept = [pool.stems.pop(window) for window in windows if window in pool.stems]
    if len(kept) == len(windows):
        full = [lane.model.encoder.pooled(*map(lane.ferry.adopt, one)) for one in kept]
        return full[0] if len(full) == 1 else Stem(*(torch.cat(tensors) for tensors in zip(*full, strict=True)))
    lane.counters.stems += len(windows)
    return lane.model.encoder.stem(inputs, around)


def bodies_of(windows: Sequence[Window], stem: Stem, lane: DeviceWorker, pool: ContextPool) -> Body:
    """Encoded bodies of the windows: those of the pool as they are, for the last time; the others computed now."""
    new = [i for i, window in enumerate(windows) if window not in pool.bodies]
    lane.counters.encoded += len(new)
    lane.counters.cache_misses += len(new)
    lane.counters.cache_hits += len(windows) - len(new)
    if len(new) == len(windows):
        return lane.model.encoder.body(stem)
    fresh = iter(())
    if new:
        body = lane.model.encoder.body(Stem(*(t[new] for t in stem)))
        fresh = iter([Body(*(t[i : i + 1] for t in body)) for i in range(len(new))])
    kept = {w: Body(*map(lane.ferry.adopt, pool.bodies.pop(w))) for w in windows if w in pool.bodies}
    parts = [kept[w] if w in kept else next(fresh) for w in windows]
    return Body(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def select_contexts(
    plan: Plan, windows: Sequence[Window], body: Body, label: Tensor, model: HDMatt, pool: ContextPool
) -> list[list[Context]]:
    """The top K of the pool for each query, by eq. 1; a query is not its own context."""
    others = [[context for candidate, context in pool.contexts.items() if candidate != w] for w in windows]
    if all(len(among) <= plan.options.topk for among in others):
        return others  # nothing to choose: no ranking
    summaries = model.cpc.summaries(body.deep, label)
    return [
        [pool.contexts[w] for w in rank_candidates(plan, window, summary, pool)]
        for window, summary in zip(windows, summaries, strict=True)
    ]


def rank_candidates(plan: Plan, query: Window, summary: Tensor, pool: ContextPool) -> list[Window]:
    others = [candidate for candidate in pool.contexts if candidate != query]
    if not others:
        return []
    candidates = torch.stack([pool.contexts[w].summary_C for w in others])
    return [others[i] for i in select(summary, candidates, plan.options.topk)]
