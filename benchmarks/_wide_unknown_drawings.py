"""The drawings of the wide-unknown test set. NumPy and OpenCV only; nothing of the training's drawings is used.

A drawing is an RGBA layer of the test set's size with associated ("premultiplied") colours in [0, 1], display-encoded,
and the part of it that a trimap is sure of. Read top to bottom:

    Drawing      a layer, and its sure foreground
    Canvas       antialiased strokes and polygons, drawn at twice the size
    sieve, net, dandelion, urchin      things full of holes
    bulb, wineglass, bottle, smoke     things to look through
    held_object, lone_object           solid things with a photograph as their texture
    hair                               a head of long or curly hair
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

WIDTH, HEIGHT = 1500, 1000
TWICE = 2
TAU = 2 * np.pi
Points = Float[np.ndarray, "n 2"]  # x, y in pixels
Layer = Float32[np.ndarray, "h w 4"]
Photo = UInt8[np.ndarray, "h w 3"]
Random = np.random.Generator


class Drawing(NamedTuple):
    """A layer with associated colours, and where a trimap says foreground."""

    layer: Layer
    sure: Bool[np.ndarray, "h w"] | None = None


class Canvas:
    """Antialiased shapes, the later over the earlier, in 8 bits at twice the size."""

    def __init__(self) -> None:
        self.pixels = np.zeros((HEIGHT * TWICE, WIDTH * TWICE, 4), np.uint8)

    def stroke(self, points: Points, width: float, colour: np.ndarray, strength: float = 1.0) -> None:
        """A line through points, `width` pixels wide; thinner than a pixel it is fainter."""
        strength *= min(1.0, width * TWICE)
        tone = [*(np.clip(colour, 0, 1) * 255 * strength), 255 * strength]
        thick = max(1, round(width * TWICE))
        cv2.polylines(self.pixels, [_fixed(points)], False, tone, thick, cv2.LINE_AA, 4)

    def tube(self, points: Points, width: float, colour: np.ndarray, shine: float = 0.6) -> None:
        """A round wire: dark edges and a bright middle that lies a little up and left."""
        for part, light in ((1.0, 0.45), (0.7, 0.8), (0.4, 1.0), (0.18, 1 + shine)):
            self.stroke(points - 0.12 * (1 - part) * width, width * part, colour * light)

    def polygon(self, outline: Points, colour: np.ndarray) -> None:
        cv2.fillPoly(self.pixels, [_fixed(outline)], [*(np.clip(colour, 0, 1) * 255), 255], cv2.LINE_AA, 4)

    def spike(self, root: np.ndarray, tip: np.ndarray, width: float, colour: np.ndarray) -> None:
        """A straight spine that ends in a point, one half of it in shade."""
        along = (tip - root) / max(float(np.hypot(*(tip - root))), 1e-6)
        aside = np.array([-along[1], along[0]]) * width / 2
        self.polygon(np.array([root + aside, tip, root - aside]), colour)
        self.polygon(np.array([root + aside, tip, root]), colour * 0.6)

    def layer(self) -> Layer:
        small = cv2.resize(self.pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / 255


def sieve(rng: Random) -> Drawing:
    """A wire sieve held up, its near and its far side one behind the other, with a rim and a handle."""
    canvas, centre = Canvas(), np.array([rng.uniform(600, 850), rng.uniform(330, 430)])
    wide, flat, deep = rng.uniform(380, 470), rng.uniform(0.25, 0.6), rng.uniform(250, 380)
    turn, pitch, metal = rng.uniform(0, TAU), rng.uniform(0.035, 0.075), _metal(rng)
    wire = wide * pitch * rng.uniform(0.14, 0.24)
    for angle in (turn, turn + TAU / 4):
        for across in np.arange(-1 + pitch / 2, 1, pitch):
            half = np.sqrt(1 - across**2)
            along = np.linspace(-half, half, 80)
            x = along * np.cos(angle) - across * np.sin(angle)
            y = along * np.sin(angle) + across * np.cos(angle)
            bowl = np.stack([wide * x, wide * flat * y + deep * np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))], 1)
            canvas.tube(centre + bowl, wire, metal * rng.uniform(0.7, 1.2), shine=rng.uniform(0.3, 1.2))
    rim = np.linspace(0, TAU, 200)
    canvas.tube(centre + wide * np.stack([np.cos(rim), flat * np.sin(rim)], 1), 16, metal * 1.1)
    grip = np.array([[wide, 0], [wide + 380, rng.uniform(-160, 60)]])
    canvas.tube(centre + grip, 26, metal)
    return Drawing(_mirroring(rng, canvas.layer()))


def net(rng: Random) -> Drawing:
    """A net or a wire fence across the picture, of diamonds or squares, sagging, with knots and a rope above."""
    canvas, pitch = Canvas(), rng.uniform(34, 80)
    thread, colour, shift = pitch * rng.uniform(0.06, 0.16), _any_colour(rng), rng.uniform(0, TAU, 4)
    down, across = int(1250 / pitch), int(1900 / pitch)
    top = rng.uniform(60, 170)

    def knot(i: np.ndarray, j: np.ndarray) -> Points:
        x, y = (j - across / 2) * pitch + WIDTH / 2, i * pitch * 0.9 + top
        sag = 26 * np.sin(x / 260 + shift[0]) * (1 + i / down) + 12 * np.sin(y / 90 + shift[1])
        return np.stack([x + 18 * np.sin(y / 140 + shift[2]) + 7 * np.sin(x / 50 + shift[3]), y + sag], 1)

    lines, ends = np.linspace(0, down, 12 * down), np.linspace(0, across, 12 * across)
    slanted = rng.random() < 0.6
    for j in range(-down if slanted else 0, across + down if slanted else across):
        for lean in (1, -1) if slanted else (0,):
            canvas.tube(knot(lines, j + lean * lines / 2), thread, colour * rng.uniform(0.8, 1.15))
    if not slanted:
        for i in range(1, down):
            canvas.tube(knot(np.full(len(ends), i), ends), thread, colour * rng.uniform(0.8, 1.15))
    canvas.tube(knot(np.zeros(len(ends)), ends), 4 * thread, _any_colour(rng))
    return Drawing(canvas.layer())


def dandelion(rng: Random) -> Drawing:
    """A dandelion's clock: filaments all around a seed head, each with a parasol of fine hairs."""
    canvas = Canvas()
    centre, radius = np.array([rng.uniform(500, 1000), rng.uniform(400, 480)]), rng.uniform(280, 360)
    stem = np.linspace(0, 1, 40)[:, None] * np.array([rng.uniform(-150, 150), 640]) + centre
    canvas.tube(stem + 20 * np.sin(np.linspace(0, 3, 40))[:, None] * [1, 0], 16, np.array([0.45, 0.55, 0.3]))
    tone = np.array([0.93, 0.92, 0.88]) * rng.uniform(0.75, 1.05)
    directions = rng.normal(0, 1, (int(rng.integers(140, 240)), 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for direction in sorted(directions, key=lambda one: one[2]):
        tip = centre + radius * direction[:2]
        canvas.stroke(np.array([centre + 26 * direction[:2], tip]), 1.1, tone * 0.85)
        for angle in rng.uniform(0, TAU, 22):
            spread = np.array([np.cos(angle), np.sin(angle) * (0.35 + 0.65 * abs(direction[2]))])
            end = tip + rng.uniform(40, 66) * (0.5 * direction[:2] + spread)
            canvas.stroke(np.array([tip, (tip + end) / 2 + rng.normal(0, 2, 2), end]), 0.55, tone, strength=0.8)
    canvas.polygon(centre + 30 * _circle(40), np.array([0.4, 0.33, 0.2]))
    return Drawing(canvas.layer())


def urchin(rng: Random) -> Drawing:
    """A ball of spines, of two colours that are nowhere else."""
    canvas = Canvas()
    centre, radius = np.array([rng.uniform(620, 880), rng.uniform(450, 550)]), rng.uniform(110, 170)
    first, second = _any_colour(rng), _any_colour(rng)
    directions = rng.normal(0, 1, (int(rng.integers(320, 520)), 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    canvas.polygon(centre + radius * _circle(90), first * 0.4)
    for direction in sorted(directions, key=lambda one: one[2]):
        root = centre + 0.95 * radius * direction[:2]
        tip = root + rng.uniform(180, 300) * direction[:2] + rng.normal(0, 14, 2)
        share = rng.random()
        canvas.spike(root, tip, rng.uniform(5, 12), (share * first + (1 - share) * second) * rng.uniform(0.6, 1.1))
    return Drawing(canvas.layer())


def bulb(rng: Random) -> Drawing:
    """A clear light bulb with its wires and a metal cap."""
    y = np.linspace(90, 900, 811)
    profile = np.interp(y, [90, 110, 180, 330, 470, 600, 690, 740], [0, 90, 200, 285, 265, 160, 112, 105])
    profile[y > 740] = 0
    where = rng.uniform(560, 940)
    layer, canvas = _turned_glass(rng, _smooth(profile), y, where, thin=0.05), Canvas()
    cap, wire = _metal(rng), _metal(rng) * 0.6
    for row in np.arange(735, 900, 2):
        bulge = 108 + 7 * np.sin(row / 6.5) - 60 * max(0, (row - 860) / 40)
        bright = 0.6 + 0.5 * np.sin(row / 6.5 + 1)
        for part, light in ((1, 0.5), (0.8, 0.9), (0.35, 1.3)):
            canvas.stroke(
                np.array([[where - bulge * part, row], [where + bulge * part * 0.8, row]]), 2, cap * bright * light
            )
    for side in (-1, 1):
        leg = np.array([[where + 18 * side, 740], [where + 30 * side, 560], [where + 95 * side, 380]])
        canvas.tube(leg, 4, wire)
    along = np.linspace(-95, 95, 400)
    coil = np.stack([where + along, 380 + 40 * np.cos(along / 62) + 7 * np.sin(along)], 1)
    canvas.tube(coil, 2.2, np.array([0.55, 0.4, 0.25]))
    return Drawing(_over(layer, canvas.layer()))


def wineglass(rng: Random) -> Drawing:
    """A wine glass, empty or with something red or yellow in it."""
    y, where = np.linspace(60, 950, 891), rng.uniform(560, 940)
    bowl = [rng.uniform(150, 200), rng.uniform(190, 240), rng.uniform(150, 210)]
    profile = np.interp(y, [60, 200, 340, 460, 520, 560, 850, 900, 940, 950], [*bowl, 90, 30, 14, 12, 60, 190, 195])
    layer = _turned_glass(rng, _smooth(profile), y, where, thin=0.06)
    if rng.random() < 0.6:
        level, wine = rng.uniform(200, 330), np.array([[0.45, 0.02, 0.1], [0.85, 0.7, 0.25]])[int(rng.integers(2))]
        full = np.where((y > level) & (y < 520), profile - 8, 0)
        inside = _revolved(full, y, where)[0] * rng.uniform(0.45, 0.85)
        layer = _over(layer, _filled(inside.astype(np.float32), wine))
    return Drawing(layer)


def bottle(rng: Random) -> Drawing:
    """A coloured bottle."""
    y = np.linspace(50, 960, 911)
    wide = rng.uniform(120, 175)
    profile = np.interp(y, [50, 80, 300, 420, 930, 960], [40, 36, 46, wide, wide, wide - 18])
    return Drawing(_turned_glass(rng, _smooth(profile), y, rng.uniform(560, 940), thin=rng.uniform(0.3, 0.55)))


def smoke(rng: Random) -> Drawing:
    """Smoke from one or more sources: particles that whirling air carries away, denser where they stay together."""
    density, number = np.zeros((HEIGHT, WIDTH), np.float32), 260_000
    speed = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    for cells, weight in ((4, 1500), (9, 1100), (24, 420)):  # whirls: the gradient of noise, turned by a right angle
        down, right = np.gradient(_noise(rng, cells))
        speed += weight * np.stack([down, -right], 2)
    sources = rng.uniform(400, 1100, int(rng.integers(1, 4)))
    x = rng.choice(sources, number) + rng.normal(0, 55, number)
    y, age = 980 + rng.normal(0, 30, number), 110 * rng.random(number) ** 0.7
    for step in range(110):
        at = np.clip(y, 0, HEIGHT - 1).astype(int), np.clip(x, 0, WIDTH - 1).astype(int)
        moved, now = speed[at] * (0.3 + step / 80), age > step
        x, y = x + now * moved[:, 0], y + now * (moved[:, 1] - 7.5)
    inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
    np.add.at(density, (y[inside].astype(int), x[inside].astype(int)), 1)
    density = cv2.GaussianBlur(density, (0, 0), 2.0) + cv2.GaussianBlur(density, (0, 0), 9)
    alpha = 1 - np.exp(-density * rng.uniform(0.5, 1.1) / np.quantile(density[density > 0.05], 0.8))
    alpha[alpha < 0.004] = 0
    shade = np.clip(0.85 + 0.3 * (cv2.GaussianBlur(alpha, (0, 0), 20) - alpha), 0, 1)[..., None]
    return Drawing(_filled(alpha.astype(np.float32), _grey(rng) * shade))


def held_object(rng: Random, texture: Photo) -> Drawing:
    """A figure, which the trimap is sure of, and something with colours of its own in its hand, which it is not."""
    canvas, coat = Canvas(), _any_colour(rng)
    where = np.array([rng.uniform(350, 500), 640.0])
    for offset, radius in (([0, 190], 300), ([0, -140], 165)):
        for part, light in ((1.0, 0.75), (0.85, 0.95), (0.6, 1.1)):
            outline = where + offset + radius * part * _blob(rng)
            canvas.polygon(outline, coat * light)
    figure = canvas.layer()
    hand = where + [290, -60]
    arm = Canvas()
    arm.tube(np.array([where + [120, 120], hand]), 70, coat)
    stick = Canvas()
    stick.tube(np.array([hand + [0, 180], hand + [40, -470]]), 14, _any_colour(rng) * 0.6)
    thing = _textured(rng, _outline(rng) * [330, 230] + hand + [330, -250], texture)
    layer = _over(_over(arm.layer(), figure), _over(thing, stick.layer()))
    sure = cv2.erode((figure[..., 3] > 0.99).astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
    return Drawing(layer, sure)


def lone_object(rng: Random, texture: Photo) -> Drawing:
    """One or more solid things with a photograph as their texture; the trimap is sure of none of them."""
    layer = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        where = rng.uniform([450, 350], [1050, 650])
        outline = _outline(rng) * rng.uniform(200, 360) + where
        layer = _over(_textured(rng, outline, texture), layer)
    return Drawing(layer)


def hair(rng: Random) -> Drawing:
    """A head with long or curly hair; the trimap is sure of the face and of what lies deep inside."""
    canvas, middle = Canvas(), np.array([WIDTH / 2 + rng.uniform(-120, 120), 430.0])
    skin, dark = np.array([0.85, 0.65, 0.55]) * rng.uniform(0.35, 1.05), _hair_colour(rng)
    tips = np.clip(dark + rng.uniform(0, 0.35) * (np.array([0.95, 0.8, 0.6]) - dark), 0, 1)
    canvas.polygon(middle + _circle(90) * [170, 215], dark * 0.7)
    curl, long = rng.uniform(0.0, 26), rng.uniform(240, 480)
    waves, steps = rng.uniform(2, 9), np.linspace(0, 1, 34)
    for number in range(9000):
        stray = number % 12 == 0
        angle = rng.uniform(0.53, 1.47) * TAU * (1 if rng.random() < 0.5 else -1) / 2 + TAU / 4
        root = middle + [165 * np.cos(angle), -205 * abs(np.sin(angle)) * rng.uniform(0.5, 1)]
        fall = np.array([np.sign(np.cos(angle)) * rng.uniform(20, 150), long * rng.uniform(0.7, 1.25)])
        lift = np.array([np.cos(angle), -abs(np.sin(angle))]) * rng.uniform(40, 110) * (1 + 1.6 * stray)
        path = (
            root
            + steps[:, None] * 2 * lift * (1 - steps[:, None])
            + steps[:, None] ** 1.6 * fall * (0.7 if stray else 1)
        )
        phase = rng.uniform(0, TAU, 2) if stray else np.array([angle * 9, angle * 7])
        sway = np.stack([np.sin(TAU * waves * steps + phase[0]), np.cos(TAU * waves * steps + phase[1])], 1)
        path = path + (curl * (1 + stray)) * steps[:, None] * sway + rng.normal(0, 5 + 9 * stray, 2)
        share, bright = rng.random(), rng.uniform(0.6, 1.25)
        colour = (dark * (1 - share) + tips * share) * bright
        for first in range(0, 33, 3):  # light falls along the strand
            light = 0.75 + 0.45 * np.sin(3 + 5 * steps[first] + phase[0] * 0.1)
            canvas.stroke(path[first : first + 4], rng.uniform(0.7, 1.6) * (1 - 0.5 * steps[first]), colour * light)
    canvas.polygon(middle + [0, 40] + _circle(90) * [132, 180], skin)
    canvas.polygon(middle + [-14, 20] + _circle(90) * [95, 130], skin * 1.08)
    layer = canvas.layer()
    inside = cv2.distanceTransform((layer[..., 3] > 0.99).astype(np.uint8), cv2.DIST_L2, 5)
    return Drawing(layer, inside > 60)


def _turned_glass(rng: Random, profile: np.ndarray, y: np.ndarray, where: float, *, thin: float) -> Layer:
    """Glass of a profile: dark and bright lines along its edges, a tint, and lights that it mirrors."""
    inside, place = _revolved(profile, y, where)
    edge = inside * np.clip(np.abs(place), 0, 1) ** rng.uniform(5, 9)
    bright, tint = _noise(rng, 4)[..., None] > 0.5, _any_colour(rng) if thin > 0.2 else _grey(rng)
    layer = _filled((inside * thin).astype(np.float32), tint)
    layer = _over(_filled((0.85 * edge).astype(np.float32), np.where(bright, 0.85, 0.12) * np.ones(3)), layer)
    for _ in range(int(rng.integers(2, 5))):
        at, wide = rng.uniform(-0.8, 0.8), rng.uniform(0.02, 0.09)
        lit = np.exp(-(((place - at) / wide) ** 4)) * (_noise(rng, 7) > rng.uniform(0.3, 0.6))
        lit = cv2.GaussianBlur((inside * lit).astype(np.float32), (0, 0), 1.2) * rng.uniform(0.35, 0.95)
        layer = _over(_filled(lit, np.full(3, rng.uniform(0.85, 1))), layer)
    return layer


def _revolved(profile: np.ndarray, y: np.ndarray, where: float) -> tuple[np.ndarray, np.ndarray]:
    """Coverage of a solid of revolution, and the place across it: -1 at its left edge, 1 at its right one."""
    radius = np.interp(np.arange(HEIGHT), y, profile, left=0, right=0)[:, None]
    aside = np.arange(WIDTH)[None] - where
    return np.clip(radius - np.abs(aside) + 0.5, 0, 1) * (radius > 1), np.clip(aside / np.maximum(radius, 1), -1.5, 1.5)


def _textured(rng: Random, outline: Points, texture: Photo) -> Layer:
    """A solid of an outline with a part of a photograph on it, folds of light and shade, and a soft edge."""
    mask = np.zeros((HEIGHT * TWICE, WIDTH * TWICE), np.uint8)
    cv2.fillPoly(mask, [_fixed(outline)], 255, cv2.LINE_AA, 4)
    mask = cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    alpha = cv2.GaussianBlur(mask, (0, 0), float(rng.choice([0.6, 1.0, 2.0, 4.0])))
    alpha = np.where(alpha < 1 / 255, 0, alpha)
    colours = cv2.flip(covering(texture, WIDTH, HEIGHT), int(rng.integers(-1, 2))).astype(np.float32) / 255
    folds = 0.75 + 0.5 * _noise(rng, int(rng.integers(3, 9)))
    return _filled(alpha, np.clip(colours * folds[..., None], 0, 1))


def covering(photo: Photo, width: int, height: int, *, left: float = 0.5, top: float = 0.5) -> Photo:
    """A part of a photograph of the given size; a smaller photograph is enlarged."""
    scale = max(1.0, width / photo.shape[1], height / photo.shape[0])
    if scale > 1:
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    y, x = round((photo.shape[0] - height) * top), round((photo.shape[1] - width) * left)
    return np.ascontiguousarray(photo[max(y, 0) :, max(x, 0) :][:height, :width])


def _outline(rng: Random) -> Points:
    """One of six outlines around 0, about 1 large."""
    angle = np.linspace(0, TAU, 240, endpoint=False)
    kind, turn = int(rng.integers(6)), rng.uniform(0, TAU)
    if kind == 0:  # a waving flag
        x = np.linspace(-1, 1, 60)
        wave = 0.13 * np.sin(4 * x + turn)
        return np.concatenate([np.stack([x, wave - 0.7], 1), np.stack([x, wave + 0.7], 1)[::-1]])
    if kind == 1:  # a star
        radius = np.where(np.arange(240) // 24 % 2 == 0, 1.0, 0.45)
    elif kind == 2:  # a gear
        radius = np.where(np.sin(14 * angle) > 0, 1.0, 0.82)
    elif kind == 3:  # a flower
        radius = 0.72 + 0.28 * np.abs(np.sin(2.5 * angle))
    elif kind == 4:  # a polygon
        corners = int(rng.integers(3, 7))
        radius = np.cos(TAU / 2 / corners) / np.cos(np.mod(angle, TAU / corners) - TAU / 2 / corners)
    else:
        return _blob(rng)
    return radius[:, None] * np.stack([np.cos(angle + turn), np.sin(angle + turn)], 1)


def _blob(rng: Random) -> Points:
    angle = np.linspace(0, TAU, 240, endpoint=False)
    bumps = sum(rng.normal(0, 0.12 / k) * np.cos(k * angle + rng.uniform(0, TAU)) for k in range(2, 7))
    return (1 + bumps)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)


def _mirroring(rng: Random, layer: Layer) -> Layer:
    """Metal that mirrors bright and dark things around."""
    light = 0.5 + 1.1 * _noise(rng, 6)[..., None]
    return np.concatenate([np.minimum(layer[..., :3] * light, layer[..., 3:]), layer[..., 3:]], 2).astype(np.float32)


def _filled(alpha: Float32[np.ndarray, "h w"], colours: np.ndarray) -> Layer:
    return np.concatenate([alpha[..., None] * np.clip(colours, 0, 1), alpha[..., None]], 2).astype(np.float32)


def _over(front: Layer, back: Layer) -> Layer:
    return front + back * (1 - front[..., 3:])


def _noise(rng: Random, cells: int) -> Float32[np.ndarray, "h w"]:
    """Smooth noise from 0 to 1, about `cells` waves across."""
    small = rng.random((max(2, cells * 2 // 3), cells)).astype(np.float32)
    return np.clip(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), 0, 1)


def _smooth(profile: np.ndarray) -> np.ndarray:
    kept = profile > 0
    return cv2.GaussianBlur(profile[:, None], (1, 0), 0, sigmaY=14)[:, 0] * kept


def _circle(points: int) -> Points:
    angle = np.linspace(0, TAU, points, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _fixed(points: Points) -> np.ndarray:
    return (((points + 0.5) * TWICE - 0.5) * 16).astype(np.int32)


def _any_colour(rng: Random) -> np.ndarray:
    return rng.uniform(0.05, 0.95, 3)


def _grey(rng: Random) -> np.ndarray:
    return np.clip(rng.uniform(0.6, 0.95) + rng.normal(0, 0.02, 3), 0, 1)


def _metal(rng: Random) -> np.ndarray:
    return rng.uniform(0.4, 0.75) * np.array([1, rng.uniform(0.85, 1), rng.uniform(0.6, 1.05)])


def _hair_colour(rng: Random) -> np.ndarray:
    tones: Sequence[Sequence[float]] = (
        (0.09, 0.06, 0.05),
        (0.3, 0.17, 0.1),
        (0.6, 0.42, 0.24),
        (0.5, 0.2, 0.08),
        (0.7, 0.68, 0.66),
    )
    return np.array(tones[int(rng.integers(len(tones)))]) * rng.uniform(0.8, 1.2)


DRAWINGS: dict[str, Callable[..., Drawing]] = {
    one.__name__: one
    for one in (
        sieve, net, dandelion, urchin, bulb, wineglass, bottle, smoke, held_object, lone_object, hair,
    )
}  # fmt: skip
