"""Reading ahead and writing behind: decoding, network and encoding at the same time, in the order of one thread.

Knows nothing of pictures. Read top to bottom:

    ahead     the items of an iterator, made in a thread of their own, a few before they are asked for
    Behind    calls that are done later, one after the other, in a thread of their own

Both hold a bounded number of items, hand an exception over to the caller, and leave no thread behind. OpenImageIO,
NumPy and torch let go of Python's lock while they work, so two threads are enough to keep two cores busy.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


def ahead(items: Iterator[T], *, depth: int = 1) -> Iterator[T]:
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


class Behind:
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

    def __enter__(self) -> "Behind":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            while kind is None and self._waiting:
                self._waiting.popleft().result()
        finally:
            self._thread.shutdown(wait=True, cancel_futures=True)
