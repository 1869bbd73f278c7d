"""A trimap of any size as a dictionary of compressed tiles, which is painted on and read by rows.

Arrays only; knows no file and no network. A tile of one label is a number, any other is compressed: a trimap of 400
megapixels takes about a megabyte. Read top to bottom:

    TileLabels, Tiles     a tile as it is held; the tiles that an edit changed
    TrimapTiles     read, paint, put back, smaller views; `rows` for whatever reads a trimap
    written         labels that come in bands
    tiles_touching  the tiles of a box
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import UInt8

from hdmatt.pictures.box import Box
from hdmatt.pictures.colours.encoding import SRGB
from hdmatt.pictures.info import PictureInfo
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from hdmatt.studio.strokes import Stroke, covered

SIZE = 512  # pixels of a tile's side
Key = tuple[int, int, int]  # level, row and column of a tile
TileLabels = int | bytes  # one label, or SIZE x SIZE labels compressed
Tiles = dict[Key, TileLabels]

_ORDER = np.zeros(
    256, np.uint8
)  # of labels, where a smaller view has one pixel for four: unknown wins, then foreground
_ORDER[[BACKGROUND, FOREGROUND, UNKNOWN]] = 0, 1, 2
_LABELS = np.array([BACKGROUND, FOREGROUND, UNKNOWN], np.uint8)


class TrimapTiles:
    """A trimap in tiles, with smaller views of it.

    Level 0 is the trimap. A pixel of level n + 1 stands for 2 x 2 of level n: unknown if one of them is, else
    foreground if one is. Not for several threads at once; a `snapshot` may be read while this one is painted on.

    Args:
        info: Size of the trimap.
        label: Of all pixels at first.
    """

    def __init__(self, info: PictureInfo, label: int = UNKNOWN) -> None:
        self.info = replace(info, channels=1, has_alpha=False, dtype=np.dtype(np.uint8), encoding=SRGB, icc=None)
        self._label = label
        self._tiles: Tiles = {}  # those that are not `label` throughout
        self.levels = max(0, (max(info.height, info.width) - 1).bit_length() - (SIZE - 1).bit_length()) + 1

    def size(self, level: int = 0) -> tuple[int, int]:
        """Height and width of a level."""
        return -(-self.info.height >> level) or 1, -(-self.info.width >> level) or 1

    def snapshot(self) -> "TrimapTiles":
        """The trimap as it is now; tiles are shared, and never changed in place."""
        other = TrimapTiles(self.info, self._label)
        other._tiles = dict(self._tiles)
        return other

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        """Rows y0 .. y1 - 1."""
        return self.read(Box(y0, 0, y1, self.info.width))

    def read(self, box: Box, level: int = 0) -> UInt8[np.ndarray, "h w"]:
        """The labels inside of a box of a level; the box lies inside of it."""
        out = np.empty((box.y1 - box.y0, box.x1 - box.x0), np.uint8)
        for (_, row, column), part in tiles_touching(box, level):
            here = np.s_[part.y0 - box.y0 : part.y1 - box.y0, part.x0 - box.x0 : part.x1 - box.x0]
            tile = self._tiles.get((level, row, column), self._label)
            if isinstance(tile, int):
                out[here] = tile
            else:
                top, left = row * SIZE, column * SIZE
                out[here] = _labels(tile)[part.y0 - top : part.y1 - top, part.x0 - left : part.x1 - left]
        return out

    def label_of(self, row: int, column: int) -> int | None:
        """The label of a whole tile; None where it has several."""
        tile = self._tiles.get((0, row, column), self._label)
        return tile if isinstance(tile, int) else None

    def holds_unknown(self, box: Box) -> bool:
        """Whether any pixel of a box is unknown; tiles of one label are not looked into."""
        for (_, row, column), part in tiles_touching(box, 0):
            label = self.label_of(row, column)
            if label == UNKNOWN or (label is None and bool((self.read(part) == UNKNOWN).any())):
                return True
        return False

    def any_known(self) -> bool:
        """Whether any pixel is known: a tile of several labels has one."""
        height, width = self.size()
        places = tiles_touching(Box(0, 0, height, width), 0)
        return any(self.label_of(row, column) != UNKNOWN for (_, row, column), _ in places)

    def tiles(self, keys: Iterable[Key]) -> Tiles:
        """Some tiles as they are now."""
        return {key: self._tiles.get(key, self._label) for key in keys}

    def around(self, keys: Iterable[Key]) -> Box:
        """A box around tiles of level 0, inside of the trimap."""
        box = Box(0, 0, 0, 0)
        for level, row, column in keys:
            if level == 0:
                box = box.joined(Box(row * SIZE, column * SIZE, (row + 1) * SIZE, (column + 1) * SIZE))
        return box.clipped(self.info.height, self.info.width)

    def write(self, box: Box, labels: UInt8[np.ndarray, "h w"]) -> Tiles:
        """Put labels into a box, which lies inside of the trimap. Returns the tiles that changed, as they were."""
        changed: Tiles = {}
        for key, part in tiles_touching(box, 0):
            new = labels[part.y0 - box.y0 : part.y1 - box.y0, part.x0 - box.x0 : part.x1 - box.x0]
            if (old := self._put(key, part, new)) is not None:
                changed[key] = old
        return changed | self._shrink(changed, box)

    def paint(self, stroke: Stroke) -> tuple[Tiles, Box]:
        """Paint a brush, a lasso or a widening. Returns the tiles that changed, as they were, and a box around them."""
        changed: Tiles = {}
        dirty = Box(0, 0, 0, 0)
        box = stroke.box.clipped(self.info.height, self.info.width)
        if box.empty:  # beside the picture
            return changed, dirty
        for y0 in range(box.y0 // SIZE * SIZE, box.y1, SIZE):
            band = Box(max(y0, box.y0), box.x0, min(y0 + SIZE, box.y1), box.x1)
            mask = covered(stroke, band)
            for key, part in tiles_touching(band, 0):
                inside = mask[part.y0 - band.y0 : part.y1 - band.y0, part.x0 - band.x0 : part.x1 - band.x0]
                if not inside.any():
                    continue
                labels = self.read(part)
                reached = inside & self._near_unknown(part, stroke.amount) if stroke.kind == "widen" else inside
                reached &= labels != stroke.label
                if reached.any():
                    # a widening's next tile must see the trimap as it was: nothing is put yet
                    rows, columns = np.flatnonzero(reached.any(1)), np.flatnonzero(reached.any(0))
                    at = Box(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
                    moved = Box(at.y0 + part.y0, at.x0 + part.x0, at.y1 + part.y0, at.x1 + part.x0)
                    dirty = dirty.joined(Box(*map(int, moved)))
                    labels[reached] = stroke.label
                    changed[key] = self._compressed(key, part, labels)
        before = {key: self._exchange(key, tile) for key, tile in changed.items()}
        return before | self._shrink(before, dirty), dirty

    def put_back(self, tiles: Tiles) -> Tiles:
        """Exchange tiles for others. Returns what they were, so that putting that back undoes it."""
        return {key: self._exchange(key, tile) for key, tile in tiles.items()}

    def _near_unknown(self, part: Box, amount: float) -> np.ndarray:
        reach = int(amount)
        around = part.grown(reach + 1).clipped(self.info.height, self.info.width)
        unknown = self.read(around) == UNKNOWN
        if not unknown.any():
            return np.zeros((part.y1 - part.y0, part.x1 - part.x0), bool)
        distance = cv2.distanceTransform((~unknown).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        near = distance <= np.float32(amount)
        return near[part.y0 - around.y0 : part.y1 - around.y0, part.x0 - around.x0 : part.x1 - around.x0]

    def _put(self, key: Key, part: Box, new: np.ndarray) -> TileLabels | None:
        """New labels of a part of a tile; None if they are the same as the old."""
        if np.array_equal(self.read(part, key[0]), new):
            return None
        return self._exchange(key, self._compressed(key, part, new))

    def _compressed(self, key: Key, part: Box, new: np.ndarray) -> TileLabels:
        """A tile with new labels in a part of it. Beyond the picture it continues its last pixels."""
        level, row, column = key
        height, width = self.size(level)
        whole = Box(row * SIZE, column * SIZE, min((row + 1) * SIZE, height), min((column + 1) * SIZE, width))
        labels = self.read(whole, level)
        labels[part.y0 - whole.y0 : part.y1 - whole.y0, part.x0 - whole.x0 : part.x1 - whole.x0] = new
        first = int(labels[0, 0])
        if (labels == first).all():
            return first
        missing = SIZE - labels.shape[0], SIZE - labels.shape[1]
        return zlib.compress(np.pad(labels, ((0, missing[0]), (0, missing[1])), mode="edge").tobytes(), 1)

    def _exchange(self, key: Key, tile: TileLabels) -> TileLabels:
        old = self._tiles.get(key, self._label)
        if tile == self._label:
            self._tiles.pop(key, None)
        else:
            self._tiles[key] = tile
        return old

    def _shrink(self, changed: Tiles, dirty: Box) -> Tiles:
        """Bring the smaller views up to date where a box has changed. Returns their changed tiles as they were."""
        before: Tiles = {}
        below = {key for key in changed if key[0] == 0}
        for level in range(1, self.levels):
            above: set[Key] = set()
            dirty = Box(dirty.y0 // 2 * 2, dirty.x0 // 2 * 2, dirty.y1 + dirty.y1 % 2, dirty.x1 + dirty.x1 % 2)
            dirty = dirty.clipped(*self.size(level - 1))
            for _, row, column in below:
                top, left = row * SIZE, column * SIZE
                own = Box(
                    max(top, dirty.y0), max(left, dirty.x0), min(top + SIZE, dirty.y1), min(left + SIZE, dirty.x1)
                )
                part = Box(own.y0 // 2, own.x0 // 2, -(-own.y1 // 2), -(-own.x1 // 2))
                key = level, row // 2, column // 2
                old = self._put(key, part, _halved(self.read(own, level - 1)))
                if old is not None:
                    before.setdefault(key, old)
                    above.add(key)
            below = above
            dirty = Box(dirty.y0 // 2, dirty.x0 // 2, -(-dirty.y1 // 2), -(-dirty.x1 // 2))
        return before


def written(trimap: TrimapTiles, bands: Iterable[np.ndarray], box: Box) -> Iterator[tuple[Key, TileLabels]]:
    """Put bands of labels into a box, from its top to its end. Yields the tiles that change, as they were before.

    Bands are joined to whole rows of tiles first, so that a tile is compressed once.
    """
    held, y = np.empty((0, box.x1 - box.x0), np.uint8), box.y0
    for band in bands:
        held = np.concatenate([held, band])
        while len(held) and (end := min((y // SIZE + 1) * SIZE, box.y1)) <= y + len(held):
            yield from trimap.write(Box(y, box.x0, end, box.x1), held[: end - y]).items()
            held, y = held[end - y :], end
    assert y == box.y1 and not len(held), (y, box)


def tiles_touching(box: Box, level: int) -> Iterator[tuple[Key, Box]]:
    """The tiles that a box touches, each with the part of the box in it."""
    for row in range(box.y0 // SIZE, -(-box.y1 // SIZE)):
        for column in range(box.x0 // SIZE, -(-box.x1 // SIZE)):
            top, left = row * SIZE, column * SIZE
            yield (
                (level, row, column),
                Box(max(box.y0, top), max(box.x0, left), min(box.y1, top + SIZE), min(box.x1, left + SIZE)),
            )


@lru_cache(maxsize=64)  # 16 MiB; a stroke looks into the same tiles again and again
def _labels(tile: bytes) -> np.ndarray:
    return np.frombuffer(zlib.decompress(tile), np.uint8).reshape(SIZE, SIZE)


def _halved(labels: np.ndarray) -> np.ndarray:
    height, width = labels.shape
    order = _ORDER[labels]
    if height % 2 or width % 2:
        order = np.pad(order, ((0, height % 2), (0, width % 2)), mode="edge")
    rows = np.maximum(order[::2], order[1::2])  # a reduction over both axes takes thirty times as long
    return _LABELS[np.maximum(rows[:, ::2], rows[:, 1::2])]
