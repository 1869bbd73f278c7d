"""Foreground colours continued to where alpha is 0, so that nothing of the background stays readable there.

Arrays only, and bands of rows. Colours are float32, straight, in any encoding. Read top to bottom:

    coarse_colours         the sure foreground at reduced size, continued over the whole picture
    continued_bands        bands of a foreground with other colours where alpha is 0
    continued_foreground   the same for arrays
    cleared                0 where a file's alpha is 0: the other way

A pyramid is built by averaging and read by filling in (push and pull). Its lower levels come from the foreground's own
bands; those from cells of 32 pixels on come from what is sure before the first row of the matte is computed. So each
pixel depends on its surroundings and on the whole picture, and never on tiles, bands or the memory limit.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from hdmatt.pictures.colours.foreground import ForegroundRows

LEVELS = 5
CELL = 2**LEVELS  # pixels of the picture to one of the coarse colours, along each side
OPAQUE = 32  # opaque pixels that decide a cell of any level alone

KnownBand = tuple[Float32[np.ndarray, "rows w 3"], Bool[np.ndarray, "rows w"]]
_Level = Float32[np.ndarray, "h w 4"]  # colours times weight, and the weight, 0 to 1
_CellRows = tuple[np.ndarray, np.ndarray, list[np.ndarray]]  # CELL rows of colours and of alpha, their pyramid


def coarse_colours(bands: Iterable[KnownBand]) -> Float32[np.ndarray, "down across 3"]:
    """The sure foreground at reduced size: means over cells, continued into the cells without any.

    Black where there is no sure foreground in the whole picture.

    Args:
        bands: Rows of the picture, and where they are surely foreground; from top to bottom, CELL rows each (the last
            may be lower).

    Source:
        Gortler, Grzeszczuk, Szeliski, Cohen, "The Lumigraph", 1996, section 3.4: pull and push.
    """
    levels: list[_Level] = [np.concatenate([_cells(*band) for band in bands])]
    while max(levels[-1].shape[:2]) > 1:
        levels.append(_halved(levels[-1]))
    top = levels.pop()
    filled = top[..., :3]
    while levels:
        level = levels.pop()
        larger = _doubled(np.concatenate([filled[:1], filled, filled[-1:]]))[1:-1]
        filled = _filled(level, larger[: len(level), : level.shape[1]])
    return filled


def continued_bands(
    bands: Iterable[ForegroundRows], coarse: Float32[np.ndarray, "down across 3"], *, height: int, width: int
) -> Iterator[ForegroundRows]:
    """Bands of a foreground whose colours, where alpha is 0, are those of the foreground around.

    Colours where alpha is not 0 stay, bit by bit. Memory holds two bands of CELL rows and their pyramids.

    Args:
        bands: (first row, foreground's rows, alpha's rows) from top to bottom without gaps, of any heights.
        coarse: Of `coarse_colours`, for a picture of this size.

    Yields:
        The same in bands of CELL rows (the last may be lower), arrays of their own.
    """
    above: _CellRows | None = None
    block: _CellRows | None = None
    row = 0
    for below in _blocks(bands, height, width, sure=bool(coarse.any())):
        if block is not None:
            yield _continued(above, block, below, coarse, row)
            row += CELL
        above, block = block, below
    assert block is not None
    yield _continued(above, block, None, coarse, row)


def continued_foreground(
    foreground: Float32[np.ndarray, "h w 3"],
    alpha: Float32[np.ndarray, "h w"],
    coarse: Float32[np.ndarray, "down across 3"],
) -> Float32[np.ndarray, "h w 3"]:
    """`continued_bands` of a whole foreground, which is changed and returned."""
    height, width = alpha.shape
    for y0, rows, _ in continued_bands([(0, foreground, alpha)], coarse, height=height, width=width):
        foreground[y0 : y0 + len(rows)] = rows
    return foreground


def cleared(
    foreground: Float32[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"], *, white: int = 0
) -> Float32[np.ndarray, "h w 3"]:
    """A copy of the colours that is 0 where alpha is.

    Args:
        white: The largest number of a file of integers, whose alpha is 0 where ours is rounded to it; 0 for floats.
    """
    none = np.rint(alpha * np.float32(white)) == 0 if white else alpha == 0
    return np.where(none[..., None], np.float32(0), foreground)


def _cells(colours: np.ndarray, sure: np.ndarray) -> _Level:
    """One row of cells: 1 and the mean colour where a cell has a sure pixel, else 0."""
    width = sure.shape[1]
    cells = np.zeros((1, -(-width // CELL), 4), np.float32)
    if sure.any():
        starts = np.arange(0, width, CELL)
        held = np.where(sure[..., None], colours, np.float32(0)).sum(axis=0)
        cells[0, :, :3] = np.add.reduceat(held, starts, axis=0)
        cells[0, :, 3] = np.add.reduceat(sure.sum(axis=0, dtype=np.float32), starts)
        cells /= np.maximum(1, cells[..., 3:])
    return cells


def _blocks(bands: Iterable[ForegroundRows], height: int, width: int, *, sure: bool) -> Iterator[_CellRows]:
    """Bands cut anew into CELL rows, with their pyramids."""
    colours, alpha, filled = np.empty((0, width, 3), np.float32), np.empty((0, width), np.float32), 0
    row = 0
    for first, foreground, shares in bands:
        assert first == row, (first, row)
        taken = 0
        while taken < len(shares):
            if filled == 0:
                rows = min(CELL, height - row)
                colours, alpha = np.empty((rows, width, 3), np.float32), np.empty((rows, width), np.float32)
            some = min(len(alpha) - filled, len(shares) - taken)
            colours[filled : filled + some] = foreground[taken : taken + some]
            alpha[filled : filled + some] = shares[taken : taken + some]
            filled, taken, row = filled + some, taken + some, row + some
            if filled == len(alpha):
                yield colours, alpha, _pyramid(colours, alpha, sure=sure)
                filled = 0
        del foreground, shares  # or they would be held while the next are made
    assert row == height, (row, height)


def _pyramid(colours: np.ndarray, alpha: np.ndarray, *, sure: bool) -> list[np.ndarray]:
    """Levels of half the size, a quarter and so on, to cells: 16, 8, 4, 2 and 1 rows.

    Soft pixels still hold some of the background's colour, the more the softer they are. Thin hair of `examples/` would
    turn 7 % of the clear pixels green with alpha as weight, 1.3 % with this one.

    Args:
        sure: Whether anything of the picture is surely foreground; if not, soft pixels are all there is.
    """
    rows, width = alpha.shape
    weight = alpha**8 / OPAQUE if sure else alpha
    level = np.zeros((CELL, -(-width // CELL) * CELL, 4), np.float32)  # what is missing of the last cells is clear
    for channel in range(3):
        np.multiply(colours[..., channel], weight, out=level[:rows, :width, channel])
    level[:rows, :width, 3] = weight
    levels: list[np.ndarray] = []
    for _ in range(LEVELS):
        level = _halved(level)
        levels.append(level)
    return levels


def _continued(
    above: _CellRows | None, block: _CellRows, below: _CellRows | None, coarse: np.ndarray, row: int
) -> ForegroundRows:
    colours, alpha, pyramid = block
    clear = alpha == 0
    if clear.any():
        cell = row // CELL
        larger = coarse[np.clip([cell - 1, cell, cell + 1], 0, len(coarse) - 1)]
        for number in reversed(range(LEVELS)):
            level = pyramid[number]
            before, after = (above or block)[2][number], (below or block)[2][number]
            before = before[-1:] if above else before[:1]  # the first row and the last of the picture stand twice
            after = after[:1] if below else after[-1:]
            larger = _doubled(_filled(np.concatenate([before, level, after]), larger))
        larger = larger[1 : 1 + len(alpha), : alpha.shape[1]]
        for channel in range(3):
            np.copyto(colours[..., channel], larger[..., channel], where=clear)
    return row, colours, alpha


def _halved(level: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2 pixels; weights beyond 1 are 1, and their colours means."""
    height, width = level.shape[:2]
    if height % 2 or width % 2:
        level = np.pad(level, [(0, height % 2), (0, width % 2), (0, 0)])
    sums = cv2.resize(level, (level.shape[1] // 2, level.shape[0] // 2), interpolation=cv2.INTER_AREA)
    sums *= 4
    for channel in (0, 1, 2, 3):
        sums[..., channel] /= np.maximum(1, sums[..., 3])
    return sums


def _filled(level: np.ndarray, larger: np.ndarray) -> np.ndarray:
    """A level's own colours, and what is missing to a weight of 1 from the coarser one."""
    missing, filled = 1 - level[..., 3], np.empty_like(larger)
    for channel in range(3):  # NumPy is slow where the last axis is short
        np.multiply(missing, larger[..., channel], out=filled[..., channel])
        filled[..., channel] += level[..., channel]
    return filled


def _doubled(level: np.ndarray) -> np.ndarray:
    """Twice as large, bilinear, without the first row and the last one: of n + 2 rows are made 2 n + 2."""
    height, width = level.shape[:2]
    return cv2.resize(level, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)[1:-1]
