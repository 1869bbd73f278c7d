"""A picture and a trimap in, the matte's rows out, in memory that a limit bounds and not the picture.

Knows readers of rows, windows and the network; nothing of file formats, colours or the terminal. Picture and trimap
are read from top to bottom a few times (for the plan, the colours around, the context, the queries); no more than a
band of rows is held. Top to bottom:

    Options, Plan       what is asked for, and what will be done
    make_plan           trimap -> which patches are decoded, which may serve as context, how many at a time
    run                 plan -> rows of the matte, as they are finished
    look                what `run` does for one patch, with its selected contexts laid open: for figures/attention.py
    Counters            how many patches were encoded, decoded and read: filled by run, tested, shown by --json
    choose_candidates   which N patches enter the context pool
    _Pool, _Band        the context pool; a sliding band of rows

A patch without unknown pixels is never decoded. A patch is encoded once, also when it is query and context (unless
the memory limit leaves no room for what the encoder made of it). A second thread reads ahead of the network
(inference/threads.py); it alone reads picture and trimap, and the order of the work is that of one thread. Several devices take
turns at the batches of patches, each in a thread and with a copy of the network of its own (`_Lane`).
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from hdmatt.errors import InputError, MemoryLimitError, ModelError
from hdmatt.inference import transfer
from hdmatt.inference.threads import ahead, spread
from hdmatt.network.config import STRIDE
from hdmatt.network.cpc import Context, rank, select
from hdmatt.network.encoder import Body, Stem
from hdmatt.network.inputs import labels, network_input
from hdmatt.network.model import HDMatt
from hdmatt.overview.guide import Guide
from hdmatt.overview.known_colours import ColourField, FieldBuilder, alpha_step, cell_size
from hdmatt.patches.cover import CellMap, cover
from hdmatt.patches.stitch import Stitcher, feather
from hdmatt.patches.windows import Window, check_overlap, cut, grid, rows_of
from hdmatt.pictures.info import PictureInfo
from hdmatt.pictures.reader import PictureReader, network_colours
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from hdmatt.runtimes.devices import kind, names
from hdmatt.runtimes.graphs import has_graphs
from hdmatt.runtimes.prepare import copies, exact, has_bfloat16, has_compiled
from hdmatt.system import memory

# a patch alone fits the caches, and its maps come back from the allocator, which returns larger ones to the system:
# four at once take 5 to 15 % more of a core's time and 390 MiB more (docs/log.md)
CPU_BATCH = 1
STEMS = 320 * memory.MIB  # of first layers that are kept: 21 MiB save a patch a third of its work
GPU_BATCH = 16
FINISHED_ROWS = memory.BAND  # rows handed out at a time, at most
COVERS = ("fewest", "grid")
FEW = 8  # patches with unknown pixels: where there are fewer, known ones are contexts, too
Progress = Callable[[int, int], None]  # patches done, patches in all


@runtime_checkable
class Rows(Protocol):
    """What the engine needs of a picture or a trimap: its size, and any band of its rows."""

    @property
    def info(self) -> PictureInfo: ...

    def rows(self, y0: int, y1: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Options:
    """What is asked of the engine.

    Attributes:
        patch: Side of a patch in pixels, a multiple of 8.
        overlap: Pixels that neighbours share, 0 to patch // 2.
        topk: Context patches a query looks at (K); 0 switches the context off.
        candidates: Patches in the context pool at most (N).
        memory: Limit of the process's peak memory in bytes; None: half of what the machine has free.
        batch: Patches computed at once; None: 1 on a CPU, elsewhere as many as the limit allows. Always 1 with
            layers in bfloat16 on a CPU, where a batch would move alpha by more than rounding.
        band: Rows read at a time, at least.
        reserve: Bytes of the limit that are kept for what runs beside the engine (colours).
        turns: Bytes of work that waits for patches and they for it (a tile's colours, the low-resolution alpha), so
            that the larger one counts.
        device: A torch device, "cpu", "cuda:0", "mps", or several of one kind, "cuda:0,cuda:1"; one of them may be
            named twice. api.pick_device checks it.
        cover: "fewest" places the patches where the unknown pixels are, "grid" at fixed steps.
    """

    patch: int = 320
    overlap: int = 64
    topk: int = 7
    candidates: int = 30
    memory: int | None = None
    batch: int | None = None
    band: int = 256
    reserve: int = 0
    turns: int = 0
    device: str = "cpu"
    cover: str = "fewest"


@dataclass(frozen=True)
class Plan:
    """What will be done, known before the first pixel of the picture is read."""

    options: Options
    height: int
    width: int
    unknown: int  # unknown pixels
    queries: list[Window]  # patches to decode: those with unknown pixels
    pool: list[Window]  # context candidates
    field: bool  # whether the picture is read once more, for the known colours around each patch
    batch: int
    limit: int  # bytes
    peak: int  # expected peak memory of the process, bytes
    on_grid: int  # patches that the fixed grid would decode
    cache: int  # candidates that are queries, too, and whose features are kept until they are decoded
    cache_bytes: int  # of the context pool, these features and stems
    stems: int  # of these patches, those whose first layers are kept, too; on a CPU only

    @property
    def encodes(self) -> int:
        """Patches that pass the encoder: every query and every candidate, but those of the cache only once."""
        return len(self.queries) + len(self.pool) - self.cache

    @property
    def first_layers(self) -> int:
        """Times that a patch passes hints and first layers, batches of one: for the pool and again, unless kept."""
        return len(self.queries) + len(self.pool) - self.stems


@dataclass
class Counters:
    """What a run did."""

    encoded: int = 0
    decoded: int = 0
    rows_read: int = 0
    cache_hits: int = 0  # queries whose features were kept from the pool
    cache_misses: int = 0  # queries that were encoded when their turn came
    stems: int = 0  # times that a patch passed the first layers
    network_seconds: float = 0.0  # in the network alone, of several devices the longest: no reading or stitching

    @contextmanager
    def network(self) -> Generator[None]:
        """Add the time of the block to `network_seconds`; a GPU must have done its work when it ends."""
        started = time.perf_counter()
        yield
        self.network_seconds += time.perf_counter() - started

    def join(self, of: Sequence["Counters"]) -> None:
        """Add what several threads counted, each for itself."""
        for field in fields(self):
            found = [getattr(one, field.name) for one in of]
            more = max(found) if field.name == "network_seconds" else sum(found)
            setattr(self, field.name, getattr(self, field.name) + more)


def make_plan(trimap: Rows, model: HDMatt, options: Options, *, channels_bytes: int = 3, tall: int = 1) -> Plan:
    """Read the trimap once and decide everything.

    Args:
        trimap: Rows are uint8, exactly 0, 128 or 255.
        channels_bytes: Bytes of one pixel of the picture (3 for 8-bit RGB, 6 for 16-bit, 12 for float).
        tall: Rows of the picture's file that are decoded together, see image.PictureInfo.

    Raises:
        InputError: Bad options, or a trimap without any known pixel.
        MemoryLimitError: The limit is below the smallest plan; the message names what would do.
    """
    _check(options)
    if has_bfloat16(model) and kind(options.device) == "cpu":
        # oneDNN adds in another order for a batch: rounding in float32, and in three digits 7e-5 of alpha
        options = replace(options, batch=1)
    info = trimap.info
    windows = grid(info.height, info.width, size=options.patch, overlap=options.overlap)
    cells = CellMap(info.height, info.width)
    counts = _count_windows(trimap, windows, cells, options)
    total = _total(trimap, counts)
    if total[UNKNOWN] == info.height * info.width:
        raise InputError(
            "every pixel of the trimap is unknown",
            hint="Mark at least some pixels as surely foreground (255) or surely background (0).",
        )
    on_grid = [w for w, count in zip(windows, counts.of, strict=True) if count[1]]
    queries, among, of = on_grid, windows, counts.of
    if options.cover == "fewest":
        queries, among, of = _fewest(windows, counts, cells, options)
    context = bool(queries) and options.topk > 0 and model.config.cpc != "none"
    least = min(options.topk + 1, FEW)
    pool = choose_candidates(among, of, options.candidates, least=least) if context else []
    shared = len(set(pool) & set(queries))
    field = model.config.hints and model.config.around and bool(queries) and options.topk > 0
    work = bool(queries)
    tiles = memory.tall_bytes(info.width, tall=tall, band=options.band, pixel=channels_bytes)
    tiles += memory.tall_bytes(info.width, tall=info.tall, band=options.band, pixel=1)
    options = replace(options, reserve=options.reserve + tiles)
    if field:
        options = replace(options, turns=max(options.turns, memory.carry_bytes(info.height, info.width)))
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
    if model.training:
        raise InputError("the network is in training mode", hint="Call model.eval() first, or load it by name.")
    counters = counters if counters is not None else Counters()
    lanes = _lanes(plan, model)
    try:
        with memory.keeping_freed(), exact():
            yield from _rows(plan, picture, trimap, lanes, progress, counters, guide)
    finally:
        counters.join([lane.counters for lane in lanes])


class Look(NamedTuple):
    """One query as the network sees it, and what it looks at."""

    inputs: Tensor  # 1 6 P P, as model.network_input gives them
    deep: Tensor  # 1 C P/8 P/8, encoder output
    label: Tensor  # 1 P/8 P/8
    similarity: dict[Window, float]  # eq. 1 (means) of all candidates but the query itself
    scores: dict[Window, float]  # eq. 2 over them
    contexts: dict[Window, Context]  # the top K of them, best first


def look(plan: Plan, query: Window, picture: Rows, trimap: Rows, model: HDMatt) -> Look:
    """Encode one of the plan's queries and select its contexts, exactly as `run` does, without decoding it."""
    counters, lanes = Counters(), _lanes(plan, model)
    model, ferry = lanes[0].model, lanes[0].ferry
    field = _read_field(picture, trimap, counters) if plan.field else None
    with exact():
        pool = _fill_pool(plan, picture, trimap, field, lanes, counters)
    pixels, marks = _Pixels(picture, plan), _Band(trimap, plan.options.band)
    patches = next(_cut(plan, [query], pixels, marks, field, linear=picture.info.linear))
    with torch.inference_mode(), exact(), ferry.computing():
        inputs, around = _inputs(lanes[0], ferry.up(patches.arrays()))
        body = _bodies([query], model.encoder.stem(inputs, around), lanes[0], pool)
        label = labels(inputs)
        summary = model.cpc.summaries(body.deep, label)[0]
        chosen = _choose(plan, query, summary, pool)
        others = [candidate for candidate in pool.contexts if candidate != query]
        keys = torch.stack([pool.contexts[w].summary_C for w in others] or [summary])[: len(others)]
        similarity = dict(zip(others, (keys @ summary).tolist(), strict=True))
        scores = dict(zip(others, rank(summary, keys).tolist(), strict=True))
    contexts = {window: pool.contexts[window] for window in chosen}
    return Look(inputs, body.deep, label, similarity, scores, contexts)


def choose_candidates(
    windows: Sequence[Window], counts: Int64[np.ndarray, "p 3"], limit: int, *, least: int = 0
) -> list[Window]:
    """The patches that enter the context pool, in raster order: those that hold unknown pixels.

    They are what most contexts are in a training, and are encoded anyway; a patch that is known all over is neither,
    and large pictures' mattes are worse with many of them (docs/log.md). Deterministic; independent of the order in
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


class _Lane(NamedTuple):
    """One device's part in the work; the counters are those of its thread."""

    model: HDMatt
    ferry: transfer.Ferry
    counters: Counters


class _Pool(NamedTuple):
    contexts: dict[Window, Context]
    bodies: dict[Window, Body]  # of candidates that are queries too, until they are decoded
    stems: dict[Window, tuple[Tensor, Tensor]]  # of some of them, inputs and full


class _Candidate(NamedTuple):
    """What is kept of one patch of the pool; None is not."""

    context: Context | None
    body: Body | None
    stem: tuple[Tensor, Tensor] | None


class _Known(NamedTuple):
    """Rows that no patch to come will touch."""

    first: int
    marks: np.ndarray  # of the trimap


class _Patches(NamedTuple):
    """Some windows as the network will see them, but still arrays."""

    windows: Sequence[Window]
    colours: Float32[np.ndarray, "b p p 3"]  # display-encoded
    marks: UInt8[np.ndarray, "b p p"]
    around: Float32[np.ndarray, "b n n 82"] | None

    def arrays(self) -> list[np.ndarray]:
        return [self.colours, self.marks, *([] if self.around is None else [self.around])]


class _Loaded(NamedTuple):
    """Patches on their way to their device."""

    windows: Sequence[Window]
    marks: UInt8[np.ndarray, "b p p"]
    cargo: transfer.Cargo


class _Room(NamedTuple):
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


class _Band:
    """The rows that neighbouring windows share are read once; rows above the band are dropped."""

    def __init__(self, source: Rows, band: int) -> None:
        self._source, self._band = source, band
        self._first, self._held = 0, None
        self.read = 0

    def rows(self, y0: int, y1: int) -> np.ndarray:
        """Rows y0 .. y1 - 1; y0 never decreases from call to call."""
        height = self._source.info.height
        held = self._held
        end = self._first + (0 if held is None else len(held))
        if held is not None and y0 < end:
            held = held[y0 - self._first :]
        else:
            held, end = None, y0
        self._first = y0
        if end < y1:
            new = self._source.rows(end, min(max(y1, end + self._band), height))
            self.read += len(new)
            held = new if held is None else np.concatenate([held, new])
        self._held = held
        assert held is not None
        return held[: y1 - y0]


class _Pixels:
    """Windows of the picture, in the order of their rows; of a tiled file only the tiles that they touch."""

    def __init__(self, picture: Rows, plan: Plan) -> None:
        self._picture, self._height = picture, plan.height
        self._band = _Band(picture, plan.options.band)
        self._tiled = isinstance(picture, PictureReader) and picture.tiled and plan.width >= plan.options.patch

    def cut(self, window: Window) -> np.ndarray:
        top, bottom = rows_of(window, self._height)
        if self._tiled:
            assert isinstance(self._picture, PictureReader)
            piece = self._picture.window(top, bottom, window.x, window.x + window.size)
            return cut(piece, window._replace(x=0), first_row=top, height=self._height)
        return cut(self._band.rows(top, bottom), window, first_row=top, height=self._height)

    @property
    def rows_read(self) -> int:
        return self._band.read


def _check(options: Options) -> None:
    if options.patch < 64 or options.patch % STRIDE:
        raise InputError(
            f"a patch of {options.patch} pixels does not work",
            hint=f"Choose a multiple of {STRIDE}, 64 or more; the models are trained on 320.",
        )
    check_overlap(options.patch, options.overlap)
    if options.cover not in COVERS:
        raise InputError(f"there is no cover {options.cover!r}", hint=f"Choose one of: {', '.join(COVERS)}.")
    for name, least in (("topk", 0), ("candidates", 1), ("band", 1), ("batch", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise InputError(f"{name} is {getattr(options, name)}", hint=f"Give {least} or more.")


def _fewest(
    windows: Sequence[Window], counts: _Counts, cells: CellMap, options: Options
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
    options: Options,
    *,
    pool: int,
    shared: int,
    field: bool,
    pixel: int,
    work: bool,
) -> _Room:
    """Batch and cache that the limit has room for. Neither moves alpha by more than rounding."""
    width, on_cpu, devices = model.config.width, kind(options.device) == "cpu", names(options.device)
    limit = options.memory or memory.default_limit()
    fixed = memory.fixed_bytes(info.width, patch=options.patch, band=options.band, pixel=pixel)
    contexts = pool * memory.context_bytes(options.patch, width=width)
    fixed += options.reserve + contexts + (memory.field_bytes(info.height, info.width) if field else 0)
    fixed += memory.COMPILER * has_compiled(model)
    body = memory.body_bytes(options.patch, width=width)
    # graphs keep what a patch took beside what torch keeps (measured: 50 MiB more with ONNX Runtime, 99 with OpenVINO)
    each = memory.patch_bytes(options.patch, width=width) * (2 if has_graphs(model) else 1)
    if len(devices) > 1 or not on_cpu:
        fixed += (len(devices) - 1) * on_cpu * memory.weight_bytes(model.parameters())
        each += 2 * transfer.DEPTH * memory.way_bytes(options.patch)
    one_each = max(each * len(devices), options.turns)
    least = max((options.batch or 1) * each * len(devices), options.turns)
    cache = min(shared, max(0, (limit - fixed - least) // body)) if on_cpu else shared
    fixed += cache * body
    stem = memory.stem_bytes(options.patch, width=width, inputs=model.encoder.inputs)
    stems = min(cache, STEMS // stem, max(0, (limit - fixed - least) // stem)) if on_cpu else 0
    fixed += stems * stem
    room = (limit - fixed) // each // len(devices) if on_cpu else options.batch or GPU_BATCH
    if on_cpu and limit - fixed < one_each and work:
        need = memory.show(fixed + one_each + memory.SPREAD, up=True)
        raise MemoryLimitError(
            f"a memory limit of {memory.show(limit)} is too small for a picture {info.width} pixels wide",
            hint=f"Give at least {need} (--memory), or smaller patches (--patch).",
        )
    if options.batch and options.batch > room and work:
        need = memory.show(fixed + least + memory.SPREAD, up=True)
        raise MemoryLimitError(
            f"a batch of {options.batch} patches does not fit a memory limit of {memory.show(limit)}",
            hint=f"Give a batch of {room} or less, or --memory {need}.",
        )
    batch = options.batch or (min(CPU_BATCH, room) if on_cpu else room)
    return _Room(limit, fixed, each, max(1, batch), cache, contexts + cache * body + stems * stem, stems)


def _count_windows(trimap: Rows, windows: Sequence[Window], cells: CellMap, options: Options) -> _Counts:
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


def _read_field(picture: Rows, trimap: Rows, counters: Counters) -> ColourField:
    """The known colours of the whole picture, on cells of 32 pixels or more."""
    info = picture.info
    builder = FieldBuilder(cell_size(info.height, info.width), alpha_step(info.height, info.width))

    def bands() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for y in range(0, info.height, builder.cell):
            y1 = min(y + builder.cell, info.height)
            yield network_colours(picture.rows(y, y1), linear=info.linear), trimap.rows(y, y1)

    for colours, marks in ahead(bands()):
        builder.add(colours, marks)
    counters.rows_read += info.height
    return builder.build()


def _pieces(
    plan: Plan, picture: Rows, trimap: Rows, field: ColourField | None, counters: Counters
) -> Iterator[_Known | _Patches]:
    """All that the network and the stitcher need, top to bottom: patches to decode, and rows that are finished."""
    marks, pixels = _Band(trimap, plan.options.band), _Pixels(picture, plan)
    first = 0
    for y, row in groupby(plan.queries, key=lambda w: w.y):
        yield from _known_rows(marks, first, max(first, y))
        first = max(first, y)
        yield from _cut(plan, list(row), pixels, marks, field, linear=picture.info.linear)
    yield from _known_rows(marks, first, plan.height)
    counters.rows_read += pixels.rows_read


def _cut(
    plan: Plan, row: Sequence[Window], pixels: _Pixels, marks: _Band, field: ColourField | None, *, linear: bool
) -> Iterator[_Patches]:
    """The windows of one row, cut out, a batch at a time."""
    top, bottom = rows_of(row[0], plan.height)
    band, size = marks.rows(top, bottom), plan.options.patch
    for windows in _chunks(row, plan.batch):
        colours = np.stack([network_colours(pixels.cut(w), linear=linear) for w in windows])
        trimap = np.stack([cut(band, w, first_row=top, height=plan.height) for w in windows])
        around = np.stack([field.around(w.y, w.x, size=size, patch=size) for w in windows]) if field else None
        yield _Patches(windows, colours, trimap, around)


def _known_rows(marks: _Band, first: int, end: int) -> Iterator[_Known]:
    for y0 in range(first, end, FINISHED_ROWS):
        yield _Known(y0, marks.rows(y0, min(y0 + FINISHED_ROWS, end)))


def _weight(options: Options) -> Float32[np.ndarray, "p p"]:
    """How much each pixel of a patch counts: the square of the ramp.

    On the grid a patch that ends meets the full weight of its neighbour; windows that slide meet as little as half a
    ramp. The square makes the last pixel's share 1/1000 even there, not 1/34, and lets the matte turn into the
    neighbour's without a bend where a patch begins.
    """
    ramp = feather(options.patch, options.overlap)
    return ramp * ramp


def _finished(piece: _Known, stitcher: Stitcher) -> Float32[np.ndarray, "h w"]:
    """Rows of the matte, with the trimap's known pixels put in."""
    alpha, marks = stitcher.take(piece.first + len(piece.marks)), piece.marks
    return np.where(marks == UNKNOWN, np.clip(alpha, 0, 1), (marks == FOREGROUND).astype(np.float32))


def _lanes(plan: Plan, model: HDMatt) -> list[_Lane]:
    devices = names(plan.options.device)
    return [
        _Lane(network, transfer.ferry(device), Counters())
        for network, device in zip(copies(model, devices), devices, strict=True)
    ]


def _threads(plan: Plan, lanes: Sequence[_Lane]) -> int:
    """A CPU alone works in the caller's thread; a GPU has one that feeds it while the caller stitches."""
    return 0 if len(lanes) == 1 and kind(plan.options.device) != "cuda" else len(lanes)


def _dealt(
    pieces: Iterator[_Known | _Patches], lanes: Sequence[_Lane]
) -> Iterator[tuple[int | None, _Known | _Loaded]]:
    """Devices take turns at the patches, which are brought on their way."""
    turn = 0
    for piece in pieces:
        if isinstance(piece, _Known):
            yield None, piece
        else:
            cargo = lanes[turn].ferry.up(piece.arrays())
            yield turn, _Loaded(piece.windows, piece.marks, cargo)
            turn = (turn + 1) % len(lanes)


def _rows(
    plan: Plan,
    picture: Rows,
    trimap: Rows,
    lanes: Sequence[_Lane],
    progress: Progress | None,
    counters: Counters,
    guide: Guide | None,
) -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
    field = _read_field(picture, trimap, counters) if plan.field else None
    pools = _shared(_fill_pool(plan, picture, trimap, field, lanes, counters), lanes)
    stitcher = Stitcher(plan.height, plan.width)
    weight = _weight(plan.options)
    done = 0

    def decode(lane: int, piece: _Known | _Loaded) -> transfer.Landing:
        assert isinstance(piece, _Loaded)
        return _decode(plan, piece, lanes[lane], pools[lane])

    pieces = ahead(_dealt(_pieces(plan, picture, trimap, field, counters), lanes))
    for piece, landing in spread(pieces, decode, threads=_threads(plan, lanes), depth=transfer.DEPTH):
        if isinstance(piece, _Known):
            yield piece.first, _finished(piece, stitcher)
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


def _fill_pool(
    plan: Plan,
    picture: Rows,
    trimap: Rows,
    field: ColourField | None,
    lanes: Sequence[_Lane],
    counters: Counters,
) -> _Pool:
    """Every candidate is encoded once, by the device whose turn it is."""
    pool = _Pool({}, {}, {})
    queries = set(plan.queries)
    kept = [window for window in plan.pool if window in queries][: plan.cache]
    keeps, keeps_stem = set(kept), set(kept[: plan.stems])
    pixels, marks = _Pixels(picture, plan), _Band(trimap, plan.options.band)
    rows = (list(row) for _, row in groupby(plan.pool, key=lambda w: w.y))
    pieces = (p for row in rows for p in _cut(plan, row, pixels, marks, field, linear=picture.info.linear))

    def encode(lane: int, piece: _Known | _Loaded) -> list[_Candidate]:
        assert isinstance(piece, _Loaded)
        return _encode(piece, lanes[lane], keeps, keeps_stem)

    dealt = ahead(_dealt(pieces, lanes))
    for piece, candidates in spread(dealt, encode, threads=_threads(plan, lanes), depth=transfer.DEPTH):
        assert isinstance(piece, _Loaded) and candidates is not None
        for window, candidate in zip(piece.windows, candidates, strict=True):
            if candidate.context:
                pool.contexts[window] = candidate.context
            if candidate.body:
                pool.bodies[window] = candidate.body
            if candidate.stem:
                pool.stems[window] = candidate.stem
    counters.rows_read += pixels.rows_read
    return pool


def _encode(piece: _Loaded, lane: _Lane, keeps: set[Window], keeps_stem: set[Window]) -> list[_Candidate]:
    model = lane.model
    with torch.inference_mode(), lane.counters.network(), lane.ferry.computing():
        inputs, around = _inputs(lane, piece.cargo)
        stem = model.encoder.stem(inputs, around)
        body = model.encoder.body(stem)
        contexts = model.contexts(body, labels(inputs))
        candidates = [
            _Candidate(
                Context(*(t.clone() for t in contexts[i])) if contexts else None,
                Body(*(_alone(t, i) for t in body)) if window in keeps else None,
                (_alone(stem.inputs, i), _alone(stem.full, i)) if window in keeps_stem else None,
            )
            for i, window in enumerate(piece.windows)
        ]
    lane.counters.encoded += len(piece.windows)
    lane.counters.stems += len(piece.windows)
    return candidates


def _shared(pool: _Pool, lanes: Sequence[_Lane]) -> list[_Pool]:
    """Each device's view of the pool: the contexts are there, bodies and stems come when they are decoded."""
    if len(lanes) == 1:
        return [pool]
    pools: list[_Pool] = []
    with torch.inference_mode():
        for lane in lanes:
            with lane.ferry.computing():
                contexts = {w: Context(*map(lane.ferry.adopt, context)) for w, context in pool.contexts.items()}
            pools.append(pool._replace(contexts=contexts))
    return pools


def _alone(batch: Tensor, i: int) -> Tensor:
    """One patch of a batch, without holding the others."""
    return batch if len(batch) == 1 else batch[i : i + 1].clone()


def _decode(plan: Plan, piece: _Loaded, lane: _Lane, pool: _Pool) -> transfer.Landing:
    windows = piece.windows
    with torch.inference_mode():
        with lane.counters.network(), lane.ferry.computing():
            inputs, around = _inputs(lane, piece.cargo)
            stem = _stem(windows, inputs, around, lane, pool)
            body = _bodies(windows, stem, lane, pool)
            contexts = _contexts(plan, windows, body, labels(inputs), lane.model, pool)
            alpha = lane.model.decode(stem, body, contexts).alpha[:, 0].float()
        lane.counters.decoded += len(windows)
        return lane.ferry.down(alpha)


def _stem(windows: Sequence[Window], inputs: Tensor, around: Tensor | None, lane: _Lane, pool: _Pool) -> Stem:
    """The first layers of the windows: kept ones for the last time, if all of them were kept."""
    kept = [pool.stems.pop(window) for window in windows if window in pool.stems]
    if len(kept) == len(windows):
        full = [lane.model.encoder.pooled(*map(lane.ferry.adopt, one)) for one in kept]
        return full[0] if len(full) == 1 else Stem(*(torch.cat(tensors) for tensors in zip(*full, strict=True)))
    lane.counters.stems += len(windows)
    return lane.model.encoder.stem(inputs, around)


def _bodies(windows: Sequence[Window], stem: Stem, lane: _Lane, pool: _Pool) -> Body:
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


def _contexts(
    plan: Plan, windows: Sequence[Window], body: Body, label: Tensor, model: HDMatt, pool: _Pool
) -> list[list[Context]]:
    """The top K of the pool for each query, by eq. 1; a query is not its own context."""
    others = [[context for candidate, context in pool.contexts.items() if candidate != w] for w in windows]
    if all(len(among) <= plan.options.topk for among in others):
        return others  # nothing to choose: no ranking
    summaries = model.cpc.summaries(body.deep, label)
    return [
        [pool.contexts[w] for w in _choose(plan, window, summary, pool)]
        for window, summary in zip(windows, summaries, strict=True)
    ]


def _choose(plan: Plan, query: Window, summary: Tensor, pool: _Pool) -> list[Window]:
    others = [candidate for candidate in pool.contexts if candidate != query]
    if not others:
        return []
    candidates = torch.stack([pool.contexts[w].summary_C for w in others])
    return [others[i] for i in select(summary, candidates, plan.options.topk)]


def _inputs(lane: _Lane, cargo: transfer.Cargo) -> tuple[Tensor, Tensor | None]:
    colours, marks, *around = lane.ferry.land(cargo)
    inputs = network_input(colours, marks).contiguous(memory_format=torch.channels_last)
    return inputs, around[0] if around else None


def _chunks(windows: Sequence[Window], size: int) -> list[Sequence[Window]]:
    return [windows[i : i + size] for i in range(0, len(windows), size)]
