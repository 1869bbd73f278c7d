"""Trimaps from masks: arrays or files in, an array or a file out.

make_trimap      mask (and picture) -> a trimap as an array
write_trimap     the same into a file, in bounded memory
TrimapSummary    what was made
trimap_rows      what both do: the rows, counted and checked
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from hdmatt.errors import InputError, MaskWarning, OutputError
from hdmatt.inference.load import AnyNetwork
from hdmatt.inference.names import DEFAULT_MODEL
from hdmatt.pictures.info import DEFAULT_INPUT, InputOptions
from hdmatt.pictures.reader import BandReader, as_float
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND
from hdmatt.pictures.writer import PictureWriter, check_output_path
from hdmatt.trimaps.doubts import MaskDoubts
from hdmatt.trimaps.fixed import fixed_band_rows
from hdmatt.trimaps.mask_rows import MaskRows
from hdmatt.trimaps.masks import GreyMask, MaskSource, open_mask, open_path_or_array
from hdmatt.trimaps.widths import AnyWidth, BandWidths

EXACT_SUFFIXES = (".png", ".tif", ".tiff", ".webp")  # formats that keep 0, 128 and 255 as they are


@dataclass(frozen=True)
class TrimapSummary:
    """Size, widths and counts of a trimap that `write_trimap` made. Lengths are pixels."""

    width: int
    height: int
    band: str  # "auto", or the widths
    foreground_share: float
    unknown_share: float
    background_share: float
    seconds: float
    output: str


def make_trimap(
    mask: Any,
    picture: Any = None,
    *,
    band: AnyWidth | None = None,
    inside: AnyWidth | None = None,
    outside: AnyWidth | None = None,
    network: AnyNetwork = DEFAULT_MODEL,
    input_options: InputOptions = DEFAULT_INPUT,
) -> UInt8[np.ndarray, "h w"]:
    """Trimap from a mask: 0 background, 128 unknown, 255 foreground.

    With the picture the unknown band is found by a first matte of the smaller picture; without it the band has one
    width all around.

    Args:
        mask: A path, an array, or a MaskSource (a PSD's layer, a box, coloured strokes). White is foreground: True,
            255 of uint8, 65535 of uint16, 1 of floats; of H x W x 4 the alpha counts. What is between 5 % and 95 %
            white is always unknown.
        picture: A path or an array of the mask's size, as for `matte`.
        band: "auto", or a width for both sides: 20, "20px", "2%" of the diagonal. Default: "auto" with a picture, "2%"
            without.
        inside: A width for the inner side; with "auto" how far the first matte looks.
        outside: The same for the outer side.
        network: For "auto", as for `matte`.
        input_options: Layer and transfer function of the picture, and how many pixels it and the mask may have.

    Raises:
        InputError: No mask, another size than the picture, or nothing known is left on a side.

    Warns:
        MaskWarning: The mask is nearly all or nearly nothing, or white along the picture's border.
    """
    with ExitStack() as stack:
        source = mask if isinstance(mask, MaskSource) else MaskSource(mask)
        opened = None if picture is None else open_path_or_array(stack, picture, input_options)
        widths = BandWidths.parse(band, inside, outside, picture=opened is not None)
        made = trimap_rows(stack, source, opened, widths, network=network, input_options=input_options)
        return np.concatenate(list(made.rows()))


def write_trimap(
    source: MaskSource,
    output: str | Path,
    *,
    picture: str | Path | None = None,
    band: AnyWidth | None = None,
    inside: AnyWidth | None = None,
    outside: AnyWidth | None = None,
    network: AnyNetwork = DEFAULT_MODEL,
    input_options: InputOptions = DEFAULT_INPUT,
) -> TrimapSummary:
    """Trimap from a mask into a file that appears once it is complete; see `make_trimap`.

    Raises:
        InputError: As `make_trimap`.
        OutputError: A path that cannot be written, is one of the inputs, or a format that loses the exact values.
    """
    started = time.monotonic()
    inputs = [path for path in (source.file, picture) if isinstance(path, str | Path)]
    check_trimap_path(output, inputs)
    with ExitStack() as stack:
        opened = None if picture is None else open_path_or_array(stack, picture, input_options)
        widths = BandWidths.parse(band, inside, outside, picture=opened is not None)
        made = trimap_rows(stack, source, opened, widths, network=network, input_options=input_options)
        write_rows(made, output)
    background, unknown, foreground = (count / (made.height * made.width) for count in made.counts)
    return TrimapSummary(
        width=made.width,
        height=made.height,
        band=made.band,
        foreground_share=foreground,
        unknown_share=unknown,
        background_share=background,
        seconds=time.monotonic() - started,
        output=str(output),
    )


def check_trimap_path(output: str | Path, inputs: list[str | Path]) -> None:
    """Refuse a path for a trimap before any work is done.

    Raises:
        OutputError: As `check_output_path`, or a format that does not keep the values 0, 128 and 255.
    """
    check_output_path(output, inputs)
    if Path(output).suffix.lower() not in EXACT_SUFFIXES:
        raise OutputError(
            f"{output}: a trimap's values must stay exactly 0, 128 and 255, and this format changes them",
            hint=f"Write to {Path(output).with_suffix('.png').name}, for example.",
        )


def trimap_rows(
    stack: ExitStack,
    source: MaskSource,
    picture: BandReader | None,
    widths: BandWidths,
    *,
    network: AnyNetwork = DEFAULT_MODEL,
    input_options: InputOptions = DEFAULT_INPUT,
    memory: int | str | None = None,
) -> "MadeTrimap":
    """A trimap that is made row by row while it is read; files are closed with the stack.

    Args:
        memory: Limit of the automatic band's matte in bytes, as in Options.
    """
    mask = _Seen(open_mask(stack, source, picture, input_options))
    if not widths.auto:
        assert widths.inside is not None and widths.outside is not None
        inside, outside = (width.pixels(mask.height, mask.width) for width in (widths.inside, widths.outside))
        rows = fixed_band_rows(mask, inside=inside, outside=outside)
        band = f"{inside} px" if inside == outside else f"{inside} px inside, {outside} px outside"
        return MadeTrimap(source.name, mask, rows, band)
    from hdmatt.trimaps.automatic import automatic_band_rows

    assert picture is not None
    rows = automatic_band_rows(picture, mask, widths, network=network, memory=memory)
    return MadeTrimap(source.name, mask, rows, "auto")


def write_rows(made: "MadeTrimap", output: str | Path) -> None:
    """Write a trimap while it is made; the file appears once it is complete."""
    with PictureWriter(output, made.height, made.width, channels=1, bit_depth="8") as writer:
        for rows in made.rows():
            writer.write(as_float(rows))


class MadeTrimap:
    """A trimap in the making: its size, its rows (once), and then how many of its pixels are of which kind."""

    def __init__(self, name: str, mask: "_Seen", rows: Iterator[np.ndarray], band: str) -> None:
        self._name, self._mask, self._rows = name, mask, rows
        self.height, self.width, self.band = mask.height, mask.width, band
        self.counts = (0, 0, 0)  # background, unknown, foreground

    def rows(self) -> Iterator[UInt8[np.ndarray, "_ w"]]:
        """The rows from top to bottom.

        Raises:
            InputError: At the end, if nothing is left of a side that the mask has.
        """
        from hdmatt.trimaps.grabcut import ScribbledMask

        mask = self._mask.mask
        y0, background, foreground = 0, 0, 0
        for made in self._rows:
            rows = made
            if isinstance(mask, ScribbledMask):  # what was drawn stays known, however wide the band
                rows = mask.with_strokes(rows, y0, y0 + len(rows))
            background += int(np.count_nonzero(rows == BACKGROUND))
            foreground += int(np.count_nonzero(rows == FOREGROUND))
            y0 += len(rows)
            yield rows
        self.counts = (background, self.height * self.width - background - foreground, foreground)
        self._check()

    def _check(self) -> None:
        background, unknown, foreground = self.counts
        doubt = self._mask.doubts.text()
        if foreground and background:
            if doubt:
                warnings.warn(f"{self._name} {doubt}", MaskWarning, stacklevel=4)
            return
        if not unknown:
            mask = self._mask.mask
            if isinstance(mask, GreyMask) and not foreground:
                text, hint = mask.black()
            else:
                text, hint = f"{self._name} is {'white' if foreground else 'black'} everywhere, we need both", ""
            raise InputError(text, hint=hint or "Look at the file.")
        lost = [
            name
            for name, count, value in (("foreground", foreground, FOREGROUND), ("background", background, BACKGROUND))
            if not count and self._mask.has(value)  # smoke has no sure foreground to begin with
        ]
        if lost:
            wider = "." if self.band == "auto" else ", or --picture FILE with --band auto."
            raise InputError(
                f"the trimap of {self._name} with a band of {self.band} has no sure {lost[0]} left"
                + (f", and it {doubt}" if doubt else ""),
                hint=f"{'Look at the mask, or give' if doubt else 'Give'} a narrower band, such as --band 0.5%{wider}",
            )


class _Seen:
    """A mask, and the counts of its rows."""

    def __init__(self, mask: MaskRows) -> None:
        self.mask = mask
        self.height, self.width = mask.height, mask.width
        self.doubts = MaskDoubts(mask.height, mask.width)

    def has(self, value: int) -> bool:
        """Whether a row that was read has the value, 0 or 255."""
        return bool(self.doubts.pixels[0 if value == BACKGROUND else 2])

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        rows = self.mask.rows(y0, y1)
        self.doubts.add(rows, y0)
        return rows
