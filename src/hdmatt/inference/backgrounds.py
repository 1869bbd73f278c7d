"""Backgrounds of composites: a colour, or a picture that may be transparent in places.

Knows files and colours; nothing of networks. Read top to bottom:

    parse_background    the file or the colour that a user named
    open_background     its rows, in the picture's encoding
    is_opaque           whether an alpha channel says anything
"""

import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import InputError
from hdmatt.pictures.colours import colour
from hdmatt.pictures.colours.encoding import SRGB, check_convertible, check_usable, convert
from hdmatt.pictures.files.openimageio import check_readable
from hdmatt.pictures.info import InputOptions, PictureInfo
from hdmatt.pictures.placed import placed
from hdmatt.pictures.reader import BandReader, as_float, open_picture
from hdmatt.system.values import checked_path

_CHECKED_ROWS = 64  # at a time, when we look for transparent pixels
_ALMOST_1 = np.float32(1 - 0.5 / 65535)  # alpha that 16 bits round to 1


@dataclass(frozen=True)
class Background:
    """Background of a composite, in the picture's encoding.

    Attributes:
        channels: 3, or 4 where the background is transparent in places; so many the composite has.
        rows: y0, y1 -> [y1 - y0, W, channels], straight.
    """

    channels: int
    rows: Callable[[int, int], np.ndarray]


def parse_background(background: Any) -> Path | Float32[np.ndarray, "3"]:
    """A file, or a colour that people type.

    Raises:
        InputError: A file that cannot be read, or text that is neither.
    """
    path, text = checked_path("background", background), str(background)
    is_there = os.path.lexists(path) and not os.path.isdir(path)
    looks_like_one = "(" not in text and (os.sep in text or re.fullmatch(r"\.[A-Za-z]\w{1,3}", path.suffix))
    if not isinstance(background, str) or is_there or looks_like_one:
        check_readable(path)
        return path
    return colour.parse_colour(text)


def open_background(
    stack: ExitStack, background: Path | np.ndarray, info: PictureInfo, options: InputOptions
) -> Background:
    """Rows of the background; a picture is closed with the stack.

    An alpha channel is read once, to find out whether the background is transparent anywhere.

    Raises:
        InputError: The background is a picture of another size, or of an encoding that we cannot convert; or it has
            colours multiplied by alpha that are not 0 where alpha is 0.
    """
    if isinstance(background, np.ndarray):
        flat = convert(background[None, None], SRGB, info.encoding)[0, 0] if info.encoding.curves else background
        return Background(3, lambda y0, y1: np.broadcast_to(flat, (y1 - y0, info.width, 3)))
    source = stack.enter_context(open_picture(background, options.of_others()))
    reader = placed(source, info)
    check_background_size(reader.info, info, background)
    check_usable(reader.info.encoding, str(background))
    check_convertible(reader.info.encoding, info.encoding)

    def colours(y0: int, y1: int) -> np.ndarray:
        return convert(as_float(reader.rows(y0, y1)), reader.info.encoding, info.encoding)

    if not reader.info.has_alpha:
        return Background(3, colours)
    alpha = placed(stack.enter_context(open_picture(background, options.of_others(), part="alpha")), info)
    if _is_opaque_file(alpha):
        return Background(3, colours)
    if source.associated:
        _check_light(reader, alpha, background)
    return Background(4, lambda y0, y1: np.concatenate([colours(y0, y1), _cover(alpha, y0, y1)], axis=2))


def check_background_size(background: PictureInfo, picture: PictureInfo, name: Path) -> None:
    """Refuse a background that has not the picture's size.

    Raises:
        InputError: The sizes differ.
    """
    if (background.height, background.width) != (picture.height, picture.width):
        raise InputError(
            f"the background {name} is {background.width}x{background.height} but the picture is "
            f"{picture.width}x{picture.height} (width x height)",
            hint="Give a background of the picture's size, or a colour.",
        )


def is_opaque(alpha: Float32[np.ndarray, "..."]) -> bool:
    """Whether nothing is transparent, as 16 bits tell."""
    return bool((alpha >= _ALMOST_1).all())


def _cover(alpha: BandReader, y0: int, y1: int) -> Float32[np.ndarray, "h w 1"]:
    return as_float(alpha.colours(y0, y1, 0, alpha.info.width)).clip(0, 1)


def _bands(height: int) -> list[tuple[int, int]]:
    return [(y, min(y + _CHECKED_ROWS, height)) for y in range(0, height, _CHECKED_ROWS)]


def _is_opaque_file(alpha: BandReader) -> bool:
    return all(is_opaque(_cover(alpha, y0, y1)) for y0, y1 in _bands(alpha.info.height))


def _check_light(reader: BandReader, alpha: BandReader, background: Path) -> None:
    """Refuse light without cover: it cannot be told from an alpha channel that was left empty."""
    for y0, y1 in _bands(alpha.info.height):
        empty = _cover(alpha, y0, y1)[..., 0] == 0
        lit = empty & as_float(reader.rows(y0, y1)).any(axis=2)
        if lit.any():
            y, x = np.argwhere(lit)[0]
            raise InputError(
                f"the background {background} has light where its alpha is 0, first at x {x}, y {y0 + y}: a glow or an "
                "empty alpha channel, we cannot tell",
                hint="Save it without an alpha channel if it is opaque, or with 0 where it is transparent.",
            )
