"""Files of a picture that is open in the studio: the trimap, and everything that `hdmatt matte` writes.

Knows names inside of one folder; never a path from a browser.

    file_in        a name -> the file in the folder
    Export         what is to be written
    run_export     write it
    PatchClock     seconds that are left
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hdmatt.errors import InputError, OutputError
from hdmatt.inference.outputs import Outputs, check_outputs
from hdmatt.studio.session import Session
from hdmatt.trimaps.make import check_trimap_path

FILES = ("alpha", "foreground", "cutout", "composite", "psd", "layered")


def file_in(folder: Path, name: str) -> Path:
    """The file of this name in a folder.

    Raises:
        InputError: The name is a path, hidden or empty.
    """
    plain = name.strip()
    if not plain or plain.startswith(".") or any(mark in plain for mark in "/\\:\0") or Path(plain).name != plain:
        raise InputError(f"{name!r} is not a file's name", hint="Give a name without folders, such as alpha.png.")
    return folder / plain


@dataclass(frozen=True)
class Export:
    """What is to be written: outputs of a matte, or the trimap, or both."""

    outputs: Outputs
    trimap: Path | None

    @classmethod
    def of(cls, session: Session, folder: Path, names: Mapping[str, Any], *, background: str | Path | None) -> "Export":
        """An export of names inside of a folder, checked before anything is computed.

        Args:
            names: By the fields of Outputs, and "trimap"; None: not written.

        Raises:
            InputError: No file, a name that is none, or a format that cannot hold it.
            OutputError: A file cannot be written.
        """
        known = {field.name for field in fields(Outputs)}
        files = {name: file_in(folder, names[name]) for name in FILES if names.get(name)}
        others = {name: value for name, value in names.items() if name in known - {*FILES} and value is not None}
        outputs = Outputs(**files, **others, background=background if "composite" in files else None)
        trimap = file_in(folder, names["trimap"]) if names.get("trimap") else None
        if not outputs.paths() and trimap is None:
            raise InputError("no file is to be written", hint="Name at least one.")
        inputs: list[str | Path] = [session.path] if session.path else []
        if outputs.paths():
            if session.path is None:
                raise InputError("the picture is an array", hint="Open a file.")
            check_outputs(outputs, session.path, trimap or session.path)
        if trimap is not None:
            check_trimap_path(trimap, inputs)
        return cls(outputs, trimap)

    def check_new(self, is_ours: Callable[[Path], bool]) -> None:
        """Refuse to write over files.

        Args:
            is_ours: Whether a trimap may be replaced.

        Raises:
            OutputError: A file is there already.
        """
        there = [path for path in self.outputs.paths() if path.exists()]
        if self.trimap is not None and self.trimap.exists() and not is_ours(self.trimap):
            there.append(self.trimap)
        if there:
            exist = "exists" if len(there) == 1 else "exist"
            raise OutputError(
                f"{', '.join(path.name for path in there)} {exist} already",
                hint="Choose another name, or tick: Replace the files that are there.",
            )

    def files(self) -> list[str]:
        """The names of what is written."""
        return [path.name for path in (*self.outputs.paths(), *([self.trimap] if self.trimap else []))]


def run_export(session: Session, export: Export, progress: Callable[[int, int], None]) -> None:
    """Write the files. The matte is that of a whole run on the trimap as it is now.

    Raises:
        OutputError: A file cannot be written. Where anything fails none of the files appears.
    """

    def matte() -> None:
        if export.outputs.paths():
            session.export(export.outputs, progress=progress)

    if export.trimap is None:
        matte()
    else:
        session.save_trimap(export.trimap, before=matte)


class PatchClock:
    """How many seconds the patches that are left take, by those that were done since the first look at it.

    As long as none is done the whole picture is looked at, which says nothing of the patches.
    """

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def left(self, done: int, of: int) -> float | None:
        """Seconds; None: nobody knows yet."""
        now = time.monotonic()
        if self._first is None or not done:
            self._first = done, now
        patches, seconds = done - self._first[0], now - self._first[1]
        return seconds / patches * (of - done) if patches else None
