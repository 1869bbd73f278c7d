"""A process of its own for work whose memory and time are to be its own, and that may be ended.

Knows processes, nothing of what they compute. Read top to bottom:

    Worker     starts a function in a spawned process and asks it questions, within limits
    Stopped    why there is no answer
    answer     the other end: questions in, answers out
    reset_peak, resets_peak, peak    the most memory this process held since it was asked to forget the past
    is_memory  whether an exception says that there was no memory left
"""

import multiprocessing
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from hdmatt.system import memory

FREE_SHARE = 0.9  # of the free memory that a process may take, so that it cannot take the machine with it
GRACE_SECONDS = 2.0  # for a process that is ended to remove its temporary files
LOOK_SECONDS = 0.2  # between two looks at its memory


class Stopped(Exception):
    """The process died or was ended.

    Attributes:
        text: Why.
        seconds: That it had worked on the question.
        held: Bytes that it held when it was ended; None if it died.
    """

    def __init__(self, text: str, seconds: float, held: int | None) -> None:
        super().__init__(text)
        self.text, self.seconds, self.held = text, seconds, held


class Worker:
    """Runs `target(connection, *arguments)` in a spawned process, started by the first question.

    Args:
        target: A module's function; it hands the connection to `answer`.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._target, self._arguments = target, arguments
        self._process: Any = None
        self._connection: Connection | None = None

    def ask(self, question: Any, *, memory_limit: int | None = None, time_limit: float | None = None) -> Any:
        """The answer to a question; both must be picklable.

        Args:
            memory_limit: Bytes that the process and those it started may hold, as far as one sees by looking from
                time to time; it is never more than FREE_SHARE of what is free.
            time_limit: Seconds for the answer.

        Raises:
            Stopped: The process held more, took longer, or died. It is closed; the next question starts another.
        """
        free = int(FREE_SHARE * psutil.virtual_memory().available) + self._resident()
        limit = free if memory_limit is None else min(free, memory_limit)
        started = time.monotonic()
        try:
            connection = self._started()
            connection.send(question)
            while not connection.poll(LOOK_SECONDS):
                seconds, held = time.monotonic() - started, self._resident()
                if held > limit:
                    self.close(grace=0)
                    whose = "that were free" if limit == free else "that it may hold"
                    text = f"ran out of memory: it held {memory.show(held)}, of {memory.show(limit)} {whose}"
                    raise Stopped(text, seconds, held)
                if time_limit is not None and seconds > time_limit:
                    self.close()
                    raise Stopped(f"ran out of time: it was ended after {time_limit:g} s", seconds, held)
            return connection.recv()
        except (EOFError, OSError):  # it died
            self._process.join()
            code = self._process.exitcode
            self.close()
            killed = " (killed: the system had no memory left?)" if code == -signal.SIGKILL else ""
            text = f"its process ended with code {code}{killed}"
            raise Stopped(text, time.monotonic() - started, None) from None

    def close(self, *, grace: float = GRACE_SECONDS) -> None:
        """End the process and what it started; twice is once.

        Args:
            grace: Seconds that it has to remove its temporary files, which can be as large as the picture.
        """
        if self._connection:
            self._connection.close()
        if self._process:
            children = self._family()[1:]
            if grace > 0:
                self._process.terminate()
                self._process.join(grace)
            self._process.kill()
            for child in children:
                with suppress(psutil.Error):
                    child.kill()
            self._process.join()
            self._process.close()
        self._process = self._connection = None

    def _started(self) -> Connection:
        if self._connection is None:
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=self._target, args=(theirs, *self._arguments), daemon=True)
            self._process.start()
            theirs.close()
        return self._connection

    def _resident(self) -> int:
        held = 0
        for process in self._family():
            with suppress(psutil.Error):
                held += process.memory_info().rss
        return held

    def _family(self) -> list[psutil.Process]:
        """The process and those that it started (GEGL)."""
        try:
            process = psutil.Process(self._process.pid) if self._process else None
            return [process, *process.children(recursive=True)] if process else []
        except psutil.Error:
            return []

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def answer(connection: Connection, work: Callable[[Any], Any]) -> None:
    """Answer every question by `work`, until the other end closes. Prints nothing, and leaves Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # like this, so that temporary files are removed
    warnings.simplefilter("ignore")
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  PyMatting prints into what --json prints
    while True:
        try:
            question = connection.recv()
        except EOFError:
            return
        connection.send(work(question))


def resets_peak() -> bool:
    """Whether this system can forget the peak of the past (Linux)."""
    return Path("/proc/self/clear_refs").exists()


def reset_peak() -> None:
    """Let `peak` start from what is held now, where the system can."""
    if resets_peak():
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Most memory held since `reset_peak`, or by a program that was started, whichever is more; bytes.

    Not ru_maxrss on Linux: a child starts with its parent's. For what we start ourselves that is no more than ours.
    """
    most = memory.peak()
    if resets_peak() and (found := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())):
        most = int(found[1]) * 1024
    return max(most, memory.children_peak())


def is_memory(trouble: Exception) -> bool:
    """Torch has an error of its own for GPUs, and a RuntimeError for the CPU."""
    return (
        isinstance(trouble, MemoryError)
        or type(trouble).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(trouble)
    )
