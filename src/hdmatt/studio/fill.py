"""The connected area of one label around a pixel, tile by tile.

Arrays only. Two pixels are connected if they share a side.

    fill         paint a fill
    connected    a pixel of a trimap -> the masks of the tiles that its area touches
"""

from collections import deque
from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Bool

from hdmatt.errors import InputError
from hdmatt.pictures.box import Box
from hdmatt.studio.strokes import Stroke
from hdmatt.studio.trimap_tiles import SIZE, Tiles, TrimapTiles

_TilePlace = tuple[int, int]  # row and column of a tile
_SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))


def fill(trimap: TrimapTiles, stroke: Stroke) -> tuple[Tiles, Box]:
    """Paint the area around a fill's first point. Returns the tiles that changed, as they were, and a box around it.

    Raises:
        InputError: The point lies outside of the picture.
    """
    y, x = (int(np.floor(value)) for value in stroke.points[0][:2])
    height, width = trimap.size()
    if not (0 <= y < height and 0 <= x < width):
        raise InputError(f"a fill at ({y}, {x}), outside of the picture", hint="Begin inside of it.")
    before: Tiles = {}
    dirty = Box(0, 0, 0, 0)
    if trimap.read(Box(y, x, y + 1, x + 1))[0, 0] == stroke.label:
        return before, dirty
    for box, mask in connected(trimap.snapshot(), y, x):
        labels = trimap.read(box)
        labels[mask] = stroke.label
        for key, tile in trimap.write(box, labels).items():
            before.setdefault(key, tile)
        dirty = dirty.joined(box)
    return before, dirty


def connected(trimap: TrimapTiles, y: int, x: int) -> Iterator[tuple[Box, Bool[np.ndarray, "h w"]]]:
    """The area of the label at (y, x) that is connected with it: a box for each tile it touches, and the mask inside.

    The trimap must not change until the last one was taken.
    """
    label = int(trimap.read(Box(y, x, y + 1, x + 1))[0, 0])
    first = y // SIZE, x // SIZE
    inside: dict[_TilePlace, set[int]] = {}
    borders: dict[_TilePlace, dict[_TilePlace, np.ndarray]] = {}
    number = int(_parts(trimap, first, label)[y % SIZE, x % SIZE])
    waiting: deque[tuple[_TilePlace, set[int]]] = deque([(first, {number})])
    while waiting:
        place, numbers = waiting.popleft()
        numbers = numbers - inside.setdefault(place, set())
        if not numbers:
            continue
        inside[place] |= numbers
        for side in _SIDES:
            other = place[0] + side[0], place[1] + side[1]
            if not _exists(trimap, other):
                continue
            own, beyond = (
                borders.setdefault(at, {}).get(towards) for at, towards in ((place, side), (other, _opposite(side)))
            )
            if own is None:
                borders[place].update(_borders(_parts(trimap, place, label)))
                own = borders[place][side]
            if beyond is None:
                borders[other].update(_borders(_parts(trimap, other, label)))
                beyond = borders[other][_opposite(side)]
            touched = set(map(int, np.unique(beyond[np.isin(own, list(numbers))]))) - {0}
            if touched:
                waiting.append((other, touched))
    for place in sorted(inside):
        yield _box(trimap, place), np.isin(_parts(trimap, place, label), list(inside[place]))


def _parts(trimap: TrimapTiles, place: _TilePlace, label: int) -> np.ndarray:
    """The connected parts of one label in a tile, numbered from 1; 0 elsewhere."""
    box = _box(trimap, place)
    whole = trimap.label_of(*place)
    if whole is not None:
        return np.full((box.y1 - box.y0, box.x1 - box.x0), int(whole == label), np.int32)
    mask = (trimap.read(box) == label).astype(np.uint8)
    return cv2.connectedComponents(mask, connectivity=4)[1]


def _borders(parts: np.ndarray) -> dict[_TilePlace, np.ndarray]:
    return {
        (-1, 0): parts[0].copy(),
        (1, 0): parts[-1].copy(),
        (0, -1): parts[:, 0].copy(),
        (0, 1): parts[:, -1].copy(),
    }


def _opposite(side: _TilePlace) -> _TilePlace:
    return -side[0], -side[1]


def _exists(trimap: TrimapTiles, place: _TilePlace) -> bool:
    height, width = trimap.size()
    return 0 <= place[0] * SIZE < height and 0 <= place[1] * SIZE < width


def _box(trimap: TrimapTiles, place: _TilePlace) -> Box:
    height, width = trimap.size()
    top, left = place[0] * SIZE, place[1] * SIZE
    return Box(top, left, min(top + SIZE, height), min(left + SIZE, width))
