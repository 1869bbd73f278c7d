"""What happened to a picture, for browsers: numbered events, the last ones kept.

Knows no picture. Any thread may publish; each listener has a queue of its own in the server's event loop.

    Events    publish, history, stream

A browser that lost its connection asks for what came after the last number it saw. What is older than the history is
told as one event "lost", so that the page loads everything anew.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

_KEPT = 500
_PING = 15.0  # seconds of silence before an event says that the server is there: silent connections are dropped
_PING_LINES = 'data: {"type": "ping"}\n\n'

Event = tuple[int, dict[str, Any]]


class Events:
    """The events of one picture.

    Args:
        first: Number of the first event; grows from one start of the server to the next, so that a browser that
            outlives a server does not take new events for old ones.
    """

    def __init__(self, first: int = 1) -> None:
        self._first = self._next = first
        self._kept: deque[Event] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Queue[Event | None], asyncio.AbstractEventLoop] = {}
        self._closed = False

    def publish(self, kind: str, **values: Any) -> int:
        """Tell every listener. Returns the event's number."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            event = number, {"type": kind, **values}
            self._kept.append(event)
            self._tell(event)
            return number

    @property
    def last(self) -> int:
        """Number of the newest event."""
        return self._next - 1

    def after(self, last: int | None) -> list[Event]:
        """The events after a number; None: none, only what is to come."""
        with self._lock:
            return self._after(last)

    async def stream(self, last: int | None) -> AsyncIterator[str]:
        """The lines of text/event-stream, until `close`."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        with self._lock:
            waiting = self._after(last)
            self._listeners[queue] = asyncio.get_running_loop()
            if self._closed:
                queue.put_nowait(None)
        try:
            yield "retry: 1000\n\n"
            for event in waiting:
                yield _lines(event)
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), _PING)
                except TimeoutError:
                    yield _PING_LINES
                    continue
                if event is None:
                    return
                yield _lines(event)
        finally:
            with self._lock:
                self._listeners.pop(queue, None)

    def close(self) -> None:
        """End every stream: a server with open ones cannot stop."""
        with self._lock:
            self._closed = True
            self._tell(None)

    def _after(self, last: int | None) -> list[Event]:
        if last is None:
            return []
        kept = [event for event in self._kept if event[0] > last]
        oldest = self._kept[0][0] if self._kept else self._next
        if last < oldest - 1 or last >= self._next:  # forgotten, or from another start of the server
            return [(oldest - 1, {"type": "lost"}), *self._kept]
        return kept

    def _tell(self, event: Event | None) -> None:
        for queue, loop in self._listeners.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, event)


def _lines(event: Event) -> str:
    number, values = event
    return f"id: {number}\ndata: {json.dumps({'id': number, **values})}\n\n"
