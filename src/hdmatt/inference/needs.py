"""Memory of each part of a run, in bytes: formulas, with the measurements behind them.

Knows sizes only. How they share the memory limit is in budget.py, what the machine has in system/memory.py.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from hdmatt.overview.known_colours import alpha_step, cell_size
from hdmatt.overview.small_matte import shrink_factor
from hdmatt.pictures.colours.continued import CELL
from hdmatt.pictures.colours.foreground import OVERLAP, PIECE, TILE, strip_rows
from hdmatt.system.memory import MIB

LIBRARIES = 100 * MIB  # kernels and buffers of torch and OpenImageIO (measured: 50 to 93)
COMPILER = 64 * MIB  # torch.compile at the first patch (measured: 24)
TILE_PIXEL = 40  # bytes that the colours' estimate takes for a pixel of its tile (measured: 33 to 39)
TILE_FIXED = 3 * MIB  # and for each tile, whatever its size (measured on strips of 384 rows: 2 MiB)
BAND = 256  # rows of the matte that are yielded at a time, at most
SPREAD = 4 * MIB  # variation of resident memory between starts of one program (measured: less than 1)


def rows_bytes(picture_width: int, *, patch: int, band: int, pixel: int) -> int:
    """Bands of rows and the stitcher.

    Args:
        picture_width: Pixels in a row.
        pixel: Bytes of one pixel of the picture.
    """
    bands = 2 * (patch + band) * picture_width * (pixel + 1)  # twice: joining two bands copies
    # sums and weights of unfinished rows, one of them copied while it grows; six bands of alpha while they are joined,
    # and two that wait to be written: these keep the allocator from using again what the patches leave free
    stitcher = (12 * max(patch, BAND) + 8 * 4 * BAND) * picture_width
    return bands + stitcher


def chunk_bytes(picture_width: int, *, chunk_rows: int, band: int, pixel: int) -> int:
    """Additional memory for a file whose tiles are taller than a band.

    A row of tiles that was decoded, the next one, and both while they are joined (measured: research/log.md).

    Args:
        chunk_rows: Rows that are decoded together, see pictures/info.py.
    """
    return 3 * max(0, chunk_rows - band) * picture_width * pixel


def context_bytes(patch: int, *, width: int) -> int:
    """Keys, values and labels of one candidate of the context pool."""
    cells = (patch // 8) ** 2
    return 4 * cells * (2 * width + 4 * width) + 8 * cells


def body_bytes(patch: int, *, width: int) -> int:
    """Features of one encoded patch that are kept until it is decoded."""
    return 4 * (patch // 8) ** 2 * (4 * width + 2 * width + 2 * width + 4 * width)  # quarter, index3, eighth, deep


def stem_bytes(patch: int, *, width: int, inputs: int) -> int:
    """The inputs of one patch and its first feature map, kept so that they are not computed twice."""
    return 4 * patch**2 * (inputs + width)


def known_colours_bytes(height: int, picture_width: int) -> int:
    """The known colours of the whole picture: 20 numbers a cell, and memory to fill empty cells (measured)."""
    cell = cell_size(height, picture_width)
    return 320 * -(-height // cell) * -(-picture_width // cell)


def propagation_bytes(height: int, picture_width: int) -> int:
    """Working memory of the low-resolution alpha (overview/propagate.py; measured: 770 bytes a pixel of it)."""
    step = alpha_step(height, picture_width)
    return 800 * -(-height // step) * -(-picture_width // step)


class SmallPictureBytes(NamedTuple):
    """Memory of the smaller picture (overview/small_matte.py).

    Attributes:
        making: While it is shrunk, without the bands of rows that it is made from.
        kept: While it is matted: 16-bit colours, trimap, and alpha.
        matte: Afterwards: alpha.
    """

    making: int
    kept: int
    matte: int


def small_picture_bytes(height: int, picture_width: int) -> SmallPictureBytes:
    """Memory of the smaller picture: five float32 sums a pixel, joined once more; then see `SmallPictureBytes`."""
    step = shrink_factor(height, picture_width)
    pixels = -(-height // step) * -(-picture_width // step)
    return SmallPictureBytes(60 * pixels, 11 * pixels, 4 * pixels)


def colour_bytes(picture_width: int, *, pixel: int) -> int:
    """What the colour estimation holds beside the matte's own memory: a row of tiles, and the rows on their way.

    Not the tile in work: `tile_bytes`.

    Args:
        pixel: Bytes of one pixel of the picture.
    """
    rows = strip_rows(picture_width)
    a_column = rows * 16  # colours and alpha
    a_column += 2 * OVERLAP * 12  # of the row of tiles above and of this one, before they are mixed
    # of the picture that the next row of tiles needs, too; its alpha is in the matte's bands, which `rows_bytes` has
    a_column += 4 * PIECE * 12
    a_column += 2 * BAND * pixel  # decoded; joining two bands copies
    a_column += 4 * PIECE * 16  # that wait to be written
    a_column += PIECE * 80  # on the way into the file's encoding; a composite takes 60
    # colours that are continued to where alpha is 0 come in pieces of half as many rows: what these save is more than
    # the 32 CELL + 24 CELL bytes that two blocks with their pyramids, and the one in work, take
    return a_column * picture_width


def converted_bytes(picture_width: int) -> int:
    """Rows of foreground, background and mixture on their way into the numbers that alpha is for."""
    return PIECE * 240 * picture_width


def layered_bytes(picture_width: int, *, pixel: int) -> int:
    """What a file with layers takes beside the colours' estimate: the picture's rows once more, and their encoding."""
    a_column = 2 * PIECE * pixel + 4 * PIECE * 12  # decoded, and waiting to be written
    a_column += PIECE * 80  # on the way into the file's numbers
    return a_column * picture_width + 16 * MIB


def coarse_colours_bytes(height: int, picture_width: int) -> int:
    """The foreground's colours at reduced size, while they are continued over the whole picture."""
    return 64 * -(-height // CELL) * -(-picture_width // CELL)


def tile_bytes(picture_width: int) -> int:
    """Working memory of the colours' estimate of one tile."""
    return strip_rows(picture_width) * min(picture_width, TILE) * TILE_PIXEL + TILE_FIXED


def patch_bytes(patch: int, *, width: int) -> int:
    """Working memory of one patch in the network: measured, about 10 float32 maps of `width` channels."""
    return 10 * 4 * width * patch * patch


def weight_bytes(weights: Iterable[Any]) -> int:
    """One more copy of a network's weights."""
    return sum(tensor.numel() * tensor.element_size() for tensor in weights)


def transfer_bytes(patch: int) -> int:
    """One patch on its way to or from a device: colours and trimap, or alpha, whichever is more."""
    return patch**2 * (3 * 4 + 1)
