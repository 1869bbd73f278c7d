"""Hair, fur and yarn.

draw_hair    a head of hair, a lock, or a fringe of yarn
draw_fur     an animal or a plush toy
draw_wisps   strands thinner than a pixel (also of dandelions)
hair_colours colours of hair and fur (also of feathers)
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from hdmatt.samples.drawn.colours import any_colour, from_hsv, smooth_noise, tinted, values_at, varied_tones
from hdmatt.samples.drawn.light import relief, shaded, uneven_light
from hdmatt.samples.drawn.shapes import ellipse_points, inside_disc, outward_directions, rounded_points
from hdmatt.samples.drawn.solids import creature_outlines
from hdmatt.samples.drawn.strokes import (
    TAU,
    THINNEST,
    Bend,
    Canvas,
    Colours,
    DrawnLayer,
    Paths,
    Points,
    bundle_of_strands,
    filled,
    grow_paths,
    laid_over,
    pick_one,
    points_along,
)

# hue, saturation, value: black, dark brown, brown, blond, ginger, grey, white, fawn
HAIR = (
    (0.07, 0.6, 0.12),
    (0.07, 0.6, 0.3),
    (0.08, 0.55, 0.55),
    (0.11, 0.45, 0.85),
    (0.05, 0.8, 0.65),
    (0.08, 0.08, 0.5),
    (0.1, 0.15, 0.9),
    (0.09, 0.3, 0.75),
)


class _Scalp(NamedTuple):
    """Where hair grows: guiding strands by root, heading (radians) and length; a head's centre and radii."""

    roots: Points
    heading: Float[np.ndarray, " n"]
    length: Float[np.ndarray, " n"]
    gravity: float
    spread: float
    centre: Float[np.ndarray, "2"]
    radius: Float[np.ndarray, "2"]
    behind: bool


def draw_hair(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """A head of hair, a lock hanging in, or a fringe of yarn."""
    kind = rng.choice(["head", "head", "head", "lock", "fringe", "fringe"])
    if kind == "fringe":
        return _yarn_fringe(rng, size, colours)
    canvas = Canvas(size)
    colours = hair_colours(rng, colours)
    steps = 16
    curl = pick_one(rng, 0.0, rng.uniform(0.1, 0.5), rng.uniform(0.6, 1.5))
    scalp = _head(rng, size) if kind == "head" else _lock(rng, size)
    n, spread = len(scalp.roots), scalp.spread
    waves = rng.uniform(0.6, 5) * size / 480
    bend = Bend(scalp.gravity, curl, waves, wobble=0.12)
    guides = grow_paths(rng, scalp.roots, scalp.heading, scalp.length, steps, bend)
    wind = rng.normal(0, 0.12) * size * (rng.random() < 0.4)
    guides[..., 0] += wind * np.linspace(0, 1, steps) ** 2
    clump = rng.uniform(0.1, 0.9)
    width = rng.uniform(0.7, 1.8)

    back = bundle_of_strands(rng, guides, 3 * n, spread=0.6 * spread, clump=clump, wobble=0.2, reach=(0.5, 0.9))
    canvas.ribbons(back, rng.uniform(0.6, 1.4, len(back)) * 1.1 * spread, values_at(colours, back[:, 0]) * 0.6)
    if scalp.behind:
        canvas.polygons(
            [ellipse_points(scalp.centre, 0.97 * scalp.radius)], values_at(colours, scalp.centre[None]) * 0.5
        )
    elif kind == "head":
        _bust(rng, canvas, scalp.centre, scalp.radius, colours)
    many = int(rng.integers(500, 900))
    hair = bundle_of_strands(
        rng, guides, many, spread=spread, clump=clump, wobble=rng.uniform(0.1, 0.6), reach=(0.75, 1.05)
    )
    canvas.ribbons(hair, width * rng.uniform(0.6, 1.5, many), varied_tones(rng, values_at(colours, hair[:, 2]), 0.3))
    few = int(rng.integers(40, 260))
    stray = bundle_of_strands(
        rng, guides, few, spread=spread * rng.uniform(1.2, 2.6), clump=0.0, wobble=1.6, reach=(0.5, 1.2)
    )
    thin = rng.uniform(0.2, 1.0) * rng.uniform(0.6, 1.5, few)
    wisps = draw_wisps(size, stray, thin, varied_tones(rng, values_at(colours, stray[:, 3]), 0.3))
    layer = canvas.layer()
    layer = laid_over(wisps, layer) if rng.random() < 0.5 else laid_over(layer, wisps)
    return uneven_light(rng, layer, rim=rng.uniform(0, 0.9))


def _head(rng: np.random.Generator, size: int) -> _Scalp:
    centre = size * np.array([rng.uniform(0.35, 0.65), rng.uniform(0.33, 0.5)])
    radius = size * rng.uniform(0.13, 0.2) * np.array([1.0, rng.uniform(1.15, 1.4)])
    n = int(rng.integers(30, 70))
    angle = rng.uniform(-1.08 * np.pi, 0.08 * np.pi, n)
    roots = centre + radius * np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(0.7, 1.0, (n, 1))
    length = size * rng.uniform(0.25, 0.8) * rng.uniform(0.75, 1.1, n)
    heading = np.where(np.cos(angle) > rng.normal(0, 0.2), -0.35, np.pi + 0.35) * 0.5 + angle * 0.5
    heading = np.where(rng.random() < 0.3, angle, heading) + rng.normal(0, 0.25, n)
    gravity = rng.uniform(0.0, 0.5) if rng.random() < 0.2 else rng.uniform(0.8, 3.0)
    spread = size * rng.uniform(0.015, 0.035)
    if behind := rng.random() < 0.4:  # seen from behind
        roots = centre + radius * inside_disc(rng, n)
    return _Scalp(roots, heading, length, gravity, spread, centre, radius, behind)


def _lock(rng: np.random.Generator, size: int) -> _Scalp:
    n = int(rng.integers(6, 18))
    start = size * np.array([rng.uniform(0.2, 0.8), rng.uniform(-0.08, 0.05)])
    roots = start + rng.normal(0, rng.uniform(0.03, 0.1) * size, (n, 2))
    heading = np.pi / 2 + rng.normal(0, 0.35) + rng.normal(0, 0.12, n)
    length = size * rng.uniform(0.5, 1.1) * rng.uniform(0.7, 1.1, n)
    gravity = rng.uniform(0, 1.0)
    spread = size * rng.uniform(0.015, 0.04)
    return _Scalp(roots, heading, length, gravity, spread, start, np.array([1.0, 1.0]), behind=False)


def _bust(
    rng: np.random.Generator,
    canvas: Canvas,
    centre: Float[np.ndarray, "2"],
    radius: Float[np.ndarray, "2"],
    colours: Colours,
) -> None:
    """A plain face, neck and shoulders."""
    skin = from_hsv(rng.uniform(0.03, 0.09), rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.95))
    clothes = colours[rng.integers(len(colours)), rng.integers(len(colours))] * rng.uniform(0.4, 1.2)
    x, y = centre
    wide, high = radius
    bottom, reach = canvas.size * 1.05, wide * rng.uniform(1.7, 2.6)
    neck = np.array([[-0.5, 0.5], [0.5, 0.5], [0.55, 1.6], [-0.55, 1.6]]) * radius + centre
    rise = y + 1.35 * high
    right = np.array([[0.5 * wide, rise], [reach, rise + 0.5 * wide], [1.1 * reach, bottom]])
    shoulders = np.concatenate([right, (right * [-1, 1])[::-1]]) + [x, 0]
    canvas.polygons([neck], [skin * 0.8])
    canvas.polygons([rounded_points(shoulders)], [clothes])
    canvas.polygons([ellipse_points(centre + [0, 0.1 * high], radius * [0.86, 0.95])], [skin])


def _yarn_fringe(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """Thick twisted threads hanging from above, some tangled."""
    canvas = Canvas(size)
    n = int(rng.integers(14, 60))
    width = rng.uniform(3, 11) * size / 480
    left, right = np.sort(rng.uniform(0, size, 2)) + [-0.1 * size, 0.1 * size]
    roots = np.stack([rng.uniform(left, right, n), rng.uniform(-0.05, 0.12) * size + rng.normal(0, 4, n)], 1)
    length = size * rng.uniform(0.4, 1.0) * rng.uniform(0.7, 1.1, n)
    heading = np.pi / 2 + rng.normal(0, rng.uniform(0.02, 0.3), n)
    paths = grow_paths(rng, roots, heading, length, 24, Bend(gravity=rng.uniform(0, 2), curl=rng.uniform(0, 0.5),
                  waves=rng.uniform(1, 5), wobble=0.1))  # fmt: skip
    palette = np.stack([any_colour(rng) for _ in range(int(rng.integers(1, 7)))])
    tone = palette[rng.integers(len(palette), size=n)] if rng.random() < 0.7 else values_at(colours, roots)
    fuzz = int(rng.integers(0, 14))
    for path, colour in zip(paths, varied_tones(rng, tone, 0.15), strict=True):
        for part, shade in ((1.0, 0.55), (0.7, 0.85), (0.3, 1.15)):
            canvas.ribbons(path[None], np.array([width * part]), (colour * shade)[None], taper=0.1)
        twist = path[:-1] + np.diff(path, axis=0) * rng.random()
        across = np.stack([twist - width * 0.42, twist + width * 0.42], 1)
        canvas.ribbons(across, np.full(len(across), 0.6), np.tile(colour * 0.5, (len(across), 1)), taper=0.0)
        if fuzz:
            start = path[rng.integers(len(path), size=fuzz)]
            hairs = grow_paths(
                rng, start, rng.uniform(0, TAU, fuzz), width * rng.uniform(0.6, 1.8, fuzz), 5, Bend(wobble=0.6)
            )
            canvas.ribbons(hairs, np.full(fuzz, 0.4), np.tile(colour, (fuzz, 1)))
    if rng.random() < 0.6:
        top = roots[:, 1].max() + width
        band = np.array([[left - width, -9], [right + width, -9], [right + width, top], [left - width, top]])
        canvas.polygons([band], [any_colour(rng)])
    return uneven_light(rng, canvas.layer(), rim=rng.uniform(0, 0.4))


def draw_fur(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """An animal or a plush toy: strands all over a body, thin ones over its outline."""
    colours = hair_colours(rng, colours)
    outlines = creature_outlines(rng, size)
    mask = filled(size, outlines)
    outward = outward_directions(mask, 0.03 * size)
    long = size * rng.uniform(0.02, 0.13)
    comb = rng.normal(0, 1, 2) * pick_one(rng, 0.2, 0.8) + [0, rng.uniform(0, 0.7)]
    ruffle = smooth_noise(rng, size, first=int(rng.integers(3, 12)), octaves=2) * rng.uniform(0.1, 0.7)
    width = rng.uniform(0.8, 2.0)

    def strands(roots: Points, *, long: float, lift: float) -> Paths:
        away = values_at(outward, roots)[:, :2] * lift + comb
        heading = (
            np.arctan2(away[:, 1], away[:, 0]) + values_at(ruffle, roots)[:, 0] + rng.normal(0, tousled, len(roots))
        )
        reach = long * rng.uniform(0.5, 1.25, len(roots))
        return grow_paths(rng, roots, heading, reach, 6, Bend(gravity=droop, curl=curl, wobble=0.12))

    curl = pick_one(rng, 0.0, 0.0, rng.uniform(0.2, 1.2))
    tousled = rng.uniform(0.08, 0.3)
    droop = rng.uniform(0, 0.8)
    body = shaded(rng, mask, colours * 0.75)
    inside = rng.uniform(0, size, (int(rng.integers(3000, 6000)), 2))
    inside = inside[values_at(mask, inside)[:, 0] > 0.5]
    inside = inside[np.argsort(-inside @ comb)]
    canvas = Canvas(size)
    light = values_at(relief(rng, mask), inside)
    inner = strands(inside, long=long * 0.8, lift=0.6)
    wide, tone = width * rng.uniform(0.8, 2.0, len(inner)), varied_tones(rng, values_at(colours, inside), 0.3) * light
    canvas.ribbons(inner, wide, tone, antialiased=False)
    rim = np.concatenate([points_along(outline, rng.uniform(1.5, 3.5)) for outline in outlines])
    rim = rim[values_at(mask, rim - 3 * values_at(outward, rim)[:, :2])[:, 0] > 0.5]
    rim = rng.permutation(np.repeat(rim, 2, axis=0))[:1500]
    rim = rim - values_at(outward, rim)[:, :2] * rng.uniform(0, 0.4 * long + 2, (len(rim), 1))
    outer = strands(rim, long=long, lift=1.6)
    shade = values_at(relief(rng, mask), rim) * 0.6 + 0.4
    wide, tone = width * rng.uniform(0.3, 1.2, len(outer)), varied_tones(rng, values_at(colours, rim), 0.25) * shade
    half = len(outer) // 2
    canvas.ribbons(outer[:half], wide[:half], tone[:half])
    wisps = draw_wisps(size, outer[half:], 0.7 * wide[half:], tone[half:])
    layer = uneven_light(rng, laid_over(laid_over(canvas.layer(), wisps), body), rim=rng.uniform(0, 0.8))
    return laid_over(_eyes(rng, size, outlines[-1]), layer) if rng.random() < 0.5 else layer


def _eyes(rng: np.random.Generator, size: int, head: Points) -> DrawnLayer:
    canvas = Canvas(size)
    centre, radius = head.mean(0), np.ptp(head, axis=0).min() / 2
    r = radius * rng.uniform(0.07, 0.14)
    dark = np.full(3, rng.uniform(0.02, 0.12))
    for x, y in ((-0.35, -0.15), (0.35, -0.15), (0.0, 0.25)):
        at = centre + radius * np.array([x, y])
        canvas.polygons(
            [ellipse_points(at, (r, r)), ellipse_points(at - 0.35 * r, (0.25 * r, 0.25 * r))], [dark, np.ones(3) * 0.9]
        )
    return canvas.layer()


def draw_wisps(
    size: int, paths: Paths, widths: Float[np.ndarray, " n"], colours: Float[np.ndarray, "n 3"]
) -> DrawnLayer:
    """Strands thinner than a pixel, on a layer of their own: the thinner the fainter, and fainter towards the tip."""
    canvas = Canvas(size)
    faint = np.clip(widths / THINNEST, 0, 1)
    root = paths[:, : max(2, (2 * paths.shape[1] + 2) // 3)]
    canvas.ribbons(paths, widths, colours, strength=0.5 * faint)
    canvas.ribbons(root, widths, colours, taper=0.4, strength=faint)
    return canvas.layer()


def hair_colours(rng: np.random.Generator, colours: Colours) -> Colours:
    """Mostly the colours of hair: black, brown, blond, ginger, grey, white; sometimes those given."""
    if rng.random() < 0.3:
        return colours
    hue, saturation, value = HAIR[rng.integers(len(HAIR))]
    base = from_hsv(hue + rng.normal(0, 0.015), saturation * rng.uniform(0.7, 1.2), value * rng.uniform(0.7, 1.2))
    return tinted(colours, base, rng.uniform(0.75, 1))
