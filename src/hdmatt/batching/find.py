"""The pictures of a batch: folders, patterns, files and lists of names. Opens none of them.

Found        a picture's file and its place below the input
find         inputs as they were typed -> pictures
find_listed  names from a list -> pictures
read_list    a list of names, a line each or separated by NUL bytes

What is never taken for a picture: hidden files, trimaps by their names (NAME.trimap.png, NAME_trimap.png,
NAME-trimap.png), folders called trimap, trimaps or AlphaHint, and the folders that the caller names.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from hdmatt.batching.entry import Problem, shown
from hdmatt.batching.sequences import pattern_of
from hdmatt.batching.urls import Url, is_file, path_of, walk
from hdmatt.pictures.folders import PICTURE_SUFFIXES, natural

# sought in folders
KINDS = (*PICTURE_SUFFIXES, ".jfif", ".avif", ".heic", ".heif", ".hif", ".jp2", ".jxl", ".tga", ".dpx")
# read, too, but often the working files of the pictures beside them, so only names and patterns take them
OTHER_KINDS = (".psd", ".psb", ".gif", ".hdr", ".pbm", ".pgm", ".ppm", ".pnm", ".pfm", ".sgi", ".dds", ".j2k")
# of cameras and painting programs: told, never taken
_UNREAD = (".cr2", ".cr3", ".dng", ".nef", ".arw", ".raf", ".orf", ".rw2", ".xcf", ".kra")
TRIMAP_ENDINGS = (".trimap", "_trimap", "-trimap")
TRIMAP_FOLDERS = ("trimap", "trimaps", "alphahint")
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Found:
    """A picture's file.

    Attributes:
        base: The input folder that it was found in.
        folder: The path of its folder below that, with "/"; "" at the top.
        path: The file.
    """

    base: PurePath
    folder: str
    path: PurePath

    @property
    def name(self) -> str:
        """Its path below the input folder, with "/"."""
        return f"{self.folder}/{self.path.name}" if self.folder else self.path.name


def find(
    inputs: Sequence[str], skip: Collection[PurePath] = (), passed: Counter[str] | None = None
) -> tuple[list[Found], list[Problem]]:
    """The pictures of the inputs, each once, folder by folder in natural order.

    Args:
        inputs: Folders (with all folders below them), files, and patterns with *, **, ?, [...], #### or %04d. A file
            that is there is taken as it is, whatever its name looks like.
        skip: Folders that hold no pictures of the batch: outputs, trimaps, masks.
        passed: Counts files of folders by their suffixes that are pictures of other kinds than are sought there.

    Returns:
        The pictures, and the inputs that are not there or hold none.
    """
    found: dict[str, Found] = {}
    problems: list[Problem] = []
    skipped = {os.path.abspath(folder) for folder in skip}
    passed = Counter() if passed is None else passed
    for one in inputs:
        path = path_of(one)
        if isinstance(path, Path) and path.is_dir():
            here = list(_walk(path, skipped, passed))
        elif is_file(path):
            here = [Found(path.parent, "", path)]
        else:
            here = list(_matching(path, skipped))
            if not here and isinstance(path, Url):  # a store knows no empty folders
                here = list(_walk(path, skipped, passed))
        if not here:
            problems.append(Problem("missing", _nothing(one, path)))
        for picture in here:
            found.setdefault(os.path.abspath(picture.path), picture)
    return list(found.values()), problems


def find_listed(names: Iterable[str], root: PurePath | None = None) -> tuple[list[Found], list[Problem]]:
    """The pictures that a list names, in its order, each once.

    Args:
        root: What folders of outputs are relative to. None: a relative name keeps its folders, an absolute one has
            none.
    """
    found: dict[str, Found] = {}
    problems: list[Problem] = []
    for one in names:
        path = path_of(one)
        if not is_file(path):
            problems.append(Problem("listed", f"{shown(one)} is in the list but is no file"))
            continue
        picture = _placed(path, root)
        if picture is None:
            problems.append(Problem("listed", f"{shown(one)} is not below --root {shown(root or '')}"))
        else:
            found.setdefault(os.path.abspath(path), picture)
    return list(found.values()), problems


def read_list(data: bytes) -> list[str]:
    """The names of a list: separated by NUL bytes if it has any (find -print0), else one a line."""
    separator = b"\0" if b"\0" in data else b"\n"
    parts = data.split(separator)
    if separator == b"\n":
        parts = [part.removesuffix(b"\r") for part in parts]
    return [os.fsdecode(part) for part in parts if part]


def is_picture_name(name: str, kinds: Collection[str] = KINDS) -> bool:
    """Whether a file of a folder is a picture by its name: neither hidden nor a trimap."""
    stem, suffix = os.path.splitext(name)
    if name.startswith(".") or suffix.lower() not in kinds:
        return False
    return not stem.lower().endswith(TRIMAP_ENDINGS)


def _walk(base: Path | Url, skipped: set[str], passed: Counter[str], kinds: Collection[str] = KINDS) -> Iterator[Found]:
    """Pictures of a folder and all below."""
    for top, folders, files in walk(base) if isinstance(base, Url) else _walk_here(base):
        folders[:] = sorted((one for one in folders if not _no_pictures(top, one, skipped)), key=natural)
        relative = os.path.relpath(top, base)
        folder = "" if relative == "." else Path(relative).as_posix()
        passed.update(
            suffix for suffix in map(_suffix, files) if suffix not in kinds and suffix in (*OTHER_KINDS, *_UNREAD)
        )
        for name in sorted((name for name in files if is_picture_name(name, kinds)), key=natural):
            yield Found(base, folder, base / folder / name)


def _walk_here(base: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk; links to folders are followed, each folder once."""
    seen: set[tuple[int, int]] = set()
    for top, folders, files in os.walk(base, followlinks=True):
        status = os.stat(top)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield top, folders, files


def _no_pictures(top: str, folder: str, skipped: set[str]) -> bool:
    hidden_or_trimaps = folder.startswith(".") or folder.lower() in TRIMAP_FOLDERS
    return hidden_or_trimaps or os.path.abspath(os.path.join(top, folder)) in skipped


def _matching(path: Path | Url, skipped: set[str]) -> Iterator[Found]:
    """Pictures by a pattern; the folders before its first special character are the base."""
    parts = path.parts
    name = pattern_of(parts[-1]) if parts else None
    if name is not None:
        parts = (*parts[:-1], name)
    magic = next((index for index, part in enumerate(parts) if _MAGIC.search(part)), None)
    if magic is None:
        return
    base = type(path)(*parts[:magic])
    wanted = parts[magic:]
    kinds = (*KINDS, _suffix(wanted[-1])) if _suffix(wanted[-1]) in OTHER_KINDS else KINDS
    for found in _walk(base, skipped, Counter(), kinds) if isinstance(base, Url) or base.is_dir() else ():
        if _fits(tuple(found.name.split("/")), wanted):
            yield found


def _fits(names: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    """Whether a path matches a pattern, part by part; ** stands for any number of folders, also none."""
    if not patterns:
        return not names
    if patterns[0] == "**" and _fits(names, patterns[1:]):
        return True
    if not names:
        return False
    if patterns[0] == "**":
        return _fits(names[1:], patterns)
    return fnmatchcase(names[0], patterns[0]) and _fits(names[1:], patterns[1:])


def _placed(path: PurePath, root: PurePath | None) -> Found | None:
    if root is None:
        folder = "" if isinstance(path, Url) or path.is_absolute() or ".." in path.parts else path.parent.as_posix()
        return Found(Path(), "" if folder == "." else folder, path)
    try:
        inside = Path(os.path.abspath(path)).relative_to(os.path.abspath(root)).parent.as_posix()
    except ValueError:
        return None
    return Found(root, "" if inside == "." else inside, path)


def _suffix(name: str) -> str:
    return "" if name.startswith(".") else os.path.splitext(name)[1].lower()


def _nothing(text: str, path: PurePath) -> str:
    if os.path.isdir(path):
        return f"{shown(text)} holds no pictures ({' '.join(KINDS)})"
    return f"{shown(text)}: there is no such file, folder or match"
