"""The header of a Radiance picture (HDR, RGBE): what OpenImageIO leaves out of it.

Knows the lines of the header; decodes nothing.

    Header, header_of    orientation, primaries, gamma, and factors that the numbers were multiplied by
    note_of              what a user should know of these factors

Source:
    Greg Ward, "Radiance File Formats" (resolution strings, header variables), and the variable GAMMA of his rgbe.c.
"""

import re
from pathlib import Path
from typing import NamedTuple

_HEAD = 65536  # bytes that hold the header
_LAYOUT = re.compile(rb"([+-])([XY])\s+\d+\s+([+-])([XY])\s+\d+")
_ORIENTATIONS = {  # by the line with the size: EXIF's number
    "-Y+X": 1,
    "-Y-X": 2,
    "+Y-X": 3,
    "+Y+X": 4,
    "+X-Y": 5,
    "-X-Y": 6,
    "-X+Y": 7,
    "+X+Y": 8,
}


class Header(NamedTuple):
    """What the header of a Radiance file says.

    Attributes:
        orientation: EXIF's number, 1 (upright) to 8.
        primaries: x and y of red, green, blue and white; () for none.
        gamma: The power that makes light of the numbers.
        factors: The lines EXPOSURE and COLORCORR, which say what the numbers were multiplied by.
    """

    orientation: int = 1
    primaries: tuple[float, ...] = ()
    gamma: float = 1.0
    factors: tuple[str, ...] = ()


def header_of(path: Path) -> Header:
    """The header of a file; its defaults where it is damaged."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    variables, _, rest = head.partition(b"\n\n")
    layout = _LAYOUT.match(rest)
    found = Header(_ORIENTATIONS.get(b"".join(layout.groups()).decode(), 1) if layout else 1)
    for line in variables.decode("latin-1").splitlines():
        name, _, value = line.strip().partition("=")
        numbers = _numbers(value)
        if name in ("EXPOSURE", "COLORCORR") and any(number != 1 for number in numbers):
            found = found._replace(factors=(*found.factors, line.strip()))
        elif name == "PRIMARIES" and len(numbers) == 8:
            found = found._replace(primaries=numbers)
        elif name == "GAMMA" and len(numbers) == 1 and 0 < numbers[0] < 10:
            found = found._replace(gamma=numbers[0])
    return found


def note_of(path: Path) -> tuple[str, ...]:
    """What a user should know of the factors in a file's header; () without any."""
    factors = ", ".join(header_of(path).factors)
    return (f"says {factors}: its numbers, which are kept, were multiplied by that",) if factors else ()


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split())
    except ValueError:
        return ()
