"""Claims: of several runs on one folder, each picture belongs to one at a time.

Claims    takes and releases names

A claim is a lock on one byte of the file `claims.lock`, at a place that the name's hash gives. The system releases it
when the process ends, however it ends, and locks of this kind work on network file systems, too. No file is left behind
for each picture.
"""

import hashlib
import os
import threading
from pathlib import Path

from hdmatt.errors import OutputError
from hdmatt.system.files import make_folder
from hdmatt.system.hidden import unwritable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_open: dict[str, "_File"] = {}  # closing any descriptor of a file drops all locks of the process on it: so one for all
_guard = threading.Lock()


class _File:
    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self.users = 0
        self.taken: set[int] = set()  # locks of this kind do not keep the threads of one process apart


class Claims:
    """Claims on names in a folder, a context manager.

    Raises:
        OutputError: Nothing can be locked there.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "claims.lock"
        self._mine: dict[str, int] = {}

    def __enter__(self) -> "Claims":
        make_folder(self._path.parent)
        key = os.path.realpath(self._path)
        with _guard:
            try:
                if key not in _open:
                    _open[key] = _File(self._path)
                self._file = _open[key]
            except OSError as error:
                raise unwritable(self._path, error) from error
            self._file.users += 1
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._mine):
            self.release(name)
        with _guard:
            self._file.users -= 1
            if not self._file.users:
                del _open[os.path.realpath(self._path)]
                os.close(self._file.descriptor)

    def take(self, name: str) -> bool:
        """Claim a name; False if another run has it."""
        place = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:7], "big")
        with _guard:
            if place in self._file.taken or not self._lock(place):
                return False
            self._file.taken.add(place)
        self._mine[name] = place
        return True

    def release(self, name: str) -> None:
        """Give a name back that was claimed."""
        place = self._mine.pop(name)
        with _guard:
            self._file.taken.discard(place)
            if fcntl:
                fcntl.lockf(self._file.descriptor, fcntl.LOCK_UN, 1, place)

    def _lock(self, place: int) -> bool:
        if fcntl is None:
            return True  # Windows: two runs on one folder are not kept apart
        try:
            fcntl.lockf(self._file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            raise OutputError(
                f"{self._path} cannot be locked ({error.strerror})",
                hint="Name a place for the ledger where files can be locked: --ledger DIR.",
            ) from error
        return True
