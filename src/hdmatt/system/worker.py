"""A process with limits of memory and time, which may be ended.

Knows nothing of what it computes. Read top to bottom:

    WorkerProcess       starts a function in a spawned process and asks it questions, within limits
    WorkerStopped       why there is no answer
    answer              the other end: questions in, answers out
    python_executable   the Python that new processes run
"""

import multiprocessing
import multiprocessing.spawn
import os
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

from hdmatt.errors import InputError
from hdmatt.system import memory

FREE_SHARE = 0.9  # of the free memory that a process may take, so that it cannot take the machine with it
GRACE_SECONDS = 2.0  # for a process to remove its temporary files before it is killed
LOOK_SECONDS = 0.2  # between two looks at its memory
KILLED = -getattr(signal, "SIGKILL", 9)  # exit code of a process that the system killed; Windows has no such signal
_PYTHONS = ("python", "pypy", "graalpy", "hython", "mayapy")  # what the names of Python's programs hold


class WorkerStopped(Exception):
    """The process died or was ended.

    Attributes:
        text: Why, as a sentence without its full stop.
        seconds: Time between the question and the end.
        held: Bytes that the process held when it was ended; None if it died.
    """

    def __init__(self, text: str, seconds: float, held: int | None) -> None:
        super().__init__(text)
        self.text, self.seconds, self.held = text, seconds, held


class WorkerProcess:
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
            memory_limit: Bytes that the process and those it started may hold; never more than FREE_SHARE of what is
                free. We look every LOOK_SECONDS, so a short peak may pass unseen.
            time_limit: Seconds for the answer.

        Raises:
            WorkerStopped: The process held more, took longer, or died. It is closed; the next question starts another.
            InputError: This program cannot start a Python: see `python_executable`.
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
                    raise WorkerStopped(text, seconds, held)
                if time_limit is not None and seconds > time_limit:
                    self.close()
                    raise WorkerStopped(f"ran out of time: it was ended after {time_limit:g} s", seconds, held)
            return connection.recv()
        except (EOFError, OSError):  # it died
            self._process.join()
            code = self._process.exitcode
            self.close()
            killed = " (killed: the system had no memory left?)" if code == KILLED else ""
            text = f"its process ended with code {code}{killed}"
            raise WorkerStopped(text, time.monotonic() - started, None) from None

    def close(self, *, grace: float = GRACE_SECONDS) -> None:
        """End the process and what it started. Safe to call twice.

        Args:
            grace: Seconds for the process to remove its temporary files, which can be as large as the picture.
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
            python_executable()
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

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def answer(connection: Connection, work: Callable[[Any], Any]) -> None:
    """Answer every question by `work`, until the other end closes. Prints nothing, and leaves Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # an exit removes temporary files
    warnings.simplefilter("ignore")
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  PyMatting prints into what --json prints
    while True:
        try:
            question = connection.recv()
        except EOFError:
            return
        connection.send(work(question))


def python_executable() -> str:
    """The Python that new processes run: `sys.executable`, or what `multiprocessing.set_executable` was given.

    Inside of another program (Nuke, Houdini) `sys.executable` may be that program. Starting it would open another
    copy of it, so we refuse.

    Raises:
        InputError: It is no Python.
    """
    executable = os.fsdecode(multiprocessing.spawn.get_executable() or b"")
    frozen = getattr(sys, "frozen", False)  # PyInstaller and the like: multiprocessing knows what to do
    if frozen or any(python in Path(executable).name.lower() for python in _PYTHONS):
        return executable
    raise InputError(
        f"hdmatt runs inside of {executable or 'a program without a name'}, which is no Python: it cannot start a "
        "Python process there",
        hint="Run this in a Python of its own, or name one: multiprocessing.set_executable('/usr/bin/python3').",
    )
