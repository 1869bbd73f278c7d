"""`hdmatt batch`: folders of pictures; what is missing or changed is computed."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdmatt.cli import shared
from hdmatt.errors import InputError, plural

if TYPE_CHECKING:
    from hdmatt.batching.batch import Prepared
    from hdmatt.batching.headers import Refusal
    from hdmatt.batching.run import BatchResult

FAILED = 3  # exit code when some pictures failed


_FIND = "Pictures and trimaps"
_OUTPUTS = "Outputs: templates of {dir} {stem} {ext}, and {base} {frame} for sequences"
_RUN = "What is computed, and when to stop"

Found = Annotated[
    list[str] | None,
    typer.Argument(metavar="INPUT...", help="Folders, files, patterns; - reads a list of names from stdin."),
]


def _template(what: str) -> Any:
    return typer.Option(metavar="TEMPLATE", help=what, rich_help_panel=_OUTPUTS)


def batch_command(
    context: shared.Context,
    out: Annotated[str, typer.Option("-o", "--output", metavar="DIR|URL", help="The folder of results.")],
    inputs: Found = None,
    trimaps: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL", help="Folder of the trimaps. Default: beside the pictures.", rich_help_panel=_FIND
        ),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(metavar="DIR|URL", help="Masks to make trimaps from, by the same names.", rich_help_panel=_FIND),
    ] = None,
    band: Annotated[
        str,
        typer.Option(metavar="auto|PX|%", help="Width on both sides of the masks' edges.", rich_help_panel=shared.BAND),
    ] = "auto",
    inside: shared.Inside = None,
    outside: shared.Outside = None,
    fit: shared.Fit = False,
    manifest: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL", help="CSV or JSON lines: picture, trimap, outputs, options.", rich_help_panel=_FIND
        ),
    ] = None,
    list_file: Annotated[
        str | None,
        typer.Option(
            "--list",
            metavar="FILE|URL",
            help="A list of names: one a line, or separated by NUL.",
            rich_help_panel=_FIND,
        ),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL", help="Outputs keep the listed names' folders below this.", rich_help_panel=_FIND
        ),
    ] = None,
    skip_unmatched: Annotated[
        bool, typer.Option("--skip-unmatched", help="Leave pictures without trimap out.", rich_help_panel=_FIND)
    ] = False,
    sequence: Annotated[
        bool,
        typer.Option("--sequence", help="Frames: numbers stay last, gaps are named.", rich_help_panel=_FIND),
    ] = False,
    frames: Annotated[
        str | None, typer.Option(help="Only these, as 1001-1100x2; none may be missing.", rich_help_panel=_FIND)
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Part I of N; auto: by SLURM or Kubernetes.", rich_help_panel=_FIND),
    ] = None,
    alpha: Annotated[
        str | None, _template("The matte. Default, where no output is named: {dir}/{stem}_alpha.png")
    ] = None,
    foreground: Annotated[str | None, _template("Foreground colours without spill.")] = None,
    cutout: Annotated[str | None, _template("Foreground and alpha as RGBA.")] = None,
    composite: Annotated[str | None, _template("Foreground over --background.")] = None,
    psd: Annotated[str | None, _template("Layers for Photoshop, the matte as mask.")] = None,
    layered: Annotated[
        str | None, _template("EXR with layers: cut-out (R G B A) and straight foreground (fg).")
    ] = None,
    plate: shared.Plate = False,
    alpha_mode: shared.AlphaMode = None,
    clean: shared.Clean = False,
    matte_range: shared.MatteRange = (0, 1),
    invert: shared.Invert = False,
    despill: shared.Despill = 0,
    matte_for: shared.MatteFor = None,
    trim: shared.Trim = False,
    palette: shared.Palette = False,
    background: shared.Background = None,
    bit_depth: shared.BitDepth = "auto",
    quality: shared.Quality = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that no batch wrote.", rich_help_panel=_OUTPUTS)
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what would be done, and what would fail.", rich_help_panel=_RUN)
    ] = False,
    redo: Annotated[bool, typer.Option("--redo", help="Compute everything again.", rich_help_panel=_RUN)] = False,
    redo_failed: Annotated[
        bool, typer.Option("--redo-failed", help="Compute what failed again.", rich_help_panel=_RUN)
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop after the first failure.", rich_help_panel=_RUN)
    ] = False,
    max_failures: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many failures.", rich_help_panel=_RUN)
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Compute what appears, until Ctrl-C.", rich_help_panel=_RUN)
    ] = False,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds without change before a file counts.", rich_help_panel=_RUN)
    ] = 3.0,
    ledger: Annotated[
        Path | None, typer.Option(help="Folder of the ledger. Default: .hdmatt in the results.", rich_help_panel=_RUN)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Pictures at once. Default: by cores, memory.", rich_help_panel=shared.SPEED),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads a picture. Default: by its size.", rich_help_panel=shared.SPEED)
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Ray cluster computes: auto, HOST:PORT.", rich_help_panel=shared.SPEED),
    ] = None,
    input_layer: shared.InputLayer = None,
    transfer: shared.Transfer = None,
    mixing: shared.Mixing = "auto",
    model: shared.Model = "hdmatt-s",
    runtime: shared.RuntimeName = "auto",
    precision: shared.PrecisionName = "auto",
    device: shared.Devices = "auto",
    memory: shared.Memory = None,
    max_pixels: shared.MaxPixels = shared.MAX_PIXELS,
    paper: shared.Paper = False,
    strategy: shared.StrategyName = "hdmatt",
    patch: shared.Patch = 320,
    overlap: shared.Overlap = 64,
    topk: shared.TopK = 7,
    candidates: shared.Candidates = 30,
    windows: shared.WindowsName = "fewest",
    blend: shared.BlendName = "smooth",
    small_first: shared.SmallFirst = True,
    whole_picture: shared.WholePicture = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.", rich_help_panel="What is printed")] = False,
    debug: shared.Debug = False,
) -> None:
    """Alpha mattes of many pictures. Run it again to go on: only what is missing or changed is computed.

    Exit code: 0 all are done, 3 some failed, 2 nothing could be started, 1 a mistake of ours; 129, 130, 143 stopped
    by SIGHUP, Ctrl-C, SIGTERM.
    """
    from hdmatt.batching.batch import Work, prepare
    from hdmatt.batching.options import BatchOptions
    from hdmatt.batching.urls import path_of
    from hdmatt.pictures.info import InputOptions

    if plan and ray is not None:
        raise InputError("--plan was given with --ray", hint="Leave --ray out: it plans for one machine.")
    found, listed = _names(inputs or [], list_file)
    options = BatchOptions(
        trimaps=trimaps,
        masks=masks,
        band=band,
        inside=inside,
        outside=outside,
        fit=fit,
        manifest=manifest,
        listed=listed,
        root=root,
        sequence=sequence,
        frames=frames,
        shard=shard,
        skip_unmatched=skip_unmatched,
        overwrite=overwrite,
        redo="all" if redo else "failed" if redo_failed else "changed",
        max_failures=1 if fail_fast else max_failures,
        workers=workers,
        threads=threads,
        ray=ray,
        ledger=ledger,
    )
    reading = InputOptions(layer=input_layer, transfer=transfer, max_pixels=max_pixels)
    work = Work(
        shared.outputs_of(context), shared.options_of(context), shared.network_choice_of(context), strategy, reading
    )
    prepared = prepare(found, path_of(out), work, options, watched=watch)
    for note in prepared.collected.notes:
        shared.print_error(f"hdmatt: note: {note}")
    if plan:
        code = _print_plan(prepared, as_json=as_json)
    else:
        _stop_by_hangup()
        code = _watch(prepared, settle, as_json=as_json) if watch else _run(prepared, as_json=as_json)
    if code:
        raise typer.Exit(code)


def _names(inputs: list[str], list_file: str | None) -> tuple[list[str], bool]:
    """Inputs as they were typed, or the names of a list; and which of the two."""
    from hdmatt.batching.find import read_list
    from hdmatt.batching.urls import path_of, read

    if list_file is None and inputs != ["-"]:
        return inputs, False
    if list_file is not None and inputs:
        raise InputError("both inputs and --list were given", hint="Give one of the two.")
    if list_file is None or list_file == "-":
        return read_list(sys.stdin.buffer.read()), True
    try:
        return read_list(read(path_of(list_file))), True
    except OSError as error:
        raise InputError(f"{list_file} cannot be read ({error.strerror or error})", hint="Check its name.") from error


def _stop_by_hangup() -> None:
    """A terminal that is closed ends the batch as Ctrl-C does; not under nohup, which has the signal ignored."""
    import signal

    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) == signal.SIG_DFL:
        try:
            signal.signal(hangup, lambda *_: sys.exit(129))
        except ValueError:
            return  # not the main thread: somebody else's program


def _run(prepared: "Prepared", *, as_json: bool) -> int:
    """All pictures; returns the exit code."""
    from hdmatt.batching.batch import run

    counts = {"done": 0, "unchanged": 0, "failed": 0}
    every = len(prepared.collected.entries)
    results, started, before = run(prepared), True, 0
    try:
        for result in _with_progress(results, every, as_json=as_json):
            counts[result.state] += 1
            before += result.state == "failed" and not result.now
            _print_result(result, as_json=as_json)
    except InputError:
        started = any(counts.values())
        raise
    finally:
        results.close()  # type: ignore[attr-defined]  it is a generator
        left = every - sum(counts.values())
        if started:
            _print_summary(counts, left, before=before, as_json=as_json)
    return FAILED if counts["failed"] else 0


def _watch(prepared: "Prepared", settle: float, *, as_json: bool) -> int:
    """Until a signal ends it."""
    from hdmatt.batching.batch import run_watched
    from hdmatt.batching.watch import Watching

    shared.print_error("hdmatt: watching; Ctrl-C stops")

    def say(text: str) -> None:
        shared.print_error(f"hdmatt: waiting: {text}")

    for result in run_watched(prepared, say, Watching(settle=settle)):
        _print_result(result, as_json=as_json)
    return 0


def _with_progress(results: "Iterator[BatchResult]", every: int, *, as_json: bool) -> "Iterator[BatchResult]":
    """The results; on a terminal with a bar of forecast seconds below them."""
    import time

    if as_json or not sys.stderr.isatty():
        yield from results
        return
    from rich import progress
    from rich.console import Console

    columns = progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TimeRemainingColumn()
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, started = bar.add_task("pictures", total=None), time.monotonic()
        for count, result in enumerate(results, 1):
            spent = time.monotonic() - started
            total = spent + result.seconds_left
            about = f"{count} of {every}, about {_minutes(result.seconds_left)} left"
            bar.update(task, description=about, completed=spent, total=total)
            yield result


def _print_result(result: "BatchResult", *, as_json: bool) -> None:
    from hdmatt.batching.entry import shown

    if as_json:
        typer.echo(json.dumps({"event": "picture", **asdict(result)}))
        return
    if result.state == "failed":
        _print_failed(result, "failed" if result.now else "failed in an earlier run")
    elif result.now:
        left = f", about {_minutes(result.seconds_left)} left" if result.seconds_left >= 1 else ""
        for output in result.outputs[:1]:
            typer.echo(f"{shown(output)}: {result.seconds:.1f} s{left}")
    for warning in result.warnings:
        shared.print_error(f"hdmatt: warning: {shown(result.picture)}: {warning}")


def _print_failed(failed: "BatchResult | Refusal", verb: str) -> None:
    """Why a picture failed, and what to do. Its name is left out where the reason has it."""
    from hdmatt.batching.entry import shown

    named = failed.picture in failed.reason or os.path.abspath(failed.picture) in failed.reason
    shared.print_error(f"hdmatt: {verb}: " + ("" if named else f"{shown(failed.picture)}: ") + failed.reason)
    if failed.hint:
        shared.print_error(f"  {failed.hint}")


def _print_summary(counts: dict[str, int], left: int, *, before: int, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"event": "summary", **counts, "left": left}))
        return
    earlier = f" ({before} in earlier runs: --redo-failed tries again)" if before else ""
    parts = [f"{counts['done']} done", f"{counts['unchanged']} unchanged", f"{counts['failed']} failed{earlier}"]
    typer.echo(", ".join(parts + ([f"{left} left: run the same command again" if left else ""] if left else [])))


def _print_plan(prepared: "Prepared", *, as_json: bool) -> int:
    """The plan; returns the exit code that the run would have."""
    from hdmatt.batching.plan import plan_batch

    made = plan_batch(prepared)
    code = FAILED if made.failing else 0
    if as_json:
        typer.echo(json.dumps(asdict(made)))
        return code
    for failing in made.failing:
        _print_failed(failing, "would fail")
    first = f", and first a smaller matte for {plural(made.first_mattes, 'trimap')}" if made.first_mattes else ""
    lines: dict[str, Any] = {
        "pictures": f"{made.pictures}: {made.new} new, {made.changed} changed or gone, {made.done} done, "
        f"{made.failed} failed before",
        "computed": f"{plural(made.to_compute, 'picture')}, {made.megapixels:.1f} megapixels{first}",
        "failing": f"{plural(len(made.failing), 'picture')}, as far as headers show",
        "at once": f"{plural(made.at_once, 'picture')} on {plural(made.cores, 'core')}, "
        f"{made.memory // 2**20} MiB for all",
        "time": f"about {_minutes(made.seconds)} (an estimate{'' if made.measured else ', nothing was measured yet'})",
    }
    typer.echo("\n".join(f"{name:8} {text}" for name, text in lines.items()))
    return code


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
