"""Names that options take, in a module that loads no NumPy."""

from typing import Literal, get_args

Strategy = Literal["hdmatt", "crop", "tiles", "downsample", "whole"]
Windows = Literal["fewest", "grid"]
Blend = Literal["smooth", "paper"]

WINDOWS: tuple[str, ...] = get_args(Windows)
DEFAULT_MODEL = "hdmatt-s"
