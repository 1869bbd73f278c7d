"""The inks of a CMYK picture in a PSD or PSB: its merged picture, in bands of rows.

Knows where the merged picture lies and how it is stored. Called by inks.py beside it; OpenImageIO 3.2 gives no inks of
such a file, and Pillow only those of 8 bit, all at once.

    MergedInks, open_merged    rows of inks

Source:
    Adobe Photoshop File Formats Specification: four sections, each with its length before it, and the image data
    section, which holds one plane after the other, as they are or each row in PackBits.
"""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from hdmatt.errors import InputError

_INKS = 4
_PLAIN, _PACKED = 0, 1  # kinds of storage


class MergedInks(NamedTuple):
    """Where the rows of the merged picture lie in a file."""

    path: Path
    width: int
    row_bytes: int  # of one plane, decoded
    starts: np.ndarray  # [plane, row], offsets in the file
    lengths: np.ndarray  # [plane, row], bytes as they are stored
    packed: bool

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w 4"] | None:
        """Rows y0 .. y1-1 of cyan, magenta, yellow and black, 255 is all of an ink; None if they cannot be decoded.

        Numbers of 16 bit are rounded to 8.
        """
        planes = [self._plane(number, y0, y1) for number in range(_INKS)]
        if any(plane is None for plane in planes):
            return None
        return np.stack([255 - plane for plane in planes if plane is not None], axis=-1)

    def _plane(self, number: int, y0: int, y1: int) -> np.ndarray | None:
        from PIL import Image

        start, lengths = int(self.starts[number, y0]), self.lengths[number, y0:y1]
        with self.path.open("rb") as file:
            file.seek(start)
            data = file.read(int(lengths.sum()))
        if self.packed:
            try:
                packed = Image.frombytes("L", (self.row_bytes, y1 - y0), data, "packbits", "L")
            except (ValueError, OSError):
                return None
            data = packed.tobytes()
        if len(data) != self.row_bytes * (y1 - y0):
            return None
        if self.row_bytes == self.width:
            return np.frombuffer(data, np.uint8).reshape(-1, self.width)
        return np.rint(np.frombuffer(data, ">u2").reshape(-1, self.width) / 257).astype(np.uint8)


def open_merged(path: Path, height: int, width: int) -> MergedInks | None:
    """The merged picture of a CMYK file of 8 or 16 bit; None where it is stored in another way.

    Raises:
        InputError: The file ends before it.
    """
    try:
        with path.open("rb") as file:
            head = file.read(26)
            big, channels, bits = head[5] == 2, *struct.unpack_from(">H", head, 12), *struct.unpack_from(">H", head, 22)
            for size in (">I", ">I", ">Q" if big else ">I"):  # colour mode, resources, layers
                (length,) = struct.unpack(size, file.read(struct.calcsize(size)))
                file.seek(length, 1)
            (storage,) = struct.unpack(">H", file.read(2))
            begin, row_bytes = file.tell(), width * bits // 8
            if storage == _PACKED:
                counts = np.frombuffer(file.read(channels * height * (4 if big else 2)), ">u4" if big else ">u2")
                lengths = counts.astype(np.int64).reshape(channels, height)
                begin += counts.nbytes
            else:
                lengths = np.full((channels, height), row_bytes, np.int64)
    except (OSError, struct.error, ValueError, IndexError) as error:
        raise InputError(
            f"{path} is damaged or cut short: its merged picture cannot be found",
            hint="Copy or download it again, or save it again in Photoshop.",
        ) from error
    if bits not in (8, 16) or storage not in (_PLAIN, _PACKED) or channels < _INKS:
        return None
    ends = begin + np.cumsum(lengths).reshape(channels, height)
    return MergedInks(path, width, row_bytes, ends - lengths, lengths, storage == _PACKED)
