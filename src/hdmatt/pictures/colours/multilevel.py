"""Foreground colours of one tile: a least-squares estimate, solved from coarse to fine.

NumPy arrays in memory only; how a picture of any size is cut into tiles is in pictures/colours/foreground.py. Read
top to bottom:

    multilevel_foreground    picture and alpha -> foreground
    _equations    the data term of every pixel, as nine numbers
    _start        one foreground and one background colour for the whole tile
    _halved, _doubled    to the next coarser level, and back
    _relaxed      sweeps over one level, window by window
    _sweeps       the sweeps inside one window

Shapes: equations are 9 x h x w (see `_equations`); colours are 2 x 3 x h x w, foreground then background.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

EPSILON = np.float32(1e-5)  # the least weight between two neighbours: the paper's regularisation
SMALL = 32  # levels of at most this side are cheap and get more sweeps: PyMatting's limit, too
WINDOW = (64, 128)  # rows and columns, even, that are swept together: what fits into a core's cache
MARGIN = 4  # pixels around a window that are swept along: even, no fewer than the sweeps of a large level

Span = tuple[int, int]  # first and one past the last


@dataclass(frozen=True)
class _SweepArea:
    """Rows and columns of a level that are swept together."""

    inner: tuple[Span, Span]  # what the window is for
    outer: tuple[Span, Span]  # with the margin around

    @property
    def read(self) -> tuple[slice, slice]:
        """Where the window lies in its level, margin included."""
        return slice(*self.outer[0]), slice(*self.outer[1])

    @property
    def written(self) -> tuple[slice, slice]:
        """Where its results go in its level."""
        return slice(*self.inner[0]), slice(*self.inner[1])

    @property
    def kept(self) -> tuple[slice, slice]:
        """Where its results lie in the window itself."""
        (y0, y1), (x0, x1) = self.inner
        (top, _), (left, _) = self.outer
        return slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)


def multilevel_foreground(
    picture: Float32[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 3"]:
    """Foreground colours F of a picture I with matte α: a smooth F, and a smooth background B, that explain I.

    They minimise, over all pixels i and all pairs {i, j} of neighbours above or beside each other,

        Σ_i |α_i F_i + (1 - α_i) B_i - I_i|²  +  Σ_{i,j} (ε + |α_i - α_j|) (|F_i - F_j|² + |B_i - B_j|²)

    with ε = 1e-5. Without neighbours, F and B of a pixel are not determined (one equation, two unknowns), so colours
    spread from where they are known. Over long ways that takes many sweeps; a pyramid takes few: each level starts
    from the next coarser one's colours, enlarged bilinearly, and the coarsest, of one pixel, from the two colours
    that explain the tile best.

    Levels halve. The data term of a coarse pixel is the mean over its block (PyMatting samples one pixel of it), so
    a tile without any solid or clear pixel still knows its colours: blocks whose alpha varies determine both. The
    weights between coarse pixels are the paper's, from alpha sampled at the blocks' centres.

    A sweep is one step of damped Jacobi for the two unknowns of each pixel: every pixel depends on its four
    neighbours of the sweep before only, so windows of any layout give the same bits, and only windows that hold soft
    pixels are swept on the finest level. The damping factors differ from sweep to sweep (`_damping`).

    Args:
        picture: Encoded or linear, values from 0; above 1 they are kept.
        alpha: 0 to 1.

    Returns:
        The picture's pixels, bit by bit, where alpha is 1. Elsewhere colours between 0 and the picture's largest
        value, or 1 if that is more; where alpha is 0 they continue the foreground around.

    Source:
        Germer, Uelwer, Conrad, Harmeling, "Fast Multi-Level Foreground Estimation", 2020: cost, weights and levels.
        Sweeps: Saad, "Iterative Methods for Sparse Linear Systems", 2003, chapters 4 (Jacobi) and 12 (Chebyshev).
    """
    height, width = alpha.shape
    white = np.float32(max(1, picture.max()))
    levels = [_first_level(picture, alpha, white)]
    while max(levels[-1].shape[1:]) > 1:
        levels.append(_halved(levels[-1]))
    colours = _start(levels.pop())
    while levels:
        step = 2 ** len(levels)
        sampled = alpha[np.ix_(_centres(height, step), _centres(width, step))]
        colours = _relaxed(levels.pop(), sampled, colours)
    foreground = _finest(picture, alpha, colours, white)
    np.copyto(foreground, picture, where=(alpha == 1)[..., None])
    return foreground


def _first_level(
    picture: Float32[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"], white: np.float32
) -> Float32[np.ndarray, "9 h2 w2"]:
    """The equations at half the picture's size, made in bands of rows: the whole picture's take 36 bytes a pixel."""
    height, width = alpha.shape
    halves = np.empty((9, -(-height // 2), -(-width // 2)), np.float32)
    for y in range(0, height, WINDOW[0]):
        rows = slice(y, y + WINDOW[0])
        halves[:, y // 2 : (y + WINDOW[0]) // 2] = _halved(_equations(picture[rows], alpha[rows], white))
    return halves


def _finest(
    picture: Float32[np.ndarray, "h w 3"],
    alpha: Float32[np.ndarray, "h w"],
    colours: Float32[np.ndarray, "2 3 h2 w2"],
    white: np.float32,
) -> Float32[np.ndarray, "h w 3"]:
    """The foreground: swept at soft pixels, elsewhere the half size's, enlarged."""
    height, width = alpha.shape
    foreground = np.empty_like(picture)
    soft = (alpha > 0) & (alpha < 1)
    for y in range(0, height, WINDOW[0]):
        rows = (y, min(y + WINDOW[0], height))
        foreground[slice(*rows)] = np.moveaxis(_doubled(colours[0], rows, (0, width)), 0, 2)
    foreground *= white
    for window in _windows(height, width, soft):
        equations = _equations(picture[window.read], alpha[window.read], white)
        swept = _sweeps(equations, alpha[window.read], _doubled(colours, *window.outer), _FEW)
        inside = np.moveaxis(swept[0][:, *window.kept], 0, 2) * white
        np.copyto(foreground[window.written], inside, where=soft[window.written][..., None])
    return foreground


def _equations(
    picture: Float32[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"], white: np.float32
) -> Float32[np.ndarray, "9 h w"]:
    """The data term's derivatives: αα F + αβ B = αI and αβ F + ββ B = βI with β = 1 - α, as αα, αβ, ββ, αI, βI."""
    rest = 1 - alpha
    colours = np.moveaxis(picture, 2, 0) / white
    made = np.empty((9, *alpha.shape), np.float32)
    np.multiply(alpha, alpha, out=made[0])
    np.multiply(alpha, rest, out=made[1])
    np.multiply(rest, rest, out=made[2])
    np.multiply(alpha, colours, out=made[3:6])
    np.multiply(rest, colours, out=made[6:9])
    return made


def _start(equations: Float32[np.ndarray, "9 1 1"]) -> Float32[np.ndarray, "2 3 1 1"]:
    """The two colours that explain the tile best, drawn a little to its mean where alpha says nothing of one."""
    aa, ab, bb = equations[:3, 0, 0].astype(np.float64)
    right = equations[3:, 0, 0].astype(np.float64).reshape(2, 3)
    pull = 1e-3
    mean = right[0] + right[1]  # as α + β = 1
    colours = np.linalg.solve([[aa + pull, ab], [ab, bb + pull]], right + pull * mean)
    return np.clip(colours, 0, 1).astype(np.float32)[..., None, None]


def _halved(level: Float32[np.ndarray, "n h w"]) -> Float32[np.ndarray, "n h2 w2"]:
    """Means of 2 x 2 blocks; a last odd row or column counts twice."""
    height, width = level.shape[1:]
    if height % 2 or width % 2:
        level = np.pad(level, [(0, 0), (0, height % 2), (0, width % 2)], mode="edge")
    rows = level[:, 0::2] + level[:, 1::2]
    means = rows[..., 0::2] + rows[..., 1::2]
    means *= np.float32(0.25)
    return means


def _doubled(coarse: Float32[np.ndarray, "... h2 w2"], rows: Span, columns: Span) -> Float32[np.ndarray, "... h w"]:
    """Rows and columns of what is twice as large, bilinear: 3/4 of the nearest coarse pixel, 1/4 of the next one.

    Args:
        rows, columns: Both start at an even number.
    """
    for axis, (start, stop) in ((-2, rows), (-1, columns)):
        around = np.arange(start // 2 - 1, (stop + 1) // 2 + 1)
        held = np.take(coarse, np.clip(around, 0, coarse.shape[axis] - 1), axis)
        held = np.moveaxis(held, axis, 0)
        near, quarter = held[1:-1] * np.float32(0.75), held * np.float32(0.25)
        fine = np.empty((2 * len(near), *near.shape[1:]), np.float32)
        np.add(near, quarter[:-2], out=fine[0::2])
        np.add(near, quarter[2:], out=fine[1::2])
        coarse = np.moveaxis(fine[: stop - start], 0, axis)
    return coarse


def _centres(length: int, step: int) -> np.ndarray:
    """Where to sample alpha for a level whose pixels are `step` wide."""
    return np.minimum(np.arange(-(-length // step)) * step + step // 2, length - 1)


def _relaxed(
    equations: Float32[np.ndarray, "9 h w"],
    alpha: Float32[np.ndarray, "h w"],
    coarse: Float32[np.ndarray, "2 3 h2 w2"],
) -> Float32[np.ndarray, "2 3 h w"]:
    """One level's colours, from the next coarser one's."""
    height, width = alpha.shape
    if max(height, width) <= SMALL:
        return _sweeps(equations, alpha, _doubled(coarse, (0, height), (0, width)), _MANY)
    colours = np.empty((2, 3, height, width), np.float32)
    for window in _windows(height, width):
        start = _doubled(coarse, *window.outer)
        swept = _sweeps(equations[:, *window.read], alpha[window.read], start, _FEW)
        colours[:, :, *window.written] = swept[:, :, *window.kept]
    return colours


def _windows(height: int, width: int, wanted: Bool[np.ndarray, "h w"] | None = None) -> Iterator[_SweepArea]:
    """Windows that cover a level, or those of its pixels that are wanted."""
    for y0 in range(0, height, WINDOW[0]):
        for x0 in range(0, width, WINDOW[1]):
            rows, columns = (y0, min(y0 + WINDOW[0], height)), (x0, min(x0 + WINDOW[1], width))
            if wanted is not None:
                inside = wanted[slice(*rows), slice(*columns)]
                if not inside.any():
                    continue
                rows, columns = _bounds(inside, 1, y0), _bounds(inside, 0, x0)
            outer = _with_margin(rows, height), _with_margin(columns, width)
            yield _SweepArea((rows, columns), outer)


def _bounds(marked: Bool[np.ndarray, "h w"], along: int, first: int) -> Span:
    """The rows or columns that hold any; `first` is the number of the first one."""
    found = np.flatnonzero(np.any(marked, axis=along))
    return first + int(found[0]), first + int(found[-1]) + 1


def _with_margin(span: Span, length: int) -> Span:
    """At least MARGIN more on both sides, inside the level; starts at an even number."""
    return max(0, span[0] // 2 * 2 - MARGIN), min(length, span[1] + MARGIN)


def _sweeps(
    equations: Float32[np.ndarray, "9 h w"],
    alpha: Float32[np.ndarray, "h w"],
    start: Float32[np.ndarray, "2 3 h w"],
    factors: tuple[float, ...],
) -> Float32[np.ndarray, "2 3 h w"]:
    """Sweeps over a window as if nothing lay beyond it: pixels further inside than there are sweeps do not notice.

    With weights w_j to the four neighbours, s = Σ w_j, and their means F' = Σ w_j F_j / s and B', a pixel's own
    2 x 2 system has the solution (F', B') + (D + s)⁻¹ (d - D (F', B')), where D and d are its data term. This form
    keeps float32 exact where s is small and D, of rank 1 at a single pixel, close to singular.
    """
    height, width = alpha.shape
    (left, right, up, down), total = _weights(alpha)
    aa, ab, bb = equations[:3]
    inverse = 1 / ((aa + total) * (bb + total) - ab * ab)
    corner, across, other = (bb + total) * inverse, ab * inverse, (aa + total) * inverse

    # zeros around, which the weights at the window's rim do not count
    around = np.zeros((2, 3, height + 2, width + 2), np.float32)
    colours = around[..., 1:-1, 1:-1]
    colours[...] = start
    means, some, rest = (np.empty((2, 3, height, width), np.float32) for _ in range(3))
    for factor in factors:
        np.multiply(around[..., 1:-1, :-2], left, out=means)
        for neighbours, weight in (
            (around[..., 1:-1, 2:], right),
            (around[..., :-2, 1:-1], up),
            (around[..., 2:, 1:-1], down),
        ):
            means += np.multiply(neighbours, weight, out=some)
        for row, (own, side) in enumerate(((aa, ab), (bb, ab))):
            np.multiply(means[row], own, out=some[0])
            np.multiply(means[1 - row], side, out=some[1])
            np.subtract(equations[3 + 3 * row : 6 + 3 * row], some[0], out=rest[row])
            rest[row] -= some[1]
        np.multiply(rest[0], corner, out=some[0])
        np.multiply(rest[1], other, out=some[1])
        means += some
        means -= np.multiply(rest[::-1], across, out=some)
        means -= colours
        means *= np.float32(factor)
        colours += means
        np.clip(colours, 0, 1, out=colours)
    return colours


def _weights(
    alpha: Float32[np.ndarray, "h w"],
) -> tuple[list[Float32[np.ndarray, "h w"]], Float32[np.ndarray, "h w"]]:
    """Weights to the neighbours left, right, above and below, divided by their sum; and the sum. 0 over the rim."""
    height, width = alpha.shape
    beside, below = np.zeros((height, width + 1), np.float32), np.zeros((height + 1, width), np.float32)
    beside[:, 1:-1] = np.abs(alpha[:, 1:] - alpha[:, :-1]) + EPSILON
    below[1:-1] = np.abs(alpha[1:] - alpha[:-1]) + EPSILON
    sides = [beside[:, :-1], beside[:, 1:], below[:-1], below[1:]]
    total = (sides[0] + sides[1]) + (sides[2] + sides[3])
    total = np.maximum(total, EPSILON)  # a picture of one pixel has no neighbours
    return [side / total for side in sides], total


def _damping(sweeps: int, *, smallest: float) -> tuple[float, ...]:
    """The factors of `sweeps` Jacobi steps that damp errors best, together, whatever their frequency.

    Errors are sums of eigenvectors of the preconditioned matrix with eigenvalues in (0, 2). Those from `smallest` on
    are damped by a Chebyshev polynomial, whose roots are the factors' inverses; lower ones are the coarser levels'.
    Short and long steps take turns, which keeps values small on the way.
    """
    middle, half = (2 + smallest) / 2, (2 - smallest) / 2
    roots = [middle + half * math.cos(math.pi * (2 * k + 1) / (2 * sweeps)) for k in range(sweeps)]
    order = [k // 2 if k % 2 == 0 else sweeps - 1 - k // 2 for k in range(sweeps)]
    return tuple(1 / roots[k] for k in order)


_MANY = _damping(8, smallest=0.1)
_FEW = _damping(3, smallest=0.4)  # more fits colours to a matte's own mistakes
