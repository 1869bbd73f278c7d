"""Conversion between linear and display mixing: of the network's input, and of the alpha and colours written.

Knows readers of rows and encodings; nothing of networks and files. Read top to bottom:

    as_mixed       a picture -> the same as the network knows it
    Conversion     from the mixing of a picture to that of the outputs
    converted      picture and matte -> foreground and the matte for the outputs' mixing, in pieces of rows
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from hdmatt.inference.options import RowSource
from hdmatt.pictures.colours.encoding import LINEAR, Encoding, check_convertible, convert
from hdmatt.pictures.colours.foreground import PIECE, ForegroundRows, foreground_bands
from hdmatt.pictures.colours.mixing import alpha_for, check_space, space
from hdmatt.pictures.info import PictureInfo
from hdmatt.pictures.reader import BandReader, PictureReader, as_float

# display values that are mixed: the network sees them to this power (research/log.md)
DISPLAY_EXPONENT = 2 / 3


class MixedRows:
    """A picture whose display values the network sees to a power."""

    def __init__(self, picture: RowSource, exponent: float) -> None:
        info = picture.info
        self._picture = picture
        self.info: PictureInfo = replace(info, encoding=replace(info.encoding, exponent=exponent))

    @property
    def tiled(self) -> bool:
        """Whether a window costs less than its rows."""
        return isinstance(self._picture, PictureReader) and self._picture.tiled

    def rows(self, y0: int, y1: int) -> np.ndarray:
        return self._picture.rows(y0, y1)

    def window(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        """`rows(y0, y1)[:, x0:x1]`; only of a picture that has windows."""
        assert isinstance(self._picture, BandReader)
        return self._picture.window(y0, y1, x0, x1)


def as_mixed(picture: RowSource, mixing: str) -> RowSource:
    """The picture as the network knows pictures: the very same one, unless its display values are mixed.

    Numbers of a power e mix in light what those without it mix in display values: (C^e)^(1/e). The network learned from
    pictures that mix with exponents from 1 to 2.2.
    """
    return MixedRows(picture, DISPLAY_EXPONENT) if mixing == "display" else picture


@dataclass(frozen=True)
class Conversion:
    """From the mixing of a picture to that of the outputs.

    Attributes:
        own: The picture's encoding.
        source: The encoding in which its colours mix.
        target: The one in which alpha is used.
    """

    own: Encoding
    source: Encoding
    target: Encoding

    @classmethod
    def of(cls, encoding: Encoding, mixing: str, matte_for: str | None) -> "Conversion | None":
        """From `mixing` to `matte_for`; None: no conversion. Pictures without a known mixing count as photographs.

        Raises:
            InputError: No such name, or the picture has a profile that cannot be converted.
        """
        check_space(matte_for)
        if matte_for is None:
            return None
        check_convertible(encoding, LINEAR)
        return cls(encoding, space(encoding, "linear" if mixing == "auto" else mixing), space(encoding, matte_for))

    @property
    def changes_alpha(self) -> bool:
        return self.source != self.target


def converted(
    rows: Iterator[tuple[int, np.ndarray]], picture: BandReader, conversion: Conversion
) -> Iterator[ForegroundRows]:
    """(first row, foreground's rows in the picture's encoding, alpha's rows for the outputs), from top to bottom.

    Foreground and background are estimated where the picture's colours mix.
    """
    own, source, target = conversion.own, conversion.source, conversion.target
    size = {"height": picture.info.height, "width": picture.info.width}

    def bands() -> Iterator[ForegroundRows]:
        for y0, alpha in rows:
            for y in range(0, len(alpha), PIECE):
                y1 = min(y + PIECE, len(alpha))
                yield y0 + y, convert(as_float(picture.rows(y0 + y, y0 + y1)), own, source), alpha[y:y1]
            del alpha  # or it would be held while the next is made

    if not conversion.changes_alpha:
        for y0, foreground, alpha in foreground_bands(bands(), **size):
            for y in range(0, len(alpha), PIECE):
                inside = slice(y, y + PIECE)
                yield y0 + y, convert(foreground[inside], source, own).copy(), alpha[inside].copy()
        return
    ahead, other = itertools.tee(bands())
    behind = foreground_bands(((y0, colours, 1 - alpha) for y0, colours, alpha in other), **size)
    for (y0, foreground, alpha), (_, background, _) in zip(foreground_bands(ahead, **size), behind, strict=True):
        for y in range(0, len(alpha), PIECE):
            inside = slice(y, y + PIECE)
            made = alpha_for(alpha[inside], foreground[inside], background[inside], source, target)
            yield y0 + y, convert(foreground[inside], source, own).copy(), made
