"""What the headers of a picture's files say: whether its matte would fail. Decodes no pixels, loads no network.

Refusal     why a picture would fail, and what to do
refusals    pictures -> those that would fail for certain

The same functions look at the files as before a matte, so reasons and hints are the same.
"""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hdmatt.batching.entry import Entry, outputs_of
from hdmatt.batching.sizes import THREADS, upright_size
from hdmatt.batching.urls import fetch, is_url
from hdmatt.errors import HDMattError
from hdmatt.inference.backgrounds import check_background_size, parse_background
from hdmatt.inference.outputs import Outputs
from hdmatt.pictures.colours.encoding import check_usable
from hdmatt.pictures.info import InputOptions, PictureInfo
from hdmatt.pictures.placed import placed
from hdmatt.pictures.reader import open_picture
from hdmatt.pictures.trimap_checks import check_trimap_size
from hdmatt.trimaps.masks import MaskSource, check_mask_size

UNREADABLE = "Check the file and your rights, and the network where it is a URL."


@dataclass(frozen=True)
class Refusal:
    """Why a picture would fail, and what to do about it."""

    name: str
    picture: str
    reason: str
    hint: str


def refusals(entries: Sequence[tuple[Entry, Mapping[str, Any]]]) -> list[Refusal]:
    """The pictures that would fail for certain, in their order.

    Args:
        entries: Pictures, each with its work (see `Task`).
    """
    with ThreadPoolExecutor(THREADS, thread_name_prefix="headers") as pool:
        found = pool.map(lambda one: _refusal(*one), entries)
        return [refusal for refusal in found if refusal is not None]


def _refusal(entry: Entry, work: Mapping[str, Any]) -> Refusal | None:
    try:
        _check(entry, work)
    except HDMattError as error:
        return Refusal(entry.name, entry.picture, error.message, error.hint)
    except OSError as error:
        return Refusal(entry.name, entry.picture, str(error), UNREADABLE)
    return None


def _check(entry: Entry, work: Mapping[str, Any]) -> None:
    """Raise what a matte of the picture would raise."""
    given: dict[str, Any] = {**work["outputs"], **entry.outputs}
    outputs = outputs_of(given)
    if not any(map(is_url, entry.inputs().values())):
        _check_files(entry, work, outputs)
        return
    sizes = {upright_size(name) for name in entry.inputs().values()}
    if len(sizes) == 1 and None not in sizes:
        return
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as folder:
        _check_copies(entry, work, outputs, Path(folder))


def _check_copies(entry: Entry, work: Mapping[str, Any], outputs: Outputs, folder: Path) -> None:
    names: dict[str, str] = {}
    for kind, name in entry.inputs().items():
        local = folder / kind / name.rpartition("/")[2]
        if is_url(name):
            local.parent.mkdir()
            fetch(name, local)
            names[name] = str(local)
    moved = {kind: names.get(name, name) for kind, name in entry.inputs().items()}
    try:
        _check_files(replace(entry, **moved), work, outputs)
    except HDMattError as error:
        for name, local in names.items():
            error.message, error.hint = error.message.replace(local, name), error.hint.replace(local, name)
        raise


def _check_files(entry: Entry, work: Mapping[str, Any], outputs: Outputs) -> None:
    reading = InputOptions(**work["reading"])
    with ExitStack() as stack:
        picture = stack.enter_context(open_picture(entry.picture, reading)).info
        check_usable(picture.encoding, entry.picture)
        other = Path(entry.trimap or entry.mask or "")
        grey = placed(stack.enter_context(open_picture(other, reading.of_others(), part="grey")), picture).info
        if entry.trimap is not None:
            check_trimap_size(grey, picture)
        else:
            check_mask_size(grey.height, grey.width, MaskSource(other, fit=work["mask"]["fit"]), picture)
        _check_background(outputs, picture, reading)


def _check_background(outputs: Outputs, picture: PictureInfo, reading: InputOptions) -> None:
    background = None if outputs.background is None else parse_background(outputs.background)
    if isinstance(background, Path):
        with open_picture(background, reading.of_others()) as reader:
            check_background_size(placed(reader, picture).info, picture, background)
