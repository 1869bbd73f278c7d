"""What a caller of the library gave, checked: whole numbers, switches, names, paths.

Each returns the value, or raises an InputError that names it. Knows nothing of what the values are for.

    whole_number    an int, from a least value on; also NumPy's
    switch          True or False
    word            a text
    checked_path    a path from text or os.PathLike
    kind_of         the type of an object, for messages
"""

import operator
import os
from pathlib import Path
from typing import Any

from hdmatt.errors import InputError


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """An int. Text, floats and switches are none.

    Raises:
        InputError: No whole number, or less than `least`.
    """
    wanted = "a whole number" if least is None else f"{least} or more"
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InputError(f"{name} is {_shown(value)}", hint=f"Give {wanted}, as an int.")
    try:
        number = operator.index(value)
    except TypeError:  # an array of several numbers
        raise InputError(f"{name} is {_shown(value)}", hint=f"Give {wanted}, as an int.") from None
    if least is not None and number < least:
        raise InputError(f"{name} is {number}", hint=f"Give {wanted}.")
    return number


def switch(name: str, value: Any) -> bool:
    """True or False, also NumPy's.

    Raises:
        InputError: Anything else, such as "no", which Python takes for true.
    """
    if type(value).__name__ in ("bool", "bool_") and str(value) in ("True", "False"):
        return bool(value)
    raise InputError(f"{name} is {_shown(value)}", hint="Give True or False.")


def word(name: str, value: Any) -> str:
    """A text.

    Raises:
        InputError: Anything else.
    """
    if not isinstance(value, str):
        raise InputError(f"{name} is {_shown(value)}", hint="Give it as text, in quotes.")
    return value


def checked_path(name: str, value: Any, *, hint: str = "Give a path as text or pathlib.Path.") -> Path:
    """A path from text or os.PathLike.

    Raises:
        InputError: Anything else.
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{name} is {kind_of(value)}, we need a path", hint=hint)
    return Path(os.fsdecode(value))


def kind_of(value: Any) -> str:
    """The type of an object, for messages: "None", "an int", "a PIL.Image.Image"."""
    if value is None:
        return "None"
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else kind_of(value)
