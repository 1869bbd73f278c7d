"""Train a network: samples in, weights out. Runs that survive being stopped at any moment.

Knows feed, the model and the losses; on a GPU machine it needs neither OpenImageIO nor pymatting. Top to bottom:

    train            the loop: batches, loss, step, EMA, checkpoint
    train_together   the same for several networks, each on every batch
    Run              network, EMA, optimiser and position, and how they are saved
    learning_rate    warm-up, cosine, second warm-up
    group_contexts   which patch looks at which

training/config.py has the configuration, training/batches.py the batches, training/processes.py the processes, training/validate.py and training/curves.py what can be
seen of it, slices.py runs on borrowed time, training/backbone.py stage 1.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from hdmatt.errors import InputError
from hdmatt.network.checkpoint import (
    load_card,
    load_model,
    load_resnet34,
    load_state,
    load_tensors,
    save_model,
    save_state,
)
from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt, in_coarse
from hdmatt.patches.stitch import feather
from hdmatt.samples.packs import Assets, load_assets
from hdmatt.system.memory import keeping_freed
from hdmatt.training.batches import batches
from hdmatt.training.config import (
    STATE,
    TrainConfig,
    card_of,
    changed,
    check,
    check_folder,
    check_start,
    read_config,
    schedule,
    write_config,
)
from hdmatt.training.curves import Curves, sheet
from hdmatt.training.losses import Probes, coarse_loss, leaned, pixel_weight, probe_loss, total
from hdmatt.training.processes import Fabric, agreed, make_fabric, patch_share, precision_for, share_norms
from hdmatt.training.validate import HELD_OUT_NAME, Folders, HeldOut, Scored

BAD_STEPS = 10  # steps without a finite gradient, one after the other, that end a run
WEIGHTS, BEST = "model.safetensors", "best.safetensors"
SHARED = ("sample", "groups", "repeat", "spread", "steps", "seed", "workers")  # by rows that are trained together
Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One of several networks that are trained together: its configuration, its folder, the weights it starts from."""

    config: TrainConfig
    out: Path
    init: Path | None = None


def train(
    config: TrainConfig,
    data: Sequence[Path],
    out: Path,
    *,
    init: Path | None = None,
    backbone: Path | None = None,
    resume: bool = False,
    other_pictures: bool = False,
    changes: Sequence[str] = (),
    validate: Sequence[Path] = (),
    max_minutes: float | None = None,
    max_steps: int | None = None,
    fabric: Fabric | None = None,
    say: Say | None = None,
) -> Path:
    """Run a training; returns the path of the EMA weights (safetensors, single precision).

    Args:
        config: What to do; when resuming, the folder's own configuration wins.
        data: Asset packs, see datasets.discover_assets.
        out: The run's folder: config.json, state, model and best (safetensors), curve.csv, validation.csv, previews/,
            tensorboard/.
        init: Weights to start from (name or file), with fresh optimiser and schedule.
        backbone: ResNet-34 weights for the encoder (safetensors), see model.load_resnet34 and training/backbone.py.
        resume: Continue `out` at the step where it stopped: weights, EMA, optimiser, schedule, data position.
        other_pictures: Let a resumed run go on with other pictures than it had so far.
        changes: When resuming, NAME=VALUE changes of the folder's configuration, see recipe.changed.
        validate: Folders of real pictures to score at every validation, besides the held-out samples. They are
            reported only: `best` is chosen by the held-out samples.
        max_minutes, max_steps: Stop after this time, or after this many steps of this call, with a checkpoint; the
            schedule is that of the whole run.
        fabric: Devices and processes; None: one device, a GPU where there is one.
        say: Is given a line of text at every checkpoint and validation.

    Raises:
        InputError: `out` holds a run and `resume` is false, or there is nothing to resume; a configuration that
            cannot work, or not from such a start; packs or folders that cannot be used; other pictures than before.
        RuntimeError: The gradient was no number ten steps in a row; the last checkpoint is kept.
    """
    started = time.monotonic()
    check_folder(out, resume=resume)
    if resume:
        config = changed(read_config(out / "config.json"), changes)
    rows = [Row(config, out, init)]
    _train(rows, data, started, backbone=backbone, resume=resume, other_pictures=other_pictures, validate=validate,
           max_minutes=max_minutes, max_steps=max_steps, fabric=fabric, say=say)  # fmt: skip
    return out / WEIGHTS


def train_together(
    rows: Sequence[Row],
    data: Sequence[Path],
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    max_steps: int | None = None,
    fabric: Fabric | None = None,
    say: Say | None = None,
) -> list[Path]:
    """Train several networks, each on every batch, and return the paths of their EMA weights.

    Rows of an ablation see the same samples anyway; drawing them once leaves the processor time for more of them. Each
    folder is that of a run of its own, and gives the same weights.

    Args:
        rows: Configurations must agree in everything that decides the batches: samples, groups, repeat, spread, steps,
            seed and workers.
        resume: Continue all of them; they must have stopped at the same step.
        data, max_minutes, max_steps, fabric, say: As for `train`.

    Raises:
        InputError: As `train`, and rows that cannot share their batches.
    """
    started = time.monotonic()
    for row in rows:
        check_folder(row.out, resume=resume)
    if resume:
        rows = [replace(row, config=read_config(row.out / "config.json")) for row in rows]
    if not rows or len({repr([getattr(row.config, name) for name in SHARED]) for row in rows}) > 1:
        raise InputError(
            f"{len(rows)} rows that differ in what decides the batches cannot be trained together",
            hint=f"Let them agree in {', '.join(SHARED)}, or train each by itself.",
        )
    _train(rows, data, started, resume=resume, max_minutes=max_minutes, max_steps=max_steps, fabric=fabric, say=say)
    return [row.out / WEIGHTS for row in rows]


def _train(
    rows: Sequence[Row],
    data: Sequence[Path],
    started: float,
    *,
    resume: bool,
    max_minutes: float | None,
    max_steps: int | None,
    fabric: Fabric | None,
    say: Say | None,
    other_pictures: bool = False,
    backbone: Path | None = None,
    validate: Sequence[Path] = (),
) -> None:
    """Processes, configurations and networks of one run or several; then its steps."""
    for row in rows:  # before there are processes, each of which would say it
        check_start(row.config, weights=resume or row.init is not None, backbone=backbone is not None and not resume)
        check(row.config)
    fabric = fabric or make_fabric(rows[0].config.precision)
    fabric.launch()
    precision = precision_for(rows[0].config.precision, fabric.device.type)
    rows = [replace(row, config=replace(row.config, precision=precision)) for row in rows]
    for row in rows:
        check(row.config, processes=fabric.world_size)
    torch.set_flush_denormal(True)  # numbers below 1e-38 made steps three times as slow on a CPU
    cv2.setNumThreads(0)  # before samples are drawn: OpenCV's threads do not survive in the workers, which are forked
    trainees = [_Trainee(row, fabric, backbone=backbone, resume=resume) for row in rows]
    with keeping_freed(large=True) if fabric.device.type == "cpu" else nullcontext():
        _steps(trainees, load_assets(data), started, validate=validate, max_minutes=max_minutes, max_steps=max_steps,
               other_pictures=other_pictures, say=say)  # fmt: skip


def _steps(
    trainees: Sequence["_Trainee"],
    assets: Assets,
    started: float,
    *,
    validate: Sequence[Path],
    max_minutes: float | None,
    max_steps: int | None,
    other_pictures: bool,
    say: Say | None,
) -> None:
    """The loop: each batch to every network, a row of the curve, a checkpoint, a validation, until it is over."""
    config, fabric = trainees[0].config, trainees[0].fabric
    began = trainees[0].run.step
    if any(trainee.run.step != began for trainee in trainees):
        raise InputError("the rows stopped at different steps", hint="Continue each by itself until they are level.")
    pictures = assets.fingerprint()
    saying = [say if len(trainees) == 1 else _named(say, trainee.out.name) for trainee in trainees]
    for trainee, own in zip(trainees, saying, strict=True):
        trainee.run.take(pictures, others=other_pictures, say=own if fabric.is_global_zero else None)
        trainee.begin(assets, validate)
    source = batches(
        assets,
        config,
        first=began,
        rank=fabric.global_rank,
        world=fabric.world_size,
        pin=fabric.device.type == "cuda",
    )
    for step, batch in enumerate(_timed(source, [trainee.recorder for trainee in trainees]), start=began + 1):
        on_device = {n: t.to(fabric.device, non_blocking=True) for n, t in batch.items()}
        for trainee in trainees:
            trainee.learn(on_device)
        over = max_minutes is not None and time.monotonic() - started > 60 * max_minutes
        over = over if max_minutes is None else agreed(fabric, over)
        enough = max_steps is not None and step - began >= max_steps
        last = over or enough or step >= config.steps
        for trainee, own in zip(trainees, saying, strict=True):
            trainee.note(own, last=last)
        for trainee in trainees:  # neither a checkpoint nor a validation counts as a step's time
            trainee.recorder.pause()
        for trainee, own in zip(trainees, saying, strict=True):
            trainee.keep(own, last=last)
        for trainee in trainees:
            trainee.recorder.restart()
        if last:
            break
    for trainee in trainees:
        if trainee.curves:
            trainee.curves.close()


def _named(say: Say | None, name: str) -> Say | None:
    return None if say is None else lambda line: say(f"{name}: {line}")


class _Trainee:
    """A network in training: what a batch does to it, and what is kept of it."""

    def __init__(self, row: Row, fabric: Fabric, *, backbone: Path | None, resume: bool) -> None:
        self.config, self.out, self.fabric = row.config, row.out, fabric
        torch.manual_seed(row.config.seed)
        self.run = Run(row.config, *((None, None) if resume else (row.init, backbone)))
        self.run.move(fabric.device)  # before Adam's moments are loaded, for they go where the weights are
        if resume:
            self.run.load(row.out / STATE)

    def begin(self, assets: Assets, validate: Sequence[Path]) -> None:
        config, fabric, out, run = self.config, self.fabric, self.out, self.run
        self.judge = _Judge(config, assets, validate) if fabric.is_global_zero else None
        self.judged = bool(validate)
        if fabric.is_global_zero:
            out.mkdir(parents=True, exist_ok=True)
            write_config(config, out / "config.json")
        self.curves = Curves(out, step=run.step, tensorboard=config.tensorboard) if fabric.is_global_zero else None
        share_norms(run.model, fabric, config.norm)
        if config.compile:
            _compile(run.model)
        self.model, self.optimiser = fabric.setup(run.model, run.optimiser)
        self.probes = fabric.setup_module(run.probes)
        self.weight = torch.from_numpy(feather(config.sample.patch, config.sample.patch // 5)).to(fabric.device)
        self.recorder, self.bad = _Recorder(), 0

    def learn(self, batch: Mapping[str, Tensor]) -> None:
        """One step, taken unless its gradient is no number."""
        config, fabric, run = self.config, self.fabric, self.run
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(config, run.step, restart=run.restart)
        loss, parts = _loss(self.model, self.probes, batch, self.weight, config, run.step, fabric)
        fabric.backward(loss)
        # always measured, so that a step with a gradient that is no number is never taken; infinite: not clipped
        norm = fabric.clip_gradients(
            self.model, self.optimiser, max_norm=config.clip or math.inf, error_if_nonfinite=False
        )
        finite = norm is not None and bool(torch.isfinite(norm))
        if finite:
            self.optimiser.step()
            run.update_ema()
        else:
            run.restore_statistics()
        run.step += 1
        run.seen += config.groups * config.sample.group
        self.bad = 0 if finite else self.bad + 1
        self.optimiser.zero_grad()
        self.recorder.add({"loss": loss, **parts, "gradient": norm if norm is not None else loss}, finite=finite)
        if self.bad == BAD_STEPS:
            raise RuntimeError(
                f"the gradient was no number {self.bad} steps in a row (up to step {run.step}, loss "
                f"{float(loss.detach())}); the last checkpoint is kept"
            )

    def note(self, say: Say | None, *, last: bool) -> None:
        """A row of the curve, where the step is one for it."""
        if last or self.run.step % self.config.save_every == 0:
            row = self.recorder.row(self.config, self.run, self.fabric)
            if self.curves:
                self.curves.training(row)
                _tell(say, _words(row, self.config))

    def keep(self, say: Say | None, *, last: bool) -> None:
        """Checkpoint and validation, where the step is one for them."""
        config, fabric, run, state = self.config, self.fabric, self.run, self.out / STATE
        every = config.validate_every
        validating = last if not every else last or run.step % every == 0  # with 0, test sets alone, at the end
        save = last or run.step % config.save_every == 0
        if (save or validating) and fabric.is_global_zero:
            run.save(state, self.out / WEIGHTS)
        if validating and (every or self.judged):  # after the checkpoint: a test set that cannot be read costs no step
            judge, curves = self.judge, self.curves
            if curves and judge and _validate(judge, run, fabric.device, curves, self.out, say):
                run.save(state, self.out / WEIGHTS)
            fabric.barrier()


def _timed(source: Iterator[dict[str, Tensor]], recorders: Sequence["_Recorder"]) -> Iterator[dict[str, Tensor]]:
    """The batches; how long they were waited for is told to every recorder."""
    while True:
        asked = time.monotonic()
        batch = next(source, None)
        for recorder in recorders:
            recorder.waited += time.monotonic() - asked
        if batch is None:
            return
        yield batch


class Run:
    """Network, EMA, optimiser and position of one run.

    `step` counts batches, also those whose step was not taken; `restart` is the step at which the run went on from
    rounded weights (0: never); `best` the lowest SAD on held-out samples so far; `seen` the patches of this run,
    `before` those that the weights it started from had seen, as far as their file tells; `pictures` what it is trained
    on.
    """

    def __init__(self, config: TrainConfig, init: Path | None = None, backbone: Path | None = None) -> None:
        self.config = config
        self.step, self.restart, self.best = 0, 0, math.inf
        self.seen, self.before, self.pictures = 0, int(load_card(init).get("patches", 0)) if init else 0, ""
        self.model = load_model(init) if init else HDMatt(config.model)
        if self.model.config != config.model:
            there, asked = asdict(self.model.config), asdict(config.model)
            other = [name for name in asked if there[name] != asked[name]]
            raise InputError(
                f"{init} is a network with {', '.join(f'{n} {there[n]}' for n in other)}, the run asks for "
                f"{', '.join(f'{n} {asked[n]}' for n in other)}",
                hint="Choose the preset that the weights were made with, or start without --init.",
            )
        if backbone:
            load_resnet34(self.model, load_tensors(backbone)[0])
        self.model = self.model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        if config.part == "coarse":
            self.model.encoder.bn1.eval()
            self.model.encoder.layer1.eval()
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(in_coarse(name))
        elif config.part == "decoder":
            self.model.encoder.eval().requires_grad_(False)
        self.probes = Probes(config.model.width)
        self.ema = {n: t.detach().clone() for n, t in self.model.state_dict().items()}
        # AdamW: inside of Adam the decay is divided by the gradient's size, and kills what learns slowly (docs/log.md)
        self.optimiser = torch.optim.AdamW(
            [*self.model.parameters(), *self.probes.parameters()],
            lr=config.rate,
            betas=config.betas,
            weight_decay=config.decay,
        )

    def move(self, device: torch.device) -> None:
        """Put the networks onto a device; the mean of the weights follows."""
        self.model.to(device)
        self.probes.to(device)
        self.ema = {n: t.to(device) for n, t in self.ema.items()}

    def update_ema(self) -> None:
        """Move the EMA towards the weights; faster at first, so that the random start is soon forgotten."""
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        own, new = [], []
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                if tensor.is_floating_point():
                    own.append(self.ema[name])
                    new.append(tensor)
                else:
                    self.ema[name].copy_(tensor)
            get_ema_multi_avg_fn(keep)(own, new, 0)  # on a GPU three hundred kernels in a few

    def restore_statistics(self) -> None:
        """Replace batch-norm statistics that a bad batch turned into no numbers by those of the EMA."""
        for name, tensor in self.model.named_buffers():
            if not torch.isfinite(tensor).all():
                tensor.copy_(self.ema[name])

    def averaged(self) -> HDMatt:
        """A copy of the network with the EMA weights, in evaluation mode."""
        model = HDMatt(self.model.config)
        model.load_state_dict(self.ema)
        return model.eval()

    def card(self) -> dict[str, str]:
        """What the weights' file says about them."""
        return card_of(self.config, self.numbers())

    def take(self, pictures: str, *, others: bool, say: Say | None) -> None:
        """Note what the run is trained on (Assets.fingerprint).

        Raises:
            InputError: It was trained on other pictures so far, and `others` is false.
        """
        if self.pictures and self.pictures != pictures:
            if not others:
                raise InputError(
                    f"the run was trained on {self.pictures}; it is given {pictures}",
                    hint="Name the packs it was started with, in their order, or let it go on with --other-pictures.",
                )
            _tell(say, f"step {self.step}: going on with other pictures: {pictures}")
        self.pictures = pictures

    def save(self, state: Path, weights: Path) -> None:
        """Everything needed to go on, and the EMA weights as a model of their own."""
        tensors: dict[str, Tensor] = {f"model.{n}": t for n, t in self.model.state_dict().items()}
        tensors |= {f"ema.{n}": t for n, t in self.ema.items()}
        tensors |= {f"probes.{n}": t for n, t in self.probes.state_dict().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{n}": torch.as_tensor(v) for n, v in moments.items()}
        save_state(tensors, self.numbers(), state)
        save_model(self.averaged(), weights, half=False, card=self.card())

    def numbers(self) -> dict[str, Any]:
        """The position: what a state holds besides tensors."""
        best = self.best if math.isfinite(self.best) else None
        return {
            "step": self.step, "restart": self.restart, "best": best,
            "seen": self.seen, "before": self.before, "pictures": self.pictures,
        }  # fmt: skip

    def load(self, state: Path) -> None:
        """Take over a state that `save` or slices.join wrote; the latter may lack Adam's moments."""
        tensors, numbers = load_state(state)
        self.step, self.restart = numbers["step"], numbers.get("restart", 0)
        each = self.config.groups * self.config.sample.group
        self.seen, self.before = numbers.get("seen", self.step * each), numbers.get("before", 0)  # older: not counted
        self.pictures = numbers.get("pictures", "")
        best = numbers.get("best")
        self.best = math.inf if best is None else best
        try:
            self.model.load_state_dict(_part(tensors, "model."))
            self.probes.load_state_dict(_part(tensors, "probes."))
        except RuntimeError as error:
            raise InputError(
                f"{state} does not fit the run's configuration: {error}", hint="Undo the changes of model.*."
            ) from error
        self.ema = {n: t.to(self.ema[n].device) for n, t in _part(tensors, "ema.").items()}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _part(tensors, "adam.").items():
            index, what = name.split(".", 1)
            moments.setdefault(int(index), {})[what] = tensor
        whole = self.optimiser.state_dict()
        self.optimiser.load_state_dict({"state": moments, "param_groups": whole["param_groups"]})


def learning_rate(config: TrainConfig, step: int, *, restart: int = 0) -> float:
    """Linear warm-up over `warmup` steps, then cosine from `rate` to `rate * floor` at `steps`.

    After `restart` the rate rises once more over `rewarm` steps, from its share to all of what the schedule says.
    """
    again = min(1.0, (step - restart + 1) / config.rewarm) if restart and config.rewarm else 1.0
    return schedule(again * config.rate, step, steps=config.steps, warmup=config.warmup, floor=config.floor)


def group_contexts(groups: int, group: int, *, topk: int, seed: tuple[int, ...], first: int = 0) -> list[list[int]]:
    """For every patch of a batch, `topk` random other patches of its own group (all, when there are no more).

    Args:
        first: Number of the batch's first group among those of all processes: what a group draws does not depend on
            which process has it.
    """
    contexts: list[list[int]] = []
    for number in range(groups):
        rng = np.random.default_rng([*seed, first + number])
        members = range(number * group, (number + 1) * group)
        for own in members:
            others = [i for i in members if i != own]
            contexts.append([int(i) for i in rng.permutation(others)[:topk]])
    return contexts


class _Judge:
    """Everything that a run is validated on."""

    def __init__(self, config: TrainConfig, assets: Assets, folders: Sequence[Path]) -> None:
        self.config = config
        self.held_out = HeldOut(assets, config) if config.validate_every else None
        self.folders = Folders(folders, config)

    def __call__(self, run: Run, device: torch.device) -> list[Scored]:
        model = run.averaged().to(device)
        sample, topk = self.config.sample, self.config.topk
        found = (
            []
            if self.held_out is None
            else [
                self.held_out(model, lambda index: group_contexts(1, sample.group, topk=topk, seed=(0,), first=index))
            ]
        )
        return [*found, *self.folders(model)]


class _Recorder:
    """Sums of what a row of the curve holds, left on the device until the row is asked for."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []
        self.names: list[str] = []
        self.steps, self.skipped, self.waited, self.seconds, self.since = 0, 0, 0.0, 0.0, time.monotonic()

    def add(self, values: Mapping[str, Tensor], *, finite: bool) -> None:
        self.steps += 1
        if not finite:
            self.skipped += 1
            return
        self.names = list(values)
        self.values.append(torch.stack([v.detach().float() for v in values.values()]))

    def row(self, config: TrainConfig, run: Run, fabric: Fabric) -> dict[str, str]:
        """Means since the last row, over all processes; starts anew."""
        seconds = self.seconds + time.monotonic() - self.since
        means: dict[str, str] = {}
        if self.values:
            mean = fabric.all_reduce(torch.stack(self.values).mean(0), reduce_op="mean")
            assert isinstance(mean, Tensor)
            means = {n: f"{v:.5f}" for n, v in zip(self.names, mean.tolist(), strict=True)}
        row = {
            "step": str(run.step),
            "patches": str(run.seen),
            "rate": f"{learning_rate(config, run.step - 1, restart=run.restart):.3g}",
            "seconds_a_step": f"{seconds / max(1, self.steps):.4f}",
            "data_wait": f"{self.waited / max(seconds, 1e-9):.3f}",
            **means,
            "skipped": str(self.skipped),
            "vanished": f"{vanished(run.model):.3f}",
        }
        self.values = []
        self.steps, self.skipped, self.waited, self.seconds, self.since = 0, 0, 0.0, 0.0, time.monotonic()
        return row

    def pause(self) -> None:
        """Stop the clock until `restart`."""
        self.seconds += time.monotonic() - self.since

    def restart(self) -> None:
        self.since = time.monotonic()


def vanished(model: nn.Module) -> float:
    """Share of the convolutions' weights that are below a thousandth of what a fresh layer has: 0 in a healthy network.

    A large share means that layers have died: the loss may still fall, by what the others learn.
    """
    small = total = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            weight = module.weight.detach()
            fan_in = weight[0].numel()
            small += int((weight.abs() < 1e-3 * fan_in**-0.5).sum())
            total += weight.numel()
    return small / max(1, total)


def _loss(
    model: nn.Module,
    probes: nn.Module,
    batch: Mapping[str, Tensor],
    weight: Tensor,
    config: TrainConfig,
    step: int,
    fabric: Fabric,
) -> tuple[Tensor, dict[str, Tensor]]:
    colours = {n: batch[n].permute(0, 3, 1, 2).float() / 255 for n in ("foreground", "background")}
    truth = batch["alpha"][:, None].float() / 255
    inputs = network_input(batch["image"].float() / 255, batch["trimap"])
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    groups = config.groups // fabric.world_size
    contexts = group_contexts(
        groups,
        config.sample.group,
        topk=config.topk,
        seed=(config.seed, step),
        first=fabric.global_rank * groups,
    )
    only = config.part == "coarse"
    out = model(inputs, contexts, around=batch["around"], detach=config.detach, coarse_only=only)
    counts = pixel_weight(batch["trimap"][:, None], weight)
    exact = truth, colours["foreground"], colours["background"], counts
    loss, parts = total(leaned(out.alpha, truth, config.lean), *exact, parts={} if only else config.losses)
    if config.probes and not only:
        parts["probes"] = probe_loss(probes([out.at8, out.at4, out.at2]), *exact)
        loss = loss + config.probes * parts["probes"]
    if config.coarse and out.coarse is not None:
        parts["coarse"] = coarse_loss(out.coarse, truth, counts, lean=config.lean)
        loss = loss + config.coarse * parts["coarse"]
    share = patch_share(fabric, (counts.sum((1, 2, 3)) > 0).sum())
    return (loss * share).float(), {name: value.detach() * share for name, value in parts.items()}


def _compile(model: HDMatt, backend: str | Callable[..., Any] = "inductor") -> None:
    """Encoder and decoder, by what the network's forward calls of them (`Module.compile` acts on a module's own call
    alone); on a CPU the context module's shapes change with every trimap."""
    import torch._dynamo

    torch._dynamo.config.suppress_errors = True  # type: ignore[attr-defined]  # what does not compile runs as it is
    model.encoder.layer1.compile(backend=backend)
    model.decoder.compile(backend=backend)
    for method in ("stem", "after"):
        setattr(model.encoder, method, torch.compile(getattr(model.encoder, method), backend=backend))


def _validate(judge: _Judge, run: Run, device: torch.device, curves: Curves, out: Path, say: Say | None) -> bool:
    """Scores into the curves, a sheet of each set, and the best weights so far by the held-out samples.

    Returns whether these are the best.
    """
    best = False
    for scored in judge(run, device):
        curves.validation(scored.row(run.step))
        caption = f"{scored.name}, step {run.step}, SAD {scored.sad:.3f}"
        curves.picture(scored.name.replace(" ", "-"), run.step, sheet(scored.lines, caption=caption))
        _tell(say, f"step {run.step}: {scored.name}: SAD {scored.sad:.3f}, MSE {1000 * scored.mse:.2f}e-3")
        if scored.name == HELD_OUT_NAME and scored.sad < run.best:
            run.best, best = scored.sad, True
            save_model(run.averaged(), out / BEST, half=False, card=run.card())
    return best


def _tell(say: Say | None, line: str) -> None:
    if say:
        say(line)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _words(row: Mapping[str, str], config: TrainConfig) -> str:
    return (
        f"step {row['step']} of {config.steps}: loss {row.get('loss', 'none')}, {row['seconds_a_step']} s a step, "
        f"{100 * float(row['data_wait']):.0f} % of it waiting for data"
        + (f", {row['skipped']} skipped" if row["skipped"] != "0" else "")
    )
