"""Foregrounds drawn from random numbers, with exact soft alpha.

Training wants more hair, fur and nets than anybody has rendered. These are no portraits: a matting network learns from
them how thin, soft and see-through things cover a background. NumPy and OpenCV only, no files. Read top to bottom:

    procedural_foreground   one foreground of a random family
    random_family           the name of one
    draw_family             one foreground of a named family
    FAMILIES                every family and how often it is drawn
    HOLLOW                  those full of holes or see-through, and spines; for samples/wide.py

The families are in hair.py, plants.py, nets.py, see_through.py and solids.py; what they share in strokes.py,
shapes.py, colours.py and light.py. A picture of 480 x 480 takes about 60 ms of a core, most of it shading and blur.
"""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.errors import InputError
from hdmatt.samples.drawn.colours import colour_field
from hdmatt.samples.drawn.hair import draw_fur, draw_hair
from hdmatt.samples.drawn.light import straight_colours, through_a_lens
from hdmatt.samples.drawn.nets import draw_holder, draw_net, draw_perforated, draw_wires
from hdmatt.samples.drawn.plants import draw_feather, draw_foliage
from hdmatt.samples.drawn.see_through import draw_drops, draw_glass, draw_smoke, draw_veil
from hdmatt.samples.drawn.solids import draw_plain_blob, draw_solid
from hdmatt.samples.drawn.spines import draw_spines
from hdmatt.samples.drawn.strokes import SEE_THROUGH, Colours, DrawnLayer


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
    """`procedural_foreground` for one family of FAMILIES, or for "spines"."""
    if size < 64:
        raise InputError(
            f"a foreground of {size} x {size} pixels; we need 64 x 64 or more", hint="Draw it larger, then shrink it."
        )
    draw = draw_spines if name == "spines" else FAMILIES[name][0]
    for _ in range(20):
        layer = draw(rng, size, colour_field(rng, size, texture))
        layer = through_a_lens(rng, layer)
        if _acceptable(layer[..., 3], see_through=name in SEE_THROUGH):
            return straight_colours(layer)
    return straight_colours(through_a_lens(rng, draw_plain_blob(rng, size, colour_field(rng, size, texture))))


def _acceptable(alpha: Float32[np.ndarray, "size size"], *, see_through: bool) -> bool:
    alpha = cv2.resize(alpha, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_NEAREST)
    covered = (alpha > 0.1).mean()
    soft = ((alpha > 0.02) & (alpha < 0.98)).mean()
    empty = (alpha < 0.5 / 255).mean()
    solid = (alpha > 0.9).mean()
    return bool(0.05 <= covered <= 0.85 and soft > 0.002 and empty > 0.05 and (see_through or solid > 0.01))


FAMILIES: dict[str, tuple[Callable[[np.random.Generator, int, Colours], DrawnLayer], float]] = {
    "hair": (draw_hair, 0.18),
    "fur": (draw_fur, 0.12),
    "foliage": (draw_foliage, 0.14),
    "feather": (draw_feather, 0.06),
    "net": (draw_net, 0.15),
    "holder": (draw_holder, 0.08),
    "perforated": (draw_perforated, 0.04),
    "solid": (draw_solid, 0.06),
    "veil": (draw_veil, 0.03),
    "smoke": (draw_smoke, 0.02),
    "glass": (draw_glass, 0.03),
    "wires": (draw_wires, 0.07),
    "drops": (draw_drops, 0.02),
}
HOLLOW = (
    "net",
    "net",
    "perforated",
    "wires",
    "holder",
    "glass",
    "smoke",
    "veil",
    "drops",
    "spines",
    "spines",
    "foliage",
)
