"""Time, peak memory and operations of one method on one picture, measured in a process of its own.

Knows methods and processes; nothing of sizes and tables. Read top to bottom:

    Measured    the numbers of one run, or why there are none
    measure_method  method, picture, trimap -> Measured; never raises for what the method does
    machine_peaks, network_layers    measures of bench.peaks and bench.layers, each in a process of its own

The process loads its libraries and its network and computes one tiny matte before clock and peak start. Seconds run
from opening the picture to the matte on the disk. Peak memory is that of the process, libraries and network included.
Operations are counted in a second run, after clock and peak were read.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from hdmatt.errors import HDMattError
from hdmatt.evaluation.methods import NETWORK, Method, Settings
from hdmatt.evaluation.peers import stay_offline
from hdmatt.evaluation.run_method import method_program
from hdmatt.evaluation.scenes import tiny_pair
from hdmatt.evaluation.testsets import Item
from hdmatt.evaluation.timed import describe_error
from hdmatt.system import memory
from hdmatt.system.memory import keep_freed, peak_with_children, reset_peak
from hdmatt.system.worker import WorkerProcess, WorkerStopped, answer


@dataclass(frozen=True)
class Measured:
    """One run of one method."""

    seconds: float | None = None  # also of a run that failed, until it was ended
    peak_memory: int | None = None  # bytes of the process on the host
    network_seconds: float | None = None  # only of our own methods, as are the rest
    flops: float | None = None  # multiplications and additions of the network, for the whole picture
    patches: int | None = None  # decoded
    encoded: int | None = None
    gpu_memory: int | None = None  # bytes that torch held there
    expected_memory: int | None = None  # peak memory of the process that the plan promised
    error: str | None = None


class BenchLimits(NamedTuple):
    """Of one run. None: no limit (of memory: 90 % of what is free)."""

    seconds: float | None = None
    memory: int | None = None  # bytes


def measure_method(
    method: Method,
    picture: Path,
    trimap: Path,
    folder: Path,
    *,
    limits: BenchLimits = BenchLimits(),  # noqa: B008  a constant
    count: bool = False,
    colours: bool = False,
) -> Measured:
    """Run the method once in a fresh process; the matte is folder/alpha.png, over one that is there.

    Args:
        count: Count the network's operations, in a second run that is not clocked.
        colours: Write foreground and cut-out, too; only our own methods do.
    """
    job = _BenchJob(picture, trimap, folder, colours)
    with WorkerProcess(_serve, method) as worker:
        try:
            found: Measured = worker.ask("load", memory_limit=limits.memory)
            if not found.error:
                found = worker.ask(job, memory_limit=limits.memory, time_limit=limits.seconds)
        except WorkerStopped as stop:
            return Measured(stop.seconds, stop.held, error=stop.text)
        if found.error:
            return found
        if limits.memory is not None and (found.peak_memory or 0) > limits.memory:
            held, allowed = memory.show(found.peak_memory or 0), memory.show(limits.memory)
            return replace(found, error=f"ran out of memory: it held {held}, of {allowed} that it may hold")
        if count and method.kind in NETWORK:
            try:
                found = replace(found, flops=worker.ask("count").flops)
            except WorkerStopped:  # the run itself is good; a row without operations says so by its dash
                return found
        return found


def machine_peaks(device: str) -> Any:
    """`peaks.measure_peaks` as a dictionary."""
    return _elsewhere(_peaks, device)


def network_layers(settings: Settings, peak_flops: float) -> Any:
    """`layers.measure_layers` of the settings' network as a dictionary, with each group's lost seconds."""
    return _elsewhere(_layers, settings, peak_flops)


class _BenchJob(NamedTuple):
    picture: Path
    trimap: Path
    folder: Path
    colours: bool


def _serve(connection: Connection, method: Method) -> None:
    """The spawned process: "load", then a _Job, then perhaps "count"."""
    stay_offline()
    if method.kind in NETWORK:
        keep_freed()
    run: Callable[[_BenchJob], Measured] | None = None
    last: _BenchJob | None = None

    def work(question: Any) -> Measured:
        nonlocal run, last
        try:
            if question == "load":
                run = _ours(method) if method.kind in NETWORK else _others(method)
                _warm(run)
                return Measured()
            assert run is not None
            if question == "count":
                assert last is not None
                return _counted(method, last)
            last = question
            reset_peak()
            started = time.monotonic()
            found = run(question)
            return replace(found, seconds=time.monotonic() - started, peak_memory=peak_with_children())
        except HDMattError as trouble:
            return Measured(peak_memory=peak_with_children(), error=trouble.message)
        except Exception as trouble:
            return Measured(peak_memory=peak_with_children(), error=describe_error(trouble))

    answer(connection, work)


def _warm(run: Callable[[_BenchJob], Measured]) -> None:
    with tiny_pair() as (picture, trimap):
        run(_BenchJob(picture, trimap, picture.parent, colours=False))


def _ours(method: Method) -> Callable[[_BenchJob], Measured]:
    """hdmatt's own strategies, as the command line runs them."""
    from hdmatt.bench.peaks import device_peak
    from hdmatt.inference import files, load
    from hdmatt.pictures.info import InputOptions

    settings = method.settings
    load.load_network(settings.network)

    def run(job: _BenchJob) -> Measured:
        colours = (job.folder / "foreground.png", job.folder / "cutout.png") if job.colours else (None, None)
        done = files.matte_files(
            job.picture,
            job.trimap,
            files.Outputs(job.folder / "alpha.png", *colours),
            options=settings.options,
            network=settings.network,
            strategy=method.kind,
            input_options=InputOptions(max_pixels=1 << 40),  # whoever measures knows what for
        )
        return Measured(
            network_seconds=done.network_seconds,
            expected_memory=done.expected_memory,
            patches=done.patches,
            encoded=done.encoded,
            gpu_memory=device_peak(settings.network.device),
        )

    return run


def _others(method: Method) -> Callable[[_BenchJob], Measured]:
    compute = method_program(method)

    def run(job: _BenchJob) -> Measured:
        compute(Item("picture", job.picture, job.trimap, None, ""), job.folder / "alpha.png")
        return Measured()

    return run


def _counted(method: Method, job: _BenchJob) -> Measured:
    """The operations of the last run, counted with PyTorch's own network: they are the same in every runtime.

    The memory limit is raised by what the first run left behind, so that the plan is the same. Runs on the CPU, where
    this thread does the work: Count counts one thread.
    """
    from hdmatt.bench.peaks import Count

    options, network = method.settings.options, method.settings.network
    if isinstance(options.memory, int):
        options = replace(options, memory=options.memory + memory.resident())
    torch_only = replace(network, runtime="torch", precision="fp32", device="cpu")
    run = _ours(replace(method, settings=Settings(options, torch_only)))
    with Count() as count:
        run(job._replace(colours=False))
    return Measured(flops=float(count.flops))


def _elsewhere(function: Callable[..., Any], *arguments: Any) -> Any:
    with WorkerProcess(_serve_function, function, arguments) as worker:
        found = worker.ask("go")
    if isinstance(found, Exception):
        raise found
    return found


def _serve_function(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    def work(_: Any) -> Any:
        try:
            return function(*arguments)
        except HDMattError as trouble:
            return trouble
        except Exception as trouble:
            return RuntimeError(describe_error(trouble))

    answer(connection, work)


def _peaks(device: str) -> dict[str, Any]:
    from hdmatt.bench.peaks import measure_peaks

    return asdict(measure_peaks(device))


def _layers(settings: Settings, peak_flops: float) -> dict[str, Any]:
    from hdmatt.bench.layers import lost, measure_layers
    from hdmatt.inference import load
    from hdmatt.inference.budget import CPU_BATCH, GPU_BATCH

    keep_freed()  # as the command line does
    loaded, options = load.load_network(settings.network), settings.options
    batch = options.batch or (CPU_BATCH if loaded.device == "cpu" else GPU_BATCH)
    found = measure_layers(loaded.model, batch=batch, topk=options.topk, device=loaded.device)
    groups = [{**asdict(group), "lost": lost(group, peak_flops)} for group in found.groups]
    return {**asdict(found), "groups": groups}
