"""A trimap in two passes with our own network: a first band, then what the matte of that shows to be soft.

A fixed band is too narrow for hair and too wide for everything else. So the smaller picture is matted with a band
around the mask's edge, near enough that the network knows the subject from other things. Unknown is what is soft
there, with a margin that may leave the band; where mask and matte disagree; and a narrow band on the mask's own edge,
for what neither of them shows. Everything else is known, and mask and matte agree on it. What is too thin to have
foreground beside such bands keeps its middle: the network loses a pen of which it knows nothing.

Knows nothing of files. Read top to bottom:

    AutomaticBand          the numbers, and where they come from
    automatic_band_rows    picture and mask -> the trimap's rows
    decide                 the same for the smaller picture
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from hdmatt.api import matte
from hdmatt.inference.load import AnyNetwork
from hdmatt.inference.options import Options, Progress
from hdmatt.pictures.reader import BandReader
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from hdmatt.trimaps.mask_rows import MaskRows
from hdmatt.trimaps.smaller import AUTOMATIC_SIDE, eight_bits, smaller_picture, step_for
from hdmatt.trimaps.widths import BandWidths, Width

_ROWS = 256  # of the trimap that are made together
_DEEPEST = 0.6  # of the way to the innermost pixel: what of a side the first band takes at most


@dataclass(frozen=True)
class AutomaticBand:
    """The numbers of the automatic band; lengths are shares of the smaller picture's diagonal.

    Chosen on composites of ours: three with hair and fur, a cat, grass and two solid things over photographs that no
    training saw, with masks as segmentation networks give them. Means of the share of the soft pixels that are unknown
    and of the picture that is, and of the SAD of the matte with that trimap:

        first band 2 %, margin 0.012                           86 % with 14 %, SAD 3.53
        the same, nothing known of thin parts                  86 % with 14 %, SAD 3.66
        first band 2 %, margin 0.006                           79 % with 10 %, SAD 3.75
        that, and 0.025 where it is soft at the band's end     80 % with 11 %, SAD 3.75
        a fixed band of 1 %                                    65 % with  8 %, SAD 4.03
        a fixed band of 2 %                                    84 % with 15 %, SAD 3.81

    A wider first band (5 % inside, 10 % outside) finds more strands, but also things of the background: solid ones,
    that no threshold tells from the subject, and the matte with that trimap repeats them (research/log.md).

    Attributes:
        inside: The first band's reach into the mask.
        outside: Its reach away from the mask.
        soft: Alpha that differs by more than this from 0 and from 1 is soft.
        margin: Around what is soft.
        narrow: On both sides of the mask's own edge.
        thin: Half the width from which the middle of a part of the mask stays foreground, though the band reaches it.
    """

    inside: float = 0.02
    outside: float = 0.02
    soft: float = 0.02
    margin: float = 0.012
    narrow: float = 0.006
    thin: float = 0.005


def automatic_band_rows(
    picture: BandReader,
    mask: MaskRows,
    widths: BandWidths,
    *,
    network: AnyNetwork,
    numbers: AutomaticBand | None = None,
    memory: int | str | None = None,
    progress: Progress | None = None,
) -> Iterator[UInt8[np.ndarray, "_ w"]]:
    """The trimap's rows from top to bottom.

    Picture and mask are read once for the smaller picture, and the mask once more. Memory beside the network's: that
    of the smaller picture (at most 1800 pixels long) and a band of rows.

    Args:
        widths: How far the first band reaches; None of a side: as far as `numbers` say.
        memory: Limit in bytes, as in Options.
        progress: Called with the smaller picture's patches done and in all, its contexts among them; what it raises
            ends the work.
    """
    info = picture.info
    step = step_for(info.height, info.width, side=AUTOMATIC_SIDE)
    colours, small_mask = smaller_picture(picture, step, mask.rows)
    reach = [_small_reach(width, step, info.height, info.width) for width in (widths.inside, widths.outside)]
    small = decide(
        colours,
        small_mask,
        network=network,
        options=Options(small_first=False, memory=memory),
        reach=(reach[0], reach[1]),
        numbers=numbers or AutomaticBand(),
        progress=progress,
    )
    columns = np.arange(info.width) // step
    for y0 in range(0, info.height, _ROWS):
        y1 = min(y0 + _ROWS, info.height)
        known, own = small[np.arange(y0, y1) // step][:, columns], mask.rows(y0, y1)
        yield np.where(known == own, own, np.uint8(UNKNOWN))


def decide(
    colours: Float32[np.ndarray, "h w 3"],
    mask: UInt8[np.ndarray, "h w"],
    *,
    network: AnyNetwork,
    options: Options,
    reach: tuple[float | None, float | None] = (None, None),
    numbers: AutomaticBand,
    progress: Progress | None = None,
) -> UInt8[np.ndarray, "h w"]:
    """The trimap of the smaller picture.

    Args:
        colours: Display-encoded, in [0, 1].
        mask: 255 inside, 0 outside, 128 on the mask's edge and where it is soft itself.
        reach: Pixels of the first band inside and outside; None: as far as `numbers` say.
    """
    diagonal = float(np.hypot(*mask.shape))
    inside, outside = mask == FOREGROUND, mask == BACKGROUND
    wide = np.full(mask.shape, UNKNOWN, np.uint8)
    for side, value, given, usual in (
        (inside, FOREGROUND, reach[0], numbers.inside),
        (outside, BACKGROUND, reach[1], numbers.outside),
    ):
        wide[_beyond(side, usual * diagonal if given is None else given)] = value
    deep, thin = _cores(inside, numbers.inside * diagonal if reach[0] is None else reach[0], numbers.thin * diagonal)
    wide[deep] = FOREGROUND
    edge = ~inside & ~outside
    edge[:, 1:] |= (inside[:, 1:] & outside[:, :-1]) | (outside[:, 1:] & inside[:, :-1])
    edge[1:] |= (inside[1:] & outside[:-1]) | (outside[1:] & inside[:-1])
    if not (wide == UNKNOWN).any():  # the mask is all inside or all outside
        return wide
    told = progress and _from_the_contexts_on(progress, options.candidates)
    alpha = matte(eight_bits(colours), wide, network=network, options=options, progress=told).alpha
    front, back = alpha >= 1 - numbers.soft, alpha <= numbers.soft
    doubt = ~((front & inside) | (back & outside))  # soft, or the mask says otherwise
    unknown = _near(doubt, numbers.margin * diagonal) | _near(edge, numbers.narrow * diagonal)
    return np.where(unknown & ~thin, np.uint8(UNKNOWN), mask)


def _from_the_contexts_on(progress: Progress, contexts: int) -> Progress:
    """Counts contexts as patches, too: on a smaller picture they take about as long as its patches."""
    seen = 0

    def told(done: int, of: int) -> None:
        nonlocal seen
        seen = min(contexts, seen + (done == 0))
        progress(contexts + done if done else seen, contexts + of)

    return told


def _small_reach(width: Width | None, step: int, height: int, columns: int) -> float | None:
    return None if width is None else width.pixels(height, columns) / step


def _beyond(side: Bool[np.ndarray, "h w"], reach: float) -> Bool[np.ndarray, "h w"]:
    """The pixels of a side that are farther than `reach` from the other; its innermost ones are always among them."""
    if side.all() or not side.any():
        return side
    depth = cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return side & (depth > min(reach, _DEEPEST * float(depth.max())))


def _cores(
    inside: Bool[np.ndarray, "h w"], reach: float, least: float
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """The middle of every part of the mask, and of those among them that a band of `reach` would cover whole.

    Parts whose half width is below `least` have none.
    """
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    window = np.ones((2 * math.ceil(reach) + 1,) * 2, np.uint8)
    half_width = cv2.dilate(depth, window)  # of the part that a pixel belongs to
    middle = (depth > np.minimum(reach, _DEEPEST * half_width)) & (half_width >= least)
    return middle, middle & (half_width < reach)


def _near(pixels: Bool[np.ndarray, "h w"], reach: float) -> Bool[np.ndarray, "h w"]:
    if not pixels.any() or pixels.all():
        return pixels
    return cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= reach
