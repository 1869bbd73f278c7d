"""Bytes that a library writes to a file by name, on their way through memory into a hidden file.

    Staged    what the library writes to, and how its bytes are handed on
    Splice    other bytes for a part of the file's first ones

Libraries that encode pictures do not all survive a write that fails: libjpeg ends the process, OpenEXR waits for ever
(OpenImageIO 3.2). So they write to a file in memory (memfd), where writing does not fail. What they have written is
taken out after each band of rows, written by us, and its memory freed. The first bytes are kept until the end: TIFF and
EXR come back to them, with the place of the directory and the table of offsets.

Only Linux has such files. Elsewhere the library writes to the hidden file itself, and we trust in its errors.
"""

import ctypes
import os
from collections.abc import Callable
from errno import EFBIG
from functools import cache
from typing import Any, NamedTuple

from hdmatt.system.hidden import HiddenFile

try:
    import resource
except ImportError:  # Windows
    resource = None

_PAGE = 65536  # bytes; a multiple of every page size, and more than a C library buffers
_PIECE = 2**20  # bytes that are handed on at once
_PUNCH_HOLE = 3  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE


class Splice(NamedTuple):
    """Bytes that take the place of the bytes begin .. end-1 of a file, of which there are not more."""

    begin: int
    end: int
    data: bytes

    def of(self, head: bytes) -> bytes:
        """The file's first bytes with them."""
        return head[: self.begin] + self.data + head[self.end :]


FindSplice = Callable[[bytes], Splice | None]  # from the file's first bytes; None if more of them are needed


class Staged:
    """A file in memory that a library writes to, on its way into a hidden file.

    Args:
        find: Says what is to be replaced among the file's first bytes, which the library does not change later.

    Attributes:
        name: What the library opens.
        in_memory: Whether it is in memory; if not, it is the hidden file itself.
    """

    def __init__(self, hidden: HiddenFile, find: FindSplice | None = None) -> None:
        self._hidden, self._find = hidden, find
        self._splice: Splice | None = None
        self._file = os.memfd_create("hdmatt") if _can_stage() else -1
        self.in_memory = self._file >= 0
        self.name = f"/dev/fd/{self._file}" if self.in_memory else str(hidden.path)
        self._handed_on = self._kept = 0

    def opened(self) -> None:
        """The library has written the header: all of it is kept until the end."""
        if self.in_memory:
            self._kept = (os.fstat(self._file).st_size // _PAGE + 2) * _PAGE

    def reserve(self, needed: int) -> None:
        """Fail in the library's place if it may write that many bytes, and the process may not (`ulimit -f`)."""
        if not self.in_memory or resource is None:
            return
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and self._hidden.error is None and self._handed_on + needed > limit:
            self._hidden.error = OSError(EFBIG, os.strerror(EFBIG))

    def hand_on(self) -> None:
        """Write what the library has written since the last time, and free its memory."""
        if not self.in_memory:
            return
        begin, end = self._handed_on, os.fstat(self._file).st_size
        if self._find and begin == 0 and not self._hand_on_spliced(self._find, end):
            return
        while self._handed_on < end:
            piece = os.pread(self._file, min(_PIECE, end - self._handed_on), self._handed_on)
            self._hidden.write(piece)
            self._handed_on += len(piece)
        begin, end = max(begin // _PAGE * _PAGE, self._kept), self._handed_on // _PAGE * _PAGE
        if begin < end:
            _punch(self._file, begin, end - begin)

    def finish(self) -> None:
        """Hand on the rest, once the library has closed the file, and the first bytes as they are now."""
        self.hand_on()
        if self.in_memory and not self._splice:
            self._hidden.write_at(0, os.pread(self._file, min(self._kept, self._handed_on), 0))
        elif self._find and not self.in_memory:
            self._splice_in_place(self._find)

    def close(self) -> None:
        """Free the memory. Safe to call twice."""
        if self.in_memory:
            os.close(self._file)
        self.in_memory, self._file = False, -1

    def _hand_on_spliced(self, find: FindSplice, end: int) -> bool:
        """Write all that there is, once what is to be replaced is among it."""
        head = os.pread(self._file, end, 0)
        self._splice = find(head)
        if self._splice:
            self._hidden.write(self._splice.of(head))
            self._handed_on = end
        return self._splice is not None

    def _splice_in_place(self, find: FindSplice) -> None:
        """Move all that stands behind, from the end on, for systems without files in memory."""
        path, piece = self._hidden.path, 2**16
        with path.open("rb") as file:
            size = path.stat().st_size
            while not (splice := find(file.read(piece))):
                if piece >= size:
                    return  # an incomplete file
                file.seek(0)
                piece *= 2
            for end in range(size, splice.end, -_PIECE):
                begin = max(splice.end, end - _PIECE)
                file.seek(begin)
                self._hidden.write_at(splice.begin + len(splice.data) + begin - splice.end, file.read(end - begin))
        self._hidden.write_at(splice.begin, splice.data)


@cache
def _can_stage() -> bool:
    """Whether this machine has files in memory that can be opened by name, and whose parts can be freed."""
    if not hasattr(os, "memfd_create") or not os.path.isdir("/dev/fd"):
        return False
    try:
        file = os.memfd_create("hdmatt")
    except OSError:
        return False
    try:
        os.ftruncate(file, 2 * _PAGE)
        return os.path.exists(f"/dev/fd/{file}") and _punch(file, 0, _PAGE)
    except OSError:  # no room for two pages under `ulimit -f`: reserve() tells of it
        return True
    finally:
        os.close(file)


def _punch(file: int, begin: int, length: int) -> bool:
    libc: Any = ctypes.CDLL(None)
    call = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    return call is not None and call(file, _PUNCH_HOLE, ctypes.c_int64(begin), ctypes.c_int64(length)) == 0
