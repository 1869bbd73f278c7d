"""Strokes and layers that all families are drawn with.

Points are (x, y) in pixels, pixel centres at whole numbers. Layers hold associated ("premultiplied") colours, so one
layer over another is exact. Read top to bottom:

    Canvas                antialiased ribbons and polygons at twice the size
    filled                coverage of a union of outlines
    laid_over, associated, in_every_channel    arithmetic of layers
    Bend, grow_paths      paths from roots: hair, stems, blades
    bundle_of_strands     many strands beside a few guiding paths
    random_walks, pick_one, points_along
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

Points = Float[np.ndarray, "_ 2"]
Paths = Float[np.ndarray, "_ _ 2"]
Tones = Float[np.ndarray, "_ 3"]
Colours = Float32[np.ndarray, "size size 3"]
DrawnLayer = Float32[np.ndarray, "size size 4"]

SCALE = 2  # supersampling; on top of OpenCV's own antialiasing (8 bits, sub-pixel) 3 and 4 looked the same
SEE_THROUGH = frozenset({"veil", "smoke", "glass"})  # may have no pixel of alpha > 0.9
THINNEST = 0.89  # pixels: ribbons come out no thinner (measured); `draw_wisps` are fainter instead
TAU = 2 * np.pi


class Canvas:
    """Antialiased shapes over one another, in associated colours, on SCALE times the size.

    OpenCV blends an antialiased edge as colour * w + canvas * (1 - w) in all four channels. On associated colours that
    is exactly "over", so alpha and colours of crossing strands stay exact but for rounding to 8 bits.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.pixels = np.zeros((size * SCALE, size * SCALE, 4), np.uint8)

    def ribbons(
        self,
        paths: Paths,
        widths: Float[np.ndarray, " n"],
        colours: Float[np.ndarray, "n 3"],
        *,
        taper: float = 0.9,
        antialiased: bool = True,
        strength: Float[np.ndarray, " n"] | None = None,
    ) -> None:
        """Strands of the given widths at the root; at the tip the share `taper` of the width is gone."""
        steps = paths.shape[1]
        along = np.gradient(paths, axis=1)
        across = np.stack([-along[..., 1], along[..., 0]], -1)
        across /= np.linalg.norm(across, axis=-1, keepdims=True) + 1e-6
        # OpenCV's antialiased polygons are a little fat: with this, widths come out within 0.3 pixels
        excess, least = (1 / SCALE, 0.05) if antialiased else (0, 1 / SCALE)
        width = np.maximum(widths[:, None] * (1 - taper * np.linspace(0, 1, steps) ** 1.5) - excess, least)
        half = across * (width / 2)[..., None]
        outlines = np.concatenate([paths + half, (paths - half)[:, ::-1]], 1)
        self.polygons(outlines, colours, antialiased=antialiased, strength=strength)

    def polygons(
        self,
        outlines: Sequence[Points] | Paths,
        colours: Sequence[np.ndarray] | Tones,
        *,
        antialiased: bool = True,
        strength: Float[np.ndarray, " _"] | None = None,
    ) -> None:
        """Filled outlines, the later over the earlier; one of a strength below 1 replaces what is below it."""
        tones = np.asarray(colours).clip(0, 1)
        tones = np.concatenate([tones, np.ones((len(tones), 1))], 1) * 255
        tones = (tones if strength is None else tones * strength[:, None]).tolist()
        kind = cv2.LINE_AA if antialiased else cv2.LINE_8
        for outline, tone in zip(outlines, tones, strict=True):
            fixed = (((outline + 0.5) * SCALE - 0.5) * 16).astype(np.int32)
            cv2.fillPoly(self.pixels, [fixed], tone, kind, 4)

    def layer(self) -> DrawnLayer:
        """The picture in its own size."""
        small = cv2.resize(self.pixels, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / 255


def filled(size: int, outlines: Sequence[Points]) -> Float32[np.ndarray, "size size"]:
    """Coverage of the union of outlines."""
    mask = np.zeros((size * SCALE, size * SCALE), np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [(((outline + 0.5) * SCALE - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def laid_over(front: DrawnLayer, back: DrawnLayer) -> DrawnLayer:
    """The first layer over the second."""
    return front + back * in_every_channel(1 - front[..., 3], 4)


def associated(rgb: Float[np.ndarray, "size size 3"], alpha: Float[np.ndarray, "size size"]) -> DrawnLayer:
    """Colours multiplied by alpha, and alpha."""
    alpha = alpha.astype(np.float32, copy=False)
    return cv2.merge(
        [*cv2.split(np.clip(rgb.astype(np.float32, copy=False), 0, 1) * in_every_channel(alpha, 3)), alpha]
    )


def in_every_channel(
    field: Float[np.ndarray, "size size"], channels: int
) -> Float32[np.ndarray, "size size {channels}"]:
    """The field in every channel: NumPy broadcasts a last axis of 3 ten times slower."""
    return cv2.merge([np.ascontiguousarray(field, np.float32)] * channels)


class Bend(NamedTuple):
    """How a path leaves its straight line: pull downwards, `waves` curls of `curl` radians, random turns."""

    gravity: float = 0.0
    curl: float = 0.0
    waves: float = 1.0
    wobble: float = 0.0


def grow_paths(
    rng: np.random.Generator,
    roots: Points,
    heading: Float[np.ndarray, " n"],
    length: Float[np.ndarray, " n"],
    steps: int,
    bend: Bend,
) -> Paths:
    """Paths of `steps` points from roots along `heading` (radians, y down), bent as `bend` says."""
    gravity, curl, waves, wobble = bend
    n = len(roots)
    t = np.linspace(0, 1, steps - 1)
    turn = curl * np.sin(TAU * (waves * rng.uniform(0.7, 1.3, (n, 1)) * t + rng.random((n, 1))))
    wander = (rng.normal(0, wobble, (n, steps - 1)) / np.sqrt(steps / 6)).cumsum(1)
    angle = np.reshape(heading, (-1, 1)) + turn + wander
    step = np.stack([np.cos(angle), np.sin(angle) + gravity * t], -1)
    step /= np.linalg.norm(step, axis=-1, keepdims=True) + 1e-6
    step *= np.reshape(length, (-1, 1, 1)) / (steps - 1)
    return np.concatenate([roots[:, None], roots[:, None] + step.cumsum(1)], 1)


def bundle_of_strands(
    rng: np.random.Generator, guides: Paths, count: int, *, spread: float, clump: float, wobble: float,
    reach: tuple[float, float],
) -> Paths:  # fmt: skip
    """Strands beside guides: `spread` pixels off at the root, closer by the share `clump` at the tip."""
    n, steps, _ = guides.shape
    t = np.linspace(0, 1, steps)
    place = np.minimum(t * rng.uniform(*reach, (count, 1)), 1) * (steps - 1)
    low = np.minimum(place.astype(int), steps - 2)
    guide = rng.integers(n, size=(count, 1))
    share = (place - low)[..., None]
    path = guides[guide, low] * (1 - share) + guides[guide, low + 1] * share
    offset = rng.normal(0, spread, (count, 1, 2)) * (1 - clump * t)[:, None]
    return path + offset + wobble * spread * random_walks(rng, count, steps)


def random_walks(rng: np.random.Generator, count: int, steps: int) -> Paths:
    """Smooth random walks from 0, about 1 away at the end: waves of a few periods."""
    t = np.linspace(0, 1, steps)
    wave = np.stack([t, np.sin(math.pi * t), np.sin(1.5 * math.pi * t), 0.6 * np.sin(2.7 * math.pi * t)])
    return np.einsum("ncd,ct->ntd", rng.normal(0, 0.6, (count, 4, 2)), wave)


def pick_one(rng: np.random.Generator, *values: float) -> float:
    """One of the values, each as likely."""
    return values[int(rng.integers(len(values)))]


def points_along(outline: Points, gap: float) -> Points:
    """Points every `gap` pixels along a closed outline."""
    closed = np.concatenate([outline, outline[:1]])
    place = np.concatenate([[0], np.hypot(*np.diff(closed, axis=0).T).cumsum()])
    at = np.arange(0, place[-1], gap)
    return np.stack([np.interp(at, place, closed[:, i]) for i in (0, 1)], 1)
