"""The files of one run: where results go, writing them row by row, and all of them or none.

Knows files and colours; nothing of networks and plans. Read top to bottom:

    OUTPUT_FILES     which fields of Outputs name files
    Outputs          paths of matte, foreground, cut-out, composite and layers, and how they are written
    check_outputs    refuses what cannot be written, before anything is computed
    check_options    the part of it that needs no files
    bit_depth_of, finest_depth   of one output, of all
    held_bytes       memory that the outputs take beside the network
    OutputFiles      the open files; all appear when the block ends well, none when it does not

What lies behind the composite is in inference/backgrounds.py.
"""

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hdmatt.errors import InputError, OutputError, plural
from hdmatt.inference.backgrounds import Background, parse_background
from hdmatt.inference.matte_range import WHOLE, range_of
from hdmatt.inference.needs import layered_bytes
from hdmatt.pictures.box import Box
from hdmatt.pictures.colours import colour
from hdmatt.pictures.colours.continued import cleared
from hdmatt.pictures.colours.despill import strength_of
from hdmatt.pictures.colours.encoding import Encoding, check_convertible, convert
from hdmatt.pictures.colours.mixing import check_space, composite_for
from hdmatt.pictures.files.formats import (
    DEPTHS,
    EXR,
    FORMATS,
    Extras,
    Format,
    check_alpha_mode,
    default_bit_depth,
    writable,
)
from hdmatt.pictures.files.labels import written_as
from hdmatt.pictures.files.palette import LARGEST
from hdmatt.pictures.files.psd import LAYERED, PsdWriter
from hdmatt.pictures.info import WHITE, ExrWindows, PictureInfo
from hdmatt.pictures.writer import PictureWriter, check_output_path
from hdmatt.system.hidden import place_of, remove_stale
from hdmatt.system.together import Together
from hdmatt.system.values import checked_path, kind_of, switch, word

OUTPUT_FILES = ("alpha", "foreground", "cutout", "composite", "psd", "layered")  # fields of Outputs that name files
FOREGROUND_LAYER = ("fg.R", "fg.G", "fg.B")  # beside R G B A of an EXR with layers
PLATE_LAYER = ("plate.R", "plate.G", "plate.B")
_WEBP_BYTES = 32  # a pixel, at most; 3 megapixels took 27 (RGBA) and 31 (RGB) with the encoder


@dataclass(frozen=True)
class Outputs:
    """Output files of a picture. A path that is None is not written; the suffix says which format.

    Attributes:
        alpha: The matte, grey.
        foreground: Foreground colours without the background's spill.
        cutout: Foreground colours and alpha as straight RGBA.
        composite: The foreground over `background`; RGBA where that is transparent in places.
        background: A colour ("white", "#d8d2c8") or a picture of the same size; needed for `composite`.
        bit_depth: "8", "16", "half", "float", or "auto": the picture's own where the format has it.
        psd: The picture and its foreground as layers, with the matte as mask: .psd or .psb.
        clean: Whether colours of foreground and cut-out are 0 where alpha is 0 in the file. Else they are those of the
            foreground around. The original background is in neither.
        layered: One EXR: the cut-out as R G B A, multiplied by alpha, and the straight foreground as layer fg. Half
            floats unless `bit_depth` says "float".
        plate: The picture as layer plate of `layered`, too.
        alpha_mode: "straight" or "premultiplied", of cut-out and transparent composite. None: straight, in EXR
            premultiplied.
        quality: Of colours in JPEG (else 95) and WebP (else lossless), 1 to 100; alpha stays exact.
        matte_range: LOW and HIGH: alpha is 0 at and below LOW, 1 at and above HIGH, linear between, in all outputs.
        invert: Whether the file of the matte holds 1 - alpha. No other output changes.
        despill: From 0 (off) to 1: how much of a green or blue screen's light is taken from the foreground's colours.
        matte_for: Alpha is converted for mixing colours in linear light ("linear": Nuke, EXR) or in display values
            ("display": Photoshop, the web), and the composite is mixed there, too. None: alpha as it is, and a
            composite in the picture's own numbers.
        trim: Whether all outputs are cut to the smallest rectangle outside of which alpha is 0 in the finest of them.
        palette: Whether a cut-out as PNG of 8 bit gets a palette if it has at most 256 colours, with the same pixels.
    """

    alpha: str | Path | None = None
    foreground: str | Path | None = None
    cutout: str | Path | None = None
    composite: str | Path | None = None
    background: str | Path | None = None
    bit_depth: str = "auto"
    psd: str | Path | None = None
    clean: bool = False
    layered: str | Path | None = None
    plate: bool = False
    quality: int | None = None
    matte_range: tuple[float, float] = WHOLE
    invert: bool = False
    alpha_mode: str | None = None
    trim: bool = False
    despill: float = 0
    matte_for: str | None = None
    palette: bool = False

    def __post_init__(self) -> None:
        for name in ("alpha", "foreground", "cutout", "composite", "psd", "layered"):
            if getattr(self, name) is not None:
                checked_path(name, getattr(self, name))
        if self.background is not None:
            checked_path("background", self.background, hint='Give a path, or a colour as text: "#d8d2c8".')
        if word("bit_depth", self.bit_depth) not in ("auto", *DEPTHS):
            raise InputError(f"bit_depth is {self.bit_depth!r}", hint=f"Choose one of: auto, {', '.join(DEPTHS)}.")
        switch("clean", self.clean)
        switch("plate", self.plate)
        switch("invert", self.invert)
        check_space(self.matte_for)
        object.__setattr__(self, "matte_range", range_of(self.matte_range))
        switch("trim", self.trim)
        switch("palette", self.palette)
        object.__setattr__(self, "despill", strength_of(self.despill))

    def paths(self) -> list[Path]:
        """The files that are written, the matte first."""
        every = (getattr(self, name) for name in OUTPUT_FILES)
        return [Path(path) for path in every if path is not None]

    def colours(self) -> bool:
        """Whether any output needs the foreground's colours."""
        every = (self.foreground, self.cutout, self.composite, self.psd, self.layered)
        return any(path is not None for path in every)

    def original(self) -> bool:
        """Whether any output holds the picture as it was."""
        return self.psd is not None or (self.layered is not None and self.plate)

    def continued(self) -> bool:
        """Whether any output shows the foreground's colours continued to where alpha is 0."""
        straight = not self.clean and any(path is not None for path in (self.foreground, self.cutout, self.layered))
        return straight or self.psd is not None  # a layer's mask is there to be changed


def check_outputs(outputs: Any, picture: Path, trimap: Path) -> Path | np.ndarray | None:
    """The background as a file or three numbers, once all outputs may be written.

    Raises:
        InputError: A composite without a background, a background that is none, or two outputs with one path.
        OutputError: A path cannot be written or is one of the inputs.
    """
    if not isinstance(outputs, Outputs):
        raise InputError(f"outputs is {kind_of(outputs)}", hint='Give hdmatt.Outputs(alpha="alpha.png"), for example.')
    check_options(outputs)
    inputs = [picture, trimap]
    background = parse_background(outputs.background) if outputs.background is not None else None
    if isinstance(background, Path):
        inputs.append(background)
    paths = outputs.paths()
    layers = ((outputs.psd, LAYERED), (outputs.layered, {".exr": EXR}))
    with_layers = {Path(path): formats for path, formats in layers if path is not None}
    for path in paths:
        check_output_path(path, inputs, with_layers.get(path, FORMATS))
    if len({os.path.realpath(path) for path in paths}) < len(paths):
        raise InputError("two outputs have the same path", hint="Give each output its own file.")
    return background


def check_options(outputs: Outputs) -> None:
    """Refuse options that contradict each other, or are for none of the outputs. Looks at names only.

    Raises:
        InputError: The first of them.
    """
    if (outputs.composite is None) != (outputs.background is None):
        raise InputError(
            "a composite needs both a background and a place to write it",
            hint="Give --background PICTURE|COLOUR together with --composite FILE.",
        )
    if outputs.plate and outputs.layered is None:
        raise InputError("--plate is a layer of --layered, which is not written", hint="Give --layered FILE.exr, too.")
    if outputs.invert and outputs.alpha is None:
        raise InputError("--invert is of the matte, which is not written", hint="Give -o FILE, too.")
    if outputs.trim and outputs.psd is not None:
        raise InputError(
            "--trim does not go with --psd, whose layers hold the whole picture and a mask that is there to be changed",
            hint="Write the PSD in a run of its own, without --trim.",
        )
    if outputs.trim and outputs.invert and str(outputs.alpha).lower().endswith(".exr"):
        raise InputError(
            "--trim does not go with --invert into EXR, which reads 0 outside its data window: an inverted matte is 1",
            hint="Write the matte in a run of its own, without --trim, or without --invert.",
        )
    if outputs.despill and not outputs.colours():
        raise InputError(
            "--despill changes foreground colours, but no output has them",
            hint="Leave --despill out, or write a --cutout.",
        )
    if outputs.clean and outputs.foreground is outputs.cutout is outputs.layered is None:
        raise InputError(
            "--clean changes colours of foreground, cut-out and EXR layers, but none of them is written",
            hint="Leave --clean out, or write a --cutout.",
        )
    if outputs.palette and (not str(outputs.cutout).lower().endswith(".png") or outputs.bit_depth not in ("auto", "8")):
        raise InputError(
            "--palette is of a cut-out as PNG of 8 bit, and none is written",
            hint="Leave --palette out, or write a --cutout FILE.png with --bit-depth 8.",
        )
    if outputs.quality is not None:
        _check_quality(outputs)
    if outputs.alpha_mode is not None:
        _check_alpha_mode(outputs, outputs.alpha_mode)


def bit_depth_of(path: Path, outputs: Outputs, info: PictureInfo) -> str:
    """The depth of an output: "8", "16", "half" or "float"."""
    if outputs.bit_depth != "auto":
        return outputs.bit_depth
    if path.suffix.lower() in LAYERED:
        return "8" if info.dtype == np.uint8 else "16"
    layered = outputs.layered is not None and path == Path(outputs.layered)
    return "half" if layered else default_bit_depth(path, info)


def finest_depth(outputs: Outputs, info: PictureInfo) -> str:
    """The depth of the output that holds the smallest alpha."""
    return max((bit_depth_of(path, outputs, info) for path in outputs.paths()), key=list(DEPTHS).index)


def held_bytes(outputs: Outputs, info: PictureInfo, box: Box | None) -> int:
    """Bytes that outputs hold: WebP is encoded in one piece; the picture's own rows become a layer.

    Args:
        box: What is written of the picture at most; None: all.
    """
    height, width = box.size if box else (info.height, info.width)
    webp = sum(path.suffix.lower() == ".webp" for path in outputs.paths()) * _WEBP_BYTES * height * width
    layered = sum(path is not None for path in (outputs.psd, outputs.layered))
    return webp + layered * layered_bytes(info.width, pixel=3 * info.dtype.itemsize)


class OutputFiles:
    """The open output files of one run, a context manager.

    Every file is written under a hidden name beside its own. When the block ends well all of them are complete, and
    only then are they renamed, one after the other. When it does not, or when one cannot be renamed, the files that
    were there before are there as before.

    Args:
        info: Of the picture.
        background: What lies behind the composite, if there is one.
        box: What the files hold of the picture, whose rows and columns are given; None: all. Files say where that lies
            if their format can.
    """

    def __init__(
        self, outputs: Outputs, info: PictureInfo, background: Background | None = None, box: Box | None = None
    ) -> None:
        self._outputs, self._info, self._box = outputs, info, box
        self._composite_channels = background.channels if background else 3
        if outputs.composite is not None and self._composite_channels == 4:
            _check_transparent(Path(outputs.composite), outputs.background)
            if outputs.alpha_mode is not None:
                check_alpha_mode(Path(outputs.composite), outputs.alpha_mode)
        self._written_as: dict[PictureWriter | PsdWriter, Encoding] = {}
        self._white: dict[PictureWriter, int] = {}  # the largest number of a file of integers, else 0
        self._stack = ExitStack()
        self._alpha = self._foreground = self._cutout = self._composite = self._layered = None
        self._psd: PsdWriter | None = None

    def __enter__(self) -> "OutputFiles":
        for folder in {place_of(path).parent for path in self._outputs.paths()}:
            remove_stale(folder)
        with ExitStack() as stack:
            self._together = stack.enter_context(Together())
            self._alpha = self._writer(stack, self._outputs.alpha, channels=1)
            self._foreground = self._writer(stack, self._outputs.foreground, channels=3)
            self._cutout = self._writer(stack, self._outputs.cutout, channels=4)
            self._composite = self._writer(stack, self._outputs.composite, channels=self._composite_channels)
            self._psd = self._layered_writer(stack, self._outputs.psd)
            layers = FOREGROUND_LAYER + PLATE_LAYER * self._outputs.plate
            self._layered = self._writer(stack, self._outputs.layered, channels=4, layers=layers)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def notes(self) -> list[str]:
        """What a user should know of the finished files."""
        if not self._outputs.palette or self._cutout is None:
            return []
        path, number = Path(str(self._outputs.cutout)), self._cutout.palette_colours
        depth = bit_depth_of(path, self._outputs, self._info)
        why = f"more than {LARGEST} colours" if depth == "8" else f"{depth} bit"
        held = f"a palette of {plural(number, 'colour')}" if number else f"{why}, so no palette"
        return [f"{path} has {held}"]

    def try_out(self) -> None:
        """Open all files, and remove them again: what cannot be written is refused before anything is computed."""
        with suppress(_Enough), self:
            raise _Enough

    def write_alpha(self, rows: np.ndarray) -> None:
        """The next rows of the matte, [h, W] in [0, 1]."""
        if self._alpha:
            self._alpha.write(1 - rows if self._outputs.invert else rows)

    def write_colours(
        self,
        foreground: np.ndarray,
        alpha: np.ndarray,
        *,
        background: np.ndarray | None = None,
        original: np.ndarray | None = None,
    ) -> None:
        """The next rows of all outputs with colours.

        Args:
            foreground: [h, W, 3].
            alpha: [h, W].
            background: [h, W, 3], or straight RGBA [h, W, 4]; needed for a composite.
            original: The picture's rows [h, W, 3], needed for layers.
        """
        if self._foreground:
            self._foreground.write(self._cleared(self._foreground, foreground, alpha))
        if self._cutout:
            self._cutout.write(colour.cutout(self._cleared(self._cutout, foreground, alpha), alpha))
        if self._composite and background is not None:
            self._composite.write(self._composited(self._composite, foreground, alpha, background))
        if self._psd and original is not None:
            self._psd.write(self._as_in_file(self._psd, original), self._as_in_file(self._psd, foreground), alpha)
        if self._layered:
            straight = self._cleared(self._layered, foreground, alpha)
            layers = [colour.cutout(straight, alpha), straight]
            if self._outputs.plate and original is not None:
                layers.append(self._as_in_file(self._layered, original))
            self._layered.write(np.concatenate(layers, axis=2))

    def _writer(
        self, stack: ExitStack, path: str | Path | None, *, channels: int, layers: tuple[str, ...] = ()
    ) -> PictureWriter | None:
        if path is None:
            return None
        path, info, box = Path(path), self._info, self._box
        depth = bit_depth_of(path, self._outputs, info)
        palette = self._outputs.palette and depth == "8" and path == Path(str(self._outputs.cutout))
        premultiplied = channels == 4 and self._outputs.alpha_mode == "premultiplied"
        publish = self._together.add
        file_format = writable(path)
        like = info if channels == 1 else self._like(file_format, depth)
        within = _windows_of(box, info, file_format) if box else None
        writer = PictureWriter(
            path,
            *(box.size if box else (info.height, info.width)),
            channels=channels,
            bit_depth=depth,
            like=like,
            publish=publish,
            extras=Extras(layers, self._outputs.quality, premultiplied, within, palette),
        )
        self._white[writer] = WHITE.get(np.dtype(DEPTHS[depth]).name, 0)
        self._written_as[writer] = like.encoding
        return stack.enter_context(writer)

    def _layered_writer(self, stack: ExitStack, path: str | Path | None) -> PsdWriter | None:
        if path is None:
            return None
        info, depth = self._info, bit_depth_of(Path(path), self._outputs, self._info)
        publish, like = self._together.add, self._like(None, depth)
        writer = PsdWriter(path, info.height, info.width, bit_depth=depth, like=like, publish=publish)
        self._written_as[writer] = like.encoding
        return stack.enter_context(writer)

    def _like(self, file_format: Format | None, depth: str) -> PictureInfo:
        """The picture as a file with colours holds it; refused before anything is computed if that cannot be."""
        like = written_as(self._info, file_format, depth)
        check_convertible(self._info.encoding, like.encoding)
        return like

    def _cleared(self, writer: PictureWriter, foreground: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        colours = self._as_in_file(writer, foreground)
        return cleared(colours, alpha, white=self._white[writer]) if self._outputs.clean else colours

    def _composited(
        self, writer: PictureWriter, foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray
    ) -> np.ndarray:
        whole = composite_for(self._outputs.matte_for, foreground, alpha, background, self._info.encoding)
        colours = self._as_in_file(writer, whole[..., :3])
        if whole.shape[2] == 3:
            return colours
        cover = whole[..., 3]
        return colour.cutout(cleared(colours, cover, white=self._white[writer]), cover)

    def _as_in_file(self, writer: PictureWriter | PsdWriter, colours: np.ndarray) -> np.ndarray:
        return convert(colours, self._info.encoding, self._written_as[writer])


def _windows_of(box: Box, info: PictureInfo, file_format: Format) -> ExrWindows:
    """Where a box lies in what an EXR shows, and for other formats in the picture."""
    whole = info.windows if file_format is EXR else None
    if whole is None:
        whole = ExrWindows(0, 0, 0, 0, info.width, info.height)
    return whole._replace(x=whole.x + box.x0, y=whole.y + box.y0)


def _check_quality(outputs: Outputs) -> None:
    if not isinstance(outputs.quality, int) or not 1 <= outputs.quality <= 100:
        raise InputError(
            f"the quality is {outputs.quality!r}, we need 1 to 100", hint="Give --quality 90, for example."
        )
    matte = outputs.alpha is not None and Path(outputs.alpha).suffix.lower() in (".jpg", ".jpeg")
    others = {path.suffix.lower() for path in replace(outputs, alpha=None).paths()} & {".jpg", ".jpeg", ".webp"}
    if not matte and not others:
        raise InputError(
            "a quality is for JPEG and WebP (but not its mattes), and none of the outputs is one",
            hint="Leave --quality out, or write to a --cutout FILE.webp.",
        )


def _check_alpha_mode(outputs: Outputs, alpha_mode: str) -> None:
    """Refuse what no file can be; a composite is looked at once its background is known."""
    if alpha_mode not in ("straight", "premultiplied"):
        raise InputError(
            f"the alpha mode is {alpha_mode!r}, we need straight or premultiplied",
            hint="Give --alpha-mode premultiplied, for example.",
        )
    with_alpha = [Path(path) for path in (outputs.cutout, outputs.psd) if path is not None]
    if not with_alpha and outputs.composite is None and outputs.layered is None:
        raise InputError(
            "an alpha mode is for files of colours with alpha, and none of the outputs is one",
            hint="Leave --alpha-mode out, or write a --cutout.",
        )
    for path in with_alpha:
        check_alpha_mode(path, alpha_mode)


def _check_transparent(composite: Path, background: Any) -> None:
    if not (file_format := writable(composite)).alpha:
        raise OutputError(
            f"{composite}: {file_format.name} has no alpha channel, and the background {background} is transparent in "
            "places, so the composite is, too",
            hint=f"Write to {composite.with_suffix('.png').name} or {composite.with_suffix('.tif').name}.",
        )


class _Enough(Exception):
    """Ends a block in which nothing is to be written."""
