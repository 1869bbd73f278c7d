"""How the colours of a picture mix where alpha is between 0 and 1, and alpha for another kind of mixing.

A camera adds light, so a photograph mixes in linear light. Most programs mix the numbers that a display is given. The
same pixel needs another alpha for the one than for the other. Arrays only. Read top to bottom:

    check_space        refuses what is none of SPACES
    space              an encoding -> the encoding of the same picture in which colours mix
    composite_for      a composite, mixed where its alpha is for
    alpha_for          alpha of one kind of mixing -> alpha of another, by foreground and background
"""

from typing import Any

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import InputError
from hdmatt.pictures.colours.colour import composite
from hdmatt.pictures.colours.encoding import LIGHT, Encoding, Srgb, convert
from hdmatt.pictures.colours.names import SPACES

_SAME = np.float32(1e-7)  # added to squared distances of colours: where both are the same, alpha stays


def check_space(name: Any) -> None:
    """Refuse what an alpha cannot be for; None is for nothing in particular.

    Raises:
        InputError: Another name.
    """
    if name is not None and (not isinstance(name, str) or name not in SPACES):
        raise InputError(f"matte_for is {name!r}", hint=f"Choose one of: {', '.join(SPACES)}.")


def space(encoding: Encoding, name: str) -> Encoding:
    """The encoding, of the same primaries, whose numbers are mixed."""
    if name == "linear":
        return Encoding("linear light", (LIGHT,), encoding.to_rec709, light=True)
    return Encoding("display values", (Srgb(),), encoding.to_rec709) if encoding.light else encoding


def composite_for(
    matte_for: str | None,
    foreground: Float32[np.ndarray, "h w 3"],
    alpha: Float32[np.ndarray, "h w"],
    background: Float32[np.ndarray, "... c"],
    own: Encoding,
) -> Float32[np.ndarray, "h w c"]:
    """`colour.composite` of colours in an encoding, mixed in light or in display values; None: in the encoding.

    Args:
        own: The encoding of foreground, background and composite.
    """
    if matte_for is None:
        return composite(foreground, alpha, background)
    where = space(own, matte_for)
    behind = np.concatenate([convert(background[..., :3], own, where), background[..., 3:]], axis=-1)
    whole = composite(convert(foreground, own, where), alpha, behind)
    return np.concatenate([convert(whole[..., :3], where, own), whole[..., 3:]], axis=2)


def alpha_for(
    alpha: Float32[np.ndarray, "h w"],
    foreground: Float32[np.ndarray, "h w 3"],
    background: Float32[np.ndarray, "h w 3"],
    source: Encoding,
    target: Encoding,
) -> Float32[np.ndarray, "h w"]:
    """The alpha that gives in `target` the mixture that `alpha` gives in `source`.

    With C = alpha F + (1 - alpha) B in `source`, it is the alpha' that brings alpha' F + (1 - alpha') B nearest to C in
    `target`: exactly where the three channels agree (greys, and where alpha is 0 or 1), else by least squares over
    them. Where F and B are the same colour alpha stays.

    Args:
        foreground, background: In `source`.
    """
    share = alpha[..., None]
    mixture = share * foreground + (1 - share) * background
    front, behind, both = (convert(colours, source, target) for colours in (foreground, background, mixture))
    apart = front - behind
    inside = ((both - behind) * apart).sum(axis=2) + _SAME * alpha
    inside /= (apart * apart).sum(axis=2) + _SAME
    made = np.clip(inside, 0, 1, out=inside)
    solid = (alpha == 0) | (alpha == 1)  # rounding must not move them
    np.copyto(made, alpha, where=solid)
    return made
