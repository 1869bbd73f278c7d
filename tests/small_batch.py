"""A batch of made-up files, run without processes and without a network: what the tests of batching/ share."""

from pathlib import Path

import cheap_compute

from hdmatt.batching.batch import Work, prepare, run
from hdmatt.batching.executor import Answer, Compute, Task
from hdmatt.batching.options import BatchOptions
from hdmatt.batching.urls import path_of
from hdmatt.inference.options import NetworkChoice, Options
from hdmatt.inference.outputs import Outputs
from hdmatt.pictures.info import InputOptions

MEMORY = 2**30


class Inline:
    """An executor that computes in this process, one picture at a time."""

    def __init__(self, compute: Compute) -> None:
        self._compute, self._task = compute, list[Task]()

    def room(self, task: Task) -> bool:
        return not self._task

    def submit(self, task: Task) -> None:
        self._task.append(task)

    def wait(self, seconds: float | None) -> list[Answer]:
        tasks, self._task = self._task, []
        return [Answer(task, self._compute(task)) for task in tasks]

    def close(self) -> None:
        self._task.clear()


def put(folder: Path, *names: str, data: bytes = b"picture") -> None:
    """Files of these names; what they hold is no picture, which no test here needs."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data + name.encode("utf-8", "surrogateescape"))


def pairs(folder: Path, *stems: str) -> None:
    """A picture and a trimap for each stem."""
    put(folder, *(f"{stem}.jpg" for stem in stems))
    put(folder, *(f"{stem}_trimap.png" for stem in stems), data=b"trimap")


def prepared(inputs, out, *, outputs=None, strategy="hdmatt", **options):
    named = [str(one) for one in (inputs if isinstance(inputs, list) else [inputs])]
    work = Work(outputs or Outputs(), Options(memory=MEMORY), NetworkChoice(), strategy, InputOptions())
    return prepare(named, path_of(out), work, BatchOptions(**options))


def results(inputs, out, *, compute=cheap_compute.copy, **options):
    """Name -> state of every picture of a run in this process."""
    return {one.name: one.state for one in run(prepared(inputs, out, **options), lambda _: Inline(compute))}
