"""Several hidden files that take their places together, or not at all.

Knows names of files; nothing of what is in them. Read top to bottom:

    Together    complete hidden files, renamed when the block ends well
"""

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from hdmatt.system.hidden import HiddenFile, hidden_name, unwritable


class Together:
    """Complete hidden files, which take their places together when the block ends well."""

    def __init__(self) -> None:
        self._waiting: list[HiddenFile] = []

    def add(self, hidden: HiddenFile) -> None:
        self._waiting.append(hidden)

    def __enter__(self) -> "Together":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._replace_all()
        finally:
            for hidden in self._waiting:
                hidden.discard()

    def _replace_all(self) -> None:
        several = len(self._waiting) > 1  # a single file takes its place in one step, or not at all
        kept: list[Path | None] = []
        with ExitStack() as undo:
            for hidden in self._waiting:
                if several:
                    try:
                        kept.append(_kept(hidden.place))
                    except OSError as error:
                        raise unwritable(hidden.place, error) from error
                    undo.callback(_restore, kept[-1], hidden.place)
                hidden.publish()
            undo.pop_all()
        for path in kept:
            if path is not None:
                path.unlink(missing_ok=True)


def _kept(place: Path) -> Path | None:
    """A second name of the file that is there; where there are no hard links it is moved to it.

    Moved, it may be the only copy: its name is not one of those that `remove_stale` removes.
    """
    if not place.exists():
        return None
    second = hidden_name(place)
    try:
        os.link(place, second)
    except OSError:
        second = second.with_name(f"{second.name}.kept")
        os.replace(place, second)
    return second


def _restore(before: Path | None, place: Path) -> None:
    """Put back what was there before; take the new file away where there was none."""
    if before is None:
        place.unlink(missing_ok=True)
    else:
        os.replace(before, place)
        before.unlink(missing_ok=True)  # renaming does nothing where both are names of one file
