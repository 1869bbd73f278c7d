"""Train a network: samples in, weights out. Runs that survive being stopped at any moment.

Knows synth, the model and the losses; on a GPU machine it needs neither OpenImageIO nor pymatting. Top to bottom:

    TrainConfig, PRESETS   everything a run depends on
    train                  the loop: batches, loss, step, EMA, checkpoint
    Run                    network, EMA, optimiser and position, and how they are saved
    batches                samples by index, so a run continues where its data stopped
"""

import csv
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from hdmatt.checkpoint import load_model, load_state, save_model, save_state
from hdmatt.errors import InputError
from hdmatt.losses import Probes, pixel_weight, probe_loss, total
from hdmatt.model import HDMatt, ModelConfig, network_input
from hdmatt.patches import feather
from hdmatt.synth.assets import Assets, load_assets
from hdmatt.synth.sample import Sample, SampleConfig, make_sample


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on; written into its folder.

    Attributes:
        groups: Composites a step and process; `groups * sample.group` patches are trained on.
        steps: Length of the schedule: warm-up, then cosine from `rate` to `rate * floor`.
        topk: Context patches a query looks at (random ones of its group).
        detach: No gradient into the context patches, only through the query.
        losses: Weight of each part of the loss, see losses.total.
        probes: Weight of the probes' loss, see losses.Probes; 0: none.
        betas, clip, decay, ema: Adam's betas, gradient-norm limit, weight decay, EMA of the weights.
        workers: Processes that make samples.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)
    seed: int = 0
    groups: int = 8
    steps: int = 200_000
    warmup: int = 0
    rate: float = 5e-4
    floor: float = 0.0
    topk: int = 3
    detach: bool = False
    losses: dict[str, float] = field(default_factory=lambda: {"alpha": 0.5, "composition": 0.5})
    betas: tuple[float, float] = (0.9, 0.999)
    decay: float = 1e-4
    clip: float = 0.0
    probes: float = 0.0
    ema: float = 0.0
    workers: int = 1
    precision: str = "32-true"
    save_every: int = 200


_SMALL = ModelConfig(width=32, hints=True)
_EXTRA = {"alpha": 0.5, "composition": 0.5, "laplacian": 0.5}
PRESETS: dict[str, TrainConfig] = {
    # the paper: Adam 5e-4, cosine, 200k steps, batch 32, weight decay 1e-4
    "paper": TrainConfig(),
    # two cores, bf16, from random weights: small patches and narrow bands, so that there are many steps
    "cpu-128": TrainConfig(
        model=_SMALL,
        sample=SampleConfig(
            patch=128, group=2, procedural=0.0, merge=0.03, similar=0.03, smooth=0.1, faults=0.08, band=14.0, wide=0.0,
            elsewhere=0.05,
        ),
        groups=4,
        steps=6000,
        warmup=20,
        rate=6e-4,
        floor=0.05,
        losses=_EXTRA,
        probes=0.2,
        clip=1.0,
        ema=0.998,
        precision="bf16-mixed",
    ),
    # from the weights of the one above: larger patches, three contexts, every family, camera faults
    "cpu-192": TrainConfig(
        model=_SMALL,
        sample=SampleConfig(patch=192, procedural=0.25, merge=0.1, similar=0.1, faults=0.2, band=24.0, elsewhere=0.1),
        groups=2,
        steps=2000,
        warmup=50,
        rate=3e-4,
        floor=0.02,
        losses=_EXTRA,
        probes=0.1,
        clip=1.0,
        ema=0.998,
        precision="bf16-mixed",
    ),
}


def train(
    config: TrainConfig,
    data: list[Path],
    out: Path,
    *,
    init: Path | None = None,
    resume: bool = False,
    max_minutes: float | None = None,
    max_steps: int | None = None,
    fabric: Fabric | None = None,
) -> Path:
    """Run a training; returns the path of the EMA weights (safetensors, single precision).

    Args:
        config: What to do; when resuming, the folder's own configuration wins.
        data: Asset packs, see datasets.discover_assets.
        out: The run's folder: config.json, state.safetensors, model.safetensors, curve.csv.
        init: Weights to start from (name or file), with fresh optimiser and schedule.
        resume: Continue `out` at the step where it stopped: weights, EMA, optimiser, schedule, data position.
        max_minutes, max_steps: Stop after this time, or after this many steps of this call, with a checkpoint; the
            schedule is that of the whole run.

    Raises:
        InputError: `out` holds a run and `resume` is false, or there is nothing to resume.
    """
    state = out / "state.safetensors"
    if resume and not state.is_file():
        raise InputError(f"{out} holds no run to resume", hint="Start one without --resume.")
    if not resume and state.is_file():
        raise InputError(f"{out} already holds a run", hint="Continue it with --resume, or name another folder.")
    out.mkdir(parents=True, exist_ok=True)
    if resume:
        config = read_config(out / "config.json")
    else:
        (out / "config.json").write_text(json.dumps(asdict(config), indent=1))
    fabric = fabric or Fabric(accelerator="auto", devices=1, precision=config.precision)  # type: ignore[arg-type]
    fabric.launch()
    torch.manual_seed(config.seed)
    run = Run(config, init)
    if resume:
        run.load(state)
    model, optimiser = fabric.setup(run.model, run.optimiser)
    probes = fabric.setup_module(run.probes)
    weight = torch.from_numpy(feather(config.sample.patch, config.sample.patch // 5)).to(fabric.device)
    started, began, recent = time.monotonic(), run.step, []
    source = batches(load_assets(data), config, first=run.step, rank=fabric.global_rank, world=fabric.world_size)
    for batch in source:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(config, run.step)
        loss, parts = _loss(model, probes, fabric.to_device(batch), weight, config, run.step)
        if not torch.isfinite(loss):
            raise RuntimeError(f"the loss is {float(loss.detach())} at step {run.step}; the last checkpoint is kept")
        fabric.backward(loss)
        if config.clip:
            fabric.clip_gradients(model, optimiser, max_norm=config.clip)
        optimiser.step()
        optimiser.zero_grad()
        run.update_ema()
        run.step += 1
        recent.append([float(loss.detach()), *(float(v) for v in parts.values())])
        seconds = time.monotonic() - started
        over = max_minutes is not None and seconds > 60 * max_minutes
        enough = max_steps is not None and run.step - began >= max_steps
        last = over or enough or run.step >= config.steps
        if (last or run.step % config.save_every == 0) and fabric.is_global_zero:
            names = ["loss", *parts]
            _log(out / "curve.csv", config, run.step, dict(zip(names, np.mean(recent, axis=0), strict=True)),
                 seconds / max(1, run.step - began))
            recent = []
            run.save(state, out / "model.safetensors")
        if last:
            break
    return out / "model.safetensors"


class Run:
    """Network, EMA, optimiser and position of one run."""

    def __init__(self, config: TrainConfig, init: Path | None) -> None:
        self.config = config
        self.step = 0
        self.model = load_model(init) if init else HDMatt(config.model)
        if self.model.config != config.model:
            raise InputError(
                f"{init} holds {self.model.config}, the run asks for {config.model}",
                hint="Choose the preset that the weights were made with, or start without --init.",
            )
        self.model = self.model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.probes = Probes(config.model.width)
        self.ema = {n: t.detach().clone() for n, t in self.model.state_dict().items()}
        self.optimiser = torch.optim.Adam(
            [*self.model.parameters(), *self.probes.parameters()],
            lr=config.rate,
            betas=config.betas,
            weight_decay=config.decay,
        )

    def update_ema(self) -> None:
        """Move the EMA towards the weights; faster at first, so that the random start is soon forgotten."""
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                own = self.ema[name] = self.ema[name].to(tensor.device)
                if tensor.is_floating_point():
                    own.lerp_(tensor, 1 - keep)
                else:
                    own.copy_(tensor)

    def averaged(self) -> HDMatt:
        """A copy of the network with the EMA weights, in evaluation mode."""
        model = HDMatt(self.model.config)
        model.load_state_dict(self.ema)
        return model.eval()

    def save(self, state: Path, weights: Path) -> None:
        """Everything needed to go on, and the EMA weights as a model of their own."""
        tensors: dict[str, Tensor] = {f"model.{n}": t for n, t in self.model.state_dict().items()}
        tensors |= {f"ema.{n}": t for n, t in self.ema.items()}
        tensors |= {f"probes.{n}": t for n, t in self.probes.state_dict().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{n}": torch.as_tensor(v) for n, v in moments.items()}
        save_state(tensors, {"step": self.step}, state)
        save_model(self.averaged(), weights, half=False, card={"steps": str(self.step)})

    def load(self, state: Path) -> None:
        tensors, numbers = load_state(state)
        self.step = numbers["step"]
        self.model.load_state_dict(_part(tensors, "model."))
        self.ema = _part(tensors, "ema.")
        self.probes.load_state_dict(_part(tensors, "probes."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _part(tensors, "adam.").items():
            index, what = name.split(".", 1)
            moments.setdefault(int(index), {})[what] = tensor
        whole = self.optimiser.state_dict()
        self.optimiser.load_state_dict({"state": moments, "param_groups": whole["param_groups"]})


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up over `warmup` steps, then cosine from `rate` to `rate * floor` at `steps`."""
    if step < config.warmup:
        return config.rate * (step + 1) / config.warmup
    share = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.rate * (config.floor + (1 - config.floor) * 0.5 * (1 + float(np.cos(np.pi * share))))


def read_config(path: Path) -> TrainConfig:
    """The TrainConfig that a run's folder holds."""
    values: dict[str, Any] = json.loads(path.read_text())
    sample: dict[str, Any] = values["sample"]
    sample["crops"] = tuple(sample["crops"])
    values["model"] = ModelConfig(**values["model"])
    values["sample"] = SampleConfig(**sample)
    values["betas"] = tuple(values["betas"])
    return TrainConfig(**values)


def group_contexts(groups: int, group: int, *, topk: int, seed: tuple[int, ...]) -> list[list[int]]:
    """For every patch of a batch, `topk` random other patches of its own group (all, when there are no more)."""
    rng = np.random.default_rng(seed)
    contexts = []
    for first in range(0, groups * group, group):
        for own in range(first, first + group):
            others = [i for i in range(first, first + group) if i != own]
            contexts.append([int(i) for i in rng.permutation(others)[:topk]])
    return contexts


class _Samples(Dataset[dict[str, Tensor]]):
    def __init__(self, assets: Assets, config: TrainConfig) -> None:
        self.assets, self.config = assets, config

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        cv2.setNumThreads(0)
        sample = make_sample(self.assets, self.config.sample, seed=self.config.seed, index=index)
        return {name: torch.from_numpy(getattr(sample, name).copy()) for name in Sample.__dataclass_fields__}


def batches(
    assets: Assets, config: TrainConfig, *, first: int, rank: int = 0, world: int = 1
) -> Iterator[dict[str, Tensor]]:
    """Batches from step `first` on; step and rank alone decide which samples a batch holds."""
    per_step = config.groups * world
    indices = (
        step * per_step + rank * config.groups + i
        for step in range(first, config.steps)
        for i in range(config.groups)
    )
    loader = DataLoader(
        _Samples(assets, config),
        batch_size=config.groups,
        sampler=indices,  # type: ignore[arg-type]
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        collate_fn=_collate,
    )
    return iter(loader)


def _collate(samples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([s[name] for s in samples]) for name in samples[0]}


def _loss(
    model: nn.Module, probes: nn.Module, batch: Mapping[str, Tensor], weight: Tensor, config: TrainConfig, step: int
) -> tuple[Tensor, dict[str, Tensor]]:
    colours = {n: batch[n].permute(0, 3, 1, 2).float() / 255 for n in ("foreground", "background")}
    truth = batch["alpha"][:, None].float() / 255
    inputs = network_input(batch["image"].float() / 255, batch["trimap"])
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    contexts = group_contexts(
        config.groups, config.sample.group, topk=config.topk, seed=(config.seed, step)
    )
    out = model(inputs, contexts, around=batch["around"], detach=config.detach)
    exact = truth, colours["foreground"], colours["background"], pixel_weight(batch["trimap"][:, None], weight)
    loss, parts = total(out.alpha, *exact, parts=config.losses)
    if config.probes:
        parts["probes"] = probe_loss(probes([out.at8, out.at4, out.at2]), *exact)
        loss = loss + config.probes * parts["probes"]
    return loss.float(), {name: value.detach() for name, value in parts.items()}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _log(path: Path, config: TrainConfig, step: int, values: Mapping[str, Any], seconds_a_step: float) -> None:
    row = {
        "step": step,
        "patches": step * config.groups * config.sample.group,
        "rate": f"{learning_rate(config, step):.3g}",
        "seconds_a_step": f"{seconds_a_step:.3f}",
        **{n: f"{v:.5f}" for n, v in values.items()},
    }
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


