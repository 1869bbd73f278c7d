"""The first trimap of a picture that has none: from a box, strokes, a mask file, or the picture's own alpha.

Knows sessions, masks and bands; nothing of requests. Read top to bottom:

    mask_rows    what is asked for -> labels in bands of rows
    band_rows    the trimap as it is -> the same with an unknown band between foreground and background

A mask has hardly any unknown pixels: a band comes next. Both tell how far they are, as a share from 0 to 1; what that
raises ends them.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from hdmatt.errors import InputError
from hdmatt.inference.load import AnyNetwork
from hdmatt.inference.options import Progress
from hdmatt.pictures.box import Box
from hdmatt.pictures.reader import BandReader
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND
from hdmatt.studio.session import Session
from hdmatt.studio.trimap_tiles import TrimapTiles
from hdmatt.trimaps.box_mask import mask_from_box
from hdmatt.trimaps.fixed import MaskRows, fixed_band_rows
from hdmatt.trimaps.grabcut import mask_from_scribbles
from hdmatt.trimaps.masks import MaskSource, open_mask
from hdmatt.trimaps.widths import BandWidths

Tell = Callable[[float], None]  # the share that is done

_ROWS = 256
_STROKES = ("#ff0000", "#0000ff")  # the colours that strokes of foreground and background are handed on in


def mask_rows(
    session: Session,
    *,
    box: Box | None = None,
    mask: Path | None = None,
    alpha: bool = False,
    scribbles: bool = False,
    painted: bool = False,
    tell: Tell = lambda _: None,
    doubt: Callable[[str], None] = lambda _: None,
) -> Iterator[UInt8[np.ndarray, "_ w"]]:
    """Labels of the whole picture from one of these; strokes of foreground and background stay as they are.

    Args:
        box: The object lies in it.
        mask: A file: grey, a matte, or a cut-out with transparency.
        alpha: The picture's own transparency says what the object is.
        scribbles: What is known so far are strokes on the object and on what lies behind it.
        doubt: Called with what speaks against a mask that was found in a box.
        painted: What brush and lasso have painted, as if nothing else had ever been done: to scribble on.

    Raises:
        InputError: Not exactly one of them, or it is of no use.
    """
    ways = {"box": box, "mask": mask, "alpha": alpha, "scribbles": scribbles, "painted": painted}
    given = [name for name, value in ways.items() if value]
    if len(given) != 1:
        raise InputError(f"a start from {' and '.join(given) or 'nothing'}", hint=f"Give one of: {', '.join(ways)}.")
    if box is not None:
        box = box.clipped(session.height, session.width)
        if box.empty:
            raise InputError("the box lies beside the picture", hint="Draw it around the object.")
    with ExitStack() as stack:
        pixels, rounds = _Told(session.pixels, _part(tell, 0, 0.3)), _part(tell, 0.3, 0.9)
        if painted:
            rows = _painted(session)
        elif scribbles:
            rows = _from_strokes(session, pixels, rounds)
        elif box is not None:
            rows = mask_from_box(pixels, (box.x0, box.y0, box.x1, box.y1), progress=rounds)
            if rows.doubt:
                doubt(rows.doubt)
        else:
            rows = open_mask(stack, _source(session, mask), pixels, session.input_options)
        for y in range(0, session.height, _ROWS):
            yield rows.rows(y, min(y + _ROWS, session.height))
            _part(tell, 0.9, 1)(y + _ROWS, session.height)


def band_rows(
    session: Session,
    *,
    inside: str | int | float | None,
    outside: str | int | float | None,
    automatic: bool,
    network: AnyNetwork,
    memory: int | str | None,
    tell: Tell = lambda _: None,
) -> Iterator[UInt8[np.ndarray, "_ w"]]:
    """The trimap with an unknown band between foreground and background; what is unknown now stays so.

    Args:
        inside: How far the band reaches into the foreground: pixels, or percent of the diagonal ("2%"). With
            `automatic` the first matte looks so far.
        outside: The same for the background.
        automatic: The picture decides, by a first matte of a smaller one.
        memory: Limit in bytes, as in Options.

    Raises:
        InputError: No width, or no foreground or background would be left.
    """
    mask = _TrimapMask(session.snapshot())
    if automatic:
        from hdmatt.trimaps.automatic import automatic_band_rows

        widths = BandWidths.parse("auto", inside, outside, picture=True)
        pixels, patches = _Told(session.pixels, _part(tell, 0, 0.1)), _part(tell, 0.1, 0.9)
        rows = automatic_band_rows(pixels, mask, widths, network=network, memory=memory, progress=patches)
    else:
        widths = BandWidths.parse(None, inside, outside, picture=False)
        assert widths.inside is not None and widths.outside is not None
        reach = [width.pixels(mask.height, mask.width) for width in (widths.inside, widths.outside)]
        rows = fixed_band_rows(mask, inside=reach[0], outside=reach[1])
    left: set[int] = set()
    done = 0
    for band in rows:
        left.update(kind for kind in (BACKGROUND, FOREGROUND) if (band == kind).any())
        yield band
        done += len(band)
        _part(tell, 0.9 if automatic else 0, 1)(done, mask.height)
    for kind, name in ((FOREGROUND, "foreground"), (BACKGROUND, "background")):
        if kind not in left:
            raise InputError(f"no sure {name} is left", hint="Mark some first, or give a narrower band.")


class _TrimapMask:
    """A trimap that stays as it is, as a mask."""

    def __init__(self, trimap: TrimapTiles) -> None:
        self._trimap = trimap
        self.height, self.width = trimap.size()

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        return self._trimap.rows(y0, y1)


def _part(tell: Tell, low: float, high: float) -> Progress:
    """Tells a part of a work, which is a share of the whole."""
    return lambda done, of: tell(low + (high - low) * min(1.0, done / max(of, 1)))


class _Told(BandReader):
    """A picture that tells which of its rows are read."""

    def __init__(self, picture: BandReader, progress: Progress) -> None:
        self._picture, self._progress = picture, progress
        self.info = picture.info

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        self._progress(y0, self.info.height)
        return self._picture.colours(y0, y1, x0, x1)


class _Strokes(BandReader):
    """Painted labels as a picture of coloured strokes, which masks from strokes are made of."""

    def __init__(self, trimap: TrimapTiles) -> None:
        self._trimap = trimap
        self.info = replace(trimap.info, channels=3)
        self._palette = np.zeros((256, 3), np.uint8)
        self._palette[FOREGROUND], self._palette[BACKGROUND] = (255, 0, 0), (0, 0, 255)

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        return self._palette[self._trimap.read(Box(y0, x0, y1, x1))]


def _from_strokes(session: Session, pixels: BandReader, rounds: Progress) -> MaskRows:
    strokes = _Strokes(session.snapshot())
    try:
        return mask_from_scribbles(pixels, strokes, _STROKES, name="the trimap", progress=rounds)
    except InputError as error:
        if "no stroke" not in error.message:
            raise
        raise InputError(
            "strokes on both are needed, the object and what lies behind it",
            hint="Paint some foreground and background.",
        ) from error


def _painted(session: Session) -> MaskRows:
    alone = TrimapTiles(session.pixels.info)
    for stroke in session.strokes():
        if stroke.kind in ("brush", "lasso"):  # what the others cover follows from what was there
            alone.paint(stroke)
    return _TrimapMask(alone)


def _source(session: Session, mask: Path | None) -> MaskSource:
    if mask is not None:
        return MaskSource(mask)
    if session.path is None or not session.pixels.info.has_alpha:
        raise InputError("the picture has no alpha channel", hint="Start from a box, strokes or a mask file.")
    return MaskSource(session.path)
