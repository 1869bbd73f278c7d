"""The loop of every training: batch, loss, step, curve, checkpoint, until it is over.

Knows no network and no pictures: train.py and backbone.py say what is learned. Top to bottom:

    Limits      when a call stops before its schedule does
    TrainingJob what the loop asks of a training
    run_steps   the loop

Runs survive being stopped at any moment: what comes after the last checkpoint is done again, bit for bit.
"""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from hdmatt.training.curves import CurveRecorder, Curves
from hdmatt.training.processes import Fabric, Say, agreed
from hdmatt.training.run import Run

BAD_STEPS = 10  # steps without a finite gradient, one after the other, that end a run


@dataclass(frozen=True)
class Limits:
    """When a call stops, with a checkpoint, although its schedule goes on.

    Attributes:
        minutes: Since `started`; None: no limit.
        steps: Of this call; None: no limit.
        started: The clock (time.monotonic) from which minutes count.
    """

    minutes: float | None = None
    steps: int | None = None
    started: float = field(default_factory=lambda: time.monotonic())


@runtime_checkable
class TrainingJob(Protocol):
    """What the loop asks of a training.

    Attributes:
        run: The state; its `step` is moved on by the loop.
        model, optimiser: As `Fabric.setup` returns them.
        curves: Files of the curves; None in all processes but the first.
        steps, save_every, clip, patches, pieces: Length of the schedule, steps between checkpoints, limit of the
            gradient's norm (0: none), patches a step, pieces of its batch.
    """

    run: Run
    model: Any
    optimiser: Any
    curves: Curves | None
    steps: int
    save_every: int
    clip: float
    patches: int
    pieces: int

    def batches(self) -> Iterator[dict[str, Tensor]]:
        """Batches from the run's step on."""
        ...

    def rate(self) -> float:
        """The learning rate of the run's step."""
        ...

    def loss(self, batch: dict[str, Tensor], piece: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The number to minimise and its parts, for one piece of a batch on the device; they add up over the pieces."""
        ...

    def keep(self, *, last: bool) -> None:
        """Checkpoint and validation, where the run's step is one for them."""
        ...


def run_steps(job: TrainingJob, fabric: Fabric, limits: Limits, say: Say) -> None:
    """Every step from where the run stands to its end, or until a limit is reached.

    A step whose gradient is no number is not taken: the weights stay, and statistics that it spoiled are restored.

    Raises:
        RuntimeError: The gradient was no number ten steps in a row; the last checkpoint is kept.
    """
    run, recorder, bad = job.run, CurveRecorder(), 0
    first = run.step
    for batch in recorder.timed(job.batches()):
        rate = job.rate()
        for group in job.optimiser.param_groups:
            group["lr"] = rate
        finite, values = _step(job, fabric, {n: t.to(fabric.device, non_blocking=True) for n, t in batch.items()})
        run.step += 1
        run.seen += job.patches
        recorder.add(values, finite=finite)
        bad = 0 if finite else bad + 1
        if bad == BAD_STEPS:
            raise RuntimeError(
                f"the gradient was no number {bad} steps in a row (up to step {run.step}, loss "
                f"{float(values['loss'].detach())}); the last checkpoint is kept"
            )
        over = limits.minutes is not None and time.monotonic() - limits.started > 60 * limits.minutes
        over = over if limits.minutes is None else agreed(fabric, over)
        last = over or run.step >= job.steps or (limits.steps is not None and run.step - first >= limits.steps)
        if last or run.step % job.save_every == 0:
            row = recorder.row(run, fabric, rate=rate)
            if job.curves:
                job.curves.training(row)
                say(_progress(row, job.steps))
        with recorder.paused():  # neither a checkpoint nor a validation counts as a step's time
            job.keep(last=last)
        if last:
            break
    if job.curves:
        job.curves.close()


def _step(job: TrainingJob, fabric: Fabric, batch: dict[str, Tensor]) -> tuple[bool, dict[str, Tensor]]:
    """One step, taken unless its gradient is no number; whether it was, and the values for the curve."""
    values: dict[str, Tensor] = {}
    for piece in range(job.pieces):
        with nullcontext() if piece + 1 == job.pieces else fabric.no_backward_sync(job.model):
            loss, parts = job.loss(batch, piece)
            fabric.backward(loss)
        for name, value in {"loss": loss.detach(), **parts}.items():
            values[name] = values[name] + value if name in values else value
    # always measured, so that a step with a gradient that is no number is never taken; infinite: not clipped
    norm = fabric.clip_gradients(job.model, job.optimiser, max_norm=job.clip or math.inf, error_if_nonfinite=False)
    finite = norm is not None and bool(torch.isfinite(norm))
    if finite:
        job.optimiser.step()
        job.run.update_ema()
    else:
        job.run.restore_statistics()
    job.optimiser.zero_grad()
    return finite, {**values, "gradient": norm if norm is not None else values["loss"]}


def _progress(row: dict[str, Any], steps: int) -> str:
    return (
        f"step {row['step']} of {steps}: loss {row.get('loss', 'none')}, {row['seconds_a_step']} s a step, "
        f"{100 * row['data_wait']:.0f} % of it waiting for data"
        + (f", {row['skipped']} skipped" if row["skipped"] else "")
    )
