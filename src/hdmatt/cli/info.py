"""`hdmatt info`: version, models, devices and transfer functions."""

import json
from dataclasses import asdict
from typing import Any

import typer

from hdmatt.cli import shared


def info_command(as_json: shared.AsJson = False, debug: shared.Debug = False) -> None:
    """Version, installed models, devices, and what --transfer knows."""
    import torch

    from hdmatt import __version__
    from hdmatt.network.checkpoint import load_model
    from hdmatt.network.names import models
    from hdmatt.pictures.encoding import transfer_names

    devices = ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    found: dict[str, Any] = {
        "version": __version__,
        "torch": torch.__version__,
        "models": {name: asdict(load_model(path).config) for name, path in models().items()},
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
