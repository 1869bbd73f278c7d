"""Hidden files that take their place when they are complete. Knows nothing of what is in them.

    HiddenFile       a file that is written beside its place
    discard_all      removes those of this process that are not complete
    remove_stale     removes those that killed processes left in a folder
    place_of         where a path's file stands, once links are followed
    hidden_name      a random hidden name beside a path
    unwritable       the OutputError for an operating system's error

Names begin with `.hdmatt-` and are random. Files are created exclusively: in a folder that others can write to, nobody
can put a link at a name that we are about to open, and two writers of one file never meet. Their writer holds a lock
(flock) as long as it lives. So another run can tell those of the living from those of the dead.
"""

import os
import re
import secrets
import stat
import weakref
from contextlib import suppress
from errno import EINVAL, ENOTSUP
from pathlib import Path
from types import TracebackType

from hdmatt.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

_LIVING: "weakref.WeakSet[HiddenFile]" = weakref.WeakSet()
_NAME = re.compile(r"\.hdmatt-[0-9a-f]{16}(\.\w+)?")


class HiddenFile:
    """A file that is written beside its place under a hidden name, and takes the place when it is complete.

    Writing never raises. After the first failure everything is dropped, and `check` tells of it: so a library that
    cannot cope with errors never meets one. A context manager; a file that was not published is removed at the end.

    The file has the permissions of the one that it replaces, or of any new file. Links are followed: the file that they
    name is replaced, and the link stays. A hard link is not: other names of the old file keep the old file.

    Attributes:
        place: Where the file will stand; links are followed.
        path: Its hidden name, with the place's suffix.
        error: The first failure.

    Raises:
        OutputError: It cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._asked = path
        self._file = -1
        self.place = place_of(path)
        self.path = hidden_name(self.place)
        _LIVING.add(self)
        try:
            self._file = self._create()
            old = os.stat(self.place) if self.place.exists() else None
            if old and hasattr(os, "fchmod"):
                os.fchmod(self._file, stat.S_IMODE(old.st_mode) & 0o777)
        except OSError as error:
            self.discard()
            raise unwritable(path, error) from error

    def __enter__(self) -> "HiddenFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.discard()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes, or drop them after a failure."""
        rest = memoryview(data)
        while len(rest) and self.error is None:
            try:
                rest = rest[_write(self._file, rest) :]
            except OSError as error:
                self.error = error

    def write_at(self, offset: int, data: bytes) -> None:
        """Replace bytes that were written before; the end stays the end."""
        try:
            os.lseek(self._file, offset, os.SEEK_SET)
            self.write(data)
            os.lseek(self._file, 0, os.SEEK_END)
        except OSError as error:
            self.error = self.error or error

    def check(self) -> None:
        """Raise the first failure.

        Raises:
            OutputError: There was one.
        """
        if self.error is not None:
            raise unwritable(self._asked, self.error) from self.error

    def sync(self) -> None:
        """Wait until all is on the disk: a quota or a network file system may refuse what it seemed to take.

        Raises:
            OutputError: It is not, or something failed before.
        """
        self.check()
        try:
            _sync(self._file)
        except OSError as error:
            if error.errno not in (EINVAL, ENOTSUP):  # file systems that have no such thing
                self.error = error
        self.check()

    def publish(self) -> None:
        """Take the place, in one step.

        Raises:
            OutputError: The operating system refuses, or something failed before.
        """
        self.check()
        try:
            os.replace(self.path, self.place)
        except OSError as error:
            raise unwritable(self._asked, error) from error
        self._close()

    def become(self, other: "HiddenFile") -> None:
        """Take what another one of the same place holds; what this one held is removed."""
        assert self.place == other.place, (self.place, other.place)
        self.path, other.path = other.path, self.path
        self._file, other._file = other._file, self._file
        self.error, other.error = other.error, self.error
        other.discard()

    def discard(self) -> None:
        """Remove the file unless it was published. Safe to call twice."""
        if self._file >= 0:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        self._close()

    def _create(self) -> int:
        while True:
            # not mkstemp, whose files only their owner can read
            file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o666)
            _lock(file)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), os.lstat(self.path)):
                    return file
            os.close(file)  # another run took it for a stale one, before it was locked
            self.path = hidden_name(self.place)

    def _close(self) -> None:
        if self._file >= 0:
            with suppress(OSError):
                os.close(self._file)  # the lock goes with it
        self._file = -1


def discard_all() -> None:
    """Remove every hidden file of this process that was not published: before it ends with a thread that writes."""
    for file in list(_LIVING):
        file.discard()


def remove_stale(folder: Path) -> None:
    """Remove the hidden files in a folder whose writers are gone; those of living writers stay.

    Where files cannot be locked (Windows, some network file systems) nothing is removed.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if _NAME.fullmatch(entry.name)]:
            with suppress(OSError):
                _remove_unlocked(folder / name)


def place_of(path: Path) -> Path:
    """Where the file of a path stands, or will stand: links are followed, also one that leads to nothing yet."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def hidden_name(path: Path) -> Path:
    """A random hidden name beside `path`, with its suffix in small letters."""
    return path.with_name(f".hdmatt-{secrets.token_hex(8)}{path.suffix.lower()}")


def unwritable(path: Path, error: OSError) -> OutputError:
    """The OutputError that says why a path cannot be written."""
    return OutputError(
        f"{path} cannot be written ({error.strerror or error})",
        hint="Check the room on the disk and the folder's permissions, or write somewhere else.",
    )


def _write(file: int, data: memoryview) -> int:
    return os.write(file, data)


def _sync(file: int) -> None:
    os.fsync(file)


def _lock(file: int) -> bool:
    """Lock a file until it is closed; whether that was possible."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_unlocked(path: Path) -> None:
    file = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if stat.S_ISREG(os.fstat(file).st_mode) and _lock(file):
            path.unlink()
    finally:
        os.close(file)
