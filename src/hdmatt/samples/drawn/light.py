"""Light, shadow and lens effects on layers, and straight colours at the end.

relief, shaded, uneven_light    light from above, from the side, from behind
through_a_lens, out_of_focus, motion_streak
soften                a wide blur, cheaply
straight_colours      associated float colours to straight 8 bits, continued where alpha is 0
"""

import math

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.samples.drawn.colours import smooth_noise
from hdmatt.samples.drawn.strokes import TAU, Colours, DrawnLayer, associated, in_every_channel


def soften(field: Float32[np.ndarray, "size size *c"], sigma: float) -> Float32[np.ndarray, "size size *c"]:
    """A wide Gaussian blur on an eighth of the size."""
    small = cv2.resize(field, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(sigma / 8, 0.5), borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, field.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def relief(rng: np.random.Generator, mask: Float32[np.ndarray, "size size"]) -> Float32[np.ndarray, "size size"]:
    """How bright a rounded body of this outline is under a light from above."""
    size = len(mask)
    small = cv2.resize(mask, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
    depth = cv2.distanceTransform((small > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    height = cv2.GaussianBlur(np.sqrt(depth * size * 0.04 + 0.01), (0, 0), size * 0.006)
    dx, dy = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=0.125)
    turn = rng.normal(-np.pi / 2, 0.9)
    facing = 1 / np.sqrt(1 + dx**2 + dy**2)
    light = (0.75 + (dx * math.cos(turn) + dy * math.sin(turn)) * facing * 0.5).clip(0.3, 1.35)
    return cv2.resize(light.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)


def shaded(rng: np.random.Generator, mask: Float32[np.ndarray, "size size"], colours: Colours) -> DrawnLayer:
    """A rounded body of this outline; glossy ones get a highlight."""
    light = relief(rng, mask)
    rgb = colours * in_every_channel(light, 3)
    if rng.random() < 0.4:
        rgb = rgb + in_every_channel(np.clip(light - 1.0, 0, 1) ** 2 * 6, 3)
    return associated(rgb, mask)


def uneven_light(rng: np.random.Generator, layer: DrawnLayer, *, rim: float) -> DrawnLayer:
    """Uneven light, and light from behind that shines through thin parts (`rim`)."""
    size = len(layer)
    gain = 1 + rng.uniform(0, 0.5) * _ramp(rng, size // 8)
    gain *= 1 + rng.uniform(0, 0.2) * smooth_noise(rng, size // 8, first=3, octaves=3)
    if rim > 0:
        thin = cv2.resize(layer[..., 3], (size // 8, size // 8), interpolation=cv2.INTER_AREA)
        gain += rim * np.clip(1.3 - 1.5 * cv2.GaussianBlur(thin, (0, 0), 0.004 * size), 0, 1)
    cast = cv2.transform(gain.astype(np.float32), (1 + rng.normal(0, 0.06, 3))[:, None])
    cast = cv2.resize(cv2.merge([*cv2.split(cast), np.ones_like(gain, np.float32)]), (size, size))
    return np.minimum(layer * cast, in_every_channel(layer[..., 3], 4))


def _ramp(rng: np.random.Generator, size: int) -> Float32[np.ndarray, "size size"]:
    """A plane of random direction, about -0.5 to 0.5."""
    angle = rng.uniform(0, TAU)
    axis = np.arange(size, dtype=np.float32) / size - 0.5
    return axis[None] * math.cos(angle) + axis[:, None] * math.sin(angle)


def through_a_lens(rng: np.random.Generator, layer: DrawnLayer) -> DrawnLayer:
    """A little blur as in every photograph; sometimes focus on one part only, sometimes motion."""
    size, chance = len(layer), rng.random()
    if chance < 0.08:
        return out_of_focus(layer, size * rng.uniform(0.002, 0.01))
    if chance < 0.2:
        far = np.clip(_ramp(rng, size // 4) * 2 + rng.uniform(0, 1), 0, 1)
        far = in_every_channel(cv2.resize(far, (size, size), interpolation=cv2.INTER_LINEAR), 4)
        return layer + (out_of_focus(layer, size * rng.uniform(0.003, 0.012)) - layer) * far
    if chance < 0.26:
        return motion_streak(layer, size * rng.uniform(0.006, 0.04), rng.uniform(0, math.pi))
    return out_of_focus(layer, rng.uniform(0.25, 0.65)) if chance < 0.65 else layer


def out_of_focus(layer: DrawnLayer, sigma: float) -> DrawnLayer:
    """Gaussian blur of `sigma` pixels."""
    return cv2.GaussianBlur(layer, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def motion_streak(layer: DrawnLayer, length: float, angle: float) -> DrawnLayer:
    """Blur along a straight line."""
    side = 2 * int(length / 2 + 1) + 1
    kernel = np.zeros((side, side), np.float32)
    reach = 16 * length / 2 * np.array([np.cos(angle), np.sin(angle)])
    middle = 16 * (side // 2)
    ends = np.stack([middle - reach, middle + reach]).astype(np.int32)
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0, 1, cv2.LINE_8, 4)
    return cv2.filter2D(layer, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def straight_colours(layer: DrawnLayer) -> UInt8[np.ndarray, "size size 4"]:
    """Straight 8-bit colours; where alpha is small they come from ever coarser means of what is near."""
    levels = [layer]
    while min(levels[-1].shape[:2]) > 1:
        high, wide = (max(1, side // 2) for side in levels[-1].shape[:2])
        levels.append(cv2.resize(levels[-1], (wide, high), interpolation=cv2.INTER_AREA))
    filled = levels[-1][..., :3] / np.maximum(levels[-1][..., 3:], 1e-6)  # the mean colour
    for level in reversed(levels):
        high, wide = level.shape[:2]
        filled = cv2.resize(filled, (wide, high), interpolation=cv2.INTER_LINEAR).reshape(high, wide, 3)
        red, green, blue, weight = cv2.split(level)
        trust = np.minimum(weight * 8, 1)  # 8 bits of an associated colour say little where alpha is a few percent
        own = cv2.merge([red, green, blue]) * in_every_channel(trust / np.maximum(weight, 1e-6), 3)
        filled = filled * in_every_channel(1 - trust, 3) + own
    return cv2.convertScaleAbs(cv2.merge([*cv2.split(np.clip(filled, 0, 1)), levels[0][..., 3].copy()]), alpha=255)
