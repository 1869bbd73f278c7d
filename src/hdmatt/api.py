"""Mattes from Python and from files: the engine, the colours and the files put together.

    matte         arrays or paths in, a Matte with arrays out
    Matte         alpha, and the foreground, cut-out and composite that follow from it
    matte_files   files in, files out, in bounded memory: what the command line calls
    load_model    cached weights
"""

import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from hdmatt import colour, image, memory
from hdmatt.engine import Counters, Options, Plan
from hdmatt.errors import InputError
from hdmatt.image import ArrayReader, PictureReader, PictureWriter
from hdmatt.model import HDMatt
from hdmatt.strategies import matte_rows

DEFAULT_MODEL = "hdmatt-s"
Progress = Callable[[int, int], None]


class NoUnknownWarning(UserWarning):
    """The trimap has no unknown pixel, so the matte is the trimap."""


@dataclass(frozen=True)
class Matte:
    """A matte and what it was made of.

    Attributes:
        alpha: H x W in [0, 1]; exactly 0 and 1 where the trimap says background and foreground.
        picture: H x W x 3 float32, in the encoding of the input (integers scaled to [0, 1]).
        linear: Whether the colours are scene-linear (EXR) and not display-encoded.
    """

    alpha: Float32[np.ndarray, "h w"]
    picture: Float32[np.ndarray, "h w 3"] = field(repr=False)
    linear: bool = False

    def foreground(self) -> Float32[np.ndarray, "h w 3"]:
        """Foreground colours, straight, without the background's spill (PyMatting's multilevel estimate)."""
        return self._foreground

    @cached_property
    def _foreground(self) -> np.ndarray:
        return colour.estimate_foreground(self.picture, self.alpha)

    def cutout(self) -> Float32[np.ndarray, "h w 4"]:
        """Foreground colours and alpha as straight RGBA."""
        return colour.cutout(self.foreground(), self.alpha)

    def composite(self, background: Any) -> Float32[np.ndarray, "h w 3"]:
        """The foreground over a colour or a picture.

        Args:
            background: A colour as text ("#d8d2c8", display-encoded, converted where the matte is linear), as three
                numbers in [0, 1], or a picture of the matte's size: uint8, uint16, or float in the matte's encoding.

        Raises:
            InputError: The background is no colour and not of the matte's size, or not in range.
        """
        if isinstance(background, str):
            background = colour.parse_colour(background)
            background = colour.srgb_to_linear(background) if self.linear else background
        return colour.composite(self.foreground(), self.alpha, _background_array(background, self.alpha.shape))


def load_model(name: str | Path = DEFAULT_MODEL) -> HDMatt:
    """The network by name or file; loaded once and then reused until the file changes."""
    from hdmatt.checkpoint import models

    path = models().get(str(name)) or Path(name)
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _load(path if path.is_file() else name, stamp)


def pick_device(name: str = "auto") -> str:
    """A torch device: "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: The named device is not there.
    """
    import torch

    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    found += ["mps"] if torch.backends.mps.is_available() else []
    found += ["cpu"]
    if name == "auto":
        return found[0]
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in found:
        raise InputError(
            f"there is no device {name!r} on this machine", hint=f"Choose auto, or one of: {', '.join(found)}."
        )
    return wanted


def matte(
    picture: Any,
    trimap: Any,
    *,
    model: str | Path | HDMatt = DEFAULT_MODEL,
    strategy: str = "hdmatt",
    patch: int = 320,
    overlap: int = 64,
    topk: int = 3,
    candidates: int = 30,
    memory_limit: int | str | None = None,
    batch: int | None = None,
    device: str = "auto",
    linear: bool = False,
    progress: Progress | None = None,
    max_pixels: int = image.DEFAULT_MAX_PIXELS,
) -> Matte:
    """Alpha matte of a picture, given a trimap.

    Args:
        picture: A path, or H x W x 3 (also H x W, H x W x 1 and x 4; alpha is ignored) of uint8, uint16 or float in
            [0, 1], display-encoded RGB.
        trimap: A path, or H x W: below 85 background, 170 and above foreground, else unknown (of 255; scaled for
            uint16 and float).
        model: Name, file, or a loaded network.
        strategy: "hdmatt", "crop", "downsample" or "whole".
        patch, overlap: Side of a patch and what neighbours share, in pixels.
        topk, candidates: Context patches a patch looks at, and patches to choose them from.
        memory_limit: Bytes, or text like "2GiB"; the returned arrays come on top. Default: half of what is free.
        batch: Patches computed at once; default: by the limit.
        device: "auto", or a device that `hdmatt info` lists.
        linear: An array's float colours are scene-linear; files say so themselves.
        max_pixels: Larger pictures are refused.
        progress: Called with (patches done, patches in all).

    Raises:
        InputError: What was given cannot be used; see the message and its hint.
    """
    network = model if isinstance(model, HDMatt) else load_model(model)
    options = Options(
        patch=patch,
        overlap=overlap,
        topk=topk,
        candidates=candidates,
        memory=memory.parse(memory_limit) if isinstance(memory_limit, str) else memory_limit,
        batch=batch,
        device=pick_device(device),
    )
    with ExitStack() as stack:
        pixels = stack.enter_context(_picture(picture, max_pixels, linear))
        marks = stack.enter_context(image.open_trimap(trimap, max_pixels=max_pixels))
        job = matte_rows(strategy, pixels, marks, network, options, progress=progress)
        _warn_if_known(job.unknown)
        alpha = np.concatenate([rows for _, rows in job.rows])
        whole = image.as_float(pixels.rows(0, pixels.info.height))
        return Matte(alpha, whole, pixels.info.linear)


@dataclass(frozen=True)
class Outputs:
    """Where the results go; None is not written."""

    alpha: Path | None
    foreground: Path | None = None
    cutout: Path | None = None
    composite: Path | None = None

    def paths(self) -> list[Path]:
        return [p for p in (self.alpha, self.foreground, self.cutout, self.composite) if p]

    def colours(self) -> bool:
        return any((self.foreground, self.cutout, self.composite))


@dataclass(frozen=True)
class Summary:
    """What a run of `matte_files` did, for the summary line and --json."""

    width: int
    height: int
    unknown_share: float
    snapped: int
    patches: int
    encoded: int
    context_pool: int
    batch: int
    seconds: float
    network_seconds: float  # of them in the network alone
    expected_memory: int  # bytes; what the plan promised
    peak_memory: int  # bytes; what it was
    memory_limit: int  # bytes
    model: str
    strategy: str
    device: str
    outputs: list[str]


def matte_files(
    picture: Path,
    trimap: Path,
    outputs: Outputs,
    *,
    model: str | Path = DEFAULT_MODEL,
    strategy: str = "hdmatt",
    options: Options,
    background: str | None = None,
    bit_depth: str = "auto",
    max_pixels: int = image.DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> Summary:
    """Matte of a picture file, written to files row by row; nothing half-written is left when anything fails.

    Args:
        background: A colour or a picture's path, for `outputs.composite`.
        bit_depth: "8", "16", "half", "float", or "auto": the picture's own where the format has it.

    Raises:
        InputError: Any of the inputs, outputs or options cannot be used.
        OutputError: A path cannot be written or is one of the inputs.
    """
    started = time.monotonic()
    inputs = [picture, trimap]
    if (outputs.composite is None) != (background is None):
        raise InputError(
            "a composite needs both a background and a place to write it",
            hint="Give --background PICTURE|COLOUR together with --composite FILE.",
        )
    behind = _parse_background(background)
    if isinstance(behind, Path):
        inputs.append(behind)
    paths = outputs.paths()
    for path in paths:
        image.check_output_path(path, inputs)
    if len({p.resolve() for p in paths}) < len(paths):
        raise InputError("two outputs have the same path", hint="Give each output its own file.")
    network = load_model(model)
    counters = Counters()
    with _all_or_none(paths), ExitStack() as stack:
        pixels = stack.enter_context(image.open_picture(picture, max_pixels=max_pixels))
        marks = stack.enter_context(image.open_trimap(trimap, max_pixels=max_pixels))
        info = pixels.info
        if outputs.colours():
            options = replace(options, reserve=memory.colour_bytes(info.width))
        held = sum(p.suffix.lower() == ".webp" for p in paths)  # WebP is encoded in one piece at the end
        options = replace(options, reserve=options.reserve + held * 20 * info.height * info.width)
        job = matte_rows(strategy, pixels, marks, network, options, progress=progress, counters=counters)
        _warn_if_known(job.unknown)
        writers = _Writers(stack, outputs, info, bit_depth)
        if outputs.colours():
            again = stack.enter_context(image.open_picture(picture, max_pixels=max_pixels))
            behind_rows = _background_rows(stack, behind, info, max_pixels)
            for y0, foreground, alpha in _with_colours(job.rows, again, writers):
                writers.colours(foreground, alpha, behind_rows(y0, y0 + len(alpha)) if behind_rows else None)
        else:
            for _, alpha in job.rows:
                writers.alpha(alpha)
        snapped = marks.snapped
    plan: Plan | None = job.plan
    return Summary(
        width=info.width,
        height=info.height,
        unknown_share=job.unknown / (info.width * info.height),
        snapped=snapped,
        patches=counters.decoded,
        encoded=counters.encoded,
        context_pool=len(plan.pool) if plan else 0,
        batch=plan.batch if plan else 1,
        seconds=time.monotonic() - started,
        network_seconds=counters.network_seconds,
        expected_memory=plan.peak if plan else 0,
        peak_memory=memory.peak(),
        memory_limit=plan.limit if plan else 0,
        model=str(model),
        strategy=strategy,
        device=options.device,
        outputs=[str(p) for p in paths],
    )


@contextmanager
def _all_or_none(paths: list[Path]) -> Generator[None]:
    """Should one output fail when it is closed, those that were renamed into place before it are taken away again."""
    before = {path: path.stat().st_ino if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path in paths:
            if path.is_file() and path.stat().st_ino != before[path]:
                path.unlink()
        raise


class _Writers:
    """The output files of one run, opened together; each is renamed into place when it is complete."""

    def __init__(self, stack: ExitStack, outputs: Outputs, info: image.PictureInfo, bit_depth: str) -> None:
        self._encoded: set[PictureWriter] = set()  # colours are linear here and display-encoded in the file

        def writer(path: Path | None, channels: int) -> PictureWriter | None:
            if path is None:
                return None
            depth = image.default_bit_depth(path, info) if bit_depth == "auto" else bit_depth
            opened = stack.enter_context(
                PictureWriter(path, info.height, info.width, channels=channels, bit_depth=depth, like=info)
            )
            if info.linear and depth in {"8", "16"}:
                self._encoded.add(opened)
            return opened

        self._alpha = writer(outputs.alpha, 1)
        self._foreground = writer(outputs.foreground, 3)
        self._cutout = writer(outputs.cutout, 4)
        self._composite = writer(outputs.composite, 3)

    def alpha(self, rows: np.ndarray) -> None:
        if self._alpha:
            self._alpha.write(rows)

    def colours(self, foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray | None) -> None:
        if self._foreground:
            self._foreground.write(self._for(self._foreground, foreground))
        if self._cutout:
            self._cutout.write(colour.cutout(self._for(self._cutout, foreground), alpha))
        if self._composite and background is not None:
            whole = colour.composite(foreground, alpha, background)
            self._composite.write(self._for(self._composite, whole))

    def _for(self, writer: PictureWriter, colours: np.ndarray) -> np.ndarray:
        return colour.linear_to_srgb(colours) if writer in self._encoded else colours


def _with_colours(
    rows: Iterator[tuple[int, np.ndarray]], picture: PictureReader, writers: _Writers
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(y0, foreground rows, alpha rows): alpha is written at once and held until its colours are known."""
    held: list[np.ndarray] = []

    def bands() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for y0, alpha in rows:
            writers.alpha(alpha)
            held.append(alpha)
            yield y0, image.as_float(picture.rows(y0, y0 + len(alpha))), alpha

    info = picture.info
    for y0, foreground in colour.foreground_bands(bands(), height=info.height, width=info.width):
        alpha = np.concatenate(held)
        held[:] = [alpha[len(foreground) :]]
        yield y0, foreground, alpha[: len(foreground)]


def _parse_background(background: str | None) -> Path | np.ndarray | None:
    if background is None:
        return None
    if Path(background).is_file():
        return Path(background)
    return colour.parse_colour(background)


def _background_rows(
    stack: ExitStack, background: Path | np.ndarray | None, info: image.PictureInfo, max_pixels: int
) -> Callable[[int, int], np.ndarray] | None:
    if background is None:
        return None
    if isinstance(background, np.ndarray):
        flat = colour.srgb_to_linear(background) if info.linear else background
        return lambda y0, y1: np.broadcast_to(flat, (y1 - y0, info.width, 3))
    reader = stack.enter_context(image.open_picture(background, max_pixels=max_pixels))
    if (reader.info.height, reader.info.width) != (info.height, info.width):
        raise InputError(
            f"the background {background} is {reader.info.width}x{reader.info.height} but the picture is "
            f"{info.width}x{info.height} (width x height)",
            hint="Give a background of the picture's size, or a colour.",
        )

    def rows(y0: int, y1: int) -> np.ndarray:
        values = image.as_float(reader.rows(y0, y1))
        if reader.info.linear == info.linear:
            return values
        return colour.srgb_to_linear(values) if info.linear else colour.linear_to_srgb(values)

    return rows


def _background_array(background: Any, size: tuple[int, int]) -> np.ndarray:
    values = np.asarray(background)
    if values.dtype.kind not in "fiu":
        values = np.empty(0)
    if values.dtype.name in {"uint8", "uint16"}:
        values = image.as_float(values)
    if values.shape != (3,) and values.shape != (*size, 3):
        raise InputError(
            f"the background is an array of shape {values.shape}",
            hint=f"Give a colour of three numbers in [0, 1], or a picture of shape {(*size, 3)}.",
        )
    if values.dtype.kind != "f" or not np.isfinite(values).all() or (values.shape == (3,) and values.max() > 1):
        raise InputError(
            f"the background holds {values.dtype} values up to {values.max()}",
            hint="Give colours as floats in [0, 1], or a picture of uint8, uint16 or float.",
        )
    return np.broadcast_to(values.astype(np.float32), (*size, 3))


def _picture(picture: Any, max_pixels: int, linear: bool) -> PictureReader | ArrayReader:
    if isinstance(picture, str | Path):
        return image.open_picture(Path(picture), max_pixels=max_pixels)
    return ArrayReader(np.asarray(picture), linear=linear)


def _warn_if_known(unknown: int) -> None:
    if not unknown:
        warnings.warn(
            "the trimap has no unknown pixel: the matte is the trimap", NoUnknownWarning, stacklevel=3
        )


@lru_cache(maxsize=2)
def _load(name: str | Path, stamp: int) -> HDMatt:
    from hdmatt.checkpoint import load_model as load

    return load(name)


