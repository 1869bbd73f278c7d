"""The blocks of a Photoshop file: headers, lengths and tables, as bytes.

Knows no pixels and opens no file; pictures/files/psd.py puts the pixels between these blocks. Read top to bottom:

    PsdLayer     name, visibility and channels of a layer
    PsdLayout    sizes of planes, and the bytes before, between and behind them
    resources    resolution, ICC profile, Exif and XMP

A PSB has longer lengths than a PSD in some places, and in others the same. Layers of 16 bits lie in a block "Lr16" and
the usual place of layers is empty.

Source:
    Adobe Photoshop File Formats Specification, 2019. A block "Mt16" before "Lr16" may also say that the merged picture
    has an alpha. We leave it out: the number of layers says so, and GIMP 2.10 finds no layers behind that block.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from hdmatt.pictures.info import PictureInfo

ALPHA, MASK = -1, -2  # the numbers of a layer's channels; its colours are 0, 1 and 2
RAW, PACKED = b"\0\0", b"\0\1"  # before the pixels of a channel: stored as they are, or by PackBits
_RGB = 3
_HIDDEN = 2


@dataclass(frozen=True)
class PsdLayer:
    """A layer of the picture's size.

    Attributes:
        channels: (number, bytes with the two that say how they are stored) in the file's order.
    """

    name: str
    hidden: bool
    channels: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PsdLayout:
    """Sizes of a file's planes, and the bytes around them.

    Attributes:
        depth: 8 or 16 bits.
        big: A PSB.
    """

    height: int
    width: int
    depth: int
    big: bool

    @property
    def row_bytes(self) -> int:
        return self.width * self.depth // 8

    @property
    def raw_bytes(self) -> int:
        """Of a channel that is stored as it is."""
        return len(RAW) + self.height * self.row_bytes

    def packed_bytes(self, rows: int) -> int:
        """Of a channel whose encoded rows take that many bytes."""
        return len(PACKED) + self.height * (4 if self.big else 2) + rows

    def table(self, lengths: Int64[np.ndarray, " h"]) -> bytes:
        """The lengths of encoded rows."""
        return lengths.astype(">u4" if self.big else ">u2").tobytes()

    def head(self, resources: bytes, layers: Sequence[PsdLayer]) -> bytes:
        """All that stands before the pixels of the layers; as long for channels of any size."""
        header = struct.pack(
            ">4sH6xHIIHH", b"8BPS", 2 if self.big else 1, _RGB + 1, self.height, self.width, self.depth, _RGB
        )
        # a negative number of layers: the fourth channel of the merged picture is its alpha
        records = struct.pack(">h", -len(layers)) + b"".join(self._record(layer) for layer in layers)
        pixels = sum(size for layer in layers for _, size in layer.channels)
        info = len(records) + pixels + self._padding(layers)
        if self.depth == 8:
            before, rest = self._length(info), len(self._no_global_mask())
        else:
            before = self._length(0) + self._no_global_mask() + b"8BIMLr16" + self._length(info)
            rest = 0
        section = self._length(len(before) + info + rest)
        no_palette = struct.pack(">I", 0)
        return header + no_palette + struct.pack(">I", len(resources)) + resources + section + before + records

    def behind_layers(self, layers: Sequence[PsdLayer]) -> bytes:
        """What stands between the pixels of the layers and the merged picture."""
        return b"\0" * self._padding(layers) + (self._no_global_mask() if self.depth == 8 else b"")

    def _padding(self, layers: Sequence[PsdLayer]) -> int:
        size = 2 + sum(len(self._record(layer)) + sum(size for _, size in layer.channels) for layer in layers)
        return -size % 4

    def _record(self, layer: PsdLayer) -> bytes:
        rectangle = struct.pack(">4i", 0, 0, self.height, self.width)
        channels = struct.pack(">H", len(layer.channels))
        for number, size in layer.channels:
            channels += struct.pack(">h", number) + self._length(size)
        blending = b"8BIMnorm" + bytes([255, 0, _HIDDEN if layer.hidden else 0, 0])
        mask = b""
        if MASK in dict(layer.channels):
            mask = rectangle + bytes(4)  # black outside of the rectangle, linked to the layer, not switched off
        name, pascal = layer.name.encode("utf-16-be"), layer.name.encode("ascii")
        ranges = struct.pack(">I", 0)
        unicode_name = struct.pack(">I", len(layer.name)) + name
        unicode_name += b"\0" * (-len(unicode_name) % 4)
        extra = struct.pack(">I", len(mask)) + mask + ranges
        extra += _padded(bytes([len(pascal)]) + pascal, 4)
        extra += b"8BIMluni" + struct.pack(">I", len(unicode_name)) + unicode_name
        return rectangle + channels + blending + struct.pack(">I", len(extra)) + extra

    def _length(self, size: int) -> bytes:
        return struct.pack(">Q" if self.big else ">I", size)

    def _no_global_mask(self) -> bytes:
        return struct.pack(">I", 0)  # four bytes in a PSB, too


def resources(like: PictureInfo | None, icc: bytes | None) -> bytes:
    """The blocks of a picture's resolution, Exif, XMP and of an ICC profile, as far as there are any."""
    blocks = b""
    if like and like.resolution and like.resolution[2] in ("in", "cm"):
        x, y, unit = like.resolution
        per_inch = [round(value * (2.54 if unit == "cm" else 1) * 65536) for value in (x, y)]
        if max(per_inch) < 2**32:
            shown = 2 if unit == "cm" else 1  # always stored per inch; how Photoshop shows it
            blocks += _resource(1005, struct.pack(">IHHIHH", per_inch[0], shown, shown, per_inch[1], shown, shown))
    for number, block in ((1058, like.description.exif), (1060, like.description.xmp)) if like else ():
        blocks += _resource(number, block) if block else b""
    return blocks + (_resource(1039, icc) if icc else b"")


def _resource(number: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">H", number) + b"\0\0" + struct.pack(">I", len(data)) + _padded(data, 2)


def _padded(data: bytes, multiple: int) -> bytes:
    return data + b"\0" * (-len(data) % multiple)
