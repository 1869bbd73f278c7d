"""Threads for reading, computing and writing at the same time, with results in the order of one thread.

Knows nothing of pictures. Read top to bottom:

    prefetch        the items of an iterator, made in another thread before they are asked for
    map_in_order    a function of each item, computed by several threads
    WriteQueue      calls that another thread makes, one after the other

All hold a bounded number of items, pass exceptions to the caller, and end their threads. OpenImageIO, NumPy and torch
release Python's lock while they work, so two threads are enough to keep two cores busy.
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

    An exception of `items` is raised where its item would come. An iterator that is closed early waits for the item
    that is being made and makes no other.
    """
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="hdmatt-prefetch") as thread:
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
    """(item, work(n, item)) for each (n, item), in the items' order; (item, None) for each (None, item).

    Thread n of `threads` computes the items numbered n, one after the other. If the numbers alternate (0, 1, .., 0,
    1, ..), no thread has more than `depth` items waiting. The order of the results, and which thread computes which,
    do not depend on the threads' speed.

    The first exception, in the items' order, is raised where its item would come; work that has not begun is dropped.

    Args:
        threads: With 0, the work is done in the caller's thread when its item is asked for.
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
        pools = [ThreadPoolExecutor(1, thread_name_prefix=f"hdmatt-worker-{n}") for n in range(threads)]
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
    """Calls that another thread makes in the order in which they were submitted; a context manager.

    At most `depth` calls wait: then `submit` blocks. An exception of a call is raised by the next `submit`, or at the
    end of the block. After it, and when the block ends with an exception, the calls that have not begun are dropped.
    """

    def __init__(self, *, depth: int = 2) -> None:
        self._depth = depth
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hdmatt-writer")
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def submit(self, call: Callable[..., None], *arguments: Any, **named: Any) -> None:
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= self._depth):
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._call, call, *arguments, **named))

    def __enter__(self) -> "WriteQueue":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            while kind is None and self._waiting:
                self._waiting.popleft().result()
        finally:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def _call(self, call: Callable[..., None], *arguments: Any, **named: Any) -> None:
        if self._failed:
            return
        try:
            call(*arguments, **named)
        except BaseException:
            self._failed = True
            raise


def _done(item: T, result: Future[R] | None) -> tuple[T, R | None]:
    return item, None if result is None else result.result()
