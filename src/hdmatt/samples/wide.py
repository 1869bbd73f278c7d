"""Composites with wide unknown parts: things that no colour of the known parts tells. NumPy and OpenCV only.

PictureLayers      foreground, alpha and background of a composite, and what of it is unknown as a whole
composite_layers   (assets, config, rng) -> Layers
attached           a solid thing with a photograph as its texture, held by the foreground or beside it
enlarged_layers    a part of the layers, many pixels to one, as fur at 100 % of a large photograph
widened_unknown    a trimap that knows nothing of a part
"""

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.samples.config import SampleConfig
from hdmatt.samples.drawn.families import HOLLOW, draw_family
from hdmatt.samples.drawn.shapes import random_outline
from hdmatt.samples.drawn.strokes import filled
from hdmatt.samples.layers import (
    Layer,
    background_layer,
    cluttered,
    foreground_layer,
    joined_layers,
    photo_square,
    placed_layer,
    recoloured,
    smoothed,
)
from hdmatt.samples.packs import Assets


class PictureLayers(NamedTuple):
    """What a composite is made of; `unknown` (0 or 1) marks what a trimap must not know, None for nothing."""

    colours: np.ndarray
    alpha: np.ndarray
    background: np.ndarray
    unknown: np.ndarray | None


def composite_layers(assets: Assets, config: SampleConfig, rng: np.random.Generator) -> PictureLayers:
    """Foreground and background of one sample, as `config` says how often.

    Nothing is drawn for a chance of 0, so that samples of older configurations keep their bytes.
    """
    hollow = bool(config.hollow) and rng.random() < config.hollow
    colours, alpha = _hollow(assets, config, rng) if hollow else foreground_layer(assets, config, rng)
    if not hollow and rng.random() < config.merge:
        colours, alpha = joined_layers((colours, alpha), foreground_layer(assets, config, rng))
    busy = replace(config, defocus=0.15, wall=0.0) if hollow else config
    background = background_layer(assets, busy, rng, colours, alpha)
    if config.clutter and rng.random() < config.clutter:
        background = cluttered(assets, config, rng, background)
    if rng.random() < config.smooth:
        colours, background = smoothed(colours, rng), smoothed(background, rng)
    unknown = (alpha > 0).astype(np.uint8) if hollow else None
    if config.attached and rng.random() < config.attached:
        (colours, alpha), thing = attached(assets, rng, (colours, alpha))
        unknown = thing if unknown is None else unknown | thing
    layers = PictureLayers(colours, alpha, background, unknown)
    if config.enlarged and rng.random() < config.enlarged:
        return enlarged_layers(layers, rng)
    return layers


def attached(assets: Assets, rng: np.random.Generator, layer: Layer) -> tuple[Layer, np.ndarray]:
    """The foreground with a solid thing over or under it, and where that thing is, 0 or 1.

    Its outline is any of those of the drawn families, its texture a photograph: neither its colours nor its shape
    occur in the foreground.
    """
    height, width = layer[1].shape
    size = max(height, width)
    aside = rng.uniform(-0.3, 0.3, 2) * size
    outlines = [random_outline(rng, size, share=rng.uniform(0.25, 0.8)) + aside]
    if rng.random() < 0.3:  # a thing of two parts
        outlines.append(random_outline(rng, size, share=rng.uniform(0.2, 0.5)) + aside)
    mask = filled(size, outlines)[:height, :width]
    sigma = float(np.exp(rng.uniform(np.log(0.3), np.log(0.006 * size))))
    alpha = (cv2.GaussianBlur(mask, (0, 0), sigma) * 255 + 0.5).astype(np.uint8)
    colours = recoloured(np.ascontiguousarray(photo_square(assets, rng, size)[:height, :width]), rng)
    thing = colours, alpha
    both = joined_layers(thing, layer) if rng.random() < 0.6 else joined_layers(layer, thing)
    return both, (alpha > 0).astype(np.uint8)


def enlarged_layers(layers: PictureLayers, rng: np.random.Generator) -> PictureLayers:
    """A square around soft pixels, twice to five times as large: strands become many pixels wide, and soft.

    Grain, sharpening and blocks come later, at the pixels of the enlarged picture.
    """
    height, width = layers.alpha.shape
    factor = float(np.exp(rng.uniform(np.log(2), np.log(5))))
    side_y, side_x = round(height / factor), round(width / factor)
    soft = np.flatnonzero((layers.alpha > 20) & (layers.alpha < 235))
    y, x = divmod(int(rng.choice(soft)), width) if len(soft) else (height // 2, width // 2)
    top, left = (
        int(min(max(at - side // 2, 0), length - side))
        for at, side, length in ((y, side_y, height), (x, side_x, width))
    )
    inside = np.s_[top : top + side_y, left : left + side_x]

    def grown(layer: np.ndarray, how: int) -> np.ndarray:
        return cv2.resize(np.ascontiguousarray(layer[inside]), (width, height), interpolation=how)

    colours, alpha, background = (grown(one, cv2.INTER_CUBIC) for one in layers[:3])
    unknown = None if layers.unknown is None else grown(layers.unknown, cv2.INTER_NEAREST)
    return PictureLayers(colours, alpha, background, unknown)


def widened_unknown(trimap: np.ndarray, unknown: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """The trimap without knowledge of `unknown`, of gaps in it and of a band around; something stays known.

    Where nothing would be known any more the trimap stays as it is.
    """
    if unknown is None:
        return trimap
    gap, band = int(rng.integers(4, 40)), int(rng.integers(2, 24))
    closed = _grown(unknown, gap)
    closed = 1 - _grown(1 - closed, gap)
    marked = np.where(_grown(closed | unknown, band) > 0, UNKNOWN, trimap).astype(np.uint8)
    return marked if (marked != UNKNOWN).any() else trimap


def _grown(mask: np.ndarray, radius: int) -> np.ndarray:
    return (cv2.distanceTransform((mask == 0).astype(np.uint8), cv2.DIST_L2, 3) <= radius).astype(np.uint8)


def _hollow(assets: Assets, config: SampleConfig, rng: np.random.Generator) -> Layer:
    """A net, a sieve, spines, glass or smoke, drawn and placed like any foreground."""
    texture = assets.backgrounds[rng.integers(len(assets.backgrounds))] if rng.random() < 0.7 else None
    name = HOLLOW[int(rng.integers(len(HOLLOW)))]
    rgba = draw_family(name, rng, int(rng.choice(config.drawn)), texture)
    if config.layout == "whole":
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    colours, alpha = placed_layer(rgba, int(min(max(4 * config.patch, 640), 960)), rng)
    return recoloured(colours, rng), alpha
