"""Alpha of a whole picture at low resolution, carried from the known pixels along colours that change smoothly.

What a patch cannot know: that a strand hangs together with the hair far away. Closed-form matting (Levin, Lischinski and
Weiss, "A closed-form solution to natural image matting", 2008) solves for the alpha that is linear in colour within
every 3 x 3 window; here on some ten thousand pixels, from coarse to fine, a fixed number of steps at each size, so that
the time is known and a picture gives the same bytes. NumPy and SciPy only. Top to bottom:

    Shrinker      rows of a picture in, a small picture and its trimap out, and their alpha
    propagate     picture and trimap, small -> alpha
    _laplacian    the matting Laplacian's rows of the unknown pixels
    _solve        conjugate gradients, as many steps as asked for
"""

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from scipy import sparse

from hdmatt.trimap import BACKGROUND, FOREGROUND
from hdmatt.trimap import UNKNOWN as DOUBT

EPSILON = 1e-6  # of the windows' covariance, colours in [0, 1]
PRIOR = 1e-5  # weight of the guess before: parts that touch nothing known keep it
STEPS = 150  # of the conjugate gradients at each size
WINDOWS = 4096  # of the Laplacian, computed at once
COARSEST = 24  # pixels of the longer side at which solving starts


class Shrinker:
    """Averages squares of `step` pixels, row by row; a square's trimap is known where all of its pixels agree."""

    def __init__(self, step: int) -> None:
        self.step = step
        self._rows: list[np.ndarray] = []  # sums of a row of squares: colours, sure foreground, sure background, pixels
        self._y = 0

    def add(self, colours: Float32[np.ndarray, "h w 3"], trimap: UInt8[np.ndarray, "h w"]) -> None:
        """The next rows, any number of them; colours display-encoded in [0, 1]."""
        height, width = trimap.shape
        across = np.arange(0, width, self.step)
        starts = np.unique([0, *range(-self._y % self.step, height, self.step)])
        channels = [colours, *((trimap == value)[..., None] for value in (FOREGROUND, BACKGROUND))]
        kinds = (np.float32, np.int32, np.int32)
        sums = [
            np.add.reduceat(np.add.reduceat(c, starts, axis=0, dtype=kind), across, axis=1, dtype=kind).astype(np.float32)
            for c, kind in zip(channels, kinds, strict=True)
        ]
        heights = np.diff(starts, append=height)[:, None, None]
        pixels = heights * np.diff(across, append=width)[None, :, None]
        for i, row in enumerate(np.concatenate([*sums, pixels.astype(np.float32)], axis=-1)):
            if i == 0 and self._y % self.step:
                self._rows[-1] += row
            else:
                self._rows.append(row)
        self._y += height

    def picture(self) -> tuple[Float32[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
        """The small picture and its trimap."""
        grid = np.stack(self._rows)
        pixels = grid[..., 5]
        known = np.where(grid[..., 4] == pixels, BACKGROUND, DOUBT)
        return grid[..., :3] / pixels[..., None], np.where(grid[..., 3] == pixels, FOREGROUND, known).astype(np.uint8)

    def alpha(self) -> Float32[np.ndarray, "h w"]:
        """What `propagate` makes of it."""
        return propagate(*self.picture())


def propagate(picture: Float32[np.ndarray, "h w 3"], trimap: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Alpha in [0, 1]; exactly 0 and 1 where the trimap (0, 128, 255) says so, 0.5 elsewhere if it lacks one of them.

    Args:
        picture: Display-encoded colours in [0, 1].
        trimap: A pixel that stands for several is known only where all of them are.
    """
    height, width = trimap.shape
    if max(height, width) > COARSEST:
        half = (-(-width // 2), -(-height // 2))
        coarse = propagate(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), _halved(trimap))
        guess = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        guess = np.full((height, width), 0.5, np.float32)
    alpha = np.where(trimap == FOREGROUND, 1, np.where(trimap == BACKGROUND, 0, guess)).astype(np.float64)
    unknown = np.flatnonzero(trimap == DOUBT)
    both = (trimap == FOREGROUND).any() and (trimap == BACKGROUND).any()  # one alone would be carried everywhere
    if len(unknown) and both and min(height, width) >= 3:
        rows, diagonal = _laplacian(picture.astype(np.float64), trimap == DOUBT, unknown)
        alpha.flat[unknown] = _solve(rows, diagonal, alpha.ravel(), unknown)
    return np.clip(alpha, 0, 1).astype(np.float32)


def _halved(trimap: np.ndarray) -> np.ndarray:
    height, width = trimap.shape
    even = np.pad(trimap, ((0, height % 2), (0, width % 2)), mode="edge")
    blocks = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2)
    least, most = blocks.min((1, 3)), blocks.max((1, 3))
    return np.where(least == most, least, DOUBT).astype(np.uint8)


def _laplacian(
    picture: Float64[np.ndarray, "h w 3"], doubt: np.ndarray, unknown: np.ndarray
) -> tuple[sparse.csr_matrix, Float64[np.ndarray, " u"]]:
    """The matting Laplacian's rows of the unknown pixels, a column for every pixel, and its diagonal (eq. 12 there)."""
    height, width = doubt.shape
    near = cv2.dilate(doubt.astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    corners = np.flatnonzero(np.pad(near, ((0, 2), (0, 2))))  # the upper left pixels of the windows
    inside = (np.arange(3)[:, None] * width + np.arange(3)).ravel()
    places = np.stack(np.mgrid[:3, :3], axis=-1).reshape(9, 2)
    row = np.full(doubt.size, -1, np.int32)
    row[unknown] = np.arange(len(unknown))
    stencil = np.zeros((len(unknown), 25))  # affinity with the 5 x 5 pixels around
    degree = np.zeros(len(unknown))  # windows that a pixel is in
    for first in range(0, len(corners), WINDOWS):
        pixels = corners[first : first + WINDOWS, None] + inside
        weights = _affinity(picture.reshape(-1, 3)[pixels])
        for i in range(9):
            ours = row[pixels[:, i]]
            ok = ours >= 0
            ours = ours[ok]  # each pixel is the i-th of one window only, so the sums below meet none twice
            degree[ours] += 1
            for j in range(9):
                dy, dx = places[j] - places[i] + 2
                stencil[ours, 5 * dy + dx] += weights[ok, i, j]
    offsets = ((np.arange(5)[:, None] - 2) * width + np.arange(5) - 2).ravel()
    columns = np.clip(unknown[:, None] + offsets, 0, doubt.size - 1).astype(np.int32)  # beyond the border weigh 0
    stencil *= -1
    stencil[:, 12] += degree
    start = np.arange(0, stencil.size + 1, 25, dtype=np.int32)
    shape = (len(unknown), doubt.size)
    return sparse.csr_matrix((stencil.ravel(), columns.ravel(), start), shape=shape), stencil[:, 12].copy()


def _affinity(colours: Float64[np.ndarray, "n 9 3"]) -> Float64[np.ndarray, "n 9 9"]:
    colours = colours - colours.mean(1, keepdims=True)
    covariance = np.einsum("nki,nkj->nij", colours, colours) / 9 + EPSILON / 9 * np.eye(3)
    return (1 + colours @ np.linalg.inv(covariance) @ colours.transpose(0, 2, 1)) / 9


def _solve(
    rows: sparse.csr_matrix, diagonal: np.ndarray, alpha: Float64[np.ndarray, " n"], unknown: np.ndarray
) -> Float64[np.ndarray, " u"]:
    """Minimise alpha' L alpha + PRIOR |alpha - guess|^2 over the unknown pixels, from their values in `alpha`."""
    x, residual, everywhere = alpha[unknown], -(rows @ alpha), np.zeros_like(alpha)
    scale = 1 / (diagonal + PRIOR)
    step = scale * residual
    energy = residual @ step
    for _ in range(STEPS):
        if energy < 1e-12:
            break
        everywhere[unknown] = step
        product = rows @ everywhere + PRIOR * step
        length = energy / (step @ product)
        x += length * step
        residual -= length * product
        better = scale * residual
        last, energy = energy, residual @ better
        step = better + energy / last * step
    return x
