"""Names of output files by template: {dir}, {stem}, {ext}, {base}, {frame}.

FIELDS          what may stand in braces
DEFAULT, SEQUENCE    the matte's template, for pictures and for frames of sequences
is_template     whether a manifest's output is one
check_template  refuses a template with other fields
filled          a template and a picture -> the path of its output
"""

from pathlib import PurePath
from string import Formatter

from hdmatt.batching.find import Found
from hdmatt.batching.sequences import numbered
from hdmatt.batching.urls import joined, normal
from hdmatt.errors import InputError

FIELDS = ("dir", "stem", "ext", "base", "frame")
DEFAULT = "{dir}/{stem}_alpha.png"
SEQUENCE = "{dir}/{base}_alpha.{frame}.png"


def is_template(name: str) -> bool:
    """Whether a manifest's output is a template; without any field it is a file's name."""
    return any(f"{{{field}}}" in name for field in FIELDS)


def check_template(template: str, *, several: bool = True) -> None:
    """Refuse a template that could not be filled, or that has the same name for every picture.

    Args:
        several: It is for several pictures, so it must have a field that tells them apart.

    Raises:
        InputError: A field that we do not know, or none.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"the template {template!r}: {error}", hint="Write {{ and }} for braces.") from error
    fields = [name for _, name, _, _ in parts if name is not None]
    unknown = [name for name in fields if name not in FIELDS]
    plain = all(not form and not conversion for _, _, form, conversion in parts)
    if unknown or not plain or (several and not {"stem", "frame"} & set(fields)):
        got = f"has {{{unknown[0]}}}" if unknown else "names no picture" if plain else "has a format"
        raise InputError(
            f"the template {template!r} {got}",
            hint="Use {dir} {stem} {ext}, and {base} {frame} for sequences; {stem} or {frame} must be there.",
        )


def filled(template: str, found: Found, out: PurePath) -> str:
    """The output of a picture: the filled template, below `out` unless it is absolute or a URL.

    {dir} is the picture's folder below its input, {stem} its name without suffix, {ext} the suffix without the dot;
    {base} and {frame} are the stem's parts: all before the frame number, and its digits with their padding.
    """
    if not is_template(template):
        return normal(joined(out, template))
    parts = numbered(found.path.stem)
    values = {
        "dir": found.folder or ".",
        "stem": found.path.stem,
        "ext": found.path.suffix[1:],
        "base": parts.base,
        "frame": parts.frame,
    }
    return normal(joined(out, template.format(**values)))
