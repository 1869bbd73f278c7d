"""A picture whose windows are cheap to read in any order and by several threads.

Knows rows; nothing of file formats. A file that must be decoded from top to bottom is copied once into a temporary file
of raw rows.

    shared_picture    a picture -> the same one, for any order of windows and several threads
    SharedPicture     one reader behind a lock
    RawCopy           the copy
"""

import tempfile
import threading
from io import FileIO

import numpy as np

from hdmatt.errors import OutputError
from hdmatt.pictures.reader import ArrayReader, BandReader, PictureReader
from hdmatt.pictures.turned import read_exactly, write_all
from hdmatt.system.memory import MIB

_BAND_BYTES = 32 * MIB


def shared_picture(picture: BandReader) -> "SharedPicture":
    """An array or a tiled file as it is, another file by way of a copy that is made when it is first read."""
    cheap = isinstance(picture, ArrayReader) or (isinstance(picture, PictureReader) and picture.tiled)
    return SharedPicture(picture if cheap else RawCopy(picture))


class SharedPicture(BandReader):
    """A reader that several threads may use: they wait for each other. Closing it closes the reader."""

    def __init__(self, picture: BandReader) -> None:
        self._picture, self.info = picture, picture.info
        self._lock = threading.Lock()

    @property
    def cheap(self) -> bool:
        """Whether windows are cheap to read at once: an array, or a tiled file. Else the first read makes a copy."""
        return not isinstance(self._picture, RawCopy)

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        with self._lock:
            return self._picture.colours(y0, y1, x0, x1)

    def close(self) -> None:
        with self._lock:
            self._picture.close()


class RawCopy(BandReader):
    """Bands and windows of a picture from a copy in a temporary file of its raw size.

    Closing it closes the picture, too.

    Raises:
        OutputError: On the first read: there is no room for the temporary file.
    """

    def __init__(self, picture: BandReader) -> None:
        self._picture, self.info = picture, picture.info
        self._file: FileIO | None = None
        self._pixel = self.info.channels * self.info.dtype.itemsize

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        self._file = self._file or self._fill()
        info = self.info
        out = np.empty((y1 - y0, x1 - x0, info.channels), info.dtype)
        if (x0, x1) == (0, info.width):
            read_exactly(self._file, out, y0 * info.width * self._pixel)
            return out
        for row, y in zip(out, range(y0, y1), strict=True):
            read_exactly(self._file, row, (y * info.width + x0) * self._pixel)
        return out

    def close(self) -> None:
        if self._file:
            self._file.close()
        self._file = None
        self._picture.close()

    def _fill(self) -> FileIO:
        info, folder = self.info, tempfile.gettempdir()
        band = max(1, _BAND_BYTES // (info.width * self._pixel))
        try:
            file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  closed by close()
            try:
                for y in range(0, info.height, band):
                    rows = self._picture.colours(y, min(y + band, info.height), 0, info.width)
                    write_all(file, np.ascontiguousarray(rows))
            except BaseException:
                file.close()
                raise
            return file
        except OSError as error:
            size = info.height * info.width * self._pixel // MIB + 1
            raise OutputError(
                f"a raw copy of the picture needs {size} MiB in {folder} ({error.strerror})",
                hint="Make room there, or name another folder: TMPDIR=/path hdmatt ...",
            ) from error
