"""A picture whose trimap is painted while the matte follows: only patches that a stroke touches are computed again.

Knows nothing of servers or browsers.

What is seen is a preview: contexts, known colours and the smaller picture's matte are those of the last `refresh`.
`export` is always a whole run on the trimap as it is, the same bytes as `hdmatt matte --windows grid` writes.
"""

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.errors import InputError
from hdmatt.inference.files import matte_files, open_pixels
from hdmatt.inference.load import AnyNetwork, load_network
from hdmatt.inference.names import DEFAULT_MODEL
from hdmatt.inference.options import Options, Progress, RunOptions
from hdmatt.inference.outputs import Outputs
from hdmatt.inference.summary import RunSummary
from hdmatt.inference.window_decoder import DecodingStopped, WindowDecoder, stitched
from hdmatt.patches.stitch import with_known
from hdmatt.patches.windows import Window
from hdmatt.pictures.box import Box
from hdmatt.pictures.colours import colour
from hdmatt.pictures.colours.foreground import estimate_foreground
from hdmatt.pictures.info import DEFAULT_INPUT, InputOptions
from hdmatt.pictures.objects import path_or_array
from hdmatt.pictures.raw_copy import SharedPicture, shared_picture
from hdmatt.pictures.reader import as_float
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.studio.behind import behind
from hdmatt.studio.fill import fill
from hdmatt.studio.first_trimap import first_trimap, stamp, write_labels
from hdmatt.studio.grid_windows import GridWindows, box_inside, box_of
from hdmatt.studio.journal import Edit, Journal
from hdmatt.studio.strokes import Stroke
from hdmatt.studio.trimap_tiles import Tiles, TrimapTiles, written
from hdmatt.studio.window_store import WindowStore

_MARGIN = 128  # pixels around a box for which colours are estimated, too


class Session:
    """A picture, a trimap that is painted on, and a matte that follows.

    Painting and looking may happen in any thread, `update` and `refresh` in one thread at a time. Boxes are
    (y0, x0, y1, x1), half open, in pixels, inside of the picture; the picture lies as EXIF turns it.

    Args:
        picture: A path, or an array, as `matte` takes it: H x W x 3, uint8, uint16 or floats in [0, 1]. It is read as
            `matte` reads it.
        trimap: The same for a trimap, H x W: 0, 128, 255. None: all unknown.
        options: How patches are placed and joined, and the memory limit; windows are always those of the grid.
        network: Weights by name or file, a NetworkChoice, or a loaded network.
        journal: A file that keeps every stroke; one that is there already is continued. None: strokes are in memory.
        keep_strokes: Continue it also where the picture's file has changed since, if it still has the same size.
        input_options: How the picture file is read: its layer, transfer function and largest size.

    Raises:
        InputError: What was given cannot be used, sizes differ, or the journal belongs to other files.
        OutputError: The journal cannot be written.
    """

    def __init__(
        self,
        picture: Any,
        trimap: Any = None,
        *,
        options: Options | None = None,
        network: AnyNetwork = DEFAULT_MODEL,
        journal: Path | None = None,
        keep_strokes: bool = False,
        input_options: InputOptions = DEFAULT_INPUT,
    ) -> None:
        given = path_or_array(picture, "the picture")
        self.path = given if isinstance(given, Path) else None
        self.input_options = input_options
        self._network = network
        self._options = replace(options or Options(), windows="grid")
        source = open_pixels(given, input_options)
        self._picture = shared_picture(source)
        self._first_trimap = Path(trimap).resolve() if isinstance(trimap, str | Path) else None
        self.height, self.width = source.info.height, source.info.width
        self._lock = threading.RLock()
        try:
            self._trimap, facts = first_trimap(trimap, source.info, input_options)
            size = f"{self.width}x{self.height}"
            facts |= {"picture": stamp(self.path) or f"array of {size}", "size": size}
            self._journal = Journal(journal, facts, may_differ=["picture"] if keep_strokes else [])
        except BaseException:
            self._picture.close()
            raise
        self._trimap.put_back(self._journal.tiles())
        self.version = 0  # grows with every change of the trimap
        self._windows = GridWindows(self.height, self.width, self._options)
        self._alphas = WindowStore(self._options.patch)
        self._decoder: WindowDecoder | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._touch(Box(0, 0, self.height, self.width))

    # the trimap

    def paint(self, stroke: Stroke) -> Box:
        """Paint on the trimap. Returns a box around the pixels that changed, which may be empty.

        What of the stroke lies outside of the picture is left out.

        Raises:
            InputError: A fill that begins outside of the picture.
            OutputError: The journal's disk is full; the trimap is as it was.
        """
        with self._lock:
            before, box = fill(self._trimap, stroke) if stroke.kind == "fill" else self._trimap.paint(stroke)
            if box.empty:
                return box
            try:
                self._journal.add(stroke, box, before, self._trimap.tiles(before))
            except BaseException:
                self._trimap.put_back(before)
                raise
            self._touch(box)
            return box

    def put(self, bands: Iterable[np.ndarray], box: Box | None = None) -> Box:
        """Put labels into a box as one edit. Returns a box around the tiles that changed, which may be empty.

        Args:
            bands: Rows of 0, 128 and 255, from the top of the box to its end. They may be slow: painting goes on.
            box: Default: the whole picture.

        Raises:
            InputError: The trimap was changed meanwhile; it stays as it was changed.
            OutputError: The journal's disk is full; the trimap is as it was.
        """
        box = self._box(box)
        with self._lock:
            other, version = self._trimap.snapshot(), self.version
        before: Tiles = {}
        for key, tile in written(other, bands, box):
            before.setdefault(key, tile)
        dirty = other.around(before)
        with self._lock:
            if version != self.version:
                raise InputError("the trimap was painted on meanwhile", hint="Try again.")
            if dirty.empty:
                return dirty
            after = other.tiles(before)
            self._journal.add(None, dirty, before, after)
            self._trimap.put_back(after)
            self._touch(dirty)
            return dirty

    def undo(self) -> Box | None:
        """Take the last stroke back. Returns the box that changed; None if there is no stroke.

        Raises:
            OutputError: The journal's disk is full; the trimap is as it was. So for `redo`.
        """
        return self._exchange(self._journal.last)

    def redo(self) -> Box | None:
        """Do again what was undone. Returns the box that changed; None if nothing was undone."""
        return self._exchange(self._journal.next)

    def steps(self) -> tuple[int, int]:
        """How many strokes can be undone, and how many can be done again."""
        with self._lock:
            return self._journal.count()

    def strokes(self) -> list[Stroke]:
        """Everything that was painted and not undone, the first stroke first."""
        with self._lock:
            return self._journal.strokes()

    def trimap(self, box: Box | None = None, *, level: int = 0) -> UInt8[np.ndarray, "h w"]:
        """The trimap in a box: 0, 128 and 255.

        Args:
            box: Default: all of it.
            level: 1 for half the size, 2 for a quarter, and so on; the box is one of that size. A pixel is unknown if
                one of those it stands for is, else foreground if one is.

        Raises:
            InputError: There is no such level, or the box leaves the picture.
        """
        with self._lock:
            if not 0 <= level < self.levels:
                raise InputError(f"level is {level}", hint=f"Give 0 to {self.levels - 1}.")
            return self._trimap.read(self._box(box, level), level)

    @property
    def levels(self) -> int:
        """How many sizes `trimap` knows."""
        return self._trimap.levels

    @property
    def pixels(self) -> SharedPicture:
        """The picture's rows and windows, for any thread."""
        return self._picture

    @property
    def known(self) -> bool:
        """Whether any pixel is known: nothing is computed before."""
        with self._lock:
            return self._trimap.any_known()

    @property
    def refreshed(self) -> bool:
        """Whether there was a refresh, so that single patches can be computed."""
        return self._decoder is not None

    def snapshot(self) -> TrimapTiles:
        """The trimap as it is now; it stays so while painting goes on."""
        with self._lock:
            return self._trimap.snapshot()

    def computed(self, box: Box) -> bool:
        """Whether any patch that touches the box was computed: else its alpha follows from the trimap alone."""
        with self._lock:
            return any(window in self._alphas for window in self._windows.touching(box))

    def save_trimap(self, path: Path, *, before: Callable[[], Any] = lambda: None) -> None:
        """Write the trimap as a grey picture of 8 bits; if over the file that it began with, the journal goes on.

        Args:
            before: Called before the file appears; where it raises there is none.

        Raises:
            OutputError: It cannot be written.
        """
        write_labels(self.snapshot(), path, before)
        if self._first_trimap is not None and path.resolve() == self._first_trimap:
            with self._lock:
                self._journal.belongs_to({"trimap": stamp(path)})

    # the matte

    @property
    def pending(self) -> int:
        """Patches that are still to be computed."""
        with self._lock:
            return len(self._windows.pending)

    def waiting(self) -> tuple[list[Box], list[Box]]:
        """Boxes that are still to be computed: those never computed, and those whose trimap has changed since then."""
        with self._lock:
            return self._windows.waiting(self._alphas.__contains__)

    @property
    def stale(self) -> bool:
        """Whether strokes have touched patches since the last refresh."""
        with self._lock:
            return bool(self._windows.touched)

    def update(
        self, near: tuple[float, float] | None = None, *, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Box]:
        """Compute the patches that strokes have touched, the nearest to a point first.

        A stroke that comes while this runs is taken into account before the next patch. The first update refreshes.
        Nothing is computed while no pixel is known.

        Args:
            near: (y, x) of the pointer, in pixels. None: from the top left.
            stopped: Asked in the middle of a patch; once it says True, the patch stays pending and the update ends.

        Yields:
            The box of each patch as soon as it can be looked at.

        Raises:
            ModelError: There are no such weights, or the network's answer is not a number.
            MemoryLimitError: The limit is too small for the picture.
            OutputError: The disk of the temporary files is full.
        """
        if self._decoder is None and not self.refresh():
            return
        while (window := self._nearest(near)) is not None:
            assert self._decoder is not None
            version = self.version
            try:
                alpha = self._decoder.decode(window, self._labels, stopped)
            except DecodingStopped:
                return
            with self._lock:
                if window in self._windows.pending:
                    self._alphas.put(window, alpha)
                if version == self.version:
                    self._windows.pending.discard(window)
            yield box_of(window).clipped(self.height, self.width)

    def refresh(self, stopped: Callable[[], bool] = lambda: False, progress: Progress | None = None) -> bool:
        """Bring contexts, known colours and the smaller picture's matte up to date with the trimap.

        Patches that strokes have touched since the last refresh are pending again; `update` computes them.

        Args:
            stopped: Asked again and again; once it says True, everything stays as it was.
            progress: Called with patches done and in all, from 1 on in each of at most three phases.

        Returns:
            Whether it was done: not if it was stopped, or if no pixel of the trimap is known.
        """
        with self._lock:
            still, version = self._trimap.snapshot(), self.version
        if not still.any_known():
            return False
        loaded = load_network(self._network, several=False)
        held = self._picture.info.whole_bytes
        options = RunOptions.of(self._options, device=loaded.device, reserved_bytes=held)
        try:
            decoder = WindowDecoder(self._picture, still, loaded.model, options, stopped, progress)
        except DecodingStopped:
            return False
        with self._lock:
            self._decoder = decoder
            self._windows.pending |= self._windows.touched
            if version == self.version:
                self._windows.touched.clear()
        return True

    def alpha(self, box: Box | None = None) -> Float32[np.ndarray, "h w"]:
        """The matte in a box, in [0, 1]; exactly 0 and 1 where the trimap is known.

        Where no patch was computed yet, unknown pixels have the low-resolution alpha of the known colours, or 0.5
        before the first refresh; `waiting` says where.

        Raises:
            InputError: The box is empty or leaves the picture. So for the colours below.
        """
        box = self._box(box)
        with self._lock:
            trimap = self._trimap.read(box)
            windows = [window for window in self._windows.touching(box) if window in self._alphas]
            options = RunOptions.of(self._options)
            size = box.y1 - box.y0, box.x1 - box.x0
            found = ((window, self._alphas.get(window)) for window in windows)
            alpha, computed = stitched(found, options, origin=(box.y0, box.x0), size=size)
        if ((trimap == UNKNOWN) & (computed == 0)).any():
            alpha = np.where(computed == 1, alpha, self._low_alpha(box))
        return with_known(alpha, trimap)

    def picture(self, box: Box | None = None) -> Float32[np.ndarray, "h w 3"]:
        """The picture in a box, in its own encoding (of a JPEG: sRGB); integers are scaled to [0, 1]."""
        box = self._box(box)
        return as_float(self._picture.window(box.y0, box.y1, box.x0, box.x1))

    def foreground(self, box: Box | None = None) -> Float32[np.ndarray, "h w 3"]:
        """Foreground colours in a box, in the picture's encoding, not multiplied by alpha.

        They are estimated from the box and a margin of 128 pixels, so they are near those of a whole run, not equal.
        """
        box = self._box(box)
        around = box.grown(_MARGIN).clipped(self.height, self.width)
        colours = estimate_foreground(self.picture(around), self.alpha(around))
        top, left = box.y0 - around.y0, box.x0 - around.x0
        return colours[top : top + box.y1 - box.y0, left : left + box.x1 - box.x0]

    def composite(self, background: Any, box: Box | None = None) -> Float32[np.ndarray, "h w 3"]:
        """The foreground over a colour in a box, in the picture's encoding.

        Args:
            background: A colour as text, display-encoded ("white", "#d8d2c8"), or three numbers in the picture's
                encoding, or an array h x w x 3 of the box's size, in that encoding.

        Raises:
            InputError: It is no colour, or an array of another shape.
        """
        size = self._box(box).size
        colours = behind(background, size, self._picture.info.encoding)
        return colour.composite(self.foreground(box), self.alpha(box), colours)

    def export(self, outputs: Outputs, *, progress: Progress | None = None) -> RunSummary:
        """Write files by a whole run on the trimap as it is, as `matte_files` does with windows on the grid.

        Raises:
            InputError: The picture was given as an array.
            OutputError: A file cannot be written.
        """
        if self.path is None:
            raise InputError("the picture is an array, we need a file to export", hint="Use hdmatt.matte for arrays.")
        with (folders := tempfile.TemporaryDirectory()) as folder:
            self._folder = folders  # it must go, too, where the process ends in the middle
            trimap = Path(folder) / "trimap.png"
            self.save_trimap(trimap)
            return matte_files(
                self.path,
                trimap,
                outputs,
                options=self._options,
                network=self._network,
                input_options=self.input_options,
                progress=progress,
            )

    def close(self) -> None:
        """Close the files; what was painted stays in the journal. Safe to call twice."""
        with self._lock:
            self._journal.close()
            self._alphas.close()
            self._picture.close()
            if self._folder:
                self._folder.cleanup()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, find: Callable[[], Edit | None]) -> Box | None:
        with self._lock:
            edit = find()
            if edit is None:
                return None
            before = self._trimap.put_back(edit.tiles)
            try:
                self._journal.exchange(edit, before)
            except BaseException:
                self._trimap.put_back(before)
                raise
            self._touch(edit.box)
            return edit.box

    def _touch(self, box: Box) -> None:
        """The trimap has changed in a box: which windows are to be computed, and which are known now."""
        self.version += 1
        for window in self._windows.touch(box, self._trimap.holds_unknown):
            self._alphas.drop(window)

    def _nearest(self, near: tuple[float, float] | None) -> Window | None:
        with self._lock:
            return self._windows.nearest(near)

    def _labels(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        with self._lock:
            return self._trimap.read(Box(y0, x0, y1, x1))

    def _low_alpha(self, box: Box) -> np.ndarray:
        found = self._decoder.low_alpha(box) if self._decoder else None
        return np.full(box.size, 0.5, np.float32) if found is None else found

    def _box(self, box: Box | None, level: int = 0) -> Box:
        return box_inside(box, *self._trimap.size(level))
