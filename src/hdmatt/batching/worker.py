"""A process that computes tasks: JSON lines in on stdin, JSON lines out on stdout.

    python -m hdmatt.batching.worker MODULE:FUNCTION

The first line out says that the process is ready. When stdin ends, the process that started this one is gone or wants
no more: then this one stops too, in the middle of a picture, and removes its temporary files.
"""

import json
import os
import queue
import signal
import sys
import threading
from importlib import import_module
from typing import BinaryIO

from hdmatt.batching.compute import ENOUGH
from hdmatt.batching.executor import Compute, Task, task_of, to_json
from hdmatt.batching.spool import computed_locally
from hdmatt.system import memory

_IDLE_SECONDS = 1.0
_COUNTED_ANEW = 50  # pictures
_END = b""


def main(arguments: list[str]) -> None:
    """Compute until stdin ends."""
    for name in ("SIGINT", "SIGHUP"):  # the process that started this one is told, too, and ends us
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever prints must not end up between the answers
    module, _, function = arguments[0].partition(":")
    work: Compute = getattr(import_module(module), function)
    lines: queue.Queue[bytes] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_read, args=(0, lines, busy), daemon=True).start()
    _say(answers, {"ready": os.getpid()})
    done = 0
    while (line := _next(lines)) != _END:
        busy.set()
        task, done = task_of(json.loads(line)), done + 1
        memory.keep_between_pictures(keep=_may_keep(task, done))
        outcome = computed_locally(task, work)
        busy.clear()
        _say(answers, to_json(outcome))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends anyway; see _stop


def _next(lines: "queue.Queue[bytes]") -> bytes:
    """The next line. What is kept for the next picture is given back if there is none for a while."""
    try:
        return lines.get(timeout=_IDLE_SECONDS)
    except queue.Empty:
        memory.keep_between_pictures(keep=False)
        return lines.get()


def _may_keep(task: Task, number: int) -> bool:
    """Whether memory that the last pictures freed may be kept for this one.

    Not where more is held than it may have, nor where its trimap is made first, which holds a smaller picture beside
    the plan; and from time to time it is counted anew.
    """
    if task.alone or task.mask is not None or number % _COUNTED_ANEW == 0:
        return False
    return memory.resident() < min(ENOUGH, task.memory or ENOUGH)


def _stop(*_: object) -> None:
    """An exit removes temporary files. A second signal would end up as a traceback of what Python clears at its end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def _read(stdin: int, lines: "queue.Queue[bytes]", busy: threading.Event) -> None:
    """Read lines from stdin, but not by sys.stdin: a thread that holds its lock lets Python abort at the end."""
    rest = b""
    while data := os.read(stdin, 65536):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            lines.put(line)
    lines.put(_END)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def _say(answers: BinaryIO, value: object) -> None:
    try:
        answers.write(json.dumps(value).encode() + b"\n")
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    memory.keep_freed()
    main(sys.argv[1:])
