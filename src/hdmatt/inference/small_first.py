"""Large pictures are matted at reduced size first; patches take low frequencies from it where it is more certain.

with_small_picture    a task -> its job, with the smaller picture's matte
extra_work            what the smaller picture takes, as a share of the patches' time
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from hdmatt.inference import needs
from hdmatt.inference.job import Job, Task, patches_alone, size_of
from hdmatt.inference.options import Counters
from hdmatt.inference.run import run
from hdmatt.inference.threads import prefetch
from hdmatt.overview import small_matte
from hdmatt.overview.small_matte import SmallMatte, shrink_factor
from hdmatt.pictures.reader import ArrayReader, network_colours
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, TrimapReader
from hdmatt.system import memory

_PIECE = 64  # rows of a picture that are shrunk together, about
_SMALL_PIXEL = 6  # bytes of a smaller picture's pixel
_LEFT = 24 * memory.MIB  # what the smaller picture's patches leave behind, in pieces (measured: 30 with what is kept)
_WIDE = 48 * memory.MIB  # only the rows that a wide picture has beyond this more than its smaller one make up for that


def with_small_picture(task: Task) -> Job:
    """With what a smaller picture knows better, where the picture is large (overview/small_matte.py)."""
    step = shrink_factor(task.trimap.info.height, task.trimap.info.width)
    if step == 1 or not task.options.small_first:
        return patches_alone(task)
    room, options, info = needs.small_picture_bytes(*size_of(task.picture)), task.options, task.picture.info
    # one read ahead; floats and their sums
    bands = 2 * _together(step) * info.width * (info.dtype.itemsize * 3 + 40)
    # a wide picture's plan holds more of rows than the smaller picture's own plan, which is made when it is there
    own, other = (
        needs.rows_bytes(width, patch=options.patch, band=options.band, pixel=pixel)
        for width, pixel in ((info.width, info.dtype.itemsize * 3), (-(-info.width // step), _SMALL_PIXEL))
    )
    small = task
    task = task.with_options(
        reserve=options.reserve + max(room.matte, room.kept + needs.SPREAD + _LEFT - max(0, own - other - _WIDE)),
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
            small_matte=_small_matte(small, step) if plan.unknown else None,
        )

    return Job(plan, plan.unknown, rows())


def _small_matte(task: Task, step: int) -> SmallMatte | None:
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

    colours, marks = small_matte.small_picture(prefetch(bands()), step)
    if not all((marks == kind).any() for kind in sure):
        return None
    counters = Counters()
    pixels = np.rint(colours * 65535).astype(np.uint16)  # half of the room
    del colours
    small = replace(task, picture=ArrayReader(pixels), trimap=TrimapReader(ArrayReader(marks)), progress=None)
    small = small.with_options(reserve=task.options.reserve + needs.small_picture_bytes(*size_of(task.picture)).matte)
    alpha = np.empty(marks.shape, np.float32)
    for y, rows in run(small.plan(), small.picture, small.trimap, task.model, counters=counters):
        alpha[y : y + len(rows)] = rows
    if task.counters:
        task.counters.rows_read += info.height
        task.counters.network_seconds += counters.network_seconds
    return SmallMatte(alpha, step)


def _together(step: int) -> int:
    """Rows that are shrunk together: whole squares of `step` pixels."""
    return max(1, _PIECE // step) * step


def extra_work(strategy: str, height: int, width: int, *, small_first: bool = True) -> float:
    """What the smaller picture takes, as a share of the time that the patches of the picture take."""
    step = shrink_factor(height, width)
    # bands of unknown pixels: 0.32 to 0.50 of the patches at half the size, 0.13 at a fifth
    return 0.0 if strategy != "hdmatt" or step == 1 or not small_first else step**-1.3
