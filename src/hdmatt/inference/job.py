"""A picture to be matted, and what a strategy makes of it: a plan and the rows of the matte."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from hdmatt.inference.options import Counters, Plan, Progress, Rows, RunOptions
from hdmatt.inference.plan import make_plan
from hdmatt.inference.run import run
from hdmatt.network.model import HDMatt


@dataclass(frozen=True)
class Job:
    """A planned strategy: `rows` yields the matte top to bottom; `plan` is None where nothing is cut."""

    plan: Plan | None
    unknown: int
    rows: Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]

    def close(self) -> None:
        """End a job that was left half done, and the thread that reads for it. Safe to call twice."""
        close = getattr(self.rows, "close", None)
        if close:
            close()


@dataclass(frozen=True)
class Task:
    """What every strategy is given."""

    picture: Rows
    trimap: Rows
    model: HDMatt
    options: RunOptions
    progress: Progress | None
    counters: Counters | None

    def with_options(self, **changes: int) -> "Task":
        return replace(self, options=replace(self.options, **changes))

    def plan(self) -> Plan:
        info = self.picture.info
        pixel = 3 * info.dtype.itemsize
        return make_plan(self.trimap, self.model, self.options, channels_bytes=pixel, chunk_rows=info.chunk_rows)


def size_of(picture: Rows) -> tuple[int, int]:
    return picture.info.height, picture.info.width


def patches_alone(task: Task) -> Job:
    plan = task.plan()
    rows = run(plan, task.picture, task.trimap, task.model, progress=task.progress, counters=task.counters)
    return Job(plan, plan.unknown, rows)
