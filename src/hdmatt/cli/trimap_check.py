"""`hdmatt trimap check`: what is wrong with a trimap, and where."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdmatt.cli import shared
from hdmatt.errors import InputError, plural

if TYPE_CHECKING:
    from hdmatt.trimaps.findings import TrimapCheck

_FOUND = 3  # exit code of --strict


def trimap_check_command(
    trimap: shared.Trimap,
    picture: Annotated[Path | None, typer.Option(help="The picture; shows where its edges are soft.")] = None,
    matte: Annotated[Path | None, typer.Option(help="The matte; shows which sure pixels it contradicts.")] = None,
    marked: Annotated[Path | None, typer.Option(help="Write a picture with the places marked.")] = None,
    fix: Annotated[
        Path | None, typer.Option(help="Write the trimap with exact values and without pinholes; tell what changed.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 3 if there is a warning.")] = False,
    input_layer: shared.InputLayer = None,
    transfer: shared.Transfer = None,
    max_pixels: shared.MaxPixels = shared.MAX_PIXELS,
    as_json: shared.AsJson = False,
    debug: shared.Debug = False,
) -> None:
    """Look for what is wrong with a TRIMAP, before its matte or after it."""
    from hdmatt.pictures.info import InputOptions
    from hdmatt.pictures.writer import check_output_path
    from hdmatt.trimaps.check import check_trimap
    from hdmatt.trimaps.fix import write_fixed
    from hdmatt.trimaps.make import check_trimap_path
    from hdmatt.trimaps.marked import write_marked

    inputs = [path for path in (trimap, picture, matte) if path is not None]
    if marked is not None:
        check_output_path(marked, inputs)
    if fix is not None:
        check_trimap_path(fix, list(inputs))
    if marked is not None and fix is not None and marked.resolve() == fix.resolve():
        raise InputError("--marked and --fix have the same path", hint="Give each its own file.")
    reading = InputOptions(layer=input_layer, transfer=transfer, max_pixels=max_pixels)
    found = check_trimap(trimap, picture, matte, input_options=reading)
    if marked is not None:
        write_marked(found, marked, trimap, picture, input_options=reading)
    fixes = write_fixed(trimap, fix, input_options=reading) if fix is not None else None
    if as_json:
        record = asdict(found) | ({"fixes": asdict(fixes), "fixed": str(fix)} if fixes else {})
        record |= {"marked": str(marked)} if marked is not None else {}
        typer.echo(json.dumps(record, indent=1))
    else:
        _print(found)
        if marked is not None:
            boxes = sum(len(finding.places) for finding in found.findings)
            told = f"{plural(boxes, 'place')} marked, numbered as in the table" if boxes else "no place to mark"
            typer.echo(f"{marked}: {told}")
        if fixes is not None:
            typer.echo(f"{fix}: {fixes.text()}")
    if strict and found.warnings():
        raise typer.Exit(_FOUND)


def _print(found: "TrimapCheck") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
    console.print(
        f"{found.width}x{found.height}: {100 * found.foreground_share:.1f} % foreground, "
        f"{100 * found.unknown_share:.1f} % unknown, {100 * found.background_share:.1f} % background",
        highlight=False,
    )
    if not found.findings:
        console.print("nothing found")
        return
    table = Table("", "", "finding", "where", "what to do", box=None, pad_edge=False)
    for number, finding in enumerate(found.findings, 1):
        style = "red" if finding.severity == "warning" else "blue"
        first = finding.places[0] if finding.places else None
        where = f"x {first.x0}-{first.x1}, y {first.y0}-{first.y1}" if first else ""
        more = f" and {len(finding.places) - 1} more" if len(finding.places) > 1 else ""
        name = Text(finding.name, style)
        table.add_row(str(number), name, Text(finding.message), where + more, Text(finding.advice))
    console.print(table)
