"""All pictures that are open in one studio, and which others it may open. Knows nothing of requests.

Studio    open, find, close
"""

import re
import threading
from collections.abc import Sequence
from pathlib import Path

from hdmatt.errors import InputError
from hdmatt.studio.opened import Choice, OpenedPicture
from hdmatt.studio.places import below, id_of
from hdmatt.studio.worker import PAUSE, REST, Worker
from hdmatt.system.files import make_folder


class Studio:
    """The pictures of one server.

    Args:
        pictures: Files. The first is opened at once, another when it is asked for: with a hundred of them the first is
            seen as quickly.
        trimap: Of the first one.
        output: The folder of results. Default: the folder of each picture.
        root: Other files may be opened if they lie below it. None: no others.
        choice: What computes.
        pause: Seconds after the last stroke until the matte follows.
        rest: Seconds without a stroke until contexts are refreshed.

    Raises:
        InputError: The first picture or the trimap cannot be read.
        OutputError: The folder of results or a journal cannot be made.
    """

    def __init__(
        self,
        pictures: Sequence[Path],
        *,
        trimap: Path | None = None,
        output: Path | None = None,
        root: Path | None = None,
        choice: Choice | None = None,
        pause: float = PAUSE,
        rest: float = REST,
    ) -> None:
        if not pictures:
            raise InputError("no picture was given", hint="Name a file: hdmatt studio PICTURE.")
        if root is not None and not root.is_dir():
            raise InputError(f"{root} is no folder", hint="Give the folder that pictures lie in.")
        if output is not None:
            make_folder(output)
        self.root, self._output, self._choice = root, output, choice or Choice()
        self.worker = Worker(pause=pause, rest=rest)
        self._lock = threading.Lock()
        self._left_behind = False  # a work that went on when this was closed: it is not waited for twice
        self.cut_off: list[str] = []  # pictures whose export was not finished when this was closed
        self._pictures: dict[str, OpenedPicture] = {}
        self._paths = {id_of(path): path for path in pictures}  # in the order of the list
        try:
            self._open(pictures[0], trimap)
        except BaseException:
            self.close()
            raise

    def pictures(self) -> list[OpenedPicture]:
        """All that are open."""
        return list(self._pictures.values())

    def listed(self) -> list[dict[str, str]]:
        """Id and name of every picture that was named or opened."""
        return [{"id": name, "name": path.name} for name, path in list(self._paths.items())]

    def find(self, name: str) -> OpenedPicture | None:
        """The picture of an id, or the first, second... of the list: "1", "2". It is opened if it is not yet.

        Raises:
            InputError: It cannot be read.
        """
        paths = list(self._paths.values())
        if name in self._paths:
            path = self._paths[name]
        elif re.fullmatch(r"[1-9]\d{0,5}", name) and int(name) <= len(paths):
            path = paths[int(name) - 1]
        else:
            return None
        return self._pictures.get(id_of(path)) or self._open(path, None)

    def open(self, path: str) -> OpenedPicture | None:
        """Open a file that was named on the command line or lies below the root; None: it may not be opened.

        One that is open already is found again.

        Raises:
            InputError: It is no picture.
        """
        whole = Path(path).resolve() if "\0" not in path else None
        named = {path.resolve() for path in self._paths.values()}
        found = whole if whole in named else below(self.root, path)
        return None if found is None else self._open(found, None)

    def allowed(self, path: str) -> Path | None:
        """A file that was named on the command line or lies below the root, to be read; None: it may not be read.

        A picture that was named is found by its name alone, too.
        """
        named = [one for one in self._paths.values() if path in (one.name, str(one))]
        return below(self.root, path) or (named[0].resolve() if named else None)

    def close(self) -> bool:
        """Close all pictures; what was painted stays in their journals. Safe to call twice.

        Returns:
            Whether nothing is computed any more: a patch, or a look for the object, may take longer than is waited for.
        """
        for picture in self.pictures():
            picture.events.close()
        ended = self.worker.close(wait=not self._left_behind)
        self._left_behind = not ended
        self.cut_off += [picture.path.name for picture in self.pictures() if picture.exporting]  # that still is
        for picture in self.pictures():
            picture.close()
        self._pictures.clear()
        self._paths.clear()  # FastAPI keeps what its routes know until the process ends
        return ended

    def _open(self, path: Path, trimap: Path | None) -> OpenedPicture:
        with self._lock:
            if self.worker.closed:
                raise InputError("the studio ends", hint="Start it again: what was painted is there.")
            whole = path.resolve()
            for picture in self._pictures.values():
                if picture.path.resolve() == whole:
                    return picture
            picture = OpenedPicture(
                path,
                trimap,
                choice=self._choice,
                worker=self.worker,
                output=self._output or whole.parent,
            )
            self._pictures[picture.id] = picture
            self._paths.setdefault(picture.id, path)
            return picture
