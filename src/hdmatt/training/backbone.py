"""Stage 1 of the paper: the encoder learns to tell pictures apart before it learns to matte.

A folder of labelled pictures in (one subfolder a class), ResNet-34 weights in torchvision's naming out, which
`hdmatt train --backbone` and checkpoint.load_resnet34 take. Knows the encoder, nothing of matting. Top to bottom:

    BackboneConfig   everything that the pre-training depends on
    train_backbone   the training; stops and continues like train.train
    Classifier       the encoder without ASPP, a mean and a linear layer
    discover_classes picture files and their labels

The encoder runs exactly as it does when matting (output stride 8, dilated), so nothing changes for its weights when
the task does; a classifier's strides would be faster and see other scales.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from hdmatt.errors import InputError
from hdmatt.network.checkpoint import save_tensors
from hdmatt.network.encoder import Encoder
from hdmatt.network.inputs import IMAGENET_MEAN, IMAGENET_STD
from hdmatt.samples.packs import decode
from hdmatt.training.batches import Arrays, loader
from hdmatt.training.config import (
    STATE,
    AtLeast0,
    BelowOne,
    Natural,
    Positive,
    TrainingPrecision,
    check_folder,
    write_config,
)
from hdmatt.training.curves import Curves
from hdmatt.training.loop import Limits, run_steps
from hdmatt.training.processes import Fabric, Say, make_fabric, process_switches, silent
from hdmatt.training.run import Run
from hdmatt.training.step import schedule

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
WEIGHTS = "backbone.safetensors"
_FREE = ("workers", "precision", "save_every")  # may change when a run goes on
_OPTIONS = ("width", "size", "batch", "epochs", "rate", "workers", "precision")  # of the command line


@dataclass(frozen=True)
class BackboneConfig:
    """What a pre-training depends on; written into its folder.

    Attributes:
        width: 64 is ResNet-34.
        size: Side of the square pictures, in pixels.
        warmup: Steps in which the rate rises, at most a tenth of all.
    """

    width: Positive = 64
    size: Annotated[int, Ge(32)] = 160
    batch: Positive = 256
    epochs: Positive = 90
    rate: Annotated[float, Gt(0), Lt(float("inf"))] = 0.1
    momentum: BelowOne = 0.9
    decay: AtLeast0 = 1e-4
    warmup: Natural = 500
    smoothing: BelowOne = 0.1
    workers: Natural = 1
    seed: Natural = 0
    precision: TrainingPrecision = "32-true"
    save_every: Positive = 500


def train_backbone(
    config: BackboneConfig,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    limits: Limits | None = None,
    fabric: Fabric | None = None,
    say: Say = silent,
) -> Path:
    """Pre-train the encoder; returns the weights' file, `out/backbone.safetensors`.

    SGD with momentum, warm-up and cosine, cross-entropy with smoothed labels, a random crop and a flip, as ResNets
    are trained. `curve.jsonl` has loss and accuracy on the training pictures.

    Args:
        limits: When this call stops; the schedule is that of the whole run.

    Raises:
        InputError: No labelled pictures; `out` holds a run that is not resumed, or there is none to resume; a run that
            would go on with other pictures or another configuration, for its position would mean other pictures.
    """
    limits = limits or Limits()
    state = check_folder(out, resume=resume)
    _check(config)
    pictures, names = discover_classes(data)
    if resume:
        _check_same(config, out / "config.json")
    fabric = fabric or make_fabric(config.precision)
    fabric.launch()
    if fabric.world_size > 1:
        raise InputError("the pre-training runs on one device", hint="Give it a fabric of one device.")
    out.mkdir(parents=True, exist_ok=True)
    with process_switches(fabric.device, seed=config.seed):
        network = Classifier(config.width, len(names)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        sgd = torch.optim.SGD(
            network.parameters(), lr=config.rate, momentum=config.momentum, weight_decay=config.decay, nesterov=True
        )
        run = Run({"model": network}, sgd, ema=0.0)
        run.move(fabric.device)
        if resume:
            run.load(state, patches_a_step=config.batch)
        digest = hashlib.blake2b(repr(names).encode(), digest_size=6).hexdigest()
        run.take(f"{len(pictures)} pictures of {len(names)} classes, {digest}", others=False)
        write_config(config, out / "config.json")
        run_steps(_Classifying(config, run, pictures, names, out, fabric), fabric, limits, say)
    return out / WEIGHTS


class Classifier(nn.Module):
    """Pictures to classes through the matting encoder; names of the state as in torchvision's ResNet-34."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.encoder = Encoder(width, extra=False, coarse=False)
        del self.encoder.aspp
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, pictures_B3HW: Tensor) -> Tensor:
        """Logits of normalised pictures. The trimap's three channels are 0: they learn nothing here."""
        inputs = F.pad(pictures_B3HW, (0, 0, 0, 0, 0, 3))
        encoder = self.encoder
        x = F.max_pool2d(encoder.layer1(encoder.stem(inputs).pooled), 2)
        x = encoder.layer4(encoder.layer3(encoder.layer2(x)))
        return self.fc(x.mean((2, 3)))

    def backbone(self) -> dict[str, Tensor]:
        """Weights in torchvision's naming: conv1 for three channels, no prefix, the last layer as fc."""
        tensors = dict(self.encoder.state_dict())
        tensors["conv1.weight"] = tensors["conv1.weight"][:, :3]
        return {**tensors, **{f"fc.{n}": t for n, t in self.fc.state_dict().items()}}


def discover_classes(folder: Path) -> tuple[list[tuple[Path, int]], list[str]]:
    """Every picture of `folder/<class>/` with the number of its class, and the classes' names, in order of the names.

    Raises:
        InputError: No such folder, fewer than two classes, or a class without pictures.
    """
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".") if folder.is_dir() else []
    if len(names) < 2:
        raise InputError(
            f"{folder} has {len(names)} subfolders with pictures, at least two classes are needed",
            hint="Put the pictures of each class into a subfolder of its own: FOLDER/cat/1.jpg, FOLDER/dog/1.jpg.",
        )
    found: list[tuple[Path, int]] = []
    for label, name in enumerate(names):
        pictures = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in SUFFIXES)
        if not pictures:
            raise InputError(
                f"{folder / name} holds no picture",
                hint=f"Fill it or remove it; we read {', '.join(sorted(SUFFIXES))}.",
            )
        found += [(path, label) for path in pictures]
    return found, names


class _Classifying:
    """The classifier in training: the `loop.Job` of `train_backbone`."""

    clip = 0.0
    pieces = 1

    def __init__(
        self,
        config: BackboneConfig,
        run: Run,
        pictures: Sequence[tuple[Path, int]],
        names: Sequence[str],
        out: Path,
        fabric: Fabric,
    ) -> None:
        self.config, self.run, self.pictures, self.names, self.out = config, run, pictures, names, out
        self.per_epoch = max(1, len(pictures) // config.batch)
        self.steps, self.save_every = config.epochs * self.per_epoch, config.save_every
        self.patches = min(config.batch, len(pictures))
        self.curves: Curves | None = Curves(out, step=run.step, tensorboard=False)
        self.model, self.optimiser = fabric.setup(run.model, run.optimiser)

    def batches(self) -> Iterator[dict[str, Tensor]]:
        """Every epoch looks at every picture once, in an order of its own."""
        size, count = self.config.size, len(self.pictures)
        indices = (
            (step // self.per_epoch) * count + (step % self.per_epoch) * self.patches + i
            for step in range(self.run.step, self.steps)
            for i in range(self.patches)
        )
        bytes_a_batch = self.patches * (3 * size**2 + 8)
        samples = _Pictures(self.pictures, self.config)
        return loader(
            samples,
            indices,
            batch=self.patches,
            workers=self.config.workers,
            bytes_a_batch=bytes_a_batch,
            join=_stacked,
        )

    def rate(self) -> float:
        warmup = min(self.config.warmup, self.steps // 10)  # a small folder has few steps
        return schedule(self.config.rate, self.run.step, steps=self.steps, warmup=warmup)

    def loss(self, batch: dict[str, Tensor], piece: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy, and the share of pictures that were told right."""
        logits = self.model(_normalised(batch["pixels"]))
        loss = F.cross_entropy(logits.float(), batch["label"], label_smoothing=self.config.smoothing)
        return loss, {"accuracy": (logits.argmax(1) == batch["label"]).float().mean()}

    def keep(self, *, last: bool) -> None:
        if last or self.run.step % self.save_every == 0:
            self.run.save(self.out / STATE)
            network = self.run.model
            assert isinstance(network, Classifier)
            tensors = {n: t.float() if t.is_floating_point() else t for n, t in network.backbone().items()}
            save_tensors(tensors, {"classes": str(len(self.names)), "steps": str(self.run.step)}, self.out / WEIGHTS)


class _Pictures(Dataset[Arrays]):
    """Squares by number: the n-th look at the data decides picture, square and flip."""

    def __init__(self, pictures: Sequence[tuple[Path, int]], config: BackboneConfig) -> None:
        self.pictures, self.config = pictures, config
        self.order: tuple[int, np.ndarray] | None = None  # of the epoch that was last asked for

    def __getitem__(self, index: int) -> Arrays:
        epoch, place = divmod(index, len(self.pictures))
        if self.order is None or self.order[0] != epoch:
            self.order = epoch, np.random.default_rng([self.config.seed, epoch]).permutation(len(self.pictures))
        path, label = self.pictures[self.order[1][place]]
        pixels = _square(path, np.random.default_rng([self.config.seed, index, 1]), self.config.size)
        return {"pixels": pixels, "label": np.array(label)}


def _square(path: Path, rng: np.random.Generator, size: int) -> np.ndarray:
    """A random square, a quarter to all of the largest one's area, flipped at random."""
    pixels = decode(path, "colour")
    height, width = pixels.shape[:2]
    side = max(1, int(min(height, width) * np.sqrt(rng.uniform(0.25, 1))))
    y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    square = pixels[y : y + side, x : x + side]
    if rng.random() < 0.5:
        square = square[:, ::-1]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(square), (size, size), interpolation=how)


def _stacked(samples: list[Arrays]) -> Arrays:
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def _normalised(pixels_BHW3: Tensor) -> Tensor:
    colours = pixels_BHW3.float() / 255
    colours = (colours - colours.new_tensor(IMAGENET_MEAN)) / colours.new_tensor(IMAGENET_STD)
    return colours.permute(0, 3, 1, 2)


def _check(config: BackboneConfig) -> None:
    try:
        TypeAdapter(BackboneConfig).validate_python(asdict(config))
    except ValidationError as error:
        first = error.errors()[0]
        name, wanted = first["loc"][0], first["msg"].removeprefix("Input ").split(", unable")[0]
        raise InputError(
            f"{name} is {first['input']!r}, but {wanted}",
            hint="Change it with --width, --batch, --epochs, --size, --rate.",
        ) from error


def _check_same(config: BackboneConfig, path: Path) -> None:
    """Refuse to go on with a configuration by which the run's position means other pictures."""
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name in (f.name for f in fields(config) if f.name not in _FREE):
        if stored[name] != getattr(config, name):
            option = ("--" if name in _OPTIONS else "") + name
            raise InputError(
                f"{name} is {getattr(config, name)}, but the run of {path.parent} was started with {stored[name]}",
                hint=f"Resume with {option} {stored[name]}, or start another run.",
            )
