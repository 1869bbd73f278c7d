"""Foregrounds and backgrounds of training composites: pictures of a pack, or drawn, changed at random.

NumPy and OpenCV only; knows no files. Every layer is display-encoded uint8. Read top to bottom:

    foreground_layer    colours and alpha of one foreground, placed on a square or as it is
    joined_layers       one foreground over another
    background_layer    a photograph, out of focus or not, sometimes with the foreground's colours
    cluttered           another foreground as part of the background
    smoothed            colours without texture
    placed_layer, recoloured, photo_square    parts of these that samples/wide.py uses, too
"""

import cv2
import numpy as np

from hdmatt.samples.composite import mixed
from hdmatt.samples.config import SampleConfig
from hdmatt.samples.drawn.families import procedural_foreground
from hdmatt.samples.packs import Assets

Layer = tuple[np.ndarray, np.ndarray]  # colours H x W x 3, alpha H x W


def foreground_layer(assets: Assets, config: SampleConfig, rng: np.random.Generator) -> Layer:
    """A foreground of the pack or a drawn one, as `config.layout` says."""
    if rng.random() < config.procedural:
        texture = assets.backgrounds[rng.integers(len(assets.backgrounds))] if rng.random() < 0.7 else None
        rgba = procedural_foreground(rng, int(rng.choice(config.drawn)), texture)
    else:
        rgba = assets.foregrounds[rng.integers(len(assets.foregrounds))]
        if config.layout == "placed" and rng.random() < 0.12:
            rgba = _retextured(rgba, assets, rng)
    if config.layout == "whole":
        colours, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
        return _shaded(colours, rng) if config.shade and rng.random() < config.shade else colours, alpha
    colours, alpha = placed_layer(rgba, int(min(max(4 * config.patch, 640), 960)), rng)
    if rng.random() < config.shade:
        colours = _shaded(colours, rng)
    return recoloured(colours, rng), alpha


def _retextured(rgba: np.ndarray, assets: Assets, rng: np.random.Generator) -> np.ndarray:
    """The alpha with the colours of an unrelated photograph: exact, and never seen twice."""
    texture = photo_square(assets, rng, max(rgba.shape[:2]))[: rgba.shape[0], : rgba.shape[1]]
    mix = rng.uniform(0.3, 1)
    blended = cv2.addWeighted(texture, mix, np.ascontiguousarray(rgba[..., :3]), 1 - mix, 0)
    return np.dstack([blended, rgba[..., 3]])


def placed_layer(rgba: np.ndarray, side: int, rng: np.random.Generator) -> Layer:
    """Scaled, turned, stretched, sheared, mirrored and moved on a square of `side` pixels."""
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
    return colours, alpha


def _shaded(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Darker along one direction, down to 0.15 to 0.7 of the light; direction and steepness are drawn."""
    height, width = colours.shape[:2]
    turn, dark = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.7)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y / height - 0.5, x / width - 0.5
    along = (np.cos(turn) * x + np.sin(turn) * y - rng.uniform(-0.25, 0.25)) / rng.uniform(0.03, 0.4)
    light = dark + (1 - dark) / (1 + cv2.exp(-4 * along))
    return (colours * light[..., None].astype(np.float32) + 0.5).astype(np.uint8)


def recoloured(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hue turned, saturation, gain and offset changed, by one 3 x 4 colour matrix; three in ten stay as they are."""
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


def joined_layers(front: Layer, under: Layer) -> Layer:
    """The first layer over the second: alpha = 1 - (1 - a)(1 - b), colours weighted by what is seen of each.

    A second layer of another size is resized to the first's.
    """
    (colours, alpha), (under_colours, under_alpha) = front, under
    if under_alpha.shape != alpha.shape:
        size = alpha.shape[::-1]
        how = cv2.INTER_AREA if under_alpha.size > alpha.size else cv2.INTER_LINEAR
        under_colours, under_alpha = (cv2.resize(layer, size, interpolation=how) for layer in under)
    a, b = alpha.astype(np.float32) / 255, under_alpha.astype(np.float32) / 255
    both = 1 - (1 - a) * (1 - b)
    share = np.where(both > 0, a / np.maximum(both, 1e-6), 1)[..., None].astype(np.float32)
    seen = colours * share + under_colours * (1 - share)
    return (seen + 0.5).astype(np.uint8), (both * 255 + 0.5).astype(np.uint8)


def background_layer(
    assets: Assets, config: SampleConfig, rng: np.random.Generator, colours: np.ndarray, alpha: np.ndarray
) -> np.ndarray:
    """A photograph of the foreground's size; `config` says how often it is blurred, plain, or similar in colour."""
    height, width = alpha.shape
    whole = config.layout == "whole"
    background = _covering_photo(assets, rng, height, width) if whole else photo_square(assets, rng, height)
    kind = rng.random()
    if kind < config.defocus:  # as behind most portraits
        small = cv2.resize(background, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), float(np.exp(rng.uniform(np.log(0.5), np.log(8)))))
        background = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    elif kind < config.defocus + config.wall:
        wall = np.broadcast_to(rng.uniform(0, 255, 3), background.shape).astype(np.uint8)
        background = cv2.addWeighted(background, 0.08, wall, 0.92, 0)
    if rng.random() < config.similar and alpha.any():
        how = rng.random()
        if how > 0.65:
            return _same_colours(colours, background, rng)
        if how < 0.3:
            seen = alpha > 127 if (alpha > 127).any() else alpha > 0
            shift = colours[seen].mean(0) - background.reshape(-1, 3).mean(0)
        else:
            shift = _difference(colours, alpha, background, sigma=float(np.exp(rng.uniform(np.log(8), np.log(60)))))
        background = np.clip(background + shift * rng.uniform(0.4, 1), 0, 255).astype(np.uint8)
    return background


def cluttered(assets: Assets, config: SampleConfig, rng: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """Another foreground over the background, sharp or out of focus."""
    height, width = background.shape[:2]
    colours, alpha = foreground_layer(assets, config, rng)
    if alpha.shape != (height, width):
        colours, alpha = (
            cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA) for layer in (colours, alpha)
        )
    if rng.random() < 0.6:
        sigma = float(np.exp(rng.uniform(np.log(0.5), np.log(6))))
        half = cv2.resize(np.dstack([colours, alpha]), (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        soft = cv2.resize(cv2.GaussianBlur(half, (0, 0), sigma), (width, height), interpolation=cv2.INTER_LINEAR)
        colours, alpha = np.ascontiguousarray(soft[..., :3]), np.ascontiguousarray(soft[..., 3])
    return mixed(colours, alpha, background, float(np.exp(rng.uniform(*np.log(config.tone)))))


def smoothed(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurred over an eighth of the composite or more, and moved towards a random colour."""
    small = cv2.resize(colours, (8, 8), interpolation=cv2.INTER_AREA)
    shift = cv2.addWeighted(small, 0.5, np.broadcast_to(rng.uniform(0, 255, 3), small.shape).astype(np.uint8), 0.5, 0)
    return cv2.resize(shift, colours.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def photo_square(assets: Assets, rng: np.random.Generator, side: int) -> np.ndarray:
    """A random square of a random photograph, side x side x 3."""
    photo = assets.backgrounds[rng.integers(len(assets.backgrounds))]
    height, width = photo.shape[:2]
    cut = int(min(height, width) * rng.uniform(0.45, 1))
    y, x = rng.integers(height - cut + 1), rng.integers(width - cut + 1)
    square = photo[y : y + cut, x : x + cut]
    if rng.random() < 0.5:
        square = square[:, ::-1]
    return cv2.resize(np.ascontiguousarray(square), (side, side), interpolation=cv2.INTER_LINEAR)


def _covering_photo(assets: Assets, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A random part of a random photograph, which is enlarged where it does not cover height x width."""
    photo = assets.backgrounds[rng.integers(len(assets.backgrounds))]
    scale = max(1.0, height / photo.shape[0], width / photo.shape[1])
    if scale > 1:
        size = (max(width, round(photo.shape[1] * scale)), max(height, round(photo.shape[0] * scale)))
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_LINEAR)
    y, x = rng.integers(photo.shape[0] - height + 1), rng.integers(photo.shape[1] - width + 1)
    return np.ascontiguousarray(photo[y : y + height, x : x + width])


def _same_colours(colours: np.ndarray, background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The foreground's colours once more, flipped, moved and out of focus, over the photograph."""
    height, width = colours.shape[:2]
    turned = cv2.flip(colours, int(rng.integers(-1, 2)))
    small = cv2.resize(turned, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    small = np.roll(small, rng.integers(0, max(height, width) // 2, 2), axis=(0, 1))
    small = cv2.GaussianBlur(small, (0, 0), float(np.exp(rng.uniform(np.log(1), np.log(12)))))
    own = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    share = rng.uniform(0.4, 1)
    return cv2.addWeighted(own, share, background, 1 - share, 0)


def _difference(colours: np.ndarray, alpha: np.ndarray, background: np.ndarray, *, sigma: float) -> np.ndarray:
    """The foreground's mean colour nearby, less the background's; means weighted by a Gaussian of `sigma` pixels.

    Computed on a quarter of the size; where there is no foreground within a few sigma, it fades to 0.
    """
    size = (alpha.shape[1] // 4, alpha.shape[0] // 4)
    a, f, b = (
        cv2.resize(layer, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for layer in (alpha, colours, background)
    )
    a = a[..., None] / 255
    weight, painted, plain = (cv2.GaussianBlur(layer, (0, 0), sigma / 4) for layer in (a, a * f, b))
    weight = weight.reshape(a.shape)
    difference = painted / (weight + 1e-3) - plain * weight / (weight + 1e-3)
    return cv2.resize(difference, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
