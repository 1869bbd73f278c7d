"""Faults of cameras and files, put on the composite only, so that alpha, F and B stay exact.

camera_faults   one random set of faults, on the whole photograph
"""

import cv2
import numpy as np
from jaxtyping import UInt8


def camera_faults(
    photo: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, *, probability: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Exposure, chroma shift, blur or sharpening, noise and JPEG, each with `probability`, in a camera's order.

    Args:
        photo: A whole sRGB composite: its patches, and what is computed from all of it, have the same faults.
        rng: Decides everything; as many numbers are drawn whatever happens, but for the noise.
        probability: Chance of each fault, 0 to 1; 0 returns `photo` itself.
    """
    hit = rng.random(5) < probability
    gain, gamma = rng.uniform(0.75, 1.3), float(np.exp(rng.normal(0, 0.18)))
    shift = rng.uniform(-1, 1, (2, 2))
    sigma, amount = rng.uniform(0.3, 1.6), rng.uniform(0.2, 1.0)
    sharpen = rng.random() < 0.4
    luma, chroma = rng.uniform(1, 10), rng.uniform(0, 5)
    quality = int(rng.integers(35, 96))
    height, width = photo.shape[:2]
    if hit[0]:
        curve = 255 * np.clip(gain * (np.arange(256) / 255) ** gamma, 0, 1)
        photo = cv2.LUT(photo, (curve + 0.5).astype(np.uint8))
    if hit[1]:
        planes = list(cv2.split(photo))
        for plane, (dy, dx) in zip((0, 2), shift, strict=True):
            move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
            planes[plane] = cv2.warpAffine(planes[plane], move, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        photo = cv2.merge(planes)
    if hit[2]:
        soft = cv2.GaussianBlur(photo, (0, 0), sigma)
        photo = cv2.addWeighted(photo, 1 + amount, soft, -amount, 0) if sharpen else soft
    if hit[3]:
        noise = rng.standard_normal((height, width, 1), np.float32) * luma
        noise = noise + rng.standard_normal((height, width, 3), np.float32) * chroma
        photo = np.clip(photo + noise + 0.5, 0, 255).astype(np.uint8)
    if hit[4]:
        _, packed = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])
        unpacked = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        assert unpacked is not None, "OpenCV cannot read its own JPEG"
        return unpacked
    return photo
