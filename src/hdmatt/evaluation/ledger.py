"""The record of an evaluation: finished rows, the checksum of their inputs, and the runs that computed them.

It lets a stopped evaluation continue. No metrics, no methods. The folder has two files of JSON lines that only grow:

    scores.jsonl    a ScoreRow for each matte
    runs.jsonl      a run for each call that computed a row: command, date, commit, machine, versions, settings

Read top to bottom:

    ScoreRow       the scores of one matte
    inputs_of      the checksum of the files behind a row; a row counts only while they are the same
    read_rows, read_runs, append    the two files
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hdmatt.errors import InputError
from hdmatt.evaluation.compose import Composition
from hdmatt.evaluation.testsets import Item
from hdmatt.system.files import append_text, digest, unwritable

ScoreKey = tuple[str, ...]  # method, options, data set, variant, name, inputs

_K, _T = TypeVar("_K"), TypeVar("_T")


@dataclass(frozen=True)
class ScoreRow:
    """One matte of one method, or why there is none; a line of scores.jsonl."""

    method: str
    options: str  # fingerprint: a row of another model or patch size is another row
    dataset: str
    variant: str
    name: str
    inputs: str = ""  # inputs_of: other files are another row; rows from before this field are scored again
    run: str = ""  # the line of runs.jsonl that says where it was computed; "": not recorded
    date: str | None = None  # when it was computed
    memory_limit: int | None = None  # bytes; None: by what was free, or the method has no limit of its own
    batch: int | None = None  # None: by the memory limit, or the method has none
    sad: float | None = None  # in thousands, as grad and conn
    mse: float | None = None  # as it is; printed times 1000
    grad: float | None = None
    conn: float | None = None
    mad: float | None = None
    seam: float | None = None  # only of methods that cut the picture, on their own borders
    seam_control: float | None = None  # only of others: the same on the borders of a grid
    seam_truth: float | None = None  # steps of the truth on those borders by its steps elsewhere
    borders: str = ""  # scores.PatchBorders.text: where the three were measured; "": nowhere
    seconds: float | None = None
    peak_memory: int | None = None  # bytes, of the process on the host, libraries and network included
    matte: str | None = None  # relative to the report's folder
    error: str | None = None
    note: str | None = None

    @property
    def key(self) -> ScoreKey:
        """Identity of a row: of rows with the same key the last one counts."""
        return self.method, self.options, self.dataset, self.variant, self.name, self.inputs


def inputs_of(item: Item, finished: Path | None = None, *, known: dict[Path, str] | None = None) -> str:
    """A checksum of the files behind a row: 16 hex digits.

    The start of the SHA-256 of a text with one line a file: its `digest`, or "-" where there is none. The files are
    picture, trimap, truth, finished matte, in this order; of a picture in parts foreground, alpha and background stand
    for the picture. Paths and dates do not count. Scripts may use it to fill in `ScoreRow.inputs`.

    Args:
        finished: The matte that a "folder:" method takes; None for the others.
        known: Digests by path, read and added to: within one run no file is read twice.

    Raises:
        InputError: A file cannot be read.
    """
    known = {} if known is None else known
    picture = item.picture
    parts = (picture.foreground, picture.alpha, picture.background) if isinstance(picture, Composition) else (picture,)
    lines: list[str] = []
    for path in (*parts, item.trimap, item.alpha, finished):
        if path is not None and path not in known:
            known[path] = digest(path)
        lines.append("-" if path is None else known[path])
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:16]


def read_rows(out: Path) -> dict[ScoreKey, ScoreRow]:
    """The rows of earlier runs, the last of each key; a last line that was cut off is removed from the file."""
    return _read(out / "scores.jsonl", lambda fields: ((row := ScoreRow(**fields)).key, row))


def read_runs(out: Path) -> dict[str, dict[str, Any]]:
    """Earlier runs by their names, as `read_rows`."""
    return _read(out / "runs.jsonl", lambda run: (str(run["run"]), run))


def append(path: Path, record: Mapping[str, Any]) -> None:
    """One more line.

    Raises:
        OutputError: There is no room, or no right to write.
    """
    append_text(path, json.dumps(record, allow_nan=False) + "\n")


def _read(path: Path, make: Callable[[dict[str, Any]], tuple[_K, _T]]) -> dict[_K, _T]:
    if not path.exists():
        return {}
    found: dict[_K, _T] = {}
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):  # the run that wrote it was killed
        try:
            os.truncate(path, path.stat().st_size - len(lines.pop()))  # the lines before it are never written again
        except OSError as error:
            raise unwritable(path, error) from error
    for number, line in enumerate(lines, 1):
        try:
            key, one = make(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"line {number} of {path} is not ours: {error}", hint="Remove the line, or choose another --out."
            ) from error
        found[key] = one
    return found
