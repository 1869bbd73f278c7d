"""The known colours of a whole picture on a coarse grid, and its alpha at low resolution.

A patch in the middle of a wide unknown area may hold no known foreground or no known background. Here the known colours
of the whole picture are averaged in cells and continued into the cells that have none, so that every patch has both.
Arrays only; no torch, no files. Lengths are pixels, y before x. Read top to bottom:

    KnownColours           the filled grid, and the part of it around a window: the window's surroundings
    mirrored               the surroundings of a window turned left to right
    alpha_step             pixels of the picture to one of the low-resolution alpha (overview/propagate.py makes that)
    cell_size              pixels of a cell
    KnownColoursBuilder    rows of the picture in, KnownColours out, in memory of one row of cells
    fill_empty             averages of cells, continued into cells without any

Used by inference/cut.py and the training's samples; network/extra_channels.py makes input channels of the surroundings.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.overview.shrink import Shrinker
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND

SAMPLE = 32  # pixels of a patch along a side for which its surroundings have one sample
NEUTRAL = (0.485, 0.456, 0.406)  # ImageNet's mean colour: 0 to the network
NEUTRAL_VARIANCE = 1 / 12  # of colours that may be anything in [0, 1]
PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # channels whose mean product is kept
_MOST_CELLS = 400
_CELLS_AT_ONCE = 8  # columns of cells computed together: they fit a core's cache, and many hold no sure pixel
_ALPHA_PIXELS = 100_000
BLOCK = 8  # values of alpha along a side of a sample
MOMENTS = 3 + len(PAIRS)  # of one class: mean colour, mean products


@dataclass(frozen=True)
class KnownColours:
    """The known colours of a whole picture, and its alpha at low resolution.

    Attributes:
        moments: Of the foreground's colours around every cell (9), then of the background's (9): three means, then the
            means of the products PAIRS; of display-encoded colours in [0, 1]. A picture without known foreground (or
            background) has the neutral colour there, and the variance of a colour that may be anything.
        cell: Side of a cell, pixels.
        alpha: In [0, 1], see overview/propagate.py.
        step: Pixels of the picture to one of `alpha`.
    """

    moments: Float32[np.ndarray, "rows columns 18"]
    cell: float
    alpha: Float32[np.ndarray, "h w"]
    step: float

    def surroundings(self, y: float, x: float, *, size: float, patch: int) -> Float32[np.ndarray, "n n 82"]:
        """Known colours and alpha under a window of `size` pixels at (y, x), a sample for 32 x 32 pixels of the patch.

        A sample is the 18 moments, then alpha at 8 x 8 places, one for every 4 pixels of the patch, row by row.

        Args:
            size: Side of the window in the picture; it may reach past the border (the nearest cell then counts).
            patch: Side to which the window is resized for the network; n = ceil(patch / 32).
        """
        number = -(-patch // SAMPLE)
        centre = (np.arange(number) + 0.5) * SAMPLE * (size / patch)
        rows = np.repeat(((y + centre) / self.cell - 0.5)[:, None], number, axis=1).astype(np.float32)
        columns = np.repeat(((x + centre) / self.cell - 0.5)[None, :], number, axis=0).astype(np.float32)
        thirds = [  # OpenCV remaps four channels at most
            cv2.remap(
                np.ascontiguousarray(self.moments[..., i : i + 3]),
                columns,
                rows,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for i in range(0, 2 * MOMENTS, 3)
        ]
        inner = (np.arange(number * BLOCK) + 0.5) * (SAMPLE // BLOCK) * (size / patch)
        rows = np.repeat(((y + inner) / self.step - 0.5)[:, None], len(inner), axis=1).astype(np.float32)
        columns = np.repeat(((x + inner) / self.step - 0.5)[None, :], len(inner), axis=0).astype(np.float32)
        alpha = cv2.remap(self.alpha, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        blocks = alpha.reshape(number, BLOCK, number, BLOCK).transpose(0, 2, 1, 3).reshape(number, number, BLOCK**2)
        return np.concatenate([*thirds, blocks], axis=-1)


def mirrored(surroundings: Float32[np.ndarray, "n n 82"]) -> Float32[np.ndarray, "n n 82"]:
    """The surroundings of the patch turned left to right."""
    turned = surroundings[:, ::-1].copy()
    blocks = turned[..., 2 * MOMENTS :].reshape(*turned.shape[:2], BLOCK, BLOCK)
    turned[..., 2 * MOMENTS :] = blocks[..., ::-1].reshape(*turned.shape[:2], BLOCK**2)
    return turned


def alpha_step(height: int, width: int) -> int:
    """Pixels of the picture to one of the low-resolution alpha, so that this has about 100000 at most."""
    return max(1, math.ceil(math.sqrt(height * width / _ALPHA_PIXELS)))


def cell_size(height: int, width: int) -> int:
    """Pixels of a cell: 32, and larger where a side would have more than 400 cells."""
    return max(SAMPLE, -(-max(height, width) // _MOST_CELLS))


class KnownColoursBuilder:
    """Averages the known colours of each cell, one row of cells after the other."""

    def __init__(self, cell: int, step: int) -> None:
        self.cell = cell
        self._small = Shrinker(step)
        self._rows: list[np.ndarray] = []

    def add(self, colours: Float32[np.ndarray, "h w 3"], trimap: UInt8[np.ndarray, "h w"]) -> None:
        """The next rows, `cell` of them or (at the end of the picture) fewer; colours display-encoded in [0, 1]."""
        self._small.add(colours, trimap)
        step = _CELLS_AT_ONCE * self.cell
        blocks = [np.s_[:, x : x + step] for x in range(0, trimap.shape[1], step)]
        self._rows.append(np.concatenate([self._cells(colours[b], trimap[b]) for b in blocks])[None])

    def _cells(self, colours: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        """Moments of each cell of one row of cells, times its share of known pixels, and that share; both classes."""
        height, columns = trimap.shape
        starts = np.arange(0, columns, self.cell)
        moments = np.empty((height, columns, MOMENTS + 1), np.float32)
        moments[..., :3], moments[..., -1] = colours, 1
        for k, (i, j) in enumerate(PAIRS, start=3):
            np.multiply(moments[..., i], moments[..., j], out=moments[..., k])
        grid = []
        for value in (FOREGROUND, BACKGROUND):
            mask = trimap == value
            if not mask.any():
                grid.append(np.zeros((len(starts), MOMENTS + 1), np.float32))
                continue
            inside = moments if mask.all() else moments * mask[..., None]
            grid.append(np.add.reduceat(inside.sum(axis=0), starts, axis=0) / np.float32(height * self.cell))
        return np.concatenate(grid, axis=-1)

    def moments(self) -> Float32[np.ndarray, "rows columns 18"]:
        """Moments of both classes in every cell."""
        grid = np.concatenate(self._rows)
        return np.concatenate([fill_empty(h[..., :-1], h[..., -1]) for h in np.split(grid, 2, axis=-1)], axis=-1)

    def build(self) -> KnownColours:
        """Known colours in every cell, and alpha."""
        return KnownColours(self.moments(), float(self.cell), self._small.propagated_alpha(), float(self._small.step))


def fill_empty(
    weighted: Float32[np.ndarray, "h w m"], share: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w m"]:
    """Moments of every cell: its own where it has known pixels, else continued from ever coarser averages.

    Args:
        weighted: Moments times `share`.
        share: Share of a cell's pixels that are known, in [0, 1].
    """
    levels = [(weighted, share[..., None])]
    while max(levels[-1][1].shape[:2]) > 1:
        height, width = levels[-1][1].shape[:2]
        size = (-(-width // 2), -(-height // 2))
        levels.append((_resize(levels[-1][0], size, cv2.INTER_AREA), _resize(levels[-1][1], size, cv2.INTER_AREA)))
    if not levels[-1][1].any():
        mean = np.array(NEUTRAL)
        products = [mean[i] * mean[j] + NEUTRAL_VARIANCE * (i == j) for i, j in PAIRS]
        return np.broadcast_to(np.array([*mean, *products], np.float32), weighted.shape).copy()
    filled = levels[-1][0] / levels[-1][1]
    for total, weight in reversed(levels[:-1]):
        coarse = _resize(filled, (weight.shape[1], weight.shape[0]), cv2.INTER_LINEAR)
        own = np.clip(4 * weight, 0, 1)
        filled = own * total / np.maximum(weight, 1e-4) + (1 - own) * coarse
    return filled.astype(np.float32)


def _resize(grid: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    """Any number of channels, three at a time."""
    parts = [
        cv2.resize(np.ascontiguousarray(grid[..., i : i + 3]), size, interpolation=how).reshape(size[1], size[0], -1)
        for i in range(0, grid.shape[-1], 3)
    ]
    return np.concatenate(parts, axis=-1)
