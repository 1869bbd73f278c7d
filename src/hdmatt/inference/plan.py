"""The plan: read the trimap once and decide which patches are decoded, which may serve as context, how many at a time.

make_plan           trimap -> Plan
choose_candidates   which N patches enter the context pool
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from hdmatt.errors import InputError, MemoryLimitError
from hdmatt.inference import needs, transfer
from hdmatt.inference.options import Options, Plan, Rows, RunOptions
from hdmatt.network.model import HDMatt
from hdmatt.patches.cover import CellMap, cover
from hdmatt.patches.windows import Window, grid
from hdmatt.pictures.info import PictureInfo
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from hdmatt.runtimes.devices import kind, names
from hdmatt.runtimes.graphs import has_graphs
from hdmatt.runtimes.prepare import copies_made, has_bfloat16, has_compiled
from hdmatt.system import memory

# a patch alone fits the caches, and its maps come back from the allocator, which returns larger ones to the system:
# four at once take 5 to 15 % more of a core's time and 390 MiB more (research/log.md)
CPU_BATCH = 1
STEMS = 320 * memory.MIB  # of first layers that are kept: 21 MiB save a patch a third of its work
GPU_BATCH = 16
FEW = 8  # patches with unknown pixels: where there are fewer, known ones are contexts, too


def make_plan(trimap: Rows, model: HDMatt, options: Options, *, channels_bytes: int = 3, chunk_rows: int = 1) -> Plan:
    """Read the trimap once and decide everything.

    Args:
        trimap: Rows are uint8, exactly 0, 128 or 255.
        channels_bytes: Bytes of one pixel of the picture (3 for 8-bit RGB, 6 for 16-bit, 12 for float).
        chunk_rows: Rows of the picture's file that are decoded together, see pictures/info.py.

    Raises:
        InputError: A trimap without any known pixel.
        MemoryLimitError: The limit is below the smallest plan; the message names what would do.
    """
    options = RunOptions.of(options)
    if has_bfloat16(model) and kind(options.device) == "cpu":
        # oneDNN adds in another order for a batch: rounding in float32, and in three digits 7e-5 of alpha
        options = replace(options, batch=1)
    info = trimap.info
    windows = grid(info.height, info.width, size=options.patch, overlap=options.overlap)
    cells = CellMap(info.height, info.width)
    counts = _count_windows(trimap, windows, cells, options)
    total = _total(trimap, counts)
    check_some_known(total[UNKNOWN], info)
    on_grid = [w for w, count in zip(windows, counts.of, strict=True) if count[1]]
    queries, among, of = on_grid, windows, counts.of
    if options.windows == "fewest":
        queries, among, of = _fewest(windows, counts, cells, options)
    context = bool(queries) and options.topk > 0 and model.config.cpc != "none"
    least = min(options.topk + 1, FEW)
    pool = choose_candidates(among, of, options.candidates, least=least) if context else []
    shared = len(set(pool) & set(queries))
    field = model.config.hints and model.config.around and bool(queries) and options.topk > 0
    work = bool(queries)
    tiles = needs.chunk_bytes(info.width, chunk_rows=chunk_rows, band=options.band, pixel=channels_bytes)
    tiles += needs.chunk_bytes(info.width, chunk_rows=info.chunk_rows, band=options.band, pixel=1)
    options = replace(options, reserve=options.reserve + tiles)
    if field:
        options = replace(options, turns=max(options.turns, needs.carry_bytes(info.height, info.width)))
    room = _fit(info, model, options, pool=len(pool), shared=shared, field=field, pixel=channels_bytes, work=work)
    at_once = min(room.batch * len(names(options.device)), len(queries))
    return Plan(
        options=options,
        height=info.height,
        width=info.width,
        unknown=total[UNKNOWN],
        queries=queries,
        pool=pool,
        field=field,
        batch=room.batch,
        limit=room.limit,
        peak=room.fixed + max(room.each * at_once, options.turns),
        on_grid=len(on_grid),
        cache=room.cache,
        cache_bytes=room.cache_bytes,
        stems=room.stems,
    )


def check_some_known(unknown: int, info: PictureInfo) -> None:
    """Raise InputError when all pixels of a trimap are unknown."""
    if unknown == info.height * info.width:
        raise InputError(
            "every pixel of the trimap is unknown",
            hint="Mark at least some pixels as surely foreground (255) or surely background (0).",
        )


def limit_of(options: RunOptions) -> int:
    """The limit of the process's peak memory, in bytes."""
    return memory.default_limit() if options.memory is None else options.memory


def choose_candidates(
    windows: Sequence[Window], counts: Int64[np.ndarray, "p 3"], limit: int, *, least: int = 0
) -> list[Window]:
    """The patches that enter the context pool, in raster order: those that hold unknown pixels.

    They are what most contexts are in a training, and are encoded anyway; a patch that is known all over is neither,
    and large pictures' mattes are worse with many of them (research/log.md). Deterministic; independent of the order in
    which patches are computed.

    Args:
        counts: Background, unknown and foreground pixels of each window.
        limit: The most that enter; of more an even spread is taken.
        least: Where fewer hold unknown pixels, known ones fill the pool up to this, those with foreground first.
    """
    unknown, foreground = counts[:, 1] > 0, counts[:, 2] > 0
    chosen: dict[int, None] = {}
    _take(chosen, np.flatnonzero(unknown), limit)
    for known in (~unknown & foreground, ~unknown & ~foreground):
        _take(chosen, np.flatnonzero(known), min(least, limit) - len(chosen))
    return [windows[i] for i in sorted(chosen)]


class _Budget(NamedTuple):
    limit: int  # bytes
    fixed: int  # bytes beside the patches in work
    each: int  # bytes of a patch in work
    batch: int
    cache: int
    cache_bytes: int
    stems: int


class _Counts(NamedTuple):
    of: Int64[np.ndarray, "p 3"]  # background, unknown, foreground pixels of each window
    whole: Int64[np.ndarray, "3"]  # of the whole trimap


def _fewest(
    windows: Sequence[Window], counts: _Counts, cells: CellMap, options: RunOptions
) -> tuple[list[Window], list[Window], Int64[np.ndarray, "p 3"]]:
    """Windows to decode; these and the grid's windows without unknown pixels, as candidates; counts of the latter."""
    queries = cover(
        cells.unknown > 0, height=cells.height, width=cells.width, size=options.patch, overlap=options.overlap
    )
    known = {w: count for w, count in zip(windows, counts.of, strict=True) if not count[1]}
    own = cells.counts(queries)
    own[:, 1] = np.maximum(own[:, 1], 1)  # counts are of whole cells, and may miss the few that a window is there for
    known.update(zip(queries, own, strict=True))
    among = sorted(known)
    return queries, among, np.array([known[w] for w in among], np.int64).reshape(-1, 3)


def _fit(
    info: PictureInfo,
    model: HDMatt,
    options: RunOptions,
    *,
    pool: int,
    shared: int,
    field: bool,
    pixel: int,
    work: bool,
) -> _Budget:
    """Batch and cache that the limit has room for. Neither moves alpha by more than rounding."""
    width, on_cpu, devices = model.config.width, kind(options.device) == "cpu", names(options.device)
    limit = limit_of(options)
    fixed = needs.fixed_bytes(info.width, patch=options.patch, band=options.band, pixel=pixel)
    contexts = pool * needs.context_bytes(options.patch, width=width)
    fixed += options.reserve + contexts + (needs.field_bytes(info.height, info.width) if field else 0)
    fixed += needs.COMPILER * has_compiled(model)
    body = needs.body_bytes(options.patch, width=width)
    # graphs keep what a patch took beside what torch keeps (measured: 50 MiB more with ONNX Runtime, 99 with OpenVINO)
    each = needs.patch_bytes(options.patch, width=width) * (2 if has_graphs(model) else 1)
    fixed += copies_made(model, devices) * on_cpu * needs.weight_bytes(model.parameters())
    if len(devices) > 1 or not on_cpu:
        each += 2 * transfer.DEPTH * needs.way_bytes(options.patch)
    one_each = max(each * len(devices), options.turns)
    least = max((options.batch or 1) * each * len(devices), options.turns)
    cache = min(shared, max(0, (limit - fixed - least) // body)) if on_cpu else shared
    fixed += cache * body
    stem = needs.stem_bytes(options.patch, width=width, inputs=model.encoder.inputs)
    stems = min(cache, STEMS // stem, max(0, (limit - fixed - least) // stem)) if on_cpu else 0
    fixed += stems * stem
    room = (limit - fixed) // each // len(devices) if on_cpu else options.batch or GPU_BATCH
    if on_cpu and limit - fixed < one_each and work:
        need = memory.show(fixed + one_each + needs.SPREAD, up=True)
        raise MemoryLimitError(
            f"a memory limit of {memory.show(limit)} is too small for a picture {info.width} pixels wide",
            hint=f"Give at least {need} (--memory), or smaller patches (--patch).",
        )
    if options.batch and options.batch > room and work:
        need = memory.show(fixed + least + needs.SPREAD, up=True)
        raise MemoryLimitError(
            f"a batch of {options.batch} patches does not fit a memory limit of {memory.show(limit)}",
            hint=f"Give a batch of {room} or less, or --memory {need}.",
        )
    batch = options.batch or (min(CPU_BATCH, room) if on_cpu else room)
    return _Budget(limit, fixed, each, max(1, batch), cache, contexts + cache * body + stems * stem, stems)


def _count_windows(trimap: Rows, windows: Sequence[Window], cells: CellMap, options: RunOptions) -> _Counts:
    """Counts of each window of the grid and of the whole trimap; `cells` is filled on the way."""
    info = trimap.info
    lefts = sorted({w.x for w in windows})
    tops = sorted({w.y for w in windows})
    x0 = np.clip(np.array(lefts), 0, info.width)
    x1 = np.clip(np.array(lefts) + options.patch, 0, info.width)
    counts = np.zeros((len(tops), len(lefts), 3), np.int64)
    whole = np.zeros(3, np.int64)
    for y in range(0, info.height, options.band):
        rows = trimap.rows(y, min(y + options.band, info.height))
        cells.add(y, rows)
        for region, value in enumerate((BACKGROUND, UNKNOWN, FOREGROUND)):
            mask = rows == value
            whole[region] += int(mask.sum())
            for i, top in enumerate(tops):
                inside = mask[max(top - y, 0) : max(top + options.patch - y, 0)]
                if len(inside):
                    along = np.concatenate([[0], np.cumsum(inside.sum(0))])
                    counts[i, :, region] += along[x1] - along[x0]
    return _Counts(counts.reshape(-1, 3), whole)


def _total(trimap: Rows, counts: _Counts) -> dict[int, int]:
    assert counts.whole.sum() == trimap.info.height * trimap.info.width, "a trimap value that is not 0, 128 or 255"
    return dict(zip((BACKGROUND, UNKNOWN, FOREGROUND), map(int, counts.whole), strict=True))


def _take(chosen: dict[int, None], among: Int64[np.ndarray, " i"], number: int) -> None:
    """Add `number` of `among`, evenly spread, to `chosen`."""
    if number > 0 and len(among):
        for position in np.linspace(0, len(among) - 1, min(number, len(among))).round().astype(int):
            chosen[int(among[position])] = None
