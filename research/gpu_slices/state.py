"""Training in slices: time on a GPU that comes in pieces of minutes, with little that fits in and out.

A slice starts on a bare machine with a pack of training pictures and the state that the last slice left; it ends with
that state again, in files of limited size. Knows runs' folders and files, no training loop. Top to bottom:

    pack, unpack    asset folders <-> tar files of a size that travels
    split, join     a run's state <-> half-precision shards

What a state keeps, in this order, as far as the limit allows: the running mean of the weights (EMA), the weights,
Adam's moments. Norms and biases stay float32. What does not fit is made up for when the run goes on: weights start
from their mean, moments from nothing, and the rate rises once more (TrainConfig.rewarm).
"""

import hashlib
import importlib.metadata
import io
import json
import math
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from hdmatt.errors import InputError
from hdmatt.network.checkpoint import load_state, load_tensors, save_model, save_state, save_tensors
from hdmatt.network.model import HDMatt
from hdmatt.samples.packs import decode, discover_assets, read_foreground, shrink
from hdmatt.system.files import replacing
from hdmatt.training.config import TrainConfig, card_of, parse_config, read_config, write_config
from hdmatt.training.curves import CURVE, VALIDATION

MIB = 2**20
FORMAT = "hdmatt-shard-1"
LIBRARIES = ("jaxtyping", "wadler_lindig")  # pure Python; what a GPU machine lacks most often
MANIFEST, LIBRARY_FILE = "pack.json", "libraries.zip"
KINDS = ("ema", "model", "adam")  # in order of importance


@dataclass(frozen=True)
class PackOptions:
    """How training pictures are made small.

    Attributes:
        foreground, background: Longest side, in pixels.
        quality: Of the colours of foregrounds that are shrunk (WebP; alpha loses nothing but what shrinking takes).
            Others keep all: WebP is copied byte by byte, anything else becomes lossless WebP.
        background_quality: Of backgrounds (JPEG).
        limit_mib, part_mib: The most that the pack and each of its files may take.
    """

    foreground: int = 1024
    background: int = 900
    quality: int = 92
    background_quality: int = 85
    limit_mib: float = 57.0
    part_mib: float = 15.0


def pack(data: Sequence[Path], out: Path, options: PackOptions | None = None) -> list[Path]:
    """Write `out/pack-00.tar` and so on, `pack.json` and the libraries; the same input gives the same bytes.

    Raises:
        InputError: `out` is not empty, a picture cannot be decoded, or the pack is over its limit.
    """
    options = options or PackOptions()
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty", hint="Name a folder that is not there yet.")
    entries = sorted(_small_pictures(data, options))
    total = sum(len(content) for _, content in entries)
    if total > options.limit_mib * MIB:
        raise InputError(
            f"the pack would take {total / MIB:.1f} MiB, the limit is {options.limit_mib} MiB",
            hint="Make pictures smaller: --background 700 --background-quality 80, or --foreground 640.",
        )
    out.mkdir(parents=True, exist_ok=True)
    parts = [_tar(part) for part in _filled(entries, limit=int(options.part_mib * MIB))]
    names = {f"pack-{i:02d}.tar": content for i, content in enumerate(parts)}
    names[LIBRARY_FILE] = _libraries()
    manifest = {
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in names.items()},
        "pictures": [name for name, _ in entries],
        "options": asdict(options),
    }
    names[MANIFEST] = json.dumps(manifest, indent=1).encode()
    return [_put(out / name, content) for name, content in names.items()]


def unpack(folder: Path, target: Path) -> Path:
    """Unpack into `target`, an earlier unpacked one included; returns it, an asset pack for `train`.

    Raises:
        InputError: No pack, one of its files is missing or damaged, or `target` holds something else.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise InputError(f"{folder} holds no pack", hint="Make one: research/gpu_slices/slice.py pack.")
    if target.exists() and any(target.iterdir()):
        if not (target / MANIFEST).is_file():
            raise InputError(f"{target} holds no unpacked pack, but other things", hint="Name an empty folder.")
        shutil.rmtree(target)
    contents = checked(folder)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(manifest, target / MANIFEST)
    for name, content in contents.items():
        if name != LIBRARY_FILE:
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                tar.extractall(target, filter="data")
    return target


def checked(folder: Path) -> dict[str, bytes]:
    """The files of a pack by their names, the libraries among them.

    Raises:
        InputError: One of them is missing or damaged.
    """
    files: dict[str, str] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    contents: dict[str, bytes] = {}
    for name in sorted({*files, LIBRARY_FILE}):
        content = (folder / name).read_bytes() if (folder / name).is_file() else b""
        if hashlib.sha256(content).hexdigest() != files.get(name):
            raise InputError(f"{folder / name} is missing or damaged", hint="Copy the pack again from its source.")
        contents[name] = content
    return contents


def split(run: Path, out: Path, *, limit_mib: float = 60.0, shard_mib: float = 15.0, keep: str = "") -> list[Path]:
    """Write a run's state as `out/state-0-of-3.safetensors` and so on; earlier shards there are removed.

    Args:
        limit_mib, shard_mib: The most that all shards and each of them may take.
        keep: The last of "ema", "model", "adam" to keep; empty: as many as fit.

    Raises:
        InputError: No run, or not even the running mean fits into the limit.
    """
    tensors, numbers = load_state(run / "state.safetensors")
    config = read_config(run / "config.json")
    kinds = _by_kind(tensors)
    wanted = KINDS[: KINDS.index(keep) + 1] if keep else KINDS
    chosen: dict[str, Tensor] = {}
    for kind in wanted:
        more = {**chosen, **kinds[kind]}
        if _size(more) > limit_mib * MIB:
            break
        chosen = more
    if not chosen:
        raise InputError(
            f"the weights take {_size(kinds['ema']) / MIB:.1f} MiB in half precision, the limit is {limit_mib} MiB",
            hint="Raise the limit, or train a narrower network.",
        )
    shards = list(_filled(sorted(chosen.items()), limit=int(shard_mib * MIB)))
    identity = _identity(chosen)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("state-*-of-*.safetensors"):
        old.unlink()
    written: list[Path] = []
    for i, shard in enumerate(shards):
        metadata = {
            "format": FORMAT,
            "shard": str(i),
            "of": str(len(shards)),
            "state": f"{identity}-{numbers['step']}",
            "numbers": json.dumps(numbers),
            "config": json.dumps(asdict(config)),
        }
        path = out / f"state-{i}-of-{len(shards)}.safetensors"
        save_tensors(dict(shard), metadata, path)
        written.append(path)
    return written


def join(shards: Path, run: Path) -> Path:
    """Put shards together into a run's folder that `hdmatt train --resume` continues; returns the folder.

    A slice's pictures are smaller than those of the pack it was made of: with the latter, `--other-pictures` is needed.

    `run/model.safetensors` is the running mean of the weights, for `--init`, `hdmatt matte` and `hdmatt eval`. Curves
    beside the shards are taken along.

    Raises:
        InputError: No shards, one is missing, they are of different states, or `run` already holds a run.
    """
    if (run / "state.safetensors").exists():
        raise InputError(f"{run} already holds a run", hint="Name another folder.")
    tensors, numbers, config = _read_shards(shards)
    state = _whole(tensors)
    each = config.groups * config.sample.group
    numbers = {"seen": numbers["step"] * each, **numbers}  # shards of before they told
    numbers |= {"restart": numbers["step"], "best": None}  # the best weights do not travel: each slice has its own
    run.mkdir(parents=True, exist_ok=True)
    for name in (CURVE, VALIDATION):
        if (shards / name).is_file():
            shutil.copyfile(shards / name, run / name)
    write_config(config, run / "config.json")
    model = HDMatt(config.model)
    model.load_state_dict({n.removeprefix("ema."): t for n, t in state.items() if n.startswith("ema.")})
    save_model(model, run / "model.safetensors", half=False, card=card_of(config, numbers))
    save_state(state, numbers, run / "state.safetensors")
    return run


def step_of(shards: Path) -> int:
    """The step at which the shards of a folder were written; -1 where there are none."""
    paths = sorted(shards.glob("state-*-of-*.safetensors")) if shards.is_dir() else []
    return int(json.loads(load_tensors(paths[0])[1]["numbers"])["step"]) if paths else -1


def _identity(tensors: dict[str, Tensor]) -> str:
    """Tells one state from another, so that their shards are not mixed."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _small_pictures(data: Sequence[Path], options: PackOptions) -> Iterator[tuple[str, bytes]]:
    """Name in the pack and content of every picture; names start with the number of their source folder."""
    for number, folder in enumerate(data):
        assets = discover_assets(folder)
        for entry in assets.foregrounds:
            path = entry if isinstance(entry, Path) else entry[0]
            yield f"foregrounds/{number}-{path.parent.name}-{path.stem}.webp", _foreground(entry, options)
        for path in assets.backgrounds:
            yield f"backgrounds/{number}-{path.parent.name}-{path.stem}.jpg", _background(path, options)


def _foreground(entry: Path | tuple[Path, Path], options: PackOptions) -> bytes:
    from PIL import Image

    rgba = read_foreground(entry)
    whole = max(rgba.shape[:2]) <= options.foreground
    if whole and isinstance(entry, Path) and entry.suffix == ".webp":
        return entry.read_bytes()
    stream = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(shrink(rgba, options.foreground)))
    kept: dict[str, Any] = {"lossless": True} if whole else {"quality": options.quality, "alpha_quality": 100}
    picture.save(stream, "WEBP", method=4, exact=True, **kept)
    return stream.getvalue()


def _background(path: Path, options: PackOptions) -> bytes:
    small = shrink(decode(path, "colour"), options.background)
    quality = [cv2.IMWRITE_JPEG_QUALITY, options.background_quality]
    good, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), quality)
    assert good
    return encoded.tobytes()


def _filled(entries: Sequence[tuple[str, Any]], *, limit: int) -> Iterator[list[tuple[str, Any]]]:
    """Entries in their order, in as few parts as the order allows; a part stays below the limit."""
    part: list[tuple[str, Any]] = []
    taken = 0
    for name, content in entries:
        size = _bytes_of(name, content)
        if size > limit:
            raise InputError(f"{name} alone takes {size / MIB:.1f} MiB", hint="Allow larger files.")
        if part and taken + size > limit:
            yield part
            part, taken = [], 0
        part.append((name, content))
        taken += size
    if part:
        yield part


def _bytes_of(name: str, content: bytes | Tensor) -> int:
    """What an entry takes in its file, headers included, at most."""
    if isinstance(content, Tensor):
        return content.nbytes + len(name) + 110
    return 512 * (2 + math.ceil(len(content) / 512))


def _tar(part: Sequence[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in part:
            header = tarfile.TarInfo(name)  # time 0, no owner: the same bytes wherever it is made
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return stream.getvalue()


def _libraries() -> bytes:
    """The installed pure-Python libraries as one zip file, which can stand on sys.path as it is."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for library in LIBRARIES:
            for file in sorted(importlib.metadata.files(library) or [], key=str):
                wanted = file.suffix in (".py", ".typed") or file.name in ("METADATA", "LICENSE")
                if wanted and ".." not in file.parts:
                    archive.writestr(zipfile.ZipInfo(file.as_posix()), Path(str(file.locate())).read_bytes())
    return stream.getvalue()


def _put(path: Path, content: bytes) -> Path:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def _by_kind(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The parts of a state as they are stored; the probes go with the mean, for without them its loss would jump."""
    kinds: dict[str, dict[str, Tensor]] = {kind: {} for kind in KINDS}
    for name, tensor in tensors.items():
        prefix = name.split(".")[0]
        if prefix == "adam":
            kinds["adam"][name] = _moment(name, tensor)
        else:
            kinds["model" if prefix == "model" else "ema"][name] = _half(tensor)
    return kinds


def _half(tensor: Tensor) -> Tensor:
    """Matrices and convolutions in float16; norms, biases and counts as they are."""
    if not tensor.is_floating_point() or tensor.ndim <= 1:
        return tensor
    return tensor.clamp(-65504, 65504).half()


def _moment(name: str, tensor: Tensor) -> Tensor:
    """Adam's moments in bfloat16, whose range float16 lacks: squared gradients of 1e-12 are common."""
    return tensor.bfloat16() if tensor.ndim > 1 else tensor


def _size(tensors: dict[str, Tensor]) -> int:
    return sum(_bytes_of(n, t) for n, t in tensors.items())


def _read_shards(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any], TrainConfig]:
    paths = sorted(folder.glob("state-*-of-*.safetensors")) if folder.is_dir() else []
    if not paths:
        raise InputError(f"{folder} holds no shards of a state", hint="Name the folder that a slice wrote.")
    read = [load_tensors(path) for path in paths]
    if any(metadata.get("format") != FORMAT for _, metadata in read):
        raise InputError(f"{folder} holds files that are no shards", hint="Name the folder that a slice wrote.")
    first = read[0][1]
    if len({metadata["state"] for _, metadata in read}) > 1 or len(read) > int(first["of"]):
        raise InputError(f"{folder} holds shards of different states", hint="Keep the shards of one slice only.")
    if len(read) < int(first["of"]):
        raise InputError(f"{folder} holds {len(read)} of {first['of']} shards", hint="Copy the missing ones there.")
    config, numbers = parse_config(first["config"], f"{paths[0]}'s metadata"), json.loads(first["numbers"])
    return {n: t for tensors, _ in read for n, t in tensors.items()}, numbers, config


def _whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state in single precision; without weights of their own, those of the mean."""
    state = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
    if not any(n.startswith("model.") for n in state):
        state |= {f"model.{n.removeprefix('ema.')}": t.clone() for n, t in state.items() if n.startswith("ema.")}
    return state
