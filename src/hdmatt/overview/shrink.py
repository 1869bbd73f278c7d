"""A picture and its trimap at reduced size, computed from bands of rows in one pass. Arrays only.

Shrinker    bands of rows in; the small picture, its trimap, and alpha propagated over it (propagate.py) out
"""

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.overview.propagate import propagate
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN


class Shrinker:
    """Averages squares of `step` pixels; a square's trimap is known where all of its pixels agree."""

    def __init__(self, step: int) -> None:
        self.step = step
        self._rows: list[np.ndarray] = []  # means of squares: colours, share of foreground and of background
        self._held: list[np.ndarray] = []  # rows, their columns averaged, that wait for the rest of their squares

    def add(self, colours: Float32[np.ndarray, "h w 3"], trimap: UInt8[np.ndarray, "h w"]) -> None:
        """The next rows, any number of them; colours display-encoded in [0, 1]."""
        planes = [(trimap == value).view(np.uint8) for value in (FOREGROUND, BACKGROUND)]
        wide = np.concatenate([self._across(colours), *(self._across(plane[..., None]) for plane in planes)], axis=-1)
        rows = np.concatenate([*self._held, wide])
        whole = len(rows) // self.step * self.step
        self._held = [rows[whole:].copy()]
        if whole:
            squares = rows[:whole].reshape(-1, self.step, *rows.shape[1:])
            self._rows.append(squares.sum(axis=1) / np.float32(self.step))

    def picture(self) -> tuple[Float32[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
        """The small picture and its trimap (0, 128, 255)."""
        rest = [rows.mean(axis=0, keepdims=True) for rows in self._held if len(rows)]
        grid = np.concatenate([*self._rows, *rest])
        trimap = np.full(grid.shape[:2], UNKNOWN, np.uint8)
        trimap[grid[..., 4] == 1] = BACKGROUND
        trimap[grid[..., 3] == 1] = FOREGROUND
        return grid[..., :3].copy(), trimap

    def propagated_alpha(self) -> Float32[np.ndarray, "h w"]:
        """Alpha in [0, 1], propagated over the small picture from its known pixels."""
        return propagate(*self.picture())

    def _across(self, values: np.ndarray) -> Float32[np.ndarray, "h n c"]:
        """Means of `step` columns; the last ones may be fewer."""
        width = values.shape[1]
        number = -(-width // self.step)
        out = np.zeros((len(values), number, values.shape[2]), np.float32)
        for i in range(min(self.step, width)):
            some = values[:, i :: self.step]
            out[:, : some.shape[1]] += some
        counts = np.minimum(self.step, width - self.step * np.arange(number))
        return out / counts[:, None].astype(np.float32)
