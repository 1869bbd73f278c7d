"""Things that light passes through.

draw_veil    thin cloth or plastic in folds
draw_smoke   smoke, steam, cloud, flame
draw_glass   bottles, glasses, bubbles
draw_drops   splashes, spray, sparks, snow
"""

import math

import cv2
import numpy as np
from jaxtyping import Float32

from hdmatt.samples.drawn.colours import any_colour, from_hsv, smooth_noise, tinted, varied_tones
from hdmatt.samples.drawn.light import shaded, soften, uneven_light
from hdmatt.samples.drawn.shapes import blob_outline, random_outline, vessel_outline
from hdmatt.samples.drawn.strokes import (
    TAU,
    Bend,
    Canvas,
    Colours,
    DrawnLayer,
    associated,
    filled,
    grow_paths,
    in_every_channel,
    laid_over,
)


def draw_veil(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """Thin cloth or plastic in folds: the steeper the fold, the more of it is in the way."""
    layer = np.zeros((size, size, 4), np.float32)
    tint = any_colour(rng) * 0.5 + rng.uniform(0.2, 0.5)
    smooth = soften(colours, 0.04 * size)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    if rng.random() < 0.35:
        inner = filled(size, [blob_outline(rng, size * rng.uniform(0.3, 0.7, 2), size * rng.uniform(0.1, 0.25), 0.2)])
        layer = shaded(rng, inner, colours)
    for _ in range(int(rng.integers(1, 4))):
        angle = rng.uniform(0, np.pi)
        across = x * math.cos(angle) + y * math.sin(angle)
        warp = smooth_noise(rng, size, first=3, octaves=3)
        crumple = smooth_noise(rng, size, first=6, octaves=4) * rng.uniform(0, 0.12)
        height = np.sin(TAU * rng.uniform(2, 9) * across + 2.5 * warp) * rng.uniform(0.02, 0.06) + crumple * 0.3
        dy, dx = np.gradient(height.astype(np.float32) * size)
        density = np.sqrt(1 + (dx**2 + dy**2) * rng.uniform(0.5, 4))
        clear = rng.uniform(0.35, 0.92)
        alpha = 1 - clear**density
        shape = filled(size, [random_outline(rng, size, cloth=True)])
        if rng.random() < 0.4:
            shape = cv2.GaussianBlur(shape, (0, 0), size * rng.uniform(0.005, 0.03))
        glint = np.clip(dx * math.cos(angle) + dy * math.sin(angle), 0, 1) ** 2 * rng.uniform(0, 0.8)
        alpha = np.clip(alpha + 0.5 * glint, 0, 1) * shape
        weave = 1 + 0.1 * np.sin(TAU * across * size / rng.uniform(3, 6)) * (rng.random() < 0.3)
        light = (0.75 + 0.4 * np.clip(dx, -0.6, 0.6)) * weave + glint
        layer = laid_over(associated(tinted(smooth, tint, 0.85) * in_every_channel(light, 3), alpha), layer)
    return uneven_light(rng, layer, rim=0.0)


def draw_smoke(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """Smoke, steam, cloud or flame: warped noise under a smooth envelope."""
    small = size // 2
    warp = (
        np.stack([smooth_noise(rng, small, first=3, octaves=3) for _ in range(2)], -1) * small * rng.uniform(0.03, 0.2)
    )
    y, x = np.mgrid[0:small, 0:small].astype(np.float32)
    puffs = smooth_noise(rng, small, first=int(rng.integers(2, 5)), octaves=6, gain=rng.uniform(0.45, 0.65))
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
    light = in_every_channel(cv2.resize(1 + 0.35 * puffs, (size, size)), 3)
    base = any_colour(rng) * rng.uniform(0, 0.5) + rng.uniform(0.1, 0.6)
    return uneven_light(
        rng, associated(tinted(soften(colours, 0.04 * size), base, rng.uniform(0.75, 1)) * light, alpha), rim=0.0
    )


def draw_glass(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """Bottles, glasses and bubbles: clear inside, bright and dense at the rim, with highlights."""
    layer = np.zeros((size, size, 4), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        outline = (
            vessel_outline(rng, size) if rng.random() < 0.7 else random_outline(rng, size, share=rng.uniform(0.4, 0.9))
        )
        mask = filled(size, [outline])
        depth = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
        edge = np.exp(-depth / (size * rng.uniform(0.006, 0.03)))
        tint = any_colour(rng) * rng.uniform(0.1, 0.6) + rng.uniform(0.2, 0.5)
        alpha = rng.uniform(0.04, 0.4) + rng.uniform(0.3, 0.9) * edge
        light = (1 + edge * rng.uniform(-0.7, 0.9)) * (0.8 + 0.4 * cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))
        rgb = cv2.transform(light, tint[:, None])
        if rng.random() < 0.4:  # half full
            level = rng.uniform(outline[:, 1].min(), outline[:, 1].max())
            liquid = np.clip(np.arange(size, dtype=np.float32)[:, None] - level + 0.5, 0, 1) * (depth > 0.008 * size)
            drink, thick = any_colour(rng), rng.uniform(0.2, 0.8)
            rgb = rgb * in_every_channel(1 - thick * liquid, 3) + cv2.transform(thick * liquid, drink[:, None])
            alpha = alpha + thick * liquid * (1 - alpha)
        x0, x1 = outline[:, 0].min(), outline[:, 0].max()
        shine = np.zeros((size, size), np.float32)
        for _ in range(int(rng.integers(1, 5))):
            at = x0 + (x1 - x0) * rng.uniform(0.1, 0.9)
            spot = np.exp(-(((np.arange(size) - at) / (size * rng.uniform(0.003, 0.02))) ** 2)).astype(np.float32)
            run = np.clip(smooth_noise(rng, size, first=4, octaves=1)[:, :1] * 2 + 0.5, 0, 1)
            shine += spot[None] * run * rng.uniform(0.2, 1)
        shine = np.clip(shine, 0, 1) * (depth > 0)
        alpha = np.clip(alpha + shine * (1 - alpha), 0, 1) * mask
        rgb = rgb * in_every_channel(1 - shine, 3) + in_every_channel(shine, 3)
        layer = laid_over(associated(rgb, alpha), layer)
    if rng.random() < 0.5:  # a label, a straw, a flower in the vase
        label = shaded(rng, filled(size, [random_outline(rng, size, share=0.35)]), colours)
        layer = laid_over(label, layer) if rng.random() < 0.5 else laid_over(layer, label)
    return uneven_light(rng, layer, rim=0.0)


def draw_drops(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """A splash, spray, sparks, snow or confetti: small soft discs and streaks of varied alpha."""
    glowing = rng.random() < 0.4
    tint = from_hsv(rng.uniform(0.04, 0.15), rng.uniform(0.2, 0.9), 1.0) if glowing else any_colour(rng) * 0.4 + 0.5
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
    canvas = Canvas(size)
    canvas.ribbons(streaks[::2], radius[::2] * rng.uniform(0.5, 1.6), np.ones((len(streaks[::2]), 3)))
    alpha = np.maximum(alpha, canvas.layer()[..., 3] * rng.uniform(0.4, 1))
    light = 1.05 + 0.5 * smooth_noise(rng, size, first=40, octaves=2)
    layer = associated(tinted(colours, tint, 0.8) * in_every_channel(light, 3), alpha)
    if not glowing or rng.random() < 0.5:  # what is splashed into, or what sparks fly from
        tips = grow_paths(
            rng,
            np.repeat(source[None], 60, 0),
            rng.normal(-np.pi / 2, 0.7, 60),
            size * rng.beta(1, 2, 60) * 0.5,
            8,
            Bend(gravity=0.8, wobble=0.1),
        )
        sheet = Canvas(size)
        sheet.ribbons(
            tips, size * rng.uniform(0.005, 0.04, 60), varied_tones(rng, np.tile(tint, (60, 1)), 0.15), taper=0.97
        )
        sheet.polygons([blob_outline(rng, source, size * rng.uniform(0.06, 0.13), 0.3)], [tint * 0.85])
        layer = laid_over(layer, sheet.layer())
    return uneven_light(rng, layer, rim=0.0)


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
