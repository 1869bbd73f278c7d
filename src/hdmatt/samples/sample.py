"""One training sample: a composite with exact alpha, cut into a group of patches. NumPy and OpenCV only.

Everything follows from (seed, index). The patches of a group come from one composite and serve each other as context,
so each is encoded once a step, as when a picture is matted. Read top to bottom:

    Sample         the arrays a training step needs
    make_sample    (assets, config, seed, index) -> Sample

config.py says what is drawn; layers.py and wide.py draw foreground and background, trimaps.py the trimap; composite.py
mixes and cuts; faults.py is the camera.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.overview.known_colours import mirrored
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.samples.composite import Composite, Square, cut_square, known_colours
from hdmatt.samples.config import SampleConfig
from hdmatt.samples.faults import camera_faults
from hdmatt.samples.packs import Assets
from hdmatt.samples.trimaps import random_trimap
from hdmatt.samples.wide import composite_layers, widened_unknown

STEPS = (3, 4, 6, 8)  # pixels of the composite to one of the low-resolution alpha


@dataclass(frozen=True)
class Sample:
    """Patches of one composite, G of them, uint8. Alpha, F and B are exact: they define the composite."""

    image: UInt8[np.ndarray, "g p p 3"]  # with camera faults
    trimap: UInt8[np.ndarray, "g p p"]  # 0, 128, 255
    alpha: UInt8[np.ndarray, "g p p"]
    foreground: UInt8[np.ndarray, "g p p 3"]
    background: UInt8[np.ndarray, "g p p 3"]
    surroundings: Float32[np.ndarray, "g n n 82"] | None  # known colours and small alpha of all of the composite


def make_sample(assets: Assets, config: SampleConfig, *, seed: int, index: int) -> Sample:
    """The sample of (seed, index); the same arguments give the same bytes."""
    rng = np.random.default_rng([seed, index])
    colours, alpha, background, unknown = composite_layers(assets, config, rng)
    scale = float(rng.choice(config.scales))
    side = round(config.patch * scale)
    widening = min(side, *alpha.shape) / config.patch if config.alike else 1.0
    trimap = widened_unknown(random_trimap(alpha, config, rng, widening), unknown, rng)
    centres, flipped, step = _centres(trimap, config, rng), rng.random() < 0.5, int(rng.choice(STEPS))
    tone = float(np.exp(rng.uniform(*np.log(config.tone))))
    composite = Composite.of(colours, alpha, background, trimap, tone)
    composite = composite.photographed(lambda clean: camera_faults(clean, rng, probability=config.faults))
    if config.canonical:
        composite = composite.remixed(config.canonical)
    squares = [Square(centre, side, flipped) for centre in centres]
    if not config.alike or config.rotation:
        squares = [_own(square, config, rng) for square in squares]
    field = None if config.rotation else known_colours(composite.photo, trimap, step=step)
    if config.alike and side > config.patch:  # once for all of its patches
        shrunk = composite.shrunk(config.patch / side, least=config.patch)
        squares = [square._replace(side=config.patch) for square in squares]
    else:
        shrunk = composite
    patches = [cut_square(shrunk, square, patch=config.patch, whole=composite, field=field) for square in squares]
    if config.whole_picture:
        whole = Square((alpha.shape[0] // 2, alpha.shape[1] // 2), min(alpha.shape), flipped)
        larger = {-1: whole}
        if config.between and len(squares) > 2 and rng.random() < config.between:
            larger[-2] = Square(squares[-2].centre, round(np.sqrt(side * whole.side)), flipped)
        for i, square in larger.items():
            squares[i], patches[i] = (
                square,
                cut_square(composite, square, patch=config.patch, whole=composite, field=field),
            )
    if any(square.flipped for square in squares):
        patches = [_flipped(p) if square.flipped else p for p, square in zip(patches, squares, strict=True)]
    foreground, alpha, background, trimap, image, surroundings = (
        np.stack(arrays) for arrays in zip(*patches, strict=True)
    )
    return Sample(image, trimap, alpha, foreground, background, None if field is None else surroundings)


def flipped_array(array: np.ndarray, *, surroundings: bool = False) -> np.ndarray:
    """One array of a patch, left to right; surroundings have alphas inside of their cells, and may be empty."""
    if not surroundings:
        return cv2.flip(array, 1)
    return mirrored(array) if array.size else array


def _centres(trimap: np.ndarray, config: SampleConfig, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Where the patches lie: around unknown pixels; at the corners of squares of four pixels where they are alike."""
    step = 4 if config.alike else 1
    height, width = trimap.shape
    unknown = np.flatnonzero(trimap[::step, ::step] == UNKNOWN)
    across = trimap[::step, ::step].shape[1]
    anywhere = rng.random() < config.elsewhere
    centres = []
    for i in range(config.group):
        if len(unknown) == 0 or (anywhere and i == config.group - 1):
            y, x = rng.integers(0, max(height, width), 2)
            y, x = y * height // max(height, width), x * width // max(height, width)
        else:
            y, x = np.array(divmod(int(rng.choice(unknown)), across)) * step + rng.integers(0, step, 2)
        centres.append((int(y), int(x)))
    return centres


def _own(square: Square, config: SampleConfig, rng: np.random.Generator) -> Square:
    """The square with an angle of its own, and where patches are not alike with its own scale and flip."""
    angle = rng.uniform(-config.rotation, config.rotation)
    if config.alike:
        return square._replace(angle=angle)
    side = round(config.patch * float(rng.choice(config.scales)))
    return square._replace(angle=angle, side=side, flipped=bool(rng.random() < 0.5))


def _flipped(patch: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    *pixels, surroundings = patch
    return *(flipped_array(array) for array in pixels), flipped_array(surroundings, surroundings=True)
