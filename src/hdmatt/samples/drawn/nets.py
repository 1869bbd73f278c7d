"""Nets, wires and things full of holes.

draw_net          nets, meshes, chain link, lace
draw_holder       a cup, basket or glass full of pens, brushes and stalks
draw_perforated   a solid with holes
draw_wires        wheels, cables, bare twigs, letters
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float

from hdmatt.samples.drawn.colours import any_colour, smooth_noise, tinted, values_at, varied_tones
from hdmatt.samples.drawn.light import relief, shaded, uneven_light
from hdmatt.samples.drawn.plants import draw_leaves
from hdmatt.samples.drawn.shapes import blob_outline, ellipse_points, random_outline, warped_points
from hdmatt.samples.drawn.solids import creature_outlines
from hdmatt.samples.drawn.strokes import (
    SCALE,
    TAU,
    Bend,
    Canvas,
    Colours,
    DrawnLayer,
    Paths,
    associated,
    filled,
    grow_paths,
    in_every_channel,
    laid_over,
    pick_one,
)


def draw_net(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """A net, a mesh, chain link or lace: threads at an even pitch over a warped surface; some have a far side."""
    pitch = size * rng.uniform(0.02, 0.12)
    tint = any_colour(rng) if rng.random() < 0.7 else np.full(3, rng.uniform(0.05, 0.95))
    flat = tinted(colours, tint, rng.uniform(0.3, 0.95))
    shiny = rng.random() < 0.5
    layer = _mesh(rng, size, flat, pitch, shiny=shiny)
    if rng.random() < 0.35:  # the far side of a basket, a cage, a folded net
        far = flat * np.float32(rng.uniform(0.4, 1.1))
        layer = laid_over(layer, _mesh(rng, size, far, pitch * rng.uniform(0.6, 1.0), shiny=shiny))
    outline = random_outline(rng, size, cloth=rng.random() < 0.6)
    layer = layer * in_every_channel(filled(size, [outline]), 4)
    canvas = Canvas(size)
    hem = rng.uniform(1.0, 14.0) * size / 480 * (rng.random() < 0.7)
    if hem:
        ring = np.concatenate([outline, outline[:2]])
        for part, shade in ((1.0, 0.7), (0.6, 1.0), (0.2, 1.3)):
            canvas.ribbons(ring[None], np.array([hem * part]), (tint * shade)[None], taper=0.0)
        layer = laid_over(canvas.layer(), layer)
    if rng.random() < 0.5:
        inner = filled(size, [blob_outline(rng, size * rng.uniform(0.3, 0.7, 2), size * rng.uniform(0.08, 0.25), 0.2)])
        thing = shaded(rng, inner, np.roll(colours, size // 3, axis=1))
        layer = laid_over(layer, thing)
    return uneven_light(rng, layer, rim=0.0)


def _mesh(rng: np.random.Generator, size: int, colours: Colours, pitch: float, *, shiny: bool) -> DrawnLayer:
    """Round threads `pitch` pixels apart over the whole canvas; shiny ones mirror what is bright and dark around."""
    u, v = warped_points(rng, size, pitch)
    slope = pitch * np.hypot(*np.gradient(u)).clip(1e-3)  # lattice units per pixel, times the pitch: about 1
    wire = rng.uniform(0.04, 0.22)
    kind = rng.choice(["square", "square", "diamond", "hexagon", "lace", "cloth"])
    off_u, off_v = np.abs(u - np.round(u)), np.abs(v - np.round(v))
    along_u = off_v < off_u  # which thread is nearer
    if kind in ("square", "diamond"):
        distance = np.minimum(off_u, off_v)
        wire *= 1 + 0.6 * (np.hypot(off_u, off_v) < 2.2 * wire) * (rng.random() < 0.5)  # knots
    elif kind == "hexagon":
        distance = _hexagon_distance(u, v)
    elif kind == "lace":
        ring = np.abs(np.hypot(off_u, off_v) - rng.uniform(0.25, 0.5))
        petals = np.abs(np.sin(rng.integers(2, 5) * np.arctan2(v - np.round(v), u - np.round(u)))) * np.hypot(
            off_u, off_v
        )
        distance = np.minimum(np.minimum(ring, np.minimum(off_u, off_v) * 1.4), petals * 0.8 + 0.05)
    else:
        off_u, off_v = np.abs(4 * u - np.round(4 * u)) / 4, np.abs(4 * v - np.round(4 * v)) / 4
        distance = np.minimum(off_u, off_v)
        wire = wire * 0.5
    width_px = wire * pitch / slope
    distance_px = distance * pitch / slope
    alpha = np.clip(np.minimum(width_px / 2 + 0.5 - distance_px, width_px), 0, 1).astype(np.float32)
    round_light = np.sqrt(np.clip(1 - (2 * distance_px / np.maximum(width_px, 1)) ** 2, 0.1, 1)).astype(np.float32)
    weave = 1 + 0.25 * np.sin(np.pi * (u + v)).astype(np.float32)
    rgb = colours * in_every_channel(round_light * weave, 3)
    if shiny:
        dark = rng.uniform(0.15, 0.8)
        mirrored = [
            dark + (1.2 - dark) * smooth_noise(rng, size, first=int(rng.integers(2, 9)), octaves=2) for _ in "uv"
        ]
        rgb = rgb * in_every_channel(np.where(along_u, *mirrored).clip(0.05, 1.4), 3)
        spots = smooth_noise(rng, size, first=int(rng.integers(4, 16)), octaves=2).clip(0, 1)
        rgb = rgb + in_every_channel(rng.uniform(0, 1.5) * spots * round_light ** int(rng.integers(2, 9)), 3)
    return associated(rgb, alpha)


def draw_holder(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """A cup, basket or glass full of thin things of many colours, few of which the cup has."""
    left, right = np.sort(size * (rng.uniform(0.3, 0.7) + rng.uniform(0.1, 0.3) * np.array([-1, 1])))
    top, bottom = size * rng.uniform(0.4, 0.65), size * rng.uniform(0.85, 1.1)
    taper = rng.uniform(-0.12, 0.2) * (right - left)
    cup = np.array([[left, top], [right, top], [right - taper, bottom], [left + taper, bottom]])
    canvas = Canvas(size)
    n = int(rng.integers(3, 15))
    inset = max(taper, 0)
    foot = np.stack([rng.uniform(left + inset, right - inset, n), bottom - rng.uniform(0, 0.1, n) * size], 1)
    aside = (foot[:, 0] - (left + right) / 2) / (right - left)
    lean = np.clip(aside * rng.uniform(0, 1.2) + rng.normal(0, 0.12, n), -0.8, 0.8)
    long = (bottom - top) / np.cos(lean) + size * rng.uniform(0.02, 0.45, n)
    ends = foot + long[:, None] * np.stack([np.sin(lean), -np.cos(lean)], 1)
    palette = [any_colour(rng) for _ in range(2 * n)]
    for start, end, wide in zip(foot, ends, size * rng.uniform(0.006, 0.045, n), strict=True):
        _stick(rng, canvas, start, end, wide, palette)
    things, chance = canvas.layer(), rng.random()
    mask = filled(size, [cup])
    tint = any_colour(rng) if rng.random() < 0.4 else np.full(3, rng.uniform(0.05, 0.95))
    flat = tinted(colours, tint, rng.uniform(0.6, 0.95))
    rim = size * rng.uniform(0.005, 0.035)
    hoops = Canvas(size)
    for height in (top, bottom)[: int(rng.integers(1, 3))]:
        share = (height - top) / (bottom - top)
        hoop = np.array([[[left + taper * share, height], [right - taper * share, height]]])
        for part, shade in ((1.0, 0.6), (0.7, 1.0), (0.25, 1.35)):
            hoops.ribbons(hoop, np.array([rim * part]), (tint * shade)[None], taper=0.0)
    if chance < 0.15:
        front, back = shaded(rng, mask, flat), np.zeros_like(things)
    elif chance < 0.3:
        front = associated(flat, mask * np.float32(rng.uniform(0.08, 0.45)))
        back = front * np.float32(rng.uniform(0.3, 1))
    else:
        pitch, shiny = size * rng.uniform(0.008, 0.05), rng.random() < 0.6
        front = _mesh(rng, size, flat, pitch, shiny=shiny) * in_every_channel(mask, 4)
        dark = flat * np.float32(rng.uniform(0.4, 1))
        back = _mesh(rng, size, dark, pitch * rng.uniform(0.7, 1), shiny=shiny) * in_every_channel(mask, 4)
    return uneven_light(rng, laid_over(hoops.layer(), laid_over(front, laid_over(things, back))), rim=0.0)


def _stick(
    rng: np.random.Generator, canvas: Canvas, start: Float[np.ndarray, "2"], end: Float[np.ndarray, "2"],
    wide: float, palette: Sequence[np.ndarray],
) -> None:  # fmt: skip
    """A pen, brush, ring or stalk: a shaft in lengths of several colours; a cap, tuft, ring or leaves at its end."""
    kind = rng.choice(["pen", "pen", "pen", "brush", "ring", "stalk"])
    along = (end - start) / np.linalg.norm(end - start)
    cuts = np.sort(np.concatenate([[0, 1], rng.uniform(0.3, 1, int(rng.integers(0, 4)))]))
    stripes = pick_one(rng, 0, 0, 1, 2)
    for low, high in pairwise(cuts):
        tone = palette[int(rng.integers(len(palette)))]
        piece = start + (end - start) * np.array([[low], [high]])
        _tubes(canvas, piece[None], wide, tone)
        across = np.array([-along[1], along[0]]) * wide
        for stripe in range(int(stripes)):
            other = palette[int(rng.integers(len(palette)))]
            shift = across * (stripe + 1 - (stripes + 1) / 2) / (stripes + 1)
            canvas.ribbons((piece + shift)[None], np.array([0.22 * wide]), other[None], taper=0.0)
    tone = palette[int(rng.integers(len(palette)))]
    if kind == "pen":
        tip = end + along * wide * rng.uniform(0.5, 3)
        canvas.ribbons(np.stack([end, tip])[None], np.array([wide]), tone[None], taper=rng.uniform(0, 0.9))
    elif kind == "brush":
        many = int(rng.integers(20, 60))
        heading = math.atan2(along[1], along[0]) + rng.normal(0, 0.25, many)
        roots = end + rng.normal(0, 0.3 * wide, (many, 2))
        hairs = grow_paths(
            rng, roots, heading, wide * rng.uniform(1, 5) * rng.uniform(0.6, 1.1, many), 6, Bend(wobble=0.1)
        )
        canvas.ribbons(hairs, np.full(many, rng.uniform(0.7, 1.6)), varied_tones(rng, np.tile(tone, (many, 1)), 0.3))
    elif kind == "ring":
        ring = ellipse_points(end, wide * rng.uniform(0.8, 2.2, 2))
        _tubes(canvas, np.concatenate([ring, ring[:2]])[None], 0.6 * wide, tone)
    else:
        many = int(rng.integers(2, 12))
        place = start + (end - start) * rng.uniform(0.6, 1, (many, 1))
        field = np.broadcast_to(tone.astype(np.float32), (canvas.size, canvas.size, 3))
        draw_leaves(rng, canvas, place, rng.uniform(0, TAU, many), wide * rng.uniform(1, 6, many), 0.25, field)


def draw_perforated(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """A solid with holes: colander, cheese, eaten leaf, punched sheet."""
    mask = filled(size, creature_outlines(rng, size) if rng.random() < 0.4 else [random_outline(rng, size)])
    if rng.random() < 0.6:
        pitch = size * rng.uniform(0.025, 0.12)
        u, v = warped_points(rng, size, pitch)
        if rng.random() < 0.5:
            u = u + 0.5 * (np.round(v) % 2)
        radius = rng.uniform(0.2, 0.46)
        power = pick_one(rng, 2.0, 2.0, 6.0)
        off = (np.abs(u - np.round(u)) ** power + np.abs(v - np.round(v)) ** power) ** (1 / power)
        solid = np.clip((off - radius) * pitch + 0.5, 0, 1).astype(np.float32)
    else:
        n = int(rng.integers(8, 70))
        radius = size * rng.uniform(0.01, 0.07) * rng.uniform(0.3, 1.3, n)
        holes = [blob_outline(rng, rng.uniform(0, size, 2), r, rng.uniform(0, 0.3)) for r in radius]
        solid = 1 - np.clip(sum(filled(size, [hole]) for hole in holes[:20]) + filled(size, holes[20:]), 0, 1)
        solid = solid.astype(np.float32)
    depth = cv2.GaussianBlur(solid, (0, 0), size * rng.uniform(0.003, 0.01))
    return uneven_light(
        rng, associated(colours * in_every_channel((0.55 + 0.45 * depth) * relief(rng, mask), 3), mask * solid), rim=0.0
    )


def draw_wires(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """Bicycle wheels, cables, bare twigs, letters."""
    canvas = Canvas(size)
    kind = rng.choice(["wheel", "cables", "twigs", "letters"])
    metal = np.full(3, rng.uniform(0.1, 0.9)) if rng.random() < 0.6 else any_colour(rng)
    if kind == "wheel":
        for _ in range(int(rng.integers(1, 3))):
            _wheel(rng, canvas, metal)
        tubes = size * rng.uniform(0, 1, (int(rng.integers(1, 5)), 2, 2))
        _tubes(canvas, tubes, size * rng.uniform(0.006, 0.025), any_colour(rng))
    elif kind == "cables":
        _cables(rng, canvas, metal)
    elif kind == "twigs":
        _twigs(rng, canvas, colours)
    else:
        _letters(rng, canvas, colours)
    return uneven_light(rng, canvas.layer(), rim=0.0)


def _cables(rng: np.random.Generator, canvas: Canvas, metal: Float[np.ndarray, "3"]) -> None:
    size, n = canvas.size, int(rng.integers(4, 30))
    x = np.linspace(-0.05, 1.05, 20)
    start, end, sag = rng.uniform(0, 0.9, (n, 1)), rng.uniform(0, 0.9, (n, 1)), rng.uniform(0, 0.3, (n, 1))
    curves = np.stack([np.tile(x, (n, 1)), start + (end - start) * x + sag * 4 * x * (1 - x) * rng.random()], -1)
    if rng.random() < 0.3:
        curves = curves[..., ::-1]
    wide = rng.uniform(0.5, 4, n) * size / 480
    canvas.ribbons(curves * size, wide, varied_tones(rng, np.tile(metal, (n, 1)), 0.5), taper=0.0)
    mast = size * np.stack([np.stack([rng.uniform(0.1, 0.9, 2)] * 2, 1), np.tile([-0.1, 1.1], (2, 1))], -1)
    _tubes(canvas, mast, size * rng.uniform(0.02, 0.07), any_colour(rng))


def _twigs(rng: np.random.Generator, canvas: Canvas, colours: Colours) -> None:
    size, n = canvas.size, int(rng.integers(2, 5))
    roots = np.stack([rng.uniform(0.3, 0.7, n), np.full(n, 1.02)], 1) * size
    heading = -np.pi / 2 + rng.normal(0, 0.3, n)
    limbs = grow_paths(rng, roots, heading, size * rng.uniform(0.5, 0.9, n), 16, Bend(wobble=0.15))
    thick = size * rng.uniform(0.012, 0.035)
    for _ in range(4):
        wide = thick * rng.uniform(0.7, 1.2, len(limbs))
        canvas.ribbons(limbs, wide, varied_tones(rng, values_at(colours, limbs[:, 0]) * 0.5, 0.3), taper=0.75)
        many = min(6 * len(limbs), 160)
        pick = rng.integers(len(limbs), size=many), rng.integers(3, 15, many)
        along = limbs[pick] - limbs[pick[0], pick[1] - 1]
        reach = np.hypot(*along.T) * 15 * rng.uniform(0.3, 0.7, len(along))
        aside = rng.choice([-1, 1], len(along)) * rng.uniform(0.3, 0.9, len(along))
        heading = np.arctan2(along[:, 1], along[:, 0]) + aside
        limbs = grow_paths(rng, limbs[pick], heading, reach, 16, Bend(wobble=0.2))
        thick = max(0.45 * thick, 0.7)


def _wheel(rng: np.random.Generator, canvas: Canvas, metal: Float[np.ndarray, "3"]) -> None:
    size = canvas.size
    centre, radius = size * rng.uniform(0.3, 0.7, 2), size * rng.uniform(0.22, 0.45)
    axes = radius * np.array([rng.uniform(0.4, 1), 1])
    n = int(rng.integers(14, 44))
    turn = rng.uniform(0, TAU) + np.linspace(0, TAU, n, endpoint=False)
    cross = turn + np.where(np.arange(n) % 2, 1, -1) * pick_one(rng, 0.0, 1.2)
    spokes = np.stack(
        [np.stack([np.cos(cross), np.sin(cross)], 1) * 0.07, np.stack([np.cos(turn), np.sin(turn)], 1)], 1
    )
    canvas.ribbons(
        centre + axes * spokes,
        np.full(n, rng.uniform(0.5, 2.0)),
        varied_tones(rng, np.tile(metal, (n, 1)), 0.4),
        taper=0.0,
    )
    ring = np.linspace(0, TAU, 64)
    rim = centre + axes * np.stack([np.cos(ring), np.sin(ring)], 1)
    tyre = rng.uniform(0.02, 0.09) * radius
    dark = np.full((1, 3), rng.uniform(0.02, 0.15))
    canvas.ribbons(rim[None], np.array([3 * tyre]), dark, taper=0.0)
    canvas.ribbons(rim[None] - 0.3 * tyre, np.array([0.6 * tyre]), dark + 0.2, taper=0.0)
    canvas.ribbons(centre + (rim - centre)[None] * (1 - 2 * tyre / radius), np.array([tyre]), metal[None], taper=0.0)
    canvas.polygons([ellipse_points(centre, 0.09 * axes)], [metal * 0.6])


def _tubes(canvas: Canvas, ends: Paths, width: float, colour: Float[np.ndarray, "3"]) -> None:
    for part, shade in ((1.0, 0.45), (0.75, 0.75), (0.45, 1.0), (0.15, 1.4)):
        canvas.ribbons(ends, np.full(len(ends), width * part), np.tile(colour * shade, (len(ends), 1)), taper=0.0)


def _letters(rng: np.random.Generator, canvas: Canvas, colours: Colours) -> None:
    size = canvas.size
    fonts = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)
    alphabet = np.array(list("ABCDEFGHKLMNORSTUWXYZabcdefghkmnorstuvwxyz0123456789&#%?*"))
    for _ in range(int(rng.integers(2, 8))):
        text = "".join(rng.choice(alphabet, int(rng.integers(2, 9))))
        font, scale = fonts[rng.integers(3)], float(size * rng.uniform(0.003, 0.012))
        weight = int(rng.integers(1, max(2, int(4 * scale))))
        at = (int(rng.uniform(-0.1, 0.6) * size * SCALE), int(rng.uniform(0.2, 1) * size * SCALE))
        tone = (
            np.append(varied_tones(rng, values_at(colours, rng.uniform(0, size, (1, 2))), 0.4)[0], 1).clip(0, 1) * 255
        )
        cv2.putText(canvas.pixels, text, at, font, scale, tone.tolist(), weight, cv2.LINE_AA)


def _hexagon_distance(
    u: Float[np.ndarray, "size size"], v: Float[np.ndarray, "size size"]
) -> Float[np.ndarray, "size size"]:
    """Distance to the nearest wall of a honeycomb of cells 1 wide."""
    root = math.sqrt(3)

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = np.abs(x - np.round(x)), np.abs(y - np.round(y / root) * root)
        return 0.5 - np.maximum(x, 0.5 * x + 0.5 * root * y)

    return np.abs(np.maximum(inside(u, v), inside(u + 0.5, v + root / 2)))
