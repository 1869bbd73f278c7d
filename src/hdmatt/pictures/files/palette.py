"""PNGs of few colours as PNGs with a palette: the same pixels, fewer bytes.

Knows the chunks of a PNG; of the pixels only which colours there are. Read top to bottom:

    ColourCount        the different colours of rows, until there are more than a palette holds
    rewrite            a PNG of RGBA once more, with a palette

Source:
    PNG (Third Edition), W3C: PLTE and tRNS, 11.2.2 and 11.3.1; where chunks stand, 5.6; packed indices, 7.2.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from hdmatt.pictures.files.openimageio import open_input, openimageio, size_limit
from hdmatt.pictures.metadata.description import png_chunk
from hdmatt.system.hidden import HiddenFile

LARGEST = 256  # colours
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BEFORE_PLTE = (b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP")
_ROWS = 64  # that are read together
_ROW_BYTES = 2**20  # of compressed indices that are written together


class ColourCount:
    """The different colours of rows of RGBA, until there are more than a palette holds."""

    def __init__(self) -> None:
        self._colours: np.ndarray | None = np.empty(0, np.uint32)

    def add(self, rows: UInt8[np.ndarray, "h w 4"]) -> None:
        """Some rows."""
        if self._colours is None:
            return
        words = np.ascontiguousarray(rows).view(np.uint32).ravel()
        new = np.unique(words[np.flatnonzero(np.diff(words, prepend=~words[:1]))])  # runs once, which sorts less
        colours = np.union1d(self._colours, new)
        self._colours = colours if len(colours) <= LARGEST else None

    def palette(self) -> UInt8[np.ndarray, "n 4"] | None:
        """The colours, those with transparency first; None if they are too many."""
        if self._colours is None:
            return None
        colours = self._colours.view(np.uint8).reshape(-1, 4)
        return colours[np.lexsort((*colours[:, :3].T, colours[:, 3] == 255))]


def rewrite(source: Path, target: HiddenFile, palette: UInt8[np.ndarray, "n 4"]) -> None:
    """A PNG of RGBA once more, with a palette; the other chunks stay as they are.

    Args:
        source: A complete PNG of straight 8-bit RGBA.
        target: An empty file beside it.
        palette: All its colours (straight RGBA), those with transparency first.

    Raises:
        OutputError: It cannot be written.
    """
    bits = next(bits for bits in (1, 2, 4, 8) if len(palette) <= 2**bits)
    opened = open_input(source)
    spec = opened.input.spec()
    head = struct.pack(">IIBBBBB", spec.width, spec.height, bits, 3, 0, 0, 0)
    clear = palette[palette[:, 3] < 255, 3]
    target.write(_SIGNATURE + png_chunk(b"IHDR", head))
    before, after = [], []
    for name, data in _others(source):
        (before if name in _BEFORE_PLTE else after).append(png_chunk(name, data))
    target.write(b"".join(before) + png_chunk(b"PLTE", palette[:, :3].tobytes()))
    if len(clear):
        target.write(png_chunk(b"tRNS", clear.tobytes()))
    target.write(b"".join(after))
    compressor, waiting = zlib.compressobj(9), b""
    with size_limit(lifted=opened.beyond):
        for rows in _rows(opened.input):
            waiting += compressor.compress(_packed(_indices(rows, palette), bits))
            if len(waiting) > _ROW_BYTES:
                target.write(png_chunk(b"IDAT", waiting))
                waiting = b""
            target.check()
    opened.input.close()
    target.write(png_chunk(b"IDAT", waiting + compressor.flush()) + png_chunk(b"IEND", b""))
    target.sync()


def _rows(source: Any) -> Iterator[np.ndarray]:
    spec, depth = source.spec(), openimageio().TypeDesc("uint8")
    end = spec.y + spec.height  # oFFs moves the first row
    for y in range(spec.y, end, _ROWS):
        rows = source.read_scanlines(y, min(y + _ROWS, end), 0, 0, 4, depth)
        if rows is None:
            raise RuntimeError(f"a PNG of ours cannot be read again: {source.geterror()}")
        yield rows


def _indices(rows: UInt8[np.ndarray, "h w 4"], palette: UInt8[np.ndarray, "n 4"]) -> UInt8[np.ndarray, "h w"]:
    words = np.ascontiguousarray(palette).view(np.uint32).ravel()
    order = np.argsort(words)
    pixels = np.ascontiguousarray(rows).view(np.uint32)[..., 0]
    return order[np.searchsorted(words[order], pixels)].astype(np.uint8)


def _packed(indices: UInt8[np.ndarray, "h w"], bits: int) -> bytes:
    """Rows of indices as PNG has them, each behind the filter's number 0."""
    height, width = indices.shape
    each = 8 // bits
    padded = np.zeros((height, -(-width // each) * each), np.uint8)
    padded[:, :width] = indices
    shifts = np.arange(each - 1, -1, -1, dtype=np.uint8) * np.uint8(bits)
    packed = np.bitwise_or.reduce(padded.reshape(height, -1, each) << shifts, axis=2)
    return np.insert(packed, 0, 0, axis=1).tobytes()


def _others(source: Path) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG that say nothing of its pixels' numbers."""
    with source.open("rb") as file:
        file.seek(len(_SIGNATURE))
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name in (b"IHDR", b"IDAT", b"IEND"):
                file.seek(length + 4, 1)
                continue
            yield name, file.read(length)
            file.seek(4, 1)
