"""Reading ahead and writing behind: decoding, network and encoding at the same time, in the order of one thread.

Knows nothing of pictures. Read top to bottom:

    ahead     the items of an iterator, made in a thread of their own, a few before they are asked for
    spread    the items of an iterator, each with what a thread of its choice made of it
    Behind    calls that are done later, one after the other, in a thread of their own

All hold a bounded number of items, hand an exception over to the caller, and leave no thread behind. OpenImageIO,
NumPy and torch let go of Python's lock while they work, so two threads are enough to keep two cores busy.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_END: Any = object()


def prefetch(items: Iterator[T], *, depth: int = 1) -> Iterator[T]:
    """The same items in the same order; the next `depth` of them are made while the caller works.

    An exception of `items` arrives where its item would. Closed early, or left by an exception, it waits for the item
    that is being made and asks for no other.
    """
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="hdmatt-ahead") as thread:
        try:
            for _ in range(depth):
                waiting.append(thread.submit(next, items, _END))
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(thread.submit(next, items, _END))
                yield item
                del item  # or it would be held while the next one is made
        finally:
            for future in waiting:
                future.cancel()


def map_in_order(
    items: Iterator[tuple[int | None, T]], work: Callable[[int, T], R], *, threads: int, depth: int = 2
) -> Iterator[tuple[T, R | None]]:
    """(item, work(n, item)) for each (n, item), in the items' order; item (None, item) passes with None.

    Thread n of `threads` does the work of n, one item after the other. If the items take turns (0, 1, .., 0, 1, ..) no
    thread has more than `depth` of them: the last ones are at the caller's before the next is asked for. So the order
    of all results, and which thread makes which, do not depend on how fast each one is.

    The first exception, in the items' order, arrives where its item would; what has not begun then is dropped.

    Args:
        threads: 0 does the work in the caller's thread, each item's when it is asked for.
    """
    with ExitStack() as stack:
        close = getattr(items, "close", None)
        if close:
            stack.callback(close)  # an exception's traceback would keep it, and the thread that it may have
        if not threads:
            for n, item in items:
                yield item, None if n is None else work(n, item)
                del item
            return
        pools = [ThreadPoolExecutor(1, thread_name_prefix=f"hdmatt-spread-{n}") for n in range(threads)]
        for pool in pools:
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        waiting: deque[tuple[T, Future[R] | None]] = deque()
        stack.callback(lambda: [result.cancel() for _, result in waiting if result])
        for n, item in items:
            waiting.append((item, None if n is None else pools[n].submit(work, n, item)))
            del item
            if len(waiting) >= depth * threads:
                yield _done(*waiting.popleft())
        while waiting:
            yield _done(*waiting.popleft())


class WriteQueue:
    """Calls that one thread does in the order they were given; a context manager.

    At most `depth` calls are under way: `do` waits for room. What a call raises is raised by the next `do`, or when the
    block ends. A block that ends with an exception drops the calls that have not begun.
    """

    def __init__(self, *, depth: int = 2) -> None:
        self._depth = depth
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hdmatt-behind")
        self._waiting: deque[Future[None]] = deque()

    def do(self, call: Callable[..., None], *arguments: Any) -> None:
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= self._depth):
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(call, *arguments))

    def __enter__(self) -> "WriteQueue":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            while kind is None and self._waiting:
                self._waiting.popleft().result()
        finally:
            self._thread.shutdown(wait=True, cancel_futures=True)


def _done(item: T, result: Future[R] | None) -> tuple[T, R | None]:
    return item, None if result is None else result.result()
