"""Trimaps made from the truth, for test sets that ship none; kept until the truth changes.

Knows files; nothing of methods and scores. Called by evaluation/evaluate.py. Read top to bottom:

    with_trimaps    items without a trimap get one for each radius; missing files are written
    _is_made        whether the file is there and was made from the present truth
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hdmatt.errors import InputError
from hdmatt.evaluation.items import picture_size, read_bytes, reference, require_path, same_size, write_matte
from hdmatt.evaluation.metrics import check_truth
from hdmatt.evaluation.testsets import Item, require_trimaps
from hdmatt.pictures import reader
from hdmatt.pictures.trimap import UNKNOWN, from_alpha
from hdmatt.system.files import digest, make_folder, slug, write_text_atomic

MADE = "made-"  # and a radius: the variant of trimaps made from the truth


def with_trimaps(
    items: Mapping[str, Sequence[Item]], radii: Sequence[int], out: Path, digests: dict[Path, str]
) -> dict[str, list[Item]]:
    """The items, those without a trimap once for each radius, with a trimap made from their truth."""
    without = [item for some in items.values() for item in some if item.trimap is None]
    for some in items.values():
        require_trimaps(some, make_trimap=radii[0] if radii else None)
    if radii and not without:
        raise InputError(
            "every picture has a trimap of its own, so none is made",
            hint="Leave --make-trimap out, or name a data set without trimaps.",
        )
    for radius in radii:
        if radius < 0:
            raise InputError(f"--make-trimap is {radius}", hint="Give a radius in pixels, 0 or more, like 20.")
    for item in without:
        same_size(require_path(item.alpha), picture_size(require_path(item.alpha)), *reference(item))
    own = {name: [item for item in some if item.trimap is not None] for name, some in items.items()}
    made = {name: _made(name, some, radii, out) for name, some in items.items()}
    for alpha in dict.fromkeys(require_path(item.alpha) for item in without) if radii else ():
        digests[alpha] = digest(alpha)
    missing = [item for some in made.values() for item in some if not _is_made(item, digests)]
    for alpha in dict.fromkeys(require_path(item.alpha) for item in missing):  # all are checked before one is made
        truth = read_bytes(alpha)
        check_truth(truth, np.full_like(truth, UNKNOWN), str(alpha))
    for item in missing:
        path, radius = require_path(item.trimap), int(item.variant.removeprefix(MADE))
        trimap = from_alpha(read_bytes(require_path(item.alpha)), radius=radius)
        make_folder(path.parent)
        _truth_of(path).unlink(missing_ok=True)
        write_matte(path, len(trimap), trimap.shape[1], [reader.as_float(trimap)])
        # the checksum comes last: a trimap without one is made again
        write_text_atomic(_truth_of(path), digests[require_path(item.alpha)] + "\n")
    return {name: own[name] + made[name] for name in items}


def _is_made(item: Item, digests: Mapping[Path, str]) -> bool:
    """Whether the item's trimap is there and was made from its truth as that is now."""
    path = require_path(item.trimap)
    stamp, wanted = _truth_of(path), digests[require_path(item.alpha)]
    return path.is_file() and stamp.is_file() and stamp.read_bytes().decode(errors="replace").strip() == wanted


def _truth_of(trimap: Path) -> Path:
    """The file with the checksum of the truth that a trimap was made from."""
    return trimap.with_name(f"{trimap.name}.truth-sha256")


def _made(dataset: str, items: Sequence[Item], radii: Sequence[int], out: Path) -> list[Item]:
    """The items without a trimap, once for each radius, with the path of the trimap that they will get."""
    place = out / "trimaps" / slug(dataset)
    return [
        replace(item, trimap=place / f"{MADE}{radius}" / f"{item.name}.png", variant=f"{MADE}{radius}")
        for radius in dict.fromkeys(radii)
        for item in items
        if item.trimap is None
    ]
