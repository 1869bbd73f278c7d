"""A training run on disk: its configuration, state, weights and best weights, resumed bit for bit."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
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
from hdmatt.network.model import HDMatt, in_coarse
from hdmatt.training.config import (
    TrainConfig,
    card_of,
)
from hdmatt.training.losses import Probes
from hdmatt.training.processes import (
    Say,
    say_if_asked,
)
from hdmatt.training.step import with_prefix

WEIGHTS, BEST = "model.safetensors", "best.safetensors"


@dataclass(frozen=True)
class Row:
    """One of several networks that are trained together: its configuration, its folder, the weights it starts from."""

    config: TrainConfig
    out: Path
    init: Path | None = None


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
        # AdamW: inside of Adam the decay is divided by the gradient's size, and kills what learns slowly (the log)
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
            say_if_asked(say, f"step {self.step}: going on with other pictures: {pictures}")
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
            self.model.load_state_dict(with_prefix(tensors, "model."))
            self.probes.load_state_dict(with_prefix(tensors, "probes."))
        except RuntimeError as error:
            raise InputError(
                f"{state} does not fit the run's configuration: {error}", hint="Undo the changes of model.*."
            ) from error
        self.ema = {n: t.to(self.ema[n].device) for n, t in with_prefix(tensors, "ema.").items()}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in with_prefix(tensors, "adam.").items():
            index, what = name.split(".", 1)
            moments.setdefault(int(index), {})[what] = tensor
        whole = self.optimiser.state_dict()
        self.optimiser.load_state_dict({"state": moments, "param_groups": whole["param_groups"]})


def progress_line(row: Mapping[str, str], config: TrainConfig) -> str:
    return (
        f"step {row['step']} of {config.steps}: loss {row.get('loss', 'none')}, {row['seconds_a_step']} s a step, "
        f"{100 * float(row['data_wait']):.0f} % of it waiting for data"
        + (f", {row['skipped']} skipped" if row["skipped"] != "0" else "")
    )
