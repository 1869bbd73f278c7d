"""Names that options take, in a module that loads no NumPy."""

from typing import Any, Literal, get_args

from hdmatt.errors import InputError

Strategy = Literal["hdmatt", "crop", "tiles", "downsample", "whole"]
Windows = Literal["fewest", "grid"]
Blend = Literal["smooth", "paper"]

WINDOWS: tuple[str, ...] = get_args(Windows)
DEFAULT_MODEL = "hdmatt-s"


def checked_strategy(name: Any) -> str:
    """The name of a strategy.

    Raises:
        InputError: There is none of this name.
    """
    if not isinstance(name, str) or name not in get_args(Strategy):
        raise InputError(f"there is no strategy {name!r}", hint=f"Choose one of: {', '.join(get_args(Strategy))}.")
    return name
