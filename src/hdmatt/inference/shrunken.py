"""The picture at smaller scales as patches of the context pool: what no patch of the picture itself shows.

shrunken_patches    the whole picture as one patch, and patches of the scales between it and the picture
with_whole          the whole picture among the chosen contexts
most_shrunken       how many patches there are at most, for the plan
shrunken_bytes      memory of the largest of the shrunken pictures, for the plan
"""

from collections.abc import Iterator, Sequence

import numpy as np

from hdmatt.inference.cut import CutPatches
from hdmatt.inference.options import Counters, Plan, RowSource
from hdmatt.inference.threads import prefetch
from hdmatt.overview.known_colours import KnownColours
from hdmatt.overview.small_matte import small_picture
from hdmatt.patches.windows import Window, cut, grid
from hdmatt.pictures.reader import network_colours
from hdmatt.pictures.trimap import UNKNOWN

BETWEEN = (2, 4)  # patches along the longer side of the picture at the scales between
_EACH = 8  # patches of one scale, at most
_ROWS = 64  # rows of a picture that are shrunk together, about


def most_shrunken() -> int:
    """How many patches `shrunken_patches` makes at most."""
    return 1 + len(BETWEEN) * _EACH


def shrunken_bytes(height: int, width: int, size: int) -> int:
    """Memory of the largest shrunken picture: five float32 sums a pixel, joined once more."""
    return max((60 * -(-height // step) * -(-width // step) for step in _steps(height, width, size)), default=0)


def shrunken_patches(
    plan: Plan, picture: RowSource, trimap: RowSource, known_colours: KnownColours | None, counters: Counters
) -> Iterator[CutPatches]:
    """All of the picture in one patch, then patches of the picture shrunk to 2 and 4 patches along its longer side.

    Of the latter only patches with unknown pixels, eight of a scale at most. Where a shrunken picture does not fill a
    patch it is mirrored. Each window has the size of what it shows, so it is larger than the picture's own windows. The
    picture is read once for each scale.

    Nothing without the option, where the picture fits into a patch, and of strips, whose patches are cut.
    """
    size = plan.options.patch
    steps = _steps(plan.height, plan.width, size)
    strip = plan.part.inside != (slice(0, size), slice(0, size))
    if not plan.options.whole_picture or strip:
        return
    for step in steps:
        colours, marks = _shrunken(picture, trimap, step)
        counters.rows_read += plan.height
        windows = [Window(0, 0, size)] if step == steps[0] else _with_unknown(marks, size)
        for patch in windows:
            window = Window(patch.y * step, patch.x * step, size * step)
            surroundings = None
            if known_colours:
                surroundings = known_colours.surroundings(window.y, window.x, size=window.size, patch=size)[None]
            yield CutPatches([window], cut(colours, patch)[None], cut(marks, patch)[None], surroundings)


def with_whole(chosen: list[Window], candidates: Sequence[Window], *, patch: int) -> list[Window]:
    """The chosen candidates, the whole picture in place of the last one if there is one that was not chosen."""
    whole = max(candidates, key=lambda window: window.size, default=None)
    if not chosen or whole is None or whole.size == patch or whole in chosen:
        return chosen
    return [*chosen[:-1], whole]


def _steps(height: int, width: int, size: int) -> list[int]:
    """Pixels of the picture to one of each shrunken picture, that of the whole in one patch first."""
    steps = {-(-max(height, width) // (size * patches)) for patches in (1, *BETWEEN)}
    return sorted(steps - {1}, reverse=True)


def _shrunken(picture: RowSource, trimap: RowSource, step: int) -> tuple[np.ndarray, np.ndarray]:
    info, band = picture.info, max(1, _ROWS // step) * step

    def bands() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for y in range(0, info.height, band):
            y1 = min(y + band, info.height)
            yield network_colours(picture.rows(y, y1), info.encoding), trimap.rows(y, y1)

    return small_picture(prefetch(bands()), step)


def _with_unknown(marks: np.ndarray, size: int) -> list[Window]:
    """Windows of a shrunken trimap that hold unknown pixels, an even spread of them."""
    height, width = marks.shape
    windows = [w for w in grid(height, width, size=size, overlap=0) if (cut(marks, w) == UNKNOWN).any()]
    chosen = np.linspace(0, len(windows) - 1, min(_EACH, len(windows))).round().astype(int)
    return [windows[i] for i in chosen]
