"""`hdmatt export`: weights in, ONNX or OpenVINO graphs out."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hdmatt.cli import shared


def export_command(
    model: Annotated[str, typer.Argument(help="Name (see hdmatt info) or safetensors file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the graphs; must not exist.")],
    format_: Annotated[Literal["onnx", "openvino"], typer.Option("--format", help="Format of the graphs.")] = "onnx",
    check: Annotated[bool, typer.Option("--check", help="Compare with torch; leave nothing if it differs.")] = False,
    debug: shared.Debug = False,
) -> None:
    """Write a network as ONNX or OpenVINO graphs, for other programs; hdmatt matte --runtime makes its own."""
    from hdmatt.network.checkpoint import read_model
    from hdmatt.runtimes.export import MAX_LIMIT, MEAN_LIMIT, SIZES, export, worst

    found = export(read_model(model), output, format_, checked=SIZES if check else ())
    if found:
        typer.echo("patch  contexts  max       mean      (against torch)")
        for one in found:
            typer.echo(f"{one.size:>5}  {one.contexts:>8}  {one.maximum:.2e}  {one.mean:.2e}")
        typer.echo(f"limits           {MAX_LIMIT:.2e}  {MEAN_LIMIT:.2e}")
    typer.echo(f"{output}: {format_}" + (f", {worst(found)}" if found else ", not compared with torch (--check)"))
