"""The names of how colours mix, for modules that must not load NumPy."""

from typing import Literal, get_args

Mixing = Literal["auto", "linear", "display"]  # how the colours of a picture mix; auto: unknown
Space = Literal["linear", "display"]  # what an alpha is for

MIXINGS: tuple[str, ...] = get_args(Mixing)
SPACES: tuple[str, ...] = get_args(Space)
