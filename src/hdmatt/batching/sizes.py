"""Sizes of the pictures to come, read from their headers in the background.

Sizes    megapixels by picture, and which files are read next
"""

import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from hdmatt.batching.entry import Entry
from hdmatt.batching.urls import fetch, is_url, opened

THREADS = 4
UNKNOWN_MEGAPIXELS = 1.0  # of a file that cannot be read: it will fail, and fast


class Sizes:
    """Megapixels of pictures. A file that cannot be read counts as small; computing it says what is wrong."""

    def __init__(self) -> None:
        self._found: dict[str, Future[float]] = {}
        self._order: list[Entry] = []
        self._at: dict[str, int] = {}

    def start(self, entries: Iterable[Entry]) -> None:
        """Begin to read the headers of these pictures, in this order."""
        self._order = list(entries)
        self._at = {entry.name: index for index, entry in enumerate(self._order)}
        if not self._order:
            return
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sizes")
        self._found = {entry.name: pool.submit(megapixels_of, entry.picture) for entry in self._order}
        pool.shutdown(wait=False)

    def megapixels(self, entry: Entry) -> float:
        """Megapixels of a picture, once its header was read."""
        return self._found[entry.name].result()

    def known(self, entries: Sequence[Entry]) -> list[float]:
        """Megapixels of pictures; the mean of those known where a header was not read yet."""
        known = [one.result() for one in self._found.values() if one.done()]
        mean = sum(known) / len(known) if known else UNKNOWN_MEGAPIXELS
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


def megapixels_of(picture: str) -> float:
    """Megapixels of a picture by its header."""
    from PIL import Image

    try:
        with opened(picture) if is_url(picture) else open(picture, "rb") as file, Image.open(file) as header:
            return header.width * header.height / 1e6
    except Exception:  # Pillow raises many kinds; what it cannot read OpenImageIO may
        if not is_url(picture):
            return _by_openimageio(picture)
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as folder:
        local = Path(folder, picture.rpartition("/")[2])
        try:
            fetch(picture, local)
        except OSError:
            return UNKNOWN_MEGAPIXELS
        return _by_openimageio(os.fspath(local))


def _by_openimageio(picture: str) -> float:
    from hdmatt.errors import HDMattError
    from hdmatt.pictures.reader import open_picture

    try:
        with open_picture(os.fspath(picture)) as reader:
            return reader.info.width * reader.info.height / 1e6
    except (HDMattError, OSError, TypeError, UnicodeError):
        return UNKNOWN_MEGAPIXELS
