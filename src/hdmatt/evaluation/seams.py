"""The seam score: how visible the borders between patches are in a matte.

Arrays only: no files and no methods. Read top to bottom:

    Borders, patch_borders    where patches end
    seam                      steps of the error across the borders / steps elsewhere
    step_across               the same, for arrays that metrics.score has checked already
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from hdmatt.errors import InputError
from hdmatt.evaluation.matte_bytes import AnyArray, Bytes, Mask, bands, checked_bytes
from hdmatt.patches.windows import Window


class Borders(NamedTuple):
    """Where the edges of patches lie: a border at 320 runs between pixels 319 and 320."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]


def patch_borders(windows: Iterable[Window], *, height: int, width: int) -> Borders:
    """The edges of all patches that lie inside the picture, first and last pixel alike.

    Args:
        windows: Of `patches.windows.grid` or `patches.cover`.
        height: Of the picture; edges on or beyond its rim are no borders.
        width: The same.
    """
    rows: set[int] = set()
    columns: set[int] = set()
    for window in windows:
        rows.update((window.y, window.y + window.size))
        columns.update((window.x, window.x + window.size))
    return Borders(
        rows=tuple(sorted(y for y in rows if 0 < y < height)),
        columns=tuple(sorted(x for x in columns if 0 < x < width)),
    )


def seam(prediction: AnyArray, truth: AnyArray, trimap: AnyArray, borders: Borders, *, band: int = 4) -> float:
    """How much rougher the error is across the borders of patches than elsewhere; 1 means that no seam shows.

    The mean abs(gradient of the error) on the border bands divided by the same away from them, the error being
    prediction - truth. Our own variant of it: the gradient is the plain difference of two neighbouring pixels, both
    unknown. Those beside each other are on a band when both lie within `band` pixels of a border column, those below
    each other when both lie within `band` pixels of a border row; a step along a border crosses nothing and counts
    as away.

    A picture whose detail happens to lie on a border differs from 1 without any patches: compare with a
    method that does not cut the picture, scored with the same borders, and with the truth against zeros, which
    says how much of its detail lies there.

    Args:
        prediction: H x W, uint8 or float in [0, 1].
        truth: H x W, uint8 or float in [0, 1].
        trimap: H x W, uint8; exactly 128 where unknown.
        borders: From `patch_borders`, or by hand.
        band: Pixels on each side of a border that belong to it, at least 1; 1 looks at the very step across it.

    Returns:
        Ratio from 0 to infinity. 1 if the error is flat everywhere; infinity if it is flat except on the bands; NaN
        if no unknown neighbours lie on a band or none lie away from them.

    Raises:
        InputError: As `score`, or band < 1.
    """
    return step_across(*checked_bytes(prediction, truth, trimap), borders, band)


def step_across(p: Bytes, t: Bytes, unknown: Mask, borders: Borders, band: int) -> float:
    if band < 1:
        raise InputError(f"the band is {band} pixels wide, need at least 1", hint="Leave it at 4")
    height, width = p.shape
    beside, below = _on_band(borders.columns, width, band), _on_band(borders.rows, height, band)
    sums, counts = np.zeros(2), np.zeros(2, np.int64)  # away from the bands, on them
    for rows in bands(height, width):
        error = p[rows.start : rows.stop + 1].astype(np.int16) - t[rows.start : rows.stop + 1]
        inside = unknown[rows.start : rows.stop + 1]
        own = rows.stop - rows.start  # the row below the band of rows is there for its upper neighbours only
        for on_band, steps, both in (
            (beside[None, :], np.abs(np.diff(error[:own], axis=1)), inside[:own, 1:] & inside[:own, :-1]),
            (below[rows][:, None], np.abs(np.diff(error, axis=0)), inside[1:] & inside[:-1]),
        ):
            on = both & on_band[: both.shape[0]]
            for index, where in enumerate((both & ~on, on)):
                sums[index] += int(steps[where].sum(dtype=np.int64))
                counts[index] += int(where.sum())
    if not counts.all():
        return math.nan
    away, on = (sums / counts).tolist()
    if away == 0:
        return 1.0 if on == 0 else math.inf
    return on / away


def _on_band(positions: tuple[int, ...], length: int, band: int) -> Bool[np.ndarray, "steps"]:
    """For each of the length - 1 steps between neighbours: do both lie within `band` pixels of one border?"""
    result = np.zeros(max(0, length - 1), bool)
    for position in positions:
        result[max(0, position - band) : max(0, position + band - 1)] = True
    return result
