"""Foreground colours: what the picture's colours are without the background's spill.

Arrays only. Pictures are float32, H x W x 3, straight; alpha is float32 in [0, 1]. Read top to bottom:

    estimate_foreground   colours of a whole picture
    foreground_bands      the same for pictures of any size, band by band

The estimate of one tile is in pictures/colours/multilevel.py.
"""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float32

from hdmatt.pictures.colours.multilevel import multilevel_foreground

TILE, OVERLAP = 1024, 128
STRIP_PIXELS = 4 * 2**20  # wider pictures get lower tiles, for the 16 bytes a pixel that are held
PIECE = 64  # rows of picture and foreground that programs hand over at a time, here and to what writes them

ForegroundRows = tuple[int, Float32[np.ndarray, "rows w 3"], Float32[np.ndarray, "rows w"]]
_Piece = tuple[int, np.ndarray, np.ndarray]  # of a band, beside others with another number of rows


def estimate_foreground(
    picture: Float32[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 3"]:
    """Foreground colours, straight: what shows where alpha is 1, and its continuation under soft pixels.

    Where alpha is 1 the result is the picture's pixel, bit by bit. See `foreground_bands`.

    Args:
        picture: Encoded or linear, values from 0; above 1 they are kept.
    """
    height, width = alpha.shape
    foreground = np.empty_like(picture)
    for y0, rows, _ in foreground_bands([(0, picture, alpha)], height=height, width=width):
        foreground[y0 : y0 + len(rows)] = rows
    return foreground


def foreground_bands(
    bands: Iterable[ForegroundRows], *, height: int, width: int, tile: int = TILE, overlap: int = OVERLAP
) -> Iterator[ForegroundRows]:
    """Foreground colours of a picture that arrives in bands of rows; they leave in bands, too.

    The picture is estimated in tiles whose places follow from its size alone, so the result is the same, bit by
    bit, however the rows are cut into bands. Neighbours share `overlap` pixels, in which the one turns into the
    other, so no seam shows. A tile without soft pixels is the picture itself.

    Memory holds one row of tiles, 16 bytes a pixel, what the estimate of one tile takes, and parts of two bands.
    Rows of tiles get lower as pictures get wider: measured 190 MB at widths of 4096 and 7388, 330 MB at 20,000, in
    bands of 256 rows.

    Args:
        bands: (first row, picture's rows, alpha's rows) from top to bottom without gaps, of any heights; values
            from 0, those above 1 are kept.
        tile: Largest side of a tile, at least 3 x overlap.
        overlap: Pixels that two neighbours share.

    Yields:
        (first row, foreground's rows, alpha's rows) from top to bottom; the heights are not the bands'.

    Source:
        Germer, Uelwer, Conrad, Harmeling, "Fast Multi-Level Foreground Estimation", 2020.
    """
    assert tile >= 3 * overlap >= 0
    spans = _spans(height, strip_rows(width, tile, overlap), overlap)
    following = [y0 for y0, _ in spans[1:]] + [height]
    ramp = ((np.arange(overlap, dtype=np.float32) + np.float32(0.5)) / np.float32(max(overlap, 1)))[:, None, None]
    arriving, above = iter(bands), None
    carried: list[_Piece] = []
    for span, y2 in zip(spans, following, strict=True):
        strip, alpha, carried = _strip(arriving, carried, span, y2, width)
        top = strip[:overlap].copy()
        _estimate_strip(strip, alpha, tile, overlap, ramp)
        if above is not None:
            _turn_into(above, strip[:overlap], ramp)
            _keep_solid(top, alpha[:overlap], strip[:overlap])
        done = y2 - span[0]
        above = strip[done:].copy()
        del top
        yield span[0], strip[:done], alpha[:done]
        del strip, alpha  # or they would be held while the next are made


def strip_rows(width: int, tile: int = TILE, overlap: int = OVERLAP) -> int:
    """Rows of a picture that are estimated together, at most."""
    return max(3 * overlap, min(tile, STRIP_PIXELS // width))


def _spans(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Equal tiles (to one pixel) that cover `length`, neighbours sharing `overlap`; never a thin last one."""
    tiles = max(1, -(-(length - overlap) // (tile - overlap)))
    starts = [i * (length - overlap) // tiles for i in range(tiles + 1)]
    return [(start, stop + overlap) for start, stop in itertools.pairwise(starts)]


def _strip(
    arriving: Iterator[ForegroundRows], carried: list[_Piece], span: tuple[int, int], y2: int, width: int
) -> tuple[Float32[np.ndarray, "rows w 3"], Float32[np.ndarray, "rows w"], list[_Piece]]:
    """The span's rows of picture and alpha, fresh copies, from bands cut elsewhere.

    Args:
        carried: Pieces of bands that arrived before; used up.
        y2: First row of the next span: pieces from there on are the third result.
    """
    y0, y1 = span
    picture = np.empty((y1 - y0, width, 3), np.float32)
    alpha = np.empty((y1 - y0, width), np.float32)
    left: list[_Piece] = []
    row = y0
    while row < y1:
        y, colours, shares = carried.pop(0) if carried else next(arriving, (-1, picture[:0], alpha[:0]))
        if y != row or len(colours) != len(shares):
            raise RuntimeError(
                f"expected a band that starts at row {row}, got one at {y} "
                f"with {len(colours)} rows of picture and {len(shares)} of alpha"
            )
        rows = min(len(shares), y1 - row)
        picture[row - y0 : row - y0 + rows] = colours[:rows]
        alpha[row - y0 : row - y0 + rows] = shares[:rows]
        row += rows
        if y + len(shares) > y2:
            skip = max(0, y2 - y)
            left.append((y + skip, colours[skip:], shares[skip:]))
        del colours, shares  # or they would be held while the next are made
    return picture, alpha, left


def _estimate_strip(
    strip: Float32[np.ndarray, "h w 3"],
    alpha: Float32[np.ndarray, "h w"],
    tile: int,
    overlap: int,
    ramp: Float32[np.ndarray, "overlap 1 1"],
) -> None:
    """One row of tiles, each turned into the next from left to right: the picture becomes its foreground in place."""
    shared = strip[:, :0]  # the picture's pixels that the tile to the left has replaced
    for x0, x1 in _spans(alpha.shape[1], tile, overlap):
        before, inside = strip[:, x0 : x0 + overlap].copy(), alpha[:, x0:x1]
        picture = strip[:, x0:x1].copy()
        picture[:, : shared.shape[1]] = shared
        shared = picture[:, x1 - x0 - overlap :].copy()
        soft = ((inside > 0) & (inside < 1)).any()
        foreground = multilevel_foreground(picture, inside) if soft else picture.copy()
        if x0 > 0:
            _turn_into(before, foreground[:, :overlap], ramp[:, 0])
        _keep_solid(picture, inside, foreground)
        strip[:, x0:x1] = foreground


def _keep_solid(
    picture: Float32[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"], foreground: Float32[np.ndarray, "h w 3"]
) -> None:
    """The picture's own pixels where alpha is 1, into `foreground`."""
    np.copyto(foreground, picture, where=(alpha == 1)[..., None])


def _turn_into(
    before: Float32[np.ndarray, "h w 3"], after: Float32[np.ndarray, "h w 3"], ramp: Float32[np.ndarray, "..."]
) -> None:
    """Mix two estimates of the same pixels, into `after`. Where both agree nothing changes, not a bit."""
    after -= before
    after *= ramp
    after += before
