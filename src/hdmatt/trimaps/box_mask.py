"""A mask of the object in a box, by GrabCut, and whether it is to be trusted.

Knows nothing of bands and networks. The box with a margin around it is looked at, at reduced size. GrabCut's answer
hangs on what it takes for the object at first, and no first guess is good for all pictures:

    all of the box      right where the object fills it; a background that the margin does not show is then the object's
    an ellipse in it    leaves the corners to the background; where the box ends at the picture's edge, so does the
                        object, and the ellipse goes on beyond it

Both are tried. The mask is taken whose edge lies on the stronger edges of the picture. Where the other one is nearly as
good and differs, the mask is doubtful. Read top to bottom:

    mask_from_box    picture and box -> the mask
    BoxMask          its rows, and what makes it doubtful
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from hdmatt.errors import InputError
from hdmatt.inference.options import Progress
from hdmatt.pictures.box import Box
from hdmatt.pictures.reader import BandReader
from hdmatt.trimaps.grabcut import ROUNDS, SIDE, grabcut
from hdmatt.trimaps.mask_rows import EnlargedMask
from hdmatt.trimaps.smaller import eight_bits, smaller_picture, step_for

_MARGIN = 0.25  # around the box, of its longer side: what the background is learned from
_LEAST = 8  # pixels of the reduced picture on each side, or GrabCut has nothing to learn from
_FULL, _EMPTY = 0.97, 0.03  # of the box: nearly all of it, hardly anything
_FLAT = 3.0  # grey levels from pixel to pixel, on average along the mask's edge
_SPECK = 0.002  # of the object: smaller holes and pieces are mistakes, such as the whites of eyes
_DEEP = 0.03  # of the diagonal, from the outer edge: hair has its gaps nearer to it
_AGREE = 0.9  # of both guesses' masks; below, they disagree
_RIVAL = 0.4  # of the stronger edge: a guess with a weaker one does not count
_ALIKE = 0.55  # of the colours that object and surroundings have in common
_RIM = 0.02  # of a side: an object that goes on beyond the picture's edge comes nearer to it
_SHADES = 16  # of each channel, when colours are compared


def mask_from_box(
    picture: BandReader, box: tuple[int, int, int, int], *, progress: Progress = lambda *_: None
) -> "BoxMask":
    """A mask of the object in a box x0, y0, x1, y1; nothing outside of the box belongs to it.

    Args:
        progress: Called with GrabCut's rounds done and in all; what it raises ends the work.

    Raises:
        InputError: The box is empty, leaves the picture or fills it, or GrabCut finds nothing in it.
    """
    x0, y0, x1, y1 = box
    height, width = picture.info.height, picture.info.width
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise InputError(
            f"the box is {x0} {y0} {x1} {y1}, the picture is {width}x{height} (width x height)",
            hint="Give x0 y0 x1 y1 with x0 < x1 and y0 < y1, inside of the picture.",
        )
    margin = max(8, round(_MARGIN * max(y1 - y0, x1 - x0)))
    part = Box(y0, x0, y1, x1).grown(margin).clipped(height, width)
    step = step_for(*part.size, side=SIDE)
    inner = Box(y0 - part.y0, x0 - part.x0, y1 - part.y0, x1 - part.x0)
    inner = Box(inner.y0 // step, inner.x0 // step, -(-inner.y1 // step), -(-inner.x1 // step))
    small = eight_bits(smaller_picture(_Part(picture, part), step)[0])
    if inner == Box(0, 0, *small.shape[:2]):
        raise InputError(
            "the box fills the picture, so there is no background to compare with",
            hint="Draw it close around the object.",
        )
    masks = _found(small, inner, progress)
    mask = masks[0]
    enlarged = EnlargedMask(mask.astype(np.float32), height=part.size[0], width=part.size[1], step=(step, step))
    return BoxMask(enlarged, part, (height, width), _doubt(small, masks, inner))


class BoxMask:
    """The rows of a mask that was made in a part of the picture.

    Attributes:
        doubt: What speaks against the mask, as a sentence without its full stop; None: nothing does.
    """

    def __init__(self, mask: EnlargedMask, part: Box, size: tuple[int, int], doubt: str | None) -> None:
        self._mask, self._part, self.doubt = mask, part, doubt
        self.height, self.width = size

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        part = self._part
        rows = np.zeros((y1 - y0, self.width), np.uint8)
        first, end = max(y0, part.y0), min(y1, part.y1)
        if first < end:
            rows[first - y0 : end - y0, part.x0 : part.x1] = self._mask.rows(first - part.y0, end - part.y0)
        return rows


class _Part(BandReader):
    """A part of a picture as a picture."""

    def __init__(self, picture: BandReader, part: Box) -> None:
        self._picture, self._part = picture, part
        self.info = replace(picture.info, height=part.size[0], width=part.size[1])

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        top, left = self._part.y0, self._part.x0
        return self._picture.colours(top + y0, top + y1, left + x0, left + x1)


def _found(small: UInt8[np.ndarray, "h w 3"], box: Box, progress: Progress) -> list[Bool[np.ndarray, "h w"]]:
    """The masks of both guesses, the one with the stronger edge first."""
    inside = np.zeros(small.shape[:2], bool)
    inside[box.y0 : box.y1, box.x0 : box.x1] = True
    guesses = [np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)]
    ellipse = inside & _ellipse(small.shape[:2], box)
    if ellipse.sum() >= _LEAST:
        guesses.append(np.where(ellipse, cv2.GC_PR_FGD, np.where(inside, cv2.GC_PR_BGD, cv2.GC_BGD)).astype(np.uint8))
    if min(inside.sum(), (~inside).sum()) < _LEAST:
        raise InputError("the box leaves too few pixels on one of its sides", hint="Draw it close around the object.")
    found: list[np.ndarray] = []
    for number, marks in enumerate(guesses):
        done, of = number * ROUNDS, len(guesses) * ROUNDS
        found.append(grabcut(small, marks, lambda more, _, done=done, of=of: progress(done + more, of)))
    masks = [without_specks(mask) for mask in found if mask.any()]
    if not masks:
        raise InputError(
            "GrabCut found no object: it looks like its surroundings",
            hint="Draw the box closer, or mark it by strokes: --scribbles FOREGROUND BACKGROUND.",
        )
    return sorted(masks, key=lambda mask: -_strength(small, mask))


def without_specks(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The mask without tiny pieces that lie apart, and without tiny holes but those near its outer edge.

    The latter may be gaps between locks of hair.
    """
    mask = mask & ~_tiny(mask)
    holes = _tiny(~mask, of=mask)
    depth = cv2.distanceTransform(np.pad((mask | holes).astype(np.uint8), 1), cv2.DIST_L2, 5)
    deep = depth[1:-1, 1:-1] > _DEEP * float(np.hypot(*mask.shape))
    _, pieces = cv2.connectedComponents(holes.astype(np.uint8), connectivity=4)
    near = np.unique(pieces[holes & ~deep])
    return mask | (holes & ~np.isin(pieces, near))


def _tiny(pixels: Bool[np.ndarray, "h w"], of: Bool[np.ndarray, "h w"] | None = None) -> Bool[np.ndarray, "h w"]:
    """Connected pieces that are smaller than a speck of the object."""
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(pixels.astype(np.uint8), connectivity=4)
    tiny = facts[:, cv2.CC_STAT_AREA] < _SPECK * (pixels if of is None else of).sum()
    tiny[0] = False  # what is not in a piece
    return tiny[pieces]


def _ellipse(size: tuple[int, int], box: Box) -> Bool[np.ndarray, "h w"]:
    """The ellipse in a box. Where the box ends at the picture's edge, it goes on beyond it, but not on both sides."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    square = np.zeros(size)
    for at, low, high, end in ((y, box.y0, box.y1, size[0]), (x, box.x0, box.x1, size[1])):
        centre, reach = (low + high) / 2, (high - low) / 2
        if (low == 0) != (high == end):
            centre, reach = (low if low == 0 else high), high - low
        square += ((at - centre) / reach) ** 2
    return square <= 1


def _strength(small: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> float:
    """Grey levels from pixel to pixel, on average along a mask's edge."""
    grey = cv2.cvtColor(cv2.GaussianBlur(small, (0, 0), 1), cv2.COLOR_RGB2GRAY).astype(np.float32)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) / 8
    edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return float(slope[edge].mean()) if edge.any() else 0.0


def _doubt(small: UInt8[np.ndarray, "h w 3"], masks: Sequence[Bool[np.ndarray, "h w"]], box: Box) -> str | None:
    """What speaks against the first of the masks."""
    mask, other = masks[0], masks[-1]
    share = float(mask[box.y0 : box.y1, box.x0 : box.x1].mean())
    if share > _FULL:
        return f"nearly all of the box ({100 * share:.0f} %) was taken for the object"
    if share < _EMPTY:
        return f"hardly anything in the box ({100 * share:.1f} %) was taken for the object"
    if missed := _missed_edges(mask, box):
        return f"the box reaches the picture's {' and '.join(missed)} edge, and what was found does not"
    strength, agree = _strength(small, mask), float((mask & other).sum() / (mask | other).sum())
    if strength < _FLAT:
        return "the picture has hardly an edge where the object was found to end"
    if agree < _AGREE and _strength(small, other) > _RIVAL * strength:
        return f"two ways to find it disagree about {100 * (1 - agree):.0f} % of the object"
    alike = float(np.minimum(_shades(small[mask]), _shades(small[~mask])).sum())
    if alike > _ALIKE:
        return f"object and surroundings have the same colours ({100 * alike:.0f} % of them)"
    return None


def _missed_edges(mask: Bool[np.ndarray, "h w"], box: Box) -> list[str]:
    """The edges of the picture that the box reaches and the mask does not."""
    (height, width), rows, columns = mask.shape, *(max(1, round(_RIM * side)) for side in mask.shape)
    edges = {
        "upper": (box.y0 == 0, mask[:rows]),
        "lower": (box.y1 == height, mask[-rows:]),
        "left": (box.x0 == 0, mask[:, :columns]),
        "right": (box.x1 == width, mask[:, -columns:]),
    }
    return [name for name, (reached, rim) in edges.items() if reached and not rim.any()]


def _shades(colours: UInt8[np.ndarray, "n 3"]) -> Float32[np.ndarray, " _"]:
    """How much of the colours each shade is."""
    levels = colours.astype(np.int64) * _SHADES // 256
    number = (levels[:, 0] * _SHADES + levels[:, 1]) * _SHADES + levels[:, 2]
    return (np.bincount(number, minlength=_SHADES**3) / max(len(colours), 1)).astype(np.float32)
