"""Inputs, outputs and problems of a batch, before any picture is read.

Collected    the pictures of a batch, what a user should be told, and what is wrong
Request      what a caller asked for
collect      a request -> the pictures, and all that is wrong
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePath

from hdmatt.batching.entry import Entry, Problem, shown
from hdmatt.batching.find import Found, find, find_listed
from hdmatt.batching.ledger import Ledger
from hdmatt.batching.manifest import Line, read_manifest
from hdmatt.batching.options import BatchOptions
from hdmatt.batching.pairs import pair
from hdmatt.batching.sequences import frame_ranges, missing_frames, numbered, parse_frames
from hdmatt.batching.shard import parse_shard
from hdmatt.batching.templates import check_template, filled
from hdmatt.batching.urls import exists, forget, is_url, path_of
from hdmatt.errors import InputError, plural

NAME_BYTES = 255  # of a file name, on nearly every file system


@dataclass(frozen=True)
class Request:
    """What a caller asked for.

    Attributes:
        inputs: Folders, files and patterns, or names of a list.
        results: The folder of results.
        templates: Output -> template.
        options: See `BatchOptions`.
        outputs, settings: Names of outputs, and names and types of options, that a manifest may have.
        check: Raises an InputError for outputs and options of a manifest's picture that cannot be used.
    """

    inputs: Sequence[str]
    results: PurePath
    templates: Mapping[str, str]
    options: BatchOptions
    outputs: Sequence[str] = ()
    settings: Mapping[str, type] = field(default_factory=dict[str, type])
    check: Callable[[Entry], None] = lambda _: None


@dataclass(frozen=True)
class Collected:
    """The pictures of a batch, what a user should be told (missing frames, pictures left out), and what is wrong."""

    entries: list[Entry]
    notes: list[str]
    problems: list[Problem]


def collect(request: Request, ledger: Ledger) -> Collected:
    """The pictures of a batch with their trimaps and outputs; the same ones on every run.

    Raises:
        InputError: The request itself makes no sense.
    """
    options, results, templates = request.options, request.results, request.templates
    for template in templates.values():
        check_template(template)
    forget()
    notes: list[str] = []
    if options.manifest is not None:
        if request.inputs:
            raise InputError("both inputs and a manifest were given", hint="Give one of the two.")
        lines, problems = read_manifest(path_of(options.manifest), outputs=request.outputs, settings=request.settings)
        notes += [] if lines or problems else [f"{shown(options.manifest)} names no picture"]
    else:
        found, problems = _found(request.inputs, results, options, notes)
        found = _without_outputs(found, results, templates, ledger, notes)
        pairs, unpaired = pair(found, trimaps=_path(options.trimaps), masks=_path(options.masks))
        if options.skip_unmatched:
            notes += [f"left out: {problem.text}" for problem in unpaired if problem.kind == "unmatched"]
            unpaired = [problem for problem in unpaired if problem.kind != "unmatched"]
        problems += unpaired
        lines = [Line(one.found, one.trimap, one.mask) for one in pairs]
    lines, lost = _frames(lines, options, notes)
    entries = [_entry(line, results, templates) for line in lines]
    problems += lost + _unusable(entries, request) + _collisions(entries)
    entries = _shard(entries, options)
    if not options.overwrite:
        problems += _existing(entries, ledger)
    return Collected(entries, notes, problems)


def _found(
    inputs: Sequence[str], results: PurePath, options: BatchOptions, notes: list[str]
) -> tuple[list[Found], list[Problem]]:
    if options.listed:
        notes += [] if inputs else ["the list names no picture"]
        return find_listed(inputs, _path(options.root))
    if not inputs:
        raise InputError("there are no pictures: no input was given", hint="Give folders, files, patterns, or a list.")
    for folder, option in ((options.trimaps, "--trimaps"), (options.masks, "--masks")):
        if folder is not None and not is_url(folder) and not os.path.isdir(folder):
            raise InputError(f"{option} {shown(folder)} is no folder", hint="Check its name.")
    skip = [folder for folder in (results, _path(options.trimaps), _path(options.masks)) if folder is not None]
    for one in inputs:
        for folder, option in ((options.trimaps, "--trimaps"), (options.masks, "--masks")):
            if folder is not None and os.path.realpath(folder) == os.path.realpath(one):
                raise InputError(
                    f"{option} {shown(folder)} is the folder of the pictures",
                    hint="Leave it out: trimaps beside pictures are found by NAME_trimap.png.",
                )
    passed = Counter[str]()
    found = find(inputs, skip, passed)
    if passed:
        kinds, number = " ".join(sorted(passed)), plural(passed.total(), "file")
        notes.append(f"left out: {number} of kinds that are not sought in folders: {kinds}")
    return found


def _without_outputs(
    found: list[Found], results: PurePath, templates: Mapping[str, str], ledger: Ledger, notes: list[str]
) -> list[Found]:
    """The pictures without those that a batch wrote here, or would write."""
    written = {_place(path) for path in ledger.outputs}
    for one in found:
        written |= {_place(filled(template, one, results)) for template in templates.values()} - {_place(one.path)}
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
    bare = [line.found.path for frame, line in number if not frame]
    problems = [Problem("unnumbered", f"{shown(path)} has no frame number", (str(path),)) for path in bare]
    asked = None if wanted is None else set(wanted)
    kept = [line for frame, line in number if frame and (asked is None or int(frame) in asked)]
    names = [os.path.splitext(line.found.name)[0] for line in (lines if wanted is not None else kept)]
    for sequence, missing in missing_frames(names, wanted).items():
        text = f"{shown(sequence)} lacks {plural(len(missing), 'frame')}: {frame_ranges(missing)}"
        if wanted is None:
            notes.append(text)
        else:
            problems.append(Problem("frames", text))
    return kept, problems


def _entry(line: Line, results: PurePath, templates: Mapping[str, str]) -> Entry:
    found = line.found
    named = line.outputs or templates
    outputs = {kind: filled(template, found, results) for kind, template in named.items()}
    trimap, mask = (None if file is None else os.fspath(file) for file in (line.trimap, line.mask))
    return Entry(found.name, os.fspath(found.path), trimap, mask, outputs, line.settings)


def _unusable(entries: Sequence[Entry], request: Request) -> list[Problem]:
    """Pictures of a manifest whose own outputs or options cannot be used."""
    found: list[Problem] = []
    for entry in entries if request.options.manifest is not None else ():
        try:
            request.check(entry)
        except InputError as error:
            found.append(Problem("manifest", f"{shown(entry.picture)}: {error.message}", (entry.picture,)))
    return found


def _collisions(entries: Sequence[Entry]) -> list[Problem]:
    """Outputs that two pictures share or that are an input, names that two pictures share, names that are too long."""
    read = {_place(path) for entry in entries for path in entry.inputs().values()}
    writers: dict[str, list[str]] = defaultdict(list)
    named: dict[str, list[str]] = defaultdict(list)
    written: dict[str, str] = {}
    found: list[tuple[str, list[str]]] = []
    for entry in entries:
        named[entry.name].append(entry.picture)
        for output in entry.outputs.values():
            writers[_place(output)].append(entry.picture)
            written[_place(output)] = output
            if _place(output) in read:
                found.append((f"{shown(output)} would be written over, but it is read", [entry.picture]))
            if len(os.fsencode(os.path.basename(output))) > NAME_BYTES:
                found.append((f"{shown(output)} has a name of more than {NAME_BYTES} bytes", [entry.picture]))
    for place, pictures in writers.items():
        if len(pictures) > 1:
            several = ", ".join(map(shown, dict.fromkeys(pictures)))
            by = f"by several pictures: {several}" if len(set(pictures)) > 1 else f"more than once for {several}"
            found.append((f"{shown(written[place])} would be written {by}", pictures))
    for name, pictures in named.items():
        if len(pictures) > 1 and not found:
            several = ", ".join(map(shown, pictures))
            found.append((f"the name {shown(name)} stands for several pictures: {several}", pictures))
    return [Problem("collision", text, tuple(pictures)) for text, pictures in found]


def _shard(entries: list[Entry], options: BatchOptions) -> list[Entry]:
    if options.shard is None:
        return entries
    shard = parse_shard(options.shard)
    return [entry for entry in entries if shard.has(entry.name)]


def _existing(entries: Sequence[Entry], ledger: Ledger) -> list[Problem]:
    """Outputs that are there and that no batch wrote. The ledger is read after the disk: others may be at work."""
    there = [(path, entry) for entry in entries for path in entry.outputs.values() if exists(path)]
    ledger.refresh()
    known = {_place(path) for path in ledger.outputs}
    strange = [(path, entry) for path, entry in there if _place(path) not in known]
    return [Problem("existing", f"{shown(path)} is there, and not by a batch", (one.picture,)) for path, one in strange]


def _place(path: str | os.PathLike[str]) -> str:
    """The path with its folder's links resolved: two spellings of one place are equal."""
    if is_url(path):
        return os.fspath(path)
    folder, name = os.path.split(path)
    return f"{_real(folder if os.path.isabs(folder) else os.path.abspath(folder))}{os.sep}{name}"


@cache
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _path(path: str | os.PathLike[str] | None) -> PurePath | None:
    return None if path is None else path_of(path)
