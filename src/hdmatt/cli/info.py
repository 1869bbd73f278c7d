"""`hdmatt info`: version, models, devices and transfer functions; with --check what works here."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from hdmatt.cli import shared

Check = Annotated[
    bool,
    typer.Option("--check", help="Try out what works here, for reports of faults; exit code 1 if something fails."),
]


def info_command(check: Check = False, as_json: shared.AsJson = False, debug: shared.Debug = False) -> None:
    """Version, installed models, devices, and what --transfer knows. With --check what works on this machine."""
    if check:
        raise typer.Exit(_check(as_json))
    import torch

    from hdmatt import __version__
    from hdmatt.network.checkpoint import read_model
    from hdmatt.network.names import models
    from hdmatt.pictures.colours.encoding import transfer_names

    devices = ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    found: dict[str, Any] = {
        "version": __version__,
        "torch": torch.__version__,
        "models": {name: asdict(read_model(path).config) for name, path in models().items()},
        "devices": devices,
        "transfers": transfer_names(),
    }
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo(f"hdmatt {found['version']}, torch {found['torch']}")
    for name, config in found["models"].items():
        typer.echo(f"model   {name}: " + ", ".join(f"{k} {v}" for k, v in config.items()))
    for device in devices:
        typer.echo(f"device  {device}")
    typer.echo("transfer  " + ", ".join(found["transfers"]))


def _check(as_json: bool) -> int:
    """Print what works here; 1 if something fails that should not."""
    from hdmatt import __version__
    from hdmatt.cli.info_check import FAILS, Check, check_machine

    checks: list[Check] = []
    if not as_json:
        typer.echo(f"hdmatt {__version__}")
    for one in check_machine():
        checks.append(one)
        if not as_json:
            typer.echo(f"{one.state:<7} {one.part:<8} {one.name:<24} {one.detail}".rstrip())
    failed = [one for one in checks if one.state == FAILS]
    if as_json:
        found = {"version": __version__, "works": not failed, "checks": [asdict(one) for one in checks]}
        typer.echo(json.dumps(found, indent=1))
    else:
        names = ", ".join(f"{one.part} {one.name}" for one in failed)
        typer.echo(f"fails: {names}" if failed else "all that hdmatt needs works here")
    return int(bool(failed))
