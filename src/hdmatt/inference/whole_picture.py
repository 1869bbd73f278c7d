"""The whole picture as one patch of the context pool: what no patch of it shows.

whole_picture_patch   picture and trimap, shrunk to the size of a patch
always                the whole picture among the chosen contexts
"""

from collections.abc import Iterator, Sequence

import numpy as np

from hdmatt.inference.cut import CutPatches
from hdmatt.inference.options import Plan, RowSource
from hdmatt.inference.threads import prefetch
from hdmatt.overview.known_colours import KnownColours
from hdmatt.overview.small_matte import small_picture
from hdmatt.patches.windows import Window, cut
from hdmatt.pictures.reader import network_colours

_ROWS = 64  # rows of a picture that are shrunk together, about


def whole_picture_patch(
    plan: Plan, picture: RowSource, trimap: RowSource, known_colours: KnownColours | None
) -> CutPatches | None:
    """All of the picture in a patch; where it does not fill the patch it is mirrored. Reads the picture once.

    None without the option, where the picture fits into a patch, and of strips, whose patches are cut. Its window has
    the size of what it shows: larger than all others.
    """
    size = plan.options.patch
    step = -(-max(plan.height, plan.width) // size)
    whole = plan.part.inside == (slice(0, size), slice(0, size))
    if not plan.options.whole_picture or step == 1 or not whole:
        return None
    band = max(1, _ROWS // step) * step

    def bands() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for y in range(0, plan.height, band):
            y1 = min(y + band, plan.height)
            yield network_colours(picture.rows(y, y1), picture.info.encoding), trimap.rows(y, y1)

    colours, marks = small_picture(prefetch(bands()), step)
    patch, window = Window(0, 0, size), Window(0, 0, size * step)
    surroundings = None
    if known_colours:
        surroundings = known_colours.surroundings(0, 0, size=size * step, patch=size)[None]
    return CutPatches([window], cut(colours, patch)[None], cut(marks, patch)[None], surroundings)


def always(chosen: list[Window], candidates: Sequence[Window], *, patch: int) -> list[Window]:
    """The chosen candidates, the whole picture in place of the last one if there is one that was not chosen."""
    whole = [window for window in candidates if window.size > patch and window not in chosen]
    return [*chosen[: len(chosen) - len(whole)], *whole] if chosen else chosen
