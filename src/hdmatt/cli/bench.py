"""`hdmatt bench`: sizes and methods in; seconds, peak memory and share of the machine's peak out."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hdmatt.cli import shared
from hdmatt.system.memory import parse_bytes

OUT = Path("hdmatt-bench")
Size = Annotated[int | None, typer.Option(parser=parse_bytes, metavar="SIZE", help="Memory of one run, as 8GiB.")]


def bench_command(
    context: shared.Context,
    megapixels: Annotated[str, typer.Option(help="Sizes, by commas.")] = "1,4,9,16,36",
    method: Annotated[
        list[str] | None,
        typer.Option(help="As of hdmatt eval; repeatable. Default: hdmatt, whole, downsample, cf, knn."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of bench.json and bench.svg.")] = OUT,
    overwrite: shared.Overwrite = False,
    unknown: Annotated[float, typer.Option(help="Share of unknown pixels in the generated pictures.")] = 0.1,
    picture: Annotated[Path | None, typer.Option(help="A picture of yours, cropped or enlarged to the sizes.")] = None,
    trimap: Annotated[Path | None, typer.Option(help="Trimap of the picture.")] = None,
    runs: Annotated[int, typer.Option(help="Runs of each; the table shows their median.")] = 1,
    time_limit: Annotated[float | None, typer.Option(help="Seconds that one run may take.")] = None,
    memory_limit: Size = None,
    layers: Annotated[bool, typer.Option("--layers", help="The network part by part, too.")] = False,
    model: shared.Model = "hdmatt-s",
    runtime: shared.RuntimeName = "auto",
    precision: shared.PrecisionName = "auto",
    device: shared.Device = "auto",
    memory: shared.Memory = None,
    batch: shared.Batch = None,
    paper: shared.Paper = False,
    patch: shared.Patch = 320,
    overlap: shared.Overlap = 64,
    topk: shared.TopK = 7,
    candidates: shared.Candidates = 30,
    windows: shared.WindowsName = "fewest",
    blend: shared.BlendName = "smooth",
    small_first: shared.SmallFirst = True,
    as_json: shared.AsJson = False,
    debug: shared.Debug = False,
) -> None:
    """Time and memory of methods on pictures of many sizes, and how near to the machine's peak they come."""
    from hdmatt.bench import sweep
    from hdmatt.bench.measure import BenchLimits
    from hdmatt.cli.tables import print_bench
    from hdmatt.evaluation.evaluate import device_for
    from hdmatt.evaluation.methods import Settings

    plan = sweep.SweepPlan(
        megapixels=sweep.parse_sizes(megapixels),
        methods=method or sweep.METHODS,
        unknown=unknown,
        picture=picture,
        trimap=trimap,
        runs=runs,
        limits=BenchLimits(time_limit, memory_limit),
        layers=layers,
    )
    network = replace(shared.network_choice_of(context), device=device_for(plan.methods, device, several=False))
    settings = Settings(shared.options_of(context), network)
    if not shared.was_typed(context, "out"):
        shared.refuse_existing([out / "bench.json", out / "bench.svg"], option="--out", overwrite=overwrite)
    with shared.progress_bar() as show:
        result = sweep.bench(plan, settings, progress=show)
    made = sweep.record(result, plan, settings, shared.typed_command())
    files = sweep.save_record(made, out)
    if as_json:
        typer.echo(files[0].read_text(encoding="utf-8"), nl=False)
        return
    print_bench(made, width=None if sys.stdout.isatty() else 200)
    for path in files:
        typer.echo(str(path))
