"""Image sequences: frame numbers in file names. Knows nothing of what is in the pictures.

numbered         "shot.0012" -> "shot", ".", "0012"
pattern_of       "shot.####.exr" or "shot.%04d.exr" -> the pattern of a file name
parse_frames     "1001-1100x2" -> frame numbers
missing_frames   which numbers a sequence lacks

Frames are matted one by one, each for itself: nothing steadies a matte over time. A matte that flickers does so
because its trimaps do, or because the picture is near a tie; that is for the compositing program to smooth.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from hdmatt.errors import InputError

_NUMBER = re.compile(r"(?P<base>.*?)(?P<separator>[._-]?)(?P<frame>[0-9]+)$", re.DOTALL)
_HASHES = re.compile(r"#+|%0?(\d*)d")


class Numbered(NamedTuple):
    """A file name's stem in parts; the three joined are the stem again."""

    base: str
    separator: str
    frame: str  # digits with their padding; "" if the name ends in no number


def numbered(stem: str) -> Numbered:
    """The parts of a stem: the number at its end is the frame, with its padding."""
    found = _NUMBER.match(stem)
    if not found:
        return Numbered(stem, "", "")
    return Numbered(found["base"], found["separator"], found["frame"])


def pattern_of(name: str) -> str | None:
    """The glob pattern of a name with #### or %04d in place of the frame number; None if it has neither."""
    if not _HASHES.search(name):
        return None

    def digits(found: re.Match[str]) -> str:
        count = len(found[0]) if found[0].startswith("#") else int(found[1] or 0)
        return "[0-9]" * count if count > 1 else "[0-9]*"

    return _HASHES.sub(digits, name)


def parse_frames(text: str) -> list[int]:
    """Frame numbers of "1001-1100", "1-100x2" (every second one) and "5", joined by commas.

    Raises:
        InputError: Not such a text, or a range that runs backwards.
    """
    frames: dict[int, None] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+)(?:x([1-9]\d*))?)?\s*", part)
        last = int(found[2] or found[1]) if found else -1
        if not found or last < int(found[1]):
            raise InputError(f"{text!r} names no frames", hint="Write them like 1001-1100, 1-100x2 or 5,7,9-12.")
        frames |= dict.fromkeys(range(int(found[1]), last + 1, int(found[3] or 1)))
    return list(frames)


def missing_frames(names: Iterable[str], wanted: Iterable[int] | None = None) -> dict[str, list[int]]:
    """The frame numbers that each sequence lacks.

    Args:
        names: Paths of frames without their suffix, as "shots/a.0012".
        wanted: Numbers that each sequence must have. None: all between its first and its last.

    Returns:
        Sequence ("shots/a.####") -> the numbers that are missing, for the sequences that lack some.
    """
    frames: dict[str, set[int]] = defaultdict(set)
    padding: dict[str, int] = {}
    for name in names:
        parts = numbered(name)
        if parts.frame:
            head = parts.base + parts.separator
            frames[head].add(int(parts.frame))
            padding[head] = min(len(parts.frame), padding.get(head, len(parts.frame)))
    missing: dict[str, list[int]] = {}
    for head, found in frames.items():
        every = range(min(found), max(found) + 1) if wanted is None else wanted
        if lost := [frame for frame in every if frame not in found]:
            missing[head + "#" * padding[head]] = lost
    return missing


def frame_ranges(frames: Iterable[int]) -> str:
    """Frame numbers as text, runs joined: "3, 7-9"."""
    runs: list[str] = []
    for _, group in groupby(enumerate(sorted(frames)), key=lambda pair: pair[1] - pair[0]):
        run = [frame for _, frame in group]
        runs.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]))
    return ", ".join(runs)
