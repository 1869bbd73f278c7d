"""The mean of the weights of networks that were trained from a common start.

Knows networks, no files. Means of runs that end near each other are often better than each (research/log.md).

    mean_weights    a network whose weights are a weighted mean
"""

from collections.abc import Sequence

import torch

from hdmatt.errors import InputError
from hdmatt.network.model import HDMatt


def mean_weights(models: Sequence[HDMatt], shares: Sequence[float] | None = None) -> HDMatt:
    """A network whose weights, and batch-norm statistics, are the mean of those of the given ones.

    Args:
        models: Networks of one configuration; weights that did not come from a common start have no useful mean.
        shares: Weight of each in the mean, as ratios; None: all the same.

    Raises:
        InputError: No networks, networks of unlike configurations, or shares that are not as many positive numbers.
    """
    shares = [1.0] * len(models) if shares is None else shares
    if not models or len(shares) != len(models) or min(shares) <= 0:
        raise InputError(
            f"{len(models)} networks and {len(shares)} shares have no mean",
            hint="Give one share above 0 for each, or none.",
        )
    if any(model.config != models[0].config for model in models):
        raise InputError("networks of unlike configurations have no mean", hint="Give weights of one kind of network.")
    states = [model.state_dict() for model in models]
    mixed = HDMatt(models[0].config)
    mean = {
        name: sum(share / sum(shares) * state[name].double() for share, state in zip(shares, states, strict=True))
        for name in states[0]
    }
    mixed.load_state_dict({name: torch.as_tensor(value).to(states[0][name].dtype) for name, value in mean.items()})
    return mixed.eval()
