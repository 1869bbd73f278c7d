"""Train a matting network: samples in, weights out. Runs can be stopped at any moment and continued.

On a GPU machine it needs neither OpenImageIO nor PyMatting, unless test sets are scored. Top to bottom:

    train    the whole training; called by `hdmatt train`
    Start    where it begins: random or given weights, or a run that goes on

config.py has the configuration, batches.py the batches, step.py the loss of a batch, loop.py the loop, run.py the
state, validate.py and curves.py what can be seen of it, backbone.py stage 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from hdmatt.errors import InputError
from hdmatt.network.checkpoint import load_card, load_resnet34, load_tensors, read_model, save_model
from hdmatt.network.model import HDMatt
from hdmatt.patches.stitch import blending_weight
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.samples.packs import Assets, load_assets
from hdmatt.training.batches import batches
from hdmatt.training.config import (
    STATE,
    TrainConfig,
    card_of,
    changed,
    check_config,
    check_folder,
    check_start,
    read_config,
    write_config,
)
from hdmatt.training.curves import Curves
from hdmatt.training.loop import Limits, run_steps
from hdmatt.training.losses import Probes
from hdmatt.training.processes import (
    Fabric,
    Say,
    make_fabric,
    patch_share,
    precision_for,
    process_switches,
    share_norms,
    silent,
)
from hdmatt.training.run import Run
from hdmatt.training.step import batch_loss, candidates, compile_network, decoded, extra_channel_faults, learning_rate
from hdmatt.training.validate import Validation

WEIGHTS, BEST = "model.safetensors", "best.safetensors"


@dataclass(frozen=True)
class Start:
    """Where a training begins; by default with random weights.

    Attributes:
        init: Weights to start from (name or file), with fresh optimiser and schedule.
        backbone: ResNet-34 weights for the encoder (safetensors), see checkpoint.load_resnet34 and backbone.py.
        resume: Continue the folder's run at the step where it stopped: weights, EMA, optimiser, schedule, data.
        other_pictures: Let a resumed run go on with other pictures than it had so far.
        changes: When resuming, NAME=VALUE changes of the folder's configuration, see config.changed.
    """

    init: Path | None = None
    backbone: Path | None = None
    resume: bool = False
    other_pictures: bool = False
    changes: Sequence[str] = ()


def train(
    config: TrainConfig,
    data: Sequence[Path],
    out: Path,
    *,
    start: Start | None = None,
    limits: Limits | None = None,
    validate: Sequence[Path] = (),
    fabric: Fabric | None = None,
    say: Say = silent,
) -> Path:
    """Run a training; returns the path of the EMA weights (safetensors, single precision).

    Args:
        config: What to do; when resuming, the folder's own configuration wins.
        data: Asset packs, see packs.discover_assets.
        out: The run's folder: config.json, state, model and best (safetensors), curve.jsonl, validation.jsonl,
            previews/, tensorboard/.
        start: Where it begins; None: with random weights.
        limits: When this call stops; the schedule is that of the whole run.
        validate: Folders of real pictures to score at every validation; `best` is chosen by the held-out samples.
        fabric: Devices and processes; None: one device, a GPU where there is one.
        say: Is given a line of text at every checkpoint and validation.

    Raises:
        InputError: `out` holds a run that is not resumed, or there is nothing to resume; a configuration that
            cannot work, or not from such a start; packs or folders that cannot be used; other pictures than before.
        RuntimeError: The gradient was no number ten steps in a row; the last checkpoint is kept.
    """
    start, limits = start or Start(), limits or Limits()
    check_folder(out, resume=start.resume)
    if start.resume:
        config = changed(read_config(out / "config.json"), start.changes)
        start = replace(start, init=None, backbone=None)
    # before there are processes, each of which would say it
    check_start(config, weights=start.resume or start.init is not None, backbone=start.backbone is not None)
    check_config(config)
    fabric = fabric or make_fabric(config.precision)
    fabric.launch()
    config = replace(config, precision=precision_for(config.precision, fabric.device.type))
    check_config(config, processes=fabric.world_size)
    with process_switches(fabric.device, seed=config.seed, compiling=config.compile):
        run = new_training(config, start)
        run.move(fabric.device)
        if start.resume:
            run.load(out / STATE, patches_a_step=config.groups * config.sample.group)
        assets = load_assets(data, longest=config.sample.longest)
        run.take(assets.fingerprint(), others=start.other_pictures, say=say if fabric.is_global_zero else silent)
        run_steps(_Matting(config, run, assets, out, fabric, validate, say), fabric, limits, say)
    return out / WEIGHTS


def new_training(config: TrainConfig, start: Start | None = None) -> Run:
    """Networks and optimiser at step 0, from random numbers or the weights of `start`.

    Raises:
        InputError: Those weights are of a network of another configuration.
    """
    start = start or Start()
    model = read_model(start.init) if start.init else HDMatt(config.model)
    if model.config != config.model:
        there, asked = asdict(model.config), asdict(config.model)
        other = [name for name in asked if there[name] != asked[name]]
        raise InputError(
            f"{start.init} is a network with {', '.join(f'{n} {there[n]}' for n in other)}, the run asks for "
            f"{', '.join(f'{n} {asked[n]}' for n in other)}",
            hint="Choose the preset that the weights were made with, or start without --init.",
        )
    if start.backbone:
        load_resnet34(model, load_tensors(start.backbone)[0])
    model = model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    if config.part == "decoder":
        model.encoder.eval().requires_grad_(False)
    probes = Probes(config.model.width)
    before = int(load_card(start.init).get("patches", 0)) if start.init else 0
    # AdamW: inside of Adam the decay is divided by the gradient's size, and kills what learns slowly (research/log.md)
    optimiser = torch.optim.AdamW(
        [*model.parameters(), *probes.parameters()], lr=config.rate, betas=config.betas, weight_decay=config.decay
    )
    return Run({"model": model, "probes": probes}, optimiser, ema=config.ema, before=before)


class _Matting:
    """A matting network in training: the `loop.Job` of `train`."""

    def __init__(
        self, config: TrainConfig, run: Run, assets: Assets, out: Path, fabric: Fabric, validate: Sequence[Path],
        say: Say,
    ) -> None:  # fmt: skip
        self.config, self.run, self.assets, self.out, self.fabric, self.say = config, run, assets, out, fabric, say
        self.steps, self.save_every, self.clip = config.steps, config.save_every, config.clip
        self.patches, self.pieces = config.groups * config.sample.group, config.pieces
        first = fabric.is_global_zero
        self.validation = Validation(config, assets, validate) if first else None
        self.validates = bool(config.validate_every or validate)
        if first:
            out.mkdir(parents=True, exist_ok=True)
            write_config(config, out / "config.json")
        self.curves = Curves(out, step=run.step, tensorboard=config.tensorboard) if first else None
        network = run.model
        assert isinstance(network, HDMatt)
        share_norms(network, fabric, config.norm)
        if config.compile:
            compile_network(network)
        self.model, self.optimiser = fabric.setup(network, run.optimiser)
        self.probes: nn.Module = fabric.setup_module(run.networks["probes"])
        patch = config.sample.patch
        self.blending = torch.from_numpy(blending_weight(patch, patch // 5, blend=config.blend)).to(fabric.device)

    def batches(self) -> Iterator[dict[str, Tensor]]:
        fabric = self.fabric
        ranks = {"rank": fabric.global_rank, "world": fabric.world_size}
        return batches(self.assets, self.config, first=self.run.step, pin=fabric.device.type == "cuda", **ranks)

    def rate(self) -> float:
        return learning_rate(self.config, self.run.step, restart=self.run.restart)

    def loss(self, batch: dict[str, Tensor], piece: int) -> tuple[Tensor, dict[str, Tensor]]:
        config, fabric = self.config, self.fabric
        groups = config.groups // fabric.world_size // config.pieces
        seed = (config.seed, self.run.step)
        first = fabric.global_rank * groups * config.pieces + piece * groups
        part = {name: tensor.chunk(config.pieces)[piece] for name, tensor in batch.items()}
        contexts = candidates(config, groups, seed=seed, first=first)
        faults = extra_channel_faults(config, groups, seed=seed, first=first)
        out = decoded(self.model, part, contexts, detach=config.detach, faults=faults)
        loss, parts, counting = batch_loss(out, self.probes, part, self.blending, config)
        if config.pieces > 1:  # a mean over the patches of all pieces that have unknown pixels
            every = (batch["trimap"] == UNKNOWN).flatten(1).any(1).sum()
            share = patch_share(fabric, every) * counting / every.clamp(min=1)
        else:
            share = patch_share(fabric, counting)
        return (loss * share).float(), {name: value.detach() * share for name, value in parts.items()}

    def keep(self, *, last: bool) -> None:
        """A validation comes after its checkpoint: a test set that cannot be read costs no step."""
        every = self.config.validate_every
        validating = last if not every else last or self.run.step % every == 0  # with 0, test sets alone, at the end
        if (validating or last or self.run.step % self.save_every == 0) and self.fabric.is_global_zero:
            self._save()
        if not (validating and self.validates):
            return
        if self.validation and self.curves:
            model = self._averaged()
            sad = self.validation(model.to(self.fabric.device), self.run.step, self.curves, self.say)
            if sad is not None and sad < self.run.best:
                self.run.best = sad
                save_model(model, self.out / BEST, half=False, card=card_of(self.config, self.run.numbers()))
                self._save()
        self.fabric.barrier()

    def _save(self) -> None:
        self.run.save(self.out / STATE)
        card = card_of(self.config, self.run.numbers())
        save_model(self._averaged(), self.out / WEIGHTS, half=False, card=card)

    def _averaged(self) -> HDMatt:
        """A copy of the network with the EMA weights, in evaluation mode."""
        model = HDMatt(self.config.model)
        model.load_state_dict(self.run.ema)
        return model.eval()
