"""The pictures of a folder, by their names. Opens none of them.

    pictures_in, listed_names    all pictures, in natural order
    natural                      key of that order
    named                        the picture of a name, whichever suffix it has
    by_stem, match_by_stem       pictures by their names without suffix; pairs of two folders
    folders_in                   folders by a pattern

Natural order: numbers in names count as numbers, so a2 comes before a10.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from hdmatt.errors import InputError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".exr", ".bmp")


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order.

    Raises:
        InputError: There are none.
    """
    found = listed_names(folder)
    if not found:
        raise InputError(
            f"{folder} holds no pictures ({', '.join(PICTURE_SUFFIXES)})", hint="Unpack the set there, or remove it"
        )
    return found


def listed_names(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order; none if it holds none. Hidden files do not count."""
    paths = (path for path in folder.glob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    seen = (path for path in paths if not path.name.startswith("."))  # macOS leaves ._GT01.png
    return sorted(seen, key=lambda path: natural(path.name))


def natural(name: str) -> tuple[list[str | int], str]:
    """Key for sorting names in natural order."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def named(folder: Path, name: str) -> Path | None:
    """The picture `name.*` of a folder, whichever suffix it has; None if there is none.

    Raises:
        InputError: There are two that differ in their suffix only.
    """
    spelled = (folder / f"{name}{one}" for suffix in PICTURE_SUFFIXES for one in (suffix, suffix.upper()))
    found: list[Path] = []
    for path in spelled:
        if path.is_file() and not any(path.samefile(other) for other in found):  # .PNG is .png on some systems
            found.append(path)
    if len(found) > 1:
        raise _twice(*found[:2])
    return found[0] if found else None


def by_stem(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names without suffix, in natural order.

    Raises:
        InputError: There are none, or two that differ in their suffix only.
    """
    found: dict[str, Path] = {}
    for path in pictures_in(folder):
        if path.stem in found:
            raise _twice(found[path.stem], path)
        found[path.stem] = path
    return found


def match_by_stem(pictures: Path, others: Path, kind: str) -> list[tuple[Path, Path]]:
    """Each picture with the file of its name in the other folder.

    Args:
        kind: What the other folder holds, for the messages: "trimap".

    Raises:
        InputError: A name is in one of the folders only, or twice in one.
    """
    left, right = by_stem(pictures), by_stem(others)
    alone = [path for stem, path in left.items() if stem not in right]
    if alone:
        raise InputError(
            f"{alone[0]} has no {kind}: there is no {alone[0].stem}.* in {others}{_and_more(alone)}",
            hint=f"Add the {kind} under the picture's name, or take the picture out of the set",
        )
    alone = [path for stem, path in right.items() if stem not in left]
    if alone:
        raise InputError(
            f"{alone[0]} has no picture: there is no {alone[0].stem}.* in {pictures}{_and_more(alone)}",
            hint=f"Add the picture under the name of its {kind}, or take the {kind} out of the set",
        )
    return [(path, right[stem]) for stem, path in left.items()]


def folders_in(parent: Path, pattern: str) -> list[Path]:
    """The folders below `parent` whose names match a pattern such as "trimap*", in natural order.

    Case does not count: a set whose folder is called Trimap1 would seem to have no trimaps.
    """
    inside, _, wanted = pattern.rpartition("/")
    there = (path for path in (parent / inside).glob("*") if path.is_dir() and not path.name.startswith("."))
    paths = (path for path in there if fnmatchcase(path.name.casefold(), wanted.casefold()))
    return sorted(paths, key=lambda path: natural(path.name))


def _and_more(paths: Sequence[Path]) -> str:
    return f" ({len(paths) - 1} more like it)" if len(paths) > 1 else ""


def _twice(one: Path, other: Path) -> InputError:
    return InputError(f"{one} and {other} have the same name but for the suffix", hint="Keep one of the two")
