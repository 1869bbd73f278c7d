"""The process of the command line: how signals end it, and streams that are closed or full.

    take_over    signals clean up, and printing never raises
    all_printed  whether everything reached stdout

A run whose stdout is full or closed has done its work: its files are complete. The exit code says that what it printed
did not arrive.
"""

import codecs
import io
import os
import signal
import sys
from contextlib import suppress
from errno import EBADF
from typing import Any

NOT_PRINTED = 74  # exit code; EX_IOERR of sysexits.h
_AS_TYPED = "hdmatt-as-typed"


def take_over() -> None:
    """Make this process end well: SIGTERM and SIGHUP clean up like Ctrl-C, streams that fail are noted only.

    A signal that is ignored, as by nohup, stays so.
    """
    closed = _fill_descriptors()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    if os.name == "posix":  # Windows writes to its console in another way
        codecs.register_error(_AS_TYPED, _as_typed)
        sys.stdout = _stream(1, sys.stdout, closed)
        sys.stderr = _stream(2, sys.stderr, closed)


def all_printed() -> OSError | None:
    """Flush stdout; the first error there was while printing, or None."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, _Raw) else None


def _end(number: int, frame: Any) -> None:
    for name in ("SIGTERM", "SIGHUP"):  # a second one must not interrupt the cleaning up
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.exit(128 + number)


def _fill_descriptors() -> set[int]:
    """The numbers among 0, 1, 2 that were closed. They are opened to nothing.

    Otherwise the next file would get the number, and a picture what libraries print on stderr.
    """
    closed = set()
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            closed.add(number)
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    return closed


class _Raw(io.RawIOBase):
    """A stream that takes everything; the first failure is kept, and what follows is dropped."""

    def __init__(self, number: int, error: OSError | None) -> None:
        self._number, self.error = number, error

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                return os.write(self._number, data)
            except OSError as error:
                self.error = error
        return len(data)


def _stream(number: int, before: Any, closed: set[int]) -> io.TextIOWrapper:
    error = OSError(EBADF, os.strerror(EBADF)) if number in closed else None
    with suppress(OSError, ValueError, AttributeError):
        before.flush()
    raw = _Raw(number, error)
    encoding = getattr(before, "encoding", None) or "utf-8"
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding=encoding, errors=_AS_TYPED, line_buffering=number == 2 or raw.isatty())


def _as_typed(error: UnicodeError) -> tuple[bytes | str, int]:
    """Names of files that are not text are printed as the bytes they are; what the encoding lacks as backslashes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    with suppress(UnicodeError):
        return error.object[error.start : error.end].encode("ascii", "surrogateescape"), error.end
    return codecs.backslashreplace_errors(error)
