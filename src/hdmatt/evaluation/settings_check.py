"""Checks of methods and data sets before an evaluation.

Knows methods and files; nothing of scores and records. Read top to bottom:

    method_fingerprint  what decides a method's mattes, as text; refuses methods that cannot run
    check_files    refuses pictures that cannot be scored
"""

import hashlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from hdmatt.errors import InputError
from hdmatt.evaluation.compose import Composition
from hdmatt.evaluation.items import picture_size, read_bytes, read_marks, reference, require_path, same_size
from hdmatt.evaluation.methods import CLASSICAL, FOLDER, GEGL, VITMATTE, Method, Settings
from hdmatt.evaluation.metrics import check_truth
from hdmatt.evaluation.run_method import BAND, GRID_METHODS, TILES
from hdmatt.evaluation.testsets import Item
from hdmatt.pictures import reader
from hdmatt.pictures.trimap import BACKGROUND, UNKNOWN, open_trimap


def method_fingerprint(method: Method) -> str:
    """The method's settings that its mattes depend on, as text; refuses methods that cannot run at all."""
    options, network = method.settings.options, method.settings.network
    if method.kind == FOLDER:
        if not require_path(method.path).is_dir():
            raise InputError(f"{method.path} is not a folder", hint="Give the folder of the mattes: folder:PATH.")
        return "finished mattes"
    if method.kind in CLASSICAL:
        if importlib.util.find_spec("pymatting") is None:
            raise InputError(
                f"the method {method.name} needs PyMatting",
                hint="pip install 'hdmatt[baselines]', or name other methods with --method.",
            )
        return f"pymatting {metadata.version('pymatting')}"
    if method.kind in GEGL:
        from hdmatt.evaluation.peers import GEGL_OPERATIONS, gegl_version

        return f"gegl {gegl_version(method.kind)}, {' '.join(GEGL_OPERATIONS[method.kind])}"
    if method.kind in VITMATTE:
        parts = [f"weights {_check_vitmatte(method)}, transformers {metadata.version('transformers')}"]
    else:
        parts = [f"model {network.model} {_check_settings(method.settings)}"]
    if method.kind in GRID_METHODS:
        parts.append(f"patch {options.patch} overlap {options.overlap}")
    if method.kind in TILES:
        parts.append(f"patch {options.patch}")
    if method.kind == "hdmatt":
        parts.append(f"topk {options.topk} candidates {options.candidates}")
    if method.kind == "hdmatt" and not options.small_first:
        parts.append("no small first")
    if method.kind in GRID_METHODS and options.windows != "grid":
        parts.append(f"windows {options.windows}")
    if method.kind in GRID_METHODS and method.kind not in VITMATTE and options.blend != "smooth":
        parts.append(f"blend {options.blend}")
    if (network.runtime, network.precision) != ("auto", "auto"):  # of any name: mattes agree to 1e-4
        parts.append(f"runtime {network.runtime} {network.precision}")
    return ", ".join([*parts, f"device {network.device}"])


def check_files(items: Mapping[str, Sequence[Item]], new: Iterable[tuple[str, Item, Path | None]]) -> None:
    """Refuse what cannot be scored, each file read to its end.

    Args:
        items: All data sets; none may be empty.
        new: What is to be scored now: data set, picture, finished matte or None where one is to be computed.

    Raises:
        InputError: A file is missing, damaged or of another size than its picture; there is nothing to score.
    """
    for dataset, some in items.items():
        if not some:
            raise InputError(f"the data set {dataset} has no pictures", hint="Look at --data and --limit.")
    pictures: dict[tuple[str, str, str], Item] = {}
    mattes: list[Path] = []
    for dataset, item, finished in new:
        key = dataset, item.variant, item.name
        if key not in pictures:
            if item.alpha is None:
                raise InputError(
                    f"{item.name} of {dataset} has no true matte to be scored against",
                    hint="Make its matte with hdmatt matte, and have it scored where the truth is.",
                )
            _check_sizes(item)
            pictures[key] = item
        if finished is not None:
            same_size(finished, picture_size(finished), *reference(item))
            mattes.append(finished)
    for item in pictures.values():
        _check_truth(item)
    for path in dict.fromkeys(path for item in pictures.values() for path in _files(item.picture)):
        _decode(path)
    for path in dict.fromkeys(mattes):
        read_bytes(path)


def _check_truth(item: Item) -> None:
    truth, trimap = require_path(item.alpha), require_path(item.trimap)
    marks = read_marks(trimap)
    if not (marks == UNKNOWN).any():
        raise InputError(
            f"{trimap} has no unknown pixel, so there is nothing to score",
            hint="Take another trimap, or take this picture out of the set.",
        )
    check_truth(read_bytes(truth), marks, str(truth))


def _check_sizes(item: Item) -> None:
    path, size = reference(item)
    for other in (require_path(item.trimap), require_path(item.alpha)):
        same_size(other, picture_size(other), path, size)
    if isinstance(item.picture, Composition):
        same_size(item.picture.alpha, picture_size(item.picture.alpha), path, size)
        picture_size(item.picture.background)  # is there; any size will do


def _files(picture: Path | Composition) -> tuple[Path, ...]:
    parts = isinstance(picture, Composition)
    return (picture.foreground, picture.alpha, picture.background) if parts else (picture,)


def _decode(path: Path) -> None:
    """Decode a picture whole, so that a damaged one is found before hours of work."""
    with reader.open_picture(path) as picture:
        for y in range(0, picture.info.height, BAND):
            picture.rows(y, min(y + BAND, picture.info.height))


def _check_settings(settings: Settings) -> str:
    """Model and options work; returns the start of the model file's checksum."""
    from hdmatt.inference import load
    from hdmatt.inference.options import RunOptions
    from hdmatt.inference.plan import make_plan
    from hdmatt.network.names import models

    loaded = load.load_network(settings.network)
    marks = np.full((64, 64), UNKNOWN, np.uint8)
    marks[0] = BACKGROUND
    make_plan(open_trimap(marks), loaded.model, RunOptions.of(settings.options, device=loaded.device))
    path = models().get(str(settings.network.model)) or Path(settings.network.model)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _check_vitmatte(method: Method) -> str:
    from hdmatt.evaluation.peers import check_vitmatte

    return check_vitmatte(require_path(method.path))
