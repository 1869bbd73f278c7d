"""Files in, files out, in bounded memory: what the command line calls.

matte_files     matte, foreground, cut-out and composite of a picture file
plan_files      what matte_files would do, and what it would take
open_inputs     readers of a picture and its trimap; api.py uses it, too
open_pixels     the picture alone: the studio begins without a trimap
sure_foreground the colours where the trimap says foreground
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hdmatt.errors import InexactWarning, InputError, NoUnknownWarning
from hdmatt.inference import needs
from hdmatt.inference.cut_to_subject import reach_of
from hdmatt.inference.job import Job
from hdmatt.inference.load import AnyNetwork, LoadedNetwork, load_network
from hdmatt.inference.matte_range import WHOLE
from hdmatt.inference.mixing import Conversion
from hdmatt.inference.names import DEFAULT_MODEL
from hdmatt.inference.options import Counters, Options, Progress, RunOptions, options_given
from hdmatt.inference.outputs import Outputs, check_outputs, held_bytes
from hdmatt.inference.small_first import extra_work
from hdmatt.inference.strategies import matte_rows
from hdmatt.inference.summary import PlanFacts, RunForecast, RunSummary
from hdmatt.inference.write import Sources, write_outputs
from hdmatt.pictures.box import Box
from hdmatt.pictures.colours.continued import CELL, KnownBand, coarse_colours
from hdmatt.pictures.colours.despill import screen_of
from hdmatt.pictures.colours.encoding import check_usable
from hdmatt.pictures.files.formats import FORMATS, JPEG
from hdmatt.pictures.info import DEFAULT_INPUT, InputOptions, PictureInfo
from hdmatt.pictures.objects import path_or_array
from hdmatt.pictures.placed import data_window
from hdmatt.pictures.reader import ArrayReader, BandReader, PictureReader, as_float, open_picture
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, TrimapReader, open_trimap
from hdmatt.system import memory
from hdmatt.system.values import checked_path, kind_of


def matte_files(
    picture: str | Path,
    trimap: str | Path,
    outputs: Outputs,
    *,
    options: Options | None = None,
    network: AnyNetwork = DEFAULT_MODEL,
    strategy: str = "hdmatt",
    input_options: InputOptions = DEFAULT_INPUT,
    progress: Progress | None = None,
) -> RunSummary:
    """Matte of a picture file, written to files row by row in bounded memory.

    All outputs appear together at the end, in place of what was there, or, when anything fails before, none of them.

    Args:
        picture: PNG, JPEG, TIFF, EXR, WebP or another kind that is read.
        trimap: A picture of the same size; below 85 background, 170 and above foreground, else unknown (of 255).
        outputs: What is written where.
        options: How patches are placed, chosen and joined, and the memory limit. Default: Options().
        network: Weights by name or file, a NetworkChoice with runtime, precision and device, or a loaded network.
        strategy: "hdmatt", "crop", "tiles", "downsample" or "whole".
        input_options: The layer of the picture, and how many pixels it may have.
        progress: Called with (patches done, patches in all), before the first patch, too; what it raises ends the work.

    Raises:
        InputError: An input, output or option cannot be used; see the message and its hint.
        OutputError: A path cannot be written or is one of the inputs.
        MemoryLimitError: The memory limit is too small for the picture.
    """
    started = time.monotonic()
    picture, trimap = _path(picture, "the picture"), _path(trimap, "the trimap")
    background = check_outputs(outputs, picture, trimap)
    loaded, counters = load_network(network), Counters()
    with ExitStack() as stack:
        pixels, marks = open_inputs(stack, picture, trimap, input_options)
        reach = reach_of(marks) if outputs.trim else None
        given = _run_options(options, loaded, outputs, pixels.info, reach, _whole_bytes(pixels.info, marks.info))
        conversion = Conversion.of(pixels.info.encoding, given.mixing, outputs.matte_for)
        job = matte_rows(strategy, pixels, marks, loaded.model, given, progress=progress, counters=counters)
        stack.callback(job.close)  # before the files are closed that its thread reads
        warn_if_known(job.unknown)
        _warn_if_lossy(outputs.alpha)
        coarse = coarse_colours(sure_foreground(pixels, marks)) if outputs.continued() else None
        screen = _screen(pixels, marks, outputs)
        sources = Sources(picture, pixels.info, background, input_options, coarse, screen, conversion)
        written = write_outputs(job, sources, outputs, reach)
    notes = [*reading_notes(pixels.info, marks), *_background_notes(background, input_options), *written.notes]
    facts = _facts(job, pixels.info, marks.info, given, loaded, strategy, patches=counters.decoded)
    return _summary(facts, counters, outputs, marks, notes, started=started, trim=written.box, mixing=given.mixing)


def plan_files(
    picture: str | Path,
    trimap: str | Path,
    outputs: Outputs,
    *,
    options: Options | None = None,
    network: AnyNetwork = DEFAULT_MODEL,
    strategy: str = "hdmatt",
    input_options: InputOptions = DEFAULT_INPUT,
) -> RunForecast:
    """Forecast of `matte_files` with the same arguments; nothing is written.

    Reads the trimap once and some rows of the picture, and computes one patch (about two seconds) for the estimate.

    Raises:
        InputError: As `matte_files`; or the strategy cuts no patches.
        OutputError, MemoryLimitError: As `matte_files`.
    """
    from hdmatt.inference import forecast

    picture, trimap = _path(picture, "the picture"), _path(trimap, "the trimap")
    check_outputs(outputs, picture, trimap)
    loaded = load_network(network)
    with ExitStack() as stack:
        pixels, marks = open_inputs(stack, picture, trimap, input_options)
        info = pixels.info
        reach = reach_of(marks) if outputs.trim else None
        given = _run_options(options, loaded, outputs, info, reach, _whole_bytes(info, marks.info))
        job = matte_rows(strategy, pixels, marks, loaded.model, given)
        stack.callback(job.close)
        plan = job.plan
        if plan is None:
            raise InputError(
                f"--strategy {strategy} cuts no patches, so there is no plan of them",
                hint="Use --plan with --strategy hdmatt or crop.",
            )
        extra = extra_work(strategy, info.height, info.width, small_first=given.small_first)
        return RunForecast(
            **asdict(_facts(job, info, marks.info, given, loaded, strategy, patches=len(plan.queries))),
            patches_on_grid=plan.on_grid,
            encodes=plan.encodes,
            cached=plan.cache,
            cache_bytes=plan.cache_bytes,
            expected_seconds=forecast.seconds(plan, pixels, marks, loaded.model) * (1 + extra),
        )


def open_inputs(
    stack: ExitStack, picture: Any, trimap: Any, options: InputOptions, *, linear: bool = False
) -> tuple[PictureReader | ArrayReader, TrimapReader]:
    """Readers of a picture and its trimap, files or arrays, that are closed with the stack."""
    marks = path_or_array(trimap, "the trimap")
    pixels = stack.enter_context(open_pixels(path_or_array(picture, "the picture"), options, linear=linear))
    return pixels, stack.enter_context(open_trimap(marks, options.of_others(), like=pixels.info))


def open_pixels(
    source: Path | np.ndarray, options: InputOptions, *, linear: bool = False
) -> PictureReader | ArrayReader:
    """A reader of a picture, a file or an array, whose encoding we can compute with.

    Raises:
        InputError: It cannot be read, or its colours cannot be converted.
    """
    if not isinstance(options, InputOptions):  # pyright: ignore[reportUnnecessaryIsInstance]  users without types
        raise InputError(
            f"input_options is {kind_of(options)}", hint='Give hdmatt.InputOptions(layer="beauty"), for example.'
        )
    if isinstance(source, Path):
        pixels = open_picture(source, options)
    else:
        if options.layer is not None:
            raise InputError(
                f"the picture is an array and has no layer {options.layer!r}",
                hint="Leave the layer out, or give a file.",
            )
        pixels = ArrayReader(source, linear=linear, transfer=options.transfer)
    try:
        check_usable(pixels.info.encoding, str(pixels.info.path or "the array"))
    except BaseException:
        pixels.close()
        raise
    return pixels


def _path(value: Any, what: str) -> Path:
    return checked_path(what, value, hint="Save it first; hdmatt.matte takes what is in memory.")


def sure_foreground(picture: BandReader, trimap: TrimapReader) -> Iterator[KnownBand]:
    """Colours of the picture, and where the trimap says foreground; before the job reads them in another thread."""
    for y in range(0, picture.info.height, CELL):
        y1 = min(y + CELL, picture.info.height)
        yield as_float(picture.rows(y, y1)), trimap.rows(y, y1) == FOREGROUND


def _screen(picture: BandReader, trimap: TrimapReader, outputs: Outputs) -> int | None:
    """The number of the screen's colour, where its light is to be taken from the foreground."""
    if not outputs.despill:
        return None
    height = picture.info.height
    bands = ((y, min(y + CELL, height)) for y in range(0, height, CELL))
    return screen_of(
        ((as_float(picture.rows(*band)), trimap.rows(*band) == BACKGROUND) for band in bands), str(picture.info.path)
    )


def warn_if_known(unknown: int) -> None:
    """Warn the caller's caller of a trimap without unknown pixels."""
    if not unknown:
        warnings.warn("the trimap has no unknown pixel: the matte is the trimap", NoUnknownWarning, stacklevel=3)


def _warn_if_lossy(alpha: str | Path | None) -> None:
    """Warn the caller's caller of a matte in JPEG."""
    if alpha is not None and FORMATS.get(Path(alpha).suffix.lower()) is JPEG:
        warnings.warn(
            f"{alpha} is JPEG, which changes pixels: those that the trimap is sure of are no longer exactly 0 or 1; "
            "PNG and TIFF keep them",
            InexactWarning,
            stacklevel=3,
        )


def _run_options(
    options: Options | None, loaded: LoadedNetwork, outputs: Outputs, info: PictureInfo, reach: Box | None, whole: int
) -> RunOptions:
    """Options for the network's device that leave room for what is held beside the patches.

    Args:
        whole: Bytes of inputs that can only be decoded whole.
    """
    pixel = 3 * info.dtype.itemsize
    reserved, exclusive = held_bytes(outputs, info, reach) + whole, 0
    conversion = Conversion.of(info.encoding, options_given(options).mixing, outputs.matte_for)
    if outputs.colours() or (conversion and conversion.changes_alpha):
        reserved += needs.colour_bytes(info.width, pixel=pixel)
        if conversion:  # light and display values of the rows on their way, and the background's estimate
            once_more = 1 + (conversion.changes_alpha and outputs.matte_range != WHOLE)  # colours at other levels
            reserved += needs.converted_bytes(info.width) + once_more * needs.colour_bytes(info.width, pixel=pixel)
        reserved += needs.coarse_colours_bytes(info.height, info.width) * outputs.continued()
        exclusive = needs.tile_bytes(info.width)
    return RunOptions.of(
        options_given(options), device=loaded.device, reserved_bytes=reserved, exclusive_bytes=exclusive
    )


def _whole_bytes(*infos: PictureInfo) -> int:
    return sum(info.whole_bytes for info in infos)


def _facts(
    job: Job,
    info: PictureInfo,
    marks: PictureInfo,
    options: RunOptions,
    loaded: LoadedNetwork,
    strategy: str,
    *,
    patches: int,
) -> PlanFacts:
    plan = job.plan
    return PlanFacts(
        width=info.width,
        height=info.height,
        unknown_share=job.unknown / (info.width * info.height),
        patches=patches,
        context_pool=len(plan.pool) if plan else 0,
        windows=options.windows,
        blend=options.blend,
        small_first=options.small_first,
        batch=plan.batch if plan else 1,
        expected_memory=plan.peak if plan else 0,
        memory_limit=plan.limit if plan else 0,
        model=loaded.name,
        strategy=strategy,
        device=loaded.device,
        runtime=loaded.runtime,
        precision=loaded.precision,
        layer=info.layer,
        trimap_layer=marks.layer,
        data_window=data_window(info),
    )


def reading_notes(info: PictureInfo, marks: TrimapReader) -> list[str]:
    """Notes on how picture and trimap were read, with the names of their files."""
    return [f"{read.path} {note}" for read in (info, marks.info) for note in read.notes]


def _background_notes(background: Path | np.ndarray | None, options: InputOptions) -> list[str]:
    """Notes on how a picture behind the composite was read."""
    if not isinstance(background, Path):
        return []
    with open_picture(background, options.of_others()) as reader:
        return [f"the background {background} {note}" for note in reader.info.notes]


def _summary(
    facts: PlanFacts,
    counters: Counters,
    outputs: Outputs,
    marks: TrimapReader,
    notes: list[str],
    *,
    started: float,
    trim: Box | None,
    mixing: str,
) -> RunSummary:
    return RunSummary(
        **asdict(facts),
        snapped=marks.snapped,
        encoded=counters.encoded,
        cache_hits=counters.cache_hits,
        cache_misses=counters.cache_misses,
        seconds=time.monotonic() - started,
        network_seconds=counters.network_seconds,
        peak_memory=memory.peak(),
        outputs=[str(path) for path in outputs.paths()],
        notes=notes,
        trim=trim,
        mixing=mixing,
        matte_for=outputs.matte_for,
    )
