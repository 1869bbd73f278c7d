"""Alpha of a whole picture at low resolution, propagated from the known pixels along colours that change smoothly.

It tells a patch, for example, that a strand belongs to hair far away. Closed-form matting (Levin, Lischinski and Weiss,
"A closed-form solution to natural image matting", 2008) solves for the alpha that is linear in colour within every
3 x 3 window. Here it is solved on a hundred thousand pixels at most, from coarse to fine, with a limited number of
conjugate gradient steps at each size, so that the time is bounded and the same picture gives the same bytes. Without
convergence the result depends on the order of rounding. Top to bottom:

    propagate     picture and trimap, small -> alpha
    _laplacian    the rows of the matting Laplacian that belong to unknown pixels
    _solve        conjugate gradients

Written here and not taken from a library: PyMatting's Laplacian needs numba, which nothing else in `hdmatt matte` does
and which takes two seconds and 142 MB before the first patch. SciPy's `cg` rounds in another order, which after 150
steps moves this alpha by up to 3e-4 and a picture's matte by up to 4e-3 (measured).
"""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN

if TYPE_CHECKING:  # a fifth of a second, which a batch with nothing to do need not wait
    from scipy import sparse

EPSILON = 1e-6  # added to the windows' covariance, colours in [0, 1]
PRIOR = 1e-5  # weight of the coarser solution, which areas without any known pixel keep
STEPS = 150  # conjugate gradient steps at each size, at most
WINDOWS = 4096  # unknown pixels whose rows are computed at once
COARSEST = 24  # pixels of the longer side at the coarsest size


def propagate(picture: Float32[np.ndarray, "h w 3"], trimap: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Alpha in [0, 1], exactly 0 and 1 at known pixels; 0.5 at unknown ones if all foreground or background is missing.

    Args:
        picture: Display-encoded colours in [0, 1].
        trimap: 0, 128 or 255.

    Source:
        Levin et al. 2008; the coarser solution is a weak prior, for areas without any known pixel.
    """
    height, width = trimap.shape
    if max(height, width) > COARSEST:
        half = (-(-width // 2), -(-height // 2))
        coarse = propagate(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), _halved(trimap))
        guess = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        guess = np.full((height, width), 0.5, np.float32)
    alpha = np.where(trimap == FOREGROUND, 1, np.where(trimap == BACKGROUND, 0, guess)).astype(np.float64)
    unknown = np.flatnonzero(trimap == UNKNOWN)
    both = (trimap == FOREGROUND).any() and (trimap == BACKGROUND).any()  # one alone would be carried everywhere
    if len(unknown) and both and min(height, width) >= 3:
        rows, diagonal = _laplacian(picture, trimap == UNKNOWN, unknown)
        alpha.flat[unknown] = _solve(rows, diagonal, alpha.ravel(), unknown)
    return np.clip(alpha, 0, 1).astype(np.float32)


def _halved(trimap: np.ndarray) -> np.ndarray:
    height, width = trimap.shape
    even = np.pad(trimap, ((0, height % 2), (0, width % 2)), mode="edge")
    blocks = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2)
    least, most = blocks.min((1, 3)), blocks.max((1, 3))
    return np.where(least == most, least, UNKNOWN).astype(np.uint8)


def _laplacian(
    picture: Float32[np.ndarray, "h w 3"], is_unknown: np.ndarray, unknown: np.ndarray
) -> tuple["sparse.csr_matrix", Float64[np.ndarray, " u"]]:
    """The matting Laplacian's rows of the unknown pixels, a column for every pixel, and its diagonal (eq. 12 there)."""
    from scipy import sparse

    width = is_unknown.shape[1]
    near = cv2.dilate(is_unknown.astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    corners = np.flatnonzero(np.pad(near, ((0, 2), (0, 2)))).astype(np.int32)  # the upper left pixels of the windows
    inside = [(y, x, y * width + x) for y in range(3) for x in range(3)]
    colours = picture.reshape(-1, 3)
    stencil = np.zeros((len(unknown), 25))  # affinity with the 5 x 5 pixels around, negative
    degree = np.zeros(len(unknown))  # windows that a pixel is in
    window = np.full(is_unknown.size + inside[-1][-1], -1, np.int32)  # which one has its corner here
    for first in range(0, len(unknown), WINDOWS):
        ours = unknown[first : first + WINDOWS]
        some = corners[np.searchsorted(corners, ours[0] - inside[-1][-1]) : np.searchsorted(corners, ours[-1], "right")]
        window[some] = np.arange(len(some))
        weights = _affinity(np.stack([colours[some + offset].T for *_, offset in inside], axis=1).astype(np.float64))
        part = np.zeros((5, 5, len(ours)))
        for i, (y, x, offset) in enumerate(inside):
            at = window[ours - offset]  # below 0 it counts from the end, where no corner is
            ok = at >= 0
            degree[first : first + WINDOWS] += ok
            share = weights[i].take(at, axis=1)
            share *= ok
            part[2 - y : 5 - y, 2 - x : 5 - x] -= share.reshape(3, 3, -1)
        stencil[first : first + WINDOWS] = part.reshape(25, -1).T
        window[some] = -1
    offsets = ((np.arange(5)[:, None] - 2) * width + np.arange(5) - 2).ravel()
    columns = unknown.astype(np.int32)[:, None] + offsets.astype(np.int32)
    np.clip(columns, 0, is_unknown.size - 1, out=columns)  # beyond the border they weigh 0
    stencil[:, 12] += degree
    start = np.arange(0, stencil.size + 1, 25, dtype=np.int32)
    shape = (len(unknown), is_unknown.size)
    return sparse.csr_matrix((stencil.ravel(), columns.ravel(), start), shape=shape), stencil[:, 12].copy()


def _affinity(colours: Float64[np.ndarray, "3 9 n"]) -> Float64[np.ndarray, "9 9 n"]:
    """(1 + (c_i - mean) (covariance + EPSILON / 9)^-1 (c_j - mean)) / 9 of the pixels i and j of n windows."""
    colours = colours - colours.mean(1, keepdims=True)
    upper = zip(*np.triu_indices(3), strict=True)
    a, b, c, d, e, f = ((colours[i] * colours[j]).mean(0) + EPSILON / 9 * (i == j) for i, j in upper)
    first = d * f - e * e, c * e - b * f, b * e - c * d  # of the adjugate, which is symmetric
    middle, last = b * c - a * e, a * d - b * b
    det = a * first[0] + b * first[1] + c * first[2]
    adjugate = first, (first[1], a * f - c * c, middle), (first[2], middle, last)
    x, y, z = ((p * colours[0] + q * colours[1] + r * colours[2]) / det for p, q, r in adjugate)
    out = np.empty((9, 9, colours.shape[-1]))
    for i in range(9):
        for j in range(i, 9):
            out[i, j] = out[j, i] = (1 + (x[i] * colours[0, j] + y[i] * colours[1, j] + z[i] * colours[2, j])) / 9
    return out


def _solve(
    rows: "sparse.csr_matrix",
    diagonal: np.ndarray,
    alpha: Float64[np.ndarray, " n"],
    unknown: np.ndarray,
) -> Float64[np.ndarray, " u"]:
    """Minimise a' L a + PRIOR |a - alpha|^2 over the unknown pixels, from their values in `alpha`."""
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
