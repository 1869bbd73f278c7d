"""Transfer functions, compositing, and the colours people type.

Knows nothing of files. Pictures are float32, H x W x 3, straight (colours are not multiplied by alpha);
alpha is float32 in [0, 1]. Read top to bottom:

    srgb_to_linear, linear_to_srgb    the transfer function and its inverse
    parse_colour          the colour in "#ff8800", "255,136,0" or "white"
    composite, cutout     a foreground over a background; a foreground with its alpha

Foreground colours are estimated in pictures/colours/foreground.py.
"""

import re

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import InputError


def srgb_to_linear(encoded: Float32[np.ndarray, "*size"]) -> Float32[np.ndarray, "*size"]:
    """Linear light from display-encoded values (sRGB); 0 and 1 stay.

    Values above 1 follow the same power law; negative ones mirror the positive, f(-x) = -f(x).

    Source:
        IEC 61966-2-1.
    """
    size = np.abs(encoded)
    light = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.copysign(light, encoded).astype(np.float32)


def linear_to_srgb(light: Float32[np.ndarray, "*size"]) -> Float32[np.ndarray, "*size"]:
    """Display-encoded values (sRGB) from linear light: the inverse of `srgb_to_linear`.

    Source:
        IEC 61966-2-1.
    """
    size = np.abs(light)
    encoded = np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)
    return np.copysign(encoded, light).astype(np.float32)


def parse_colour(text: str) -> Float32[np.ndarray, "3"]:
    """A display-encoded colour in [0, 1] from what people type.

    Args:
        text: "r,g,b" with whole numbers from 0 to 255, or what CSS and Pillow's ImageColor know: "#rgb", "#rrggbb",
            "rgb(r, g, b)", "hsl(h, s%, l%)", a name such as "white" or "rebeccapurple". Not with an alpha.

    Raises:
        InputError: None of these.
    """
    values = _colour_values(text.strip())
    if values is None or len(values) != 3 or max(values) > 255:
        raise InputError(
            f"{text!r} is not a colour",
            hint='Write "#ff8800", "#f80", "255,136,0" (0 to 255), "rgb(255, 136, 0)" or a CSS name such as "white".',
        )
    return np.array(values, np.float32) / np.float32(255)


def composite(
    foreground: Float32[np.ndarray, "h w 3"],
    alpha: Float32[np.ndarray, "h w"],
    background: Float32[np.ndarray, "... c"],
) -> Float32[np.ndarray, "h w c"]:
    """The foreground over a background: alpha F + (1 - alpha) B, exactly F where alpha is 1 and B where it is 0.

    Over a transparent background, straight RGBA, the composite is straight RGBA, too: 0 where nothing covers a pixel.
    Colours are mixed as they are given, encoded or linear; a matte belongs to the encoding it was made in.

    Source:
        Porter and Duff, Compositing Digital Images, 1984: the operator over.
    """
    share = alpha[..., None]
    if background.shape[-1] == 3:
        return share * foreground + (1 - share) * background
    cover = share + (1 - share) * background[..., 3:]
    share = np.divide(share, cover, out=np.zeros_like(cover), where=cover > 0)
    colours = share * foreground + (1 - share) * background[..., :3]
    return np.concatenate([np.where(cover > 0, colours, np.float32(0)), cover], axis=2)


def cutout(foreground: Float32[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w 4"]:
    """A cut-out: foreground and alpha as straight RGBA."""
    return np.concatenate([foreground, alpha[..., None]], axis=2)


def _colour_values(text: str) -> tuple[int, ...] | None:
    from PIL import ImageColor  # here, because few programs type colours

    if re.fullmatch(r"\d{1,3}(\s*,\s*\d{1,3}){2}", text, re.ASCII):
        return tuple(int(number) for number in text.split(","))
    try:
        return ImageColor.getrgb(text) if text.isascii() else None
    except ValueError:
        return None
