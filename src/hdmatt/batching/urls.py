"""Files that are named by URLs, as s3://bucket/picture.jpg: listed, looked at and copied by fsspec.

    Url             the name of a remote file, with the names and parents of a path
    path_of         a text -> a Url or a local path
    joined, normal  names below a folder
    filesystem      what opens a URL; refused where its package is missing
    is_file, exists, file_bytes, stamp_of    what is known of a local or remote file
    walk            a remote folder, as os.walk does it
    forget          look again
    opened, read, fetch, put

fsspec and the packages of its file systems (s3fs, gcsfs, adlfs, sshfs, ...) are loaded when a URL is met. Whatever they
raise becomes an OSError.
"""

import importlib
import os
import posixpath
import re
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, BinaryIO

from hdmatt.errors import HDMattError, InputError

READ_ONLY = ("http", "https")
ATOMIC = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl")  # an object is there as a whole or not at all
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_STAMPS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "Last-Modified", "updated", "modified", "created")

_listed: dict[str, dict[str, dict[str, Any]]] = {}  # folder -> its files; what was listed answers until `forget`


class Url(PurePosixPath):
    """The name of a remote file. Its text has the two slashes that a path would lose."""

    def __str__(self) -> str:
        return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]+):/(?!/)", r"\1://", super().__str__())


def is_url(name: str | os.PathLike[str]) -> bool:
    """Whether a name is a URL."""
    return _SCHEME.match(os.fspath(name)) is not None


def path_of(name: str | os.PathLike[str]) -> Path | Url:
    """A Url, or a local path; file:// is a local path, too.

    Raises:
        InputError: A URL without a host or bucket.
    """
    text = os.fspath(name)
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    if not is_url(text):
        return Path(text)
    if text.split("://", 1)[1].startswith("/"):
        raise InputError(f"{text} names no host or bucket", hint="Write scheme://bucket/name.")
    return Url(text)


def joined(base: PurePath, name: str) -> Path | Url:
    """A name below a folder, unless it is absolute or a URL."""
    if is_url(name) or os.path.isabs(name):
        return path_of(name)
    return path_of(os.fspath(base / name))


def normal(name: PurePath) -> str:
    """The name without "." and ".."."""
    text = os.fspath(name)
    found = _SCHEME.match(text)
    return found[0] + posixpath.normpath(text[found.end() :]) if found else os.path.normpath(text)


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the file's name in it.

    Raises:
        InputError: Its package is not installed, or the scheme is unknown.
    """
    try:
        core = importlib.import_module("fsspec.core")
    except ImportError as error:
        raise InputError(f"{url} needs the package fsspec", hint="Install it: pip install 'hdmatt[cluster]'") from error
    try:
        return core.url_to_fs(url)
    except ImportError as error:
        hint = f"{error}." if "nstall" in str(error) else f"Install the package of {url.split(':')[0]} for fsspec."
        hint = "Install it: pip install 'hdmatt[cluster]'" if url.startswith(("s3:", "s3a:")) else hint
        raise InputError(f"{url} needs a package that is not installed", hint=hint) from error
    except ValueError as error:
        raise InputError(f"{url}: {error}", hint="Name a scheme that fsspec knows, as s3://.") from error


def check_writable(url: str) -> None:
    """Refuse a URL that cannot be written to.

    Raises:
        InputError: It can only be read, or its package is not installed.
    """
    filesystem(url)
    if url.split("://")[0] in READ_ONLY:
        raise InputError(f"{url} can only be read", hint="Write to a folder or a bucket.")


def is_file(path: PurePath) -> bool:
    """Whether a local or remote file is there.

    Raises:
        InputError: Nobody can tell: no network, no rights.
    """
    if not is_url(path):
        return os.path.isfile(path)
    try:
        found = _look(str(path))
    except OSError as error:
        raise _unseen(str(path), error) from error
    return found is not None and found.get("type") != "directory"


def exists(path: str) -> bool:
    """Whether something is there; the remote folder is listed once for all its files."""
    if not is_url(path):
        return os.path.lexists(path)
    folder = path.rpartition("/")[0]
    if folder not in _listed:
        _list(folder)
    return path.rpartition("/")[2] in _listed[folder]


def file_bytes(path: str) -> int:
    """Bytes of a local or remote file.

    Raises:
        OSError: It is not there.
    """
    return int(_known(path)["size"]) if is_url(path) else os.stat(path).st_size


def stamp_of(path: str) -> str:
    """Size, and time or ETag, of a file: equal as long as the file does not change.

    Raises:
        OSError: It is not there.
    """
    if not is_url(path):
        status = os.stat(path)
        return f"{status.st_size}-{status.st_mtime_ns}"
    found = _known(path)
    changes = next((str(found[name]) for name in _STAMPS if found.get(name) is not None), "")
    return f"{found['size']}-{changes}"


def walk(base: Url) -> Iterator[tuple[str, list[str], list[str]]]:
    """A folder and all below: its name, its folders, its files. Folders removed from the list are skipped.

    Raises:
        InputError: It cannot be listed, or holds a name with an empty part, which no path can have.
    """
    ahead = [str(base)]
    while ahead:
        top = ahead.pop()
        folders = _list(top)
        yield top, folders, list(_listed[top])
        ahead += [f"{top}/{folder}" for folder in reversed(folders)]


def forget(*urls: str) -> None:
    """Look again when asked about these files, or about all if none is named."""
    folders = {url.rpartition("/")[0] for url in urls if is_url(url)} if urls else set(_listed)
    for folder in folders:
        _listed.pop(folder, None)
        system, path = filesystem(folder)
        system.invalidate_cache(path)


@contextmanager
def opened(url: str) -> Generator[BinaryIO]:
    """A remote file to read from, a little at a time."""
    with _as_oserror(url):
        system, path = filesystem(url)
        with system.open(path, "rb", block_size=2**16) as file:
            yield file


def read(path: PurePath) -> bytes:
    """A local or remote file's bytes."""
    if not is_url(path):
        return Path(path).read_bytes()
    with _as_oserror(str(path)):
        system, inside = filesystem(str(path))
        return system.cat_file(inside)


def fetch(url: str, local: Path) -> None:
    """Copy a remote file here."""
    with _as_oserror(url):
        system, path = filesystem(url)
        system.get_file(path, os.fspath(local))


def put(local: Path, url: str) -> None:
    """Copy a file there, where it appears as a whole: by one upload, or under a hidden name that is then changed."""
    with _as_oserror(url):
        system, path = filesystem(url)
        place = path
        if url.split("://")[0] not in ATOMIC:
            folder = path.rpartition("/")[0]
            system.makedirs(folder, exist_ok=True)
            place = f"{folder}/.hdmatt-{secrets.token_hex(8)}"
        system.put_file(os.fspath(local), place)
        if place != path:
            system.mv(place, path)
        forget(url)
        there, here = file_bytes(url), local.stat().st_size
        if there != here:
            raise OSError(f"{url} has {there} bytes after {here} were written")


def _known(url: str) -> dict[str, Any]:
    found = _look(url)
    if found is None:
        raise FileNotFoundError(f"{url} is not there")
    if found.get("size") is None:
        raise OSError(f"{url} does not say its size")
    return found


def _look(url: str) -> dict[str, Any] | None:
    folder, _, name = url.rpartition("/")
    if folder in _listed:
        found = _listed[folder].get(name)
        if found is None or (found.get("size") is not None and any(found.get(one) is not None for one in _STAMPS)):
            return found
    with _as_oserror(url):
        system, path = filesystem(url)
        try:
            return system.info(path)
        except FileNotFoundError:
            return None


def _list(folder: str) -> list[str]:
    """List the files of a folder; returns its folders. One that is not there has none."""
    files, folders = dict[str, dict[str, Any]](), list[str]()
    try:
        with _as_oserror(folder):
            system, path = filesystem(folder)
            found = system.ls(path, detail=True)
    except FileNotFoundError:
        path, found = "", []
    except OSError as error:
        raise _unseen(folder, error) from error
    for one in found:
        name = str(one["name"])
        if name == path or (name == f"{path}/" and one["type"] != "directory"):
            continue  # some stores keep an empty object for a folder
        inside = name.rpartition("/")[2]
        if inside in ("", ".", ".."):
            raise InputError(f"{folder} holds a name with a part that is empty: {name!r}", hint="Rename it.")
        if one["type"] == "directory":
            folders.append(inside)
        else:
            files[inside] = one
    _listed[folder] = files
    return folders


def _unseen(url: str, error: OSError) -> InputError:
    return InputError(f"{url} cannot be looked at: {error}", hint="Check its name, your rights and the network.")


@contextmanager
def _as_oserror(url: str) -> Generator[None]:
    try:
        yield
    except (OSError, HDMattError):
        raise
    except Exception as error:  # each package has errors of its own
        raise OSError(f"{url}: {type(error).__name__}: {error}") from error
