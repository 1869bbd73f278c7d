"""What cameras and files do to a picture: applied to composites only, so alpha, F and B stay exact.

    camera_faults   one random set of faults, the same for every patch of a composite
"""

import cv2
import numpy as np
from jaxtyping import UInt8


def camera_faults(
    patches: UInt8[np.ndarray, "g h w 3"], rng: np.random.Generator, *, probability: float
) -> UInt8[np.ndarray, "g h w 3"]:
    """Exposure, chroma shift, blur or sharpening, noise and JPEG, each with `probability`, in a camera's order.

    The parameters are drawn once, since the patches are pieces of one photograph; only the noise differs.

    Args:
        patches: sRGB composites of one picture.
        rng: Decides everything.
        probability: Chance of each fault, 0 to 1; 0 returns the patches as they are.
    """
    hit = rng.random(5) < probability
    gain, gamma = rng.uniform(0.75, 1.3), float(np.exp(rng.normal(0, 0.18)))
    shift = rng.uniform(-1, 1, (2, 2))
    sigma, amount = rng.uniform(0.3, 1.6), rng.uniform(0.2, 1.0)
    sharpen = rng.random() < 0.4
    luma, chroma = rng.uniform(1, 10), rng.uniform(0, 5)
    quality = int(rng.integers(35, 96))
    return np.stack([
        _one(patch, rng, hit, gain, gamma, shift, sigma, amount, sharpen, luma, chroma, quality) for patch in patches
    ])


def _one(
    patch: np.ndarray,
    rng: np.random.Generator,
    hit: np.ndarray,
    gain: float,
    gamma: float,
    shift: np.ndarray,
    sigma: float,
    amount: float,
    sharpen: bool,
    luma: float,
    chroma: float,
    quality: int,
) -> np.ndarray:
    height, width = patch.shape[:2]
    if hit[0]:
        curve = 255 * np.clip(gain * (np.arange(256) / 255) ** gamma, 0, 1)
        patch = cv2.LUT(patch, (curve + 0.5).astype(np.uint8))
    if hit[1]:
        planes = list(cv2.split(patch))
        for plane, (dy, dx) in zip((0, 2), shift, strict=True):
            move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
            planes[plane] = cv2.warpAffine(planes[plane], move, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        patch = cv2.merge(planes)
    if hit[2]:
        soft = cv2.GaussianBlur(patch, (0, 0), sigma)
        patch = cv2.addWeighted(patch, 1 + amount, soft, -amount, 0) if sharpen else soft
    if hit[3]:
        noise = rng.standard_normal((height, width, 1), np.float32) * luma
        noise = noise + rng.standard_normal((height, width, 3), np.float32) * chroma
        patch = np.clip(patch + noise + 0.5, 0, 255).astype(np.uint8)
    if hit[4]:
        _, packed = cv2.imencode(".jpg", patch, [cv2.IMWRITE_JPEG_QUALITY, quality])
        unpacked = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        assert unpacked is not None, "OpenCV cannot read its own JPEG"
        return unpacked
    return patch
