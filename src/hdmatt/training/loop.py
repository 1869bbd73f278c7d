"""Train a network: samples in, weights out. Runs that survive being stopped at any moment.

Knows feed, the model and the losses; on a GPU machine it does not need OpenImageIO. Top to bottom:

    train            the loop: batches, loss, step, EMA, checkpoint
    train_together   the same for several networks, each on every batch
    Run              network, EMA, optimiser and position, and how they are saved
    learning_rate    warm-up, cosine, second warm-up
    group_contexts   which patch looks at which

training/config.py has the configuration, training/batches.py the batches, training/processes.py the processes,
training/validate.py and training/curves.py what can be seen of it, slices.py runs on borrowed time,
training/backbone.py stage 1.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import torch
from torch import Tensor

from hdmatt.errors import InputError
from hdmatt.patches.stitch import feather
from hdmatt.samples.packs import Assets, load_assets
from hdmatt.training.batches import batches
from hdmatt.training.config import (
    STATE,
    TrainConfig,
    changed,
    check,
    check_folder,
    check_start,
    read_config,
    write_config,
)
from hdmatt.training.curves import CurveRecorder, Curves
from hdmatt.training.processes import (
    Fabric,
    Say,
    agreed,
    make_fabric,
    precision_for,
    say_if_asked,
    share_norms,
)
from hdmatt.training.run import WEIGHTS, Row, Run, progress_line
from hdmatt.training.step import BAD_STEPS, compile_network, group_loss, learning_rate
from hdmatt.training.validate import BestKeeper, validate_run

SHARED = ("sample", "groups", "repeat", "spread", "steps", "seed", "workers")  # by rows that are trained together


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
        self.judge = BestKeeper(config, assets, validate) if fabric.is_global_zero else None
        self.judged = bool(validate)
        if fabric.is_global_zero:
            out.mkdir(parents=True, exist_ok=True)
            write_config(config, out / "config.json")
        self.curves = Curves(out, step=run.step, tensorboard=config.tensorboard) if fabric.is_global_zero else None
        share_norms(run.model, fabric, config.norm)
        if config.compile:
            compile_network(run.model)
        self.model, self.optimiser = fabric.setup(run.model, run.optimiser)
        self.probes = fabric.setup_module(run.probes)
        self.weight = torch.from_numpy(feather(config.sample.patch, config.sample.patch // 5)).to(fabric.device)
        self.recorder, self.bad = CurveRecorder(), 0

    def learn(self, batch: Mapping[str, Tensor]) -> None:
        """One step, taken unless its gradient is no number."""
        config, fabric, run = self.config, self.fabric, self.run
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(config, run.step, restart=run.restart)
        loss, parts = group_loss(self.model, self.probes, batch, self.weight, config, run.step, fabric)
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
                say_if_asked(say, progress_line(row, self.config))

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
            if curves and judge and validate_run(judge, run, fabric.device, curves, self.out, say):
                run.save(state, self.out / WEIGHTS)
            fabric.barrier()


def _timed(source: Iterator[dict[str, Tensor]], recorders: Sequence["CurveRecorder"]) -> Iterator[dict[str, Tensor]]:
    """The batches; how long they were waited for is told to every recorder."""
    while True:
        asked = time.monotonic()
        batch = next(source, None)
        for recorder in recorders:
            recorder.waited += time.monotonic() - asked
        if batch is None:
            return
        yield batch
