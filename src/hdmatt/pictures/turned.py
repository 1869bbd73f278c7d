"""Rows of a picture that EXIF rotates by a quarter or a half, from a temporary file.

Knows rows as they are stored (pictures/files/decoder.py); nothing of file formats.

    TurnedRows                 the copy in the temporary file
    read_exactly, write_all    an array from a raw file, and into one
"""

import tempfile
from io import FileIO

import numpy as np

from hdmatt.errors import OutputError
from hdmatt.pictures.files.decoder import FileDecoder
from hdmatt.system.memory import MIB

SPOOL_BYTES = 32 * MIB  # of one band on its way into the temporary file


class TurnedRows:
    """A copy of a picture in a temporary file, which gives the rows of the turned picture in any order.

    Each band of the source is one block. Transposed blocks are [W, h, C], so that some rows of the result are one
    contiguous piece of every block; others are [h, W, C] and the file is simply raw.
    """

    def __init__(self, decoder: FileDecoder, *, transposed: bool) -> None:
        self._decoder = decoder
        self._transposed = transposed
        self._pixel = decoder.channels * decoder.dtype.itemsize
        self._band = max(1, SPOOL_BYTES // (decoder.width * self._pixel))
        self._file: FileIO | None = None

    def rows(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        """A window of the picture, transposed if asked for; [h, w, colours].

        Raises:
            OutputError: There is no room for the temporary file.
        """
        if self._file is None:
            self._file = self._fill()
        channels, dtype = self._decoder.channels, self._decoder.dtype
        if not self._transposed:
            band = np.empty((y1 - y0, self._decoder.width, channels), dtype)
            read_exactly(self._file, band, y0 * self._decoder.width * self._pixel)
            return band[:, x0:x1]
        band = np.empty((y1 - y0, x1 - x0, channels), dtype)
        for left in range(x0 // self._band * self._band, x1, self._band):
            width = min(self._band, self._decoder.height - left)
            piece = np.empty((y1 - y0, width, channels), dtype)
            read_exactly(self._file, piece, (left * self._decoder.width + y0 * width) * self._pixel)
            start, stop = max(x0, left), min(x1, left + width)
            band[:, start - x0 : stop - x0] = piece[:, start - left : stop - left]
        return band

    def close(self) -> None:
        """Remove the temporary file. Safe to call twice."""
        if self._file:
            self._file.close()
        self._file = None

    def _fill(self) -> FileIO:
        decoder, folder = self._decoder, tempfile.gettempdir()
        try:
            file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  closed by close()
            try:
                for y0 in range(0, decoder.height, self._band):
                    band = decoder.rows(y0, min(y0 + self._band, decoder.height), 0, decoder.width)
                    block = np.ascontiguousarray(band.transpose(1, 0, 2) if self._transposed else band)
                    write_all(file, block)
            except BaseException:
                file.close()
                raise
            return file
        except OSError as error:
            size = decoder.height * decoder.width * self._pixel // MIB + 1
            raise OutputError(
                f"turning the picture upright needs {size} MiB in {folder} ({error.strerror})",
                hint="Make room there, or name another folder: TMPDIR=/path hdmatt ...",
            ) from error


def read_exactly(file: FileIO, array: np.ndarray, offset: int) -> None:
    """Fill a contiguous array from the bytes at `offset`."""
    view = array.reshape(-1).view(np.uint8).data
    file.seek(offset)
    while view:
        count = file.readinto(view)
        if not count:
            raise RuntimeError("the temporary file has shrunk")
        view = view[count:]


def write_all(file: FileIO, array: np.ndarray) -> None:
    """Append all bytes of a contiguous array."""
    view = array.reshape(-1).view(np.uint8).data
    while view:
        view = view[file.write(view) :]
