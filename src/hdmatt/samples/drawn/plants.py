"""Plants and feathers.

draw_foliage   a bush, a house plant, grass or flowers
draw_leaves    leaves of two halves (also of stalks in a cup)
draw_feather   feathers, or the seed head of a dandelion
"""

import numpy as np
from jaxtyping import Float

from hdmatt.samples.drawn.colours import any_colour, from_hsv, tinted, values_at, varied_tones
from hdmatt.samples.drawn.hair import draw_wisps, hair_colours
from hdmatt.samples.drawn.light import uneven_light
from hdmatt.samples.drawn.shapes import ellipse_points
from hdmatt.samples.drawn.strokes import (
    TAU,
    Bend,
    Canvas,
    Colours,
    DrawnLayer,
    Paths,
    Points,
    grow_paths,
    laid_over,
    pick_one,
)


def draw_foliage(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """A bush, a house plant with narrow leaves, grass, or flowers."""
    kind = rng.choice(["bush", "bush", "plant", "grass", "flower"])
    canvas = Canvas(size)
    green = tinted(colours, from_hsv(rng.uniform(0.17, 0.36), rng.uniform(0.4, 0.85), rng.uniform(0.3, 0.9)), 0.85)
    if rng.random() < 0.2:
        green = tinted(colours, any_colour(rng), 0.5)
    if kind == "grass":
        _grass(rng, canvas, green)
        return uneven_light(rng, canvas.layer(), rim=rng.uniform(0, 0.5))
    foot = size * np.array([rng.uniform(0.35, 0.65), rng.uniform(0.8, 1.05)])
    n = int(rng.integers(2, 6)) if kind == "flower" else int(rng.integers(5, 16))
    lean = rng.uniform(0.15, 0.8)
    roots = foot + rng.normal(0, 0.03 * size, (n, 2))
    length = size * rng.uniform(0.35, 0.8) * rng.uniform(0.6, 1.1, n)
    stems = grow_paths(
        rng, roots, -np.pi / 2 + rng.normal(0, lean, n), length, 14, Bend(gravity=rng.uniform(-0.5, 0.9), wobble=0.12)
    )
    wood = tinted(colours, from_hsv(rng.uniform(0.06, 0.25), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6)), 0.9)
    canvas.ribbons(stems, size / 480 * rng.uniform(2, 6, n), varied_tones(rng, values_at(wood, roots), 0.2), taper=0.6)
    if kind == "bush":
        pick = rng.integers(n, size=n * 6), rng.integers(3, 14, size=n * 6)
        along = stems[pick] - stems[pick[0], pick[1] - 1]
        heading = np.arctan2(along[:, 1], along[:, 0]) + rng.normal(0, 0.8, len(along))
        twigs = grow_paths(rng, stems[pick], heading, size * rng.uniform(0.1, 0.3, len(along)), 14, Bend(wobble=0.25))
        canvas.ribbons(
            twigs, size / 480 * rng.uniform(1, 2.5, len(twigs)), varied_tones(rng, values_at(wood, twigs[:, 0]), 0.2)
        )
        stems = np.concatenate([stems, twigs])
    leaves = int(rng.integers(25, 70)) if kind == "flower" else int(rng.integers(200, 480))
    strand, node = rng.integers(len(stems), size=leaves), rng.integers(2, 14, size=leaves)
    along = stems[strand, node] - stems[strand, node - 1]
    heading = np.arctan2(along[:, 1], along[:, 0]) + rng.choice([-1, 1], leaves) * rng.uniform(0.3, 1.2, leaves)
    long = size * (rng.uniform(0.06, 0.16) if kind == "plant" else rng.uniform(0.03, 0.11))
    slim = rng.uniform(0.06, 0.14) if kind == "plant" else rng.uniform(0.15, 0.4)
    draw_leaves(rng, canvas, stems[strand, node], heading, long * rng.uniform(0.5, 1.3, leaves), slim, green)
    if kind == "flower":
        for tip in stems[:, -1]:
            _blossom(rng, canvas, tip, size * rng.uniform(0.06, 0.2), colours)
    if kind == "plant" and rng.random() < 0.7:
        wide = size * rng.uniform(0.09, 0.18)
        pot = foot + np.array([[-1, -0.2], [1, -0.2], [0.75, 1.6], [-0.75, 1.6]]) * wide
        lip = foot + np.array([[-1.1, -0.35], [1.1, -0.35], [1.08, 0], [-1.08, 0]]) * wide
        clay = from_hsv(rng.uniform(0.02, 0.1), rng.uniform(0.1, 0.7), rng.uniform(0.3, 0.9))
        canvas.polygons([pot, lip], [clay * 0.9, clay])
    return uneven_light(rng, canvas.layer(), rim=rng.uniform(0, 0.5))


def _grass(rng: np.random.Generator, canvas: Canvas, green: Colours) -> None:
    size, n = canvas.size, int(rng.integers(150, 420))
    roots = np.stack([rng.normal(0.5, rng.uniform(0.08, 0.3), n), rng.uniform(0.85, 1.1, n)], 1) * size
    length = size * rng.uniform(0.4, 0.95) * rng.uniform(0.4, 1.1, n)
    heading = -np.pi / 2 + rng.normal(0, rng.uniform(0.1, 0.5), n)
    blades = grow_paths(rng, roots, heading, length, 12, Bend(gravity=rng.uniform(0, 1.6), wobble=0.08))
    tone = varied_tones(rng, values_at(green, blades[:, 4]), 0.4)
    wide = rng.uniform(1.2, 6) * size / 480
    canvas.ribbons(blades, wide * rng.uniform(0.4, 1.3, n), tone)
    canvas.ribbons(blades[n // 2 :], 0.3 * wide * rng.uniform(0.4, 1.3, n - n // 2), tone[n // 2 :] * 1.3)


def draw_leaves(
    rng: np.random.Generator, canvas: Canvas, at: Points, heading: Float[np.ndarray, " n"],
    length: Float[np.ndarray, " n"], slim: float, colours: Colours,
) -> None:  # fmt: skip
    """Leaves of two halves that catch the light differently."""
    t = np.linspace(0, 1, 8)
    half = slim * np.sin(np.pi * t ** rng.uniform(0.6, 1.1)) ** rng.uniform(0.7, 1.2)
    teeth = pick_one(rng, 0.0, 0.0, 0.25) * slim
    half = np.maximum(half - teeth * (np.arange(8) % 2) * (half > 0.3 * slim), 0)
    n = len(at)
    bend = rng.normal(0, 0.15, (n, 1)) * t**2
    flat = rng.uniform(0.15, 1.0, (n, 1))  # leaves seen from the side are narrower
    skew = rng.uniform(0.6, 1.4, (n, 1))
    middle = np.stack([np.tile(t, (n, 1)), bend], -1)
    left = np.stack([np.tile(t, (n, 1)), bend + half * flat * skew], -1)
    right = np.stack([np.tile(t, (n, 1)), bend - half * flat * (2 - skew)], -1)
    cos, sin = np.cos(heading)[:, None], np.sin(heading)[:, None]

    def place(points: Paths) -> Paths:
        x, y = points[..., 0], points[..., 1]
        return at[:, None] + length[:, None, None] * np.stack([x * cos - y * sin, x * sin + y * cos], -1)

    lit = np.where(sin < 0, 1.15, 0.85)
    tone = varied_tones(rng, values_at(colours, at), 0.45)
    one = place(np.concatenate([middle, left[:, ::-1]], 1))
    two = place(np.concatenate([middle, right[:, ::-1]], 1))
    mixed = [polygon for pair in zip(one, two, strict=True) for polygon in pair]
    canvas.polygons(mixed, np.stack([tone * lit, tone * (2 - lit)], 1).reshape(-1, 3))


def _blossom(
    rng: np.random.Generator, canvas: Canvas, at: Float[np.ndarray, "2"], radius: float, colours: Colours
) -> None:
    petal = any_colour(rng) * 0.7 + 0.3 * colours[rng.integers(len(colours)), rng.integers(len(colours))]
    squash = np.array([1, rng.uniform(0.5, 1)])
    for ring in (1.0, 0.8):
        n = int(rng.integers(7, 26))
        angle = np.linspace(0, TAU, n, endpoint=False) + rng.normal(0, 0.1, n)
        field = np.broadcast_to((petal * rng.uniform(0.7, 1.2)).astype(np.float32), (canvas.size, canvas.size, 3))
        start = at + 0.12 * radius * np.stack([np.cos(angle), np.sin(angle)], 1) * squash
        reach = ring * radius * np.hypot(np.cos(angle), np.sin(angle) * squash[1]) * rng.uniform(0.85, 1.1, n)
        draw_leaves(rng, canvas, start, angle, reach, rng.uniform(0.12, 0.35), field)
    core = from_hsv(rng.uniform(0.05, 0.15), rng.uniform(0.4, 0.9), rng.uniform(0.2, 0.9))
    canvas.polygons([ellipse_points(at, 0.28 * radius * squash)], [core])
    dots = at + rng.normal(0, 0.12 * radius, (24, 2)) * squash
    canvas.ribbons(
        np.stack([dots, dots + 0.05 * radius], 1),
        np.full(24, 0.04 * radius + 0.5),
        varied_tones(rng, np.tile(core, (24, 1)), 0.6),
    )


def draw_feather(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """A few feathers, or the seed head of a dandelion."""
    canvas = Canvas(size)
    colours = hair_colours(rng, colours)
    if rng.random() < 0.2:
        return _dandelion(rng, size, colours)
    count = int(rng.integers(1, 4))
    for _ in range(count):
        long = size * rng.uniform(0.55, 0.95) / count**0.2
        angle = rng.uniform(0, TAU)
        direction = np.array([np.cos(angle), np.sin(angle)])
        start = (
            size * rng.uniform(0.4, 0.6, 2) - 0.5 * long * direction + rng.normal(0, 0.1 * size * (count - 1) ** 0.5, 2)
        )
        quill = grow_paths(
            rng,
            start[None],
            np.array([angle]),
            np.array([long]),
            40,
            Bend(wobble=0.02, curl=rng.uniform(0, 0.25), waves=0.5),
        )[0]
        barbs = 900 // count
        t = np.sort(rng.uniform(0.12, 0.99, barbs))
        place = np.stack([np.interp(t * 39, np.arange(40), quill[:, i]) for i in (0, 1)], 1)
        along = np.gradient(quill, axis=0)
        lean = np.interp(t * 39, np.arange(40), np.unwrap(np.arctan2(along[:, 1], along[:, 0])))
        side = rng.choice([-1.0, 1.0], barbs)
        wide = long * rng.uniform(0.12, 0.27)
        gap = np.interp(
            t, np.linspace(0, 1, 14), rng.normal(0, rng.uniform(0, 0.12), 14)
        )  # barbs cling together, with splits between
        down = np.clip(0.45 - t, 0, 1) * rng.uniform(0, 3)
        heading = lean + side * (rng.uniform(0.5, 1.0) - 0.35 * t + gap) + rng.normal(0, 0.02 + 0.3 * down, barbs)
        reach = (
            wide
            * np.sin(np.pi * t**0.7) ** 0.6
            * rng.uniform(0.9, 1.05, barbs)
            * np.where(side > 0, 1, rng.uniform(0.5, 1))
        )
        vane = grow_paths(rng, place, heading, reach + 1, 7, Bend(wobble=0.02, gravity=0.0))
        vane += (rng.normal(0, 1, vane.shape) * down[:, None, None]).cumsum(1) * wide * 0.03
        bars = 0.75 + 0.35 * np.sin(t * rng.uniform(0, 60))[:, None]
        tone = varied_tones(rng, values_at(colours, place), 0.15) * bars
        canvas.ribbons(vane, long / barbs * rng.uniform(1.5, 3.2) * rng.uniform(0.7, 1.2, barbs), tone, taper=0.6)
        canvas.ribbons(quill[None], np.array([rng.uniform(2, 5) * size / 480]), values_at(colours, quill[:1]) * 1.2)
    return uneven_light(rng, canvas.layer(), rim=rng.uniform(0, 0.4))


def _dandelion(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    canvas = Canvas(size)
    centre = size * rng.uniform(0.4, 0.6, 2)
    radius = size * rng.uniform(0.16, 0.3)
    n = int(rng.integers(40, 110))
    angle, depth = rng.uniform(0, TAU, n), np.sqrt(rng.uniform(0.05, 1, n))
    out = np.stack([np.cos(angle), np.sin(angle)], 1)
    stem = grow_paths(
        rng, centre[None], np.array([np.pi / 2 + rng.normal(0, 0.2)]), np.array([size * 1.0]), 12, Bend(wobble=0.05)
    )
    canvas.ribbons(stem, np.array([size * rng.uniform(0.01, 0.03)]), values_at(colours, centre[None]) * 0.7, taper=0.0)
    rays = grow_paths(rng, centre + 0.1 * radius * out, angle, radius * depth, 4, Bend(wobble=0.03))
    tone = varied_tones(rng, values_at(colours, rays[:, -1]) * 0.6 + 0.4, 0.2)
    canvas.ribbons(rays, np.full(n, rng.uniform(0.5, 1.2)), tone, taper=0.0)
    hairs = int(rng.integers(8, 14))
    tips = np.repeat(rays[:, -1], hairs, axis=0)
    heading = np.repeat(angle, hairs) + rng.uniform(-1.5, 1.5, len(tips))
    tuft = grow_paths(
        rng, tips, heading, radius * rng.uniform(0.12, 0.35) * rng.uniform(0.7, 1.1, len(tips)), 4, Bend(wobble=0.1)
    )
    wisps = draw_wisps(size, tuft, np.full(len(tuft), rng.uniform(0.3, 0.9)), np.repeat(tone, hairs, axis=0))
    canvas.polygons(
        [ellipse_points(centre, (0.16 * radius, 0.16 * radius))], [from_hsv(0.1, 0.5, rng.uniform(0.2, 0.6))]
    )
    return uneven_light(rng, laid_over(canvas.layer(), wisps), rim=0.2)
