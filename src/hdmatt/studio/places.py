"""Where the studio keeps its journals, and which files it may open.

id_of          what a picture is called in addresses
port_of        the port that a picture's server takes where it is free
journal_of     the journal of a picture: beside it, or in the user's folder of states
locked_file    a file for one program at a time
free_bytes     room on a folder's disk
below          a file below a folder, or None
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from hdmatt.errors import InputError, OutputError
from hdmatt.system.files import make_folder


def id_of(picture: Path) -> str:
    """What a picture is called in addresses: always the same, so that a page which outlives its server never paints
    into another picture."""
    return hashlib.sha256(os.fsencode(picture.resolve())).hexdigest()[:12]


def port_of(picture: Path) -> int:
    """The port that a picture's server takes where it is free: always the same, so that a page which outlives its
    server finds the next one. Below those that systems give to programs (from 32768 on)."""
    first, many = 30000, 2000
    return first + int(id_of(picture), 16) % many


def journal_of(picture: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """The journal of a picture: `.NAME.hdmatt-journal` beside it, or in the user's state folder.

    The second where the picture's folder is not writable. One that is there already is kept, wherever it is.

    Raises:
        OutputError: The state folder cannot be made.
    """
    whole = picture.resolve()
    beside = whole.with_name(f".{whole.name}.hdmatt-journal")
    base = environment.get("XDG_STATE_HOME") or environment.get("LOCALAPPDATA")
    folder = (Path(base) if base else Path.home() / ".local" / "state") / "hdmatt" / "journals"
    elsewhere = folder / f"{hashlib.sha256(os.fsencode(whole)).hexdigest()[:16]}.{whole.name}.hdmatt-journal"
    if beside.exists() or (os.access(whole.parent, os.W_OK) and not elsewhere.exists()):
        return beside
    make_folder(folder)
    return elsewhere


def locked_file(path: Path) -> FileLock:
    """Reserve a file until the lock is released or the process ends.

    Raises:
        InputError: Another program has it.
        OutputError: Nothing can be locked there.
    """
    lock = FileLock(f"{path}-lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"another studio has {path} open", hint="Paint in that one, or stop it first: Ctrl-C in its terminal."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise OutputError(f"{path} cannot be locked ({error})", hint="Choose another folder.") from error
    return lock


def free_bytes(folder: Path) -> float:
    """Room on the disk of a folder; infinite where nobody knows."""
    try:
        return float(shutil.disk_usage(folder).free)
    except OSError:
        return float("inf")


def below(root: Path | None, path: str) -> Path | None:
    """The file that a path names, if it lies below a folder once all links are followed."""
    if root is None or "\0" in path:
        return None
    whole = root.resolve()
    try:
        found = (whole / path).resolve()
    except (OSError, RuntimeError, ValueError):  # a circle of links
        return None
    return found if found.is_relative_to(whole) and found.is_file() else None
