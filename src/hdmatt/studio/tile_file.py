"""Tiles of 8 bits in a temporary file, by level, row and column: what a smaller view takes does not count as memory.

TileFile    put, get and drop a tile; for several threads
"""

import tempfile
import threading

import numpy as np
from jaxtyping import UInt8

from hdmatt.errors import OutputError
from hdmatt.pictures.turned import read_exactly, write_all
from hdmatt.studio.trimap_tiles import SIZE, Key
from hdmatt.system.memory import MIB


class TileFile:
    """Tiles of at most SIZE x SIZE pixels and some channels; a dropped tile's place is used again."""

    def __init__(self, channels: int) -> None:
        self._bytes = SIZE * SIZE * channels
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed by close()
        self._places: dict[Key, tuple[int, tuple[int, ...]]] = {}  # and the shape of each tile
        self._free: list[int] = []
        self._lock = threading.Lock()

    def __contains__(self, key: Key) -> bool:
        return key in self._places

    def get(self, key: Key) -> UInt8[np.ndarray, "h w *c"] | None:
        """A tile; None if it is not there."""
        with self._lock:
            found = self._places.get(key)
            if found is None:
                return None
            tile = np.empty(found[1], np.uint8)
            read_exactly(self._file, tile, found[0] * self._bytes)
            return tile

    def put(self, key: Key, tile: UInt8[np.ndarray, "h w *c"]) -> None:
        """Keep a tile in place of what it was.

        Raises:
            OutputError: The disk is full.
        """
        with self._lock:
            place = self._places.pop(key, (None,))[0]
            if place is None:
                place = self._free.pop() if self._free else len(self._places) + len(self._free)
            try:
                self._file.seek(place * self._bytes)
                write_all(self._file, np.ascontiguousarray(tile))
            except OSError as error:
                self._free.append(place)
                raise OutputError(
                    f"smaller views need {self._bytes // MIB + 1} MiB more in {tempfile.gettempdir()} "
                    f"({error.strerror})",
                    hint="Make room there, or name another folder: TMPDIR=/path hdmatt ...",
                ) from error
            self._places[key] = place, tile.shape

    def drop(self, key: Key) -> None:
        """Forget a tile, if it is there."""
        with self._lock:
            if found := self._places.pop(key, None):
                self._free.append(found[0])

    def close(self) -> None:
        """Remove the file. Safe to call twice."""
        with self._lock:
            self._file.close()
            self._places.clear()
