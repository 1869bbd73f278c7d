"""Masks by rows: from grey pictures, mattes, cut-outs, layers, boxes and scribbles.

Knows where a mask comes from; nothing of bands.

    MaskSource            a file, a layer, strokes, a box or a network
    GreyMask              the rows of a grey picture
    open_mask             a MaskSource -> its rows
    check_mask_size       whether a mask fits its picture
    open_path_or_array    a reader of a picture
"""

import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from hdmatt.errors import InputError, MaskWarning
from hdmatt.pictures.info import DEFAULT_INPUT, WHITE, ColourPart, InputOptions, PictureInfo
from hdmatt.pictures.placed import placed
from hdmatt.pictures.reader import ArrayReader, BandReader, as_float, open_picture, single_channel
from hdmatt.pictures.trimap_checks import stretch_hint
from hdmatt.trimaps.box_mask import mask_from_box
from hdmatt.trimaps.grabcut import mask_from_scribbles
from hdmatt.trimaps.mask_rows import ROWS, EnlargedMask, MaskRows, WholeMask, three_values
from hdmatt.trimaps.psd import layer_coverage
from hdmatt.trimaps.rembg import mask_by_rembg

_NO_MASK = (
    "A mask is grey, or a cut-out with transparency. For a photograph: --picture FILE --box X0 Y0 X1 Y1. For coloured "
    "strokes: --scribbles FOREGROUND BACKGROUND. For a layer of a PSD: --layer NAME."
)


@dataclass(frozen=True)
class MaskSource:
    """Source of a mask: a file, a layer, strokes, a box or a network.

    Attributes:
        file: A mask, matte or cut-out (path or array); the scribbles' picture; a PSD. None with `box` and `rembg`.
        layer: Name of the PSD's layer; what of it is visible is the mask (needs psd-tools).
        scribbles: Colours (sRGB) of the strokes on foreground and on background, such as ("#ff0000", "#0000ff"); pixels
            under a stroke are known in the trimap, whatever the mask says.
        box: x0, y0, x1, y1: the object lies inside, nothing of it outside (x1 and y1 are not inside).
        rembg: Name of a model of the package rembg.
        fit: Enlarge or reduce a mask of the picture's shape but another size.
    """

    file: str | Path | np.ndarray | None = None
    layer: str | None = None
    scribbles: tuple[str, str] | None = None
    box: tuple[int, int, int, int] | None = None
    rembg: str | None = None
    fit: bool = False

    @property
    def name(self) -> str:
        """The mask in messages."""
        return str(self.file) if isinstance(self.file, str | Path) else "the mask"


def open_mask(
    stack: ExitStack, source: MaskSource, picture: BandReader | None, options: InputOptions = DEFAULT_INPUT
) -> MaskRows:
    """The rows of a mask, whose files are closed with the stack.

    Grey files and arrays are read by rows. An alpha channel is read whole (5 bytes a pixel), a PSD, too. Boxes,
    scribbles and rembg work on a smaller picture.

    Raises:
        InputError: It is no mask, has another size or windows than the picture, or needs a picture that is not there.
    """
    _check_source(source, picture)
    if picture is not None and (source.box or source.scribbles or source.rembg):
        return _from_picture(stack, source, picture, options)
    if source.layer is not None:
        mask: MaskRows = WholeMask(
            three_values(layer_coverage(_path(source), source.layer, max_pixels=options.max_pixels))
        )
    else:
        mask = _from_file(stack, source, picture, options)
    return mask if picture is None else _same_size(mask, source, picture)


class GreyMask:
    """The rows of a grey picture."""

    def __init__(self, reader: BandReader, name: str) -> None:
        self._reader, self._name = reader, name
        self.largest = 0.0  # of the values that were read, as they are
        self.height, self.width = reader.info.height, reader.info.width

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        colours = self._reader.colours(y0, y1, 0, self.width)
        try:
            values = single_channel(colours, y0, self._name, "a mask")
        except InputError as error:
            raise InputError(error.message, hint=_NO_MASK) from error
        if values.dtype.kind == "f" and values.size and not -0.01 <= float(values.min()) <= float(values.max()) <= 1.01:
            raise InputError(
                f"{self._name} holds values from {values.min():g} to {values.max():g}, a mask of floats needs 0 to 1",
                hint="Divide it by its white, or save it as 8-bit grey.",
            )
        self.largest = max(self.largest, float(values.max())) if values.size else self.largest
        return three_values(values)

    def black(self) -> tuple[str, str]:
        """What to say of a mask that is black everywhere, and what to do."""
        info = self._reader.info
        if not self.largest:
            return f"{self._name} is black everywhere, we need a mask with both", ""
        white = WHITE.get(info.dtype.name, 1)
        text = f"{self._name} is black everywhere: its largest value is {self.largest:g} of {white}"
        array = "An array of 0 and 1 must be of bool or float: mask > 0."
        return text, array if info.path is None else stretch_hint(info.path)


def open_path_or_array(
    stack: ExitStack, picture: Any, options: InputOptions, *, part: ColourPart = "straight"
) -> BandReader:
    """A reader of a picture's file or array, which `stack` closes."""
    if isinstance(picture, str | Path):
        return stack.enter_context(open_picture(picture, options, part=part))
    return ArrayReader(np.asarray(picture))


def _check_source(source: MaskSource, picture: BandReader | None) -> None:
    kinds = {"a box": source.box, "scribbles": source.scribbles, "rembg": source.rembg, "a layer": source.layer}
    given = [name for name, value in kinds.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"the mask comes from {' and '.join(given)} at once", hint="Give one of them.")
    alone = source.box is not None or source.rembg is not None
    if alone and source.file is not None:
        raise InputError(f"{given[0]} makes the mask, but {source.name} was given, too", hint="Leave one of them out.")
    if not alone and source.file is None:
        raise InputError("there is no mask", hint="Give a mask's file, or --picture FILE with --box X0 Y0 X1 Y1.")
    if picture is None and (alone or source.scribbles is not None or source.fit):
        what = "--fit" if source.fit else given[0]
        raise InputError(f"{what} needs the picture, and none was given", hint="Give --picture FILE.")


def check_mask_size(height: int, width: int, source: MaskSource, picture: PictureInfo) -> None:
    """Refuse a mask that has not the picture's size, nor its shape where it is to be fitted.

    Raises:
        InputError: The sizes differ.
    """
    if (height, width) == (picture.height, picture.width):
        return
    shape = abs(width * picture.height - height * picture.width) <= max(picture.height, picture.width)
    if not shape or not source.fit:
        raise InputError(
            f"{source.name} is {width}x{height} but the picture is {picture.width}x{picture.height} (width x height, "
            "after EXIF rotation)",
            hint="They have the same shape: --fit enlarges the mask." if shape else "Give a mask of this picture.",
        )


def _path(source: MaskSource) -> Path:
    if not isinstance(source.file, str | Path):
        raise InputError("a layer is taken from a PSD file, and an array was given", hint="Give the file's path.")
    return Path(source.file)


def _from_file(stack: ExitStack, source: MaskSource, picture: BandReader | None, options: InputOptions) -> MaskRows:
    if isinstance(source.file, np.ndarray):
        if source.file.dtype == np.bool_ and source.file.ndim == 2:
            return WholeMask(three_values(source.file))
        if source.file.ndim == 3 and source.file.shape[2] == 4:
            return WholeMask(three_values(np.ascontiguousarray(source.file[..., 3])))
        return GreyMask(ArrayReader(source.file), source.name)
    reader = _over(picture, stack.enter_context(open_picture(_path(source), options.of_others(), part="grey")))
    if reader.info.has_alpha:
        alpha = _over(picture, stack.enter_context(open_picture(_path(source), options.of_others(), part="alpha")))
        coverage = three_values(alpha.colours(0, alpha.info.height, 0, alpha.info.width)[..., 0])
        if coverage.min() != coverage.max():
            return WholeMask(coverage)  # a cut-out: its colours say nothing
    return GreyMask(reader, source.name)


def _over(picture: BandReader | None, reader: BandReader) -> BandReader:
    """A reader over the picture's pixels, where the windows of EXRs say how they lie."""
    return reader if picture is None else placed(reader, picture.info)


def _same_size(mask: MaskRows, source: MaskSource, picture: BandReader) -> MaskRows:
    info = picture.info
    check_mask_size(mask.height, mask.width, source, info)
    if (mask.height, mask.width) == (info.height, info.width):
        return mask
    small = np.concatenate([mask.rows(y, min(y + ROWS, mask.height)) for y in range(0, mask.height, ROWS)])
    if mask.height > info.height:
        size = (info.width, info.height)
        return WholeMask(three_values(cv2.resize(as_float(small), size, interpolation=cv2.INTER_AREA)))
    step = (info.height / mask.height, info.width / mask.width)
    return EnlargedMask(as_float(small), height=info.height, width=info.width, step=step)


def _from_picture(stack: ExitStack, source: MaskSource, picture: BandReader, options: InputOptions) -> MaskRows:
    if source.box is not None:
        mask = mask_from_box(picture, source.box)
        if mask.doubt:
            advice = "Look at the trimap; a tighter box, --scribbles or a mask made before is surer"
            warnings.warn(f"{mask.doubt}. {advice}.", MaskWarning, stacklevel=2)
        return mask
    if source.scribbles is not None:
        if isinstance(source.file, np.ndarray):
            strokes: BandReader = ArrayReader(source.file)
        else:
            strokes = _over(picture, stack.enter_context(open_picture(_path(source), options.of_others())))
        return mask_from_scribbles(picture, strokes, source.scribbles, name=source.name)
    assert source.rembg is not None
    return mask_by_rembg(picture, source.rembg)
