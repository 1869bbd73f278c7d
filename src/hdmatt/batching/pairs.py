"""Which trimap belongs to which picture, by names alone.

FilesByStem  the files of folders by their stems, each folder read once
pair         pictures -> their trimaps or masks, and what does not fit

Where a trimap of sub/NAME.jpg is looked for, in any format that is sought in folders:

    --trimaps DIR       DIR/sub/NAME.*, also NAME.trimap.*, NAME_trimap.*, NAME-trimap.*; then nowhere else
    beside the picture  NAME.trimap.*, NAME_trimap.*, NAME-trimap.*
    trimap folders      trimap, trimaps, AlphaHint: in the picture's folder, beside it, or at the top of the input
    --masks DIR         DIR/sub/NAME.*, where none of these has a trimap: a mask that the trimap is made from
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from hdmatt.batching.entry import Problem, shown
from hdmatt.batching.find import KINDS, TRIMAP_ENDINGS, TRIMAP_FOLDERS, Found
from hdmatt.batching.urls import Url, path_of, walk
from hdmatt.errors import InputError

MASK_ENDINGS = (".mask", "_mask", "-mask", ".matte", "_matte", "-matte", ".alpha", "_alpha", "-alpha")


@dataclass(frozen=True)
class Pair:
    """A picture with its trimap, or with the mask that one is made from."""

    found: Found
    trimap: PurePath | None
    mask: PurePath | None = None


class FilesByStem:
    """The files of folders by their stems; every folder is read once."""

    def __init__(self) -> None:
        self._stems: dict[str, dict[str, list[PurePath]]] = {}
        self._trimap_folders: dict[str, list[PurePath]] = {}

    def named(self, folder: PurePath, stem: str) -> list[PurePath]:
        """The pictures `stem.*` of a folder, in any format that is sought in folders."""
        key = os.fspath(folder)
        if key not in self._stems:
            self._read(key)
        return self._stems[key].get(stem, [])

    def trimap_folders(self, folder: PurePath) -> list[PurePath]:
        """The folders below it that are called trimap, trimaps or AlphaHint; case does not count."""
        key = os.fspath(folder)
        if key not in self._stems:
            self._read(key)
        return self._trimap_folders[key]

    def _read(self, folder: str) -> None:
        stems: dict[str, list[PurePath]] = defaultdict(list)
        trimaps: list[PurePath] = []
        base = path_of(folder)
        names, folders = _listed(base)
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in KINDS and not name.startswith("."):
                stems[stem].append(base / name)
        trimaps += [base / name for name in folders if name.lower() in TRIMAP_FOLDERS]
        self._stems[folder], self._trimap_folders[folder] = stems, trimaps


def pair(
    pictures: Sequence[Found], *, trimaps: PurePath | None = None, masks: PurePath | None = None
) -> tuple[list[Pair], list[Problem]]:
    """Each picture with its trimap or mask.

    Args:
        trimaps: The only folder to look for trimaps in.
        masks: A folder of masks, for the pictures that have no trimap.

    Returns:
        The pairs, and the pictures that have no trimap ("unmatched"), several, or one that another picture has, too
        ("ambiguous").
    """
    folders, pairs, problems = FilesByStem(), list[Pair](), list[Problem]()
    of: dict[str, list[Found]] = defaultdict(list)
    used: dict[str, str] = {}  # what is said of a trimap's or mask's file
    for found in pictures:
        several = list(_unique(_trimaps(found, folders, trimaps)))
        mask = [] if several or masks is None else list(_unique(_masks(found, folders, masks)))
        kind = "trimaps" if several else "masks"
        if len(several + mask) > 1:
            named = ", ".join(map(shown, several + mask))
            text = f"{shown(found.path)} has several {kind}: {named}"
            problems.append(Problem("ambiguous", text, (str(found.path),)))
        elif not several + mask:
            text = f"{shown(found.path)} has no trimap{_looked(trimaps, masks)}"
            problems.append(Problem("unmatched", text, (str(found.path),)))
        else:
            pairs.append(Pair(found, *several) if several else Pair(found, None, *mask))
            file = (several + mask)[0]
            of[os.path.abspath(file)].append(found)
            used[os.path.abspath(file)] = f"{shown(file)} is the {kind[:-1]} of several pictures"
    for path, owners in of.items():
        if len(owners) > 1:
            text = f"{used[path]}: {', '.join(shown(owner.path) for owner in owners)}"
            problems.append(Problem("ambiguous", text, tuple(str(owner.path) for owner in owners)))
    return pairs, problems


def _trimaps(found: Found, folders: FilesByStem, given: PurePath | None) -> Iterator[PurePath]:
    stem, here = found.path.stem, found.path.parent
    if given is not None:
        yield from _either(folders, given / found.folder, stem)
        return
    for ending in TRIMAP_ENDINGS:
        yield from folders.named(here, stem + ending)
    for place in (here, here.parent):
        for folder in folders.trimap_folders(place):
            yield from _either(folders, folder, stem)
    for folder in folders.trimap_folders(found.base):
        yield from _either(folders, folder / found.folder, stem)


def _masks(found: Found, folders: FilesByStem, given: PurePath) -> Iterator[PurePath]:
    folder = given / found.folder
    yield from folders.named(folder, found.path.stem)
    for ending in MASK_ENDINGS:
        yield from folders.named(folder, found.path.stem + ending)


def _either(folders: FilesByStem, folder: PurePath, stem: str) -> Iterator[PurePath]:
    yield from folders.named(folder, stem)
    for ending in TRIMAP_ENDINGS:
        yield from folders.named(folder, stem + ending)


def _unique(paths: Iterable[PurePath]) -> Iterator[PurePath]:
    seen: set[str] = set()
    for path in paths:
        key = os.path.abspath(path)
        if key not in seen:
            seen.add(key)
            yield path


def _listed(folder: Path | Url) -> tuple[list[str], list[str]]:
    """The names in a folder, and those of them that may be folders."""
    if isinstance(folder, Url):
        try:
            _, folders, files = next(walk(folder))
        except InputError as error:
            if isinstance(error.__cause__, PermissionError):  # a folder above the one that was named
                return [], []
            raise
        return sorted(files), sorted(folders)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        names = []
    return names, [name for name in names if name.lower() in TRIMAP_FOLDERS and (folder / name).is_dir()]


def _looked(trimaps: PurePath | None, masks: PurePath | None) -> str:
    places = [f" in {shown(trimaps)}" if trimaps else "", f" and no mask in {shown(masks)}" if masks else ""]
    return "".join(places)
