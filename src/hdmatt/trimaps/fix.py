"""Repairs of a trimap that need no picture.

    fix_trimap    three exact values, and no pinholes
    write_fixed   the same from file to file
    TrimapFixes   what was done

The whole trimap is held, a byte a pixel.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from hdmatt.errors import plural
from hdmatt.pictures.info import DEFAULT_INPUT, InputOptions
from hdmatt.pictures.reader import as_float
from hdmatt.pictures.trimap import UNKNOWN, open_trimap
from hdmatt.pictures.writer import PictureWriter
from hdmatt.trimaps.make import check_trimap_path
from hdmatt.trimaps.small_regions import largest_small, small_regions

_ROWS = 512


@dataclass(frozen=True)
class TrimapFixes:
    """Counts of changed pixels of a trimap.

    Attributes:
        snapped: Pixels that were not 0, 128 or 255.
        pinholes: Small unknown regions inside a known one, filled with what is around them.
        filled: Their pixels.
    """

    snapped: int
    pinholes: int
    filled: int

    def text(self) -> str:
        """What was done, as a sentence."""
        done = [
            f"snapped {plural(self.snapped, 'pixel')} to 0, 128 and 255" if self.snapped else "",
            f"filled {plural(self.pinholes, 'pinhole')} ({plural(self.filled, 'pixel')})" if self.pinholes else "",
        ]
        return " and ".join(text for text in done if text) or "nothing to fix"


def fix_trimap(
    trimap: Any, *, input_options: InputOptions = DEFAULT_INPUT
) -> tuple[UInt8[np.ndarray, "h w"], TrimapFixes]:
    """The trimap with exactly three values and without pinholes, and what was changed.

    Unknown regions of at most 16 to 256 pixels (by the picture's size) that one known region surrounds are filled.
    Nothing else is touched.
    """
    with open_trimap(trimap, input_options.of_others()) as reader:
        height, width = reader.info.height, reader.info.width
        rows = range(0, height, _ROWS)
        made = np.concatenate([reader.rows(y, min(y + _ROWS, height)) for y in rows])
        snapped = reader.snapped
    largest, pinholes, filled = largest_small(height, width), 0, 0
    for y0 in rows:
        top, end = max(0, y0 - 1), min(y0 + _ROWS, height)
        window = made[top : min(end + largest, height)]  # a view: what is filled here is no pinhole further down
        for found in list(small_regions(window, first=y0 - top, end=end - top, largest=largest)):
            if found.value == UNKNOWN:
                window[found.ys, found.xs] = found.around
                pinholes += found.regions
                filled += len(found.ys)
    return made, TrimapFixes(snapped, pinholes, filled)


def write_fixed(trimap: str | Path, output: str | Path, *, input_options: InputOptions = DEFAULT_INPUT) -> TrimapFixes:
    """`fix_trimap` from file to file.

    Raises:
        InputError, OutputError: The trimap cannot be read, or the path cannot be written or is the trimap's.
    """
    check_trimap_path(output, [trimap])
    made, fixes = fix_trimap(trimap, input_options=input_options)
    with PictureWriter(output, *made.shape, channels=1, bit_depth="8") as writer:
        for y in range(0, len(made), _ROWS):
            writer.write(as_float(made[y : y + _ROWS]))
    return fixes
