"""The matte at smaller sizes, of which only what was looked at is made, and again only where it changed.

Knows functions that give the matte and the trimap; nothing of networks. Read top to bottom:

    AlphaSource      where the matte comes from
    AlphaPyramid     tiles of it, 8 bits
    MarkedAlpha      a matte as it was at one moment: the old one in "old against new"
"""

import threading
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.pictures.box import Box
from hdmatt.studio.pyramid import assembled, halved
from hdmatt.studio.tile_file import TileFile
from hdmatt.studio.trimap_tiles import SIZE, Key, TrimapTiles, tiles_touching


@runtime_checkable
class AlphaSource(Protocol):
    """A matte of full size."""

    def alpha(self, box: Box) -> Float32[np.ndarray, "h w"]: ...

    def computed(self, box: Box) -> bool: ...  # whether any of it comes from a network, and not from the trimap

    def snapshot(self) -> TrimapTiles: ...


class AlphaPyramid:
    """Tiles of a matte at all sizes.

    Where nothing was computed yet a smaller view follows from the trimap's, unknown being grey: so the first look at
    400 megapixels does not make all of them.
    """

    def __init__(self, source: AlphaSource) -> None:
        self._source = source
        self._tiles = TileFile(1)
        self._lock = threading.Lock()
        self._changes = 0
        trimap = source.snapshot()
        self._sizes = [trimap.size(level) for level in range(trimap.levels)]

    def touch(self, box: Box) -> None:
        """The matte has changed in a box."""
        with self._lock:
            self._changes += 1
            for level in range(1, len(self._sizes)):
                scale = 1 << level
                part = Box(box.y0 // scale, box.x0 // scale, -(-box.y1 // scale), -(-box.x1 // scale))
                for key, _ in tiles_touching(part, level):
                    self._tiles.drop(key)

    def tile(self, key: Key) -> UInt8[np.ndarray, "h w"]:
        """A tile of any level."""
        level, row, column = key
        height, width = self._sizes[level]
        box = Box(row * SIZE, column * SIZE, min((row + 1) * SIZE, height), min((column + 1) * SIZE, width))
        if level == 0:
            return _eight_bits(self._source.alpha(box))
        with self._lock:
            found, changes = self._tiles.get(key), self._changes
        if found is not None:
            return found
        full_height, full_width = self._sizes[0]
        scale = 1 << level
        under = Box(*(value * scale for value in box)).clipped(full_height, full_width)
        if not self._source.computed(under):
            return self._source.snapshot().read(box, level)
        height, width = self._sizes[level - 1]
        twice = Box(*(2 * value for value in box)).clipped(height, width)
        made = halved(assembled(twice, level - 1, self.tile, ()))
        with self._lock:
            if changes == self._changes:
                self._tiles.put(key, made)
        return made

    def read(self, box: Box, level: int) -> UInt8[np.ndarray, "h w"]:
        """Any box of a level."""
        return _eight_bits(self._source.alpha(box)) if level == 0 else assembled(box, level, self.tile, ())

    def close(self) -> None:
        """Remove the file. Safe to call twice."""
        self._tiles.close()


class MarkedAlpha:
    """A matte as it was when this was made: tiles with unknown pixels are copied, the others follow from the trimap.

    Raises:
        OutputError: There is no room for the copy.
    """

    def __init__(self, source: AlphaSource) -> None:
        self._trimap = source.snapshot()
        self._copies = TileFile(1)
        height, width = self._trimap.size()
        try:
            for key, part in tiles_touching(Box(0, 0, height, width), 0):
                if self._trimap.holds_unknown(part) and source.computed(part):
                    self._copies.put(key, _eight_bits(source.alpha(part)))
        except BaseException:
            self._copies.close()
            raise

    def alpha(self, box: Box) -> Float32[np.ndarray, "h w"]:
        return assembled(box, 0, self._tile, ()) / np.float32(255)

    def computed(self, box: Box) -> bool:
        return any(key in self._copies for key, _ in tiles_touching(box, 0))

    def snapshot(self) -> TrimapTiles:
        return self._trimap

    def close(self) -> None:
        self._copies.close()

    def _tile(self, key: Key) -> np.ndarray:
        found = self._copies.get(key)
        if found is not None:
            return found
        height, width = self._trimap.size()
        top, left = key[1] * SIZE, key[2] * SIZE
        return self._trimap.read(Box(top, left, min(top + SIZE, height), min(left + SIZE, width)))


def _eight_bits(alpha: np.ndarray) -> np.ndarray:
    return np.rint(alpha * np.float32(255)).astype(np.uint8)
