"""Sizes of the pictures to come, read from their headers in the background.

Sizes         sizes by picture, and which files are read next
Size          megapixels of a picture, and of the smaller one that is matted first for an automatic trimap
upright_size  height and width of a picture, where Pillow reads its header
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from hdmatt.batching.entry import Entry
from hdmatt.batching.urls import fetch, is_url, opened

THREADS = 4
_TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations


class Size(NamedTuple):
    """Megapixels of a picture.

    Attributes:
        megapixels: Of the picture.
        smaller: Of the smaller picture whose matte an automatic trimap is made from; 0 where none is made.
    """

    megapixels: float
    smaller: float = 0.0

    @property
    def matted(self) -> float:
        """Megapixels that are matted, all together."""
        return self.megapixels + self.smaller


UNKNOWN_SIZE = Size(1.0)  # of a file that cannot be read: it will fail, and fast


class Sizes:
    """Sizes of pictures. A file that cannot be read counts as small; computing it says what is wrong.

    Args:
        automatic: Whether the trimap of a picture is an automatic one from its mask.
    """

    def __init__(self, automatic: Callable[[Entry], bool] = lambda _: False) -> None:
        self._automatic = automatic
        self._found: dict[str, Future[Size]] = {}
        self._order: list[Entry] = []
        self._at: dict[str, int] = {}

    def start(self, entries: Iterable[Entry]) -> None:
        """Begin to read the headers of these pictures, in this order."""
        self._order = list(entries)
        self._at = {entry.name: index for index, entry in enumerate(self._order)}
        if not self._order:
            return
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sizes")
        self._found = {
            entry.name: pool.submit(_size_of, entry.picture, self._automatic(entry)) for entry in self._order
        }
        pool.shutdown(wait=False)

    def size(self, entry: Entry) -> Size:
        """Size of a picture, once its header was read."""
        return self._found[entry.name].result()

    def known(self, entries: Sequence[Entry]) -> list[Size]:
        """Sizes of pictures; the mean of those known where a header was not read yet."""
        known = [one.result() for one in self._found.values() if one.done()]
        mean = Size(*(sum(column) / len(known) for column in zip(*known, strict=True))) if known else UNKNOWN_SIZE
        found = [self._found[entry.name] for entry in entries]
        return [one.result() if one.done() else mean for one in found]

    def next_files(self, name: str, ahead: int) -> list[str]:
        """The files of the pictures whose turn comes once those in work are done."""
        start = self._at.get(name, 0) + ahead
        return [file for entry in self._order[start : start + 1] for file in entry.inputs().values()]

    def stop(self) -> None:
        """Read no more headers."""
        for future in self._found.values():
            future.cancel()


def upright_size(picture: str) -> tuple[int, int] | None:
    """Height and width of a local or remote picture, after EXIF rotation; None where Pillow cannot read its header."""
    from PIL import ExifTags, Image

    try:
        with opened(picture) if is_url(picture) else open(picture, "rb") as file, Image.open(file) as header:
            turned = header.getexif().get(ExifTags.Base.Orientation) in _TRANSPOSED
            return (header.width, header.height) if turned else (header.height, header.width)
    except Exception:  # Pillow raises many kinds
        return None


def _size_of(picture: str, automatic: bool) -> Size:
    """Size of a picture by its header. What Pillow cannot read OpenImageIO may."""
    found = upright_size(picture) or (_fetched_size(picture) if is_url(picture) else _size_by_openimageio(picture))
    if found is None:
        return UNKNOWN_SIZE
    height, width = found
    if not automatic:
        return Size(height * width / 1e6)
    from hdmatt.trimaps.smaller import AUTOMATIC_SIDE, step_for

    step = step_for(height, width, side=AUTOMATIC_SIDE)
    return Size(height * width / 1e6, height * width / step**2 / 1e6)


def _fetched_size(picture: str) -> tuple[int, int] | None:
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as folder:
        local = Path(folder, picture.rpartition("/")[2])
        try:
            fetch(picture, local)
        except OSError:
            return None
        return _size_by_openimageio(os.fspath(local))


def _size_by_openimageio(picture: str) -> tuple[int, int] | None:
    from hdmatt.errors import HDMattError
    from hdmatt.pictures.reader import open_picture

    try:
        with open_picture(os.fspath(picture)) as reader:
            return reader.info.height, reader.info.width
    except (HDMattError, OSError, TypeError, UnicodeError):
        return None
