"""Files in, files out, in bounded memory: what the command line calls.

Outputs         where the results go
matte_files     matte, foreground, cut-out and composite of a picture file
plan_files      what matte_files would do, and what it would take
Summary, Forecast    what a run did, what it would do
"""

import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hdmatt.errors import InputError, NoUnknownWarning
from hdmatt.inference import needs
from hdmatt.inference.job import Job
from hdmatt.inference.load import DEFAULT_MODEL, load_network
from hdmatt.inference.options import Counters, Options, Plan, Progress
from hdmatt.inference.small_first import extra_work
from hdmatt.inference.strategies import matte_rows
from hdmatt.inference.threads import WriteQueue
from hdmatt.pictures import colour
from hdmatt.pictures.foreground import PIECE, Band, foreground_bands
from hdmatt.pictures.formats import default_bit_depth
from hdmatt.pictures.info import DEFAULT_MAX_PIXELS, PictureInfo
from hdmatt.pictures.reader import ArrayReader, PictureReader, as_float, open_picture
from hdmatt.pictures.trimap import TrimapReader, open_trimap
from hdmatt.pictures.writer import PictureWriter, check_output_path
from hdmatt.runtimes.choose import choose, choose_precision
from hdmatt.system import memory


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
    windows: str
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
    network = load_network(model, runtime=runtime, precision=precision, device=options.device)
    counters = Counters()
    with _all_or_none(paths), ExitStack() as stack:
        pixels, marks = open_inputs(stack, picture, trimap, max_pixels)
        info = pixels.info
        options = _with_reserve(options, outputs, info)
        job = matte_rows(strategy, pixels, marks, network, options, progress=progress, counters=counters)
        warn_if_known(job.unknown)
        writers = _Writers(stack, outputs, info, bit_depth)
        later = stack.enter_context(WriteQueue())
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
        windows=options.windows,
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
    windows: str
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
        pixels, marks = open_inputs(stack, picture, trimap, max_pixels)
        info = pixels.info
        options = _with_reserve(options, outputs, info)
        plan = matte_rows(strategy, pixels, marks, network, options).plan
        if plan is None:
            raise InputError(
                f"--strategy {strategy} cuts no patches, so there is no plan of them",
                hint="Use --plan with --strategy hdmatt or crop.",
            )
        extra = extra_work(strategy, info.height, info.width, small_first=options.small_first)
        return Forecast(
            width=info.width,
            height=info.height,
            unknown_share=plan.unknown / (info.width * info.height),
            patches=len(plan.queries),
            patches_on_grid=plan.on_grid,
            encodes=plan.encodes,
            context_pool=len(plan.pool),
            windows=options.windows,
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
        reserve, turns = needs.colour_bytes(info.width, pixel=pixel), needs.tile_bytes(info.width)
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
    rows: Iterator[tuple[int, np.ndarray]], picture: PictureReader, writers: _Writers, later: WriteQueue
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


def open_inputs(
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


def warn_if_known(unknown: int) -> None:
    if not unknown:
        warnings.warn("the trimap has no unknown pixel: the matte is the trimap", NoUnknownWarning, stacklevel=3)
