"""OpenImageIO, which decodes and encodes for us: loaded when the first file is opened.

Knows which files may be opened; nothing of what is in them.

    openimageio           the library
    open_input, Opened    a file opened for reading
    check_readable        refuses what is no regular file that we may read
    size_limit            a block in which such a file may be read
    complaint_of          the library's complaint, whatever bytes are in it
    first_line            the first line of a complaint of the library

OpenImageIO refuses pictures larger than the machine's memory. We stream, and bound a picture by its pixels
(`max_pixels`), in the user's words. That limit is a setting of the whole process, and other code of the process may
rely on it. So it is lifted only for files that it refuses, while they are opened and read, and then put back.
"""

import atexit
import hashlib
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hdmatt.errors import InputError

_SIZE_LIMIT = "limits:imagesize_MB"


@cache
def openimageio() -> Any:
    """The library; two tenths of a second the first time."""
    import OpenImageIO

    return OpenImageIO


class Opened(NamedTuple):
    """A file opened for reading."""

    input: Any  # OpenImageIO's ImageInput
    complaint: str  # on the way: progressive JPEG is read right there
    beyond: bool  # larger than OpenImageIO's limit of size


def open_input(path: Path) -> Opened:
    """Open a file for reading; straight alpha comes straight.

    Raises:
        InputError: The file is missing, closed to us, no regular file, empty, or no picture.
    """
    check_readable(path)
    source = _open(path)
    reason = complaint_of(openimageio()) if source is None else ""
    beyond = _SIZE_LIMIT in reason
    if beyond:
        with size_limit(lifted=True):
            source = _open(path)
            reason = complaint_of(openimageio())
    # "null" makes pictures out of nothing for any file of that name
    if source is None or source.format_name() in ("null", "term"):
        reason = first_line(reason).replace(str(path), path.name)
        raise InputError(
            f"{path} is not a picture that we can read ({reason or 'unknown format'})",
            hint="We need PNG, JPEG, TIFF, EXR, WebP, AVIF or HEIC.",
        )
    return Opened(source, complaint_of(source), beyond)


def check_readable(path: Path) -> None:
    """Refuse what is missing, closed to us, no regular file, or empty."""
    try:
        status = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise InputError(f"{path} does not exist", hint="Check the spelling and the folder.") from error
        raise InputError(f"{path} cannot be read ({error.strerror})", hint="Check the path and permissions.") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a folder, we need a picture file", hint="Name one of the pictures in it.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"{path} is not a regular file, we need one that can be read twice", hint="Save it to a file first."
        )
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} cannot be read (permission denied)", hint=f"Allow it: chmod u+r {path}")
    if status.st_size == 0:
        raise InputError(f"{path} is empty (0 bytes), we need a picture", hint="Copy or download it again.")


class _Lifted:
    """How many threads have lifted the limit of size, and what it was before the first of them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.threads, self.found = 0, 0


_lifted = _Lifted()


@contextmanager
def size_limit(*, lifted: bool) -> Generator[None]:
    """A block in which OpenImageIO has no limit of size, or the one it has, for any number of threads at once."""
    if not lifted:
        yield
        return
    with _lifted.lock:
        if not _lifted.threads:
            _lifted.found = openimageio().get_int_attribute(_SIZE_LIMIT)
            openimageio().attribute(_SIZE_LIMIT, 0)
        _lifted.threads += 1
    try:
        yield
    finally:
        with _lifted.lock:
            _lifted.threads -= 1
            if not _lifted.threads:
                openimageio().attribute(_SIZE_LIMIT, _lifted.found)


def complaint_of(source: Any) -> str:
    """What the library or one of its files complains of; bytes of a damaged file that are no text are replaced."""
    try:
        return str(source.geterror())
    except UnicodeDecodeError as error:
        return error.object.decode(errors="replace")


def first_line(text: str | None) -> str:
    """The first line, without spaces around it; "" for None."""
    return (text or "").strip().split("\n")[0].strip()


def _open(path: Path) -> Any:
    config = openimageio().ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    return openimageio().ImageInput.open(_as_utf8(path), config)


def _as_utf8(path: Path) -> str:
    """A name that OpenImageIO takes: the path's own, or that of a link where it is not UTF-8."""
    with suppress(UnicodeEncodeError):
        str(path).encode()
        return str(path)
    absolute = os.path.abspath(path)
    suffix = path.suffix.encode("ascii", "ignore").decode()
    link = os.path.join(_links(), hashlib.sha256(os.fsencode(absolute)).hexdigest() + suffix)
    with suppress(FileExistsError):
        os.symlink(absolute, link)
    return link


@cache
def _links() -> str:
    """A folder for such links, removed when the process ends."""
    folder = tempfile.mkdtemp(prefix="hdmatt-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
