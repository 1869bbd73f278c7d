"""Many pictures in one go: what `hdmatt batch` and `hdmatt.batch` call.

batch        inputs and a folder of results -> the result of each picture, as they finish
Prepared     inputs, outputs and problems of a batch, before any picture is read
prepare      checks a request; all that is wrong is one error
run          computes what is missing or changed
run_watched  the same, again and again
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any, TypeVar

from hdmatt.batching.claims import Claims
from hdmatt.batching.collect import Collected, Request, collect
from hdmatt.batching.division import Division, divide
from hdmatt.batching.entry import Entry, outputs_of, refuse
from hdmatt.batching.executor import Executor
from hdmatt.batching.ledger import Ledger, settings_digest
from hdmatt.batching.options import BatchOptions
from hdmatt.batching.processes import Processes
from hdmatt.batching.ray_executor import RayTasks, load_ray
from hdmatt.batching.run import BatchJob, BatchResult, Loop
from hdmatt.batching.templates import DEFAULT, SEQUENCE
from hdmatt.batching.urls import Url, check_writable, is_url, path_of
from hdmatt.batching.watch import Watching, watch
from hdmatt.errors import InputError, ModelError
from hdmatt.inference.backgrounds import parse_background
from hdmatt.inference.names import DEFAULT_MODEL, checked_strategy
from hdmatt.inference.options import NetworkChoice, Options, options_given
from hdmatt.inference.outputs import OUTPUT_FILES, Outputs, check_options
from hdmatt.network.names import models
from hdmatt.pictures.files.formats import EXR, FORMATS, JPEG, Format, writable
from hdmatt.pictures.files.psd import LAYERED
from hdmatt.pictures.info import DEFAULT_INPUT, InputOptions
from hdmatt.system.files import digest
from hdmatt.system.values import checked_path, kind_of
from hdmatt.trimaps.widths import BandWidths

_NOT_PIXELS = {"options": ("memory", "batch"), "network": ("device",), "reading": ("max_pixels",)}

_Value = TypeVar("_Value")
MakeExecutor = Callable[[Division], Executor]


@dataclass(frozen=True)
class Prepared:
    """Inputs, outputs and settings of a batch, before any picture is read."""

    request: Request
    collected: Collected
    job: BatchJob
    ledger: Ledger
    division: Division
    device: str
    memory: int | None = None


def batch(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    outputs: Outputs | None = None,
    options: Options | None = None,
    network: NetworkChoice | str | Path = DEFAULT_MODEL,
    strategy: str = "hdmatt",
    input_options: InputOptions = DEFAULT_INPUT,
    batch_options: BatchOptions | None = None,
) -> Iterator[BatchResult]:
    """Mattes of many picture files, in processes of their own; yields the result of each as it finishes.

    Computes what is missing or changed: a second call goes on where the first was stopped. Closing the iterator stops.
    Everything is checked before this returns.

    Args:
        inputs: Folders, files and patterns.
        out: The folder of results; the ledger lies in its `.hdmatt`.
        outputs: What is written, as templates: Outputs(cutout="{dir}/{stem}.png"). Default: the matte.
        options: As for `matte_files`; the memory limit counts for all processes together.
        network: Weights by name or file, or a NetworkChoice.
        strategy: "hdmatt", "crop", "tiles", "downsample" or "whole".
        input_options: How picture files are read.
        batch_options: Where trimaps are, what is done again, how much at a time. Default: BatchOptions().

    Raises:
        InputError: What was given cannot be used; all problems with names are listed.
    """
    named = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    if not isinstance(named, list | tuple):
        raise InputError(f"the inputs are {kind_of(inputs)}", hint='Give a folder, or a list: ["photos", "b.jpg"].')
    checked_path("out", out)
    for one in named:
        checked_path("an input", one)
    choice = network if isinstance(network, NetworkChoice) else NetworkChoice(network)
    work = Work(
        _of_kind("outputs", Outputs() if outputs is None else outputs, Outputs),
        options_given(options),
        choice,
        checked_strategy(strategy),
        _of_kind("input_options", input_options, InputOptions),
    )
    how = _of_kind("batch_options", BatchOptions() if batch_options is None else batch_options, BatchOptions)
    return run(prepare([os.fspath(one) for one in named], path_of(out), work, how))


def _of_kind(name: str, value: _Value, kind: type[_Value]) -> _Value:
    if not isinstance(value, kind):
        raise InputError(f"{name} is {kind_of(value)}", hint=f"Give hdmatt.{kind.__name__}(...).")
    return value


@dataclass(frozen=True)
class Work:
    """Outputs and settings of every picture; the paths of the outputs are templates."""

    outputs: Outputs
    options: Options
    network: NetworkChoice
    strategy: str
    reading: InputOptions


def prepare(
    inputs: Sequence[str], out: PurePath, work: Work, options: BatchOptions, *, watched: bool = False
) -> Prepared:
    """Inputs, outputs and settings of a batch, checked before any picture is read.

    Args:
        watched: Pictures without trimaps wait for them; there may be no picture yet.

    Raises:
        InputError: Something does not fit; all that is wrong with names is listed.
    """
    templates = _templates(work.outputs, options)
    _check_urls(out, templates, work, options)
    ledger = Ledger(out, None if options.ledger is None else Path(options.ledger))
    plain = _plain(work, options)
    job = BatchJob(plain, _digest(plain), options.redo, options.max_failures)
    request = Request(inputs, out, templates, options, OUTPUT_FILES, _types(plain), partial(_check_own, job))
    collected = collect(request, ledger)
    waiting = ("unmatched", "missing", "frames") if watched else ()
    refuse([problem for problem in collected.problems if problem.kind not in waiting])
    if any(_is_jpeg(entry.outputs.get("alpha", "")) for entry in collected.entries):
        collected.notes.append(
            "mattes as JPEG: what trimaps are sure of is no longer exactly 0 or 1; PNG and TIFF keep it"
        )
    if options.ray is not None:
        load_ray()
    memory = work.options.memory
    assert not isinstance(memory, str)
    pictures = len(collected.entries) if not watched else max(2, len(collected.entries))
    division = divide(memory=memory, pictures=pictures, workers=options.workers, threads=options.threads)
    return Prepared(request, collected, job, ledger, division, work.network.device, memory)


def run(prepared: Prepared, make: MakeExecutor | None = None) -> Iterator[BatchResult]:
    """Compute what is missing or changed.

    Args:
        make: Makes what computes the pictures. None: local processes.
    """
    with ExitStack() as stack:
        loop = _loop(stack, prepared, make)
        yield from loop.run(prepared.collected.entries)


def run_watched(
    prepared: Prepared, say: Callable[[str], None], how: Watching, make: MakeExecutor | None = None
) -> Iterator[BatchResult]:
    """Compute what appears in the inputs, until `how.ended`."""
    with ExitStack() as stack:
        loop = _loop(stack, prepared, make)
        yield from watch(lambda: collect(prepared.request, prepared.ledger), loop.run, say, how)


def _loop(stack: ExitStack, prepared: Prepared, make: MakeExecutor | None) -> Loop:
    ledger = prepared.ledger
    stack.callback(ledger.close)
    claims = stack.enter_context(Claims(ledger.folder))
    executor, division = _executor(prepared, make)
    stack.enter_context(closing(executor))
    loop = Loop(prepared.job, ledger, claims, executor, division)
    stack.callback(loop.sizes.stop)
    return loop


def _executor(prepared: Prepared, make: MakeExecutor | None) -> tuple[Executor, Division]:
    options, division = prepared.request.options, prepared.division
    if make is not None:
        return make(division), division
    if options.ray is None:
        return Processes(division, probe=prepared.device != "cpu"), division
    gpu = prepared.device.startswith("cuda")
    tasks = RayTasks(options.ray, memory=prepared.memory, workers=options.workers, threads=options.threads, gpu=gpu)
    return tasks, tasks.division


def _templates(outputs: Outputs, options: BatchOptions) -> dict[str, str]:
    given = {kind: getattr(outputs, kind) for kind in OUTPUT_FILES}
    templates = {kind: os.fspath(path) for kind, path in given.items() if path is not None}
    if ("composite" in templates) != (outputs.background is not None):
        raise InputError(
            "composites need both a background and a template",
            hint="Give --background PICTURE|COLOUR together with --composite TEMPLATE.",
        )
    templates = templates or {"alpha": SEQUENCE if options.sequence or options.frames else DEFAULT}
    if options.manifest is None:  # a line of it may have outputs and options of its own
        check_options(replace(outputs, **templates))
    for kind, template in templates.items():
        writable(Path(template), _formats(kind))
    return templates


def _is_jpeg(output: str) -> bool:
    return FORMATS.get(Path(output).suffix.lower()) is JPEG


def _formats(kind: str) -> Mapping[str, Format]:
    """The formats of an output, by suffix."""
    return {"psd": LAYERED, "layered": {".exr": EXR}}.get(kind, FORMATS)


def _check_urls(out: PurePath, templates: dict[str, str], work: Work, options: BatchOptions) -> None:
    for one in (os.fspath(out), *templates.values()):
        if is_url(one):
            check_writable(one)
    if isinstance(out, Url) and options.ledger is None:
        raise InputError(
            f"the results go to {out}, where a ledger cannot be locked",
            hint="Name a folder of this machine, or of a disk that all share, for it: --ledger DIR.",
        )
    for name, value in (("--ledger", options.ledger), ("--background", work.outputs.background)):
        if isinstance(value, str | os.PathLike) and is_url(value):
            raise InputError(f"{name} is {value}", hint="It cannot be a URL: name a local one.")


def _plain(work: Work, options: BatchOptions) -> dict[str, Any]:
    """The work as JSON can hold it, without the templates and the memory limit."""
    BandWidths.parse(options.band, options.inside, options.outside, picture=True)
    values = {name: value for name, value in asdict(work.outputs).items() if name not in OUTPUT_FILES}
    background = values.get("background")
    if background is not None:
        parse_background(background)
    if background is not None and os.path.isfile(background):
        values["background"] = os.path.abspath(background)
    model = models().get(str(work.network.model)) or Path(work.network.model)
    if not model.is_file():
        raise ModelError(
            f"there is no model {work.network.model}",
            hint=f"Give one of {', '.join(models())}, or a safetensors file.",
        )
    name = str(work.network.model)
    network = replace(work.network, model=name if name in models() else os.path.abspath(name))
    return {
        "outputs": values,
        "options": {**asdict(work.options), "memory": None},
        "network": asdict(network),
        "strategy": work.strategy,
        "reading": asdict(work.reading),
        "mask": {
            name: value if value is None else str(value)
            for name, value in (("band", options.band), ("inside", options.inside), ("outside", options.outside))
        }
        | {"fit": options.fit},
    }


def _check_own(job: BatchJob, entry: Entry) -> None:
    """Refuse outputs and options of a picture that cannot be used; looks at names and values only.

    Raises:
        InputError: The first of them.
    """
    work = job.task(entry).work
    InputOptions(**work["reading"])
    Options(**work["options"])
    checked_strategy(work["strategy"])
    job.automatic(entry)
    given: dict[str, Any] = {**work["outputs"], **entry.outputs}
    check_options(outputs_of(given))
    for kind, output in entry.outputs.items():
        writable(Path(output), _formats(kind))


def _types(plain: dict[str, Any]) -> dict[str, type]:
    """The options that a manifest may set for a picture, with their types."""
    values = {"strategy": plain["strategy"]}
    for part in ("outputs", "options", "reading", "mask"):
        values |= plain[part]
    numbers = {name: value for name, value in values.items() if name not in ("memory", "batch", "max_pixels")}
    return {name: str if value is None else type(value) for name, value in numbers.items()} | {"quality": int}


def _digest(plain: dict[str, Any]) -> str:
    """A digest of all that the pixels depend on: the settings, the weights' bytes, the background's size and time."""
    kept = {
        part: {name: one for name, one in value.items() if name not in _NOT_PIXELS.get(part, ())}
        for part, value in plain.items()
        if isinstance(value, dict)
    }
    name = str(plain["network"]["model"])
    kept["network"]["model"] = digest(models().get(name) or Path(name))
    background = plain["outputs"].get("background")
    if background is not None and os.path.isfile(background):
        status = os.stat(background)
        kept["background"] = {"size": status.st_size, "time": status.st_mtime_ns}
    return settings_digest({**kept, "strategy": {"strategy": plain["strategy"]}})
