"""Colours and smooth noise for the families. Colours are display-encoded RGB in [0, 1]."""

import colorsys

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from hdmatt.samples.drawn.strokes import Colours, Points


def smooth_noise(
    rng: np.random.Generator, size: int, *, first: int, octaves: int, gain: float = 0.5
) -> Float32[np.ndarray, "size size"]:
    """Smooth noise, about -1 to 1: `first` cells along a side, then twice as many, each octave `gain` as strong."""
    total = np.zeros((1, 1), np.float32)
    for octave in range(octaves):
        cells = min(first * 2**octave + 1, size)
        grid = rng.uniform(-1, 1, (cells, cells)).astype(np.float32) * gain**octave
        side = min(4 * cells, size)
        fine = cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
        total = fine + cv2.resize(total, (side, side), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(total, (size, size), interpolation=cv2.INTER_LINEAR)


def colour_field(rng: np.random.Generator, size: int, texture: UInt8[np.ndarray, "h w 3"] | None) -> Colours:
    """Colours for the whole canvas: a crop of the photograph, or a smooth mix of a few colours."""
    if texture is not None and min(texture.shape[:2]) >= 8:
        side = max(8, int(min(texture.shape[:2]) * rng.uniform(0.25, 1)))
        y, x = (int(rng.integers(full - side + 1)) for full in texture.shape[:2])
        crop = np.ascontiguousarray(texture[y : y + side, x : x + side])
        field = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
        field = field.astype(np.float32) / 255
        if rng.random() < 0.3:
            field = cv2.resize(cv2.resize(field, (24, 24), interpolation=cv2.INTER_AREA), (size, size))
        gain = min(max(rng.uniform(0.25, 0.7) / (float(field.mean()) + 0.02), 0.5), 4)
        return np.clip(field * gain + rng.uniform(0, 0.05), 0, 1)
    share = np.clip(0.5 + 0.8 * smooth_noise(rng, size, first=int(rng.integers(2, 8)), octaves=4), 0, 1)
    one, two = any_colour(rng), any_colour(rng)
    step = 0.5 * (one - two)
    return cv2.transform(share, np.stack([step, one - step], 1))


def tinted(colours: Colours, base: Float[np.ndarray, "3"], share: float) -> Colours:
    """Colours pulled towards one colour; how light and dark they vary stays, softened."""
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    relative = np.sqrt(grey / max(float(grey.mean()), 0.05))
    pulled = cv2.addWeighted(colours, 1 - share, cv2.transform(relative, base[:, None]), share, 0)
    return np.clip(pulled, 0, 1, out=pulled)


def from_hsv(hue: float, saturation: float, value: float) -> Float[np.ndarray, "3"]:
    return np.array(colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1)))


def any_colour(rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    return from_hsv(rng.random(), rng.random() ** 0.8, rng.uniform(0.1, 1))


def varied_tones(rng: np.random.Generator, tones: Float[np.ndarray, "n 3"], amount: float) -> Float[np.ndarray, "n 3"]:
    """Each row lighter or darker by about `amount`, its hue a little off."""
    light = np.exp(rng.normal(0, amount, (len(tones), 1)))
    return tones * light * (1 + rng.normal(0, 0.2 * amount, tones.shape))


def values_at(field: np.ndarray, points: Points) -> Float[np.ndarray, "n c"]:
    """Rows of a field at points, the nearest pixel."""
    high, wide = field.shape[:2]
    x = points[:, 0].astype(int).clip(0, wide - 1)
    y = points[:, 1].astype(int).clip(0, high - 1)
    return field[y, x].reshape(len(points), -1)
