"""How wide the unknown band of a trimap is, as people write it. Knows nothing of masks; loads no NumPy.

AUTO             the band that a first matte of the smaller picture decides
Width            pixels, or a share of the picture's diagonal
BandWidths       what `--band`, `--inside` and `--outside` say together
"""

import math
import re
from dataclasses import dataclass

from hdmatt.errors import InputError

AUTO = "auto"
_WITHOUT_PICTURE = "2%"  # of the diagonal: what is taken where there is no picture to look at
AnyWidth = str | int | float


@dataclass(frozen=True)
class Width:
    """A length in pixels, or in percent of the picture's diagonal."""

    number: float
    percent: bool

    @classmethod
    def parse(cls, width: AnyWidth) -> "Width":
        """A Width from 20, "20", "20px" or "2.5%".

        Raises:
            InputError: Another text, a negative number, or more than 100 %.
        """
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(px|%)?\s*", str(width))
        if not match or (match[2] == "%" and float(match[1]) > 100):
            raise InputError(
                f"{width!r} is not a band's width", hint="Write pixels or percent of the diagonal: 20 or 2%."
            )
        return cls(float(match[1]), match[2] == "%")

    def pixels(self, height: int, width: int) -> int:
        """The length in a picture of this size, rounded to whole pixels."""
        return round(self.number / 100 * math.hypot(height, width) if self.percent else self.number)


@dataclass(frozen=True)
class BandWidths:
    """How far the unknown band reaches from the mask's edge to either side.

    Attributes:
        auto: Whether a matte of the smaller picture decides within these widths; else all of the band is unknown.
        inside: Into the mask. None: auto decides.
        outside: Away from it. None: auto decides.
    """

    auto: bool
    inside: Width | None
    outside: Width | None

    @classmethod
    def parse(
        cls, band: AnyWidth | None, inside: AnyWidth | None, outside: AnyWidth | None, *, picture: bool
    ) -> "BandWidths":
        """Widths from what a caller gave.

        Args:
            band: "auto", or a width for both sides. None: "auto" with a picture, 2 % of the diagonal without.
            inside: A width for the inner side alone; with "auto", how far the first matte looks.
            outside: The same for the outer side.
            picture: Whether there is a picture to look at.

        Raises:
            InputError: No width, or "auto" without a picture.
        """
        if band is None:
            band = AUTO if picture else _WITHOUT_PICTURE
        given = [None if width is None else Width.parse(width) for width in (inside, outside)]
        if band == AUTO:
            if not picture:
                raise InputError(
                    "an automatic band needs the picture, and only a mask was given",
                    hint="Give --picture FILE, or a width: --band 2%.",
                )
            return cls(True, *given)
        both = Width.parse(band)
        return cls(False, given[0] or both, given[1] or both)
