"""Table 3 of the paper, and more: one weights file a row, all trained alike.

    python -m paper.ablation list
    python -m paper.ablation train --pack runs/pack --row C --minutes 9 --out RESULT [--state LAST_RESULT]
    python -m paper.ablation land  RESULT runs/ablation --row C    # -> runs/ablation/C.safetensors

Hardware:  as research/gpu_slices/slice.py: one GPU, in slices; each row is a run of its own.
Hours:     13 trainings (C-K7 and C-all are one) of 4000 steps of 32 patches: about 9 minutes each on an H100,
           2 h in all. An estimate: not yet run.
Expected:  the paper: A worse than B worse than C; more context patches better, with less and less to gain; the mix of
           patch sizes best. Differences between rows that are smaller than those between two seeds mean nothing: train
           C with --set seed=1, too.

Equal budgets: preset gpu-ablation, the same steps, patches, schedule, seed and pictures for every row. Groups have
eight patches, so that K = 7 is there. K = all trains on the seven others of a group, as K = 7 does, and differs from it
in use only, where every candidate is looked at (`hdmatt eval --topk 1000 --candidates 1000`). Patch sizes are those cut
from the composite and resized to 320, as the paper's training section has it: 320, 480, 640 or the mix (MS). Names are
the keys of paper/table3.py, which takes the folder of the landed rows: a model has K = 3 and size 320 unless its
name says otherwise; all but C-literal are strict. In the rows -alone the extra channels know the patch alone
(model.surroundings): what a network knows of the rest of the picture comes from its context patches, as in the paper.

Without a GPU the rows of a common start show what the context module adds to it: `start` takes everything but the
module from WEIGHTS and lets the module pass on what it is given; then each row trains alike (preset cpu-ablation: 400
steps of two groups of four, a quarter to half an hour a core and row). For rows that groups of four can tell apart:

    python -m paper.ablation start WEIGHTS runs/ablation --row C     # -> runs/ablation/start/C.safetensors
    hdmatt train --data PACK --preset cpu-ablation --init runs/ablation/start/C.safetensors \\
        --out runs/ablation-work/C $(python -m paper.ablation options --row C)

A dry run of a row on a CPU, in a minute: train ... --preset tiny --set steps=6 --minutes 2, then land.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from research.gpu_slices import slice as gpu_slice

if TYPE_CHECKING:
    from hdmatt.network.cpc import CPC

SIZES = {"320": "1", "480": "1.5", "640": "2", "MS": "1,1.5,2"}


def row(cpc: str, *, form: str = "strict", topk: int = 3, size: str = "320", surroundings: bool = True) -> list[str]:
    """The changes of the preset that make a row."""
    changes = [f"model.cpc={cpc}", f"model.form={form}", f"topk={topk}", f"sample.scales={SIZES[size]}"]
    return changes if surroundings else [*changes, "model.surroundings=false"]


ROWS: dict[str, list[str]] = {
    "A": row("none", topk=0),
    "B": row("nonlocal"),
    "C": row("tgnl"),
    "C-literal": row("tgnl", form="literal"),
    "C-480": row("tgnl", size="480"),
    "C-640": row("tgnl", size="640"),
    "C-MS": row("tgnl", size="MS"),
    "C-K1": row("tgnl", topk=1),
    "C-K5": row("tgnl", topk=5),
    "C-K7": row("tgnl", topk=7),
    "C-all": row("tgnl", topk=7),
    "A-alone": row("none", topk=0, surroundings=False),
    "B-alone": row("nonlocal", surroundings=False),
    "C-alone": row("tgnl", surroundings=False),
}


SMALL_ROWS = ("A", "B", "C", "C-literal", "C-K1", "A-alone", "B-alone", "C-alone")  # that need no GPU


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="ablation.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="rows and what is set for each")
    train = commands.add_parser("train", help="one slice of one row; more options as gpu_slice.py train")
    train.add_argument("--row", choices=list(ROWS), required=True)
    start = commands.add_parser("start", help="FOLDER/start/ROW.safetensors: WEIGHTS with the row's own context module")
    start.add_argument("weights", type=Path)
    start.add_argument("folder", type=Path)
    start.add_argument("--row", choices=list(ROWS), required=True)
    options = commands.add_parser("options", help="what `hdmatt train` needs for a row")
    options.add_argument("--row", choices=list(ROWS), required=True)
    land = commands.add_parser("land", help="shards of a finished row to FOLDER/ROW.safetensors")
    land.add_argument("shards", type=Path)
    land.add_argument("folder", type=Path)
    land.add_argument("--row", choices=list(ROWS), required=True)
    args, rest = parser.parse_known_args()
    if rest and args.command != "train":
        parser.error(f"unknown: {' '.join(rest)}")
    gpu_slice.prepare(getattr(args, "pack", ()))
    from hdmatt.errors import HDMattError

    try:
        return run(args, rest)
    except HDMattError as error:
        print(f"ablation: {error.message}\n  {error.hint}", file=sys.stderr)
        return error.exit_code


def run(args: argparse.Namespace, rest: list[str]) -> int:
    """What the command line asks for."""
    if args.command == "list":
        for name, changes in ROWS.items():
            print(name, *changes)
        return 0
    if args.command == "options":
        print_options(args.row)
    elif args.command == "start":
        print(start_row(args.weights, args.folder / "start" / f"{args.row}.safetensors", ROWS[args.row]))
    elif args.command == "land":
        print(land_row(args.shards, args.folder / f"{args.row}.safetensors"))
    if args.command != "train":
        return 0
    own = [part for change in ROWS[args.row] for part in ("--set", change)]
    work = [] if "--work" in rest else ["--work", str(gpu_slice.ROOT / "runs/ablation-work" / args.row)]
    preset = [] if "--preset" in rest else ["--preset", "gpu-ablation"]
    return gpu_slice.main(["train", *preset, *own, *work, *rest])


def print_options(name: str) -> None:
    """What makes the row, for preset cpu-ablation; its own mix of sizes stays as it is, in every row."""
    from hdmatt.errors import InputError

    if name not in SMALL_ROWS:
        raise InputError(
            f"cpu-ablation cannot train {name}: its groups have four patches, all of its own mix of sizes",
            hint=f"Choose one of: {', '.join(SMALL_ROWS)}; the others need a GPU (ablation.py train).",
        )
    print(" ".join(f"--set {change}" for change in ROWS[name] if not change.startswith("sample.scales")))


def start_row(weights: Path, target: Path, changes: list[str]) -> Path:
    """The row's network, its module drawn from seed 0 as a shortcut, all else from `weights`."""
    from dataclasses import replace

    import torch

    from hdmatt.network.checkpoint import load_card, read_model, save_model
    from hdmatt.network.model import HDMatt
    from hdmatt.training.config import changed
    from hdmatt.training.presets import PRESETS

    trained = read_model(weights)
    row = changed(PRESETS["paper"], [c for c in changes if c.startswith("model.")]).model
    torch.manual_seed(0)
    model = HDMatt(replace(trained.config, cpc=row.cpc, form=row.form, surroundings=row.surroundings))
    shared = {n: t for n, t in trained.state_dict().items() if not n.startswith("cpc.")}
    model.load_state_dict(model.state_dict() | shared)
    start_as_shortcut(model.cpc)  # no row starts with less than row A
    target.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, target, half=False, card=load_card(weights) | {"row": target.stem})
    return target


def start_as_shortcut(cpc: "CPC") -> None:
    """Let the module pass the query's own features on, and add nothing of what it reads, until it has learned.

    In a trained network a convolution drawn at random in the features' way would cost all that the network knew, and
    a comparison with model A would be one of head starts. Features are what a ReLU gave, so with stored statistics of
    mean 0 and variance 1 the module returns them as they are.
    """
    from torch import nn

    if cpc.kind == "none":
        return
    joining, norm = cpc.fuse[0], cpc.fuse[1]
    assert isinstance(joining, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    nn.init.zeros_(joining.weight)
    nn.init.dirac_(joining.weight[:, : joining.out_channels])
    norm.reset_parameters()


def land_row(shards: Path, target: Path) -> Path:
    """The running mean of the weights, in half precision."""
    from tempfile import TemporaryDirectory

    from hdmatt.errors import InputError
    from hdmatt.network.checkpoint import load_card, read_model, save_model
    from hdmatt.training.config import read_config
    from research.gpu_slices.state import join, step_of

    with TemporaryDirectory() as folder:
        run = join(shards, Path(folder) / "run")
        steps = read_config(run / "config.json").steps
        if step_of(shards) < steps:
            raise InputError(f"{shards} is at step {step_of(shards)} of {steps}", hint="Finish the row first.")
        target.parent.mkdir(parents=True, exist_ok=True)
        weights = run / "model.safetensors"
        save_model(read_model(weights), target, half=True, card=load_card(weights) | {"row": target.stem})
    return target


if __name__ == "__main__":
    sys.exit(main())
