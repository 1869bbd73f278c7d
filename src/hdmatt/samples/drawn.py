"""Draw a foreground with exact soft alpha from random numbers, in a few hundredths of a second.

Training wants more hair, fur and nets than anybody has rendered. These are no portraits: what a matting network
learns from them is how thin, soft and see-through things cover a background. NumPy and OpenCV only, no files. Points
are (x, y) in pixels, pixel centres at whole numbers. Families paint associated ("premultiplied") colours, so that one
thing over another and a lens blur are exact; the result is straight. Read top to bottom:

    FAMILIES                the families and how often each is drawn
    procedural_foreground   one foreground of a random family
    random_family           the name of one
    draw_family             one foreground of a named family
    _hair ... _drops        the families
    _Canvas                 antialiased shapes on a canvas of twice the size
    _grow, _bundle, ...     strands, outlines, noise
    _light, _lens           what light and the lens do to all of them
    _straighten             straight colours, continued where alpha is 0

A picture of 480 x 480 takes 60 ms in the mean (smoke 37, fur 82) on one Xeon core beside a training; most of it is
shading and blur, not drawing.
"""

import colorsys
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from hdmatt.errors import InputError

Points = Float[np.ndarray, "_ 2"]
Paths = Float[np.ndarray, "_ _ 2"]
Tones = Float[np.ndarray, "_ 3"]
Colours = Float32[np.ndarray, "size size 3"]
Layer = Float32[np.ndarray, "size size 4"]

SCALE = 2  # supersampling; on top of OpenCV's own antialiasing (8 bits, sub-pixel) 3 and 4 looked the same
SEE_THROUGH = frozenset({"veil", "smoke", "glass"})  # may have no pixel of alpha > 0.9
THINNEST = 0.89  # pixels: ribbons come out no thinner (measured); `_wisps` are fainter instead
TAU = 2 * np.pi
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


def procedural_foreground(
    rng: np.random.Generator, size: int, texture: UInt8[np.ndarray, "h w 3"] | None
) -> UInt8[np.ndarray, "{size} {size} 4"]:
    """One foreground of a random family, straight RGBA.

    Between 5 % and 85 % of the pixels are covered (alpha > 0.1), some have alpha 0, some a soft alpha, and some alpha
    above 0.9 unless the family is see-through. The same generator state gives the same bytes.

    Args:
        rng: Decides everything.
        size: Side of the picture in pixels, at least 64. Widths of strands are in pixels, the rest scales with it.
        texture: A photograph in display-encoded RGB to take colours from, of any size; without it they are made up.

    Returns:
        Display-encoded RGB and alpha. Colours go on smoothly where alpha is 0.
    """
    return draw_family(random_family(rng), rng, size, texture)


def random_family(rng: np.random.Generator) -> str:
    """A name of FAMILIES, each as often as its share there says."""
    shares = np.array([share for _, share in FAMILIES.values()])
    return str(rng.choice(list(FAMILIES), p=shares / shares.sum()))


def draw_family(
    name: str, rng: np.random.Generator, size: int, texture: UInt8[np.ndarray, "h w 3"] | None
) -> UInt8[np.ndarray, "{size} {size} 4"]:
    """`procedural_foreground` for one family of FAMILIES."""
    if size < 64:
        raise InputError(
            f"a foreground of {size} x {size} pixels; we need 64 x 64 or more", hint="Draw it larger, then shrink it."
        )
    draw, _ = FAMILIES[name]
    for _ in range(20):
        layer = draw(rng, size, _colour_field(rng, size, texture))
        layer = _lens(rng, layer)
        if _acceptable(layer[..., 3], see_through=name in SEE_THROUGH):
            return _straighten(layer)
    return _straighten(_lens(rng, _plain_blob(rng, size, _colour_field(rng, size, texture))))


def _acceptable(alpha: Float32[np.ndarray, "size size"], *, see_through: bool) -> bool:
    alpha = cv2.resize(alpha, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_NEAREST)
    covered = (alpha > 0.1).mean()
    soft = ((alpha > 0.02) & (alpha < 0.98)).mean()
    empty = (alpha < 0.5 / 255).mean()
    solid = (alpha > 0.9).mean()
    return bool(0.05 <= covered <= 0.85 and soft > 0.002 and empty > 0.05 and (see_through or solid > 0.01))


# ------------------------------------------------------------------------------------------------- families


def _hair(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """A head of hair, a lock hanging in, or a fringe of yarn."""
    kind = rng.choice(["head", "head", "head", "lock", "fringe", "fringe"])
    if kind == "fringe":
        return _yarn_fringe(rng, size, colours)
    canvas = _Canvas(size)
    colours = _hair_colours(rng, colours)
    steps = 16
    curl = _pick(rng, 0.0, rng.uniform(0.1, 0.5), rng.uniform(0.6, 1.5))
    if kind == "head":
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
            roots = centre + radius * _inside_disc(rng, n)
    else:
        behind = False
        n = int(rng.integers(6, 18))
        start = size * np.array([rng.uniform(0.2, 0.8), rng.uniform(-0.08, 0.05)])
        roots = start + rng.normal(0, rng.uniform(0.03, 0.1) * size, (n, 2))
        heading = np.pi / 2 + rng.normal(0, 0.35) + rng.normal(0, 0.12, n)
        length = size * rng.uniform(0.5, 1.1) * rng.uniform(0.7, 1.1, n)
        gravity = rng.uniform(0, 1.0)
        spread = size * rng.uniform(0.015, 0.04)
        centre, radius = start, np.array([1.0, 1.0])
    waves = rng.uniform(0.6, 5) * size / 480
    guides = _grow(rng, roots, heading, length, steps, gravity=gravity, curl=curl, waves=waves, wobble=0.12)
    wind = rng.normal(0, 0.12) * size * (rng.random() < 0.4)
    guides[..., 0] += wind * np.linspace(0, 1, steps) ** 2
    clump = rng.uniform(0.1, 0.9)
    width = rng.uniform(0.7, 1.8)

    back = _bundle(rng, guides, 3 * n, spread=0.6 * spread, clump=clump, wobble=0.2, reach=(0.5, 0.9))
    canvas.ribbons(back, rng.uniform(0.6, 1.4, len(back)) * 1.1 * spread, _at(colours, back[:, 0]) * 0.6)
    if behind:
        canvas.polygons([_ellipse(centre, 0.97 * radius)], _at(colours, centre[None]) * 0.5)
    elif kind == "head":
        _bust(rng, canvas, centre, radius, colours)
    many = int(rng.integers(500, 900))
    hair = _bundle(rng, guides, many, spread=spread, clump=clump, wobble=rng.uniform(0.1, 0.6), reach=(0.75, 1.05))
    canvas.ribbons(hair, width * rng.uniform(0.6, 1.5, many), _vary(rng, _at(colours, hair[:, 2]), 0.3))
    few = int(rng.integers(40, 260))
    stray = _bundle(rng, guides, few, spread=spread * rng.uniform(1.2, 2.6), clump=0.0, wobble=1.6, reach=(0.5, 1.2))
    thin = rng.uniform(0.2, 1.0) * rng.uniform(0.6, 1.5, few)
    wisps = _wisps(size, stray, thin, _vary(rng, _at(colours, stray[:, 3]), 0.3))
    layer = canvas.layer()
    layer = _over(wisps, layer) if rng.random() < 0.5 else _over(layer, wisps)
    return _light(rng, layer, rim=rng.uniform(0, 0.9))


def _bust(
    rng: np.random.Generator,
    canvas: "_Canvas",
    centre: Float[np.ndarray, "2"],
    radius: Float[np.ndarray, "2"],
    colours: Colours,
) -> None:
    """A plain face, neck and shoulders."""
    skin = _hsv(rng.uniform(0.03, 0.09), rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.95))
    clothes = colours[rng.integers(len(colours)), rng.integers(len(colours))] * rng.uniform(0.4, 1.2)
    x, y = centre
    wide, high = radius
    bottom, reach = canvas.size * 1.05, wide * rng.uniform(1.7, 2.6)
    neck = np.array([[-0.5, 0.5], [0.5, 0.5], [0.55, 1.6], [-0.55, 1.6]]) * radius + centre
    rise = y + 1.35 * high
    right = np.array([[0.5 * wide, rise], [reach, rise + 0.5 * wide], [1.1 * reach, bottom]])
    shoulders = np.concatenate([right, (right * [-1, 1])[::-1]]) + [x, 0]
    canvas.polygons([neck], [skin * 0.8])
    canvas.polygons([_rounded(shoulders)], [clothes])
    canvas.polygons([_ellipse(centre + [0, 0.1 * high], radius * [0.86, 0.95])], [skin])


def _yarn_fringe(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """Thick twisted threads hanging from above, some tangled."""
    canvas = _Canvas(size)
    n = int(rng.integers(14, 60))
    width = rng.uniform(3, 11) * size / 480
    left, right = np.sort(rng.uniform(0, size, 2)) + [-0.1 * size, 0.1 * size]
    roots = np.stack([rng.uniform(left, right, n), rng.uniform(-0.05, 0.12) * size + rng.normal(0, 4, n)], 1)
    length = size * rng.uniform(0.4, 1.0) * rng.uniform(0.7, 1.1, n)
    heading = np.pi / 2 + rng.normal(0, rng.uniform(0.02, 0.3), n)
    paths = _grow(rng, roots, heading, length, 24, gravity=rng.uniform(0, 2), curl=rng.uniform(0, 0.5),
                  waves=rng.uniform(1, 5), wobble=0.1)  # fmt: skip
    palette = np.stack([_any_colour(rng) for _ in range(int(rng.integers(1, 7)))])
    tone = palette[rng.integers(len(palette), size=n)] if rng.random() < 0.7 else _at(colours, roots)
    fuzz = int(rng.integers(0, 14))
    for path, colour in zip(paths, _vary(rng, tone, 0.15), strict=True):
        for part, shade in ((1.0, 0.55), (0.7, 0.85), (0.3, 1.15)):
            canvas.ribbons(path[None], np.array([width * part]), (colour * shade)[None], taper=0.1)
        twist = path[:-1] + np.diff(path, axis=0) * rng.random()
        across = np.stack([twist - width * 0.42, twist + width * 0.42], 1)
        canvas.ribbons(across, np.full(len(across), 0.6), np.tile(colour * 0.5, (len(across), 1)), taper=0.0)
        if fuzz:
            start = path[rng.integers(len(path), size=fuzz)]
            hairs = _grow(rng, start, rng.uniform(0, TAU, fuzz), width * rng.uniform(0.6, 1.8, fuzz), 5, wobble=0.6)
            canvas.ribbons(hairs, np.full(fuzz, 0.4), np.tile(colour, (fuzz, 1)))
    if rng.random() < 0.6:
        top = roots[:, 1].max() + width
        band = np.array([[left - width, -9], [right + width, -9], [right + width, top], [left - width, top]])
        canvas.polygons([band], [_any_colour(rng)])
    return _light(rng, canvas.layer(), rim=rng.uniform(0, 0.4))


def _fur(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """An animal or a plush toy: strands all over a body, thin ones over its outline."""
    colours = _hair_colours(rng, colours)
    outlines = _creature(rng, size)
    mask = _fill(size, outlines)
    outward = _outward(mask, 0.03 * size)
    long = size * rng.uniform(0.02, 0.13)
    comb = rng.normal(0, 1, 2) * _pick(rng, 0.2, 0.8) + [0, rng.uniform(0, 0.7)]
    ruffle = _noise(rng, size, first=int(rng.integers(3, 12)), octaves=2) * rng.uniform(0.1, 0.7)
    width = rng.uniform(0.8, 2.0)

    def strands(roots: Points, *, long: float, lift: float) -> Paths:
        away = _at(outward, roots)[:, :2] * lift + comb
        heading = np.arctan2(away[:, 1], away[:, 0]) + _at(ruffle, roots)[:, 0] + rng.normal(0, tousled, len(roots))
        reach = long * rng.uniform(0.5, 1.25, len(roots))
        return _grow(rng, roots, heading, reach, 6, gravity=droop, curl=curl, wobble=0.12)

    curl = _pick(rng, 0.0, 0.0, rng.uniform(0.2, 1.2))
    tousled = rng.uniform(0.08, 0.3)
    droop = rng.uniform(0, 0.8)
    body = _shaded(rng, mask, colours * 0.75)
    inside = rng.uniform(0, size, (int(rng.integers(3000, 6000)), 2))
    inside = inside[_at(mask, inside)[:, 0] > 0.5]
    inside = inside[np.argsort(-inside @ comb)]
    canvas = _Canvas(size)
    light = _at(_relief(rng, mask), inside)
    inner = strands(inside, long=long * 0.8, lift=0.6)
    canvas.ribbons(inner, width * rng.uniform(0.8, 2.0, len(inner)), _vary(rng, _at(colours, inside), 0.3) * light,
                   antialiased=False)  # fmt: skip
    rim = np.concatenate([_along(outline, rng.uniform(1.5, 3.5)) for outline in outlines])
    rim = rim[_at(mask, rim - 3 * _at(outward, rim)[:, :2])[:, 0] > 0.5]
    rim = rng.permutation(np.repeat(rim, 2, axis=0))[:1500]
    rim = rim - _at(outward, rim)[:, :2] * rng.uniform(0, 0.4 * long + 2, (len(rim), 1))
    outer = strands(rim, long=long, lift=1.6)
    shade = _at(_relief(rng, mask), rim) * 0.6 + 0.4
    wide, tone = width * rng.uniform(0.3, 1.2, len(outer)), _vary(rng, _at(colours, rim), 0.25) * shade
    half = len(outer) // 2
    canvas.ribbons(outer[:half], wide[:half], tone[:half])
    wisps = _wisps(size, outer[half:], 0.7 * wide[half:], tone[half:])
    layer = _light(rng, _over(_over(canvas.layer(), wisps), body), rim=rng.uniform(0, 0.8))
    return _over(_eyes(rng, size, outlines[-1]), layer) if rng.random() < 0.5 else layer


def _eyes(rng: np.random.Generator, size: int, head: Points) -> Layer:
    canvas = _Canvas(size)
    centre, radius = head.mean(0), np.ptp(head, axis=0).min() / 2
    r = radius * rng.uniform(0.07, 0.14)
    dark = np.full(3, rng.uniform(0.02, 0.12))
    for x, y in ((-0.35, -0.15), (0.35, -0.15), (0.0, 0.25)):
        at = centre + radius * np.array([x, y])
        canvas.polygons([_ellipse(at, (r, r)), _ellipse(at - 0.35 * r, (0.25 * r, 0.25 * r))], [dark, np.ones(3) * 0.9])
    return canvas.layer()


def _foliage(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """A bush, a house plant with narrow leaves, grass, or flowers."""
    kind = rng.choice(["bush", "bush", "plant", "grass", "flower"])
    canvas = _Canvas(size)
    green = _tinted(colours, _hsv(rng.uniform(0.17, 0.36), rng.uniform(0.4, 0.85), rng.uniform(0.3, 0.9)), 0.85)
    if rng.random() < 0.2:
        green = _tinted(colours, _any_colour(rng), 0.5)
    if kind == "grass":
        n = int(rng.integers(150, 420))
        roots = np.stack([rng.normal(0.5, rng.uniform(0.08, 0.3), n), rng.uniform(0.85, 1.1, n)], 1) * size
        length = size * rng.uniform(0.4, 0.95) * rng.uniform(0.4, 1.1, n)
        heading = -np.pi / 2 + rng.normal(0, rng.uniform(0.1, 0.5), n)
        blades = _grow(rng, roots, heading, length, 12, gravity=rng.uniform(0, 1.6), wobble=0.08)
        tone = _vary(rng, _at(green, blades[:, 4]), 0.4)
        wide = rng.uniform(1.2, 6) * size / 480
        canvas.ribbons(blades, wide * rng.uniform(0.4, 1.3, n), tone)
        canvas.ribbons(blades[n // 2 :], 0.3 * wide * rng.uniform(0.4, 1.3, n - n // 2), tone[n // 2 :] * 1.3)
        return _light(rng, canvas.layer(), rim=rng.uniform(0, 0.5))
    foot = size * np.array([rng.uniform(0.35, 0.65), rng.uniform(0.8, 1.05)])
    n = int(rng.integers(2, 6)) if kind == "flower" else int(rng.integers(5, 16))
    lean = rng.uniform(0.15, 0.8)
    roots = foot + rng.normal(0, 0.03 * size, (n, 2))
    length = size * rng.uniform(0.35, 0.8) * rng.uniform(0.6, 1.1, n)
    stems = _grow(
        rng, roots, -np.pi / 2 + rng.normal(0, lean, n), length, 14, gravity=rng.uniform(-0.5, 0.9), wobble=0.12
    )
    wood = _tinted(colours, _hsv(rng.uniform(0.06, 0.25), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6)), 0.9)
    canvas.ribbons(stems, size / 480 * rng.uniform(2, 6, n), _vary(rng, _at(wood, roots), 0.2), taper=0.6)
    if kind == "bush":
        pick = rng.integers(n, size=n * 6), rng.integers(3, 14, size=n * 6)
        along = stems[pick] - stems[pick[0], pick[1] - 1]
        heading = np.arctan2(along[:, 1], along[:, 0]) + rng.normal(0, 0.8, len(along))
        twigs = _grow(rng, stems[pick], heading, size * rng.uniform(0.1, 0.3, len(along)), 14, wobble=0.25)
        canvas.ribbons(twigs, size / 480 * rng.uniform(1, 2.5, len(twigs)), _vary(rng, _at(wood, twigs[:, 0]), 0.2))
        stems = np.concatenate([stems, twigs])
    leaves = int(rng.integers(25, 70)) if kind == "flower" else int(rng.integers(200, 480))
    strand, node = rng.integers(len(stems), size=leaves), rng.integers(2, 14, size=leaves)
    along = stems[strand, node] - stems[strand, node - 1]
    heading = np.arctan2(along[:, 1], along[:, 0]) + rng.choice([-1, 1], leaves) * rng.uniform(0.3, 1.2, leaves)
    long = size * (rng.uniform(0.06, 0.16) if kind == "plant" else rng.uniform(0.03, 0.11))
    slim = rng.uniform(0.06, 0.14) if kind == "plant" else rng.uniform(0.15, 0.4)
    _leaves(rng, canvas, stems[strand, node], heading, long * rng.uniform(0.5, 1.3, leaves), slim, green)
    if kind == "flower":
        for tip in stems[:, -1]:
            _blossom(rng, canvas, tip, size * rng.uniform(0.06, 0.2), colours)
    if kind == "plant" and rng.random() < 0.7:
        wide = size * rng.uniform(0.09, 0.18)
        pot = foot + np.array([[-1, -0.2], [1, -0.2], [0.75, 1.6], [-0.75, 1.6]]) * wide
        lip = foot + np.array([[-1.1, -0.35], [1.1, -0.35], [1.08, 0], [-1.08, 0]]) * wide
        clay = _hsv(rng.uniform(0.02, 0.1), rng.uniform(0.1, 0.7), rng.uniform(0.3, 0.9))
        canvas.polygons([pot, lip], [clay * 0.9, clay])
    return _light(rng, canvas.layer(), rim=rng.uniform(0, 0.5))


def _leaves(
    rng: np.random.Generator, canvas: "_Canvas", at: Points, heading: Float[np.ndarray, " n"],
    length: Float[np.ndarray, " n"], slim: float, colours: Colours,
) -> None:  # fmt: skip
    """Leaves of two halves that catch the light differently."""
    t = np.linspace(0, 1, 8)
    half = slim * np.sin(np.pi * t ** rng.uniform(0.6, 1.1)) ** rng.uniform(0.7, 1.2)
    teeth = _pick(rng, 0.0, 0.0, 0.25) * slim
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
    tone = _vary(rng, _at(colours, at), 0.45)
    one = place(np.concatenate([middle, left[:, ::-1]], 1))
    two = place(np.concatenate([middle, right[:, ::-1]], 1))
    mixed = [polygon for pair in zip(one, two, strict=True) for polygon in pair]
    canvas.polygons(mixed, np.stack([tone * lit, tone * (2 - lit)], 1).reshape(-1, 3))


def _blossom(
    rng: np.random.Generator, canvas: "_Canvas", at: Float[np.ndarray, "2"], radius: float, colours: Colours
) -> None:
    petal = _any_colour(rng) * 0.7 + 0.3 * colours[rng.integers(len(colours)), rng.integers(len(colours))]
    squash = np.array([1, rng.uniform(0.5, 1)])
    for ring in (1.0, 0.8):
        n = int(rng.integers(7, 26))
        angle = np.linspace(0, TAU, n, endpoint=False) + rng.normal(0, 0.1, n)
        field = np.broadcast_to((petal * rng.uniform(0.7, 1.2)).astype(np.float32), (canvas.size, canvas.size, 3))
        start = at + 0.12 * radius * np.stack([np.cos(angle), np.sin(angle)], 1) * squash
        reach = ring * radius * np.hypot(np.cos(angle), np.sin(angle) * squash[1]) * rng.uniform(0.85, 1.1, n)
        _leaves(rng, canvas, start, angle, reach, rng.uniform(0.12, 0.35), field)
    core = _hsv(rng.uniform(0.05, 0.15), rng.uniform(0.4, 0.9), rng.uniform(0.2, 0.9))
    canvas.polygons([_ellipse(at, 0.28 * radius * squash)], [core])
    dots = at + rng.normal(0, 0.12 * radius, (24, 2)) * squash
    canvas.ribbons(
        np.stack([dots, dots + 0.05 * radius], 1),
        np.full(24, 0.04 * radius + 0.5),
        _vary(rng, np.tile(core, (24, 1)), 0.6),
    )


def _feather(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """A few feathers, or the seed head of a dandelion."""
    canvas = _Canvas(size)
    colours = _hair_colours(rng, colours)
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
        quill = _grow(
            rng, start[None], np.array([angle]), np.array([long]), 40, wobble=0.02, curl=rng.uniform(0, 0.25), waves=0.5
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
        vane = _grow(rng, place, heading, reach + 1, 7, wobble=0.02, gravity=0.0)
        vane += (rng.normal(0, 1, vane.shape) * down[:, None, None]).cumsum(1) * wide * 0.03
        bars = 0.75 + 0.35 * np.sin(t * rng.uniform(0, 60))[:, None]
        tone = _vary(rng, _at(colours, place), 0.15) * bars
        canvas.ribbons(vane, long / barbs * rng.uniform(1.5, 3.2) * rng.uniform(0.7, 1.2, barbs), tone, taper=0.6)
        canvas.ribbons(quill[None], np.array([rng.uniform(2, 5) * size / 480]), _at(colours, quill[:1]) * 1.2)
    return _light(rng, canvas.layer(), rim=rng.uniform(0, 0.4))


def _dandelion(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    canvas = _Canvas(size)
    centre = size * rng.uniform(0.4, 0.6, 2)
    radius = size * rng.uniform(0.16, 0.3)
    n = int(rng.integers(40, 110))
    angle, depth = rng.uniform(0, TAU, n), np.sqrt(rng.uniform(0.05, 1, n))
    out = np.stack([np.cos(angle), np.sin(angle)], 1)
    stem = _grow(rng, centre[None], np.array([np.pi / 2 + rng.normal(0, 0.2)]), np.array([size * 1.0]), 12, wobble=0.05)
    canvas.ribbons(stem, np.array([size * rng.uniform(0.01, 0.03)]), _at(colours, centre[None]) * 0.7, taper=0.0)
    rays = _grow(rng, centre + 0.1 * radius * out, angle, radius * depth, 4, wobble=0.03)
    tone = _vary(rng, _at(colours, rays[:, -1]) * 0.6 + 0.4, 0.2)
    canvas.ribbons(rays, np.full(n, rng.uniform(0.5, 1.2)), tone, taper=0.0)
    hairs = int(rng.integers(8, 14))
    tips = np.repeat(rays[:, -1], hairs, axis=0)
    heading = np.repeat(angle, hairs) + rng.uniform(-1.5, 1.5, len(tips))
    tuft = _grow(rng, tips, heading, radius * rng.uniform(0.12, 0.35) * rng.uniform(0.7, 1.1, len(tips)), 4, wobble=0.1)
    wisps = _wisps(size, tuft, np.full(len(tuft), rng.uniform(0.3, 0.9)), np.repeat(tone, hairs, axis=0))
    canvas.polygons([_ellipse(centre, (0.16 * radius, 0.16 * radius))], [_hsv(0.1, 0.5, rng.uniform(0.2, 0.6))])
    return _light(rng, _over(canvas.layer(), wisps), rim=0.2)


def _net(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """A net, a mesh, chain link or lace: threads at an even pitch over a warped surface; some have a far side."""
    pitch = size * rng.uniform(0.02, 0.12)
    tint = _any_colour(rng) if rng.random() < 0.7 else np.full(3, rng.uniform(0.05, 0.95))
    flat = _tinted(colours, tint, rng.uniform(0.3, 0.95))
    shiny = rng.random() < 0.5
    layer = _mesh(rng, size, flat, pitch, shiny=shiny)
    if rng.random() < 0.35:  # the far side of a basket, a cage, a folded net
        far = flat * np.float32(rng.uniform(0.4, 1.1))
        layer = _over(layer, _mesh(rng, size, far, pitch * rng.uniform(0.6, 1.0), shiny=shiny))
    outline = _outline(rng, size, cloth=rng.random() < 0.6)
    layer = layer * _spread(_fill(size, [outline]), 4)
    canvas = _Canvas(size)
    hem = rng.uniform(1.0, 14.0) * size / 480 * (rng.random() < 0.7)
    if hem:
        ring = np.concatenate([outline, outline[:2]])
        for part, shade in ((1.0, 0.7), (0.6, 1.0), (0.2, 1.3)):
            canvas.ribbons(ring[None], np.array([hem * part]), (tint * shade)[None], taper=0.0)
        layer = _over(canvas.layer(), layer)
    if rng.random() < 0.5:
        inner = _fill(size, [_blob(rng, size * rng.uniform(0.3, 0.7, 2), size * rng.uniform(0.08, 0.25), 0.2)])
        thing = _shaded(rng, inner, np.roll(colours, size // 3, axis=1))
        layer = _over(layer, thing)
    return _light(rng, layer, rim=0.0)


def _mesh(rng: np.random.Generator, size: int, colours: Colours, pitch: float, *, shiny: bool) -> Layer:
    """Round threads `pitch` pixels apart over the whole canvas; shiny ones mirror what is bright and dark around."""
    u, v = _warped(rng, size, pitch)
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
    rgb = colours * _spread(round_light * weave, 3)
    if shiny:
        dark = rng.uniform(0.15, 0.8)
        mirrored = [dark + (1.2 - dark) * _noise(rng, size, first=int(rng.integers(2, 9)), octaves=2) for _ in "uv"]
        rgb = rgb * _spread(np.where(along_u, *mirrored).clip(0.05, 1.4), 3)
        spots = _noise(rng, size, first=int(rng.integers(4, 16)), octaves=2).clip(0, 1)
        rgb = rgb + _spread(rng.uniform(0, 1.5) * spots * round_light ** int(rng.integers(2, 9)), 3)
    return _associate(rgb, alpha)


def _holder(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """A cup, basket or glass full of thin things of many colours, few of which the cup has."""
    left, right = np.sort(size * (rng.uniform(0.3, 0.7) + rng.uniform(0.1, 0.3) * np.array([-1, 1])))
    top, bottom = size * rng.uniform(0.4, 0.65), size * rng.uniform(0.85, 1.1)
    taper = rng.uniform(-0.12, 0.2) * (right - left)
    cup = np.array([[left, top], [right, top], [right - taper, bottom], [left + taper, bottom]])
    canvas = _Canvas(size)
    n = int(rng.integers(3, 15))
    inset = max(taper, 0)
    foot = np.stack([rng.uniform(left + inset, right - inset, n), bottom - rng.uniform(0, 0.1, n) * size], 1)
    aside = (foot[:, 0] - (left + right) / 2) / (right - left)
    lean = np.clip(aside * rng.uniform(0, 1.2) + rng.normal(0, 0.12, n), -0.8, 0.8)
    long = (bottom - top) / np.cos(lean) + size * rng.uniform(0.02, 0.45, n)
    ends = foot + long[:, None] * np.stack([np.sin(lean), -np.cos(lean)], 1)
    palette = [_any_colour(rng) for _ in range(2 * n)]
    for start, end, wide in zip(foot, ends, size * rng.uniform(0.006, 0.045, n), strict=True):
        _stick(rng, canvas, start, end, wide, palette)
    things, chance = canvas.layer(), rng.random()
    mask = _fill(size, [cup])
    tint = _any_colour(rng) if rng.random() < 0.4 else np.full(3, rng.uniform(0.05, 0.95))
    flat = _tinted(colours, tint, rng.uniform(0.6, 0.95))
    rim = size * rng.uniform(0.005, 0.035)
    hoops = _Canvas(size)
    for height in (top, bottom)[: int(rng.integers(1, 3))]:
        share = (height - top) / (bottom - top)
        hoop = np.array([[[left + taper * share, height], [right - taper * share, height]]])
        for part, shade in ((1.0, 0.6), (0.7, 1.0), (0.25, 1.35)):
            hoops.ribbons(hoop, np.array([rim * part]), (tint * shade)[None], taper=0.0)
    if chance < 0.15:
        front, back = _shaded(rng, mask, flat), np.zeros_like(things)
    elif chance < 0.3:
        front = _associate(flat, mask * np.float32(rng.uniform(0.08, 0.45)))
        back = front * np.float32(rng.uniform(0.3, 1))
    else:
        pitch, shiny = size * rng.uniform(0.008, 0.05), rng.random() < 0.6
        front = _mesh(rng, size, flat, pitch, shiny=shiny) * _spread(mask, 4)
        dark = flat * np.float32(rng.uniform(0.4, 1))
        back = _mesh(rng, size, dark, pitch * rng.uniform(0.7, 1), shiny=shiny) * _spread(mask, 4)
    return _light(rng, _over(hoops.layer(), _over(front, _over(things, back))), rim=0.0)


def _stick(
    rng: np.random.Generator, canvas: "_Canvas", start: Float[np.ndarray, "2"], end: Float[np.ndarray, "2"],
    wide: float, palette: Sequence[np.ndarray],
) -> None:  # fmt: skip
    """A pen, brush, ring or stalk: a shaft in lengths of several colours; a cap, tuft, ring or leaves at its end."""
    kind = rng.choice(["pen", "pen", "pen", "brush", "ring", "stalk"])
    along = (end - start) / np.linalg.norm(end - start)
    cuts = np.sort(np.concatenate([[0, 1], rng.uniform(0.3, 1, int(rng.integers(0, 4)))]))
    stripes = _pick(rng, 0, 0, 1, 2)
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
        hairs = _grow(rng, roots, heading, wide * rng.uniform(1, 5) * rng.uniform(0.6, 1.1, many), 6, wobble=0.1)
        canvas.ribbons(hairs, np.full(many, rng.uniform(0.7, 1.6)), _vary(rng, np.tile(tone, (many, 1)), 0.3))
    elif kind == "ring":
        ring = _ellipse(end, wide * rng.uniform(0.8, 2.2, 2))
        _tubes(canvas, np.concatenate([ring, ring[:2]])[None], 0.6 * wide, tone)
    else:
        many = int(rng.integers(2, 12))
        place = start + (end - start) * rng.uniform(0.6, 1, (many, 1))
        field = np.broadcast_to(tone.astype(np.float32), (canvas.size, canvas.size, 3))
        _leaves(rng, canvas, place, rng.uniform(0, TAU, many), wide * rng.uniform(1, 6, many), 0.25, field)


def _perforated(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """A solid with holes: colander, cheese, eaten leaf, punched sheet."""
    mask = _fill(size, _creature(rng, size) if rng.random() < 0.4 else [_outline(rng, size)])
    if rng.random() < 0.6:
        pitch = size * rng.uniform(0.025, 0.12)
        u, v = _warped(rng, size, pitch)
        if rng.random() < 0.5:
            u = u + 0.5 * (np.round(v) % 2)
        radius = rng.uniform(0.2, 0.46)
        power = _pick(rng, 2.0, 2.0, 6.0)
        off = (np.abs(u - np.round(u)) ** power + np.abs(v - np.round(v)) ** power) ** (1 / power)
        solid = np.clip((off - radius) * pitch + 0.5, 0, 1).astype(np.float32)
    else:
        n = int(rng.integers(8, 70))
        radius = size * rng.uniform(0.01, 0.07) * rng.uniform(0.3, 1.3, n)
        holes = [_blob(rng, rng.uniform(0, size, 2), r, rng.uniform(0, 0.3)) for r in radius]
        solid = 1 - np.clip(sum(_fill(size, [hole]) for hole in holes[:20]) + _fill(size, holes[20:]), 0, 1)
        solid = solid.astype(np.float32)
    depth = cv2.GaussianBlur(solid, (0, 0), size * rng.uniform(0.003, 0.01))
    return _light(
        rng, _associate(colours * _spread((0.55 + 0.45 * depth) * _relief(rng, mask), 3), mask * solid), rim=0.0
    )


def _solid(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """Toys, fruit, tools: solid parts one over another, often out of focus or moving."""
    layer = np.zeros((size, size, 4), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        outlines = _creature(rng, size) if rng.random() < 0.4 else [_outline(rng, size, share=rng.uniform(0.4, 1))]
        shift = int(rng.integers(size))
        tone = np.roll(colours, (shift, -shift), (0, 1))
        if rng.random() < 0.5:
            tone = _tinted(tone, _any_colour(rng), rng.uniform(0.6, 0.95))
        layer = _over(_shaded(rng, _fill(size, outlines), tone), layer)
    layer, chance = _light(rng, layer, rim=0.0), rng.random()
    if chance < 0.5:
        sigma = size * _pick(rng, rng.uniform(0.001, 0.004), rng.uniform(0.004, 0.015))
        return _blur(layer, sigma)
    return layer if chance < 0.85 else _streak(layer, size * rng.uniform(0.01, 0.06), rng.uniform(0, math.pi))


def _plain_blob(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """What always is acceptable: one blob in the middle, a little soft."""
    mask = _fill(size, [_blob(rng, np.full(2, size / 2), 0.3 * size, 0.15)])
    return _blur(_shaded(rng, mask, colours), 0.006 * size)


def _veil(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """Thin cloth or plastic in folds: the steeper the fold, the more of it is in the way."""
    layer = np.zeros((size, size, 4), np.float32)
    tint = _any_colour(rng) * 0.5 + rng.uniform(0.2, 0.5)
    smooth = _soften(colours, 0.04 * size)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    if rng.random() < 0.35:
        inner = _fill(size, [_blob(rng, size * rng.uniform(0.3, 0.7, 2), size * rng.uniform(0.1, 0.25), 0.2)])
        layer = _shaded(rng, inner, colours)
    for _ in range(int(rng.integers(1, 4))):
        angle = rng.uniform(0, np.pi)
        across = x * math.cos(angle) + y * math.sin(angle)
        warp = _noise(rng, size, first=3, octaves=3)
        crumple = _noise(rng, size, first=6, octaves=4) * rng.uniform(0, 0.12)
        height = np.sin(TAU * rng.uniform(2, 9) * across + 2.5 * warp) * rng.uniform(0.02, 0.06) + crumple * 0.3
        dy, dx = np.gradient(height.astype(np.float32) * size)
        density = np.sqrt(1 + (dx**2 + dy**2) * rng.uniform(0.5, 4))
        clear = rng.uniform(0.35, 0.92)
        alpha = 1 - clear**density
        shape = _fill(size, [_outline(rng, size, cloth=True)])
        if rng.random() < 0.4:
            shape = cv2.GaussianBlur(shape, (0, 0), size * rng.uniform(0.005, 0.03))
        glint = np.clip(dx * math.cos(angle) + dy * math.sin(angle), 0, 1) ** 2 * rng.uniform(0, 0.8)
        alpha = np.clip(alpha + 0.5 * glint, 0, 1) * shape
        weave = 1 + 0.1 * np.sin(TAU * across * size / rng.uniform(3, 6)) * (rng.random() < 0.3)
        light = (0.75 + 0.4 * np.clip(dx, -0.6, 0.6)) * weave + glint
        layer = _over(_associate(_tinted(smooth, tint, 0.85) * _spread(light, 3), alpha), layer)
    return _light(rng, layer, rim=0.0)


def _smoke(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """Smoke, steam, cloud or flame: warped noise under a smooth envelope."""
    small = size // 2
    warp = np.stack([_noise(rng, small, first=3, octaves=3) for _ in range(2)], -1) * small * rng.uniform(0.03, 0.2)
    y, x = np.mgrid[0:small, 0:small].astype(np.float32)
    puffs = _noise(rng, small, first=int(rng.integers(2, 5)), octaves=6, gain=rng.uniform(0.45, 0.65))
    puffs = cv2.remap(puffs, x + warp[..., 0], y + warp[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    centre, spread = rng.uniform(0.35, 0.65, 2) * small, rng.uniform(0.15, 0.35, 2) * small
    envelope = np.exp(-(((x - centre[0]) / spread[0]) ** 2 + ((y - centre[1]) / spread[1]) ** 2))
    if rng.random() < 0.4:  # a plume that widens as it rises
        rise = np.clip((small * 0.97 - y) / small, 0, 1)
        drift = centre[0] + np.sin(rise * rng.uniform(2, 7)) * small * 0.1 * rise
        plume = np.exp(-(((x - drift) / (small * (0.03 + rng.uniform(0.1, 0.3) * rise))) ** 2))
        envelope = plume * np.clip(rise * 8, 0, 1) * np.clip(rng.uniform(1.5, 3.5) * (1 - rise), 0, 1)
    density = np.clip(envelope * (1.0 + rng.uniform(0.5, 1.5) * puffs) - rng.uniform(0.04, 0.2), 0, None)
    alpha = 1 - np.exp(-density * rng.uniform(0.7, 5))
    alpha = cv2.resize(alpha.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    light = _spread(cv2.resize(1 + 0.35 * puffs, (size, size)), 3)
    base = _any_colour(rng) * rng.uniform(0, 0.5) + rng.uniform(0.1, 0.6)
    return _light(
        rng, _associate(_tinted(_soften(colours, 0.04 * size), base, rng.uniform(0.75, 1)) * light, alpha), rim=0.0
    )


def _glass(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """Bottles, glasses and bubbles: clear inside, bright and dense at the rim, with highlights."""
    layer = np.zeros((size, size, 4), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        outline = _vessel(rng, size) if rng.random() < 0.7 else _outline(rng, size, share=rng.uniform(0.4, 0.9))
        mask = _fill(size, [outline])
        depth = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
        edge = np.exp(-depth / (size * rng.uniform(0.006, 0.03)))
        tint = _any_colour(rng) * rng.uniform(0.1, 0.6) + rng.uniform(0.2, 0.5)
        alpha = rng.uniform(0.04, 0.4) + rng.uniform(0.3, 0.9) * edge
        light = (1 + edge * rng.uniform(-0.7, 0.9)) * (0.8 + 0.4 * cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))
        rgb = cv2.transform(light, tint[:, None])
        if rng.random() < 0.4:  # half full
            level = rng.uniform(outline[:, 1].min(), outline[:, 1].max())
            liquid = np.clip(np.arange(size, dtype=np.float32)[:, None] - level + 0.5, 0, 1) * (depth > 0.008 * size)
            drink, thick = _any_colour(rng), rng.uniform(0.2, 0.8)
            rgb = rgb * _spread(1 - thick * liquid, 3) + cv2.transform(thick * liquid, drink[:, None])
            alpha = alpha + thick * liquid * (1 - alpha)
        x0, x1 = outline[:, 0].min(), outline[:, 0].max()
        shine = np.zeros((size, size), np.float32)
        for _ in range(int(rng.integers(1, 5))):
            at = x0 + (x1 - x0) * rng.uniform(0.1, 0.9)
            spot = np.exp(-(((np.arange(size) - at) / (size * rng.uniform(0.003, 0.02))) ** 2)).astype(np.float32)
            run = np.clip(_noise(rng, size, first=4, octaves=1)[:, :1] * 2 + 0.5, 0, 1)
            shine += spot[None] * run * rng.uniform(0.2, 1)
        shine = np.clip(shine, 0, 1) * (depth > 0)
        alpha = np.clip(alpha + shine * (1 - alpha), 0, 1) * mask
        rgb = rgb * _spread(1 - shine, 3) + _spread(shine, 3)
        layer = _over(_associate(rgb, alpha), layer)
    if rng.random() < 0.5:  # a label, a straw, a flower in the vase
        label = _shaded(rng, _fill(size, [_outline(rng, size, share=0.35)]), colours)
        layer = _over(label, layer) if rng.random() < 0.5 else _over(layer, label)
    return _light(rng, layer, rim=0.0)


def _wires(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """Bicycle wheels, cables, bare twigs, letters."""
    canvas = _Canvas(size)
    kind = rng.choice(["wheel", "cables", "twigs", "letters"])
    metal = np.full(3, rng.uniform(0.1, 0.9)) if rng.random() < 0.6 else _any_colour(rng)
    if kind == "wheel":
        for _ in range(int(rng.integers(1, 3))):
            _wheel(rng, canvas, metal)
        tubes = size * rng.uniform(0, 1, (int(rng.integers(1, 5)), 2, 2))
        _tubes(canvas, tubes, size * rng.uniform(0.006, 0.025), _any_colour(rng))
    elif kind == "cables":
        n = int(rng.integers(4, 30))
        x = np.linspace(-0.05, 1.05, 20)
        start, end, sag = rng.uniform(0, 0.9, (n, 1)), rng.uniform(0, 0.9, (n, 1)), rng.uniform(0, 0.3, (n, 1))
        curves = np.stack([np.tile(x, (n, 1)), start + (end - start) * x + sag * 4 * x * (1 - x) * rng.random()], -1)
        if rng.random() < 0.3:
            curves = curves[..., ::-1]
        canvas.ribbons(
            curves * size, rng.uniform(0.5, 4, n) * size / 480, _vary(rng, np.tile(metal, (n, 1)), 0.5), taper=0.0
        )
        mast = size * np.stack([np.stack([rng.uniform(0.1, 0.9, 2)] * 2, 1), np.tile([-0.1, 1.1], (2, 1))], -1)
        _tubes(canvas, mast, size * rng.uniform(0.02, 0.07), _any_colour(rng))
    elif kind == "twigs":
        n = int(rng.integers(2, 5))
        roots = np.stack([rng.uniform(0.3, 0.7, n), np.full(n, 1.02)], 1) * size
        limbs = _grow(rng, roots, -np.pi / 2 + rng.normal(0, 0.3, n), size * rng.uniform(0.5, 0.9, n), 16, wobble=0.15)
        thick = size * rng.uniform(0.012, 0.035)
        for _ in range(4):
            canvas.ribbons(
                limbs,
                thick * rng.uniform(0.7, 1.2, len(limbs)),
                _vary(rng, _at(colours, limbs[:, 0]) * 0.5, 0.3),
                taper=0.75,
            )
            pick = (
                rng.integers(len(limbs), size=min(6 * len(limbs), 160)),
                rng.integers(3, 15, min(6 * len(limbs), 160)),
            )
            along = limbs[pick] - limbs[pick[0], pick[1] - 1]
            reach = np.hypot(*along.T) * 15 * rng.uniform(0.3, 0.7, len(along))
            heading = np.arctan2(along[:, 1], along[:, 0]) + rng.choice([-1, 1], len(along)) * rng.uniform(
                0.3, 0.9, len(along)
            )
            limbs = _grow(rng, limbs[pick], heading, reach, 16, wobble=0.2)
            thick = max(0.45 * thick, 0.7)
    else:
        _letters(rng, canvas, colours)
    return _light(rng, canvas.layer(), rim=0.0)


def _wheel(rng: np.random.Generator, canvas: "_Canvas", metal: Float[np.ndarray, "3"]) -> None:
    size = canvas.size
    centre, radius = size * rng.uniform(0.3, 0.7, 2), size * rng.uniform(0.22, 0.45)
    axes = radius * np.array([rng.uniform(0.4, 1), 1])
    n = int(rng.integers(14, 44))
    turn = rng.uniform(0, TAU) + np.linspace(0, TAU, n, endpoint=False)
    cross = turn + np.where(np.arange(n) % 2, 1, -1) * _pick(rng, 0.0, 1.2)
    spokes = np.stack(
        [np.stack([np.cos(cross), np.sin(cross)], 1) * 0.07, np.stack([np.cos(turn), np.sin(turn)], 1)], 1
    )
    canvas.ribbons(
        centre + axes * spokes, np.full(n, rng.uniform(0.5, 2.0)), _vary(rng, np.tile(metal, (n, 1)), 0.4), taper=0.0
    )
    ring = np.linspace(0, TAU, 64)
    rim = centre + axes * np.stack([np.cos(ring), np.sin(ring)], 1)
    tyre = rng.uniform(0.02, 0.09) * radius
    dark = np.full((1, 3), rng.uniform(0.02, 0.15))
    canvas.ribbons(rim[None], np.array([3 * tyre]), dark, taper=0.0)
    canvas.ribbons(rim[None] - 0.3 * tyre, np.array([0.6 * tyre]), dark + 0.2, taper=0.0)
    canvas.ribbons(centre + (rim - centre)[None] * (1 - 2 * tyre / radius), np.array([tyre]), metal[None], taper=0.0)
    canvas.polygons([_ellipse(centre, 0.09 * axes)], [metal * 0.6])


def _tubes(canvas: "_Canvas", ends: Paths, width: float, colour: Float[np.ndarray, "3"]) -> None:
    for part, shade in ((1.0, 0.45), (0.75, 0.75), (0.45, 1.0), (0.15, 1.4)):
        canvas.ribbons(ends, np.full(len(ends), width * part), np.tile(colour * shade, (len(ends), 1)), taper=0.0)


def _letters(rng: np.random.Generator, canvas: "_Canvas", colours: Colours) -> None:
    size = canvas.size
    fonts = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)
    alphabet = np.array(list("ABCDEFGHKLMNORSTUWXYZabcdefghkmnorstuvwxyz0123456789&#%?*"))
    for _ in range(int(rng.integers(2, 8))):
        text = "".join(rng.choice(alphabet, int(rng.integers(2, 9))))
        font, scale = fonts[rng.integers(3)], float(size * rng.uniform(0.003, 0.012))
        weight = int(rng.integers(1, max(2, int(4 * scale))))
        at = (int(rng.uniform(-0.1, 0.6) * size * SCALE), int(rng.uniform(0.2, 1) * size * SCALE))
        tone = np.append(_vary(rng, _at(colours, rng.uniform(0, size, (1, 2))), 0.4)[0], 1).clip(0, 1) * 255
        cv2.putText(canvas.pixels, text, at, font, scale, tone.tolist(), weight, cv2.LINE_AA)


def _drops(rng: np.random.Generator, size: int, colours: Colours) -> Layer:
    """A splash, spray, sparks, snow or confetti: small soft discs and streaks of varied alpha."""
    glowing = rng.random() < 0.4
    tint = _hsv(rng.uniform(0.04, 0.15), rng.uniform(0.2, 0.9), 1.0) if glowing else _any_colour(rng) * 0.4 + 0.5
    n = int(rng.integers(80, 320))
    source = size * rng.uniform(0.3, 0.7, 2)
    angle = rng.normal(-np.pi / 2, rng.uniform(0.4, 2.5), n)
    away = size * rng.uniform(0.2, 0.7) * rng.beta(1.2, 1.6, n)
    out = np.stack([np.cos(angle), np.sin(angle)], 1)
    at = source + out * away[:, None]
    at[:, 1] += (away / size) ** 2 * size * rng.uniform(0, 0.8)
    radius = np.exp(rng.normal(np.log(size * rng.uniform(0.003, 0.012)), 0.6, n)).clip(0.6, 0.05 * size)
    strength = rng.uniform(0.25, 1.0, n)
    alpha = np.zeros((size, size), np.float32)
    for (x, y), r, peak in zip(at, radius, strength, strict=True):
        _dab(alpha, x, y, r, peak, edge=1.0 if not glowing else 2.5)
    streaks = np.stack([at, at - out * (radius * rng.uniform(0, 8, n))[:, None]], 1)
    canvas = _Canvas(size)
    canvas.ribbons(streaks[::2], radius[::2] * rng.uniform(0.5, 1.6), np.ones((len(streaks[::2]), 3)))
    alpha = np.maximum(alpha, canvas.layer()[..., 3] * rng.uniform(0.4, 1))
    light = 1.05 + 0.5 * _noise(rng, size, first=40, octaves=2)
    layer = _associate(_tinted(colours, tint, 0.8) * _spread(light, 3), alpha)
    if not glowing or rng.random() < 0.5:  # what is splashed into, or what sparks fly from
        tips = _grow(
            rng,
            np.repeat(source[None], 60, 0),
            rng.normal(-np.pi / 2, 0.7, 60),
            size * rng.beta(1, 2, 60) * 0.5,
            8,
            gravity=0.8,
            wobble=0.1,
        )
        sheet = _Canvas(size)
        sheet.ribbons(tips, size * rng.uniform(0.005, 0.04, 60), _vary(rng, np.tile(tint, (60, 1)), 0.15), taper=0.97)
        sheet.polygons([_blob(rng, source, size * rng.uniform(0.06, 0.13), 0.3)], [tint * 0.85])
        layer = _over(layer, sheet.layer())
    return _light(rng, layer, rim=0.0)


def _dab(alpha: Float32[np.ndarray, "h w"], x: float, y: float, radius: float, peak: float, *, edge: float) -> None:
    """One disc with a soft edge, the larger alpha wins."""
    reach = int(radius + edge + 1)
    left, top = max(int(x) - reach, 0), max(int(y) - reach, 0)
    window = alpha[top : int(y) + reach + 2, left : int(x) + reach + 2] if x > -reach and y > -reach else alpha[:0]
    if window.size:
        rows = np.arange(top, top + window.shape[0], dtype=np.float32)[:, None] - y
        columns = np.arange(left, left + window.shape[1], dtype=np.float32) - x
        disc = np.clip((radius - np.hypot(rows, columns)) / edge + 0.5, 0, 1) * peak
        np.maximum(window, disc, out=window)


FAMILIES: dict[str, tuple[Callable[[np.random.Generator, int, Colours], Layer], float]] = {
    "hair": (_hair, 0.18),
    "fur": (_fur, 0.12),
    "foliage": (_foliage, 0.14),
    "feather": (_feather, 0.06),
    "net": (_net, 0.15),
    "holder": (_holder, 0.08),
    "perforated": (_perforated, 0.04),
    "solid": (_solid, 0.06),
    "veil": (_veil, 0.03),
    "smoke": (_smoke, 0.02),
    "glass": (_glass, 0.03),
    "wires": (_wires, 0.07),
    "drops": (_drops, 0.02),
}


# --------------------------------------------------------------------------------------------------- drawing


class _Canvas:
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

    def layer(self) -> Layer:
        """The picture in its own size."""
        small = cv2.resize(self.pixels, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / 255


def _wisps(size: int, paths: Paths, widths: Float[np.ndarray, " n"], colours: Float[np.ndarray, "n 3"]) -> Layer:
    """Strands thinner than a pixel, on a layer of their own: the thinner the fainter, and fainter towards the tip."""
    canvas = _Canvas(size)
    faint = np.clip(widths / THINNEST, 0, 1)
    root = paths[:, : max(2, (2 * paths.shape[1] + 2) // 3)]
    canvas.ribbons(paths, widths, colours, strength=0.5 * faint)
    canvas.ribbons(root, widths, colours, taper=0.4, strength=faint)
    return canvas.layer()


def _fill(size: int, outlines: Sequence[Points]) -> Float32[np.ndarray, "size size"]:
    """Coverage of the union of outlines."""
    mask = np.zeros((size * SCALE, size * SCALE), np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [(((outline + 0.5) * SCALE - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _over(front: Layer, back: Layer) -> Layer:
    return front + back * _spread(1 - front[..., 3], 4)


def _associate(rgb: Float[np.ndarray, "size size 3"], alpha: Float[np.ndarray, "size size"]) -> Layer:
    alpha = alpha.astype(np.float32, copy=False)
    return cv2.merge([*cv2.split(np.clip(rgb.astype(np.float32, copy=False), 0, 1) * _spread(alpha, 3)), alpha])


def _spread(field: Float[np.ndarray, "size size"], channels: int) -> Float32[np.ndarray, "size size {channels}"]:
    """The field in every channel: NumPy broadcasts a last axis of 3 ten times slower."""
    return cv2.merge([np.ascontiguousarray(field, np.float32)] * channels)


# ------------------------------------------------------------------------------------- strands and outlines


def _grow(
    rng: np.random.Generator, roots: Points, heading: Float[np.ndarray, " n"], length: Float[np.ndarray, " n"],
    steps: int, *, gravity: float = 0.0, curl: float = 0.0, waves: float = 1.0, wobble: float = 0.0,
) -> Paths:  # fmt: skip
    """Paths from roots: they leave along `heading` (radians, y down), fall, curl and wander."""
    n = len(roots)
    t = np.linspace(0, 1, steps - 1)
    turn = curl * np.sin(TAU * (waves * rng.uniform(0.7, 1.3, (n, 1)) * t + rng.random((n, 1))))
    wander = (rng.normal(0, wobble, (n, steps - 1)) / np.sqrt(steps / 6)).cumsum(1)
    angle = np.reshape(heading, (-1, 1)) + turn + wander
    step = np.stack([np.cos(angle), np.sin(angle) + gravity * t], -1)
    step /= np.linalg.norm(step, axis=-1, keepdims=True) + 1e-6
    step *= np.reshape(length, (-1, 1, 1)) / (steps - 1)
    return np.concatenate([roots[:, None], roots[:, None] + step.cumsum(1)], 1)


def _bundle(
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
    return path + offset + wobble * spread * _wander(rng, count, steps)


def _wander(rng: np.random.Generator, count: int, steps: int) -> Paths:
    """Smooth random walks from 0, about 1 away at the end: waves of a few periods."""
    t = np.linspace(0, 1, steps)
    wave = np.stack([t, np.sin(math.pi * t), np.sin(1.5 * math.pi * t), 0.6 * np.sin(2.7 * math.pi * t)])
    return np.einsum("ncd,ct->ntd", rng.normal(0, 0.6, (count, 4, 2)), wave)


def _pick(rng: np.random.Generator, *values: float) -> float:
    return values[int(rng.integers(len(values)))]


def _blob(rng: np.random.Generator, centre: Float[np.ndarray, "2"], radius: float, rough: float) -> Points:
    """A closed outline whose radius varies by the share `rough`."""
    angle = np.linspace(0, TAU, 96, endpoint=False)
    order = np.arange(2, 10)[:, None]
    wave = (rng.normal(0, 1, (8, 1)) / order * np.cos(order * angle + rng.uniform(0, TAU, (8, 1)))).sum(0)
    return centre + (radius * (1 + rough * 1.5 * wave).clip(0.2))[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)


def _ellipse(centre: Float[np.ndarray, "2"], axes: Sequence[float] | Float[np.ndarray, "2"]) -> Points:
    angle = np.linspace(0, TAU, 48, endpoint=False)
    return centre + np.asarray(axes) * np.stack([np.cos(angle), np.sin(angle)], 1)


def _rounded(corners: Points) -> Points:
    """The outline with its corners cut three times (Chaikin)."""
    for _ in range(3):
        after = np.roll(corners, -1, 0)
        corners = np.stack([0.75 * corners + 0.25 * after, 0.25 * corners + 0.75 * after], 1).reshape(-1, 2)
    return corners


def _outline(rng: np.random.Generator, size: int, *, share: float = 1.0, cloth: bool = False) -> Points:
    """A blob, a star, a board, a bag or a vessel, somewhere on the canvas."""
    kind = rng.choice(["board", "bag", "bag", "drape"] if cloth else ["blob", "blob", "star", "board", "bag", "vessel"])
    centre = size * rng.uniform(0.35, 0.65, 2)
    radius = share * size * rng.uniform(0.22, 0.44)
    if kind == "vessel":
        return _vessel(rng, size)
    if kind == "drape":  # hangs down from above
        left, right = rng.uniform(-0.1, 0.35), rng.uniform(0.55, 1.1)
        hem = np.stack(
            [
                np.linspace(right, left, 30) + rng.normal(0, 0.1),
                rng.uniform(0.6, 0.95) + _wander(rng, 1, 30)[0, :, 1] * 0.1,
            ],
            1,
        )
        return size * np.concatenate([[[left, -0.1], [right, -0.1]], hem])
    if kind == "star":
        n = 2 * int(rng.integers(4, 12))
        angle = np.linspace(0, TAU, n, endpoint=False) + rng.uniform(0, TAU)
        reach = radius * np.where(np.arange(n) % 2, 1, rng.uniform(0.35, 0.8))
        star = centre + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        return _rounded(star) if rng.random() < 0.7 else star
    if kind in ("board", "bag"):
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * radius * rng.uniform(0.5, 1.1, 2)
        corners = corners + rng.normal(0, 0.15 * radius, corners.shape)
        turn = rng.normal(0, 0.4)
        corners = centre + corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        dense = np.concatenate(
            [np.linspace(a, b, 8, endpoint=False) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
        )
        return _rounded(dense + rng.normal(0, 0.04 * radius, dense.shape)) if kind == "bag" else dense
    return _blob(rng, centre, radius, rng.uniform(0.05, 0.5))


def _vessel(rng: np.random.Generator, size: int) -> Points:
    """The side view of something turned on a lathe."""
    height = np.linspace(-1, 1, 40)
    knots = np.linspace(-1, 1, 7)
    half = np.interp(height, knots, rng.uniform(0.25, 1, 7) ** 0.8)
    half = cv2.GaussianBlur(half[:, None], (0, 0), 2.5)[:, 0] * rng.uniform(0.35, 0.8)
    profile = np.concatenate([np.stack([half, height], 1), np.stack([-half, height], 1)[::-1]])
    turn = rng.normal(0, 0.15)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return size * rng.uniform(0.38, 0.62, 2) + profile @ spin * size * rng.uniform(0.25, 0.45)


def _creature(rng: np.random.Generator, size: int) -> list[Points]:
    """A body: one blob, or a toy with ears, arms and a head. The head comes last."""
    centre = size * np.array([rng.uniform(0.38, 0.62), rng.uniform(0.4, 0.6)])
    radius = size * rng.uniform(0.17, 0.28)
    head = _blob(rng, centre, radius, rng.uniform(0.03, 0.12))
    if rng.random() < 0.35:
        return [_blob(rng, centre, radius * 1.4, rng.uniform(0.05, 0.3))]
    parts = []
    ear, tall = rng.uniform(0.25, 0.5) * radius, _pick(rng, 1.0, 1.0, rng.uniform(1.5, 2.8))
    apart = rng.uniform(0.5, 0.95)
    for side in (-1, 1):
        at = centre + radius * np.array([side * apart, -np.sqrt(1.1 - apart**2) - 0.2 * (tall - 1)])
        parts.append(_ellipse(at, (ear, ear * tall)))
        if rng.random() < 0.6:
            arm = centre + radius * np.array([side * rng.uniform(1.0, 1.5), rng.uniform(1.0, 1.7)])
            parts.append(_blob(rng, arm, radius * rng.uniform(0.3, 0.5), 0.1))
    if rng.random() < 0.8:
        parts.append(_blob(rng, centre + [0, radius * 1.6], radius * rng.uniform(0.9, 1.3), 0.1))
    return [*parts, head]


def _inside_disc(rng: np.random.Generator, count: int) -> Points:
    angle, away = rng.uniform(0, TAU, (count, 1)), np.sqrt(rng.random((count, 1)))
    return away * np.concatenate([np.cos(angle), np.sin(angle)], 1)


def _along(outline: Points, gap: float) -> Points:
    """Points every `gap` pixels along a closed outline."""
    closed = np.concatenate([outline, outline[:1]])
    place = np.concatenate([[0], np.hypot(*np.diff(closed, axis=0).T).cumsum()])
    at = np.arange(0, place[-1], gap)
    return np.stack([np.interp(at, place, closed[:, i]) for i in (0, 1)], 1)


def _outward(mask: Float32[np.ndarray, "size size"], sigma: float) -> Float32[np.ndarray, "size size 3"]:
    """Unit vectors (x, y, 0) out of a mask; zero where it is flat."""
    soft = _soften(mask, 2 * sigma) + 0.5 * _soften(mask, 6 * sigma)
    dx, dy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    norm = np.sqrt(dx**2 + dy**2) + 1e-5
    return np.dstack([-dx / norm, -dy / norm, np.zeros_like(dx)])


def _warped(
    rng: np.random.Generator, size: int, pitch: float
) -> tuple[Float[np.ndarray, "size size"], Float[np.ndarray, "size size"]]:
    """Coordinates on a waving surface, turned, in units of `pitch` pixels."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    amount = rng.uniform(0, 0.06) * size
    x = x + amount * _noise(rng, size, first=int(rng.integers(2, 5)), octaves=2)
    y = y + amount * _noise(rng, size, first=int(rng.integers(2, 5)), octaves=2)
    turn = _pick(rng, 0.0, math.pi / 4, rng.uniform(0, math.pi))
    far = 1 + rng.uniform(0, 0.8) * y / size  # seen at an angle: closer towards the bottom
    u = (math.cos(turn) * x + math.sin(turn) * y) / pitch
    v = (math.cos(turn) * y - math.sin(turn) * x) / pitch * rng.uniform(0.6, 1.4)
    return u * far, v * far


def _hexagon_distance(
    u: Float[np.ndarray, "size size"], v: Float[np.ndarray, "size size"]
) -> Float[np.ndarray, "size size"]:
    """Distance to the nearest wall of a honeycomb of cells 1 wide."""
    root = math.sqrt(3)

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = np.abs(x - np.round(x)), np.abs(y - np.round(y / root) * root)
        return 0.5 - np.maximum(x, 0.5 * x + 0.5 * root * y)

    return np.abs(np.maximum(inside(u, v), inside(u + 0.5, v + root / 2)))


def _noise(
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


# ---------------------------------------------------------------------------------------- colours and light


def _colour_field(rng: np.random.Generator, size: int, texture: UInt8[np.ndarray, "h w 3"] | None) -> Colours:
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
    share = np.clip(0.5 + 0.8 * _noise(rng, size, first=int(rng.integers(2, 8)), octaves=4), 0, 1)
    one, two = _any_colour(rng), _any_colour(rng)
    step = 0.5 * (one - two)
    return cv2.transform(share, np.stack([step, one - step], 1))


def _hair_colours(rng: np.random.Generator, colours: Colours) -> Colours:
    """Mostly the colours of hair: black, brown, blond, ginger, grey, white; sometimes those given."""
    if rng.random() < 0.3:
        return colours
    hue, saturation, value = HAIR[rng.integers(len(HAIR))]
    base = _hsv(hue + rng.normal(0, 0.015), saturation * rng.uniform(0.7, 1.2), value * rng.uniform(0.7, 1.2))
    return _tinted(colours, base, rng.uniform(0.75, 1))


def _tinted(colours: Colours, base: Float[np.ndarray, "3"], share: float) -> Colours:
    """Colours pulled towards one colour; how light and dark they vary stays, softened."""
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    relative = np.sqrt(grey / max(float(grey.mean()), 0.05))
    pulled = cv2.addWeighted(colours, 1 - share, cv2.transform(relative, base[:, None]), share, 0)
    return np.clip(pulled, 0, 1, out=pulled)


def _hsv(hue: float, saturation: float, value: float) -> Float[np.ndarray, "3"]:
    return np.array(colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1)))


def _any_colour(rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    return _hsv(rng.random(), rng.random() ** 0.8, rng.uniform(0.1, 1))


def _vary(rng: np.random.Generator, tones: Float[np.ndarray, "n 3"], amount: float) -> Float[np.ndarray, "n 3"]:
    """Each row lighter or darker by about `amount`, its hue a little off."""
    light = np.exp(rng.normal(0, amount, (len(tones), 1)))
    return tones * light * (1 + rng.normal(0, 0.2 * amount, tones.shape))


def _at(field: np.ndarray, points: Points) -> Float[np.ndarray, "n c"]:
    """Rows of a field at points, the nearest pixel."""
    high, wide = field.shape[:2]
    x = points[:, 0].astype(int).clip(0, wide - 1)
    y = points[:, 1].astype(int).clip(0, high - 1)
    return field[y, x].reshape(len(points), -1)


def _soften(field: Float32[np.ndarray, "size size *c"], sigma: float) -> Float32[np.ndarray, "size size *c"]:
    """A wide Gaussian blur on an eighth of the size."""
    small = cv2.resize(field, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(sigma / 8, 0.5), borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, field.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _relief(rng: np.random.Generator, mask: Float32[np.ndarray, "size size"]) -> Float32[np.ndarray, "size size"]:
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


def _shaded(rng: np.random.Generator, mask: Float32[np.ndarray, "size size"], colours: Colours) -> Layer:
    """A rounded body of this outline; glossy ones get a highlight."""
    light = _relief(rng, mask)
    rgb = colours * _spread(light, 3)
    if rng.random() < 0.4:
        rgb = rgb + _spread(np.clip(light - 1.0, 0, 1) ** 2 * 6, 3)
    return _associate(rgb, mask)


def _light(rng: np.random.Generator, layer: Layer, *, rim: float) -> Layer:
    """Uneven light, and light from behind that shines through thin parts (`rim`)."""
    size = len(layer)
    gain = 1 + rng.uniform(0, 0.5) * _ramp(rng, size // 8)
    gain *= 1 + rng.uniform(0, 0.2) * _noise(rng, size // 8, first=3, octaves=3)
    if rim > 0:
        thin = cv2.resize(layer[..., 3], (size // 8, size // 8), interpolation=cv2.INTER_AREA)
        gain += rim * np.clip(1.3 - 1.5 * cv2.GaussianBlur(thin, (0, 0), 0.004 * size), 0, 1)
    cast = cv2.transform(gain.astype(np.float32), (1 + rng.normal(0, 0.06, 3))[:, None])
    cast = cv2.resize(cv2.merge([*cv2.split(cast), np.ones_like(gain, np.float32)]), (size, size))
    return np.minimum(layer * cast, _spread(layer[..., 3], 4))


def _ramp(rng: np.random.Generator, size: int) -> Float32[np.ndarray, "size size"]:
    """A plane of random direction, about -0.5 to 0.5."""
    angle = rng.uniform(0, TAU)
    axis = np.arange(size, dtype=np.float32) / size - 0.5
    return axis[None] * math.cos(angle) + axis[:, None] * math.sin(angle)


def _lens(rng: np.random.Generator, layer: Layer) -> Layer:
    """What every photograph has, a little blur; sometimes focus on one part only, sometimes motion."""
    size, chance = len(layer), rng.random()
    if chance < 0.08:
        return _blur(layer, size * rng.uniform(0.002, 0.01))
    if chance < 0.2:
        far = np.clip(_ramp(rng, size // 4) * 2 + rng.uniform(0, 1), 0, 1)
        far = _spread(cv2.resize(far, (size, size), interpolation=cv2.INTER_LINEAR), 4)
        return layer + (_blur(layer, size * rng.uniform(0.003, 0.012)) - layer) * far
    if chance < 0.26:
        return _streak(layer, size * rng.uniform(0.006, 0.04), rng.uniform(0, math.pi))
    return _blur(layer, rng.uniform(0.25, 0.65)) if chance < 0.65 else layer


def _blur(layer: Layer, sigma: float) -> Layer:
    return cv2.GaussianBlur(layer, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def _streak(layer: Layer, length: float, angle: float) -> Layer:
    """Blur along a straight line."""
    side = 2 * int(length / 2 + 1) + 1
    kernel = np.zeros((side, side), np.float32)
    reach = 16 * length / 2 * np.array([np.cos(angle), np.sin(angle)])
    middle = 16 * (side // 2)
    ends = np.stack([middle - reach, middle + reach]).astype(np.int32)
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0, 1, cv2.LINE_8, 4)
    return cv2.filter2D(layer, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _straighten(layer: Layer) -> UInt8[np.ndarray, "size size 4"]:
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
        own = cv2.merge([red, green, blue]) * _spread(trust / np.maximum(weight, 1e-6), 3)
        filled = filled * _spread(1 - trust, 3) + own
    return cv2.convertScaleAbs(cv2.merge([*cv2.split(np.clip(filled, 0, 1)), levels[0][..., 3].copy()]), alpha=255)
