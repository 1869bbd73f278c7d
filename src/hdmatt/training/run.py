"""A training on disk and in memory: networks, running mean, optimiser and position, resumed bit for bit.

Run    of any training: the matting network's (train.py) and the encoder's as a classifier (backbone.py)
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from hdmatt.errors import InputError
from hdmatt.network.checkpoint import load_state, save_state
from hdmatt.training.processes import Say, silent

POSITION = ("step", "restart", "best", "seen", "before", "pictures")


class Run:
    """Networks, running mean (EMA), optimiser and position of one training.

    Attributes:
        networks: By name; "model" is the one whose mean is kept.
        step: Batches so far, also those whose step was not taken.
        restart: The step at which the run went on from rounded weights; 0: never.
        best: The lowest SAD on held-out samples so far.
        seen: Patches (or pictures) of this run.
        before: Those that the weights it started from had seen, as far as their file tells.
        pictures: What it is trained on, as a fingerprint.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer, *, ema: float, before: int = 0
    ) -> None:
        """Args: ema: Largest share that the running mean keeps a step; `before`: see above."""
        self.networks, self.optimiser, self.decay = dict(networks), optimiser, ema
        self.step, self.restart, self.best = 0, 0, math.inf
        self.seen, self.before, self.pictures = 0, before, ""
        self.ema = {n: t.detach().clone() for n, t in self.model.state_dict().items()}
        self.moments = "adam" if isinstance(optimiser, torch.optim.Adam) else "sgd"  # their name in the state

    @property
    def model(self) -> nn.Module:
        """The network whose mean is kept."""
        return self.networks["model"]

    def move(self, device: torch.device) -> None:
        """Put the networks onto a device; the mean of the weights follows. Before a state is loaded: its moments go
        where the weights are."""
        for network in self.networks.values():
            network.to(device)
        self.ema = {n: t.to(device) for n, t in self.ema.items()}

    def update_ema(self) -> None:
        """Move the EMA towards the weights; faster at first, so that the random start is soon forgotten."""
        keep = min(self.decay, (1 + self.step) / (10 + self.step))
        own: list[Tensor] = []
        new: list[Tensor] = []
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

    def take(self, pictures: str, *, others: bool, say: Say = silent) -> None:
        """Note what the run is trained on, as a fingerprint.

        Raises:
            InputError: It was trained on other pictures so far, and `others` is false.
        """
        if self.pictures and self.pictures != pictures:
            if not others:
                raise InputError(
                    f"the run was trained on {self.pictures}; it is given {pictures}",
                    hint="Name the folders it was started with, in their order, or let it go on with --other-pictures.",
                )
            say(f"step {self.step}: going on with other pictures: {pictures}")
        self.pictures = pictures

    def save(self, state: Path) -> None:
        """Write everything that is needed to go on."""
        tensors = {f"{name}.{n}": t for name, network in self.networks.items() for n, t in network.state_dict().items()}
        tensors |= {f"ema.{n}": t for n, t in self.ema.items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            kept = {n: v for n, v in moments.items() if v is not None}
            tensors |= {f"{self.moments}.{index}.{n}": torch.as_tensor(v) for n, v in kept.items()}
        save_state(tensors, self.numbers(), state)

    def numbers(self) -> dict[str, Any]:
        """The position: what a state holds besides tensors."""
        numbers = {name: getattr(self, name) for name in POSITION}
        return numbers | {"best": self.best if math.isfinite(self.best) else None}

    def load(self, state: Path, *, patches_a_step: int) -> None:
        """Take over a state; it may lack the optimiser's moments.

        Args:
            patches_a_step: For states of older versions, which do not count what they have seen.

        Raises:
            InputError: The state is of another network.
        """
        tensors, numbers = load_state(state)
        self.step, self.restart = numbers["step"], numbers.get("restart", 0)
        self.seen, self.before = numbers.get("seen", self.step * patches_a_step), numbers.get("before", 0)
        self.pictures, best = numbers.get("pictures", ""), numbers.get("best")
        self.best = math.inf if best is None else best
        try:
            for name, network in self.networks.items():
                network.load_state_dict(_with_prefix(tensors, f"{name}."))
        except RuntimeError as error:
            raise InputError(
                f"{state} does not fit the run's configuration: {error}", hint="Undo the changes of model.*."
            ) from error
        self.ema = {n: t.to(self.ema[n].device) for n, t in _with_prefix(tensors, "ema.").items()}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _with_prefix(tensors, f"{self.moments}.").items():
            index, what = name.split(".", 1)
            moments.setdefault(int(index), {})[what] = tensor
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
