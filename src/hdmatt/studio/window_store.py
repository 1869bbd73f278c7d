"""Alpha of windows, in a temporary file: a picture of 400 megapixels may have 2 GiB of it.

WindowStore    put, get and drop the alpha of a window
"""

import tempfile

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import OutputError
from hdmatt.patches.windows import Window
from hdmatt.pictures.turned import read_exactly, write_all
from hdmatt.system.memory import MIB


class WindowStore:
    """Alpha of windows of one size, float32, by window; a dropped window's place is used again.

    For one thread at a time.
    """

    def __init__(self, size: int) -> None:
        self._size, self._bytes = size, 4 * size * size
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed by close()
        self._places: dict[Window, int] = {}
        self._free: list[int] = []

    def __contains__(self, window: Window) -> bool:
        return window in self._places

    def put(self, window: Window, alpha: Float32[np.ndarray, "p p"]) -> None:
        """Keep a window's alpha in place of what it had.

        Raises:
            OutputError: The disk is full.
        """
        place = self._places.get(window)
        if place is None:
            place = self._free.pop() if self._free else len(self._places) + len(self._free)
        try:
            self._file.seek(place * self._bytes)
            write_all(self._file, np.ascontiguousarray(alpha, np.float32))
        except OSError as error:
            self._places.pop(window, None)  # what it had may be half overwritten
            self._free.append(place)
            raise OutputError(
                f"the mattes of patches need {self._bytes // MIB + 1} MiB more in {tempfile.gettempdir()} "
                f"({error.strerror})",
                hint="Make room there, or name another folder: TMPDIR=/path hdmatt ...",
            ) from error
        self._places[window] = place

    def get(self, window: Window) -> Float32[np.ndarray, "p p"]:
        """A window's alpha."""
        alpha = np.empty((self._size, self._size), np.float32)
        read_exactly(self._file, alpha, self._places[window] * self._bytes)
        return alpha

    def drop(self, window: Window) -> None:
        """Forget a window, if it is there."""
        if (place := self._places.pop(window, None)) is not None:
            self._free.append(place)

    def close(self) -> None:
        """Remove the file. Safe to call twice."""
        self._file.close()
