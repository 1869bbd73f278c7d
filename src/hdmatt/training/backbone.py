"""Stage 1 of the paper: the encoder learns to tell pictures apart before it learns to matte.

A folder of labelled pictures in (one subfolder a class), ResNet-34 weights in torchvision's naming out, which
`hdmatt train --backbone` and model.load_resnet34 take. Knows the encoder, nothing of matting. Top to bottom:

    BackboneConfig   everything that the pre-training depends on
    Classifier       the encoder without ASPP, a mean and a linear layer
    discover_classes picture files and their labels
    train_backbone   the loop; stops and continues like train.train

The encoder runs exactly as it does when matting (output stride 8, dilated), so nothing changes for its weights when
the task does; a classifier's strides would be faster and see other scales.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from hdmatt.errors import InputError
from hdmatt.network.checkpoint import load_state, save_state, save_tensors
from hdmatt.network.encoder import Encoder
from hdmatt.network.inputs import IMAGENET_MEAN, IMAGENET_STD
from hdmatt.training.batches import room_ahead
from hdmatt.training.config import check_folder, require, schedule
from hdmatt.training.curves import append_row, drop_after
from hdmatt.training.processes import Fabric, make_fabric

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
WEIGHTS = "backbone.safetensors"
_AT_LEAST_1 = ("width", "batch", "epochs")
_OPTIONS = ("width", "size", "batch", "epochs", "rate")  # of the command line
_KEPT = ("width", "size", "batch", "epochs", "rate", "momentum", "decay", "warmup", "smoothing", "seed")  # by --resume


@dataclass(frozen=True)
class BackboneConfig:
    """What a pre-training depends on.

    Attributes:
        width: 64 is ResNet-34.
        size: Side of the square pictures, in pixels.
        warmup: Steps in which the rate rises, at most a tenth of all.
    """

    width: int = 64
    size: int = 160
    batch: int = 256
    epochs: int = 90
    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 1e-4
    warmup: int = 500
    smoothing: float = 0.1
    workers: int = 1
    seed: int = 0
    precision: str = "32-true"
    save_every: int = 500


class Classifier(nn.Module):
    """Pictures to classes through the matting encoder; names of the state as in torchvision's ResNet-34."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.encoder = Encoder(width, hints=False, coarse=False)
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


def train_backbone(
    config: BackboneConfig,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    max_steps: int | None = None,
    fabric: Fabric | None = None,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Pre-train the encoder; returns the weights' file, `out/backbone.safetensors`.

    SGD with momentum, warm-up and cosine, cross-entropy with smoothed labels, a random crop and a flip, as ResNets
    are trained. `curve.csv` has loss and accuracy on the training pictures.

    Args:
        max_minutes, max_steps: Stop after this time or this many steps of this call, with a checkpoint.

    Raises:
        InputError: No labelled pictures; `out` holds a run and `resume` is false, or the other way round.
    """
    state = check_folder(out, resume=resume)
    _check(config)
    pictures, names = discover_classes(data)
    out.mkdir(parents=True, exist_ok=True)
    fabric = fabric or make_fabric(config.precision)
    fabric.launch()
    if fabric.world_size > 1:
        raise InputError("the pre-training runs on one device", hint="Give it a fabric of one device.")
    torch.manual_seed(config.seed)
    cv2.setNumThreads(0)  # OpenCV's threads do not survive in the workers, which are forked
    network = Classifier(config.width, len(names)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.to(fabric.device)  # before the momentum is loaded, which goes where the weights are
    sgd = torch.optim.SGD(
        network.parameters(), lr=config.rate, momentum=config.momentum, weight_decay=config.decay, nesterov=True
    )
    first = _load(network, sgd, names, config, state) if resume else 0
    model, optimiser = fabric.setup(network, sgd)
    per_epoch = max(1, len(pictures) // config.batch)
    steps = config.epochs * per_epoch
    warmup = min(config.warmup, steps // 10)  # a small folder has few steps
    drop_after(out / "curve.csv", first)
    started, sums = time.monotonic(), np.zeros(3)
    step = first
    for batch in _loader(pictures, config, first, steps, per_epoch):
        for group in optimiser.param_groups:
            group["lr"] = schedule(config.rate, step, steps=steps, warmup=warmup)
        loss, right = _learn(model, optimiser, fabric, batch, config.smoothing)
        if not np.isfinite(loss):
            raise RuntimeError(f"the loss is {loss} at step {step}; the last checkpoint is kept")
        step += 1
        sums += (loss, right, 1)
        over = max_minutes is not None and time.monotonic() - started > 60 * max_minutes
        last = over or step == steps or (max_steps is not None and step - first >= max_steps)
        if last or step % config.save_every == 0:
            loss_mean, right, _ = sums / sums[2]
            sums[:] = 0
            append_row(out / "curve.csv", {"step": step, "loss": f"{loss_mean:.5f}", "accuracy": f"{right:.4f}"})
            if say:
                say(f"step {step} of {steps}: loss {loss_mean:.4f}, {100 * right:.1f} % right")
            _save(network, sgd, names, config, step, state)
            save_tensors(
                {n: t.float() if t.is_floating_point() else t for n, t in network.backbone().items()},
                {"classes": str(len(names)), "steps": str(step)},
                out / WEIGHTS,
            )
        if last:
            break
    return out / WEIGHTS


def _check(config: BackboneConfig) -> None:
    rules = [
        *((getattr(config, n) >= 1, f"{n} is {getattr(config, n)}, at least 1 is needed") for n in _AT_LEAST_1),
        (config.size >= 32, f"size is {config.size}, at least 32 is needed"),
        (config.rate > 0, f"rate is {config.rate}, it must be above 0"),
    ]
    require(rules, hint="Change it with --width, --batch, --epochs, --size, --rate.")


def _learn(model: nn.Module, optimiser: Any, fabric: Fabric, batch: Any, smoothing: float) -> tuple[float, float]:
    """One step, not taken where the loss is no number; the loss, and the share of pictures that were told right."""
    pixels, labels = (torch.as_tensor(part).to(fabric.device, non_blocking=True) for part in batch)
    logits = model(_normalised(pixels))
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
    value = float(loss.detach())
    if np.isfinite(value):
        fabric.backward(loss)
        optimiser.step()
        optimiser.zero_grad()
    return value, float((logits.argmax(1) == labels).float().mean())


class _Pictures(Dataset[tuple[np.ndarray, int]]):
    """Crops by number: the n-th look at the data decides picture, crop and flip."""

    def __init__(self, pictures: Sequence[tuple[Path, int]], config: BackboneConfig) -> None:
        self.pictures, self.config = pictures, config
        self.order: tuple[int, np.ndarray] | None = None  # of the epoch that was last asked for

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        cv2.setNumThreads(0)
        epoch, place = divmod(index, len(self.pictures))
        if self.order is None or self.order[0] != epoch:
            self.order = epoch, np.random.default_rng([self.config.seed, epoch]).permutation(len(self.pictures))
        path, label = self.pictures[self.order[1][place]]
        return _crop(path, np.random.default_rng([self.config.seed, index, 1]), self.config.size), label


def _crop(path: Path, rng: np.random.Generator, size: int) -> np.ndarray:
    """A random square, a quarter to all of the largest one's area, flipped at random."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise InputError(f"{path} cannot be decoded as a picture", hint="Replace it or take it out of the folder.")
    height, width = pixels.shape[:2]
    side = max(1, int(min(height, width) * np.sqrt(rng.uniform(0.25, 1))))
    y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    square = pixels[y : y + side, x : x + side, ::-1]
    if rng.random() < 0.5:
        square = square[:, ::-1]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(square), (size, size), interpolation=how)


def _loader(
    pictures: Sequence[tuple[Path, int]], config: BackboneConfig, first: int, steps: int, per_epoch: int
) -> DataLoader[Any]:
    """Batches of pixels and labels; as arrays where shared memory has no room for tensors."""
    batch = min(config.batch, len(pictures))
    count = len(pictures)
    indices = (
        (step // per_epoch) * count + (step % per_epoch) * batch + i
        for step in range(first, steps)
        for i in range(batch)
    )
    ahead, shared = room_ahead(config.workers, bytes_a_batch=batch * (3 * config.size**2 + 8))
    return DataLoader(
        _Pictures(pictures, config),  # type: ignore[arg-type]
        batch_size=batch,
        sampler=indices,  # type: ignore[arg-type]
        num_workers=config.workers,
        prefetch_factor=ahead,
        collate_fn=None if shared else _as_arrays,
    )


def _as_arrays(samples: Sequence[tuple[np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = zip(*samples, strict=True)
    return np.stack(pixels), np.array(labels)


def _normalised(pixels_BHW3: Tensor) -> Tensor:
    colours = pixels_BHW3.float() / 255
    colours = (colours - colours.new_tensor(IMAGENET_MEAN)) / colours.new_tensor(IMAGENET_STD)
    return colours.permute(0, 3, 1, 2)


def _save(
    network: Classifier, sgd: torch.optim.SGD, names: Sequence[str], config: BackboneConfig, step: int, state: Path
) -> None:
    tensors = {f"model.{n}": t for n, t in network.state_dict().items()}
    for index, values in sgd.state_dict()["state"].items():
        if values.get("momentum_buffer") is not None:
            tensors[f"momentum.{index}"] = values["momentum_buffer"]
    kept = {name: getattr(config, name) for name in _KEPT}
    save_state(tensors, {"step": step, "classes": list(names), "config": kept}, state)


def _load(network: Classifier, sgd: torch.optim.SGD, names: Sequence[str], config: BackboneConfig, state: Path) -> int:
    """Take over what `_save` wrote; returns its step.

    Raises:
        InputError: The run had other classes or another configuration: its position would mean other pictures.
    """
    tensors, numbers = load_state(state)
    for name, value in numbers.get("config", {}).items():
        if value != getattr(config, name):
            raise InputError(
                f"{name} is {getattr(config, name)}, but {state} was trained with {value}",
                hint=f"Resume with {'--' * (name in _OPTIONS)}{name} {value}, or start another run.",
            )
    if numbers["classes"] != list(names):
        raise InputError(
            f"{state} was trained on {len(numbers['classes'])} classes, the folder has {len(names)} or others",
            hint="Give the folder that the run was started with.",
        )
    network.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    moments = {int(n.split(".")[1]): {"momentum_buffer": t} for n, t in tensors.items() if n.startswith("momentum.")}
    sgd.load_state_dict({"state": moments, "param_groups": sgd.state_dict()["param_groups"]})
    return int(numbers["step"])
