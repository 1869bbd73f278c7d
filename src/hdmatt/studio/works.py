"""What runs for a picture now, as one list, so that every browser shows the same. Knows no picture.

    Works    ask, tell, cancel, end; each change but the end is published with the whole list

A work is in the list from the moment it is asked for until it ends, however it ends.
"""

import threading
import weakref
from collections.abc import Callable
from typing import Any

CANCELLABLE = ("export", "start", "band")


class Works:
    """The works of one picture; for several threads.

    Args:
        publish: Tells browsers; it is called with a kind of event and its values, in the order of the changes.
    """

    def __init__(self, publish: Callable[..., Any]) -> None:
        self._publish = publish
        self._lock = threading.Lock()  # of its own: it is taken while the session's is held
        self._works: dict[str, dict[str, Any]] = {}
        self._asked: weakref.WeakSet[threading.Event] = weakref.WeakSet()

    def ask(self, what: str, client: str) -> threading.Event:
        """Somebody waits for a work; it has not begun yet. Returns what is set once this one is cancelled."""
        cancelled = threading.Event()
        with self._lock:
            self._asked.add(cancelled)
            self._works[what] = {"client": client, "cancelled": False}
            self._publish_progress(what, 0, 1, None)
        return cancelled

    def tell(self, what: str, done: int, of: int, seconds_left: float | None) -> None:
        """How far a work is that goes on."""
        with self._lock:
            self._publish_progress(what, done, of, seconds_left)

    def cancel(self) -> bool:
        """Whoever can be cancelled ends as soon as it looks; whether there was one."""
        with self._lock:
            for asked in self._asked:
                asked.set()
            self._asked.clear()
            cancellable = self._works.keys() & set(CANCELLABLE)
            for what in cancellable:
                self._works[what]["cancelled"] = True
                work = self._works[what]
                self._publish_progress(what, work["done"], work["of"], None)
            return bool(cancellable)

    def end(self, *whats: str) -> bool:
        """End works, without an event of their own: the state that comes next says so; whether there was one."""
        with self._lock:
            known = self._works.keys() & set(whats)
            for what in known:
                del self._works[what]
            return bool(known)

    def listed(self) -> list[dict[str, Any]]:
        """All of them, in the order they came; what somebody asked for is first."""
        with self._lock:
            return self._listed()

    def _listed(self) -> list[dict[str, Any]]:
        works = [{"what": what, **values} for what, values in self._works.items()]
        return sorted(works, key=lambda work: work["what"] not in CANCELLABLE)

    def _publish_progress(self, what: str, done: int, of: int, seconds_left: float | None) -> None:
        left = None if seconds_left is None else round(seconds_left, 1)
        progress = {"done": done, "of": of, "seconds_left": left}
        self._works.setdefault(what, {"client": "", "cancelled": False}).update(progress)
        self._publish("progress", what=what, **progress, works=self._listed())
