"""The rows of a job into its output files, with the foreground's colours on the way.

Knows files and rows; nothing of networks and plans. Read top to bottom:

    Sources          what outputs are made of beside the matte
    Written          what was written
    write_outputs    all outputs, row by row; or cut to the subject once the last row is known

What the files are and how they appear together is in inference/outputs.py.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hdmatt.inference.backgrounds import Background, open_background
from hdmatt.inference.cut_to_subject import WaitingRows
from hdmatt.inference.job import Job
from hdmatt.inference.matte_range import WHOLE, in_range, levels
from hdmatt.inference.mixing import Conversion, converted
from hdmatt.inference.outputs import OutputFiles, Outputs, finest_depth
from hdmatt.inference.threads import WriteQueue
from hdmatt.pictures.box import Box
from hdmatt.pictures.colours.continued import continued_bands
from hdmatt.pictures.colours.despill import despilled
from hdmatt.pictures.colours.foreground import PIECE, ForegroundRows, foreground_bands
from hdmatt.pictures.info import InputOptions, PictureInfo
from hdmatt.pictures.reader import PictureReader, as_float, open_picture


@dataclass(frozen=True)
class Sources:
    """Picture, trimap and background, from which outputs are made beside the matte.

    Attributes:
        coarse: Of `coarse_colours`, where the foreground is continued to where alpha is 0.
        screen: The number of the colour (1 green, 2 blue) that `Outputs.despill` takes from the foreground.
        conversion: Of alpha, for another mixing of colours; the matte is then written with its colours.
    """

    picture: Path
    info: PictureInfo
    background: Path | np.ndarray | None
    options: InputOptions
    coarse: np.ndarray | None
    screen: int | None = None
    conversion: Conversion | None = None

    @property
    def changes_alpha(self) -> bool:
        return self.conversion is not None and self.conversion.changes_alpha

    def again(self, stack: ExitStack) -> PictureReader:
        """The picture once more, closed with the stack."""
        return stack.enter_context(open_picture(self.picture, self.options))

    def behind(self, stack: ExitStack) -> Background | None:
        """Background of the composite, closed with the stack."""
        return None if self.background is None else open_background(stack, self.background, self.info, self.options)


class Written(NamedTuple):
    """What was written.

    Attributes:
        box: What all outputs hold of the picture; None: all.
        notes: What a user should know of them.
    """

    box: Box | None
    notes: list[str]


def write_outputs(job: Job, sources: Sources, outputs: Outputs, reach: Box | None) -> Written:
    """All outputs of a job; another thread encodes them while the next rows are computed.

    Args:
        reach: If they are to be cut to the subject, what the trimap leaves possible.
    """
    if reach:
        return _write_cut(job, sources, outputs, reach)
    with ExitStack() as stack:
        behind = sources.behind(stack)
        files = stack.enter_context(OutputFiles(outputs, sources.info, behind))
        queue = stack.enter_context(WriteQueue())
        if not outputs.colours() and not sources.changes_alpha:
            for _, alpha in in_range(job.rows, outputs.matte_range):
                queue.submit(files.write_alpha, alpha)
            return Written(None, [])
        layer = sources.again(stack) if outputs.original() else None
        rows = job.rows
        if not sources.conversion:
            rows = _matte_first(in_range(rows, outputs.matte_range), files, queue)
        for y0, foreground, alpha in _colours(rows, stack, sources, outputs):
            if sources.conversion:
                queue.submit(files.write_alpha, alpha)
            y1 = y0 + len(alpha)
            original = as_float(layer.rows(y0, y1)) if layer else None
            beneath = behind.rows(y0, y1) if behind else None
            queue.submit(files.write_colours, foreground, alpha, background=beneath, original=original)
            del foreground, alpha, original, beneath
    return Written(None, files.notes())


def _write_cut(job: Job, sources: Sources, outputs: Outputs, reach: Box) -> Written:
    """All outputs of a job, cut to the subject once the last row of the matte is known."""
    info, colours = sources.info, outputs.colours() or sources.changes_alpha
    depth = finest_depth(outputs, info)
    with ExitStack() as stack:
        behind = sources.behind(stack)
        OutputFiles(outputs, info, behind, reach).try_out()
        layer = sources.again(stack) if outputs.original() else None
        waiting = stack.enter_context(WaitingRows(outputs.paths()[0], reach, bit_depth=depth, colours=colours))
        with WriteQueue() as queue:
            if colours:
                rows = job.rows if sources.conversion else in_range(job.rows, outputs.matte_range)
                for y0, foreground, alpha in _colours(rows, stack, sources, outputs):
                    queue.submit(waiting.add, y0, alpha, foreground)
                    del foreground, alpha
            else:
                for y0, alpha in in_range(job.rows, outputs.matte_range):
                    queue.submit(waiting.add, y0, alpha)
        box = waiting.box()
        with OutputFiles(outputs, info, behind, box) as files:
            for y0, alpha, foreground in waiting.bands(box):
                files.write_alpha(alpha)
                if foreground is not None:
                    y1 = y0 + len(alpha)
                    original = box.columns(as_float(layer.rows(y0, y1))) if layer else None
                    beneath = box.columns(behind.rows(y0, y1)) if behind else None
                    files.write_colours(foreground, alpha, background=beneath, original=original)
    return Written(box, files.notes())


def _matte_first(
    rows: Iterator[tuple[int, np.ndarray]], files: OutputFiles, queue: WriteQueue
) -> Iterator[tuple[int, np.ndarray]]:
    """The same rows; the matte is written at once, before its colours are known."""
    for y0, alpha in rows:
        queue.submit(files.write_alpha, alpha)
        yield y0, alpha
        del alpha  # or it would be held while the next is made


def _colours(
    rows: Iterator[tuple[int, np.ndarray]], stack: ExitStack, sources: Sources, outputs: Outputs
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(y0, foreground rows, alpha rows), without the light of a screen."""
    for y0, foreground, alpha in _with_colours(rows, stack, sources, outputs.matte_range):
        clean = foreground if sources.screen is None else despilled(foreground, sources.screen, outputs.despill)
        yield y0, clean, alpha
        del foreground, alpha


def _with_colours(
    rows: Iterator[tuple[int, np.ndarray]], stack: ExitStack, sources: Sources, matte_range: tuple[float, float]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(y0, foreground rows, alpha rows).

    Pieces are copies, so that the estimate's own rows are free while they wait to be written.

    Args:
        matte_range: Levels of an alpha that is converted; the rows of another one have theirs already.
    """
    picture = sources.again(stack)
    info, coarse = picture.info, sources.coarse
    if conversion := sources.conversion:
        if not conversion.changes_alpha:
            rows = in_range(rows, matte_range)
        finished = converted(rows, picture, conversion)
        if conversion.changes_alpha and matte_range != WHOLE:  # the colours that belong to the alpha at these levels
            changed = ((y0, levels(alpha, *matte_range)) for y0, _, alpha in finished)
            finished = converted(changed, sources.again(stack), replace(conversion, source=conversion.target))
        yield from (
            finished if coarse is None else continued_bands(finished, coarse, height=info.height, width=info.width)
        )
        return

    def bands() -> Iterator[ForegroundRows]:
        for y0, alpha in rows:
            for y in range(0, len(alpha), PIECE):
                y1 = min(y + PIECE, len(alpha))
                yield y0 + y, as_float(picture.rows(y0 + y, y0 + y1)), alpha[y:y1]
            del alpha  # or it would be held while the next is made

    estimated = foreground_bands(bands(), height=info.height, width=info.width)
    if coarse is not None:
        yield from continued_bands(estimated, coarse, height=info.height, width=info.width)
        return
    for y0, foreground, alpha in estimated:
        for y in range(0, len(foreground), PIECE):
            inside = slice(y, y + PIECE)
            yield y0 + y, foreground[inside].copy(), alpha[inside].copy()
        del foreground, alpha
