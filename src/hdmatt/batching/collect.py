"""Everything that is known before a picture is opened: which pictures, which trimaps, which outputs, what is wrong.

Collected    the pictures of a batch, and what a user should be told
collect      inputs and options -> the pictures, or one error that lists all that is wrong
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from hdmatt.batching.entry import Entry, Problem, refuse, shown
from hdmatt.batching.find import Found, find, find_listed
from hdmatt.batching.ledger import Ledger
from hdmatt.batching.manifest import Line, read_manifest
from hdmatt.batching.options import BatchOptions
from hdmatt.batching.pairs import pair
from hdmatt.batching.sequences import frame_ranges, missing_frames, numbered, parse_frames
from hdmatt.batching.shard import parse_shard
from hdmatt.batching.templates import check_template, fill
from hdmatt.errors import InputError, plural

NAME_BYTES = 255  # of a file name, on nearly every file system


@dataclass(frozen=True)
class Collected:
    """The pictures of a batch, and what a user should be told: missing frames, pictures that were left out."""

    entries: list[Entry]
    notes: list[str]


def collect(
    inputs: Sequence[str],
    results: Path,
    templates: Mapping[str, str],
    options: BatchOptions,
    ledger: Ledger,
    *,
    settings: Sequence[str] = (),
) -> Collected:
    """The pictures of a batch with their trimaps and outputs; the same ones on every run.

    Args:
        inputs: Folders, files and patterns, or names of a list.
        results: The folder of results.
        templates: Output -> template; the first is the matte's or whatever is asked for.
        settings: Names of options that a manifest may have.

    Raises:
        InputError: Something does not fit; all of it is listed.
    """
    for template in templates.values():
        check_template(template)
    notes: list[str] = []
    if options.manifest is not None:
        if inputs:
            raise InputError("both inputs and a manifest were given", hint="Give one of the two.")
        lines, problems = read_manifest(Path(options.manifest), outputs=tuple(_KINDS(templates)), settings=settings)
    else:
        found, problems = _found(inputs, results, options)
        found = _without_outputs(found, results, templates, ledger, notes)
        pairs, unpaired = pair(found, trimaps=_path(options.trimaps), masks=_path(options.masks))
        if options.skip_unmatched:
            skipped = [problem for problem in unpaired if problem.kind == "unmatched"]
            notes += [f"left out: {problem.text}" for problem in skipped]
            unpaired = [problem for problem in unpaired if problem.kind != "unmatched"]
        problems += unpaired
        lines = [Line(one.found, one.trimap, one.mask) for one in pairs]
    lines, lost = _frames(lines, options, notes)
    entries = [_entry(line, results, templates) for line in lines]
    problems += lost + _collisions(entries)
    entries = _shard(entries, options)
    if not options.overwrite:
        problems += _existing(entries, ledger)
    refuse(problems)
    return Collected(entries, notes)


def _found(inputs: Sequence[str], results: Path, options: BatchOptions) -> tuple[list[Found], list[Problem]]:
    if not inputs:
        raise InputError("there are no pictures: no input was given", hint="Give folders, files, patterns, or a list.")
    if options.listed:
        return find_listed(inputs, _path(options.root))
    skip = [folder for folder in (results, _path(options.trimaps), _path(options.masks)) if folder is not None]
    for one in inputs:
        for folder, option in ((options.trimaps, "--trimaps"), (options.masks, "--masks")):
            if folder is not None and os.path.realpath(folder) == os.path.realpath(one):
                raise InputError(
                    f"{option} {shown(folder)} is the folder of the pictures",
                    hint="Leave it out: trimaps beside pictures are found by NAME_trimap.png.",
                )
    return find(inputs, skip)


def _without_outputs(
    found: list[Found], results: Path, templates: Mapping[str, str], ledger: Ledger, notes: list[str]
) -> list[Found]:
    """The pictures without those that a batch wrote here, or would write."""
    written = {_place(path) for path in ledger.outputs}
    for one in found:
        written |= {_place(fill(template, one, results)) for template in templates.values()} - {_place(one.path)}
    kept = [one for one in found if _place(one.path) not in written]
    if len(kept) < len(found):
        notes.append(f"left out: {plural(len(found) - len(kept), 'file')} that this batch writes")
    return kept


def _frames(lines: list[Line], options: BatchOptions, notes: list[str]) -> tuple[list[Line], list[Problem]]:
    """The lines of the wanted frames, and what is missing: a problem where frames were named, else a note."""
    if not options.sequence and options.frames is None:
        return lines, []
    wanted = parse_frames(options.frames) if options.frames is not None else None
    number = [(numbered(line.found.path.stem).frame, line) for line in lines]
    problems = [Problem("missing", f"{shown(line.found.path)} has no frame number") for frame, line in number if not frame]
    asked = None if wanted is None else set(wanted)
    kept = [line for frame, line in number if frame and (asked is None or int(frame) in asked)]
    names = [os.path.splitext(line.found.name)[0] for line in (lines if wanted is not None else kept)]
    for sequence, missing in missing_frames(names, wanted).items():
        text = f"{shown(sequence)} lacks {plural(len(missing), 'frame')}: {frame_ranges(missing)}"
        if wanted is None:
            notes.append(text)
        else:
            problems.append(Problem("missing", text))
    return kept, problems


def _entry(line: Line, results: Path, templates: Mapping[str, str]) -> Entry:
    found = line.found
    named = line.outputs or templates
    outputs = {kind: fill(template, found, results) for kind, template in named.items()}
    trimap, mask = (None if file is None else os.fspath(file) for file in (line.trimap, line.mask))
    return Entry(found.name, os.fspath(found.path), trimap, mask, outputs, line.settings)


def _collisions(entries: Iterable[Entry]) -> list[Problem]:
    """Outputs that two pictures share or that are an input, names that two pictures share, names that are too long."""
    entries = list(entries)
    read = {_place(path): path for entry in entries for path in entry.inputs().values()}
    writers: dict[str, list[str]] = defaultdict(list)
    named: dict[str, list[str]] = defaultdict(list)
    problems: list[Problem] = []
    for entry in entries:
        named[entry.name].append(entry.picture)
        for output in entry.outputs.values():
            place = _place(output)
            writers[place].append(entry.picture)
            if place in read:
                problems.append(Problem("collision", f"{shown(output)} would be written over, but it is read"))
            if len(os.fsencode(os.path.basename(output))) > NAME_BYTES:
                text = f"{shown(output)} has a name of more than {NAME_BYTES} bytes"
                problems.append(Problem("collision", text))
    for place, pictures in writers.items():
        if len(pictures) > 1:
            several = ", ".join(map(shown, pictures))
            problems.append(Problem("collision", f"{shown(place)} would be written by several pictures: {several}"))
    for name, pictures in named.items():
        if len(pictures) > 1 and not problems:
            several = ", ".join(map(shown, pictures))
            problems.append(Problem("collision", f"the name {shown(name)} stands for several pictures: {several}"))
    return problems


def _shard(entries: list[Entry], options: BatchOptions) -> list[Entry]:
    if options.shard is None:
        return entries
    shard = parse_shard(options.shard)
    return [entry for entry in entries if shard.has(entry.name)]


def _existing(entries: Sequence[Entry], ledger: Ledger) -> list[Problem]:
    """Outputs that are there and that no batch wrote. The ledger is read after the disk: others may be at work."""
    there = [path for entry in entries for path in entry.outputs.values() if os.path.lexists(path)]
    ledger.refresh()
    known = {_place(path) for path in ledger.outputs}
    strange = [path for path in there if _place(path) not in known]
    return [Problem("existing", f"{shown(path)} is there, and not by this batch") for path in strange]


def _place(path: str | os.PathLike[str]) -> str:
    """The path with its folder's links resolved: two spellings of one place are equal."""
    folder, name = os.path.split(os.fspath(path))
    return os.path.join(_real(folder), name)


@cache
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
