"""Trimaps as people draw them, from a known alpha. NumPy and OpenCV only.

random_trimap   known parts eroded by random radii; sometimes blunt, sometimes without holes and pieces
"""

import cv2
import numpy as np

from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from hdmatt.samples.config import SampleConfig


def random_trimap(alpha: np.ndarray, config: SampleConfig, rng: np.random.Generator, widening: float) -> np.ndarray:
    """Erode the surely known parts of the alpha by two independent radii of 1 to `band` pixels, now and then more.

    Args:
        widening: Pixels of `alpha` to one that radii are counted in: squares that are shrunk to a patch keep bands as
            wide as the network sees them.

    Returns:
        0, 128, 255; some of each known part that there is stays known.
    """
    radii = np.exp(rng.uniform(0, np.log(config.band), 2))
    if rng.random() < config.wide:
        radii = rng.uniform(30, 110, 2)
    radii = radii * widening
    front, back = (alpha >= 253).astype(np.uint8), (alpha <= 2).astype(np.uint8)
    if rng.random() < config.blunt:
        brush = float(np.exp(rng.uniform(np.log(4), np.log(45)))) * widening
        wide_front, wide_back = _opened(front, brush), _opened(back, brush)
        front = wide_front if wide_front.any() else front  # something must be known
        back = wide_back if wide_back.any() else back
    if config.forgotten and rng.random() < config.forgotten:
        front, back = _largest(front), _outside(back)
    # whoever draws a trimap marks some of each: no more is eroded than leaves the inmost part
    depths = [cv2.distanceTransform(mask, cv2.DIST_L2, 3) for mask in (front, back)]
    foreground, background = (d > min(r, 0.6 * d.max()) for d, r in zip(depths, radii, strict=True))
    return np.where(foreground, FOREGROUND, np.where(background, BACKGROUND, UNKNOWN)).astype(np.uint8)


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if len(stats) < 2:
        return mask
    return (pieces == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)


def _outside(mask: np.ndarray) -> np.ndarray:
    """The pieces that reach the border; all of them where none does."""
    _, pieces = cv2.connectedComponents(mask, connectivity=4)
    border = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    found = np.isin(pieces, border[border > 0]).astype(np.uint8)
    return found if found.any() else mask


def _opened(mask: np.ndarray, radius: float) -> np.ndarray:
    """Morphological opening by a disc: what a round brush of that radius can paint without leaving the mask."""
    core = cv2.distanceTransform(mask, cv2.DIST_L2, 3) > radius
    if not core.any():  # the distance to nothing
        return np.zeros_like(mask)
    return (cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 3) <= radius).astype(np.uint8) & mask
