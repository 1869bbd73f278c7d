"""Another picture behind the object, of any size: scaled to cover the picture, and cut evenly where it is longer.

Knows pyramids; nothing of alpha and browsers.

    Backdrop    parts of it in any level of the picture
"""

import math
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from hdmatt.pictures.box import Box
from hdmatt.pictures.colours.encoding import check_usable
from hdmatt.pictures.info import InputOptions, PictureInfo
from hdmatt.pictures.placed import placed
from hdmatt.pictures.raw_copy import shared_picture
from hdmatt.pictures.reader import open_picture
from hdmatt.studio.pyramid import PicturePyramid, Report, assembled
from hdmatt.studio.trimap_tiles import SIZE

_MARGIN = 2  # pixels around a part that bilinear interpolation may look at


class Backdrop:
    """A picture as it lies behind another one; for several threads.

    Args:
        path: The file. Its own transparency is not used.
        like: The picture in front.
        report: Called with rows read and rows in all; until both are equal parts may be coarse.

    Raises:
        InputError: It is no picture, or its colours cannot be converted.
    """

    def __init__(self, path: Path, like: PictureInfo, options: InputOptions, report: Report = lambda *_: None) -> None:
        reader = open_picture(path, options)
        try:
            reader = placed(reader, like)  # EXRs of one display window are paired by coordinates
            check_usable(reader.info.encoding, path.name)
        except BaseException:
            reader.close()
            raise
        self._like, self._pixels = like, shared_picture(reader)
        self._levels = 1 + max(0, math.ceil(math.log2(max(reader.info.height, reader.info.width) / SIZE)))
        self._pyramid = PicturePyramid(
            self._pixels, self._levels, path, cheap=self._pixels.cheap, report=report
        )  # at its own size: what is looked at is scaled, never all of it
        self._factor = max(like.height / reader.info.height, like.width / reader.info.width)
        self._cut = (
            (reader.info.height * self._factor - like.height) / 2,
            (reader.info.width * self._factor - like.width) / 2,
        )

    def part(self, box: Box, level: int) -> tuple[UInt8[np.ndarray, "h w 3"], bool]:
        """What lies behind a box of a level of the picture, display-encoded, and whether it stays like this."""
        scale = 2**level / self._factor  # of its own pixels to one of the box
        own = min(max(0, math.floor(math.log2(scale))), self._levels - 1)
        step = scale / 2**own
        height, width = self._pyramid.size(own)
        y, x = (
            step * (low + 0.5) + cut / (self._factor * 2**own) - 0.5
            for low, cut in zip((box.y0, box.x0), self._cut, strict=True)
        )
        size = box.y1 - box.y0, box.x1 - box.x0
        region = Box(
            math.floor(y) - _MARGIN,
            math.floor(x) - _MARGIN,
            math.ceil(y + step * size[0]) + _MARGIN,
            math.ceil(x + step * size[1]) + _MARGIN,
        ).clipped(height, width)
        pixels, final = self._read(region, own)
        turn = np.array([[step, 0, x - region.x0], [0, step, y - region.y0]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(pixels, turn, size[::-1], flags=how, borderMode=cv2.BORDER_REPLICATE), final

    def close(self) -> None:
        """Stop the thread and remove the files. Safe to call twice."""
        self._pyramid.close()
        self._pixels.close()

    def _read(self, box: Box, level: int) -> tuple[UInt8[np.ndarray, "h w 3"], bool]:
        finals: list[bool] = []

        def tile(key: tuple[int, int, int]) -> np.ndarray:
            pixels, final = self._pyramid.tile(key)
            finals.append(final)
            return pixels

        return assembled(box, level, tile, (3,)), all(finals)
