"""The run-time type checker of the tests: beartype, with an int where a float is asked for, as PEP 484 has it."""

import functools
import sys
from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """beartype's check of a function, made when the function is first called: most are never called by a process."""
    if isinstance(function, type):
        return _beartype(function)
    checked: list[Callable[..., Any]] = []

    @functools.wraps(function)
    def checking(*args: Any, **names: Any) -> Any:
        torch = sys.modules.get("torch")
        if torch is not None and torch.compiler.is_compiling():  # its compiler cannot look into beartype
            return function(*args, **names)
        if not checked:
            checked.append(_beartype(function))
        return checked[0](*args, **names)

    return checking
