"""Outputs cut to the subject: how far it can reach, how far it does, and what waits on the disk until that is known.

Knows rows of trimaps and mattes, and one hidden file; nothing of formats and of what is written where.

    reach_of        what of a picture the trimap leaves possible
    is_stored       where a matte is not 0 in a file of some depth
    WaitingRows     rows of matte and foreground that wait until the last of them has been computed

The box is known when the matte is complete. So no file begins before, and what is to be written waits in a file of
numbers: 16 bytes for each pixel that the trimap leaves possible, 4 for a matte alone.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Bool, Float32

from hdmatt.errors import InputError
from hdmatt.inference.options import RowSource
from hdmatt.pictures.box import Box
from hdmatt.pictures.colours.colour import cutout
from hdmatt.pictures.files.formats import DEPTHS
from hdmatt.pictures.info import WHITE
from hdmatt.pictures.trimap import BACKGROUND
from hdmatt.system.hidden import HiddenFile, unwritable

_BAND = 256  # rows of the trimap that are looked at together
_WRITTEN = 64  # rows that are read again together


def reach_of(trimap: RowSource) -> Box:
    """The smallest box around all pixels that are not surely background; no matte is more than 0 outside of it.

    Raises:
        InputError: There is no such pixel.
    """
    found: Box | None = None
    for y in range(0, trimap.info.height, _BAND):
        rows = trimap.rows(y, min(y + _BAND, trimap.info.height))
        found = _grown(found, rows != BACKGROUND, y=y, x=0)
    return _something(found, "the trimap is background everywhere")


def is_stored(alpha: Float32[np.ndarray, "h w"], bit_depth: str) -> Bool[np.ndarray, "h w"]:
    """Where a matte in [0, 1] is not 0 once it is rounded to the file's depth: "8", "16", "half" or "float"."""
    dtype = np.dtype(DEPTHS[bit_depth])
    if dtype.name in WHITE:
        return np.rint(alpha * np.float32(WHITE[dtype.name])) > 0
    return alpha.astype(dtype) > 0


class WaitingRows:
    """Rows of a matte, and of its foreground, on the disk until they are written; a context manager.

    They lie in a hidden file that goes with the block.

    Args:
        beside: The output beside whose place the hidden file stands.
        reach: What is kept of each row, and which rows.
        bit_depth: The finest that is written, which decides what is 0.
        colours: Whether a foreground comes with the matte.
    """

    def __init__(self, beside: Path, reach: Box, *, bit_depth: str, colours: bool) -> None:
        self._beside, self._reach, self._depth = beside, reach, bit_depth
        self._channels = 4 if colours else 1
        self._found: Box | None = None
        self._hidden: HiddenFile | None = None

    def __enter__(self) -> "WaitingRows":
        self._hidden = HiddenFile(self._beside)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._hidden is not None:
            self._hidden.discard()

    def add(self, y0: int, alpha: np.ndarray, foreground: np.ndarray | None = None) -> None:
        """The next rows, [h, W] and [h, W, 3], from the top.

        Raises:
            OutputError: There is no room.
        """
        assert self._hidden is not None and (foreground is None) == (self._channels == 1)
        reach = self._reach
        rows = slice(max(reach.y0 - y0, 0), max(reach.y1 - y0, 0))
        alpha = reach.columns(alpha[rows])
        if not len(alpha):
            return
        self._found = _grown(self._found, is_stored(alpha, self._depth), y=max(y0, reach.y0), x=reach.x0)
        kept = alpha if foreground is None else cutout(reach.columns(foreground[rows]), alpha)
        self._hidden.write(np.ascontiguousarray(kept, np.float32).data.cast("B"))
        self._hidden.check()

    def box(self) -> Box:
        """The smallest box around all that is not 0 in the finest output.

        Raises:
            InputError: Everything is.
        """
        return _something(self._found, "the matte is 0 everywhere")

    def bands(self, box: Box) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
        """(first row in the picture, alpha, foreground or None) of a box's rows and columns, from top to bottom."""
        assert self._hidden is not None
        reach, channels = self._reach, self._channels
        width, left = reach.x1 - reach.x0, box.x0 - reach.x0
        for y0 in range(box.y0, box.y1, _WRITTEN):
            rows = min(_WRITTEN, box.y1 - y0)
            try:
                with self._hidden.path.open("rb") as file:
                    file.seek((y0 - reach.y0) * width * channels * 4)
                    data = file.read(rows * width * channels * 4)
            except OSError as error:
                raise unwritable(self._beside, error) from error
            band = np.frombuffer(data, np.float32).reshape(rows, width, channels)[:, left : left + box.size[1]]
            yield y0, band[..., -1], band[..., :3] if channels == 4 else None


def _grown(box: Box | None, mask: np.ndarray, *, y: int, x: int) -> Box | None:
    """A box that also holds all that is true in a mask whose corner is at (y, x)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return box
    new = Box(y + int(rows[0]), x + int(columns[0]), y + int(rows[-1]) + 1, x + int(columns[-1]) + 1)
    if box is None:
        return new
    return box.joined(new)


def _something(box: Box | None, why: str) -> Box:
    if box is None:
        raise InputError(f"{why}, so there is no subject to cut the outputs to", hint="Leave --trim out.")
    return box
