"""Which patches are decoded, and which may be context of others, decided from the trimap alone.

    Placement            the windows to decode, and the windows from which contexts are taken
    place_windows        trimap -> Placement
    choose_candidates    the N windows of the context pool
    check_some_known     a trimap that is unknown everywhere is refused

Reads the trimap once, a band of rows at a time; knows nothing of networks and memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from hdmatt.errors import InputError
from hdmatt.inference.options import RowSource, RunOptions
from hdmatt.patches.cover import CellMap, cover
from hdmatt.patches.windows import Window, grid
from hdmatt.pictures.info import PictureInfo
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN


class Placement(NamedTuple):
    """Where patches lie.

    Attributes:
        queries: Windows to decode; every unknown pixel is in one.
        among: Windows from which candidates are chosen, in raster order.
        counts: Background, unknown and foreground pixels of each of these, to 8 x 8 pixels.
        on_grid: How many windows the fixed grid would decode.
        unknown: Unknown pixels of the trimap.
    """

    queries: list[Window]
    among: list[Window]
    counts: Int64[np.ndarray, "p 3"]
    on_grid: int
    unknown: int


def place_windows(trimap: RowSource, options: RunOptions) -> Placement:
    """Place the windows to decode, and those from which contexts are chosen.

    Args:
        trimap: Rows are uint8, exactly 0, 128 or 255.
    """
    info = trimap.info
    windows = grid(info.height, info.width, size=options.patch, overlap=options.overlap)
    cells = CellMap(info.height, info.width)
    counts, unknown = _count_pixels(trimap, windows, cells, options)
    on_grid = [window for window, count in zip(windows, counts, strict=True) if count[1]]
    if options.windows == "grid":
        return Placement(on_grid, windows, counts, len(on_grid), unknown)
    queries = cover(
        cells.unknown > 0, height=info.height, width=info.width, size=options.patch, overlap=options.overlap
    )
    # candidates are these and the grid's windows without unknown pixels
    count_of = {window: count for window, count in zip(windows, counts, strict=True) if not count[1]}
    own = cells.counts(queries)
    own[:, 1] = np.maximum(own[:, 1], 1)  # whole cells are counted, which may miss the few pixels that it is there for
    count_of.update(zip(queries, own, strict=True))
    among = sorted(count_of)
    counts = np.array([count_of[window] for window in among], np.int64).reshape(-1, 3)
    return Placement(queries, among, counts, len(on_grid), unknown)


def choose_candidates(
    windows: Sequence[Window], counts: Int64[np.ndarray, "p 3"], limit: int, *, least: int = 0
) -> list[Window]:
    """The windows of the context pool, in raster order: windows with unknown pixels, an even spread of them.

    Most contexts in training hold unknown pixels, and such patches are encoded anyway. Mattes of large pictures are
    worse with many contexts that are known everywhere (research/log.md). The choice is deterministic and does not
    depend on the order in which patches are computed.

    Args:
        counts: Background, unknown and foreground pixels of each window.
        limit: Windows in the pool at most (N).
        least: If fewer windows hold unknown pixels, known ones fill the pool up to this number, those with foreground
            first.
    """
    unknown, foreground = counts[:, 1] > 0, counts[:, 2] > 0
    chosen: dict[int, None] = {}
    _choose_evenly(chosen, np.flatnonzero(unknown), limit)
    for known in (~unknown & foreground, ~unknown & ~foreground):
        _choose_evenly(chosen, np.flatnonzero(known), min(least, limit) - len(chosen))
    return [windows[i] for i in sorted(chosen)]


def check_some_known(unknown: int, info: PictureInfo) -> None:
    """Raise InputError when all pixels of a trimap are unknown."""
    if unknown == info.height * info.width:
        raise InputError(
            "every pixel of the trimap is unknown",
            hint="Mark at least some pixels as surely foreground (255) or surely background (0).",
        )


def _count_pixels(
    trimap: RowSource, windows: Sequence[Window], cells: CellMap, options: RunOptions
) -> tuple[Int64[np.ndarray, "p 3"], int]:
    """Pixels of each kind in each window of the grid, and all unknown pixels; fills `cells` on the way."""
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
    assert whole.sum() == info.height * info.width, "a trimap value that is not 0, 128 or 255"
    return counts.reshape(-1, 3), int(whole[1])


def _choose_evenly(chosen: dict[int, None], among: Int64[np.ndarray, " i"], number: int) -> None:
    """Add `number` of `among`, evenly spread, to `chosen`."""
    if number > 0 and len(among):
        for position in np.linspace(0, len(among) - 1, min(number, len(among))).round().astype(int):
            chosen[int(among[position])] = None
