"""Watching folders: pictures are computed once they and their trimaps have stopped changing.

Settled    which files have not changed for a while
watch      looks, waits, computes what is new, and looks again, until it is ended

We look by polling: it works on network disks, where the system does not report changes. A file that is written slowly
changes its size or its time; one that is renamed into its place is there as a whole. Both count once they have been
the same for the settle time.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from hdmatt.batching.collect import Collected
from hdmatt.batching.entry import Entry, shown
from hdmatt.batching.run import BatchResult
from hdmatt.batching.urls import file_bytes, is_url, stamp_of


@dataclass(frozen=True)
class Watching:
    """How folders are watched.

    Attributes:
        settle: Seconds that a file must not have changed for.
        interval: Seconds between two looks.
        clock, pause: Time and waiting; tests give their own.
        ended: Asked before each look.
    """

    settle: float = 3.0
    interval: float = 2.0
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    ended: Callable[[], bool] = lambda: False


class Settled:
    """Since when files have looked as they look now."""

    def __init__(self, seconds: float) -> None:
        self.empty: list[str] = []  # files that have been empty for the time, of the last call
        self._seconds = seconds
        self._since: dict[str, tuple[str, float]] = {}

    def has(self, files: Iterable[str], now: float) -> bool:
        """Whether all files are there and have been the same for the time. Call it at every look."""
        self.empty = []
        looks = [self._one(file, now) for file in files]  # each is looked at, also after one that is not settled
        return all(looks)

    def _one(self, file: str, now: float) -> bool:
        try:
            stamp, size = stamp_of(file), file_bytes(file)
            if not is_url(file):
                stamp = f"{stamp}-{os.stat(file).st_ino}"
        except OSError:
            self._since.pop(file, None)
            return False
        before, since = self._since.get(file, ("", now))
        if before != stamp:
            since = now
        self._since[file] = stamp, since
        settled = now - since >= self._seconds
        if settled and not size:
            self.empty.append(file)
        return settled and size > 0


def watch(
    look: Callable[[], Collected],
    run: Callable[[Sequence[Entry]], Iterator[BatchResult]],
    say: Callable[[str], None],
    how: Watching,
) -> Iterator[BatchResult]:
    """Results, as pictures appear and are computed.

    Args:
        look: What is there now. What is wrong is said once, and its pictures wait until it is right.
        run: Computes pictures; those that are done already come back as unchanged.
        say: Told what is wrong, once.
    """
    settled, told = Settled(how.settle), set[str]()
    reported: dict[str, str] = {}  # picture -> what was last said of it
    while not how.ended():
        collected = look()
        wrong = {picture for problem in collected.problems for picture in problem.pictures}
        now = how.clock()
        texts, ready = [problem.text for problem in collected.problems], list[Entry]()
        for entry in collected.entries:
            if settled.has(entry.inputs().values(), now):
                ready.append(entry)
            texts += [f"{shown(file)} is empty" for file in settled.empty]
        for text in texts:
            if text not in told:
                say(text)
        told = set(texts)
        for result in run([entry for entry in ready if entry.picture not in wrong]):
            if result.now or reported.get(result.name) != result.state:
                yield result
            reported[result.name] = "unchanged" if result.state == "done" else result.state
        how.pause(how.interval)
