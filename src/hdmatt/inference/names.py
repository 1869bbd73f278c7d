"""The names that options take, for whoever must not load NumPy. Knows nothing of what they do."""

from typing import Literal, get_args

Strategy = Literal["hdmatt", "crop", "tiles", "downsample", "whole"]
Windows = Literal["fewest", "grid"]
Blend = Literal["smooth", "paper"]

WINDOWS: tuple[str, ...] = get_args(Windows)
DEFAULT_MODEL = "hdmatt-s"
