"""Files: atomic replacement, checksums, folders, locks, safe names. Knows nothing of what is in them.

    replacing             a file that is complete or as it was before
    replacing_folder      the same for a folder
    write_text_atomic     the same for a text
    append_text           a text at the end of a file
    digest                the SHA-256 of a file
    make_folder           a folder and those above it
    locked                a folder for one process at a time
    slug                  a text as a file name

A file that is more than a block of code is written with system/hidden.py.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from hdmatt.errors import InputError, OutputError
from hdmatt.system.hidden import HiddenFile, hidden_name, unwritable


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """An empty hidden file beside `path` to write to. It replaces `path` at the end of the block.

    If the block raises, the hidden file is removed and `path` stays as it was.

    Raises:
        OutputError: The operating system refuses to write or to rename.
    """
    with HiddenFile(path) as hidden:
        try:
            yield hidden.path
        except OSError as error:
            if _names_another(error, hidden.path):
                raise
            raise unwritable(path, error) from error
        hidden.publish()


@contextmanager
def replacing_folder(folder: Path) -> Generator[Path]:
    """A new hidden folder beside `folder` to write to. It takes the name `folder` at the end of the block.

    If the block raises, the hidden folder is removed. Of several that make one folder at a time, each writes into its
    own and the first to finish wins.

    Raises:
        OutputError: `folder` exists already, at the start or at the end, or the operating system refuses to write.
    """
    hidden = hidden_name(folder)
    if folder.exists():
        raise _exists(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield hidden
        if folder.exists():  # a rename may replace an empty folder
            raise _exists(folder)
        os.rename(hidden, folder)
    except OSError as error:
        if _names_another(error, hidden):
            raise
        raise (_exists(folder) if folder.exists() else unwritable(folder, error)) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def write_text_atomic(path: Path, text: str) -> None:
    """Replace a file by a text in UTF-8.

    Raises:
        OutputError: There is no room, or no right to write.
    """
    with replacing(path) as hidden:
        hidden.write_text(text, encoding="utf-8")


def append_text(path: Path, text: str) -> None:
    """Add a text to a file, which is made if missing.

    Raises:
        OutputError: There is no room, or no right to write.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise unwritable(path, error) from error


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes as sha256sum prints it, read in pieces.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})", hint="Check its name and permissions.") from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be made ({error.strerror})", hint="Choose another folder.") from error


@contextmanager
def locked(folder: Path, *, user: str) -> Generator[None]:
    """Reserve a folder, made if missing, for the block. A process that dies leaves no lock.

    A folder that is made here and is still empty at the end of the block is removed.

    Args:
        user: Who else may hold the lock, for the message: "another evaluation".

    Raises:
        InputError: Another process holds the lock.
        OutputError: The folder cannot be made, or nothing can be locked there.
    """
    from filelock import FileLock, Timeout  # here, because it loads asyncio

    made = not folder.exists()
    make_folder(folder)
    path = folder / ".lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"{user} writes to {folder}", hint="Wait until it has finished, or choose another folder."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise OutputError(
            f"{path} cannot be locked ({error})", hint="Check its permissions, or choose another folder."
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            if made and {one.name for one in folder.iterdir()} <= {path.name}:
                path.unlink()
        lock.release()
        if made:
            with suppress(OSError):  # not empty: it is in use
                folder.rmdir()


def slug(text: str) -> str:
    """A file name for a text; two texts never share one."""
    plain = re.sub(r"[^\w.-]+", "_", text)
    if plain == text and plain.strip("."):
        return plain
    return f"{plain.strip('._')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _exists(folder: Path) -> OutputError:
    return OutputError(f"{folder} exists already", hint="Name a folder that is not there, or delete this one.")


def _names_another(error: OSError, hidden: Path) -> bool:
    """Whether the error is about a file that is neither the hidden one nor inside of it: one that the block read."""
    if not isinstance(error.filename, str | bytes):
        return False
    named = Path(os.fsdecode(error.filename))
    return named != hidden and hidden not in named.parents
