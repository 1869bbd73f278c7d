"""Time and memory of one method's mattes, measured in a process of its own.

Knows methods and processes; nothing of scores and records. Read top to bottom:

    TimedMatte    seconds and peak memory of one matte, or why there is none
    Timed         the process, kept from picture to picture
    clocked       what runs in it
    describe_error    an exception as rows have it

Time runs from opening the picture to the matte on the disk. Loading a network or a library is not part of it: each
process computes a tiny matte before its first.
"""

import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from hdmatt.errors import InputError
from hdmatt.evaluation.items import write_matte
from hdmatt.evaluation.methods import GEGL, NETWORK, Method
from hdmatt.evaluation.peers import stay_offline
from hdmatt.evaluation.run_method import method_program
from hdmatt.evaluation.scenes import tiny_pair
from hdmatt.evaluation.testsets import Item
from hdmatt.pictures import reader
from hdmatt.system.memory import can_reset_peak, is_out_of_memory, keep_freed, peak_with_children, reset_peak
from hdmatt.system.worker import WorkerProcess, WorkerStopped, answer


class TimedMatte(NamedTuple):
    """One measured matte: seconds, peak memory in bytes, and the error where there is no matte."""

    seconds: float | None
    peak: int | None
    error: str | None = None


class Timed:
    """Computes one method's mattes in a spawned process, which keeps its network from picture to picture.

    Each picture has a peak memory of its own: the counter is reset where the system can (Linux), elsewhere the process
    is started anew.
    """

    def __init__(self, method: Method) -> None:
        self.method = method
        self._worker = WorkerProcess(_serve, method)

    def run(self, item: Item, path: Path, finished: Path | None = None) -> TimedMatte:
        """One matte, written to `path`; one that is finished is taken as it is."""
        if finished is not None:
            return _copy(finished, path)
        try:
            run = TimedMatte(*self._worker.ask((item, path)))
        except WorkerStopped as stop:
            return TimedMatte(stop.seconds, stop.held, stop.text)
        # a child's peak is never taken anew
        if run.error or not can_reset_peak() or self.method.kind in GEGL:
            self._worker.close()
        return run

    def close(self) -> None:
        """End the process. Safe to call twice."""
        self._worker.close()

    def __enter__(self) -> "Timed":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(connection: Connection, method: Method) -> None:
    """The spawned process: (item, path) in, TimedMatte out."""
    stay_offline()
    if method.kind in NETWORK:
        keep_freed()
    answer(connection, clocked(method))


def clocked(method: Method) -> Callable[[tuple[Item, Path]], tuple[Any, ...]]:
    """A function that computes one matte and measures it; the first call loads the method and computes a tiny matte."""
    compute: Callable[[Item, Path], None] | None = None

    def run(question: tuple[Item, Path]) -> tuple[Any, ...]:
        nonlocal compute
        seconds, error, before = None, None, "before the first picture: "
        try:
            if compute is None:
                loaded = method_program(method)
                _warm(loaded)
                compute = loaded
            before = ""
            reset_peak()
            started = time.monotonic()
            compute(*question)
            seconds = time.monotonic() - started
        except InputError as trouble:
            error = before + trouble.message
        except Exception as trouble:
            error = before + describe_error(trouble)
        return tuple(TimedMatte(seconds, peak_with_children(), error))

    return run


def _warm(compute: Callable[[Item, Path], None]) -> None:
    """Compute a tiny matte, so that nothing is compiled or set up for the first time while the clock runs."""
    with tiny_pair() as (picture, trimap):
        compute(Item("warm-up", picture, trimap, None, ""), picture.with_name("alpha.png"))


def describe_error(trouble: Exception) -> str:
    """The text of a method's exception in a row."""
    return f"{'ran out of memory' if is_out_of_memory(trouble) else type(trouble).__name__}: {trouble}"


def _copy(finished: Path, path: Path) -> TimedMatte:
    """A finished matte, copied: without seconds and memory."""
    alpha = reader.read_grey(finished)
    write_matte(path, len(alpha), alpha.shape[1], [alpha])
    return TimedMatte(None, None)
