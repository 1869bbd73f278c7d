"""The picture at half its size, a quarter, and so on, as tiles that a browser can show: made while they are looked at.

Knows readers of rows; nothing of trimaps and browsers. Read top to bottom:

    shown             rows of any picture as 8 bits, display-encoded
    halved            means of squares of 2 x 2 pixels
    assembled         a box of a level, from its tiles
    PicturePyramid    tiles of a picture; a thread of its own makes the smaller views, from top to bottom

Level n is the picture at 1 / 2^n of its size, rounded up. The first view must not wait for all of that: a JPEG is
decoded at an eighth of its size for it, and a tiled file's tiles are read where they are asked for. What has to wait
too long is answered with every n-th pixel of the rows that were read so far.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

from hdmatt.errors import HDMattError
from hdmatt.pictures.box import Box
from hdmatt.pictures.colours.encoding import Encoding
from hdmatt.pictures.reader import BandReader, network_colours
from hdmatt.studio.tile_file import TileFile
from hdmatt.studio.trimap_tiles import SIZE, Key, tiles_touching

_PATIENCE = 3.0  # seconds that a tile waits for the rows it is made from, before it is answered without them
_DIRECT = 2  # the smallest view that is made from the picture itself where its windows are cheap to read
_QUICK = 1024  # pixels of the longer side that the first view of a JPEG has at least
_GREY = 128  # what is not known yet

Report = Callable[[int, int], None]  # rows done, rows in all


def shown(rows: Shaped[np.ndarray, "h w 3"], encoding: Encoding) -> UInt8[np.ndarray, "h w 3"]:
    """Rows of a picture as 8 bits, display-encoded."""
    if rows.dtype == np.uint8 and not encoding.light:
        return rows
    if rows.dtype == np.uint16 and not encoding.light:
        return ((rows.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return np.rint(network_colours(rows, encoding) * np.float32(255)).astype(np.uint8)


def halved(pixels: UInt8[np.ndarray, "h w *c"]) -> UInt8[np.ndarray, "_ _ *c"]:
    """Means of 2 x 2 pixels, rounded; an odd last row or column counts twice."""
    height, width = pixels.shape[:2]
    beyond = [(0, height % 2), (0, width % 2)] + [(0, 0)] * (pixels.ndim - 2)
    even = np.pad(pixels, beyond, mode="edge") if height % 2 or width % 2 else pixels
    return cv2.resize(even, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)


def assembled(
    box: Box, level: int, tile: Callable[[Key], UInt8[np.ndarray, "_ _ *c"]], channels: tuple[int, ...]
) -> UInt8[np.ndarray, "h w *c"]:
    """A box of a level, put together from the tiles that it touches."""
    out = np.empty((box.y1 - box.y0, box.x1 - box.x0, *channels), np.uint8)
    for key, part in tiles_touching(box, level):
        top, left = key[1] * SIZE, key[2] * SIZE
        found = tile(key)[part.y0 - top : part.y1 - top, part.x0 - left : part.x1 - left]
        out[part.y0 - box.y0 : part.y1 - box.y0, part.x0 - box.x0 : part.x1 - box.x0] = found
    return out


class PicturePyramid:
    """Tiles of a picture, display-encoded, 8 bits.

    Args:
        picture: For several threads; see pictures/raw_copy.py.
        levels: How many sizes there are.
        path: The file, for a quick first view; None for an array.
        cheap: Whether any window is cheap to read from the start, as in a tiled file.
        report: Called from the thread as it goes on, and once at the end with both numbers equal.
    """

    def __init__(
        self, picture: BandReader, levels: int, path: Path | None, *, cheap: bool, report: Report = lambda *_: None
    ) -> None:
        self._picture, self._levels, self._path, self._cheap = picture, levels, path, cheap
        self._report = report
        self.height, self.width = picture.info.height, picture.info.width
        self._tiles = TileFile(3)
        self._held: dict[int, np.ndarray] = {}  # rows of a level that are no whole tiles yet
        self._rows: dict[int, int] = {}  # of tiles that a level has
        self._quick: np.ndarray | None = None
        self._sparse: np.ndarray | None = None  # every n-th pixel of what was read
        self._news = threading.Condition()
        self._readable = cheap  # the full size, without waiting for a copy
        self._done = self._closed = False
        self._error: HDMattError | None = None
        self._thread = threading.Thread(target=self._make, name="smaller views", daemon=True)
        self._thread.start()

    def tile(self, key: Key) -> tuple[UInt8[np.ndarray, "h w 3"], bool]:
        """A tile, and whether it stays like this: the first ones may be coarse.

        Raises:
            InputError: The file is damaged.
            OutputError: There is no room for smaller views.
        """
        box = self.box(key)
        if key[0] == 0:
            if self._quick is not None and not self._readable:
                return self._coarse(box, 0), False
            return self._full(box), True
        with self._news:
            found = self._tiles.get(key)
            if found is None and self._quick is None and not (self._cheap and key[0] <= _DIRECT):
                self._news.wait_for(lambda: self._there(key) or self._done, _PATIENCE)
            found = self._tiles.get(key) if found is None else found
            if found is None and self._error:
                raise self._error
        if found is not None:
            return found, True
        if self._cheap and key[0] <= _DIRECT:
            return self._reduced(box, key[0]), True
        return self._coarse(box, key[0]), False

    def read(self, box: Box, level: int) -> UInt8[np.ndarray, "h w 3"]:
        """Any box of a level."""
        if level == 0:
            return self._full(box)
        return assembled(box, level, lambda key: self.tile(key)[0], (3,))

    def box(self, key: Key) -> Box:
        """The pixels of a tile in its level."""
        level, row, column = key
        height, width = self.size(level)
        return Box(row * SIZE, column * SIZE, min((row + 1) * SIZE, height), min((column + 1) * SIZE, width))

    def size(self, level: int) -> tuple[int, int]:
        """Height and width of a level."""
        return -(-self.height >> level) or 1, -(-self.width >> level) or 1

    def wait(self) -> None:
        """Until all smaller views are there."""
        self._thread.join()

    def close(self) -> None:
        """Stop the thread and remove the file. Safe to call twice."""
        self._closed = True
        self._thread.join()
        self._tiles.close()

    def _there(self, key: Key) -> bool:
        return key in self._tiles or self._quick is not None

    def _full(self, box: Box) -> np.ndarray:
        return shown(self._picture.window(box.y0, box.y1, box.x0, box.x1), self._picture.info.encoding)

    def _reduced(self, box: Box, level: int) -> np.ndarray:
        """A tile of a small level from the full size."""
        scale = 1 << level
        pixels = self._full(
            Box(box.y0 * scale, box.x0 * scale, min(box.y1 * scale, self.height), min(box.x1 * scale, self.width))
        )
        for _ in range(level):
            pixels = halved(pixels)
        return pixels

    def _coarse(self, box: Box, level: int) -> np.ndarray:
        """A tile from the quick view, or from every n-th pixel; grey where there is none."""
        height, width = box.y1 - box.y0, box.x1 - box.x0
        known = self._sparse if self._quick is None else self._quick
        if known is None:
            return np.full((height, width, 3), _GREY, np.uint8)
        rows, columns = (
            np.clip((np.arange(low, high) + 0.5) * small / length, 0, small - 1).astype(int)
            for (low, high), small, length in zip(
                ((box.y0, box.y1), (box.x0, box.x1)), known.shape, self.size(level), strict=False
            )
        )
        return known[rows[:, None], columns]

    def _make(self) -> None:
        try:
            if not self._cheap and self._path is not None:
                self._quick = _quick_view(self._path, self.height, self.width)
                with self._news:
                    self._news.notify_all()
            for y in range(0, self.height, SIZE):
                if self._closed:
                    return
                y1 = min(y + SIZE, self.height)
                rows = shown(self._picture.rows(y, y1), self._picture.info.encoding)
                self._readable = True
                self._keep_some(y, rows)
                if self._levels > 1:
                    self._add(1, halved(rows), last=y1 == self.height)
                if y1 < self.height:
                    self._report(y1, self.height)
        except HDMattError as error:
            self._error = error
        finally:
            with self._news:
                self._done = True
                if self._error is None:
                    self._quick = self._sparse = None
                self._news.notify_all()
        self._report(self.height, self.height)

    def _keep_some(self, y: int, rows: np.ndarray) -> None:
        """Every n-th pixel of some rows, for what cannot wait."""
        level = next(n for n in range(64) if max(self.size(n)) <= _QUICK)
        if self._sparse is None:
            self._sparse = np.full((*self.size(level), 3), _GREY, np.uint8)
        some = rows[-y % (1 << level) :: 1 << level, :: 1 << level]
        first = -(-y >> level)
        self._sparse[first : first + len(some)] = some

    def _add(self, level: int, rows: np.ndarray, *, last: bool) -> None:
        """More rows of a level: whole rows of tiles are kept, and handed on at half the size."""
        held = np.concatenate([self._held[level], rows]) if level in self._held else rows
        while len(held) >= SIZE or (last and len(held)):
            part, held, row = held[:SIZE], held[SIZE:], self._rows.get(level, 0)
            with self._news:
                for column in range(-(-part.shape[1] // SIZE)):
                    self._tiles.put((level, row, column), part[:, column * SIZE : (column + 1) * SIZE])
                self._rows[level] = row + 1
                self._news.notify_all()
            if level + 1 < self._levels:
                self._add(level + 1, halved(part), last=last and not len(held))
        self._held[level] = held.copy()


def _quick_view(path: Path, height: int, width: int) -> np.ndarray | None:
    """A JPEG at a fraction of its size, upright; None of another file, or one with odd colours."""
    from PIL import ImageOps, UnidentifiedImageError
    from PIL.JpegImagePlugin import JpegImageFile  # Image.open refuses large pictures, and this one is asked for

    try:
        with path.open("rb") as file, JpegImageFile(file) as picture:
            if picture.mode not in ("RGB", "L"):
                return None
            picture.draft("RGB", (min(_QUICK, width), min(_QUICK, height)))
            small = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (SyntaxError, OSError, ValueError, UnidentifiedImageError):
        return None  # no JPEG, or a damaged one: reading its rows says so
    return small if (small.shape[0] > small.shape[1]) == (height > width) else None
