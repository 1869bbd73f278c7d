"""The known colours of a whole picture on a coarse grid: what a patch cannot see from where it lies.

A patch in the middle of a wide unknown area holds no sure foreground or no sure background. The field spreads the
sure colours of the whole picture over a grid of cells, so that every patch has both. Arrays only; no torch, no
files. Lengths are pixels, y before x. Read top to bottom:

    FieldBuilder    rows of the picture in, a ColourField out, in memory of one cell row
    ColourField     the filled grid, and the piece of it that belongs to a window
    spread          colours where the mass is, continued elsewhere

Used by engine.py and synth/sample.py; what a patch makes of it is in model.colour_hints.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.trimap import BACKGROUND, FOREGROUND

AROUND = 32  # pixels of a patch that one sample of `ColourField.around` stands for
NEUTRAL = np.array([0.485, 0.456, 0.406], np.float32)  # ImageNet's mean colour: 0 to the network


@dataclass(frozen=True)
class ColourField:
    """Foreground (first 3) and background (last 3) colours around every cell, display-encoded in [0, 1].

    A picture without sure foreground (or background) has the neutral colour there.
    """

    colours: Float32[np.ndarray, "rows columns 6"]
    cell: float  # pixels

    def around(self, y: float, x: float, *, size: float, patch: int) -> Float32[np.ndarray, "n n 6"]:
        """The field under the window of `size` pixels at (y, x), one sample for every 32 pixels of the patch.

        Args:
            size: Side of the window in the picture; it may reach past the border (the nearest cell then counts).
            patch: Side to which the window is resized for the network; n = ceil(patch / 32).
        """
        number = -(-patch // AROUND)
        centre = (np.arange(number) + 0.5) * AROUND * (size / patch)
        rows = np.repeat(((y + centre) / self.cell - 0.5)[:, None], number, axis=1).astype(np.float32)
        columns = np.repeat(((x + centre) / self.cell - 0.5)[None, :], number, axis=0).astype(np.float32)
        halves = [
            cv2.remap(np.ascontiguousarray(half), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for half in (self.colours[..., :3], self.colours[..., 3:])
        ]
        return np.concatenate(halves, axis=-1)


class FieldBuilder:
    """Collects the mean of the sure colours, and how much of a cell is sure, cell row by cell row."""

    def __init__(self, cell: int) -> None:
        self.cell = cell
        self._rows: list[np.ndarray] = []

    def add(self, colours: Float32[np.ndarray, "h w 3"], trimap: UInt8[np.ndarray, "h w"]) -> None:
        """The next rows, `cell` of them or (at the end of the picture) fewer; colours display-encoded in [0, 1]."""
        width = -(-trimap.shape[1] // self.cell)
        grid = []
        for value in (FOREGROUND, BACKGROUND):
            mask = (trimap == value).astype(np.float32)
            both = np.dstack([colours * mask[..., None], mask])
            both = cv2.copyMakeBorder(both, 0, 0, 0, width * self.cell - both.shape[1], cv2.BORDER_CONSTANT, value=0)
            grid.append(cv2.resize(both, (width, 1), interpolation=cv2.INTER_AREA))
        self._rows.append(np.concatenate(grid, axis=-1))

    def build(self) -> ColourField:
        """The field, filled everywhere."""
        grid = np.concatenate(self._rows)
        halves = [spread(half[..., :3], half[..., 3]) for half in (grid[..., :4], grid[..., 4:])]
        return ColourField(np.concatenate(halves, axis=-1), float(self.cell))


def spread(weighted: Float32[np.ndarray, "h w 3"], mass: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w 3"]:
    """Colours (given times their mass) where there is mass, continued from ever coarser averages elsewhere."""
    levels = [(weighted, mass[..., None])]
    while max(levels[-1][1].shape[:2]) > 1:
        height, width = levels[-1][1].shape[:2]
        size = (-(-width // 2), -(-height // 2))
        levels.append(
            (
                cv2.resize(levels[-1][0], size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], 3),
                cv2.resize(levels[-1][1], size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], 1),
            )
        )
    if not levels[-1][1].any():
        return np.broadcast_to(NEUTRAL, weighted.shape).copy()
    filled = levels[-1][0] / levels[-1][1]
    for colour, weight in reversed(levels[:-1]):
        coarse = cv2.resize(filled, (weight.shape[1], weight.shape[0]), interpolation=cv2.INTER_LINEAR)
        share = np.clip(4 * weight, 0, 1)
        filled = share * colour / np.maximum(weight, 1e-4) + (1 - share) * coarse.reshape(colour.shape)
    return filled.astype(np.float32)
