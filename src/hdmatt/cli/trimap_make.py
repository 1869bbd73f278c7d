"""`hdmatt trimap make`: a mask in, a trimap out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hdmatt.cli import shared

_MASK = "Other masks than a file of one"

Band = Annotated[
    str | None,
    typer.Option(
        metavar="auto|PX|%",
        help="Width of the unknown band on both sides of the mask's edge, in pixels or percent of the diagonal; auto "
        "looks at the picture. Default: auto with a picture, 2% without.",
        rich_help_panel=shared.BAND,
    ),
]


def trimap_make_command(
    context: shared.Context,
    output: Annotated[Path, typer.Option("-o", "--output", help="The trimap: PNG, TIFF or WebP.")],
    mask: Annotated[
        Path | None, typer.Argument(help="A mask, a matte, a cut-out with transparency, a PSD, or coloured strokes.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="The picture, for --band auto, --box and --scribbles.")] = None,
    band: Band = None,
    inside: shared.Inside = None,
    outside: shared.Outside = None,
    layer: Annotated[str | None, typer.Option(help="Layer of a PSD by name.", rich_help_panel=_MASK)] = None,
    box: Annotated[
        tuple[int, int, int, int] | None,
        typer.Option(metavar="X0 Y0 X1 Y1", help="The object lies in this box (GrabCut).", rich_help_panel=_MASK),
    ] = None,
    scribbles: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="FOREGROUND BACKGROUND",
            help="MASK has strokes of these two colours (GrabCut); they stay known.",
            rich_help_panel=_MASK,
        ),
    ] = None,
    rembg: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="A model of the package rembg makes the mask.", rich_help_panel=_MASK),
    ] = None,
    fit: shared.Fit = False,
    model: shared.Model = "hdmatt-s",
    device: shared.Device = "auto",
    input_layer: shared.InputLayer = None,
    transfer: shared.Transfer = None,
    max_pixels: shared.MaxPixels = shared.MAX_PIXELS,
    as_json: shared.AsJson = False,
    debug: shared.Debug = False,
) -> None:
    """Trimap from a MASK: foreground and background where it is sure, an unknown band where it is not."""
    from hdmatt.pictures.info import InputOptions
    from hdmatt.trimaps.make import write_trimap
    from hdmatt.trimaps.masks import MaskSource
    from hdmatt.trimaps.rembg import licence_note

    if rembg is not None:
        shared.print_error(f"hdmatt: note: {licence_note(rembg)}")
    with shared.warnings_on_stderr():
        made = write_trimap(
            MaskSource(mask, layer=layer, scribbles=scribbles, box=box, rembg=rembg, fit=fit),
            output,
            picture=picture,
            band=band,
            inside=inside,
            outside=outside,
            network=shared.network_choice_of(context),
            input_options=InputOptions(layer=input_layer, transfer=transfer, max_pixels=max_pixels),
        )
    if as_json:
        typer.echo(json.dumps(asdict(made), indent=1))
        return
    typer.echo(
        f"{made.output}: {made.width}x{made.height}, band {made.band}, {100 * made.unknown_share:.1f} % unknown, "
        f"{100 * made.foreground_share:.1f} % foreground, {made.seconds:.1f} s"
    )
