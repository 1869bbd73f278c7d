"""One training sample: a composite with exact alpha, cut into a group of patches. NumPy and OpenCV only.

Everything follows from (seed, index). The patches of a group come from one composite and serve each other as
context, so each is encoded once a step, exactly as in the engine. Read top to bottom:

    SampleConfig   what is drawn, and how often
    Sample         the arrays a training step needs
    make_sample    (assets, config, seed, index) -> Sample
    _layer, _background, _cluttered, _trimap, _centres, _Canvas, _crop, _field, _composite    its steps
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.overview.known_colours import AROUND, ColourField, FieldBuilder, mirrored
from hdmatt.overview.shrink import Shrinker
from hdmatt.samples.drawn.families import procedural_foreground
from hdmatt.samples.faults import camera_faults
from hdmatt.samples.packs import Assets

STEPS = (3, 4, 6, 8)  # canvas pixels to one of the low-resolution alpha


@dataclass(frozen=True)
class SampleConfig:
    """What is drawn, and how often.

    Attributes:
        patch: Side of a training patch, in pixels.
        crops: Sides of the squares that are cut from a composite and resized to `patch`, as multiples of it
            (the paper's 320, 480, 640 at patch 320).
        group: Patches cut from one composite.
        procedural: Share of foregrounds that are drawn, not taken from a pack.
        drawn: Sides of the drawn foregrounds, in pixels, one of which is taken. They are laid on the canvas at 0.6 to 2
            times its side, so a small one has soft edges and no strand thinner than a few pixels.
        merge: Chance that a second foreground joins the first (paper: "two foregrounds joined").
        similar: Chance that the background takes over the foreground's colour: its mean, or the colour that it has
            nearby, so that strands of a dozen colours have their own tone behind them, or (one in three) all of its
            colours, elsewhere and out of focus: more of the same thing behind it.
        shade: Chance that one side of a foreground lies in shade.
        smooth: Chance that foreground and background colours are blurred until hardly any texture is left: the easy
            case in which a pixel's alpha follows from its colour, for the start of a training.
        faults: Chance of each camera fault.
        band: Largest radius, in pixels of a patch, by which the known parts are eroded (smallest: 1; log-uniform).
        wide: Chance of a very wide unknown band instead, 30 to 110 pixels.
        blunt: Chance that known parts narrower than 8 to 90 pixels of a patch are unknown, as in a trimap drawn by
            hand: nobody marks the holes of a net as background, or a strand as foreground.
        forgotten: Chance that the trimap marks neither holes nor separate pieces: what is enclosed by the foreground
            or lies apart from its largest piece is unknown, however wide, as where only the outside was traced.
        clutter: Chance that another foreground, a thing that is none here, is part of the background.
        tone: Range of the exponent (log-uniform, one a sample) with which colours are mixed,
            C = (a F^t + (1 - a) B^t)^(1/t). 1 mixes display values, as the paper's composites do. Sensors add light,
            and a camera's curve comes after: in photographs it is about 2, and a half-covered pixel is brighter.
        elsewhere: Chance that the last patch of a group is centred anywhere, so that plain F and B occur as context.
    """

    patch: int = 320
    crops: tuple[float, ...] = (1.0, 1.5, 2.0)
    group: int = 4
    procedural: float = 0.3
    drawn: tuple[int, ...] = (480,)
    merge: float = 0.25
    similar: float = 0.15
    shade: float = 0.0
    smooth: float = 0.0
    faults: float = 0.3
    band: float = 30.0
    wide: float = 0.06
    blunt: float = 0.5
    forgotten: float = 0.0
    clutter: float = 0.0
    tone: tuple[float, ...] = (1.0, 1.0)
    elsewhere: float = 0.4


@dataclass(frozen=True)
class Sample:
    """Patches of one composite, G of them, uint8 (alpha, F and B are exact: they define the composite)."""

    image: UInt8[np.ndarray, "g p p 3"]  # with camera faults
    trimap: UInt8[np.ndarray, "g p p"]  # 0, 128, 255
    alpha: UInt8[np.ndarray, "g p p"]
    foreground: UInt8[np.ndarray, "g p p 3"]
    background: UInt8[np.ndarray, "g p p 3"]
    around: Float32[
        np.ndarray, "g n n 82"
    ]  # known colours and small alpha of the whole composite, see overview/known_colours.py


def make_sample(assets: Assets, config: SampleConfig, *, seed: int, index: int) -> Sample:
    """The sample of (seed, index); the same arguments give the same bytes."""
    rng = np.random.default_rng([seed, index])
    side = int(min(max(4 * config.patch, 640), 960))
    colours, alpha = _layer(assets, config, rng, side)
    if rng.random() < config.merge:
        colours, alpha = _join(colours, alpha, *_layer(assets, config, rng, side))
    background = _background(assets, config, rng, side, colours, alpha)
    # no number is drawn at 0 (nor for `forgotten`): samples of older configurations stay what they were
    if config.clutter and rng.random() < config.clutter:
        background = _cluttered(assets, config, rng, background)
    if rng.random() < config.smooth:
        colours, background = _smoothed(colours, rng), _smoothed(background, rng)
    crop = round(config.patch * rng.choice(config.crops))  # one scale: the patches belong to one photograph
    trimap = _trimap(alpha, config, rng, min(crop, side) / config.patch)
    centres, turned, step = _centres(trimap, config, rng), rng.random() < 0.5, int(rng.choice(STEPS))
    tone = float(np.exp(rng.uniform(*np.log(config.tone))))
    clean = _composite(colours, alpha, background, tone)
    photo = camera_faults(clean, rng, probability=config.faults)
    damage = None if photo is clean else photo.astype(np.int16) - clean
    field = _field(photo, trimap, step=step)
    canvas = _Canvas(colours, alpha, background, trimap, damage, photo, tone)
    if crop > config.patch:
        canvas, crop = canvas.shrunk(max(config.patch, round(side * config.patch / crop))), config.patch
    crops = [_crop(canvas, field, centre, side / len(canvas.alpha), crop, config.patch) for centre in centres]
    if turned:
        crops = [(*(cv2.flip(array, 1) for array in pixels), mirrored(around)) for *pixels, around in crops]
    foreground, alpha, background, trimap, image, around = (np.stack(arrays) for arrays in zip(*crops, strict=True))
    return Sample(image, trimap, alpha, foreground, background, around)


def _layer(assets: Assets, config: SampleConfig, rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A foreground on the canvas: colours side x side x 3 and alpha side x side, uint8."""
    if rng.random() < config.procedural:
        texture = assets.backgrounds[rng.integers(len(assets.backgrounds))] if rng.random() < 0.7 else None
        rgba = procedural_foreground(rng, int(rng.choice(config.drawn)), texture)
    else:
        rgba = assets.foregrounds[rng.integers(len(assets.foregrounds))]
        if rng.random() < 0.12:  # an alpha with the colours of an unrelated photograph: exact, and never seen twice
            texture = _photo(assets, rng, max(rgba.shape[:2]))[: rgba.shape[0], : rgba.shape[1]]
            mix = rng.uniform(0.3, 1)
            blended = cv2.addWeighted(texture, mix, np.ascontiguousarray(rgba[..., :3]), 1 - mix, 0)
            rgba = np.dstack([blended, rgba[..., 3]])
    height, width = rgba.shape[:2]
    fit = side / max(height, width)
    scale = fit * float(np.exp(rng.uniform(np.log(0.6), np.log(2.0))))
    turn = np.deg2rad(rng.uniform(-20, 20))
    stretch, shear = float(np.exp(rng.uniform(-0.2, 0.2))), rng.uniform(-0.15, 0.15)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = scale * matrix @ np.array([[stretch, shear], [0, 1 / stretch]])
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    middle = np.array([side / 2, side / 2]) + rng.uniform(-0.3, 0.3, 2) * side * min(1.0, scale / fit)
    offset = middle - matrix @ np.array([width / 2, height / 2])
    affine = np.column_stack([matrix, offset])
    if scale < 0.7:
        rgba = cv2.GaussianBlur(rgba, (0, 0), 0.4 / scale)  # against aliasing
    how = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    alpha = cv2.warpAffine(np.ascontiguousarray(rgba[..., 3]), affine, (side, side), flags=how)
    colours = cv2.warpAffine(
        np.ascontiguousarray(rgba[..., :3]), affine, (side, side), flags=how, borderMode=cv2.BORDER_REPLICATE
    )
    if rng.random() < config.shade:
        colours = _shaded(colours, rng)
    return _jitter(colours, rng), alpha


def _shaded(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Darker along one direction, down to 0.15 to 0.7 of the light; where it turns and how fast is drawn."""
    side = len(colours)
    turn, dark = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.7)
    y, x = np.mgrid[:side, :side].astype(np.float32) / side - 0.5
    along = (np.cos(turn) * x + np.sin(turn) * y - rng.uniform(-0.25, 0.25)) / rng.uniform(0.03, 0.4)
    light = dark + (1 - dark) / (1 + cv2.exp(-4 * along))
    return (colours * light[..., None].astype(np.float32) + 0.5).astype(np.uint8)


def _jitter(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn the hue, scale saturation, gain and offset by one 3 x 4 colour matrix."""
    if rng.random() < 0.3:
        return colours
    hue = np.deg2rad(rng.normal(0, 25))
    saturation, gain, offset = rng.uniform(0.4, 1.4), rng.uniform(0.6, 1.25), rng.uniform(-20, 25)
    axis = np.full((3, 1), 3**-0.5)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) * 3**-0.5
    turn = np.cos(hue) * np.eye(3) + np.sin(hue) * cross + (1 - np.cos(hue)) * axis @ axis.T
    grey = np.full((3, 3), 1 / 3)
    matrix = gain * (grey + saturation * (np.eye(3) - grey)) @ turn
    return cv2.transform(colours, np.column_stack([matrix, np.full(3, offset)]))


def _join(
    colours: np.ndarray, alpha: np.ndarray, under_colours: np.ndarray, under_alpha: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first layer over the second: alpha = 1 - (1 - a)(1 - b), colours weighted by what is seen of each."""
    a, b = alpha.astype(np.float32) / 255, under_alpha.astype(np.float32) / 255
    joined = 1 - (1 - a) * (1 - b)
    share = np.where(joined > 0, a / np.maximum(joined, 1e-6), 1)[..., None].astype(np.float32)
    mixed = colours * share + under_colours * (1 - share)
    return (mixed + 0.5).astype(np.uint8), (joined * 255 + 0.5).astype(np.uint8)


def _photo(assets: Assets, rng: np.random.Generator, side: int) -> np.ndarray:
    """A random square of a random photograph, side x side x 3."""
    photo = assets.backgrounds[rng.integers(len(assets.backgrounds))]
    height, width = photo.shape[:2]
    cut = int(min(height, width) * rng.uniform(0.45, 1))
    y, x = rng.integers(height - cut + 1), rng.integers(width - cut + 1)
    square = photo[y : y + cut, x : x + cut]
    if rng.random() < 0.5:
        square = square[:, ::-1]
    return cv2.resize(np.ascontiguousarray(square), (side, side), interpolation=cv2.INTER_LINEAR)


def _background(
    assets: Assets, config: SampleConfig, rng: np.random.Generator, side: int, colours: np.ndarray, alpha: np.ndarray
) -> np.ndarray:
    background = _photo(assets, rng, side)
    kind = rng.random()
    if kind < 0.5:  # out of focus, as behind most portraits
        small = cv2.resize(background, (side // 4, side // 4), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), float(np.exp(rng.uniform(np.log(0.5), np.log(8)))))
        background = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    elif kind < 0.57:  # a studio wall
        wall = np.broadcast_to(rng.uniform(0, 255, 3), background.shape).astype(np.uint8)
        background = cv2.addWeighted(background, 0.08, wall, 0.92, 0)
    if rng.random() < config.similar and alpha.any():
        how = rng.random()
        if how > 0.65:
            return _of_a_kind(colours, background, rng)
        if how < 0.3:
            seen = alpha > 127 if (alpha > 127).any() else alpha > 0
            shift = colours[seen].mean(0) - background.reshape(-1, 3).mean(0)
        else:
            shift = _difference(colours, alpha, background, sigma=float(np.exp(rng.uniform(np.log(8), np.log(60)))))
        background = np.clip(background + shift * rng.uniform(0.4, 1), 0, 255).astype(np.uint8)
    return background


def _cluttered(assets: Assets, config: SampleConfig, rng: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """Another foreground over the background, sharp or out of focus."""
    side = len(background)
    colours, alpha = _layer(assets, config, rng, side)
    if rng.random() < 0.6:
        sigma = float(np.exp(rng.uniform(np.log(0.5), np.log(6))))
        half = cv2.resize(np.dstack([colours, alpha]), (side // 2, side // 2), interpolation=cv2.INTER_AREA)
        soft = cv2.resize(cv2.GaussianBlur(half, (0, 0), sigma), (side, side), interpolation=cv2.INTER_LINEAR)
        colours, alpha = np.ascontiguousarray(soft[..., :3]), np.ascontiguousarray(soft[..., 3])
    return _composite(colours, alpha, background, float(np.exp(rng.uniform(*np.log(config.tone)))))


def _of_a_kind(colours: np.ndarray, background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The foreground's colours once more, turned round, moved and out of focus, over the photograph."""
    side = len(colours)
    turned = cv2.flip(colours, int(rng.integers(-1, 2)))
    small = cv2.resize(turned, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
    small = np.roll(small, rng.integers(0, side // 2, 2), axis=(0, 1))
    small = cv2.GaussianBlur(small, (0, 0), float(np.exp(rng.uniform(np.log(1), np.log(12)))))
    own = cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)
    share = rng.uniform(0.4, 1)
    return cv2.addWeighted(own, share, background, 1 - share, 0)


def _difference(colours: np.ndarray, alpha: np.ndarray, background: np.ndarray, *, sigma: float) -> np.ndarray:
    """What the foreground's colour is nearby, less the background's; means weighted by a Gaussian of `sigma` pixels.

    Computed on a quarter of the canvas; where there is no foreground within a few sigma, it fades to 0.
    """
    size = (len(alpha) // 4,) * 2
    a, f, b = (cv2.resize(map_, size, interpolation=cv2.INTER_AREA).astype(np.float32) for map_ in
               (alpha, colours, background))  # fmt: skip
    a = a[..., None] / 255
    weight, painted, plain = (cv2.GaussianBlur(map_, (0, 0), sigma / 4) for map_ in (a, a * f, b))
    weight = weight.reshape(a.shape)
    difference = painted / (weight + 1e-3) - plain * weight / (weight + 1e-3)
    return cv2.resize(difference, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _smoothed(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurred over an eighth of the canvas or more, and moved towards a random colour."""
    side = len(colours)
    small = cv2.resize(colours, (8, 8), interpolation=cv2.INTER_AREA)
    shift = cv2.addWeighted(small, 0.5, np.broadcast_to(rng.uniform(0, 255, 3), small.shape).astype(np.uint8), 0.5, 0)
    return cv2.resize(shift, (side, side), interpolation=cv2.INTER_CUBIC)


def _trimap(alpha: np.ndarray, config: SampleConfig, rng: np.random.Generator, scale: float) -> np.ndarray:
    """Erode the surely known parts of the alpha by two independent radii of 1 to 30 pixels, now and then more.

    `scale` is canvas pixels to one of the patch's: what is cut small keeps bands as wide as the network sees them.
    """
    radii = np.exp(rng.uniform(0, np.log(config.band), 2))
    if rng.random() < config.wide:
        radii = rng.uniform(30, 110, 2)
    radii = radii * scale
    front, back = (alpha >= 253).astype(np.uint8), (alpha <= 2).astype(np.uint8)
    if rng.random() < config.blunt:
        brush = float(np.exp(rng.uniform(np.log(4), np.log(45)))) * scale
        wide_front, wide_back = _opened(front, brush), _opened(back, brush)
        front = wide_front if wide_front.any() else front  # something must be known
        back = wide_back if wide_back.any() else back
    if config.forgotten and rng.random() < config.forgotten:
        front, back = _largest(front), _outside(back)
    # whoever draws a trimap marks some of each: no more is eroded than leaves the inmost part
    depths = [cv2.distanceTransform(mask, cv2.DIST_L2, 3) for mask in (front, back)]
    foreground, background = (d > min(r, 0.6 * d.max()) for d, r in zip(depths, radii, strict=True))
    return np.where(foreground, 255, np.where(background, 0, 128)).astype(np.uint8)


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if len(stats) < 2:
        return mask
    return (pieces == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)


def _outside(mask: np.ndarray) -> np.ndarray:
    """The pieces that reach the border; all of them where none does."""
    _, pieces = cv2.connectedComponents(mask, connectivity=4)
    border = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    found = np.isin(pieces, border[border > 0]).astype(np.uint8)
    return found if found.any() else mask


def _opened(mask: np.ndarray, radius: float) -> np.ndarray:
    """Morphological opening by a disc: what a round brush of that radius can paint without leaving the mask."""
    core = cv2.distanceTransform(mask, cv2.DIST_L2, 3) > radius
    if not core.any():  # the distance to nothing
        return np.zeros_like(mask)
    return (cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 3) <= radius).astype(np.uint8) & mask


def _centres(trimap: np.ndarray, config: SampleConfig, rng: np.random.Generator) -> list[tuple[int, int]]:
    unknown = np.flatnonzero(trimap[::4, ::4] == 128)
    across = trimap[::4, ::4].shape[1]
    anywhere = rng.random() < config.elsewhere
    centres = []
    for i in range(config.group):
        if len(unknown) == 0 or (anywhere and i == config.group - 1):
            y, x = rng.integers(0, trimap.shape[0], 2)
        else:
            y, x = np.array(divmod(int(rng.choice(unknown)), across)) * 4 + rng.integers(0, 4, 2)
        centres.append((int(y), int(x)))
    return centres


class _Canvas(NamedTuple):
    """A composite and what it is made of, all of one size; `damage` is what the camera did to it."""

    colours: np.ndarray
    alpha: np.ndarray
    background: np.ndarray
    trimap: np.ndarray
    damage: np.ndarray | None
    photo: np.ndarray
    tone: float

    def shrunk(self, side: int) -> "_Canvas":
        """All patches of a canvas have one scale: it is shrunk once, and composed once."""
        return self.resized(np.s_[:, :], side)

    def resized(self, square: tuple[slice, slice], side: int) -> "_Canvas":
        """The picture is the exact composite at the new size, and what the camera did at the old one, resized."""
        colours, alpha, background = (
            cv2.resize(layer[square], (side, side), interpolation=cv2.INTER_AREA)
            for layer in (self.colours, self.alpha, self.background)
        )
        trimap = cv2.resize(self.trimap[square], (side, side), interpolation=cv2.INTER_NEAREST)
        photo, damage = _composite(colours, alpha, background, self.tone), self.damage
        if damage is not None:
            damage = cv2.resize(damage[square], (side, side), interpolation=cv2.INTER_AREA)
            photo = np.clip(photo + damage, 0, 255).astype(np.uint8)
        return _Canvas(colours, alpha, background, trimap, damage, photo, self.tone)


def _crop(
    canvas: _Canvas, field: ColourField, centre: tuple[int, int], scale: float, side: int, patch: int
) -> tuple[np.ndarray, ...]:
    """F, alpha, B, trimap, picture and surroundings of the square around `centre`, moved inside, resized to the patch.

    Args:
        field: Of the canvas as it was before it was shrunk.
        centre: On that canvas.
        scale: Pixels of that canvas to one of this.
        side: Of the square, in pixels of this canvas.
    """
    side = min(side, len(canvas.alpha))
    y, x = (min(max(round(c / scale) - side // 2, 0), len(canvas.alpha) - side) for c in centre)
    square = np.s_[y : y + side, x : x + side]
    if side != patch:
        canvas, square = canvas.resized(square, patch), np.s_[:, :]
    alpha, trimap = canvas.alpha[square], canvas.trimap[square]
    wrong = ((trimap == 255) & (alpha < 250)) | ((trimap == 0) & (alpha > 5))
    around = field.around(y * scale, x * scale, size=side * scale, patch=patch)
    honest = np.where(wrong, 128, trimap).astype(np.uint8)
    return canvas.colours[square], alpha, canvas.background[square], honest, canvas.photo[square], around


def _field(photo: np.ndarray, trimap: np.ndarray, *, step: int) -> ColourField:
    """Of the whole picture: its colours from an eighth of its size, its alpha from squares of `step` pixels."""
    small = tuple(side // 8 for side in trimap.shape)
    image = cv2.resize(photo, small, interpolation=cv2.INTER_AREA) / np.float32(255)
    marks = np.ascontiguousarray(trimap[4::8, 4::8][: small[0], : small[1]])
    builder = FieldBuilder(cell=AROUND // 8, step=1)
    for y in range(0, len(marks), builder.cell):
        builder.add(image[y : y + builder.cell], marks[y : y + builder.cell])
    shrinker = Shrinker(step)
    shrinker.add(photo / np.float32(255), trimap)
    return ColourField(builder.moments(), float(AROUND), shrinker.alpha(), float(step))


def _composite(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray, tone: float) -> np.ndarray:
    """C = (a F^tone + (1 - a) B^tone)^(1 / tone), colours in [0, 1]; uint8 in and out, rounded once."""
    a: Float32[np.ndarray, "h w 3"] = cv2.merge([alpha.astype(np.float32) / 255] * 3)
    light = np.arange(256, dtype=np.float32) if tone == 1 else ((np.arange(256) / 255) ** tone).astype(np.float32)
    mixed, behind = cv2.LUT(foreground, light), cv2.LUT(background, light)
    mixed *= a
    behind *= 1 - a
    mixed += behind
    if tone != 1:
        mixed = 255 * cv2.pow(mixed, 1 / tone)
    mixed += np.float32(0.5)
    return mixed.astype(np.uint8)
