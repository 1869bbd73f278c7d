"""Transfer functions, compositing, and the colours people type.

Arrays only: no torch, no files. Pictures are float32, H x W x 3, straight (colours are not multiplied by alpha);
alpha is float32 in [0, 1]. Read top to bottom:

    srgb_to_linear, linear_to_srgb    the transfer function and its inverse
    parse_colour          the colour in "#ff8800", "#f80", "255,136,0" or "white"
    composite, cutout     a foreground over a background; a foreground with its alpha

Foreground colours are estimated in pictures/foreground.py.
"""

import re

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import InputError

NAMED = {
    "aqua": (0, 255, 255),
    "black": (0, 0, 0),
    "blue": (0, 0, 255),
    "fuchsia": (255, 0, 255),
    "gray": (128, 128, 128),
    "green": (0, 128, 0),
    "lime": (0, 255, 0),
    "maroon": (128, 0, 0),
    "navy": (0, 0, 128),
    "olive": (128, 128, 0),
    "purple": (128, 0, 128),
    "red": (255, 0, 0),
    "silver": (192, 192, 192),
    "teal": (0, 128, 128),
    "white": (255, 255, 255),
    "yellow": (255, 255, 0),
}


def srgb_to_linear(encoded: Float32[np.ndarray, "*size"]) -> Float32[np.ndarray, "*size"]:
    """Light from display-encoded values; 0 and 1 stay.

    Values above 1 follow the power law on, negative ones mirror the positive (f(-x) = -f(x)).

    Source:
        IEC 61966-2-1.
    """
    size = np.abs(encoded)
    light = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.copysign(light, encoded).astype(np.float32)


def linear_to_srgb(light: Float32[np.ndarray, "*size"]) -> Float32[np.ndarray, "*size"]:
    """Display-encoded values from light: the inverse of `srgb_to_linear`.

    Source:
        IEC 61966-2-1.
    """
    size = np.abs(light)
    encoded = np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)
    return np.copysign(encoded, light).astype(np.float32)


def parse_colour(text: str) -> Float32[np.ndarray, "3"]:
    """A display-encoded colour in [0, 1] from what people type.

    Args:
        text: "#rgb", "#rrggbb", "r,g,b" with whole numbers from 0 to 255, or one of CSS's 16 basic names.

    Raises:
        InputError: None of these.
    """
    values = _colour_values(text.strip().lower())
    if values is None or max(values) > 255:
        raise InputError(
            f"{text!r} is not a colour",
            hint='Write "#ff8800", "#f80", "255,136,0" (0 to 255) or a basic name: ' + ", ".join(NAMED) + ".",
        )
    return np.array(values, np.float32) / np.float32(255)


def composite(
    foreground: Float32[np.ndarray, "h w 3"],
    alpha: Float32[np.ndarray, "h w"],
    background: Float32[np.ndarray, "... 3"],
) -> Float32[np.ndarray, "h w 3"]:
    """The foreground over a background: alpha F + (1 - alpha) B, exactly F where alpha is 1 and B where it is 0.

    Colours are mixed as they are given, encoded or linear; a matte belongs to the encoding it was made in.
    """
    share = alpha[..., None]
    return share * foreground + (1 - share) * background


def cutout(foreground: Float32[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w 4"]:
    """Foreground and alpha as straight RGBA."""
    return np.concatenate([foreground, alpha[..., None]], axis=2)


def _colour_values(text: str) -> tuple[int, ...] | None:
    if re.fullmatch("#[0-9a-f]{6}", text):
        return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))
    if re.fullmatch("#[0-9a-f]{3}", text):
        return tuple(int(digit * 2, 16) for digit in text[1:])
    if re.fullmatch(r"\d{1,3}(\s*,\s*\d{1,3}){2}", text, re.ASCII):
        return tuple(int(number) for number in text.split(","))
    return NAMED.get(text)
