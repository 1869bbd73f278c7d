"""`hdmatt matte`: picture and trimap in; alpha, foreground, cut-out, composite and layers out."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdmatt.cli import shared
from hdmatt.cli.mask import MaskOptions, given_trimap
from hdmatt.system.memory import MIB

if TYPE_CHECKING:
    from hdmatt.inference.files import RunForecast, RunSummary

_MASK = "A mask instead of a trimap (more of them: hdmatt trimap make)"


def matte_command(
    context: shared.Context,
    picture: shared.Picture,
    trimap: Annotated[
        Path | None,
        typer.Argument(help="Same size; below 85 background, 170 and above foreground, else unknown. Or --mask."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The matte. Without any output: STEM_alpha.png beside PICTURE."),
    ] = None,
    foreground: Annotated[Path | None, typer.Option(help="Foreground colours without spill.")] = None,
    cutout: Annotated[Path | None, typer.Option(help="Foreground and alpha as RGBA.")] = None,
    composite: Annotated[Path | None, typer.Option(help="Foreground over --background.")] = None,
    background: shared.Background = None,
    psd: Annotated[
        Path | None, typer.Option(help="Layers for Photoshop, the matte as mask; .psb for large ones.")
    ] = None,
    bit_depth: shared.BitDepth = "auto",
    quality: shared.Quality = None,
    alpha_mode: shared.AlphaMode = None,
    clean: shared.Clean = False,
    matte_range: shared.MatteRange = (0, 1),
    invert: shared.Invert = False,
    matte_for: shared.MatteFor = None,
    overwrite: shared.Overwrite = False,
    layered: Annotated[
        Path | None, typer.Option(help="EXR with layers: cut-out (R G B A) and straight foreground (fg).")
    ] = None,
    plate: shared.Plate = False,
    despill: shared.Despill = 0,
    trim: shared.Trim = False,
    palette: shared.Palette = False,
    mask: Annotated[
        Path | None, typer.Option(help="Makes the trimap from a mask, matte or cut-out.", rich_help_panel=_MASK)
    ] = None,
    band: Annotated[
        str,
        typer.Option(metavar="auto|PX|%", help="Width on both sides of --mask's edge.", rich_help_panel=shared.BAND),
    ] = "auto",
    inside: shared.Inside = None,
    outside: shared.Outside = None,
    fit: shared.Fit = False,
    save_trimap: Annotated[
        Path | None, typer.Option(help="Where the trimap of --mask is kept.", rich_help_panel=_MASK)
    ] = None,
    input_layer: shared.InputLayer = None,
    transfer: shared.Transfer = None,
    mixing: shared.Mixing = "auto",
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done and what it takes, and stop.")] = False,
    model: shared.Model = "hdmatt-s",
    runtime: shared.RuntimeName = "auto",
    precision: shared.PrecisionName = "auto",
    device: shared.Devices = "auto",
    memory: shared.Memory = None,
    batch: shared.Batch = None,
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
    progress_lines: shared.ProgressLines = False,
    as_json: shared.AsJson = False,
    debug: shared.Debug = False,
) -> None:
    """Alpha matte of a PICTURE, given a TRIMAP or a --mask: full resolution, in bounded memory."""
    from hdmatt.inference.files import matte_files, plan_files
    from hdmatt.pictures.info import InputOptions

    reading = InputOptions(layer=input_layer, transfer=transfer, max_pixels=max_pixels)
    options, network = shared.options_of(context), shared.network_choice_of(context)
    outputs = replace(shared.outputs_of(context), alpha=output)
    if not outputs.paths():
        outputs = replace(outputs, alpha=picture.parent / f"{picture.stem}_alpha.png")
        shared.refuse_existing(outputs.paths(), option="-o", overwrite=overwrite)
    kept = save_trimap if not plan else None  # --plan writes nothing
    made_from = MaskOptions(mask, band, inside, outside, fit, kept)
    with (
        shared.warnings_on_stderr(),
        given_trimap(
            picture,
            trimap,
            made_from,
            outputs=outputs,
            network=network,
            reading=reading,
            memory=options.memory,
        ) as marks,
    ):
        if plan:
            forecast = plan_files(
                picture, marks, outputs, options=options, network=network, strategy=strategy, input_options=reading
            )
            typer.echo(json.dumps(asdict(forecast), indent=1) if as_json else _plan_text(forecast))
            return
        with shared.progress_bar(lines=progress_lines) as show:
            summary = matte_files(
                picture,
                marks,
                outputs,
                options=options,
                network=network,
                strategy=strategy,
                input_options=reading,
                progress=lambda done, total: show("patches", done, total),
            )
    _print_summary(summary, as_json=as_json)


def _print_summary(summary: "RunSummary", *, as_json: bool) -> None:
    if summary.layer:
        shared.print_error(f"hdmatt: note: the picture is layer {summary.layer!r}; another one: --input-layer NAME")
    if summary.trimap_layer:
        shared.print_error(f"hdmatt: note: the trimap is layer {summary.trimap_layer!r} of its file")
    others = [path for path in summary.outputs if not path.lower().endswith(".exr")]
    if summary.data_window and others:
        x, y, width, height = summary.data_window
        shared.print_error(
            f"hdmatt: note: {others[0]} holds the picture's data window, {width}x{height} at {x},{y} of what is shown"
        )
    for note in summary.notes:
        shared.print_error(f"hdmatt: note: {note}")
    if summary.snapped:
        shared.print_error(f"hdmatt: note: {summary.snapped} trimap pixels were not 0, 128 or 255 and were snapped")
    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=1))
        return
    patches = "patch" if summary.patches == 1 else "patches"
    cut = ""
    if summary.trim:
        y0, x0, y1, x1 = summary.trim
        cut = f" cut to {x1 - x0}x{y1 - y0} at {x0},{y0}"
    typer.echo(
        f"{summary.outputs[0]}: {summary.width}x{summary.height}{cut}, {100 * summary.unknown_share:.1f} % unknown, "
        f"{summary.patches} {patches}, {summary.seconds:.1f} s, peak {summary.peak_memory / MIB:.0f} MiB"
    )


def _plan_text(plan: "RunForecast") -> str:
    kept = f"{plan.context_pool} candidates, features of {plan.cached} kept, {plan.cache_bytes / MIB:.0f} MiB"
    patches = "patch" if plan.patches == 1 else "patches"
    lines = {
        "picture": f"{plan.width}x{plan.height}, {100 * plan.unknown_share:.1f} % unknown",
        **({"layer": plan.layer} if plan.layer else {}),
        "windows": f"{plan.windows}: {plan.patches} {patches} to decode ({plan.patches_on_grid} on the grid)",
        "encodes": f"{plan.encodes}",
        "batch": f"{plan.batch}, {plan.runtime} {plan.precision}, {plan.device}",
        "context": kept,
        "memory": f"peak {plan.expected_memory / MIB:.0f} MiB expected, limit {plan.memory_limit / MIB:.0f} MiB",
        "time": f"about {plan.expected_seconds:.0f} s (an estimate; without colours and encoding)",
    }
    return "\n".join(f"{name:8} {text}" for name, text in lines.items())
