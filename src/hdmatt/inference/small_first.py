"""Large pictures: matted at reduced size first, for the low frequencies of the patches' alpha.

    with_small_picture    a task -> its job, with the matte of the smaller picture where the picture is large
    plan_small_first      a task -> its plan, and a function that makes the smaller picture's matte
    extra_work            time for the smaller picture, as a share of the patches' time

How a patch uses the smaller matte is in overview/small_matte.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from hdmatt.inference import needs
from hdmatt.inference.job import Job, MatteTask, size_of
from hdmatt.inference.options import Counters, Plan
from hdmatt.inference.run import run
from hdmatt.inference.threads import prefetch
from hdmatt.overview import small_matte
from hdmatt.overview.small_matte import SmallMatte, shrink_factor
from hdmatt.pictures.reader import ArrayReader, network_colours
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, TrimapReader
from hdmatt.system import memory

_ROWS = 64  # rows of a picture that are shrunk together, about
_SMALL_PIXEL = 6  # bytes of a smaller picture's pixel
_FRAGMENTS = 24 * memory.MIB  # freed memory that the smaller picture's patches leave in pieces (measured: 30 with kept)
_WIDE = 48 * memory.MIB  # a wide picture's rows make up for the smaller one's memory only beyond this


def with_small_picture(task: MatteTask) -> Job:
    """The strategy `hdmatt`: patches with context, and the smaller picture's matte where the picture is large."""

    def go_on(*_: int) -> None:
        task.begun(plan)

    plan, small = plan_small_first(replace(task, go_on=go_on))

    def rows() -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
        yield from run(
            plan,
            task.picture,
            task.trimap,
            task.model,
            progress=task.progress,
            counters=task.counters,
            small_matte=small() if plan.unknown else None,
            go_on=go_on,
        )

    return Job(plan, plan.unknown, rows())


def plan_small_first(task: MatteTask) -> tuple[Plan, Callable[[], SmallMatte | None]]:
    """The plan of a picture, with room for the smaller picture where there is one.

    Returns:
        The plan, and a function that makes the smaller picture's matte; None is its answer for a picture that has none.
    """
    step = shrink_factor(*size_of(task.trimap))
    if step == 1 or not task.options.small_first:
        return task.plan(), lambda: None
    return _with_room_for_small_picture(task, step).plan(), lambda: _small_matte(task, step)


def extra_work(strategy: str, height: int, width: int, *, small_first: bool = True) -> float:
    """Time of the smaller picture, as a share of the time of the picture's patches."""
    step = shrink_factor(height, width)
    # bands of unknown pixels: 0.32 to 0.50 of the patches at half the size, 0.13 at a fifth
    return 0.0 if strategy != "hdmatt" or step == 1 or not small_first else step**-1.3


def _with_room_for_small_picture(task: MatteTask, step: int) -> MatteTask:
    """The task, its plan with room for the smaller picture: while it is made, while it is matted, and for its matte."""
    options, info = task.options, task.picture.info
    small, pixel = needs.small_picture_bytes(*size_of(task.picture)), 3 * info.dtype.itemsize
    # one band is read ahead; each as read, and as floats with their sums
    bands = 2 * _rows_together(step) * info.width * (pixel + 40)
    # the rows that the picture's plan has beyond the smaller one's are not held yet while that one is matted
    own, other = (
        needs.rows_bytes(width, patch=options.patch, band=options.band, pixel=bytes_of_pixel)
        for width, bytes_of_pixel in ((info.width, pixel), (-(-info.width // step), _SMALL_PIXEL))
    )
    beside = small.kept + needs.SPREAD + _FRAGMENTS - max(0, own - other - _WIDE)
    return task.with_options(
        reserved_bytes=options.reserved_bytes + max(small.matte, beside),
        exclusive_bytes=max(options.exclusive_bytes, small.making + bands),
    )


def _small_matte(task: MatteTask, step: int) -> SmallMatte | None:
    """The matte of the smaller picture. None if its trimap has lost all foreground or all background: thin scribbles.

    The time in its network and the rows read for it are counted, its patches are not.
    """
    info, band = task.picture.info, _rows_together(step)
    known: set[int] = set()

    def bands() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for y in range(0, info.height, band):
            y1 = min(y + band, info.height)
            trimap = task.trimap.rows(y, y1)
            known.update(kind for kind in (FOREGROUND, BACKGROUND) if (trimap == kind).any())
            yield network_colours(task.picture.rows(y, y1), info.encoding), trimap

    colours, trimap = small_matte.small_picture(prefetch(bands()), step)
    if not all((trimap == kind).any() for kind in known):
        return None
    counters = Counters()
    pixels = np.rint(colours * 65535).astype(np.uint16)  # half of the memory
    del colours
    small = replace(task, picture=ArrayReader(pixels), trimap=TrimapReader(ArrayReader(trimap)), progress=None)
    matte_bytes = needs.small_picture_bytes(*size_of(task.picture)).matte
    small = small.with_options(reserved_bytes=task.options.reserved_bytes + matte_bytes)
    alpha = np.empty(trimap.shape, np.float32)
    told, plan = task.go_on, small.plan()
    for y, rows in run(plan, small.picture, small.trimap, task.model, progress=told, counters=counters, go_on=told):
        alpha[y : y + len(rows)] = rows
    if task.counters:
        task.counters.rows_read += info.height
        task.counters.network_seconds += counters.network_seconds
    return SmallMatte(alpha, step)


def _rows_together(step: int) -> int:
    """Rows that are shrunk together: whole squares of `step` pixels."""
    return max(1, _ROWS // step) * step
