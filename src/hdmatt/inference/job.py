"""Task and job of a strategy: a picture to be matted, and the planned rows of its matte.

Job              a plan, and the rows of the matte as they are computed
MatteTask        the picture, its trimap, the network and the options
patches_alone    the strategy of one patch after the other, with context
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from hdmatt.inference.options import Counters, Plan, Progress, RowSource, RunOptions
from hdmatt.inference.plan import make_plan
from hdmatt.inference.run import run
from hdmatt.network.model import HDMatt


@dataclass(frozen=True)
class Job:
    """A planned matte.

    Attributes:
        plan: None where the picture is not cut into patches.
        unknown: Unknown pixels of the trimap.
        rows: (first row, rows of the matte), from top to bottom; the work happens while they are taken.
    """

    plan: Plan | None
    unknown: int
    rows: Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]

    def close(self) -> None:
        """End an unfinished job and the thread that reads for it. Safe to call twice."""
        close = getattr(self.rows, "close", None)
        if close:
            close()


@dataclass(frozen=True)
class MatteTask:
    """Everything that a strategy needs.

    Attributes:
        progress: Called with patches done and in all; what it raises ends the work.
        go_on: The same for what comes before the first patch: the smaller picture's patches, and contexts.
    """

    picture: RowSource
    trimap: RowSource
    model: HDMatt
    options: RunOptions
    progress: Progress | None
    counters: Counters | None
    go_on: Progress = lambda *_: None

    def begun(self, plan: Plan) -> None:
        """Tell `progress` that no patch is done yet."""
        if self.progress:
            self.progress(0, len(plan.queries))

    def with_options(self, **changes: int) -> "MatteTask":
        """The same task with other options."""
        return replace(self, options=replace(self.options, **changes))

    def plan(self) -> Plan:
        """The plan of the patches; reads the trimap."""
        info = self.picture.info
        pixel = 3 * info.dtype.itemsize
        return make_plan(self.trimap, self.model, self.options, channels_bytes=pixel, chunk_rows=info.chunk_rows)


def size_of(picture: RowSource) -> tuple[int, int]:
    """Height and width."""
    return picture.info.height, picture.info.width


def patches_alone(task: MatteTask) -> Job:
    """Patch after patch, without a smaller picture."""
    plan = task.plan()
    rows = run(
        plan,
        task.picture,
        task.trimap,
        task.model,
        progress=task.progress,
        counters=task.counters,
        go_on=lambda *_: task.begun(plan),
    )
    return Job(plan, plan.unknown, rows)
