"""Solid things.

draw_solid          toys, fruit, tools: a few parts over one another
draw_plain_blob     the fallback when a family finds no acceptable picture
creature_outlines   outlines of a body: a blob, or a toy with ears, arms and a head
"""

import math

import numpy as np

from hdmatt.samples.drawn.colours import any_colour, tinted
from hdmatt.samples.drawn.light import motion_streak, out_of_focus, shaded, uneven_light
from hdmatt.samples.drawn.shapes import blob_outline, ellipse_points, random_outline
from hdmatt.samples.drawn.strokes import Colours, DrawnLayer, Points, filled, laid_over, pick_one


def draw_solid(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """Toys, fruit, tools: solid parts one over another, often out of focus or moving."""
    layer = np.zeros((size, size, 4), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        outlines = (
            creature_outlines(rng, size)
            if rng.random() < 0.4
            else [random_outline(rng, size, share=rng.uniform(0.4, 1))]
        )
        shift = int(rng.integers(size))
        tone = np.roll(colours, (shift, -shift), (0, 1))
        if rng.random() < 0.5:
            tone = tinted(tone, any_colour(rng), rng.uniform(0.6, 0.95))
        layer = laid_over(shaded(rng, filled(size, outlines), tone), layer)
    layer, chance = uneven_light(rng, layer, rim=0.0), rng.random()
    if chance < 0.5:
        sigma = size * pick_one(rng, rng.uniform(0.001, 0.004), rng.uniform(0.004, 0.015))
        return out_of_focus(layer, sigma)
    return layer if chance < 0.85 else motion_streak(layer, size * rng.uniform(0.01, 0.06), rng.uniform(0, math.pi))


def draw_plain_blob(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """One blob in the middle, a little soft: its coverage is always acceptable."""
    mask = filled(size, [blob_outline(rng, np.full(2, size / 2), 0.3 * size, 0.15)])
    return out_of_focus(shaded(rng, mask, colours), 0.006 * size)


def creature_outlines(rng: np.random.Generator, size: int) -> list[Points]:
    """A body: one blob, or a toy with ears, arms and a head. The head comes last."""
    centre = size * np.array([rng.uniform(0.38, 0.62), rng.uniform(0.4, 0.6)])
    radius = size * rng.uniform(0.17, 0.28)
    head = blob_outline(rng, centre, radius, rng.uniform(0.03, 0.12))
    if rng.random() < 0.35:
        return [blob_outline(rng, centre, radius * 1.4, rng.uniform(0.05, 0.3))]
    parts = []
    ear, tall = rng.uniform(0.25, 0.5) * radius, pick_one(rng, 1.0, 1.0, rng.uniform(1.5, 2.8))
    apart = rng.uniform(0.5, 0.95)
    for side in (-1, 1):
        at = centre + radius * np.array([side * apart, -np.sqrt(1.1 - apart**2) - 0.2 * (tall - 1)])
        parts.append(ellipse_points(at, (ear, ear * tall)))
        if rng.random() < 0.6:
            arm = centre + radius * np.array([side * rng.uniform(1.0, 1.5), rng.uniform(1.0, 1.7)])
            parts.append(blob_outline(rng, arm, radius * rng.uniform(0.3, 0.5), 0.1))
    if rng.random() < 0.8:
        parts.append(blob_outline(rng, centre + [0, radius * 1.6], radius * rng.uniform(0.9, 1.3), 0.1))
    return [*parts, head]
