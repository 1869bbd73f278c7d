"""One picture of a batch, and names that can be printed. Knows nothing of how pictures are found or computed.

Entry         a picture with its trimap or mask, its outputs and its own options
outputs_of    Outputs from plain values
Problem       what keeps a batch from starting
refuse        all problems as one error
shown         a file name that can be printed, whatever bytes it has
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from hdmatt.errors import InputError, plural
from hdmatt.inference.outputs import Outputs

LISTED = 30  # problems that an error names; it counts the others
_CONTROLS = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "'": "\\'", "\\": "\\\\"}


@dataclass(frozen=True)
class Entry:
    """A picture of a batch. Paths are texts, because some are URLs.

    Attributes:
        name: The picture's path below its input folder, with "/": what the ledger and `--shard` know it by.
        picture: The picture's file.
        trimap: Its trimap; None where it is made from the mask.
        mask: A mask that the trimap is made from.
        outputs: The files to write, by the names of `Outputs`: alpha, foreground, ...
        settings: Options of this picture alone, from a manifest.
    """

    name: str
    picture: str
    trimap: str | None
    mask: str | None = None
    outputs: dict[str, str] = field(default_factory=dict[str, str])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])

    def inputs(self) -> dict[str, str]:
        """The files that are read, by what they are."""
        files = {"picture": self.picture, "trimap": self.trimap, "mask": self.mask}
        return {kind: path for kind, path in files.items() if path is not None}


def outputs_of(plain: Mapping[str, Any]) -> Outputs:
    """Outputs from plain values, as JSON keeps them: its lists are tuples again."""
    values: dict[str, Any] = {
        name: tuple(cast("list[Any]", value)) if isinstance(value, list) else value for name, value in plain.items()
    }
    return Outputs(**values)


@dataclass(frozen=True)
class Problem:
    """A problem that keeps a batch from starting.

    Attributes:
        kind: A key of HINTS.
        text: What is wrong, with the names of the files.
        pictures: The pictures that it is about.
    """

    kind: str
    text: str
    pictures: tuple[str, ...] = ()


HINTS = {
    "missing": "Check the names; quote patterns, so that hdmatt and not the shell expands them.",
    "listed": "Listed names are relative to the current folder; --root only says which folders the outputs keep.",
    "frames": "Add these frames, or leave them out of --frames.",
    "unnumbered": "Frames end in a number, as shot.0012.png: leave the others out by a pattern, as 'shot.####.png'.",
    "unmatched": "Add the trimaps, name their folder with --trimaps, or leave pictures out with --skip-unmatched.",
    "ambiguous": "Keep one of the trimaps, or say which by --trimaps DIR or by --manifest FILE.",
    "collision": "Give the outputs different names: {dir}, {stem} and {ext} in the templates tell pictures apart.",
    "existing": "Give --overwrite to replace these files, or write to another folder.",
    "manifest": "Correct the manifest; docs/batch.md has its columns.",
}


def refuse(problems: Sequence[Problem]) -> None:
    """Raise one error that lists all problems; none if there are none.

    Raises:
        InputError: There are problems.
    """
    if not problems:
        return
    listed = "\n".join(f"  {problem.text}" for problem in problems[:LISTED])
    more = f"\n  and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
    kinds = dict.fromkeys(problem.kind for problem in problems)
    raise InputError(
        f"nothing was computed: {plural(len(problems), 'problem')}\n{listed}{more}",
        hint="\n  ".join(HINTS[kind] for kind in kinds),
    )


def shown(name: str | os.PathLike[str]) -> str:
    """A file name for a terminal or a log: as it is if it can be printed, else as bash writes it, $'new\\nline'.

    No control character reaches the terminal, and what is printed can be pasted into a shell.
    """
    text = os.fspath(name)
    if text.isprintable():
        return text
    return "$'" + re.sub(r"['\\]|[^\x20-\x7e]", lambda found: _escaped(found[0]), text) + "'"


def _escaped(character: str) -> str:
    if character in _CONTROLS:
        return _CONTROLS[character]
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
