"""A manifest: a CSV or JSON-lines file that says which trimap, outputs and options each picture has.

read_manifest    the file -> pictures, with what was wrong in it

CSV may be separated by commas, semicolons or tabs. Columns (CSV) or keys (JSON): picture, and trimap or mask; any
output by its name in `Outputs` (alpha, cutout, ...), as a path below the batch's folder or a template; and options of
the picture alone. Paths are relative to the manifest.
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from hdmatt.batching.entry import Problem, shown
from hdmatt.batching.find import Found
from hdmatt.batching.templates import check_template, is_template
from hdmatt.batching.urls import is_file, is_url, joined, read
from hdmatt.errors import InputError

FILES = ("picture", "trimap", "mask")
_YES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", tuple: "two numbers"}


@dataclass(frozen=True)
class Line:
    """A picture as a line of a manifest has it."""

    found: Found
    trimap: PurePath | None
    mask: PurePath | None
    outputs: dict[str, str] = field(default_factory=dict[str, str])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


def read_manifest(
    path: PurePath, *, outputs: Sequence[str], settings: Mapping[str, type]
) -> tuple[list[Line], list[Problem]]:
    """The pictures of a manifest in its order.

    Args:
        outputs: Names of outputs that may be columns.
        settings: Options that may be columns, with their types.

    Returns:
        The pictures, and the lines that cannot be used.

    Raises:
        InputError: The file cannot be read, or is neither CSV with a header nor JSON lines.
    """
    try:
        text = read(path).decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read ({error.strerror or error})", hint="Check its name.") from error
    rows = list(_json_rows(text, path) if text.lstrip().startswith("{") else _csv_rows(text, path))
    known = {*FILES, *outputs, *settings}
    lines, problems, told = list[Line](), list[Problem](), set[str]()
    for number, row in rows:
        where = f"{shown(path)}, line {number}"
        unknown = sorted(set(row) - known)
        wrong = _not_texts(row, (*FILES, *outputs)) or _wrong_templates(row, outputs)
        if unknown and unknown[0] not in told:
            told.add(unknown[0])  # of a CSV file it would be every line
            named = f"{unknown[0]!r} is not one of: {', '.join(sorted(known))}"
            problems.append(Problem("manifest", f"{where}: {named}"))
        elif unknown:
            continue
        elif wrong:
            problems += [Problem("manifest", f"{where}: {text}") for text in wrong]
        elif not row.get("picture"):
            problems.append(Problem("manifest", f"{where} names no picture"))
        elif bool(row.get("trimap")) == bool(row.get("mask")):
            problems.append(Problem("manifest", f"{where} needs either a trimap or a mask"))
        else:
            own, wrong = _settings(row, settings)
            problems += [Problem("manifest", f"{where}: {text}") for text in wrong]
            line = _line(row, path.parent, outputs, own)
            lines.append(line)
            files = [file for file in (line.found.path, line.trimap, line.mask) if file and not is_file(file)]
            problems += [Problem("missing", f"{where}: {shown(file)} is no file") for file in files]
    return lines, problems


def _csv_rows(text: str, path: PurePath) -> Iterator[tuple[int, dict[str, Any]]]:
    first = text.lstrip().partition("\n")[0]
    if not first.strip() or first.startswith("["):
        got = "a JSON array" if first else "empty"
        hint = "Write CSV with a header, or one JSON object a line without brackets around them."
        raise InputError(f"{shown(path)} is {got}, we need a manifest", hint=hint)
    separator = next((one for one in ",;\t" if one in first), ",")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise InputError(
                    f"{shown(path)}, line {reader.line_num} has not as many cells as the header",
                    hint="Quote cells that hold commas.",
                )
            yield reader.line_num, {name.strip(): cell for name, cell in row.items() if cell != ""}
    except csv.Error as error:
        raise InputError(f"{shown(path)}, line {reader.line_num}: {error}", hint="Write CSV with a header.") from error


def _json_rows(text: str, path: PurePath) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{shown(path)}, line {number}: {error}", hint="Write one JSON object a line.") from error
        if not isinstance(row, dict):
            raise InputError(f"{shown(path)}, line {number} is no object", hint="Write one JSON object a line.")
        yield number, {str(key): value for key, value in row.items() if value is not None}


def _not_texts(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Files of a line that are no texts, which JSON may have."""
    wrong = (name for name in names if not isinstance(row.get(name, ""), str))
    return [f"{name} is {row[name]!r}, it must be a text" for name in wrong]


def _wrong_templates(row: Mapping[str, Any], outputs: Sequence[str]) -> list[str]:
    """Templates of a line with fields that we do not know."""
    wrong: list[str] = []
    for name in (name for name in outputs if is_template(row.get(name, ""))):
        try:
            check_template(row[name], several=False)
        except InputError as error:
            wrong.append(f"{name}: {error.message}")
    return wrong


def _settings(row: Mapping[str, Any], types: Mapping[str, type]) -> tuple[dict[str, Any], list[str]]:
    """The options of a line as values of their types, and those that are none."""
    own: dict[str, Any] = {}
    wrong: list[str] = []
    for name in (name for name in types if name in row):
        kind, value = types[name], row[name]
        try:
            if kind is tuple:
                own[name] = [float(one) for one in (value.split() if isinstance(value, str) else value)]
            elif kind is bool:
                own[name] = _YES[str(value).lower()]
            else:
                own[name] = _exactly(kind, value)
        except (KeyError, TypeError, ValueError):
            wrong.append(f"{name} is {value!r}, it must be {_KINDS.get(kind, kind.__name__)}")
    return own, wrong


def _exactly(kind: type, value: Any) -> Any:
    """A number or text of that type, where nothing is lost.

    Raises:
        TypeError, ValueError: Something would be.
    """
    if isinstance(value, bool | list | dict):
        raise TypeError
    made = kind(value)
    if not isinstance(value, str) and kind is int and made != value:
        raise ValueError
    return made


def _line(row: Mapping[str, Any], base: PurePath, outputs: Sequence[str], settings: dict[str, Any]) -> Line:
    given = str(row["picture"])
    whole = Path(os.path.normpath(given))
    inside = "" if is_url(given) or whole.is_absolute() or ".." in whole.parts else whole.parent.as_posix()
    found = Found(base, "" if inside == "." else inside, joined(base, given))
    trimap, mask = (joined(base, str(row[kind])) if row.get(kind) else None for kind in ("trimap", "mask"))
    named = {name: str(row[name]) for name in outputs if name in row}
    return Line(found, trimap, mask, named, settings)
