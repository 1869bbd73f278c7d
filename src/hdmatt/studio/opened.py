"""A picture that is open in the studio: its session, its layers, and what browsers are told about it.

Knows nothing of requests. Read top to bottom:

    Choice           what computes: options, network, how files are read
    OpenedPicture    strokes, undo, starts, files; tells listeners what changed
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hdmatt.errors import HDMattError, InputError
from hdmatt.inference.load import AnyNetwork
from hdmatt.inference.names import DEFAULT_MODEL
from hdmatt.inference.options import Options
from hdmatt.pictures.box import Box
from hdmatt.pictures.info import DEFAULT_INPUT, InputOptions
from hdmatt.studio.events import Events
from hdmatt.studio.export import Export, PatchClock, file_in, run_export
from hdmatt.studio.first_trimap import stamp
from hdmatt.studio.places import free_bytes, id_of, journal_of, locked_file
from hdmatt.studio.problems import problems_of
from hdmatt.studio.session import Session
from hdmatt.studio.starts import Tell
from hdmatt.studio.strokes import Stroke
from hdmatt.studio.tiles import LAYERS, Layers
from hdmatt.studio.trimap_tiles import SIZE
from hdmatt.studio.worker import LOOK, Worker
from hdmatt.studio.works import Works
from hdmatt.trimaps.make import check_trimap_path

_TOO_LITTLE = 0.05  # share of a work that tells nothing yet of how long all of it takes
_LITTLE_ROOM = 100 * 2**20  # bytes on a disk: a stroke takes some kilobytes, a mask of 400 megapixels one megabyte


class Stopped(Exception):
    """A long work was cancelled, or the server is closed."""


@dataclass(frozen=True)
class Choice:
    """What computes the mattes of all pictures, whether it does so by itself at first, and how files are read.

    Attributes:
        keep_strokes: Go on with what was painted where a picture's file has changed since, if its size is the same.
    """

    options: Options = field(default_factory=Options)
    network: AnyNetwork = DEFAULT_MODEL
    input_options: InputOptions = DEFAULT_INPUT
    automatic: bool = True
    keep_strokes: bool = False


class OpenedPicture:
    """A picture of the studio; for several threads.

    Versions grow by every change, also from one start of the server to the next: a browser may keep tiles by them.

    Args:
        path: The file.
        trimap: A file, or None.
        worker: Computes its matte.
        output: The folder of results.

    Raises:
        InputError: The picture or the trimap cannot be read, or another studio has the picture open.
        OutputError: There is no place for the journal.
    """

    def __init__(self, path: Path, trimap: Path | None, *, choice: Choice, worker: Worker, output: Path) -> None:
        self.id, self.path, self.output = id_of(path), path, output
        self.choice, self._worker = choice, worker
        self.automatic = choice.automatic
        self.near: tuple[float, float] | None = None
        self.trimap_file = trimap.name if trimap else None
        self.version = first = time.time_ns() // 10**6
        self.events = Events(first)
        self._works = Works(self.events.publish)
        self._lock = threading.RLock()
        self._journal = journal_of(path)
        self._reserved = locked_file(self._journal)
        try:
            self.session = Session(
                path,
                trimap,
                options=choice.options,
                network=choice.network,
                journal=self._journal,
                keep_strokes=choice.keep_strokes,
                input_options=choice.input_options,
            )
        except BaseException:
            self._release()
            raise
        self._stamp, self._looked = stamp(path), time.monotonic()
        self._closed = self._changed = self._short_of_room = False
        self.ready = False
        self.exporting = 0  # exports that were asked for, and neither written nor cancelled, nor have failed
        self._own_trimaps: dict[Path, str | None] = {}  # files of ours, as they were when they were written
        self._kept: dict[str, list[Box]] = {"never": [], "old": []}  # of the matte that is kept to compare
        self._saved = -1 if self.session.steps()[0] else self.session.version
        self.layers = Layers(self.session, self._picture_progress)
        worker.add(self)

    # what is painted

    def stroke(self, stroke: Stroke, client: str) -> dict[str, Any]:
        """Paint. Returns what browsers are told: version, box, undo, redo.

        Raises:
            OutputError: The disk is full; the trimap is as it was.
        """
        self.near = stroke.points[-1][:2]  # its patches come before all others
        return self._edit(lambda: self.session.paint(stroke), client)

    def undo(self, client: str) -> dict[str, Any]:
        """Take the last stroke back."""
        return self._edit(self.session.undo, client)

    def redo(self, client: str) -> dict[str, Any]:
        """Do it again."""
        return self._edit(self.session.redo, client)

    def put(self, what: str, bands: Callable[[Tell], Iterable[np.ndarray]], client: str) -> dict[str, Any]:
        """Put labels into the whole picture, made in the computing thread, as one step for undo.

        Args:
            what: "start" or "band": its name in events of progress.
            bands: The labels' rows; it is given a function that tells the share that is done.

        Raises:
            Stopped: `cancel` was called meanwhile; the trimap is as it was.
        """
        begun, cancelled = time.monotonic(), self._works.ask(what, client)

        def tell(share: float) -> None:
            if cancelled.is_set() or self._worker.closed:
                raise Stopped
            if share == 0 or self._time_to_look():
                self.check_unchanged()
            left = (time.monotonic() - begun) * (1 - share) / share if share > _TOO_LITTLE else None
            self.progress(what, min(99, round(100 * share)), 100, left)

        def work() -> Box:
            tell(0.0)
            return self.session.put(bands(tell))

        try:
            box = self._worker.result(work)
        finally:
            self.progress(what, 1, 1, 0.0)
        return self._edit(lambda: box, client)

    def cancel(self) -> None:
        """End a start, a band or an export: nothing of it stays. Where there is none, a matte that was asked for."""
        if not self._works.cancel() and not self.automatic:
            self._worker.stop(self)

    # what is seen

    def facts(self) -> dict[str, Any]:
        """What a browser must know to show the picture."""
        session = self.session
        return {
            "event": self.events.last,  # what comes after it is news to who has these facts
            "id": self.id,
            "name": self.path.name,
            "width": session.width,
            "height": session.height,
            "tile": SIZE,
            "levels": session.levels,
            **self.state(),
            "views": [layer for layer in LAYERS if layer != "before" or self.layers.marked],
            "has_alpha": session.pixels.info.has_alpha,
            "output_folder": str(self.output.resolve()),
            "trimap_file": self.trimap_file,
            "background": self.layers.background,
        }

    def state(self) -> dict[str, Any]:
        """What changes while it is worked on."""
        undo, redo = self.session.steps()
        return {
            "version": self.version,
            "undo": undo,
            "redo": redo,
            "pending": self.session.pending,
            "stale": self.session.stale,
            "known": self.session.known,
            "automatic": self.automatic,
            "works": self._works.listed(),
            "unsaved": self.session.version != self._saved,
        }

    def label(self, y: int, x: int) -> dict[str, Any] | None:
        """Label and alpha of a pixel; None outside of the picture."""
        if not (0 <= y < self.session.height and 0 <= x < self.session.width):
            return None
        box = Box(y, x, y + 1, x + 1)
        return {"label": int(self.session.trimap(box)[0, 0]), "alpha": float(self.session.alpha(box)[0, 0])}

    def mark(self) -> dict[str, Any]:
        """Keep the matte of now as layer "before", and which of its patches were not computed."""
        never, old = self.session.waiting()
        self.layers.mark()
        self._kept = {"never": never, "old": old}
        with self._lock:
            self.version += 1
            whole = Box(0, 0, self.session.height, self.session.width)
            self.events.publish("tiles", layer="before", version=self.version, box=list(whole), client="")
            return {"version": self.version}

    def waiting(self) -> dict[str, Any]:
        """Boxes of patches that were never computed, or painted on since; and the same of the matte that is kept."""
        never, old = self.session.waiting()
        return {"never": never, "old": old, "before": self._kept}

    def problems(self) -> list[dict[str, Any]]:
        """What a check of the trimap finds, one entry for each place."""
        return problems_of(self.session)

    def ask(self) -> None:
        """Compute now."""
        self._worker.ask(self)
        self.tell()

    def set_automatic(self, automatic: bool) -> None:
        """Whether the matte follows by itself."""
        self.automatic = automatic
        if automatic:
            self._worker.edited(self)
        else:
            self._worker.stop(self)
        self.tell()

    def set_background(self, path: Path | None) -> None:
        """The picture behind composites; None: none.

        Raises:
            InputError: It is no picture, or its colours cannot be converted.
        """

        def told(done: int, of: int) -> None:
            if done == of:  # until now what was seen may have been coarse
                self._seen_anew("composite")

        self.layers.set_background(path, told)
        self.events.publish("background", name=self.layers.background)
        self._seen_anew("composite")

    # files

    def save(self, name: str) -> str:
        """Save the trimap in the folder of results; its name."""
        path = file_in(self.output, name)
        check_trimap_path(path, [self.path])
        version = self.session.version
        self.session.save_trimap(path)
        self._trimap_is_in(path, version)
        self.tell()
        return path.name

    def is_own_trimap(self, path: Path) -> bool:
        """Whether a file is a trimap of this picture that was written from here, and nobody has changed it since."""
        with suppress(OSError):
            return path in self._own_trimaps and stamp(path) == self._own_trimaps[path]
        return False

    def check_unchanged(self) -> None:
        """Refuse where the file is no longer the one that was opened.

        Raises:
            InputError: It was changed, replaced or taken away.
        """
        self.look()
        if self._changed:
            raise InputError(
                f"{self.path.name} has changed on disk since it was opened here, so its trimap may not fit any more",
                hint="Put the old file back. Or end the studio and start it again with --keep-strokes, to go on with "
                "what was painted, on the picture as it is now.",
            )

    def export(self, export: Export, client: str = "", *, overwrite: bool = False) -> None:
        """Write files in the computing thread, and tell when they are there.

        Args:
            overwrite: Whether files that are there may be replaced; the trimap that was written here may always.

        Raises:
            InputError: The picture has changed on disk.
            OutputError: A file is there already.
        """

        def check() -> None:
            self.check_unchanged()
            if not overwrite:
                export.check_new(self.is_own_trimap)

        check()
        version, clock = self.session.version, PatchClock()
        cancelled = self._works.ask("export", client)

        def progress(done: int, of: int) -> None:
            if self._worker.closed or cancelled.is_set():
                raise Stopped
            if done == of or self._time_to_look():
                check()
            self.progress("export", done, of + 1, clock.left(done, of))  # after the patches files are written

        def work() -> None:
            ended = False
            try:
                check()
                progress(0, 1)
                run_export(self.session, export, progress)
            except Stopped:
                self.events.publish("cancelled", what="export")
            except Exception as error:
                self.failed(error)
            else:
                if export.trimap is not None:
                    self._trimap_is_in(export.trimap, version)
                self.events.publish("exported", files=export.files())
                ended = True
            finally:
                self.progress("export", 1, 1, 0.0)
            if ended or not self._worker.closed:  # else it was cut off
                self.exporting -= 1

        self.exporting += 1
        self._worker.job(work)

    def close(self) -> None:
        """Close all files; the journal stays if there is anything in it. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self.events.close()
        self.layers.close()
        empty = self.session.steps() == (0, 0)
        self.session.close()
        if empty:
            self._journal.unlink(missing_ok=True)
        self._release()

    # what the computing thread tells

    def computed(self, box: Box) -> None:
        """A patch is there."""
        with self._lock:
            self.version += 1
            self.layers.alpha.touch(box)
            self.events.publish("tiles", layer="alpha", version=self.version, box=list(map(int, box)), client="")

    def progress(self, what: str, done: int, of: int, seconds_left: float | None) -> None:
        """How far a work is; it ends where all is done, together with what it has changed."""
        if done < of:
            self._works.tell(what, done, of, seconds_left)
        else:
            self._works.end(what)
            self.tell()
        if self._time_to_look():
            self.look()

    def tell(self) -> None:
        """Tell browsers the state."""
        self.events.publish("state", **self.state())

    def paused(self) -> None:
        """The matte is not computed now, whether all of it is there or something came between."""
        if self._works.end("matte", "refresh"):
            self.tell()

    def failed(self, error: Exception) -> None:
        """Something could not be done."""
        message, hint = f"internal error: {type(error).__name__}: {error}", "This is our mistake: report it."
        if isinstance(error, HDMattError):
            message, hint = error.message, error.hint
        self.events.publish("error", message=message, hint=hint)

    def look(self) -> None:
        """Say once if the file on disk is no longer the one that was opened, and once if its disk is nearly full."""
        try:
            found = stamp(self.path)
        except OSError:
            found = None
        self._looked = time.monotonic()
        changed, before = found != self._stamp, self._changed
        self._changed = changed
        if changed and not before:
            self.events.publish("changed")
        free, short = free_bytes(self._journal.parent), self._short_of_room
        self._short_of_room = free < _LITTLE_ROOM
        if self._short_of_room and not short:
            self.events.publish(
                "error",
                message=f"only {free / 2**20:.0f} MiB are left on the disk that strokes are kept on",
                hint="Make room, or strokes will soon be refused.",
            )

    def _time_to_look(self) -> bool:
        return time.monotonic() - self._looked > LOOK

    def _trimap_is_in(self, path: Path, version: int) -> None:
        """The trimap of a version was written into a file."""
        self._saved, self.trimap_file = version, path.name
        with suppress(OSError):
            self._own_trimaps[path] = stamp(path)

    def _release(self) -> None:
        self._reserved.release()
        with suppress(OSError):
            Path(self._reserved.lock_file).unlink(missing_ok=True)

    def _edit(self, change: Callable[[], Box | None], client: str) -> dict[str, Any]:
        with self._lock:
            box = change()
            undo, redo = self.session.steps()
            if box is None or box.empty:
                return {"version": self.version, "box": None, "undo": undo, "redo": redo}
            self.version += 1
            self.layers.alpha.touch(box)
            found = list(map(int, box))
            for layer in ("trimap", "alpha"):  # where the trimap is known the matte follows at once
                self.events.publish("tiles", layer=layer, version=self.version, box=found, client=client)
            self._worker.edited(self)
            self.tell()
            return {"version": self.version, "box": found, "undo": undo, "redo": redo}

    def _picture_progress(self, done: int, of: int) -> None:
        self.progress("picture", done, of, None)
        if done == of:
            self.ready = True
            self._worker.wake()
            self._seen_anew("picture", "alpha")  # the composites, too

    def _seen_anew(self, *layers: str) -> None:
        with self._lock:
            self.version += 1
            box = [0, 0, self.session.height, self.session.width]
            for layer in layers:
                self.events.publish("tiles", layer=layer, version=self.version, box=box, client="")
