"""Reading and writing the files of one test picture: picture, trimap, truth and matte.

Knows files, not methods and not scores. A matte is scored as 8 bits, whatever it was saved as. Read top to bottom:

    read_bytes, as_bytes    a matte as 8 bits
    read_marks              a trimap
    open_item, opened       the picture (composed, if it is published in parts), and its trimap
    write_matte             rows to an 8-bit file
    require_path            narrows `Path | None`
    finished_matte          a matte from elsewhere
    reference, picture_size, same_size    all files of a picture must have its size
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.errors import InputError
from hdmatt.evaluation.compose import Composition, read_composition
from hdmatt.evaluation.testsets import Item
from hdmatt.pictures import reader
from hdmatt.pictures.folders import PICTURE_SUFFIXES, named
from hdmatt.pictures.reader import ArrayReader, BandReader
from hdmatt.pictures.trimap import TrimapReader, open_trimap
from hdmatt.pictures.writer import PictureWriter
from hdmatt.system.files import slug


def read_bytes(path: Path) -> UInt8[np.ndarray, "h w"]:
    """A matte as 8 bits, on which the metrics are defined; deeper files are rounded as in `metrics`."""
    return as_bytes(reader.read_grey(path))


def as_bytes(alpha: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Rounded to the nearest 1/255, halves up."""
    return np.floor(alpha.clip(0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def read_marks(path: Path) -> UInt8[np.ndarray, "h w"]:
    """A trimap: 0, 128, 255."""
    with open_trimap(path) as marks:
        return marks.rows(0, marks.info.height)


def open_item(item: Item) -> BandReader:
    """The picture; a context manager."""
    if isinstance(item.picture, Composition):
        return ArrayReader(read_composition(item.picture))
    return reader.open_picture(item.picture)


@contextmanager
def opened(item: Item) -> Generator[tuple[BandReader, TrimapReader]]:
    """Picture and trimap."""
    with open_item(item) as picture, open_trimap(require_path(item.trimap)) as trimap:
        yield picture, trimap


def write_matte(path: Path, height: int, width: int, bands: Iterable[np.ndarray]) -> None:
    """Bands of rows from top to bottom, floats in [0, 1]; the file is complete or not there."""
    with PictureWriter(path, height, width, channels=1, bit_depth="8") as file:
        for rows in bands:
            file.write(reader.as_float(as_bytes(rows)))


def require_path(path: Path | None) -> Path:
    """Narrow `Path | None`: `evaluate` has refused items without this path."""
    assert path is not None
    return path


def finished_matte(folder: Path, dataset: str, item: Item) -> Path:
    """The item's matte below a folder of finished mattes: for its data set and trimap, for its trimap, or for all.

    Raises:
        InputError: There is none, or two that differ in their suffix only.
    """
    for place in (folder / slug(dataset) / slug(item.variant), folder / item.variant, folder):
        if path := named(place, item.name):
            return path
    raise InputError(
        f"{folder} has no matte of {item.name}: {folder / item.name}.png does not exist",
        hint=f"Put it there as one of {', '.join(PICTURE_SUFFIXES)}.",
    )


def reference(item: Item) -> tuple[Path, tuple[int, int]]:
    """The file whose size all others of the item must have, and that size: height, width."""
    path = item.picture.foreground if isinstance(item.picture, Composition) else item.picture
    return path, picture_size(path)


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width."""
    with reader.open_picture(path) as picture:
        return picture.info.height, picture.info.width


def same_size(path: Path, size: tuple[int, int], other: Path, wanted: tuple[int, int]) -> None:
    """Refuse a file that has another size than another one."""
    if size != wanted:
        raise InputError(
            f"{path} is {size[1]}x{size[0]} but {other} is {wanted[1]}x{wanted[0]} "
            "(width x height, after EXIF rotation)",
            hint="All files of a picture must have its size; nothing is resized.",
        )
