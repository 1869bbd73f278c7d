"""`hdmatt train`: the training commands. Loads torch only when a command runs.

train              a matting network, from random or given weights
train backbone     stage 1: the encoder as a classifier
train norms        batch norms counted again, on patches of the size that the network is used on
train mean         the mean of several weights, or one file's weights in half precision
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from hdmatt.cli import shared
from hdmatt.errors import InputError
from hdmatt.system.memory import MIB

Preset = Literal[
    "paper", "gpu-s", "gpu-r34", "gpu-ablation", "cpu-128", "cpu-160", "cpu-320", "cpu-decoder", "cpu-ablation",
    "wide-unknown", "tiny",
]  # fmt: skip
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting: rate=3e-4, sample.scales=0.5,1,2, ..."),
]
MaxMinutes = Annotated[float | None, typer.Option(help="Stop with a checkpoint after this time.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads. One is best on a busy machine.")]

app = typer.Typer(pretty_exceptions_enable=False)

_HELP = """Train a matting network on asset packs; OUT/model.safetensors is what hdmatt matte --model takes.

A run can be stopped at any moment. --resume continues it from its last checkpoint, with the same result.
OUT gets config.json, curve.jsonl, validation.jsonl, previews/, tensorboard/, state.safetensors and two sets of weights:
model.safetensors (their running mean) and best.safetensors (the best on held-out samples).

Presets, --show lists the settings of one:

  paper         200k steps of 32 patches, as in the paper
  gpu-s         hdmatt-s on one GPU
  gpu-r34       hdmatt-r34 on one GPU: the paper's width
  gpu-ablation  a row of the ablation, on a GPU
  cpu-128       hdmatt-s on two cores, the first stage
  cpu-160       the next stage; then cpu-320.
                Each starts from the weights of the one before (--init)
  cpu-decoder   all but the encoder, on two cores; needs --init
  cpu-ablation  a row of the ablation, on one core; needs --init
  wide-unknown  finished weights, for things that are unknown as a whole; needs --init
  tiny          a dry run of seconds

`hdmatt train backbone` is stage 1 of the paper: the encoder as a classifier of labelled pictures.
`hdmatt train norms` adapts weights that were trained on small patches to larger ones.
`hdmatt train mean` averages the weights of several runs from one start.
docs/training.md is the manual.
"""


@app.callback(invoke_without_command=True, help=_HELP)
def train_command(
    context: shared.Context,
    data: Annotated[
        list[Path] | None, typer.Option(help="Asset pack: foregrounds*/ and backgrounds/, or fg/ alpha/ bg/. Needed.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder. Needed.")] = None,
    preset: Annotated[Preset, typer.Option(help="Settings to start from; the presets are listed above.")] = "cpu-128",
    changes: Changes = None,
    init: Annotated[Path | None, typer.Option(help="Weights to start from, with a fresh schedule.")] = None,
    backbone: Annotated[Path | None, typer.Option(help="ResNet-34 weights for the encoder (safetensors).")] = None,
    show: Annotated[bool, typer.Option("--show", help="List the settings as NAME=VALUE, for --set, and stop.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in --out with its own settings; ignores --preset, --init."),
    ] = False,
    other_pictures: Annotated[
        bool, typer.Option("--other-pictures", help="Let a resumed run continue with other pictures than it had.")
    ] = False,
    steps: Annotated[int | None, typer.Option(help="Length of the schedule; as --set steps=N.")] = None,
    max_minutes: MaxMinutes = None,
    validate: Annotated[
        list[Path] | None,
        typer.Option(help="Test set to score, too, at every validation and at the end: image/ trimap/ alpha/."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that make samples; as --set workers=N.")] = None,
    devices: Annotated[int, typer.Option(min=1, help="GPUs (or CPU processes) on each machine.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines; start the command on each with torchrun.")] = 1,
    accelerator: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="What computes.")] = "auto",
    threads: Threads = None,
    debug: shared.Debug = False,
) -> None:
    if context.invoked_subcommand:
        return
    _check_installed()
    named = {"steps": steps, "workers": workers}
    every = [*(changes or []), *(f"{n}={v}" for n, v in named.items() if v is not None)]
    if show:
        return _show(preset, every, out if resume else None)
    if data is None or out is None:
        raise InputError(
            f"hdmatt train needs {'--data' if data is None else '--out'}",
            hint="As in: hdmatt train --data PACK --out runs/first; hdmatt train --help explains all.",
        )
    from hdmatt.system.memory import keep_freed
    from hdmatt.training.config import changed, check_config, read_config
    from hdmatt.training.loop import Limits
    from hdmatt.training.presets import PRESETS
    from hdmatt.training.processes import make_fabric
    from hdmatt.training.train import Start, train

    _use_threads(threads)
    config = changed(PRESETS[preset], every)
    running = changed(read_config(out / "config.json"), every) if resume and (out / "config.json").is_file() else config
    check_config(running, processes=devices * nodes)  # before there are processes, each of which would say it
    fabric = make_fabric(running.precision, accelerator=accelerator, devices=devices, nodes=nodes)
    if fabric.device.type == "cpu":
        keep_freed(large=True)
    weights = train(
        config,
        data,
        out,
        start=Start(init, backbone, resume, other_pictures, every),
        limits=Limits(max_minutes),
        validate=validate or [],
        fabric=fabric,
        say=shared.print_error,
    )
    typer.echo(f"{weights}: curve in {out / 'curve.jsonl'}")


@app.command("backbone")
def backbone_command(
    data: Annotated[Path, typer.Option(help="Labelled pictures: one subfolder a class.")],
    out: Annotated[Path, typer.Option(help="The run's folder; gets backbone.safetensors.")],
    width: Annotated[int, typer.Option(min=1, help="64 is ResNet-34, 32 the encoder of hdmatt-s.")] = 64,
    size: Annotated[int, typer.Option(min=32, help="Side of the square pictures, in pixels.")] = 160,
    batch: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 256,
    epochs: Annotated[int, typer.Option(min=1, help="Times that every picture is seen.")] = 90,
    rate: Annotated[float, typer.Option(help="Learning rate of SGD after the warm-up.")] = 0.1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures.")] = 1,
    precision: Annotated[
        Literal["auto", "32-true", "bf16-mixed"], typer.Option(help="What layers compute in.")
    ] = "32-true",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out where it stopped.")] = False,
    max_minutes: MaxMinutes = None,
    threads: Threads = None,
    debug: shared.Debug = False,
) -> None:
    """Stage 1: pre-train the encoder as a classifier on a folder of labelled pictures.

    OUT/backbone.safetensors has torchvision's names; give it to hdmatt train --backbone. torchvision's own ImageNet
    weights work as well, once converted: docs/training.md has the command.
    """
    _check_installed()
    from hdmatt.training.backbone import BackboneConfig, train_backbone
    from hdmatt.training.loop import Limits

    _use_threads(threads)
    config = BackboneConfig(
        width=width, size=size, batch=batch, epochs=epochs, rate=rate, workers=workers, precision=precision
    )
    weights = train_backbone(config, data, out, resume=resume, limits=Limits(max_minutes), say=shared.print_error)
    typer.echo(f"{weights}: use it with hdmatt train --backbone {weights}")


@app.command("norms")
def norms_command(
    weights: Annotated[Path, typer.Argument(help="Weights, OUT/model.safetensors of a run.")],
    data: Annotated[list[Path], typer.Option(help="Asset pack, as for hdmatt train.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new weights file.")],
    preset: Annotated[Preset, typer.Option(help="Whose samples; cut to patches of the network's size.")] = "cpu-160",
    changes: Changes = None,
    count: Annotated[int, typer.Option(min=1, help="Batches to count.")] = 40,
    threads: Threads = None,
    debug: shared.Debug = False,
) -> None:
    """Count the batch norms' means and variances again, on patches of the size that the network is used on.

    For weights that were trained on smaller patches: a few percent less error for a minute of work. Nothing that was
    learned changes.
    """
    _check_installed()
    from hdmatt.network.checkpoint import load_card, read_model, save_model
    from hdmatt.samples.packs import load_assets
    from hdmatt.training.batch_norms import recompute_norms
    from hdmatt.training.config import changed, check_config
    from hdmatt.training.presets import PRESETS

    _use_threads(threads)
    config = changed(PRESETS[preset], changes or [])
    check_config(config)
    model = read_model(weights)
    out.parent.mkdir(parents=True, exist_ok=True)
    recompute_norms(model, load_assets(data, longest=config.sample.longest), config, count=count)
    save_model(model, out, half=False, card=load_card(weights))
    typer.echo(f"{out}: norms of {count} batches of patches of {model.config.patch}")


@app.command("mean")
def mean_command(
    weights: Annotated[list[Path], typer.Argument(help="Weights of one kind of network, from one start.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new weights file.")],
    share: Annotated[
        list[float] | None, typer.Option(help="Weight of each file in the mean, in their order. Default: all the same.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Half precision, as weights ship: half the size.")] = False,
    debug: shared.Debug = False,
) -> None:
    """Average several weights, which is often better than each; of one file, write its weights again.

    The new file's training record is that of the first one.
    """
    from hdmatt.network.checkpoint import load_card, read_model, save_model
    from hdmatt.training.average import mean_weights

    mixed = mean_weights([read_model(path) for path in weights], share)
    of = {"mean_of": ", ".join(path.name for path in weights)} if len(weights) > 1 else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    save_model(mixed, out, half=half, card=load_card(weights[0]) | of)
    typer.echo(f"{out}: {out.stat().st_size / MIB:.1f} MiB")


def _show(preset: str, changes: list[str], resumed: Path | None) -> None:
    """Print the settings of a preset, or of a run that would be resumed, with what --set changes."""
    from hdmatt.training.config import changed, read_config, settings
    from hdmatt.training.presets import PRESETS

    start = read_config(resumed / "config.json") if resumed else PRESETS[preset]
    typer.echo("\n".join(settings(changed(start, changes))))


def _check_installed() -> None:
    """Raise InputError where a library of the extra `train` is missing."""
    missing = [name for name in ("annotated_types", "pydantic") if find_spec(name) is None]
    if find_spec("lightning_fabric") is None and find_spec("lightning") is None:  # the second contains the first
        missing.append("lightning_fabric")
    if missing:
        raise InputError(f"hdmatt train needs {', '.join(missing)}", hint="Install them: pip install 'hdmatt[train]'.")


def _use_threads(threads: int | None) -> None:
    if threads:
        import torch

        torch.set_num_threads(threads)
