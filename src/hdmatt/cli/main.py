"""The command line: one thin command per program. Loads torch only when a command needs it.

matte    picture and trimap in; alpha, foreground, cut-out, composite out
info     version, models, devices
train    samples in, weights out: cli/train.py
export   weights in, ONNX or OpenVINO graphs out
eval     methods and test sets in; scores, a table and a report out
attention    what one unknown pixel looks at, as a figure
bench    sizes and methods in; seconds, peak memory and share of the machine's peak out: cli/tables.py
main     exit codes: 0 done, 2 a mistake in what we were given, 1 a mistake of ours
"""

import json
import shlex
import signal
import sys
import warnings
from collections.abc import Collection, Sequence
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hdmatt.cli.train import app as train_app
from hdmatt.errors import HDMattError, plural

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Alpha mattes of pictures as large as cameras make them.",
)
_DEBUG = "--debug"
_STOPPED = 130  # exit code after Ctrl-C, as shells have it
_BATCH = "Patches computed at once. Default: by --memory. With bf16 on a CPU: 1."
_RUNTIMES = "What computes the network: auto, torch, folded, compiled, onnx, openvino."
_DEVICES = "auto, cpu, cuda, cuda:1, mps; several by commas, as cuda:0,cuda:1, or cuda:all."
_TYPED: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())  # what main was called with, for records


@app.command("matte")
def matte_command(
    picture: Annotated[Path, typer.Argument(help="PNG, JPEG, TIFF, EXR or WebP.")],
    trimap: Annotated[
        Path, typer.Argument(help="Same size; below 85 background, 170 and above foreground, else unknown.")
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The alpha matte.")] = None,
    foreground: Annotated[Path | None, typer.Option(help="Foreground colours without spill.")] = None,
    cutout: Annotated[Path | None, typer.Option(help="Foreground and alpha as straight RGBA.")] = None,
    background: Annotated[str | None, typer.Option(help="Picture or colour behind --composite.")] = None,
    composite: Annotated[Path | None, typer.Option(help="Foreground over --background.")] = None,
    model: Annotated[str, typer.Option(help="Name (see hdmatt info) or safetensors file.")] = "hdmatt-s",
    strategy: Annotated[str, typer.Option(help="hdmatt, crop, tiles, downsample or whole.")] = "hdmatt",
    patch: Annotated[int, typer.Option(help="Side of a patch, pixels.")] = 320,
    overlap: Annotated[int, typer.Option(help="Overlap of neighbouring patches, pixels.")] = 64,
    topk: Annotated[int, typer.Option(help="Context patches a patch looks at (K).")] = 7,
    candidates: Annotated[int, typer.Option(help="Patches in the context pool (N).")] = 30,
    memory: Annotated[str | None, typer.Option(help="Peak memory: 2GiB, 2GB. Default: half of what is free.")] = None,
    batch: Annotated[int | None, typer.Option(help=_BATCH)] = None,
    windows: Annotated[str, typer.Option(help="Places of the patches: fewest, or grid (fixed steps).")] = "fewest",
    device: Annotated[str, typer.Option(help=_DEVICES)] = "auto",
    runtime: Annotated[str, typer.Option(help=_RUNTIMES)] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16: bf16 where the device has it.")] = "auto",
    bit_depth: Annotated[str, typer.Option(help="8, 16, half, float; auto: as the picture.")] = "auto",
    max_pixels: Annotated[int | None, typer.Option(min=1, help="Refuse larger pictures. Default 1000000000.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done and what it takes, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show tracebacks.")] = False,
) -> None:
    """Alpha matte of a PICTURE, given a TRIMAP: full resolution, in bounded memory."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from hdmatt import errors
    from hdmatt.errors import InputError
    from hdmatt.inference.files import Outputs, matte_files, plan_files
    from hdmatt.inference.options import WINDOWS, Options
    from hdmatt.inference.strategies import STRATEGIES
    from hdmatt.pictures import info
    from hdmatt.runtimes import devices as devices_module
    from hdmatt.system.memory import MIB, parse

    outputs = Outputs(output, foreground, cutout, composite)
    if not outputs.paths() and not plan:
        raise InputError("there is nothing to write", hint="Name the matte's file: -o alpha.png")
    _choice("--windows", windows, WINDOWS)
    _choice("--strategy", strategy, tuple(STRATEGIES))
    _choice("--bit-depth", bit_depth, ("auto", "8", "16", "half", "float"))
    options = Options(
        patch=patch,
        overlap=overlap,
        topk=topk,
        candidates=candidates,
        memory=parse(memory) if memory is not None else None,
        batch=batch,
        device=devices_module.pick_device(device),
        windows=windows,
    )
    given: dict[str, Any] = {
        "picture": picture,
        "trimap": trimap,
        "outputs": outputs,
        "model": model,
        "strategy": strategy,
        "options": options,
        "runtime": runtime,
        "precision": precision,
        "background": background,
        "max_pixels": max_pixels or info.DEFAULT_MAX_PIXELS,
    }
    if plan:
        forecast = plan_files(**given)
        typer.echo(json.dumps(asdict(forecast), indent=1) if as_json else _plan_text(forecast))
        return
    columns = TextColumn("patches"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=_stderr(), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("patches", total=None)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", errors.NoUnknownWarning)
            summary = matte_files(
                **given,
                bit_depth=bit_depth,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    for warning in caught:
        if issubclass(warning.category, errors.NoUnknownWarning):
            _say(f"hdmatt: warning: {warning.message}")
    if summary.snapped:
        _say(f"hdmatt: note: {summary.snapped} trimap pixels were not 0, 128 or 255 and were snapped")
    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=1))
        return
    patches = "patch" if summary.patches == 1 else "patches"
    typer.echo(
        f"{outputs.paths()[0]}: {summary.width}x{summary.height}, {100 * summary.unknown_share:.1f} % unknown, "
        f"{summary.patches} {patches}, {summary.seconds:.1f} s, peak {summary.peak_memory / MIB:.0f} MiB"
    )


@app.command("info")
def info_command(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Version, installed models and devices."""
    import torch

    from hdmatt import __version__
    from hdmatt.network.checkpoint import load_model, models

    devices = ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    found: dict[str, Any] = {
        "version": __version__,
        "torch": torch.__version__,
        "models": {name: asdict(load_model(path).config) for name, path in models().items()},
        "devices": devices,
    }
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo(f"hdmatt {found['version']}, torch {found['torch']}")
    for name, config in found["models"].items():
        typer.echo(f"model   {name}: " + ", ".join(f"{k} {v}" for k, v in config.items()))
    for device in devices:
        typer.echo(f"device  {device}")


app.add_typer(train_app, name="train")


@app.command("export")
def export_command(
    model: Annotated[str, typer.Argument(help="Name (see hdmatt info) or safetensors file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the graphs; must not exist.")],
    format_: Annotated[str, typer.Option("--format", help="onnx or openvino.")] = "onnx",
    check: Annotated[bool, typer.Option("--check", help="Compare with torch; leave nothing if it differs.")] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show tracebacks.")] = False,
) -> None:
    """Write a network as ONNX or OpenVINO graphs, for other programs; hdmatt matte --runtime makes its own."""
    from typing import cast

    from hdmatt.network.checkpoint import load_model
    from hdmatt.runtimes.export import MAX_LIMIT, MEAN_LIMIT, SIZES, export, worst
    from hdmatt.runtimes.graphs import Format

    _choice("--format", format_, ("onnx", "openvino"))
    found = export(load_model(model), output, cast(Format, format_), checked=SIZES if check else ())
    if found:
        typer.echo("patch  contexts  max       mean      (against torch)")
        for one in found:
            typer.echo(f"{one.size:>5}  {one.contexts:>8}  {one.maximum:.2e}  {one.mean:.2e}")
        typer.echo(f"limits           {MAX_LIMIT:.2e}  {MEAN_LIMIT:.2e}")
    typer.echo(f"{output}: {format_}" + (f", {worst(found)}" if found else ", not compared with torch (--check)"))


@app.command("eval")
def eval_command(
    data: Annotated[list[Path], typer.Option(help="Folder of a test set: image/ trimap/ alpha/, or a known layout.")],
    layout: Annotated[str, typer.Option(help="Name of the layout of all --data; see docs/datasets.md.")] = "auto",
    backgrounds: Annotated[Path | None, typer.Option(help="For sets published in parts, like Adobe's.")] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="hdmatt, crop, tiles, downsample, whole; cf, knn, lbdm, lkm, rw, sm; gegl-global, gegl-levin; "
            "vitmatte:PATH, vitmatte-patches:PATH, -tiles, -downsample; folder:PATH with finished mattes. With "
            "settings of its own: hdmatt:topk=0,overlap=32. Default: hdmatt."
        ),
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            help="hdmatt, crop, tiles, downsample, whole: how hdmatt and vitmatte:PATH take a picture. Repeatable."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Name (see hdmatt info) or safetensors file.")] = "hdmatt-s",
    patch: Annotated[int, typer.Option(help="Side of a patch, pixels.")] = 320,
    overlap: Annotated[int, typer.Option(help="Overlap of neighbouring patches, pixels.")] = 64,
    topk: Annotated[int, typer.Option(help="Context patches a patch looks at (K).")] = 7,
    candidates: Annotated[int, typer.Option(help="Patches in the context pool (N).")] = 30,
    memory: Annotated[str | None, typer.Option(help="hdmatt's peak memory, like 2GiB.")] = None,
    batch: Annotated[int | None, typer.Option(help=_BATCH)] = None,
    device: Annotated[str, typer.Option(help=_DEVICES)] = "auto",
    runtime: Annotated[str, typer.Option(help=_RUNTIMES)] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16: bf16 where the device has it.")] = "auto",
    make_trimap: Annotated[
        list[int] | None,
        typer.Option(min=0, help="For sets without trimaps: pixels to widen the truth's soft part by. Repeatable."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N pictures of each set.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of report.html, scores.jsonl and mattes; continues.")] = Path(
        "hdmatt-eval"
    ),
    retry: Annotated[bool, typer.Option("--retry", help="Compute again what failed in an earlier run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json.")] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show tracebacks.")] = False,
) -> None:
    """Score methods on test sets; scored pictures are not scored again."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from hdmatt.evaluation import evaluate as evaluate_module
    from hdmatt.evaluation.evaluate import (
        best_of,
        evaluate,
        find_items,
    )
    from hdmatt.evaluation.methods import with_strategies
    from hdmatt.system.memory import parse

    methods = with_strategies(method or ["hdmatt"], strategy or [])
    device = evaluate_module.pick_device(methods, device)
    limit_bytes = parse(memory) if memory else None
    settings = evaluate_module.Settings(
        model, patch, overlap, topk, candidates, limit_bytes, device, batch, runtime=runtime, precision=precision
    )
    items = find_items(data, layout, backgrounds=backgrounds, limit=limit)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=_stderr(), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("checking", total=None)
        result = evaluate(
            items,
            methods,
            out,
            settings=settings,
            make_trimaps=make_trimap or (),
            retry=retry,
            command=shlex.join(["hdmatt", *_TYPED.get()]),
            progress=lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
            finished=None if sys.stderr.isatty() else _say_finished,
        )
    if as_json:
        typer.echo((out / "result.json").read_text(encoding="utf-8"), nl=False)
    else:
        _print_scores(result.summaries, best_of(result.summaries))
        typer.echo(str(result.report))
    if result.facts["provenance"]:
        _say(f"hdmatt: note: {result.facts['provenance']}; see {out / 'result.json'}")
    failed = [row for row in result.rows if row.error is not None]
    for row in failed:
        _say(f"hdmatt: {row.method} failed on {row.dataset} {row.variant} {row.name}: {row.error}")
    if failed:
        raise HDMattError(
            f"{len(failed)} of {plural(len(result.rows), 'matte')} failed; no mean includes them",
            hint="To have them tried again, give the same command with --retry.",
        )


@app.command("attention")
def attention_command(
    picture: Annotated[Path, typer.Argument(help="PNG, JPEG, TIFF, EXR or WebP.")],
    trimap: Annotated[Path, typer.Argument(help="Same size; the pixel must be unknown in it.")],
    at: Annotated[str, typer.Option(help="The pixel, as X,Y from the top left corner.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The figure, for example a PNG.")],
    model: Annotated[str, typer.Option(help="Name (see hdmatt info) or safetensors file.")] = "hdmatt-s",
    patch: Annotated[int, typer.Option(help="Side of a patch, pixels.")] = 320,
    overlap: Annotated[int, typer.Option(help="Overlap of neighbouring patches, pixels.")] = 64,
    topk: Annotated[int, typer.Option(help="Context patches (K): the paper's figure has 3, a matte looks at 7.")] = 3,
    candidates: Annotated[int, typer.Option(help="Patches in the context pool (N).")] = 30,
    memory: Annotated[str | None, typer.Option(help="Peak memory: 2GiB, 2GB. Default: half of what is free.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    stretch: Annotated[bool, typer.Option(help="Colours from the smallest weight, not from 0.")] = False,
    numbers: Annotated[Path | None, typer.Option(help="The arrays as .npz, for plots of your own.")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=1, help="Refuse larger pictures. Default 1000000000.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print patches and shares as JSON.")] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show tracebacks.")] = False,
) -> None:
    """Draw what one unknown pixel looks at: its patch, the context patches, the attention on U, F and B."""
    from hdmatt.figures import attention, sheet
    from hdmatt.inference.options import Options
    from hdmatt.pictures import info
    from hdmatt.runtimes import devices as devices_module
    from hdmatt.system.memory import parse

    x, y = attention.parse_pixel(at)
    attention.check_paths(output, numbers, [picture, trimap])
    options = Options(
        patch=patch,
        overlap=overlap,
        topk=topk,
        candidates=candidates,
        memory=parse(memory) if memory is not None else None,
        device=devices_module.pick_device(device, several=False),
    )
    limit = max_pixels or info.DEFAULT_MAX_PIXELS
    found = attention.attend(picture, trimap, y=y, x=x, model=model, options=options, max_pixels=limit)
    title = f"{picture.name}, {model if len(model) < 40 else Path(model).name}"
    sheet.save(attention.draw(found, picture, trimap, title=title, stretch=stretch, max_pixels=limit), output)
    if numbers:
        attention.save_numbers(found, numbers)
    if as_json:
        typer.echo(json.dumps(found.summary(), indent=1))
        return
    regions = found.summary()["regions"].items()
    shares = [f"{name} {100 * part['share_of_context']:.0f} % of the context" for name, part in regions]
    typer.echo(
        f"{output}: pixel x {x}, y {y} in the patch at x {found.query.x}, y {found.query.y}; "
        f"{len(found.patches)} of {found.candidates} patches; {', '.join(shares)}"
    )


@app.command("bench")
def bench_command(
    megapixels: Annotated[str, typer.Option(help="Sizes, by commas.")] = "1,4,9,16,36",
    method: Annotated[
        list[str] | None,
        typer.Option(help="As of hdmatt eval; repeatable. Default: hdmatt, whole, downsample, cf, knn."),
    ] = None,
    unknown: Annotated[float, typer.Option(help="Share of unknown pixels in the generated pictures.")] = 0.1,
    picture: Annotated[Path | None, typer.Option(help="One of yours, cropped or enlarged to the sizes.")] = None,
    trimap: Annotated[Path | None, typer.Option(help="Its trimap.")] = None,
    runs: Annotated[int, typer.Option(help="Runs of each; the table shows their median.")] = 1,
    time_limit: Annotated[float | None, typer.Option(help="Seconds that one run may take.")] = None,
    memory_limit: Annotated[str | None, typer.Option(help="Memory that one run may hold, like 8GiB.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="The network part by part, too.")] = False,
    model: Annotated[str, typer.Option(help="Name (see hdmatt info) or safetensors file.")] = "hdmatt-s",
    patch: Annotated[int, typer.Option(help="Side of a patch, pixels.")] = 320,
    overlap: Annotated[int, typer.Option(help="Overlap of neighbouring patches, pixels.")] = 64,
    topk: Annotated[int, typer.Option(help="Context patches a patch looks at (K).")] = 7,
    candidates: Annotated[int, typer.Option(help="Patches in the context pool (N).")] = 30,
    memory: Annotated[str | None, typer.Option(help="hdmatt's --memory, like 2GiB. Default: half of the free.")] = None,
    batch: Annotated[int | None, typer.Option(help=_BATCH)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    runtime: Annotated[str, typer.Option(help=_RUNTIMES)] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16: bf16 where the device has it.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder of bench.json and bench.svg.")] = Path("hdmatt-bench"),
    as_json: Annotated[bool, typer.Option("--json", help="Print bench.json.")] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show tracebacks.")] = False,
) -> None:
    """Time and memory of methods on pictures of many sizes, and how near to the machine's peak they come."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from hdmatt.bench.measure import Limits
    from hdmatt.bench.sweep import METHODS, SweepPlan, bench, parse_sizes, record, save
    from hdmatt.cli.tables import print_bench
    from hdmatt.evaluation.evaluate import pick_device
    from hdmatt.evaluation.methods import Settings
    from hdmatt.system.memory import parse

    plan = SweepPlan(
        megapixels=parse_sizes(megapixels),
        methods=method or METHODS,
        unknown=unknown,
        picture=picture,
        trimap=trimap,
        runs=runs,
        limits=Limits(time_limit, parse(memory_limit) if memory_limit else None),
        layers=layers,
    )
    settings = Settings(
        model=model,
        patch=patch,
        overlap=overlap,
        topk=topk,
        candidates=candidates,
        memory=parse(memory) if memory else None,
        device=pick_device(plan.methods, device, several=False),
        batch=batch,
        windows="fewest",
        runtime=runtime,
        precision=precision,
    )
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=_stderr(), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("checking", total=None)
        result = bench(
            plan,
            settings,
            progress=lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
        )
    made = record(result, plan, settings, shlex.join(["hdmatt", *_TYPED.get()]))
    files = save(made, out)
    if as_json:
        typer.echo(files[0].read_text(encoding="utf-8"), nl=False)
        return
    print_bench(made, width=None if sys.stdout.isatty() else 200)
    for path in files:
        typer.echo(str(path))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code and never shows a traceback without --debug."""
    if arguments is None:  # as a program: the process is ours
        from hdmatt.system.memory import keep_freed

        arguments = sys.argv[1:]
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a polite kill cleans up like Ctrl-C
        keep_freed()
    _TYPED.set(tuple(arguments))
    try:
        code = app(arguments, prog_name="hdmatt", standalone_mode=False)
    except HDMattError as error:
        if _DEBUG in arguments:
            raise
        _say(f"hdmatt: {error.message}")
        if error.hint:
            _say(f"  {error.hint}")
        return error.exit_code
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = _STOPPED
    except Exception as error:
        if _DEBUG in arguments:
            raise
        usage = getattr(error, "format_message", None)  # a mistake on the command line, found by typer
        if usage is not None:
            _say(f"hdmatt: {usage()}")
            _say("  See hdmatt --help.")
            return 2
        _say(f"hdmatt: internal error: {type(error).__name__}: {error}")
        _say("  This is our mistake: run again with --debug and report what it prints.")
        return 1
    if code == _STOPPED:  # typer catches Ctrl-C itself and returns this
        _say("hdmatt: stopped")
    return code if isinstance(code, int) else 0


def _plan_text(plan: Any) -> str:
    from hdmatt.system.memory import MIB

    kept = f"{plan.context_pool} candidates, features of {plan.cached} kept, {plan.cache_bytes / MIB:.0f} MiB"
    patches = f"{plan.patches} {'patch' if plan.patches == 1 else 'patches'} to decode"
    lines = {
        "picture": f"{plan.width}x{plan.height}, {100 * plan.unknown_share:.1f} % unknown",
        "windows": f"{plan.windows}: {patches} ({plan.patches_on_grid} on the grid)",
        "encodes": f"{plan.encodes}",
        "batch": f"{plan.batch}, {plan.runtime} {plan.precision}, {plan.device}",
        "context": kept,
        "memory": f"peak {plan.expected_memory / MIB:.0f} MiB expected, limit {plan.memory_limit / MIB:.0f} MiB",
        "time": f"about {plan.expected_seconds:.0f} s (an estimate; without colours and encoding)",
    }
    return "\n".join(f"{name:8} {text}" for name, text in lines.items())


def _choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    from hdmatt.errors import InputError

    if value not in choices:
        raise InputError(f"{option} is {value!r}", hint=f"Choose one of: {', '.join(choices)}.")


def _print_scores(summaries: Sequence[Any], best: Collection[tuple[int, str]]) -> None:
    """A table; as wide as it needs to be where it goes into a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from hdmatt.evaluation.report import COLUMNS, shown

    table = Table("data set", "trimap", "method", "pictures", box=None, pad_edge=False)
    for title, _ in COLUMNS.values():
        table.add_column(title, justify="right")
    for i, one in enumerate(summaries):
        count = f"{one.pictures} of {one.pictures + len(one.failed)}" if one.failed else str(one.pictures)
        scores = [Text(shown(one, m)[0], "bold" if (i, m) in best else "") for m in COLUMNS]
        table.add_row(Text(one.dataset), Text(one.variant), Text(one.method), count, *scores)
    if any(one.seam is None and one.seam_control is not None for one in summaries):
        table.caption = "seam in brackets: of a method without borders, on those of the grid"
        table.caption_justify = "left"
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _say_finished(row: Any, done: int, total: int) -> None:
    from hdmatt.evaluation.report import line

    _say(line(row, done, total))


def _stderr() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def _say(text: str) -> None:
    typer.echo(text, err=True)
