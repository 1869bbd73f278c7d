"""`hdmatt attention`: what one unknown pixel attends to, as a figure and as numbers."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdmatt.cli import shared

if TYPE_CHECKING:
    from hdmatt.figures.attention import Attention


def attention_command(
    context: shared.Context,
    picture: shared.Picture,
    trimap: Annotated[Path, typer.Argument(help="Same size; the pixel must be unknown in it.")],
    at: Annotated[str, typer.Option(help="The pixel, as X,Y from the top left corner.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The figure, for example a PNG.")],
    numbers: Annotated[Path | None, typer.Option(help="The arrays as .npz, for plots of your own.")] = None,
    stretch: Annotated[bool, typer.Option("--stretch", help="Colours from the smallest weight, not from 0.")] = False,
    model: shared.Model = "hdmatt-s",
    device: shared.Device = "auto",
    memory: shared.Memory = None,
    input_layer: shared.InputLayer = None,
    transfer: shared.Transfer = None,
    max_pixels: shared.MaxPixels = shared.MAX_PIXELS,
    paper: shared.Paper = False,
    patch: shared.Patch = 320,
    overlap: shared.Overlap = 64,
    topk: shared.TopK = 3,
    candidates: shared.Candidates = 30,
    windows: shared.WindowsName = "fewest",
    as_json: shared.AsJson = False,
    debug: shared.Debug = False,
) -> None:
    """Draw what one unknown pixel attends to: its patch, the context patches, the attention on U, F and B.

    Three context patches as in the paper's figure; hdmatt matte attends to seven.
    """
    from hdmatt.figures import attention, sheet
    from hdmatt.pictures.info import InputOptions

    x, y = attention.parse_pixel(at)
    attention.check_paths(output, numbers, [picture, trimap])
    options, network = shared.options_of(context), shared.network_choice_of(context)
    reading = InputOptions(layer=input_layer, transfer=transfer, max_pixels=max_pixels)
    found = attention.attend(
        picture,
        trimap,
        y=y,
        x=x,
        network=network,
        options=options,
        input_options=reading,
    )
    title = f"{picture.name}, {model if len(model) < 40 else Path(model).name}"
    sheet.save_figure(
        attention.draw(found, picture, trimap, title=title, stretch=stretch, input_options=reading), output
    )
    if numbers:
        attention.save_numbers(found, numbers)
    typer.echo(json.dumps(found.summary(), indent=1) if as_json else f"{output}: {_described(found)}")


def _described(found: "Attention") -> str:
    regions = found.summary()["regions"].items()
    shares = [f"{name} {100 * part['share_of_context']:.0f} % of the context" for name, part in regions]
    return (
        f"pixel x {found.x}, y {found.y} in the patch at x {found.query.x}, y {found.query.y}; "
        f"{len(found.patches)} of {found.candidates} patches; {', '.join(shares)}"
    )
