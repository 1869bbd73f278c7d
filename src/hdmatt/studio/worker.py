"""The one thread of a process that computes mattes: nearest to the pointer first, and never what nobody waits for.

Knows pictures by what the protocol below says; nothing of requests. Read top to bottom:

    Computed    what a picture must offer
    Worker      follows strokes, runs jobs

A picture is computed at once after a stroke. Between two patches, and in the middle of one, the thread looks whether
the trimap was changed again, or a job waits: a patch is given up for that, but never two in a row, so that quick
strokes get their patches, too. When the pen rests and all patches are there, contexts and colours are refreshed.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

from hdmatt.errors import InputError
from hdmatt.inference.window_decoder import phases_of_contexts
from hdmatt.pictures.box import Box
from hdmatt.studio.session import Session

PAUSE = 0.02  # seconds after the last stroke: a newer one ends a patch that has begun, so waiting saves nothing
REST = 1.5  # seconds without a stroke, once all patches are there, until contexts are refreshed
LOOK = 2.0  # seconds between two looks at the files on disk
_TOO_LITTLE = 0.1  # of a work, from which nobody can tell how long all of it takes
_STEP = 0.5  # seconds between two looks whether the studio ends
_JOIN = 10.0  # seconds that closing waits for the patch that is computed


@runtime_checkable
class Computed(Protocol):
    """A picture whose matte follows."""

    session: Session
    automatic: bool
    near: tuple[float, float] | None
    ready: bool  # once it can be seen: the first view does not share the disk and the processor with the matte

    def computed(self, box: Box) -> None: ...  # a patch is there

    def progress(self, what: str, done: int, of: int, seconds_left: float | None) -> None: ...

    def paused(self) -> None: ...  # it is not computed any more, done or not

    def failed(self, error: Exception) -> None: ...

    def look(self) -> None: ...  # now and then: whether the file on disk is the same


@dataclass
class _Wish:
    """When a picture is to be computed next, by the monotonic clock; None: not until it is asked for."""

    due: float | None = None
    asked: bool = False  # by a person, and not by the pause after a stroke
    edits: int = 0
    stops: int = 0
    given_up: bool = False  # the last patch that was begun


class Worker:
    """Computes pictures and jobs, one after the other, in a thread of its own.

    Args:
        pause: Seconds after the last stroke.
        rest: Seconds without a stroke before a refresh.
    """

    def __init__(self, *, pause: float = PAUSE, rest: float = REST) -> None:
        self._pause, self._rest = pause, rest
        self._wishes: dict[Computed, _Wish] = {}
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._news = threading.Condition()
        self._busy = False
        self.closed = False
        self._thread = threading.Thread(target=self._loop, name="mattes", daemon=True)
        self._thread.start()

    def add(self, picture: Computed) -> None:
        """Follow a picture; what its journal brought is computed when it is automatic."""
        with self._news:
            self._wishes[picture] = _Wish(time.monotonic() if picture.automatic else None)
            self._news.notify_all()

    def edited(self, picture: Computed) -> None:
        """The trimap was changed."""
        with self._news:
            if self.closed:
                return
            wish = self._wishes[picture]
            wish.edits += 1
            if picture.automatic or wish.asked:
                wish.due = time.monotonic() + self._pause
            self._news.notify_all()

    def stop(self, picture: Computed) -> None:
        """Compute nothing of a picture any more, until it is asked for, or painted on while it is automatic."""
        with self._news:
            wish = self._wishes.get(picture)
            if wish:
                wish.due, wish.asked, wish.stops = None, False, wish.stops + 1
            self._news.notify_all()

    def ask(self, picture: Computed) -> None:
        """Compute a picture now; where nothing is left to compute, refresh it."""
        with self._news:
            if self.closed:
                return
            wish = self._wishes[picture]
            wish.due, wish.asked = time.monotonic(), True
            self._news.notify_all()

    def wake(self) -> None:
        """A picture has become ready."""
        with self._news:
            self._news.notify_all()

    def job(self, function: Callable[[], Any]) -> Future[Any]:
        """Run a function in the thread, before the next patch."""
        future: Future[Any] = Future()
        with self._news:
            if self.closed:
                future.cancel()
            else:
                self._jobs.append((future, function))
            self._news.notify_all()
        return future

    def result(self, function: Callable[[], Any]) -> Any:
        """Run a function in the thread, before the next patch, and wait for its result.

        Raises:
            InputError: The thread ends; the function may go on, but nobody waits for it.
        """
        future = self.job(function)
        while not self.closed:
            if future in wait_for([future], _STEP).done:
                return future.result()
        raise InputError("the studio ends", hint="Start it again: what was painted is there.")

    def wait(self, timeout: float | None = None) -> bool:
        """Until nothing is left to do; whether that came in time (seconds)."""
        with self._news:
            return self._news.wait_for(lambda: not self._left(), timeout)

    def close(self, *, wait: bool = True) -> bool:
        """Stop after the patch that is computed; whether that came in time. Safe to call twice.

        Args:
            wait: Else only what has ended already came in time.
        """
        with self._news:
            self.closed = True
            for future, _ in self._jobs:
                future.cancel()
            self._jobs.clear()
            self._news.notify_all()
        self._thread.join(_JOIN if wait else 0)
        ended = not self._thread.is_alive()
        if ended:
            with self._news:
                self._wishes.clear()  # no picture is kept alive by it
        return ended

    def _left(self) -> bool:
        return self._busy or bool(self._jobs) or any(wish.due is not None for wish in self._wishes.values())

    def _loop(self) -> None:
        looked = time.monotonic()
        while True:
            with self._news:
                self._busy = False
                work = self._next()
                if work is None:
                    self._news.notify_all()
                    self._news.wait(self._seconds())
                    work = self._next()
                self._busy = work is not None
                pictures = list(self._wishes)
            if self.closed:
                return
            if time.monotonic() - looked > LOOK:
                looked = time.monotonic()
                for picture in pictures:
                    picture.look()
            if work is not None:
                work()

    def _next(self) -> Callable[[], None] | None:
        if self._jobs:
            return partial(_run, *self._jobs.popleft())
        now = time.monotonic()
        due = [(when, number) for number, when in enumerate(self._due()) if when is not None and when <= now]
        return partial(self._compute, list(self._wishes)[max(due)[1]]) if due else None

    def _seconds(self) -> float:
        now = time.monotonic()
        return max(0.0, min([LOOK, *(when - now for when in self._due() if when is not None)]))

    def _due(self) -> list[float | None]:
        """When each picture is to be computed."""
        return [wish.due if picture.ready else None for picture, wish in self._wishes.items()]

    def _compute(self, picture: Computed) -> None:
        wish = self._wishes[picture]
        with self._news:
            asked, edits, stops = wish.asked, wish.edits, wish.stops
            wish.due, wish.asked = None, False

        def ends() -> bool:
            return self.closed or wish.stops != stops

        try:
            complete = self._follow(picture, wish, ends, lambda: ends() or wish.edits != edits or bool(self._jobs))
        except Exception as error:  # the next stroke is followed all the same
            picture.paused()
            return None if self.closed else picture.failed(error)
        picture.paused()
        with self._news:
            if wish.stops != stops:  # what has come since then stays
                pass
            elif wish.edits != edits:
                wish.asked = wish.asked or asked
                if picture.automatic or wish.asked:
                    wish.due = wish.due or time.monotonic() + self._pause
            elif not complete:  # a job came between
                wish.due, wish.asked = time.monotonic(), asked
            elif picture.session.known and (picture.session.stale or picture.session.pending):
                wish.due, wish.asked = time.monotonic() + (0 if asked else self._rest), asked

    def _follow(self, picture: Computed, wish: _Wish, ends: Callable[[], bool], stopped: Callable[[], bool]) -> bool:
        """One step of a picture: its patches, or a refresh. Whether it came to its end.

        Args:
            ends: Whether nobody wants it any more.
            stopped: Whether something else comes first.
        """
        session = picture.session
        if not session.known or not (session.pending or session.stale):
            picture.progress("matte", 0, 0, 0.0)
            return True
        if not session.refreshed or not session.pending:
            picture.progress("refresh", 0, 1, None)
            # the first one goes on while strokes come, or it would never be done
            first = not session.refreshed
            told = _Phases(picture.progress, phases_of_contexts(session.height, session.width))
            done = session.refresh(lambda: ends() or bool(self._jobs) if first else stopped(), told.progress)
            picture.progress("refresh", 1 if done else 0, 1, 0.0)
            if not done:
                return False
        to_its_end, wish.given_up = wish.given_up, False

        def unwanted() -> bool:
            wish.given_up = ends() or (not to_its_end and stopped())
            return wish.given_up

        picture.progress("matte", 0, session.pending, None)
        started = time.monotonic()
        for done, box in enumerate(session.update(picture.near, stopped=unwanted), 1):
            to_its_end = False
            picture.computed(box)
            left = session.pending
            picture.progress("matte", done, done + left, left * (time.monotonic() - started) / done)
            if stopped():
                return False
        return not wish.given_up


class _Phases:
    """Tells how far a refresh is, as one number for all of its phases; they take about as long as each other.

    Args:
        phases: How many there are.
    """

    def __init__(self, tell: Callable[[str, int, int, float | None], None], phases: int) -> None:
        self._tell, self._phases = tell, phases
        self._phase, self._last, self._of, self._started = -1, 0, 0, time.monotonic()

    def progress(self, done: int, of: int) -> None:
        if done <= self._last or of != self._of:  # another phase
            self._phase, self._of = min(self._phase + 1, self._phases - 1), of
        self._last = done
        share = (self._phase + done / of) / self._phases
        left = (time.monotonic() - self._started) * (1 - share) / share if share > _TOO_LITTLE else None
        self._tell("refresh", min(99, int(100 * share)), 100, left)


def _run(future: "Future[Any]", function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
