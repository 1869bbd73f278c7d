"""GrabCut on a smaller picture, and masks from coloured strokes.

Knows nothing of bands and networks. OpenCV's random numbers are seeded in the calling thread, so that the same picture
gives the same mask.

    grabcut                colours and first marks -> which pixels are the object's
    mask_from_scribbles    what looks like the strokes of one colour and not of the other

Source:
    Rother, Kolmogorov, Blake: GrabCut, SIGGRAPH 2004; OpenCV's implementation.
"""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from hdmatt.errors import InputError
from hdmatt.inference.options import Progress
from hdmatt.pictures.colours import colour
from hdmatt.pictures.reader import BandReader, network_colours
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from hdmatt.trimaps.mask_rows import ROWS, EnlargedMask
from hdmatt.trimaps.smaller import eight_bits, smaller_picture, step_for

SIDE = 800  # of the smaller picture, about: 3.5 s on one core
ROUNDS = 5  # of GrabCut
_NEAR = 24 / 255  # a stroke's pixels may differ by this in each channel: JPEG, soft brushes


def grabcut(
    colours: UInt8[np.ndarray, "h w 3"], marks: UInt8[np.ndarray, "h w"], progress: Progress = lambda *_: None
) -> Bool[np.ndarray, "h w"]:
    """Which pixels are the object's.

    Args:
        marks: What is known and guessed of each pixel, as OpenCV numbers it; changed in place.
        progress: Called with rounds done and in all; what it raises ends the work.
    """
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    nowhere = (0, 0, 0, 0)  # the rectangle, which the marks stand for
    for done in range(ROUNDS):  # one at a time gives the same as all at once
        progress(done, ROUNDS)
        cv2.grabCut(colours, marks, nowhere, *models, 1, cv2.GC_EVAL if done else cv2.GC_INIT_WITH_MASK)
    progress(ROUNDS, ROUNDS)
    return (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)


def mask_from_scribbles(
    picture: BandReader,
    strokes: BandReader,
    colours: tuple[str, str],
    *,
    name: str,
    progress: Progress = lambda *_: None,
) -> "ScribbledMask":
    """A mask of what looks like the strokes of the first colour and not like those of the second.

    Args:
        strokes: A picture of the same size with the strokes, on the photograph or on any ground.
        colours: Of the strokes on foreground and on background, as text; the photograph should not have them.
        progress: Called with GrabCut's rounds done and in all; what it raises ends the work.

    Raises:
        InputError: Another size, no colours, or no pixel of one of them.
    """
    info = picture.info
    if (strokes.info.height, strokes.info.width) != (info.height, info.width):
        raise InputError(
            f"{name} is {strokes.info.width}x{strokes.info.height} but the picture is {info.width}x{info.height} "
            "(width x height, after EXIF rotation)",
            hint="Draw the strokes on the picture itself, or on a layer of its size.",
        )
    marked = _StrokeRows(strokes, colours)
    step = step_for(info.height, info.width, side=SIDE)
    small, _ = smaller_picture(picture, step)
    found = marked.reduced(step)
    for value, text in ((FOREGROUND, colours[0]), (BACKGROUND, colours[1])):
        if not (found == value).any():
            raise InputError(
                f"{name} has no stroke of the colour {text}",
                hint="Give the two colours as they are in the file: --scribbles '#ff0000' '#0000ff'.",
            )
    # the first guess for a pixel is the nearer kind of stroke
    near = [cv2.distanceTransform((found != v).astype(np.uint8), cv2.DIST_L2, 5) for v in (FOREGROUND, BACKGROUND)]
    marks = np.where(near[0] < near[1], cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[found == FOREGROUND] = cv2.GC_FGD
    marks[found == BACKGROUND] = cv2.GC_BGD
    mask = grabcut(eight_bits(small), marks, progress)
    if not mask.any():
        raise InputError("GrabCut found no object: it looks like its surroundings", hint="Draw more strokes on it.")
    enlarged = EnlargedMask(mask.astype(np.float32), height=info.height, width=info.width, step=(step, step))
    return ScribbledMask(enlarged, marked)


class ScribbledMask:
    """A mask, and the strokes that it was made from, which stay known in the trimap."""

    def __init__(self, mask: EnlargedMask, strokes: "_StrokeRows") -> None:
        self._mask, self._strokes = mask, strokes
        self.height, self.width = mask.height, mask.width

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        return self.with_strokes(self._mask.rows(y0, y1), y0, y1)

    def with_strokes(self, rows: UInt8[np.ndarray, "h w"], y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        """Rows of a mask or trimap with 255 and 0 where the strokes are."""
        strokes = self._strokes.rows(y0, y1)
        return np.where(strokes == UNKNOWN, rows, strokes)


class _StrokeRows:
    """Coloured strokes by rows: 255 foreground, 0 background, 128 no stroke."""

    def __init__(self, picture: BandReader, colours: tuple[str, str]) -> None:
        self._picture = picture
        self._colours = [np.asarray(colour.parse_colour(text), np.float32) for text in colours]
        if np.abs(self._colours[0] - self._colours[1]).max() <= 2 * _NEAR:
            raise InputError(
                f"the colours {colours[0]} and {colours[1]} are too much alike",
                hint="Use two that differ: red, blue.",
            )

    def rows(self, y0: int, y1: int) -> np.ndarray:
        info = self._picture.info
        pixels = network_colours(self._picture.rows(y0, y1), info.encoding)
        values = np.full(pixels.shape[:2], UNKNOWN, np.uint8)
        for value, wanted in zip((FOREGROUND, BACKGROUND), self._colours, strict=True):
            values[(np.abs(pixels - wanted) <= _NEAR).all(axis=2)] = value
        return values

    def reduced(self, step: int) -> np.ndarray:
        """The strokes at reduced size; a square that both touch has none."""
        info = self._picture.info
        height, width = -(-info.height // step), -(-info.width // step)
        touched = np.zeros((2, height, width), bool)
        rows = max(1, ROWS // step) * step
        for y0 in range(0, info.height, rows):
            values = self.rows(y0, min(y0 + rows, info.height))
            for i, value in enumerate((FOREGROUND, BACKGROUND)):
                ys, xs = np.nonzero(values == value)
                touched[i, (y0 + ys) // step, xs // step] = True
        found = np.full((height, width), UNKNOWN, np.uint8)
        found[touched[0] & ~touched[1]] = FOREGROUND
        found[touched[1] & ~touched[0]] = BACKGROUND
        return found
