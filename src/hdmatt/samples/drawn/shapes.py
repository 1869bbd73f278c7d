"""Outlines and warps that the families share: blobs, ellipses, boards, bags, vessels.

An outline is a closed polygon of points (x, y) in pixels.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Float32

from hdmatt.samples.drawn.colours import smooth_noise
from hdmatt.samples.drawn.light import soften
from hdmatt.samples.drawn.strokes import TAU, Points, pick_one, random_walks


def blob_outline(rng: np.random.Generator, centre: Float[np.ndarray, "2"], radius: float, rough: float) -> Points:
    """A closed outline whose radius varies by the share `rough`."""
    angle = np.linspace(0, TAU, 96, endpoint=False)
    order = np.arange(2, 10)[:, None]
    wave = (rng.normal(0, 1, (8, 1)) / order * np.cos(order * angle + rng.uniform(0, TAU, (8, 1)))).sum(0)
    return centre + (radius * (1 + rough * 1.5 * wave).clip(0.2))[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)


def ellipse_points(centre: Float[np.ndarray, "2"], axes: Sequence[float] | Float[np.ndarray, "2"]) -> Points:
    angle = np.linspace(0, TAU, 48, endpoint=False)
    return centre + np.asarray(axes) * np.stack([np.cos(angle), np.sin(angle)], 1)


def rounded_points(corners: Points) -> Points:
    """The outline with its corners cut three times (Chaikin)."""
    for _ in range(3):
        after = np.roll(corners, -1, 0)
        corners = np.stack([0.75 * corners + 0.25 * after, 0.25 * corners + 0.75 * after], 1).reshape(-1, 2)
    return corners


def random_outline(rng: np.random.Generator, size: int, *, share: float = 1.0, cloth: bool = False) -> Points:
    """A blob, a star, a board, a bag or a vessel, somewhere on the canvas."""
    kind = rng.choice(["board", "bag", "bag", "drape"] if cloth else ["blob", "blob", "star", "board", "bag", "vessel"])
    centre = size * rng.uniform(0.35, 0.65, 2)
    radius = share * size * rng.uniform(0.22, 0.44)
    if kind == "vessel":
        return vessel_outline(rng, size)
    if kind == "drape":  # hangs down from above
        left, right = rng.uniform(-0.1, 0.35), rng.uniform(0.55, 1.1)
        hem = np.stack(
            [
                np.linspace(right, left, 30) + rng.normal(0, 0.1),
                rng.uniform(0.6, 0.95) + random_walks(rng, 1, 30)[0, :, 1] * 0.1,
            ],
            1,
        )
        return size * np.concatenate([[[left, -0.1], [right, -0.1]], hem])
    if kind == "star":
        n = 2 * int(rng.integers(4, 12))
        angle = np.linspace(0, TAU, n, endpoint=False) + rng.uniform(0, TAU)
        reach = radius * np.where(np.arange(n) % 2, 1, rng.uniform(0.35, 0.8))
        star = centre + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        return rounded_points(star) if rng.random() < 0.7 else star
    if kind in ("board", "bag"):
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * radius * rng.uniform(0.5, 1.1, 2)
        corners = corners + rng.normal(0, 0.15 * radius, corners.shape)
        turn = rng.normal(0, 0.4)
        corners = centre + corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        dense = np.concatenate(
            [np.linspace(a, b, 8, endpoint=False) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
        )
        return rounded_points(dense + rng.normal(0, 0.04 * radius, dense.shape)) if kind == "bag" else dense
    return blob_outline(rng, centre, radius, rng.uniform(0.05, 0.5))


def vessel_outline(rng: np.random.Generator, size: int) -> Points:
    """The side view of something turned on a lathe."""
    height = np.linspace(-1, 1, 40)
    knots = np.linspace(-1, 1, 7)
    half = np.interp(height, knots, rng.uniform(0.25, 1, 7) ** 0.8)
    half = cv2.GaussianBlur(half[:, None], (0, 0), 2.5)[:, 0] * rng.uniform(0.35, 0.8)
    profile = np.concatenate([np.stack([half, height], 1), np.stack([-half, height], 1)[::-1]])
    turn = rng.normal(0, 0.15)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return size * rng.uniform(0.38, 0.62, 2) + profile @ spin * size * rng.uniform(0.25, 0.45)


def inside_disc(rng: np.random.Generator, count: int) -> Points:
    angle, away = rng.uniform(0, TAU, (count, 1)), np.sqrt(rng.random((count, 1)))
    return away * np.concatenate([np.cos(angle), np.sin(angle)], 1)


def outward_directions(mask: Float32[np.ndarray, "size size"], sigma: float) -> Float32[np.ndarray, "size size 3"]:
    """Unit vectors (x, y, 0) out of a mask; zero where it is flat."""
    soft = soften(mask, 2 * sigma) + 0.5 * soften(mask, 6 * sigma)
    dx, dy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    norm = np.sqrt(dx**2 + dy**2) + 1e-5
    return np.dstack([-dx / norm, -dy / norm, np.zeros_like(dx)])


def warped_points(
    rng: np.random.Generator, size: int, pitch: float
) -> tuple[Float[np.ndarray, "size size"], Float[np.ndarray, "size size"]]:
    """Coordinates on a waving surface, turned, in units of `pitch` pixels."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    amount = rng.uniform(0, 0.06) * size
    x = x + amount * smooth_noise(rng, size, first=int(rng.integers(2, 5)), octaves=2)
    y = y + amount * smooth_noise(rng, size, first=int(rng.integers(2, 5)), octaves=2)
    turn = pick_one(rng, 0.0, math.pi / 4, rng.uniform(0, math.pi))
    far = 1 + rng.uniform(0, 0.8) * y / size  # seen at an angle: closer towards the bottom
    u = (math.cos(turn) * x + math.sin(turn) * y) / pitch
    v = (math.cos(turn) * y - math.sin(turn) * x) / pitch * rng.uniform(0.6, 1.4)
    return u * far, v * far
