"""Alpha of single windows of a picture, in any order: for programs in which the trimap changes.

Knows readers of rows, windows and the network; nothing of strokes or files. Read top to bottom:

    WindowDecoder    context pool, known colours and the smaller picture's matte of one trimap; `decode` a window
    DecodingStopped  the work was no longer wanted
    stitched         the alpha of a box, from the alpha of windows
    phases_of_contexts    how many counts `progress` hears while a decoder is made

With the trimap that the pool was made from, windows of the fixed grid have the same alpha as in a whole run, and so has
the stitched picture, bit for bit. With a trimap that was painted on since then, the contexts are from the
earlier trimap.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.inference.cut import CutPatches, read_known_colours
from hdmatt.inference.decode import check_finite, decode_patches
from hdmatt.inference.device_workers import UploadedPatches, device_workers
from hdmatt.inference.job import MatteTask
from hdmatt.inference.mixing import as_mixed
from hdmatt.inference.options import Counters, Progress, RowSource, RunOptions
from hdmatt.inference.pool import fill_pool
from hdmatt.inference.small_first import plan_small_first
from hdmatt.network.model import HDMatt
from hdmatt.overview.small_matte import shrink_factor
from hdmatt.patches.stitch import Stitcher, blending_weight
from hdmatt.patches.windows import Window, cut, restored, rows_of
from hdmatt.pictures.box import Box
from hdmatt.pictures.info import PictureInfo
from hdmatt.pictures.reader import BandReader, network_colours


class DecodingStopped(Exception):
    """The caller's `stopped` said that the work is no longer wanted."""


class WindowDecoder:
    """Decodes single windows of a picture, with contexts from one trimap.

    Making it reads the picture and encodes the context pool; for a large picture the smaller one is matted, too.

    Args:
        picture: Its windows should be cheap to read in any order.
        trimap: As it is now; it must not change while this is made.
        options: With the fixed grid.
        stopped: Asked again and again; once it says True, `DecodingStopped` is raised.
        progress: Called with patches done and in all, for the smaller picture and for the context pool.

    Raises:
        InputError: Every pixel of the trimap is unknown.
        MemoryLimitError: The limit is too small for the picture.
        DecodingStopped: The caller wants it no more.
    """

    def __init__(
        self,
        picture: BandReader,
        trimap: RowSource,
        model: HDMatt,
        options: RunOptions,
        stopped: Callable[[], bool] = lambda: False,
        progress: Progress | None = None,
    ) -> None:
        def go_on(done: int = 0, of: int = 0) -> None:
            if stopped():
                raise DecodingStopped
            if progress and done:
                progress(done, of)

        # only what the network sees of it
        self._info = as_mixed(picture, options.mixing).info
        watched = as_mixed(_Watched(picture, go_on), options.mixing)
        marks = _Watched(trimap, go_on)
        plan, small_matte = plan_small_first(MatteTask(watched, marks, model, options, None, None, go_on))
        # features are not kept for queries: any of them may be decoded more than once
        self.plan = replace(plan, cache=0, stems=0)
        self._picture, counters = picture, Counters()
        workers = device_workers(self.plan, model)
        self._worker = workers[0]
        self.small_matte = small_matte() if plan.unknown else None
        self.known_colours = read_known_colours(watched, marks, counters) if plan.known_colours else None
        self._pool = fill_pool(self.plan, watched, marks, self.known_colours, workers[:1], counters, go_on)

    def decode(
        self,
        window: Window,
        labels: Callable[[int, int, int, int], UInt8[np.ndarray, "h w"]],
        stopped: Callable[[], bool] = lambda: False,
    ) -> Float32[np.ndarray, "p p"]:
        """Alpha of a window, not clipped and also where the trimap is known.

        Args:
            labels: Gives the trimap's rows y0 .. y1 - 1 and columns x0 .. x1 - 1, for (y0, y1, x0, x1).
            stopped: Asked before and after the encoder's body; once it says True, `DecodingStopped` is raised.

        Raises:
            ModelError: The network's answer is not a number.
            DecodingStopped: The caller wants it no more.
        """

        def go_on() -> None:
            if stopped():
                raise DecodingStopped

        size, info, part = window.size, self._picture.info, self.plan.part
        top, bottom = rows_of(window, info.height)
        left, right = rows_of(Window(window.x, 0, size), info.width)
        inside = window if (left, right) == (0, info.width) else window._replace(x=window.x - left)
        place = {"first_row": top, "height": info.height}
        colours = cut(self._picture.window(top, bottom, left, right), inside, **place)[part.inside]
        trimap = cut(labels(top, bottom, left, right), inside, **place)[part.inside][None]
        surroundings = None
        if self.known_colours:
            surroundings = self.known_colours.surroundings(window.y, window.x, size=size, patch=size)
            surroundings = surroundings[part.blocks][None]
        patch = CutPatches([window], network_colours(colours, self._info.encoding)[None], trimap, surroundings)
        upload = self._worker.link.upload(patch.arrays())
        uploaded = UploadedPatches([window], trimap, upload)
        alpha = decode_patches(self.plan, uploaded, self._worker, self._pool, go_on).array()
        check_finite(alpha, [window])
        whole, marks = (
            restored(values[0], window, part, height=info.height, width=info.width) for values in (alpha, trimap)
        )
        return self.small_matte.corrected(window, whole, marks) if self.small_matte else whole

    def low_alpha(self, box: Box) -> Float32[np.ndarray, "h w"] | None:
        """The low-resolution alpha of the known colours in a box, nearest pixels; None where there are none."""
        known = self.known_colours
        if known is None:
            return None
        rows, columns = (
            np.clip((np.arange(low, high) / known.step).astype(int), 0, length - 1)
            for low, high, length in ((box.y0, box.y1, known.alpha.shape[0]), (box.x0, box.x1, known.alpha.shape[1]))
        )
        return known.alpha[rows[:, None], columns[None]]


class _Watched:
    """A picture or trimap whose reading calls a function, which may raise."""

    def __init__(self, picture: RowSource, go_on: Callable[[], None]) -> None:
        self._picture, self._go_on = picture, go_on
        self.info: PictureInfo = picture.info

    def rows(self, y0: int, y1: int) -> np.ndarray:
        self._go_on()
        return self._picture.rows(y0, y1)


def stitched(
    windows: Iterable[tuple[Window, Float32[np.ndarray, "p p"]]],
    options: RunOptions,
    *,
    origin: tuple[int, int],
    size: tuple[int, int],
) -> tuple[Float32[np.ndarray, "h w"], UInt8[np.ndarray, "h w"]]:
    """The alpha of a box of the picture from all windows that touch it, and where there was any window.

    Args:
        windows: With their alpha, in raster order.
        origin: First row and column of the box.
        size: Its height and width.
    """
    stitcher, found = Stitcher(*size), np.zeros(size, np.uint8)
    weight = blending_weight(options.patch, options.overlap, blend=options.blend)
    for window, alpha in windows:
        y, x = window.y - origin[0], window.x - origin[1]
        stitcher.add(Window(y, x, window.size), alpha, weight)
        found[max(y, 0) : y + window.size, max(x, 0) : x + window.size] = 1
    return stitcher.result(), found


def phases_of_contexts(height: int, width: int) -> int:
    """How often `progress` of a WindowDecoder counts from 1 on.

    For the smaller picture's contexts, its patches, and the picture's own contexts; a small picture has the last alone.
    """
    return 3 if shrink_factor(height, width) > 1 else 1
