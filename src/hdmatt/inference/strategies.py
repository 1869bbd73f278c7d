"""Ways to get a large picture through a network of limited reach: one interface for all.

    STRATEGIES     name -> function: hdmatt, crop, tiles, downsample, whole
    matte_rows     picture and trimap -> rows of the matte, by a named strategy
    patch_rows     patch by patch through any network, not only ours
    shrunk_rows    all at once, or shrunk, through any network
    extra_work     the time that the smaller picture takes

`crop` is the engine without anything from outside the patch (no context, no colours around), `hdmatt` the engine
with both, and with what the matte of a smaller picture knows better, where the picture is large (overview/guide.py). `tiles`
cuts hard: patches side by side, no overlap, no feather; it shows what seams look like. `whole` puts the whole picture
through the network at once; `downsample` does that with the picture shrunk to a long side and grows the matte back.
They are the paper's Fig. 1 and Table 1. How other networks go through them is in evaluation/peers.py.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8

from hdmatt.errors import InputError, MemoryLimitError
from hdmatt.inference.run import FINISHED_ROWS, Counters, Options, Plan, Progress, Rows, make_plan, run
from hdmatt.inference.threads import ahead
from hdmatt.network.config import STRIDE
from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt
from hdmatt.overview import guide
from hdmatt.overview.guide import Guide
from hdmatt.patches.stitch import Stitcher, feather
from hdmatt.patches.windows import Network, Window, cut, mirror, rows_of, tiles
from hdmatt.pictures.reader import ArrayReader, network_colours
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN, TrimapReader
from hdmatt.runtimes.devices import names
from hdmatt.runtimes.prepare import exact
from hdmatt.system import memory

ON_SEVERAL = ("hdmatt", "crop")  # what splits a picture over several devices
LONG_SIDE = 1024  # pixels; the paper's down-sampled pictures
_PIECE = 64  # rows of a picture that are shrunk together, about
_SMALL_PIXEL = 6  # bytes of a smaller picture's pixel
_LEFT = 24 * memory.MIB  # what the smaller picture's patches leave behind, in pieces (measured: 30 with what is kept)
_WIDE = 48 * memory.MIB  # only the rows that a wide picture has beyond this more than its smaller one make up for that


@dataclass(frozen=True)
class Job:
    """A planned strategy: `rows` yields the matte top to bottom; `plan` is None where nothing is cut."""

    plan: Plan | None
    unknown: int
    rows: Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]


def matte_rows(
    strategy: str,
    picture: Rows,
    trimap: Rows,
    model: HDMatt,
    options: Options,
    *,
    progress: Progress | None = None,
    counters: Counters | None = None,
) -> Job:
    """Plan a matte by a named strategy; the work happens while its rows are taken.

    Raises:
        InputError: No such strategy, sizes that differ, a trimap without known pixels.
        MemoryLimitError: The limit is too small for the strategy.
    """
    if strategy not in STRATEGIES:
        raise InputError(f"there is no strategy {strategy!r}", hint=f"Choose one of: {', '.join(STRATEGIES)}.")
    if strategy not in ON_SEVERAL and len(names(options.device)) > 1:
        raise InputError(
            f"the strategy {strategy!r} runs on one device, not on {options.device!r}",
            hint=f"Give one --device, or choose of: {', '.join(ON_SEVERAL)}.",
        )
    a, b = trimap.info, picture.info
    if (a.height, a.width) != (b.height, b.width):
        raise InputError(
            f"{a.path or 'the trimap'} is {a.width}x{a.height} but {b.path or 'the picture'} is "
            f"{b.width}x{b.height} (width x height, after EXIF rotation)",
            hint="Give a trimap of the picture's size; a trimap is never resized.",
        )
    return STRATEGIES[strategy](_Task(picture, trimap, model, options, progress, counters))


@dataclass(frozen=True)
class _Task:
    """What every strategy is given."""

    picture: Rows
    trimap: Rows
    model: HDMatt
    options: Options
    progress: Progress | None
    counters: Counters | None

    def with_options(self, **changes: int) -> "_Task":
        return replace(self, options=replace(self.options, **changes))

    def plan(self) -> Plan:
        info = self.picture.info
        pixel = 3 * info.dtype.itemsize
        return make_plan(self.trimap, self.model, self.options, channels_bytes=pixel, tall=info.tall)


def _hdmatt(task: _Task) -> Job:
    """With what a smaller picture knows better, where the picture is large (overview/guide.py)."""
    step = guide.shrink_by(task.trimap.info.height, task.trimap.info.width)
    if step == 1:
        return _patches(task)
    room, options, info = guide.bytes_of(*_size(task.picture)), task.options, task.picture.info
    # one read ahead; floats and their sums
    bands = 2 * _together(step) * info.width * (info.dtype.itemsize * 3 + 40)
    # a wide picture's plan holds more of rows than the smaller picture's own plan, which is made when it is there
    own, other = (
        memory.rows_bytes(width, patch=options.patch, band=options.band, pixel=pixel)
        for width, pixel in ((info.width, info.dtype.itemsize * 3), (-(-info.width // step), _SMALL_PIXEL))
    )
    small = task
    task = task.with_options(
        reserve=options.reserve + max(room.matte, room.kept + memory.SPREAD + _LEFT - max(0, own - other - _WIDE)),
        turns=max(options.turns, room.making + bands),
    )
    plan = task.plan()

    def rows() -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
        yield from run(
            plan,
            task.picture,
            task.trimap,
            task.model,
            progress=task.progress,
            counters=task.counters,
            guide=_guide(small, step) if plan.unknown else None,
        )

    return Job(plan, plan.unknown, rows())


def _guide(task: _Task, step: int) -> Guide | None:
    """The matte of the smaller picture; None where its trimap has lost all that is sure of one kind, thin scribbles.

    The seconds in its network and the rows read for it are counted, its patches are not.
    """
    info, band = task.picture.info, _together(step)
    sure: set[int] = set()

    def bands() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for y in range(0, info.height, band):
            y1 = min(y + band, info.height)
            marks = task.trimap.rows(y, y1)
            sure.update(kind for kind in (FOREGROUND, BACKGROUND) if (marks == kind).any())
            yield network_colours(task.picture.rows(y, y1), linear=info.linear), marks

    colours, marks = guide.smaller(ahead(bands()), step)
    if not all((marks == kind).any() for kind in sure):
        return None
    counters = Counters()
    pixels = np.rint(colours * 65535).astype(np.uint16)  # half of the room
    del colours
    small = replace(task, picture=ArrayReader(pixels), trimap=TrimapReader(ArrayReader(marks)), progress=None)
    small = small.with_options(reserve=task.options.reserve + guide.bytes_of(*_size(task.picture)).matte)
    alpha = np.empty(marks.shape, np.float32)
    for y, rows in run(small.plan(), small.picture, small.trimap, task.model, counters=counters):
        alpha[y : y + len(rows)] = rows
    if task.counters:
        task.counters.rows_read += info.height
        task.counters.network_seconds += counters.network_seconds
    return Guide(alpha, step)


def _together(step: int) -> int:
    """Rows that are shrunk together: whole squares of `step` pixels."""
    return max(1, _PIECE // step) * step


def extra_work(strategy: str, height: int, width: int) -> float:
    """What the smaller picture takes, as a share of the time that the patches of the picture take."""
    step = guide.shrink_by(height, width)
    # bands of unknown pixels: 0.32 to 0.50 of the patches at half the size, 0.13 at a fifth
    return 0.0 if strategy != "hdmatt" or step == 1 else step**-1.3


def _size(picture: Rows) -> tuple[int, int]:
    return picture.info.height, picture.info.width


def _patches(task: _Task) -> Job:
    plan = task.plan()
    rows = run(plan, task.picture, task.trimap, task.model, progress=task.progress, counters=task.counters)
    return Job(plan, plan.unknown, rows)


def _crop(task: _Task) -> Job:
    return _patches(task.with_options(topk=0))


def _tiles(task: _Task) -> Job:
    task = task.with_options(topk=0, overlap=0)
    plan, options, info = task.plan(), task.options, task.trimap.info
    queries = with_unknown(task.trimap, tiles(info.height, info.width, size=options.patch), band=options.band)
    rows = patch_rows(
        task.picture,
        task.trimap,
        queries,
        network_of(task.model, device=options.device),
        overlap=0,
        batch=plan.batch,
        progress=task.progress,
        counters=task.counters,
    )
    return Job(replace(plan, queries=queries, field=False), plan.unknown, rows)


def _whole(task: _Task, *, long_side: int | None = None) -> Job:
    """All at once, shrunk to `long_side` if the picture is larger."""
    picture, trimap, model, options = task.picture, task.trimap, task.model, task.options
    height, width = picture.info.height, picture.info.width
    scale = 1.0 if long_side is None else min(1.0, long_side / max(height, width))
    small = max(1, round(height * scale)), max(1, round(width * scale))
    marks, unknown = small_trimap(trimap, small, options.band)
    if unknown == height * width:
        raise InputError(
            "every pixel of the trimap is unknown",
            hint="Mark at least some pixels as surely foreground (255) or surely background (0).",
        )
    limit = options.memory or memory.default_limit()
    at_once = memory.patch_bytes(1, width=model.config.width) * small[0] * small[1]
    need = memory.settled() + memory.LIBRARIES + max(at_once, options.turns)
    need += options.reserve + 40 * options.band * width  # a band of rows, as read, as floats and grown
    if need > limit and unknown and options.device == "cpu":
        raise MemoryLimitError(
            f"a memory limit of {memory.show(limit)} is too small to put {small[1]}x{small[0]} pixels through the "
            "network at once",
            hint=f"Give at least {memory.show(need + memory.SPREAD, up=True)} (--memory), or use --strategy hdmatt.",
        )

    network = network_of(model, device=options.device)
    rows = shrunk_rows(
        picture, trimap, marks, network, band=options.band, progress=task.progress, counters=task.counters
    )
    return Job(None, unknown, rows)


def _downsample(task: _Task) -> Job:
    return _whole(task, long_side=LONG_SIDE)


STRATEGIES: dict[str, Callable[[_Task], Job]] = {
    "hdmatt": _hdmatt,
    "crop": _crop,
    "tiles": _tiles,
    "downsample": _downsample,
    "whole": _whole,
}


def shrunk_rows(
    picture: Rows,
    trimap: Rows,
    marks: UInt8[np.ndarray, "y x"],
    network: Network,
    *,
    band: int,
    progress: Progress | None = None,
    counters: Counters | None = None,
) -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
    """One pass over the picture at the size of `marks`, grown back; (first row, rows), top to bottom.

    Args:
        marks: The trimap, shrunk by `small_trimap`, or as it is.
        band: Rows read and handed out at a time.
    """
    counters = counters if counters is not None else Counters()
    height, width, some = picture.info.height, picture.info.width, bool((marks == UNKNOWN).any())
    alpha = np.zeros(marks.shape, np.float32)
    if some:
        colours = _small_picture(picture, (marks.shape[0], marks.shape[1]), band)
        with counters.network():  # the answer is an array: a GPU is done when it is there
            alpha = network(colours[None], marks[None])[0]
    counters.encoded = counters.decoded = int(some)
    if progress:
        progress(1, 1)
    for y0 in range(0, height, band):
        y1 = min(y0 + band, height)
        yield y0, _with_known(_grow(alpha, y0, y1, height, width), trimap.rows(y0, y1))


def patch_rows(
    picture: Rows,
    trimap: Rows,
    windows: Sequence[Window],
    network: Network,
    *,
    overlap: int,
    batch: int,
    progress: Progress | None = None,
    counters: Counters | None = None,
) -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
    """Patch by patch through a network that sees nothing else; (first row, rows), top to bottom.

    Args:
        windows: Raster order; `with_unknown` leaves out those that there is nothing to find in.
        overlap: Width of the ramp at a patch's rim, pixels; 0 cuts hard.
        batch: Patches given to the network at once.
    """
    counters = counters if counters is not None else Counters()
    height, width, linear = picture.info.height, picture.info.width, picture.info.linear
    stitcher = Stitcher(height, width)
    weight = feather(windows[0].size if windows else 1, overlap if windows else 0)
    first = 0
    for _, same_row in groupby(windows, key=lambda window: window.y):
        row = list(same_row)
        yield from _finished(stitcher, trimap, first, max(first, row[0].y))
        first = max(first, row[0].y)
        top, bottom = rows_of(row[0], height)
        pixels, marks = picture.rows(top, bottom), trimap.rows(top, bottom)
        counters.rows_read += len(pixels)
        for start in range(0, len(row), batch):
            some = row[start : start + batch]
            colours = [network_colours(cut(pixels, w, first_row=top, height=height), linear=linear) for w in some]
            known = [cut(marks, w, first_row=top, height=height) for w in some]
            with counters.network():  # the answer is an array: a GPU is done when it is there
                alphas = network(np.stack(colours), np.stack(known))
            for window, alpha in zip(some, alphas, strict=True):
                stitcher.add(window, alpha, weight)
            counters.encoded += len(some)
            counters.decoded += len(some)
            if progress:
                progress(counters.decoded, len(windows))
    yield from _finished(stitcher, trimap, first, height)


def with_unknown(trimap: Rows, windows: Sequence[Window], *, band: int) -> list[Window]:
    """The windows that hold an unknown pixel of the picture; what is mirrored holds no other."""
    found: dict[Window, None] = {}
    for y0 in range(0, trimap.info.height, band):
        unknown = trimap.rows(y0, min(y0 + band, trimap.info.height)) == UNKNOWN
        for window in windows:
            y, x = max(window.y - y0, 0), max(window.x, 0)
            inside = unknown[y : max(window.y + window.size - y0, 0), x : max(window.x + window.size, 0)]
            if window not in found and inside.any():
                found[window] = None
    return [window for window in windows if window in found]


def network_of(model: HDMatt, *, device: str) -> Network:
    """Our network without context patches and colours from outside; sides are mirrored up to multiples of 8.

    Raises:
        InputError: The network is in training mode.
    """
    if model.training:
        raise InputError("the network is in training mode", hint="Call model.eval() first, or load it by name.")

    def network(colours: np.ndarray, trimaps: np.ndarray) -> np.ndarray:
        return _alphas(model, colours, trimaps, device=device)

    return network


def whole_alpha(
    model: HDMatt, colours: Float32[np.ndarray, "h w 3"], trimap: UInt8[np.ndarray, "h w"], *, device: str
) -> Float32[np.ndarray, "h w"]:
    """One pass over everything at once, without context patches."""
    return _alphas(model, colours[None], trimap[None], device=device)[0]


def _alphas(model: HDMatt, colours: np.ndarray, trimaps: np.ndarray, *, device: str) -> np.ndarray:
    height, width = trimaps.shape[1:]
    rows = mirror(0, height + -height % STRIDE, height)[:, None]
    columns = mirror(0, width + -width % STRIDE, width)[None, :]
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    padded = torch.from_numpy(colours[:, rows, columns]), torch.from_numpy(trimaps[:, rows, columns])
    inputs = network_input(padded[0].to(device), padded[1].to(device)).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), exact():
        alpha = model(inputs, [[] for _ in trimaps]).alpha
    return alpha[:, 0, :height, :width].float().cpu().numpy()


def _finished(stitcher: Stitcher, trimap: Rows, first: int, end: int) -> Iterator[tuple[int, np.ndarray]]:
    for y0 in range(first, end, FINISHED_ROWS):
        y1 = min(y0 + FINISHED_ROWS, end)
        yield y0, _with_known(stitcher.take(y1), trimap.rows(y0, y1))


def _with_known(alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    return np.where(trimap == UNKNOWN, np.clip(alpha, 0, 1), (trimap == FOREGROUND).astype(np.float32))


def small_trimap(trimap: Rows, size: tuple[int, int], band: int) -> tuple[UInt8[np.ndarray, "h w"], int]:
    """The trimap's values at the small pixels' centres, never mixed, and the count of unknown pixels in full size."""
    height, width = trimap.info.height, trimap.info.width
    wanted = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(int)
    small, unknown = np.zeros(size, np.uint8), 0
    for y0 in range(0, height, band):
        rows = trimap.rows(y0, min(y0 + band, height))
        unknown += int((rows == UNKNOWN).sum())
        here = (wanted >= y0) & (wanted < y0 + len(rows))
        small[here] = rows[wanted[here] - y0][:, columns]
    return small, unknown


def _small_picture(picture: Rows, size: tuple[int, int], band: int) -> Float32[np.ndarray, "h w 3"]:
    """Display-encoded colours, shrunk by averaging: blocks of whole pixels first (row by row), then by area."""
    info = picture.info
    factor = max(1, min(info.height // size[0], info.width // size[1]))
    parts = []
    step = max(1, band // factor) * factor
    for y0 in range(0, info.height, step):
        rows = network_colours(picture.rows(y0, min(y0 + step, info.height)), linear=info.linear)
        blocks = max(1, len(rows) // factor), max(1, rows.shape[1] // factor)
        parts.append(cv2.resize(rows, blocks[::-1], interpolation=cv2.INTER_AREA) if factor > 1 else rows)
    joined = np.concatenate(parts)
    if joined.shape[:2] == size:
        return joined
    return cv2.resize(joined, size[::-1], interpolation=cv2.INTER_AREA)


def _grow(alpha: np.ndarray, y0: int, y1: int, height: int, width: int) -> np.ndarray:
    """Rows y0 .. y1 - 1 of `alpha` enlarged to height x width, bilinear at pixel centres."""
    if alpha.shape == (height, width):
        return alpha[y0:y1]
    centre = np.clip((np.arange(y0, y1) + 0.5) * len(alpha) / height - 0.5, 0, len(alpha) - 1)
    above = np.floor(centre).astype(int)
    below = np.minimum(above + 1, len(alpha) - 1)
    first, last = int(above[0]), int(below[-1]) + 1
    wide = cv2.resize(alpha[first:last], (width, last - first), interpolation=cv2.INTER_LINEAR)
    share = (centre - above).astype(np.float32)[:, None]
    return wide[above - first] * (1 - share) + wide[below - first] * share
