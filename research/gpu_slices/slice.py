"""Train on a GPU in slices of minutes: everything a slice needs comes along, everything it made goes home.

    python -m research.gpu_slices.slice pack  --data DATA --out runs/pack
    python -m research.gpu_slices.slice train --pack runs/pack --preset gpu-s --minutes 9 --out RESULT \\
        [--state LAST_RESULT]
    python -m research.gpu_slices.slice join  RESULT runs/gpu-s
    python -m research.gpu_slices.slice thin  RESULT SMALLER --limit 30

Hardware:  one GPU of 40 GB or more (written for an H100 and 16 cores: bf16, 15 processes that make samples). No
           network; Python with torch, numpy, opencv, pillow, safetensors and lightning. Neither PyMatting nor psutil
           is needed, and OpenImageIO only for --validate; jaxtyping comes with the pack. Where pydantic is missing, put
           its wheels for the machine's Python into PACK/wheels: pip download --no-deps --only-binary=:all:
           --python-version 3.12 -d PACK/wheels pydantic pydantic-core annotated-types typing-inspection
Hours:     hdmatt-s on an H200: 0.094 s a step of gpu-s with --set compile=true, which takes 70 s more at the start,
           40 000 in 1.1 h; 0.12 s without. The first steps take 20 s. hdmatt-r34 has not been run: about four times
           as long.
           Set steps for the time there is, on the safe side: what is cut off is the end of the schedule.
Expected:  8500 steps from the weights of before: docs/model-card.md, stage 18.

A slice: unpack the pack into WORK, take up the run. If WORK (kept on the machine between commands) holds a later step
than the state, it goes on from there, bit for bit; else the shards of the state are joined there, and the rate rises
once more over `rewarm` steps. After --minutes, all told but --validate, RESULT holds at most four shards of 15 MiB,
curve.jsonl, validation.jsonl, the last preview sheet and one of each --validate set. What travels: pack 40 MB, hdmatt-s
13 MiB a kind (mean, weights; twice that Adam's moments), hdmatt-r34 four times as much. `thin` keeps less of a state
where the way in is narrower than the way out.

A dry run of the whole cycle on a CPU: --preset tiny --minutes 1 (tests/research/test_gpu_slices.py does it).
"""

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

STARTED = time.monotonic()
ROOT = Path(__file__).resolve().parents[2]
RESERVE = 0.35  # minutes for the last validation, the checkpoint and the shards


def prepare(packs: Sequence[Path] = ()) -> None:
    """hdmatt from this tree, and from the packs what the machine lacks: jaxtyping, and wheels; one thread a process.

    NumPy's BLAS would start as many threads as there are cores in each of the processes that make samples.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if importlib.util.find_spec("jaxtyping") is None:
        sys.path += [str(checked_libraries(pack.resolve())) for pack in packs]
    if importlib.util.find_spec("pydantic") is None:
        sys.path += [str(unzip_wheels(pack.resolve() / "wheels")) for pack in packs]
    sys.path.insert(0, str(ROOT / "src"))


def checked_libraries(pack: Path) -> Path:
    """The libraries' file of a pack, which is about to be run: only as `pack` wrote it."""
    file = pack / "libraries.zip"
    known = json.loads((pack / "pack.json").read_text(encoding="utf-8"))["files"].get(file.name)
    if hashlib.sha256(file.read_bytes()).hexdigest() != known:
        sys.exit(f"gpu_slice: {file} is not the one that pack.json knows\n  Copy the pack again, or make it anew.")
    return file


def unzip_wheels(folder: Path) -> Path:
    """Wheels, which may hold compiled code, as a folder that can stand on sys.path."""
    target = folder / "unzipped"
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    return target


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    prepare(getattr(args, "pack", None) or ())
    from hdmatt.errors import HDMattError

    try:
        {"pack": make_pack, "train": train_slice, "join": join_state, "thin": thin_state}[args.command](args)
    except HDMattError as error:
        print(f"gpu_slice: {error.message}\n  {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu_slice.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    pack = commands.add_parser("pack", help="training pictures, small, as tar files")
    pack.add_argument("--data", type=Path, action="append", required=True, help="asset pack; may be repeated")
    pack.add_argument("--out", type=Path, required=True)
    pack.add_argument("--foreground", type=int, default=1024, help="longest side, pixels")
    pack.add_argument("--background", type=int, default=900, help="longest side, pixels")
    pack.add_argument("--background-quality", type=int, default=85, help="JPEG")
    pack.add_argument("--limit", type=float, default=57.0, help="MiB in all")
    train = commands.add_parser("train", help="one slice")
    train.add_argument("--pack", type=Path, action="append", required=True, help="may be repeated")
    train.add_argument("--out", type=Path, required=True, help="the slice's results")
    train.add_argument("--state", type=Path, help="folder with the shards of the last slice")
    train.add_argument("--init", type=Path, help="weights to start the first slice from")
    train.add_argument("--preset", default="gpu-s")
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="changes")
    train.add_argument("--minutes", type=float, required=True, help="from the start of this command to its shards")
    train.add_argument("--work", type=Path, help="kept between commands; default: runs/slice/PRESET")
    train.add_argument(
        "--validate", type=Path, action="append", default=[], help="test set to score at the end, in time of its own"
    )
    train.add_argument("--limit", type=float, default=60.0, help="MiB of all shards")
    join = commands.add_parser("join", help="shards to a run's folder: hdmatt train --resume, --init")
    join.add_argument("shards", type=Path)
    join.add_argument("run", type=Path)
    thin = commands.add_parser("thin", help="a smaller state of the same step")
    thin.add_argument("shards", type=Path)
    thin.add_argument("out", type=Path)
    thin.add_argument("--limit", type=float, required=True, help="MiB")
    return parser.parse_args(arguments)


def make_pack(args: argparse.Namespace) -> None:
    from research.gpu_slices.state import PackOptions, pack

    options = PackOptions(
        foreground=args.foreground,
        background=args.background,
        background_quality=args.background_quality,
        limit_mib=args.limit,
    )
    for path in pack(args.data, args.out, options):
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")


def train_slice(args: argparse.Namespace) -> None:
    """Train for what is left of --minutes, then write shards and curves."""
    import torch

    from hdmatt.network.checkpoint import load_state, read_model
    from hdmatt.training.config import changed, read_config
    from hdmatt.training.curves import CURVE, VALIDATION, Curves, sample_sheet, save_jpeg
    from hdmatt.training.loop import Limits
    from hdmatt.training.presets import PRESETS
    from hdmatt.training.train import Start, train
    from hdmatt.training.validate import Folders
    from research.gpu_slices.state import join, split, step_of

    args.work = args.work or ROOT / "runs/slice" / args.preset
    run = args.work / "run"
    here = load_state(run / "state.safetensors")[1]["step"] if (run / "state.safetensors").is_file() else -1
    there = step_of(args.state) if args.state else -1
    if there > here:
        shutil.rmtree(run, ignore_errors=True)
        join(args.state, run)
        print(f"going on from step {there} of {args.state}")
    elif here >= 0:
        print(f"going on from step {here} of {run}")
    resume = max(here, there) >= 0
    changes = ["tensorboard=false", *args.changes]
    config = changed(read_config(run / "config.json") if resume else PRESETS[args.preset], changes)
    if resume and max(here, there) >= config.steps:
        print(f"all {config.steps} steps are done")
    else:
        data = unpack_all(args.pack, args.work)
        spent = (time.monotonic() - STARTED) / 60
        train(
            config,
            data,
            run,
            # a slice may bring another pack; it says so
            start=Start(init=None if resume else args.init, resume=resume, other_pictures=True, changes=changes),
            limits=Limits(max(0.0, args.minutes - spent - RESERVE)),
            say=lambda line: print(line, flush=True),
        )
    args.out.mkdir(parents=True, exist_ok=True)
    for path in split(run, args.out, limit_mib=args.limit):
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
    if args.validate:  # last: whatever happens to it, the slice's work is kept
        step = step_of(args.out)
        curves = Curves(run, step=step, tensorboard=False)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        for scored in Folders(args.validate, config)(read_model(run / "model.safetensors").to(device)):
            curves.validation(scored.row(step))
            save_jpeg(
                sample_sheet(scored.lines, caption=f"step {step}"), args.out / f"{scored.name.replace(' ', '-')}.jpg"
            )
            print(f"step {step}: {scored.name}: SAD {scored.sad:.3f}, MSE {1000 * scored.mse:.2f}e-3")
        curves.close()
    for name in (CURVE, VALIDATION):
        if (run / name).is_file():
            shutil.copyfile(run / name, args.out / name)
    sheets = sorted((run / "previews").glob("*-held-out.jpg"))
    if sheets:
        shutil.copyfile(sheets[-1], args.out / "preview.jpg")


def unpack_all(packs: Sequence[Path], work: Path) -> list[Path]:
    """Each into a folder of its own."""
    from research.gpu_slices.state import unpack

    return [unpack(pack, work / f"pack-{number}") for number, pack in enumerate(packs)]


def join_state(args: argparse.Namespace) -> None:
    from research.gpu_slices.state import join

    print(f"{join(args.shards, args.run)}: go on with hdmatt train --resume, or use its model.safetensors")
    print("(with pictures other than the slice's own, which are smaller than those of its pack: --other-pictures)")


def thin_state(args: argparse.Namespace) -> None:
    from tempfile import TemporaryDirectory

    from research.gpu_slices.state import join, split

    with TemporaryDirectory() as folder:
        for path in split(join(args.shards, Path(folder) / "run"), args.out, limit_mib=args.limit):
            print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    sys.exit(main())
