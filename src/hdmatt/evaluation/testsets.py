"""Test sets on disk: which files make up each picture, with its trimaps and its true matte.

Knows folders and file names, reads no pixels. Nothing is skipped in silence: a picture without its trimap is an error
that names the file. Read top to bottom:

    Item               one picture with one of its trimaps
    LAYOUTS, discover  the items of a folder, in one of the known layouts
    require_trimaps    refuses items without a trimap; some sets ship none

Where each set comes from, its licence, and how its scores can mislead is in docs/datasets.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from hdmatt.errors import InputError, plural
from hdmatt.evaluation.compose import Composition
from hdmatt.pictures.folders import by_stem, folders_in, listed_names, match_by_stem, pictures_in

BACKGROUNDS_EACH = 20  # test pictures per foreground in every composed set


@dataclass(frozen=True)
class Item:
    """One picture of a test set with one of its trimaps."""

    name: str  # the same for all trimaps of a picture; also the file stem of its mattes
    picture: Path | Composition
    trimap: Path | None  # None: the set ships none, see require_trimaps
    alpha: Path | None  # the truth; None: it is not public
    variant: str  # the trimap's folder, such as "Trimap1"; "" without trimaps


class Layout(NamedTuple):
    """Where a set keeps its files, below one of `roots`. Files of the same name (without suffix) belong together."""

    name: str
    pictures: tuple[str, ...]  # the first of these folders that exists; foregrounds if the pictures must be composed
    trimaps: tuple[str, ...]  # patterns; every folder that fits is a variant, or its subfolders are
    alphas: tuple[str, ...]  # the first that exists
    roots: tuple[str, ...] = ("",)
    either: bool = False  # trimaps or mattes may be missing, not both
    composed: bool = False
    names: tuple[str, str] = ("", "")  # lists of foregrounds and backgrounds, if the set has them
    only_named: bool = False  # its folders are those of another set, which "auto" takes


LAYOUTS = (
    Layout(
        "pairs",
        pictures=("image", "images"),
        trimaps=("trimap*",),
        alphas=("alpha", "alphas", "mask", "masks", "matte", "gt"),
        either=True,
    ),
    Layout("alphamatting", ("input_training_lowres",), ("trimap_training_lowres",), ("gt_training_lowres",)),
    Layout("alphamatting-highres", ("input_training_highres",), ("trimap_training_highres",), ("gt_training_highres",)),
    Layout("alphamatting-test", ("input_lowres",), ("trimap_lowres",), ()),
    Layout("composition1k", ("merged",), ("trimaps",), ("alpha_copy",), roots=("", "test", "Test")),
    Layout("uhr395", ("merged",), ("trimaps",), ("alpha_copy",), roots=("test", "Test", ""), only_named=True),
    Layout("aim500", ("original",), ("trimap",), ("mask",), roots=("", "AIM-500")),
    Layout("am2k", ("original",), ("trimap",), ("mask",), roots=("validation", "AM-2k/validation")),
    Layout("p3m500-np", ("original_image",), ("trimap",), ("mask",), roots=("", "P3M-500-NP", "validation/P3M-500-NP")),
    Layout("p3m500-p", ("blurred_image",), ("trimap",), ("mask",), roots=("", "P3M-500-P", "validation/P3M-500-P")),
    Layout("distinctions646", ("merged",), ("trimap",), ("gt", "GT"), roots=("", "Test")),
    Layout("transparent460", ("composited_images",), ("trimap_copy",), ("alpha_copy",), roots=("", "Test")),
    Layout(
        "adobe",
        pictures=("Adobe-licensed images/fg",),
        trimaps=("Adobe-licensed images/trimaps",),
        alphas=("Adobe-licensed images/alpha",),
        roots=("", "Test_set", "Combined_Dataset/Test_set"),
        composed=True,
        names=("test_fg_names.txt", "test_bg_names.txt"),
    ),
    Layout(
        "distinctions646-parts",
        pictures=("FG",),
        trimaps=(),
        alphas=("GT",),
        roots=("Test", ""),
        composed=True,
        names=("fg_test.txt", "bg_test.txt"),
    ),
    Layout("transparent460-parts", ("fg",), ("trimap",), ("alpha",), roots=("Test", ""), composed=True),
)

# Test sets


def discover(folder: Path | str, layout: str = "auto", *, backgrounds: Path | str | None = None) -> list[Item]:
    """Every picture of a test set with every trimap it has, in natural order of the names (GT2 before GT10).

    Args:
        folder: The set's folder, as it comes out of the official archive.
        layout: A name of `LAYOUTS`. "auto" takes the one that fits; pictures that are there beat pictures that must
            be composed.
        backgrounds: For sets that are published in parts: the folder of the backgrounds (for Adobe's and
            Distinctions-646 that is JPEGImages of PASCAL VOC 2012, or a folder above it).

    Returns:
        Items grouped by variant. Composed sets keep the official order: twenty backgrounds for each foreground.

    Raises:
        InputError: No layout fits, or several do; a folder is empty; a picture lacks its trimap or truth, or one of
            those its picture; a background is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", hint="Give the folder of the test set")
    if layout != "auto" and layout not in {known.name for known in LAYOUTS}:
        raise InputError(
            f"there is no layout {layout!r}", hint=f"Known are auto, {', '.join(known.name for known in LAYOUTS)}"
        )
    wanted = [known for known in LAYOUTS if layout == known.name or (layout == "auto" and not known.only_named)]
    fitting = [(known, root) for known in wanted if (root := _root(folder, known)) is not None]
    fitting = [entry for entry in fitting if not entry[0].composed] or fitting
    if not fitting:
        listed = LAYOUTS if layout == "auto" else wanted
        looked_for = "\n".join(f"  {_describe(known)}" for known in listed)
        raise InputError(
            f"{folder} is no test set that we know; looked for\n{looked_for}",
            hint="Rename its folders to image/, trimap/ and alpha/ with the same file names in each",
        )
    if len(fitting) > 1:
        raise InputError(
            f"{folder} fits several layouts: {', '.join(known.name for known, _ in fitting)}",
            hint=f"Choose one: --layout {fitting[0][0].name}",
        )
    chosen, root = fitting[0]
    return _composed_items(root, chosen, backgrounds) if chosen.composed else _items(root, chosen)


def require_trimaps(items: Sequence[Item], *, make_trimap: int | None) -> None:
    """Refuse items without a trimap unless one is to be made from their truth.

    Scores on home-made trimaps cannot be compared with published ones: the trimap decides what is counted.

    Args:
        items: From `discover`.
        make_trimap: Radius in pixels by which the evaluator widens the soft part of the truth; None: it makes none.

    Raises:
        InputError: An item has no trimap, and none is to be made or there is no truth to make it from.
    """
    without = [item for item in items if item.trimap is None]
    if without and make_trimap is None:
        have = "has" if len(items) == 1 else "have"
        raise InputError(
            f"{len(without)} of {plural(len(items), 'picture')} {have} no trimap, the first is {_file(without[0])}: "
            "the set ships none",
            hint="Have them made from the truth, for example --make-trimap 20; such scores compare only with each "
            "other",
        )
    for item in without:
        if item.alpha is None:
            raise InputError(
                f"{item.name} has neither a trimap nor a true matte to make one from: {item.picture}",
                hint="Put trimaps into a folder trimap/ beside the pictures",
            )


def _file(item: Item) -> str:
    path = item.picture.foreground if isinstance(item.picture, Composition) else item.picture
    return f"{item.name}, {path}"


# Folders and names


def _root(folder: Path, layout: Layout) -> Path | None:
    for root in (folder / name for name in layout.roots):
        has_trimaps = bool(_trimap_folders(root, layout))
        has_alphas = _first_folder(root, layout.alphas) is not None
        if layout.either:
            complete = has_trimaps or has_alphas
        else:
            complete = (has_trimaps or not layout.trimaps) and (has_alphas or not layout.alphas)
        if complete and _first_folder(root, layout.pictures):
            return root
    return None


def _describe(layout: Layout) -> str:
    parts = ["|".join(names) + "/" for names in (layout.pictures, layout.trimaps, layout.alphas) if names]
    inside = [root for root in layout.roots if root]
    joined = f"{parts[0]} + {' and/or '.join(parts[1:])}" if layout.either else " + ".join(parts)
    return f"{layout.name}: {joined}" + (f" (also in {', '.join(inside)})" if inside else "")


def _first_folder(root: Path, names: Sequence[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _trimap_folders(root: Path, layout: Layout) -> list[Path]:
    """Every variant: a folder of trimaps, or its subfolders where it holds nothing else (Trimap1, Trimap2, ...)."""
    found: list[Path] = []
    for folder in (folder for pattern in layout.trimaps for folder in folders_in(root, pattern)):
        subfolders = folders_in(folder, "*")
        found += subfolders if subfolders and not listed_names(folder) else [folder]
    return found


def _items(root: Path, layout: Layout) -> list[Item]:
    pictures = _first_folder(root, layout.pictures)
    assert pictures is not None
    alphas = _first_folder(root, layout.alphas)
    truths = dict(match_by_stem(pictures, alphas, "true matte")) if alphas else {}
    variants = _trimap_folders(root, layout)
    if not variants:
        return [Item(path.stem, path, None, truths.get(path), "") for path in pictures_in(pictures)]
    return [
        Item(path.stem, path, trimap, truths.get(path), folder.name)
        for folder in variants
        for path, trimap in match_by_stem(pictures, folder, "trimap")
    ]


def _composed_items(root: Path, layout: Layout, backgrounds: Path | str | None) -> list[Item]:
    foregrounds, alphas = _first_folder(root, layout.pictures), _first_folder(root, layout.alphas)
    assert foregrounds is not None and alphas is not None
    if backgrounds is None:
        raise InputError(
            f"{root} holds foregrounds ({layout.name}); its pictures must be composed over backgrounds",
            hint="Say where those are, for example --backgrounds VOCdevkit/VOC2012/JPEGImages",
        )
    truths = {path.name: (path, alpha) for path, alpha in match_by_stem(foregrounds, alphas, "true matte")}
    foreground_list, background_list = (root / name if name else None for name in layout.names)
    order = _names(foreground_list) if foreground_list and foreground_list.is_file() else list(truths)
    behind = _backgrounds(Path(backgrounds), background_list, need=BACKGROUNDS_EACH * len(order))
    if not order or len(behind) != BACKGROUNDS_EACH * len(order):
        raise InputError(
            f"{background_list} names {len(behind)} backgrounds for {len(order)} foregrounds, need "
            f"{BACKGROUNDS_EACH} for each",
            hint="Unpack the lists again; they are part of the set",
        )
    variants = _trimap_folders(root, layout)
    trimaps = {folder: by_stem(folder) for folder in variants}
    items: list[Item] = []
    for folder in variants or [None]:
        for index, background in enumerate(behind):
            name = order[index // BACKGROUNDS_EACH]
            if name not in truths:
                raise InputError(
                    f"{foregrounds / name} is missing, but {foreground_list} names it", hint="Unpack the set again"
                )
            foreground, alpha = truths[name]
            own = f"{foreground.stem}_{index % BACKGROUNDS_EACH}"
            trimap = None
            if folder is not None:
                trimap = trimaps[folder].get(own) or trimaps[folder].get(foreground.stem)
                if trimap is None:
                    raise InputError(f"{folder / own}.png is missing: {own} has no trimap", hint="Unpack the set again")
            items.append(
                Item(own, Composition(foreground, alpha, background), trimap, alpha, folder.name if folder else "")
            )
    return items


def _names(path: Path) -> list[str]:
    """The names in a list, one a line; the official lists end their lines with CR LF.

    Raises:
        InputError: A name leaves the folder that the list is about.
    """
    names = [name for line in path.read_text(encoding="utf-8").splitlines() if (name := line.strip())]
    for name in names:
        way = PureWindowsPath(name)  # takes both kinds of slashes, and drives
        if way.drive or way.root or ".." in way.parts:
            raise InputError(
                f"{path} names {name}, which leaves the folder of pictures", hint="Name pictures inside of it only."
            )
    return names


def _backgrounds(folder: Path, names: Path | None, *, need: int) -> list[Path]:
    """The listed backgrounds; without a list the first `need` of the folder in natural order."""
    if names is None:
        found = pictures_in(folder)
        if len(found) < need:
            raise InputError(
                f"{folder} holds {plural(len(found), 'background')}, need {need}",
                hint="Give a folder with more pictures",
            )
        return found[:need]
    if not names.is_file():
        raise InputError(f"{names} is missing: it says which background comes where", hint="Unpack the set again")
    listed = _names(names)
    inside = ("", "JPEGImages", "VOC2012/JPEGImages", "VOCdevkit/VOC2012/JPEGImages")
    places = [folder / place for place in inside if (folder / place).is_dir()] or [folder]
    place = next((place for place in places if listed and (place / listed[0]).is_file()), places[-1])
    missing = [name for name in listed if not (place / name).is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(listed)} backgrounds are not in {place}, the first is {missing[0]}",
            hint="Give JPEGImages of PASCAL VOC 2012 (trainval)",
        )
    return [place / name for name in listed]
