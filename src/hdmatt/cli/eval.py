"""`hdmatt eval`: methods and test sets in; scores, a table and a report out."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdmatt.cli import shared
from hdmatt.errors import HDMattError, plural

if TYPE_CHECKING:
    from hdmatt.evaluation.evaluate import Evaluation

OUT = Path("hdmatt-eval")
_METHODS = (
    "hdmatt, crop, tiles, downsample, whole; cf, knn, lbdm, lkm, rw, sm; gegl-global, gegl-levin; vitmatte:PATH, "
    "vitmatte-patches:PATH, -tiles, -downsample; folder:PATH with finished mattes. With settings of its own: "
    "hdmatt:topk=0,overlap=32. Repeatable. Default: hdmatt."
)


def eval_command(
    context: shared.Context,
    data: Annotated[list[Path], typer.Option(help="Folder of a test set: image/ trimap/ alpha/, or a known layout.")],
    method: Annotated[list[str] | None, typer.Option(help=_METHODS)] = None,
    out: Annotated[Path, typer.Option(help="Folder of report.html, scores.jsonl and mattes; continues.")] = OUT,
    overwrite: shared.Overwrite = False,
    layout: Annotated[str, typer.Option(help="Name of the layout of all --data; see docs/datasets.md.")] = "auto",
    backgrounds: Annotated[Path | None, typer.Option(help="For sets published in parts, like Adobe's.")] = None,
    make_trimap: Annotated[
        list[int] | None,
        typer.Option(min=0, help="For sets without trimaps: pixels to widen the truth's soft part by. Repeatable."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N pictures of each set.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Compute again what failed in an earlier run.")] = False,
    model: shared.Model = "hdmatt-s",
    runtime: shared.RuntimeName = "auto",
    precision: shared.PrecisionName = "auto",
    device: shared.Devices = "auto",
    memory: shared.Memory = None,
    batch: shared.Batch = None,
    paper: shared.Paper = False,
    patch: shared.Patch = 320,
    overlap: shared.Overlap = 64,
    topk: shared.TopK = 7,
    candidates: shared.Candidates = 30,
    windows: shared.WindowsName = "grid",
    blend: shared.BlendName = "smooth",
    small_first: shared.SmallFirst = True,
    whole_picture: shared.WholePicture = False,
    mixing: shared.Mixing = "auto",
    as_json: shared.AsJson = False,
    debug: shared.Debug = False,
) -> None:
    """Score methods on test sets; scored pictures are not scored again.

    Patches lie on the grid, unlike those of hdmatt matte: the seam score needs borders through the whole picture.
    """
    from hdmatt.evaluation.evaluate import Listener, device_for, evaluate, find_items
    from hdmatt.evaluation.methods import Settings

    methods = method or ["hdmatt"]
    network = replace(shared.network_choice_of(context), device=device_for(methods, device))
    settings = Settings(shared.options_of(context), network)
    if not shared.was_typed(context, "out"):
        shared.refuse_existing([out / "report.html"], option="--out", overwrite=overwrite)
    with shared.progress_bar() as show:
        result = evaluate(
            find_items(data, layout, backgrounds=backgrounds, limit=limit),
            methods,
            out,
            settings=settings,
            make_trimaps=make_trimap or (),
            retry=retry,
            command=shared.typed_command(),
            listener=Listener(show, None if sys.stderr.isatty() else _print_row),
        )
    again = "--retry" if overwrite or shared.was_typed(context, "out") else "--retry and --overwrite"
    _print_result(result, out, as_json=as_json, again=again)


def _print_result(result: "Evaluation", out: Path, *, as_json: bool, again: str) -> None:
    """The table or result.json; then, on stderr, where rows come from and which failed.

    Args:
        again: Options with which the same command computes failed mattes again.
    """
    from hdmatt.cli.tables import print_scores
    from hdmatt.evaluation.evaluate import best_of

    if as_json:
        typer.echo((out / "result.json").read_text(encoding="utf-8"), nl=False)
    else:
        print_scores(result.summaries, best_of(result.summaries))
        typer.echo(str(result.report))
    if result.facts["provenance"]:
        shared.print_error(f"hdmatt: note: {result.facts['provenance']}; see {out / 'result.json'}")
    failed = [row for row in result.rows if row.error is not None]
    for row in failed:
        shared.print_error(f"hdmatt: {row.method} failed on {row.dataset} {row.variant} {row.name}: {row.error}")
    if failed:
        raise HDMattError(
            f"{len(failed)} of {plural(len(result.rows), 'matte')} failed; no mean includes them",
            hint=f"To have them tried again, give the same command with {again}.",
        )


def _print_row(row: Any, done: int, total: int) -> None:
    from hdmatt.evaluation.report import line

    shared.print_error(line(row, done, total))
