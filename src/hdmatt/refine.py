"""The finished matte smoothed along the picture's colours, all of it at once, in bounded memory.

The network sees a patch; what it gets wrong by a little on a whole strand, or smooths over a sharp rim, the picture's
own colours tell. `propagation.smoothed` solves for an alpha close to the network's that follows them, on the picture
itself or, where that has too many pixels, on squares of `step` pixels; the change is added to the matte. Top to bottom:

    refined    rows of a matte in, rows of the smoothed matte out, once the last has come in
    _beside_unknown    what is read of the picture
    _Spool     the rows that wait, in a file without a name
"""

import tempfile
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import IO

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.engine import Rows
from hdmatt.errors import OutputError
from hdmatt.image import PictureReader, network_colours
from hdmatt.patches import grown_rows
from hdmatt.propagation import REACH, Shrinker, smoothed
from hdmatt.trimap import UNKNOWN

AT_ONCE = 2**20  # pixels of a band whose colours are read

def refined(
    rows: Generator[tuple[int, Float32[np.ndarray, "rows width"]]],
    picture: Rows,
    trimap: Rows,
    *,
    step: int,
    band: int,
) -> Generator[tuple[int, Float32[np.ndarray, "rows width"]]]:
    """(first row, rows) of the whole matte, top to bottom; picture and trimap are read again when `rows` has ended.

    Args:
        rows: The whole matte, top to bottom, 0 and 1 where the trimap is sure.
        step: Pixels of the picture to one of the solve, see `propagation.smooth_step`.
        band: Rows read and handed out at a time.
    """
    height, width = trimap.info.height, trimap.info.width
    with closing(rows), closing(_Spool(width)) as spool:
        for _, alpha in rows:
            spool.write(alpha)
            del alpha  # or it would be held while the next is made
        spool.rewind()
        shrinker = Shrinker(step)
        for colours, marks in _beside_unknown(picture, trimap, margin=REACH * step, band=band):
            shrinker.add(colours, marks, spool.read(len(marks)))
            del colours, marks
        small, marks, before = *shrinker.picture(), shrinker.averaged()
        del shrinker
        change = smoothed(small, marks, before) - before
        del small, marks, before
        spool.rewind()
        for y0, y1 in _bands(height, band):
            alpha = spool.read(y1 - y0)
            grown = grown_rows(change, y0, y1, step * change.shape[0], step * change.shape[1])[:, :width]
            yield y0, np.where(trimap.rows(y0, y1) == UNKNOWN, np.clip(alpha + grown, 0, 1), alpha)


def _bands(height: int, band: int) -> list[tuple[int, int]]:
    return [(y0, min(y0 + band, height)) for y0 in range(0, height, band)]


def _beside_unknown(
    picture: Rows, trimap: Rows, *, margin: int, band: int
) -> Iterator[tuple[Float32[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]]:
    """Bands of colours and trimap; colours are read within `margin` pixels of unknown ones at least, and elsewhere 0.

    Of a file without tiles whole rows are read, or none.
    """
    height, width = trimap.info.height, trimap.info.width
    tiled = isinstance(picture, PictureReader) and picture.tiled
    bands = _bands(height, max(margin, min(band, AT_ONCE // width)))
    around: deque[np.ndarray] = deque(maxlen=3)  # which columns hold unknown pixels: before, in and after the band
    following: deque[np.ndarray] = deque()

    def look(i: int) -> None:
        marks = trimap.rows(*bands[i]) if i < len(bands) else np.zeros((0, width), np.uint8)
        following.append(marks)
        around.append((marks == UNKNOWN).any(axis=0))

    around.append(np.zeros(width, bool))
    look(0)
    for i, (y0, y1) in enumerate(bands):
        look(i + 1)
        colours, columns = np.zeros((y1 - y0, width, 3), np.float32), np.flatnonzero(np.any(around, axis=0))
        if len(columns):
            x0, x1 = 0, width
            if tiled:
                x0, x1 = max(0, int(columns[0]) - margin), min(width, int(columns[-1]) + 1 + margin)
            rows = picture.window(y0, y1, x0, x1) if isinstance(picture, PictureReader) else picture.rows(y0, y1)
            colours[:, x0:x1] = network_colours(rows, linear=picture.info.linear)
        yield colours, following.popleft()


class _Spool:
    """Rows of a matte in a temporary file, exactly: two bits where alpha is 0 or 1, the value, too, elsewhere."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="hdmatt-")  # noqa: SIM115 - `close` is below

    def write(self, rows: Float32[np.ndarray, "h w"]) -> None:
        """The next rows. Raises OutputError when the disk is full."""
        try:
            for row in rows:
                between = (row > 0) & (row < 1)
                self._file.write(np.packbits(between).tobytes() + np.packbits(row == 1).tobytes())
                self._file.write(row[between].astype(np.float32).tobytes())
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"the unfinished matte cannot be kept in {tempfile.gettempdir()}: {error.strerror}",
                hint="Free some space there, name another folder by TMPDIR, or use --no-refine.",
            ) from error

    def rewind(self) -> None:
        self._file.seek(0)

    def read(self, number: int) -> Float32[np.ndarray, "h w"]:
        """The next rows."""
        size = -(-self._width // 8)
        rows = np.empty((number, self._width), np.float32)
        for row in rows:
            between, ones = (
                np.unpackbits(np.frombuffer(self._file.read(size), np.uint8), count=self._width) for _ in range(2)
            )
            values = np.frombuffer(self._file.read(4 * int(between.sum(dtype=np.int64))), np.float32)
            row[:] = ones
            row[between.view(bool)] = values
        return rows

    def close(self) -> None:
        self._file.close()
