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

import os
import stat
import threading
from collections.abc import Generator
from contextlib import contextmanager
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
    descriptor: "_Descriptor | None" = None  # open as long as the input may read


def open_input(path: Path, *, raw: bool = False) -> Opened:
    """Open a file for reading; straight alpha comes straight.

    Args:
        raw: Whether the inks of a TIFF come as they are, and not as RGB.

    Raises:
        InputError: The file is missing, closed to us, no regular file, empty, or no picture.
    """
    check_readable(path)
    name, descriptor = _name(path)
    source = _open(name, raw=raw)
    reason = complaint_of(openimageio()) if source is None else ""
    beyond = _SIZE_LIMIT in reason
    if beyond:
        with size_limit(lifted=True):
            source = _open(name, raw=raw)
            reason = complaint_of(openimageio())
    # "null" makes pictures out of nothing for any file of that name
    if source is None or source.format_name() in ("null", "term"):
        reason = first_line(reason).replace(name, path.name)
        raise InputError(
            f"{path} is not a picture that we can read ({reason or 'unknown format'})",
            hint="We need PNG, JPEG, TIFF, EXR, WebP, AVIF or HEIC.",
        )
    return Opened(source, complaint_of(source), beyond, descriptor)


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


class _Descriptor:
    """A file that is open as long as this object lives."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self.number)


def _name(path: Path) -> tuple[str, _Descriptor | None]:
    """What OpenImageIO opens, which takes UTF-8 only; a file of another name is opened by us."""
    try:
        return os.fsencode(path).decode(), None
    except UnicodeDecodeError:
        descriptor = _Descriptor(path)
        return f"/dev/fd/{descriptor.number}", descriptor


def _open(name: str, *, raw: bool) -> Any:
    config = openimageio().ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    if raw:
        config.attribute("oiio:RawColor", 1)
    return openimageio().ImageInput.open(name, config)


def check_readable(path: Path) -> None:
    """Refuse what is no regular file that we may read.

    Raises:
        InputError: It is missing, closed to us, a folder, a device or empty.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL byte
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise InputError(f"{path} does not exist", hint="Check the spelling and the folder.") from error
        raise InputError(
            f"{path} cannot be read ({getattr(error, 'strerror', error)})", hint="Check the path and permissions."
        ) from error
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
