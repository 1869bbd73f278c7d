"""Mattes from Python and from files: the engine, the colours and the files put together.

matte         arrays or paths in, a Matte with arrays out
Matte         alpha, and the foreground, cut-out and composite that follow from it
matte_files   files in, files out, in bounded memory: what the command line calls
plan_files    what matte_files would do, and what it would take
load_model    cached weights
load_network  the same, prepared for a runtime
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

from hdmatt.errors import InputError
from hdmatt.inference.run import Counters, Options, Plan
from hdmatt.inference.strategies import Job, extra_work, matte_rows
from hdmatt.inference.threads import Behind
from hdmatt.network.model import HDMatt
from hdmatt.pictures import colour
from hdmatt.pictures.foreground import PIECE, Band, compile_apart, estimate_foreground, foreground_bands
from hdmatt.pictures.info import DEFAULT_MAX_PIXELS, PictureInfo
from hdmatt.pictures.reader import ArrayReader, PictureReader, as_float, open_picture
from hdmatt.pictures.trimap import TrimapReader, open_trimap
from hdmatt.pictures.writer import PictureWriter, check_output_path, default_bit_depth
from hdmatt.runtimes.choose import choose, choose_precision
from hdmatt.runtimes.devices import kind, pick_device
from hdmatt.runtimes.prepare import prepare
from hdmatt.system import memory

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
        return estimate_foreground(self.picture, self.alpha)

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
    from hdmatt.network.checkpoint import models

    path = models().get(str(name)) or Path(name)
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _load(path if path.is_file() else name, stamp)


def load_network(
    model: str | Path | HDMatt = DEFAULT_MODEL,
    *,
    runtime: str = "auto",
    precision: str = "auto",
    device: str = "cpu",
) -> HDMatt:
    """The network by name or file, or one that is loaded, prepared for a runtime (docs/runtimes.md).

    Args:
        runtime: "auto", "torch", "folded", "compiled", "onnx" or "openvino". "auto" leaves a loaded network as it is.
        precision: "auto" (bf16 for the folded runtime on a processor or a GPU that has it), "fp32" or
            "bf16". A loaded network is left as it is by "fp32", too.
        device: As `pick_device` gives it.

    Raises:
        InputError: No such runtime, or not installed, or not for this device or precision.
    """
    if isinstance(model, HDMatt):
        chosen = choose(runtime, device) if runtime != "auto" or precision == "bf16" else "torch"
        return _prepare(model, chosen, choose_precision(precision, chosen, device), device)
    chosen = choose(runtime, device)
    precision = choose_precision(precision, chosen, device)
    if chosen == "torch":
        return _prepare(load_model(model), chosen, precision, device)
    from hdmatt.network.checkpoint import models

    path = models().get(str(model)) or Path(model)
    return _prepared(path, path.stat().st_mtime_ns if path.is_file() else 0, chosen, precision, kind(device))


def matte(
    picture: Any,
    trimap: Any,
    *,
    model: str | Path | HDMatt = DEFAULT_MODEL,
    strategy: str = "hdmatt",
    patch: int = 320,
    overlap: int = 64,
    topk: int = 7,
    candidates: int = 30,
    memory_limit: int | str | None = None,
    batch: int | None = None,
    device: str = "auto",
    cover: str = "fewest",
    runtime: str = "auto",
    precision: str = "auto",
    linear: bool = False,
    progress: Progress | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Matte:
    """Alpha matte of a picture, given a trimap.

    Args:
        picture: A path, or H x W x 3 (also H x W, H x W x 1 and x 4; alpha is ignored) of uint8, uint16 or float in
            [0, 1], display-encoded RGB.
        trimap: A path, or H x W: below 85 background, 170 and above foreground, else unknown (of 255; scaled for
            uint16 and float).
        model: Name, file, or a loaded network.
        strategy: "hdmatt", "crop", "tiles", "downsample" or "whole".
        patch, overlap: Side of a patch and what neighbours share, in pixels.
        topk, candidates: Context patches a patch looks at, and patches to choose them from.
        memory_limit: Bytes, or text like "2GiB"; the returned arrays come on top. Default: half of what is free.
        batch: Patches computed at once; default: by the limit.
        device: "auto", a device that `hdmatt info` lists, several of one kind by commas ("cuda:0,cuda:1"), "cuda:all".
        cover: "fewest" places the patches where the unknown pixels are, "grid" at fixed steps.
        runtime, precision: What computes the network, see `load_network`.
        linear: An array's float colours are scene-linear; files say so themselves.
        max_pixels: Larger pictures are refused.
        progress: Called with (patches done, patches in all).

    Raises:
        InputError: What was given cannot be used; see the message and its hint.
    """
    device = pick_device(device)
    network = load_network(model, runtime=runtime, precision=precision, device=device)
    options = Options(
        patch=patch,
        overlap=overlap,
        topk=topk,
        candidates=candidates,
        memory=memory.parse(memory_limit) if isinstance(memory_limit, str) else memory_limit,
        batch=batch,
        device=device,
        cover=cover,
    )
    with ExitStack() as stack:
        pixels, marks = _open(stack, picture, trimap, max_pixels, linear=linear)
        job = matte_rows(strategy, pixels, marks, network, options, progress=progress)
        _warn_if_known(job.unknown)
        alpha = np.concatenate([rows for _, rows in job.rows])
        whole = as_float(pixels.rows(0, pixels.info.height))
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
    cache_hits: int  # patches whose features were kept from the context pool
    cache_misses: int  # patches that were encoded when their turn came
    context_pool: int
    cover: str
    batch: int
    seconds: float
    network_seconds: float  # of them in the network alone
    expected_memory: int  # bytes; what the plan promised
    peak_memory: int  # bytes; what it was
    memory_limit: int  # bytes
    model: str
    strategy: str
    device: str
    runtime: str
    precision: str
    outputs: list[str]


def matte_files(
    picture: Path,
    trimap: Path,
    outputs: Outputs,
    *,
    model: str | Path = DEFAULT_MODEL,
    strategy: str = "hdmatt",
    options: Options,
    runtime: str = "auto",
    precision: str = "auto",
    background: str | None = None,
    bit_depth: str = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
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
    behind = _check_paths(picture, trimap, outputs, background)
    paths = outputs.paths()
    if outputs.colours():
        compile_apart()
    network = load_network(model, runtime=runtime, precision=precision, device=options.device)
    counters = Counters()
    with _all_or_none(paths), ExitStack() as stack:
        pixels, marks = _open(stack, picture, trimap, max_pixels)
        info = pixels.info
        options = _with_reserve(options, outputs, info)
        job = matte_rows(strategy, pixels, marks, network, options, progress=progress, counters=counters)
        _warn_if_known(job.unknown)
        writers = _Writers(stack, outputs, info, bit_depth)
        later = stack.enter_context(Behind())
        stack.callback(_stop, job)  # before the files are closed that its thread reads
        if outputs.colours():
            again = stack.enter_context(open_picture(picture, max_pixels=max_pixels))
            behind_rows = _background_rows(stack, behind, info, max_pixels)
            for y0, foreground, alpha in _with_colours(job.rows, again, writers, later):
                background_rows = behind_rows(y0, y0 + len(alpha)) if behind_rows else None
                later.do(writers.colours, foreground, alpha, background_rows)
                del foreground, alpha, background_rows
        else:
            for _, alpha in job.rows:
                later.do(writers.alpha, alpha)
        snapped = marks.snapped
    plan: Plan | None = job.plan
    return Summary(
        width=info.width,
        height=info.height,
        unknown_share=job.unknown / (info.width * info.height),
        snapped=snapped,
        patches=counters.decoded,
        encoded=counters.encoded,
        cache_hits=counters.cache_hits,
        cache_misses=counters.cache_misses,
        context_pool=len(plan.pool) if plan else 0,
        cover=options.cover,
        batch=plan.batch if plan else 1,
        seconds=time.monotonic() - started,
        network_seconds=counters.network_seconds,
        expected_memory=plan.peak if plan else 0,
        peak_memory=memory.peak(),
        memory_limit=plan.limit if plan else 0,
        model=str(model),
        strategy=strategy,
        device=options.device,
        runtime=choose(runtime, options.device),
        precision=choose_precision(precision, choose(runtime, options.device), options.device),
        outputs=[str(p) for p in paths],
    )


@dataclass(frozen=True)
class Forecast:
    """What `matte_files` would do, for --plan. Bytes are what the process would hold at most, colours included."""

    width: int
    height: int
    unknown_share: float
    patches: int  # to decode
    patches_on_grid: int  # that the fixed grid would decode
    encodes: int  # patches that pass the encoder
    context_pool: int
    cover: str
    batch: int
    runtime: str
    precision: str
    cached: int  # patches whose features are kept from the context pool until they are decoded
    cache_bytes: int  # the pool and these features
    expected_seconds: float  # an estimate from one patch and a few rows; without colours and encoding
    expected_memory: int
    memory_limit: int
    model: str
    strategy: str
    device: str


def plan_files(
    picture: Path,
    trimap: Path,
    outputs: Outputs,
    *,
    model: str | Path = DEFAULT_MODEL,
    strategy: str = "hdmatt",
    options: Options,
    runtime: str = "auto",
    precision: str = "auto",
    background: str | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Forecast:
    """The plan of `matte_files` with the same arguments; nothing is written.

    Reads the trimap once and some rows of the picture, and computes one patch (about two seconds) for the estimate.

    Raises:
        InputError, OutputError: As `matte_files`; or the strategy makes no plan.
    """
    from hdmatt.inference import forecast

    _check_paths(picture, trimap, outputs, background)
    network = load_network(model, runtime=runtime, precision=precision, device=options.device)
    with ExitStack() as stack:
        pixels, marks = _open(stack, picture, trimap, max_pixels)
        info = pixels.info
        options = _with_reserve(options, outputs, info)
        plan = matte_rows(strategy, pixels, marks, network, options).plan
        if plan is None:
            raise InputError(
                f"--strategy {strategy} cuts no patches, so there is no plan of them",
                hint="Use --plan with --strategy hdmatt or crop.",
            )
        extra = extra_work(strategy, info.height, info.width)
        return Forecast(
            width=info.width,
            height=info.height,
            unknown_share=plan.unknown / (info.width * info.height),
            patches=len(plan.queries),
            patches_on_grid=plan.on_grid,
            encodes=plan.encodes,
            context_pool=len(plan.pool),
            cover=options.cover,
            batch=plan.batch,
            runtime=choose(runtime, options.device),
            precision=choose_precision(precision, choose(runtime, options.device), options.device),
            cached=plan.cache,
            cache_bytes=plan.cache_bytes,
            expected_seconds=forecast.seconds(plan, pixels, marks, network) * (1 + extra),
            expected_memory=plan.peak,
            memory_limit=plan.limit,
            model=str(model),
            strategy=strategy,
            device=options.device,
        )


def _check_paths(picture: Path, trimap: Path, outputs: Outputs, background: str | None) -> Path | np.ndarray | None:
    """The parsed background, once all outputs may be written."""
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
        check_output_path(path, inputs)
    if len({p.resolve() for p in paths}) < len(paths):
        raise InputError("two outputs have the same path", hint="Give each output its own file.")
    return behind


def _with_reserve(options: Options, outputs: Outputs, info: PictureInfo) -> Options:
    """Options that leave room for what is held beside the engine."""
    pixel = 3 * info.dtype.itemsize
    reserve, turns = 0, 0
    if outputs.colours():
        reserve, turns = memory.colour_bytes(info.width, pixel=pixel), memory.tile_bytes(info.width)
    held = sum(p.suffix.lower() == ".webp" for p in outputs.paths())  # WebP is encoded in one piece at the end
    reserve += held * 20 * info.height * info.width
    return replace(options, reserve=options.reserve + reserve, turns=max(options.turns, turns))


def _stop(job: Job) -> None:
    """End a job that was left half done, and the thread that reads for it."""
    close = getattr(job.rows, "close", None)
    if close:
        close()


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

    def __init__(self, stack: ExitStack, outputs: Outputs, info: PictureInfo, bit_depth: str) -> None:
        self._encoded: set[PictureWriter] = set()  # colours are linear here and display-encoded in the file

        def writer(path: Path | None, channels: int) -> PictureWriter | None:
            if path is None:
                return None
            depth = default_bit_depth(path, info) if bit_depth == "auto" else bit_depth
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
    rows: Iterator[tuple[int, np.ndarray]], picture: PictureReader, writers: _Writers, later: Behind
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(y0, foreground rows, alpha rows): alpha is written at once, too, before its colours are known.

    Pieces are copies, so that the estimate's own rows are free while they wait to be written.
    """

    def bands() -> Iterator[Band]:
        for y0, alpha in rows:
            later.do(writers.alpha, alpha)
            for y in range(0, len(alpha), PIECE):
                y1 = min(y + PIECE, len(alpha))
                yield y0 + y, as_float(picture.rows(y0 + y, y0 + y1)), alpha[y:y1]
            del alpha  # or it would be held while the next is made

    info = picture.info
    for y0, foreground, alpha in foreground_bands(bands(), height=info.height, width=info.width):
        for y in range(0, len(foreground), PIECE):
            inside = slice(y, y + PIECE)
            yield y0 + y, foreground[inside].copy(), alpha[inside].copy()
        del foreground, alpha


def _parse_background(background: str | None) -> Path | np.ndarray | None:
    if background is None:
        return None
    if Path(background).is_file():
        return Path(background)
    return colour.parse_colour(background)


def _background_rows(
    stack: ExitStack, background: Path | np.ndarray | None, info: PictureInfo, max_pixels: int
) -> Callable[[int, int], np.ndarray] | None:
    if background is None:
        return None
    if isinstance(background, np.ndarray):
        flat = colour.srgb_to_linear(background) if info.linear else background
        return lambda y0, y1: np.broadcast_to(flat, (y1 - y0, info.width, 3))
    reader = stack.enter_context(open_picture(background, max_pixels=max_pixels))
    if (reader.info.height, reader.info.width) != (info.height, info.width):
        raise InputError(
            f"the background {background} is {reader.info.width}x{reader.info.height} but the picture is "
            f"{info.width}x{info.height} (width x height)",
            hint="Give a background of the picture's size, or a colour.",
        )

    def rows(y0: int, y1: int) -> np.ndarray:
        values = as_float(reader.rows(y0, y1))
        if reader.info.linear == info.linear:
            return values
        return colour.srgb_to_linear(values) if info.linear else colour.linear_to_srgb(values)

    return rows


def _background_array(background: Any, size: tuple[int, int]) -> np.ndarray:
    values = np.asarray(background)
    if values.dtype.kind not in "fiu":
        values = np.empty(0)
    if values.dtype.name in {"uint8", "uint16"}:
        values = as_float(values)
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


def _open(
    stack: ExitStack, picture: Any, trimap: Any, max_pixels: int, *, linear: bool = False
) -> tuple[PictureReader | ArrayReader, TrimapReader]:
    """Readers of a picture and its trimap, files or arrays, that are closed with the stack."""
    is_file = isinstance(picture, str | Path)
    pixels = (
        open_picture(Path(picture), max_pixels=max_pixels)
        if is_file
        else ArrayReader(np.asarray(picture), linear=linear)
    )
    stack.enter_context(pixels)
    return pixels, stack.enter_context(open_trimap(trimap, max_pixels=max_pixels))


def _warn_if_known(unknown: int) -> None:
    if not unknown:
        warnings.warn("the trimap has no unknown pixel: the matte is the trimap", NoUnknownWarning, stacklevel=3)


@lru_cache(maxsize=2)
def _prepared(path: Path, stamp: int, runtime: str, precision: str, device: str) -> HDMatt:
    from hdmatt.network.checkpoint import load_model as load  # not the cached one: its weights would stay beside these

    return _prepare(load(path), runtime, precision, device)


def _prepare(model: HDMatt, runtime: str, precision: str, device: str) -> HDMatt:
    graphs = None
    if runtime == "onnx" or runtime == "openvino":
        from hdmatt.runtimes.export import cached

        graphs = cached(model, runtime)
    return prepare(model, runtime, precision=precision, graphs=graphs, device=device)


@lru_cache(maxsize=2)
def _load(name: str | Path, stamp: int) -> HDMatt:
    from hdmatt.network.checkpoint import load_model as load

    return load(name)
