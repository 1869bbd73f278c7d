"""Score a matte against the truth: SAD, MSE, Grad, Conn as the field's reference does, and MAD.

Arrays in, numbers out: no files, no torch, no averaging over a data set (that is a plain mean of each field).
Everything is counted over M, the pixels where the trimap is exactly 128; Grad and Conn look at the whole picture
first. Read top to bottom:

    Scores, score    all six for one picture
    sad, mse, mad    plain errors, exact: counted in integers
    grad             error of the Gaussian gradient
    conn             error of the connectivity to the largest solid part
    check_truth      a truth that cannot be scored

The reference is the MATLAB code published with Deep Image Matting (Xu et al. 2017). Most Python ports differ from it;
each function names the quirks to keep. A matte is uint8, or float in [0, 1]; floats are rounded to the nearest
1/255 (a half up) before anything else, because the reference scores 8-bit files.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, Shaped

from hdmatt.errors import InputError
from hdmatt.evaluation.matte_bytes import AnyArray, Bytes, Mask, bands, checked_bytes
from hdmatt.evaluation.seams import Borders, step_across

THOUSAND = 1000.0  # SAD, Grad and Conn are printed in thousands in every paper

SIGMA = 1.4  # of Grad's filter
EPSILON = 0.01  # where its Gaussian is cut off


@dataclass(frozen=True)
class Scores:
    """All scores of one matte. Lower is better; the best `seam` is 1."""

    sad: float  # in thousands
    mse: float  # as it is; papers print it times 1000
    grad: float  # in thousands
    conn: float  # in thousands
    mad: float  # as it is
    seam: float  # ratio; NaN where it was not asked for or cannot be told


# All of them


def score(
    prediction: AnyArray, truth: AnyArray, trimap: AnyArray, *, borders: Borders | None = None, band: int = 4
) -> Scores:
    """All scores of one matte; the same numbers as the functions below, with the arrays checked once.

    Args:
        prediction: H x W, uint8 or float in [0, 1].
        truth: H x W, uint8 or float in [0, 1]. Is not refused when it is constant; see `check_truth`.
        trimap: H x W, uint8; exactly 128 where unknown.
        borders: Where patches meet, for the seam score (seams.py); without them it is NaN.
        band: Half the width of a border band in pixels, see `seams.seam`.

    Returns:
        SAD, Grad and Conn in thousands, MSE and MAD in [0, 1], all over the unknown pixels: lower is better. The seam
        score is a ratio; 1 means that no seam shows.

    Raises:
        InputError: Sizes differ, an array is not a matte (type, NaN, range), or no pixel is unknown.
    """
    p, t, unknown = checked_bytes(prediction, truth, trimap)
    differences = _differences(p, t, unknown)
    return Scores(
        sad=_sad(differences),
        mse=_mse(differences),
        grad=_grad(p, t, unknown),
        conn=_conn(p, t, unknown),
        mad=_mad(differences),
        seam=math.nan if borders is None else step_across(p, t, unknown, borders, band),
    )


# Plain errors


def sad(prediction: AnyArray, truth: AnyArray, trimap: AnyArray) -> float:
    """Sum of absolute differences over the unknown pixels, in thousands.

    Not over the whole picture, as mmagic does, and never stretched, as IndexNet's port does. Sums integers, so
    nothing wraps and nothing is lost on large pictures.

    Raises:
        InputError: As `score`.
    """
    return _sad(_differences(*checked_bytes(prediction, truth, trimap)))


def mse(prediction: AnyArray, truth: AnyArray, trimap: AnyArray) -> float:
    """Mean squared difference over the unknown pixels, in [0, 1]; papers print it times 1000.

    Raises:
        InputError: As `score`.
    """
    return _mse(_differences(*checked_bytes(prediction, truth, trimap)))


def mad(prediction: AnyArray, truth: AnyArray, trimap: AnyArray) -> float:
    """Mean absolute difference over the unknown pixels, in [0, 1]: SAD that does not grow with the picture.

    Raises:
        InputError: As `score`.
    """
    return _mad(_differences(*checked_bytes(prediction, truth, trimap)))


# Gradient and connectivity


def grad(prediction: AnyArray, truth: AnyArray, trimap: AnyArray) -> float:
    """Sum over the unknown pixels of the squared difference of gradient magnitudes, in thousands.

    Both mattes are first stretched to fill [0, 1] over the whole picture (MATLAB's mat2gray). Two things follow:
    a matte at exactly half strength scores 0, and one stray pixel in the known part of a matte that reaches neither
    0 nor 1 can change the score. Look at SAD beside it. A constant matte has gradient 0.

    Raises:
        InputError: As `score`.

    Source:
        gradient.m of the reference. Filter h(y, x) = g(y) g'(x), g Gaussian with sigma 1.4, cut where g falls to
        0.01 (9 x 9), scaled to sum h^2 = 1; the other direction is its transpose. Replicated border.
    """
    return _grad(*checked_bytes(prediction, truth, trimap))


def conn(prediction: AnyArray, truth: AnyArray, trimap: AnyArray) -> float:
    """Sum over the unknown pixels of the difference in connectivity, in thousands.

    The connectivity of a pixel is 1 up to where it hangs on to the largest part that both mattes share, and less by
    what rises above that (if at least 0.15).

    Quirks kept: 4 neighbours; the component with the most pixels of the *whole picture*, at each of ten thresholds;
    of two equally large ones the first in MATLAB's order, down the columns, is taken (cv2 and SciPy count along
    the rows); where no pixel reaches a threshold the part is empty, not "the background", which is what the GCA port
    takes. Thresholds are compared as fractions, so 153/255 reaches 0.6.

    Raises:
        InputError: As `score`.

    Source:
        connectivity.m of the reference, step 0.1.
    """
    return _conn(*checked_bytes(prediction, truth, trimap))


# The truth


def check_truth(truth: AnyArray, trimap: AnyArray, name: str) -> None:
    """Refuse a truth that says nothing: one value over the whole picture, or no pixel left to score.

    The functions above do score such a pair (the reference does), but in a data set it means a wrong file: an
    opaque alpha channel, a mask that failed to load.

    Args:
        truth: H x W, uint8 or float in [0, 1].
        trimap: H x W, uint8.
        name: What to call the truth in the message, usually its file.

    Raises:
        InputError: The truth is constant, has another size than the trimap, or is not a matte.
    """
    values, _, _ = checked_bytes(truth, truth, trimap, names=(name, name, f"the trimap of {name}"))
    low, high = int(values.min()), int(values.max())
    if low == high:
        raise InputError(
            f"{name} is {low} everywhere ({values.shape[0]}x{values.shape[1]}, height x width): a truth without "
            "variation cannot be scored",
            hint="Check that it is the alpha matte and not an opaque picture, or take this picture out of the set",
        )


def _differences(p: Bytes, t: Bytes, unknown: Mask) -> Shaped[np.ndarray, "256"]:
    """How many unknown pixels are wrong by 0, 1, ... 255 steps: all that SAD, MSE and MAD need."""
    counts = np.zeros(256, np.int64)
    for rows in bands(*p.shape):  # bincount makes 8 bytes of each
        counts += np.bincount(cv2.absdiff(p[rows], t[rows])[unknown[rows]], minlength=256)
    return counts


def _sad(differences: Shaped[np.ndarray, "256"]) -> float:
    return int(differences @ np.arange(256)) / 255 / THOUSAND


def _mad(differences: Shaped[np.ndarray, "256"]) -> float:
    return int(differences @ np.arange(256)) / 255 / int(differences.sum())


def _mse(differences: Shaped[np.ndarray, "256"]) -> float:
    return int(differences @ np.arange(256) ** 2) / 255**2 / int(differences.sum())


def _grad(p: Bytes, t: Bytes, unknown: Mask) -> float:
    smooth, slope = _gradient_filter()
    reach = len(smooth) // 2
    height, width = p.shape
    ranges = tuple((int(matte.min()), int(matte.max())) for matte in (p, t))
    total = 0.0
    for rows in bands(height, width):
        inside = unknown[rows]
        if not inside.any():
            continue
        # `reach` more rows on each side; where the picture ends, the filter repeats its border, as it should
        y0, y1 = max(0, rows.start - reach), min(height, rows.stop + reach)
        magnitudes = [
            _magnitude(matte[y0:y1], low, high, smooth, slope)[rows.start - y0 : rows.stop - y0][inside]
            for matte, (low, high) in zip((p, t), ranges, strict=True)
        ]
        total += float(np.sum((magnitudes[0] - magnitudes[1]) ** 2))
    return total / THOUSAND


def _gradient_filter() -> tuple[Float64[np.ndarray, "9"], Float64[np.ndarray, "9"]]:
    """The two factors of h, each of length 1, so that their outer product has sum h^2 = 1."""
    half = math.ceil(SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * SIGMA * EPSILON)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    smooth = np.exp(-(x**2) / (2 * SIGMA**2))
    slope = -x * smooth
    return smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)


def _magnitude(
    rows: Bytes, low: int, high: int, smooth: Float64[np.ndarray, "9"], slope: Float64[np.ndarray, "9"]
) -> Float64[np.ndarray, "h w"]:
    if low == high:
        return np.zeros(rows.shape)
    # float64: float32 is off by 1e-6 of the score, and only 15 % faster on two cores
    stretched = (rows - np.float64(low)) / (high - low)
    # sepFilter2D correlates where MATLAB convolves: h turned by half a turn is -h, and only its square is used
    along_x = cv2.sepFilter2D(stretched, cv2.CV_64F, slope, smooth, borderType=cv2.BORDER_REPLICATE)
    along_y = cv2.sepFilter2D(stretched, cv2.CV_64F, smooth, slope, borderType=cv2.BORDER_REPLICATE)
    # not cv2.magnitude: its last bit depends on where the arrays lie in memory (opencv 5.0)
    return np.sqrt(along_x * along_x + along_y * along_y)


def _conn(p: Bytes, t: Bytes, unknown: Mask) -> float:
    both = cv2.min(p, t)
    hanging = np.ones(p.shape, bool)  # still part of the largest component at every threshold so far
    level = np.zeros(p.shape, np.uint8)  # l of the formula, in tenths
    for tenths in range(1, 11):
        # P/255 >= k/10 exactly when P >= ceil(25.5 k); in float64, 153/255 < 6 * 0.1
        hanging &= _largest_component(both >= -(-255 * tenths // 10))
        if not hanging.any():
            break
        level += hanging
    total = 0
    for rows in bands(*p.shape):
        inside = unknown[rows]
        # phi_p - phi_t in units of 1/2550: integers, so 0.15 is never missed by a rounding
        above_p, above_t = (
            10 * matte[rows][inside].astype(np.int32) - 255 * level[rows][inside].astype(np.int32) for matte in (p, t)
        )
        above_p[above_p * 100 < 15 * 2550] = 0
        above_t[above_t * 100 < 15 * 2550] = 0
        total += int(np.abs(above_p - above_t).sum(dtype=np.int64))
    return total / 2550 / THOUSAND


def _largest_component(mask: Mask) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    if count == 1:  # only label 0, which is everything outside the mask
        return np.zeros(mask.shape, bool)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    ties = np.flatnonzero(areas == areas.max())
    # MATLAB counts down the columns: the component with the leftmost pixel, of those the one with the topmost there
    lefts = stats[ties, cv2.CC_STAT_LEFT]
    ties = ties[lefts == lefts.min()]
    column = labels[:, lefts.min()]
    return labels == column[np.isin(column, ties)][0]
