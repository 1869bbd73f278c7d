"""The ledger of a folder of results: a row for each finished or failed picture. JSON lines, one file a writer.

LedgerRow    one line
Ledger       all rows of a folder, and the file that this process adds to
fingerprint  size and time (or ETag) of each input, and the settings' digest
settings_digest    the digest of everything else that the pixels depend on

A picture is done if its last row says so, the row's fingerprint is the one of now, and each output has the recorded
size. Rows are written to disk (fsync) before the next step, and a line that a crash cut short is passed over. Names
that are not UTF-8 keep their bytes: Python's os.fsencode gives them back.
"""

import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from hdmatt.batching.entry import Entry
from hdmatt.batching.urls import file_bytes, is_url, stamp_of
from hdmatt.system.files import make_folder
from hdmatt.system.hidden import unwritable

FOLDER = ".hdmatt"  # inside the folder of results
Fingerprint = dict[str, str]


@dataclass(frozen=True)
class LedgerRow:
    """A line of the ledger.

    Attributes:
        name: The picture, see `Entry.name`.
        state: "started", "done" or "failed".
        inputs: Size and time of each input, and the digest of the settings.
        outputs: Path below the folder of results -> size in bytes; while it is started, 0.
        seconds: How long it took.
        megapixels: Size of the picture; 0 if it is not known.
        smaller: Megapixels of the smaller picture that was matted first for an automatic trimap; 0 if none was.
        reason, hint: Why it failed, and what to do about it.
        again: The next run tries it again: what failed was the machine, not the picture.
        time: When, in nanoseconds since 1970.
        writer: Computer and process.
        version: Of hdmatt.
    """

    name: str
    state: str
    inputs: Fingerprint
    outputs: dict[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0
    megapixels: float = 0.0
    smaller: float = 0.0
    reason: str = ""
    hint: str = ""
    again: bool = False
    time: int = field(default_factory=time.time_ns)
    writer: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    version: str = ""

    def line(self) -> bytes:
        """The row as a line of the file."""
        return json.dumps(asdict(self)).encode() + b"\n"


class Ledger:
    """The rows of a folder of results, last ones first by their time, and the file that this process adds to.

    Args:
        results: The folder of results.
        folder: Where the ledger lies. None: in the folder of results, under `.hdmatt`.
    """

    def __init__(self, results: PurePath, folder: Path | None = None) -> None:
        self.results = results
        self.folder = Path(results / FOLDER) if folder is None else folder
        self.rows: dict[str, LedgerRow] = {}  # name -> its last row that is done or failed
        self.outputs: set[str] = set()  # every file that a batch wrote, or began to write, here
        self._read: dict[str, int] = {}  # file -> bytes that were read
        self._own: BinaryIO | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read what was added since the last look, by this process or by others."""
        try:
            files = sorted(one for one in os.listdir(self.folder) if one.endswith(".jsonl"))
        except OSError:
            return
        for name in files:
            path, before = self.folder / name, self._read.get(name, 0)
            if path.stat().st_size == before:
                continue
            with path.open("rb") as file:
                file.seek(before)
                data = file.read()
            whole = data.rfind(b"\n") + 1  # the rest is being written, or was cut short
            self._read[name] = before + whole
            for line in data[:whole].splitlines():
                self._take(line)

    def add(self, row: LedgerRow) -> None:
        """Write a row to the disk.

        Raises:
            OutputError: It cannot be written.
        """
        try:
            file = self._own or self._opened()
            file.write(row.line())
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self.folder, error) from error
        self._keep(row)

    def place(self, output: str) -> str:
        """An output as the ledger names it: below the folder of results if it lies there, with "/"."""
        if is_url(output):
            return output.removeprefix(f"{self.results}/")
        inside = os.path.relpath(output, self.results)
        return os.path.abspath(output) if inside.startswith("..") else Path(inside).as_posix()

    def standing(self, entry: Entry, inputs: Fingerprint) -> str:
        """State of a picture by the ledger and the disk.

        Returns:
            "new": no row; "changed": another fingerprint or other outputs than now; "gone": an output is missing or has
            another size; "failed"; "again": failed, but not because of the picture; "done".
        """
        row = self.rows.get(entry.name)
        if row is None:
            return "new"
        if row.inputs != inputs:
            return "changed"
        if row.state == "failed":
            return "again" if row.again else "failed"
        if set(row.outputs) != set(map(self.place, entry.outputs.values())):
            return "changed"
        sizes = (_size(self._whole(path)) == size for path, size in row.outputs.items())
        return "done" if all(sizes) else "gone"

    def close(self) -> None:
        """Close this process's file. Safe to call twice."""
        if self._own:
            self._own.close()
        self._own = None

    def _whole(self, place: str) -> str:
        return place if is_url(place) else os.path.join(self.results, place)

    def _opened(self) -> BinaryIO:
        make_folder(self.folder)
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        self._own = (self.folder / name).open("xb")
        with suppress(OSError):  # Windows opens no folders
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)  # the name of the new file, too
            finally:
                os.close(folder)
        return self._own

    def _take(self, line: bytes) -> None:
        try:
            found = json.loads(line)
            known = {one.name for one in fields(LedgerRow)}
            row = LedgerRow(**{key: value for key, value in found.items() if key in known})
        except (ValueError, TypeError, AttributeError):
            return  # a line that was damaged: its picture counts as not done
        self._keep(row)

    def _keep(self, row: LedgerRow) -> None:
        whole = map(self._whole, row.outputs)
        self.outputs.update(path if is_url(path) else os.path.abspath(path) for path in whole)
        before = self.rows.get(row.name)
        if row.state != "started" and (before is None or before.time <= row.time):
            self.rows[row.name] = row


def fingerprint(entry: Entry, settings: str) -> Fingerprint:
    """Size and time of change of each input, and the digest of the settings."""
    return {kind: _stamp(path) for kind, path in entry.inputs().items()} | {"settings": settings}


def settings_digest(settings: Mapping[str, Any] | Sequence[Any]) -> str:
    """A short digest of everything that JSON can hold, the same for equal settings."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stamp(path: str) -> str:
    try:
        return stamp_of(path)
    except OSError:
        return "missing"


def _size(path: str) -> int | None:
    try:
        return file_bytes(path)
    except OSError:
        return None
