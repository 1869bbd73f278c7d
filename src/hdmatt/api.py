"""Mattes of arrays or files, as arrays.

matte     picture and trimap -> a Matte
Matte     alpha, and the foreground, cut-out and composite that follow from it
"""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import InputError
from hdmatt.inference.backgrounds import is_opaque, open_background, parse_background
from hdmatt.inference.files import open_inputs, reading_notes, sure_foreground, warn_if_known
from hdmatt.inference.load import AnyNetwork, load_network
from hdmatt.inference.mixing import Conversion, converted
from hdmatt.inference.names import DEFAULT_MODEL
from hdmatt.inference.options import Options, Progress, RunOptions, options_given
from hdmatt.inference.strategies import matte_rows
from hdmatt.pictures.colours import colour
from hdmatt.pictures.colours.continued import CELL, cleared, coarse_colours, continued_foreground
from hdmatt.pictures.colours.encoding import LINEAR, SRGB, Encoding, convert
from hdmatt.pictures.colours.foreground import estimate_foreground
from hdmatt.pictures.colours.mixing import check_space, composite_for
from hdmatt.pictures.info import DEFAULT_INPUT, DEFAULT_MAX_PIXELS, WHITE, InputOptions
from hdmatt.pictures.objects import array_of
from hdmatt.pictures.reader import ArrayReader, BandReader, as_float
from hdmatt.pictures.trimap import TrimapReader
from hdmatt.system.values import switch


@dataclass(frozen=True)
class Matte:
    """A matte and what it was made of.

    Attributes:
        alpha: H x W in [0, 1]; exactly 0 and 1 where the trimap says background and foreground. Read-only, like
            `picture`; what the methods return is the caller's own.
        picture: H x W x 3 float32, in the encoding of the input (integers scaled to [0, 1]).
        linear: Whether the colours are scene-linear (EXR) and not display-encoded.
        notes: What one should know about how files were read, one sentence each.
        matte_for: The mixing that alpha was converted for: "linear" light or "display" values; composites are
            mixed there. None: alpha as it is, composites in the picture's own numbers.
    """

    alpha: Float32[np.ndarray, "h w"]
    picture: Float32[np.ndarray, "h w 3"] = field(repr=False)
    linear: bool = False
    notes: tuple[str, ...] = ()
    matte_for: str | None = None
    _coarse: Float32[np.ndarray, "down across 3"] | None = field(default=None, repr=False, compare=False)
    _estimate: Float32[np.ndarray, "h w 3"] | None = field(default=None, repr=False, compare=False)
    _encoding: Encoding | None = field(default=None, repr=False, compare=False)  # None: linear light or sRGB

    def __post_init__(self) -> None:
        check_space(self.matte_for)
        alpha, picture = _floats(self.alpha, "alpha"), _floats(self.picture, "the picture")
        if alpha.ndim != 2 or picture.shape != (*alpha.shape, 3):
            raise InputError(
                f"a matte has an alpha of H x W and a picture of H x W x 3, we got {alpha.shape} and {picture.shape}",
                hint="Give both in the same size, and the picture in three channels.",
            )
        if not (np.isfinite(alpha).all() and np.isfinite(picture).all()) or alpha.min() < 0 or alpha.max() > 1:
            raise InputError(
                f"alpha holds values from {alpha.min():g} to {alpha.max():g}, or the picture some that are not finite",
                hint="Clip alpha to 0..1: numpy.clip(alpha, 0, 1).",
            )
        for name, array in (("alpha", alpha), ("picture", picture)):
            # what is handed out must not change what is computed from it later
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    def foreground(self) -> Float32[np.ndarray, "h w 3"]:
        """Foreground colours, straight, without the background's spill: Germer's multi-level estimate.

        Where alpha is 0 they are those of the foreground around; nothing of the original background is left.

        Returns:
            In the picture's own encoding and range.
        """
        return self._foreground.copy()

    @cached_property
    def _foreground(self) -> np.ndarray:
        coarse = self._coarse
        if coarse is None:
            height, solid = len(self.alpha), self.alpha == 1
            coarse = coarse_colours((self.picture[y : y + CELL], solid[y : y + CELL]) for y in range(0, height, CELL))
        estimate = estimate_foreground(self.picture, self.alpha) if self._estimate is None else self._estimate
        return continued_foreground(estimate, self.alpha, coarse)

    def cutout(self, *, clean: bool = False) -> Float32[np.ndarray, "h w 4"]:
        """Foreground colours and alpha as straight RGBA.

        Args:
            clean: Whether colours are 0 where alpha is 0. Else they are those of the foreground around.

        Returns:
            Colours as `foreground` gives them, then alpha in [0, 1].
        """
        colours = cleared(self._foreground, self.alpha) if clean else self._foreground
        return colour.cutout(colours, self.alpha)

    def composite(self, background: Any) -> Float32[np.ndarray, "h w c"]:
        """The foreground over a colour or a picture; straight RGBA where that is transparent in places.

        Args:
            background: A colour as text ("#d8d2c8", sRGB, converted to the picture's encoding), as three numbers in
                [0, 1]; a path, whose colours are converted, too; or a picture of the matte's size: uint8, uint16, or
                float in the matte's encoding, RGBA straight, as an array, a PIL picture, a tensor or a list.

        Returns:
            Colours in the picture's encoding and range; with a fourth channel, alpha in [0, 1], where the background
            is transparent.

        Raises:
            InputError: The background is no colour and not of the matte's size, or not in range; or a file that cannot
                be used.
        """
        own = self._encoding or (LINEAR if self.linear else SRGB)
        return composite_for(self.matte_for, self._foreground, self.alpha, self._behind(background), own)

    def _behind(self, background: Any) -> Float32[np.ndarray, "h w c"]:
        size = self.alpha.shape
        if isinstance(background, str) or hasattr(background, "__fspath__"):
            given = self._encoding or (LINEAR if self.linear else SRGB)
            info = replace(ArrayReader(self.picture, linear=True).info, encoding=given)
            with ExitStack() as stack:
                return open_background(stack, parse_background(background), info, DEFAULT_INPUT).rows(0, size[0])
        if isinstance(background, list | tuple) and len(background) == 3 and not np.shape(background[0]):
            background = _colour(background)
        values = array_of(background, "the background")
        if values.shape == (3,):
            return np.broadcast_to(_checked_colour(values), (*size, 3))
        if values.shape not in (size, (*size, 1), (*size, 3), (*size, 4)):
            raise InputError(
                f"the background is an array of shape {values.shape}",
                hint=f"Give a colour of three numbers in [0, 1], or a picture of shape {(*size, 3)} or {(*size, 4)}.",
            )
        colours = as_float(ArrayReader(values, linear=self.linear).rows(0, size[0]))
        cover = _cover(values[..., 3:]) if values.ndim == 3 and values.shape[2] == 4 else None
        return colours if cover is None else np.concatenate([colours, cover], axis=2)


def matte(
    picture: Any,
    trimap: Any,
    *,
    options: Options | None = None,
    network: AnyNetwork = DEFAULT_MODEL,
    strategy: str = "hdmatt",
    linear: bool = False,
    input_layer: str | None = None,
    transfer: str | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    matte_for: str | None = None,
    progress: Progress | None = None,
) -> Matte:
    """Alpha matte of a picture, given a trimap.

    The arrays are held in memory; `matte_files` needs no more for a picture of any size.

    Args:
        picture: A path, or H x W x 3 (also H x W, H x W x 1 and x 4; alpha is ignored) of uint8, uint16 or float in
            [0, 1], display-encoded RGB; as an array, a PIL picture, a tensor or a list (docs/python.md).
        trimap: A path, or H x W in any of these: below 85 background, 170 and above foreground, else unknown (of 255;
            scaled for uint16 and float).
        options: How patches are placed, chosen and joined, and the memory limit. Default: Options().
        network: Weights by name or file, a NetworkChoice with runtime, precision and device, or a loaded network.
        strategy: "hdmatt", "crop", "tiles", "downsample" or "whole".
        linear: An array's float colours are scene-linear; files say so themselves.
        input_layer: The layer of a picture file with several (EXR), by its name.
        transfer: The transfer function of a file or an array that does not say it: "sRGB", "linear", "Rec.709", or a
            curve of a camera; `hdmatt info` lists all. The matte of a camera's curve comes out linear.
        max_pixels: Larger pictures are refused.
        matte_for: Convert alpha for mixing colours in "linear" light or in "display" values, and composite there.
        progress: Called with (patches done, patches in all), before the first patch, too; what it raises ends the work.

    Raises:
        InputError: What was given cannot be used; see the message and its hint.
        MemoryLimitError: The memory limit is too small for the picture.
    """
    switch("linear", linear)
    loaded = load_network(network)
    reading = InputOptions(layer=input_layer, transfer=transfer, max_pixels=max_pixels)
    with ExitStack() as stack:
        pixels, marks = open_inputs(stack, picture, trimap, reading, linear=linear)
        given = RunOptions.of(options_given(options), device=loaded.device)
        conversion = Conversion.of(pixels.info.encoding, given.mixing, matte_for)
        job = matte_rows(strategy, pixels, marks, loaded.model, given, progress=progress)
        stack.callback(job.close)  # before the files are closed that its thread reads
        warn_if_known(job.unknown)
        return _finished(np.concatenate([rows for _, rows in job.rows]), pixels, marks, conversion, matte_for)


def _finished(
    alpha: np.ndarray, pixels: BandReader, marks: TrimapReader, conversion: Conversion | None, matte_for: str | None
) -> Matte:
    whole, encoding = _colours(pixels)
    coarse, estimate = coarse_colours(sure_foreground(ArrayReader(whole, linear=True), marks)), None
    if conversion is not None:
        pieces = list(converted(iter([(0, alpha)]), pixels, conversion))
        alpha = np.concatenate([rows for _, _, rows in pieces])
        estimate = convert(np.concatenate([colours for _, colours, _ in pieces]), conversion.own, encoding)
    notes = tuple(reading_notes(pixels.info, marks))
    return Matte(alpha, whole, encoding.linear, notes, matte_for, coarse, estimate, encoding)


def _colours(pixels: BandReader) -> tuple[Float32[np.ndarray, "h w 3"], Encoding]:
    """The picture's colours, and their encoding; those of a camera's curve become linear."""
    whole, encoding = as_float(pixels.rows(0, pixels.info.height)), pixels.info.encoding
    if encoding.light and not encoding.linear:
        return convert(whole, encoding, LINEAR), LINEAR
    return whole, encoding


def _cover(values: np.ndarray) -> Float32[np.ndarray, "h w 1"] | None:
    """The alpha of a background in an array; None if it is opaque."""
    cover = as_float(ArrayReader(values, linear=True).colours(0, values.shape[0], 0, values.shape[1]))
    if cover.min() < 0 or cover.max() > 1:
        raise InputError(
            f"the background has an alpha from {cover.min():g} to {cover.max():g}, we need 0 to 1",
            hint="Divide it by its largest number, or leave the alpha out: background[..., :3].",
        )
    return None if is_opaque(cover) else cover


def _floats(value: Any, what: str) -> Float32[np.ndarray, "..."]:
    """The value as float32."""
    values = array_of(value, what)
    return values.astype(np.float32, copy=False) if values.dtype.kind == "f" else as_float(values)


def _colour(numbers: Any) -> np.ndarray:
    """Three numbers, whole ones or not, as floats."""
    try:
        return np.asarray(numbers, np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"the background is {numbers!r}", hint="Give a colour of three numbers in [0, 1], or as text."
        ) from None


def _checked_colour(values: np.ndarray) -> Float32[np.ndarray, "3"]:
    if values.dtype.name in WHITE and int(values.max()) != 1:  # 1 of an integer may be the least or all of it
        values = as_float(values)
    if values.dtype.kind != "f" or not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise InputError(
            f"the background is a colour of {values.dtype} from {values.min()} to {values.max()}",
            hint='Give three numbers in [0, 1], or text such as "255,136,0".',
        )
    return values.astype(np.float32)
