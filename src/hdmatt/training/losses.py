"""The training losses: named parts, and their weighted total.

Knows tensors only. All maps are B x 1 x H x W (colours B x 3 x H x W), float32 in [0, 1]; `weight` says how much each
pixel counts; every part is a weighted mean over each patch, then over the patches that have unknown pixels. Top to
bottom:

    alpha_loss, composition_loss     the two parts of eq. 4
    laplacian_loss, gradient_loss    optional extras, off in the preset `paper`
    Probes, probe_loss               alpha, F and B read off the decoder's inner maps, in training only
    coarse_loss                      of the alpha at stride 8, for a network that has one
    pixel_weight                     unknown pixels, times a blending weight
    weighted_error                   alpha with its errors scaled by foreground and background
    total                            the sum of the parts of alpha, and each part for the curves
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.training.config import LossWeights

EPSILON = 1e-12  # eq. 4


def alpha_loss(alpha: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """sqrt((alpha - truth)^2 + 1e-12), weighted mean. Source: HDMatt eq. 4."""
    return _mean(torch.sqrt((alpha - truth) ** 2 + EPSILON), weight)


def composition_loss(alpha: Tensor, truth: Tensor, foreground: Tensor, background: Tensor, weight: Tensor) -> Tensor:
    """sqrt(|I - (alpha F + (1 - alpha) B)|^2 + 1e-12), weighted mean over pixels.

    I is the composite truth F + (1 - truth) B of display values, whatever light (SampleConfig.tone) or camera made of
    the picture, so the difference is
    (truth - alpha)(F - B); the square is the sum over the three colours. Source: HDMatt eq. 4.
    """
    difference = (truth - alpha) * (foreground - background)
    return _mean(torch.sqrt((difference**2).sum(1, keepdim=True) + EPSILON), weight)


def laplacian_loss(alpha: Tensor, truth: Tensor, weight: Tensor, *, levels: int = 4) -> Tensor:
    """Mean absolute difference of the two Laplacian pyramids; level k counts 2^k.

    Source: Hou and Liu, "Context-aware image matting", 2019; weights as in their section 3.3.
    """
    difference, loss = alpha - truth, alpha.new_zeros(())
    for level in range(levels):
        small = F.avg_pool2d(difference, 2)
        band = difference - F.interpolate(small, size=difference.shape[-2:], mode="bilinear", align_corners=False)
        loss = loss + 2**level * _mean(band.abs(), weight)
        difference, weight = small, F.avg_pool2d(weight, 2)
    return loss


def gradient_loss(alpha: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference of forward differences along x and y."""
    difference = alpha - truth
    along_x = _mean((difference[..., 1:] - difference[..., :-1]).abs(), weight[..., 1:])
    along_y = _mean((difference[..., 1:, :] - difference[..., :-1, :]).abs(), weight[..., 1:, :])
    return along_x + along_y


class Probes(nn.Module):
    """1 x 1 convolutions that read alpha, F and B off the decoder's maps at strides 8, 4 and 2.

    They exist in training only. A network that starts from random weights first learns to interpolate the trimap
    and stays there for thousands of steps; asking its inner maps for the colours around a pixel teaches it to look at
    the picture (the log has the curves).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Conv2d(channels, 7, 1) for channels in (4 * width, width, width)])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """B 7 h w for each map, in (0, 1): alpha, then F, then B."""
        return [torch.sigmoid(head(x).float()) for head, x in zip(self.heads, maps, strict=True)]


def probe_loss(read: Sequence[Tensor], truth: Tensor, foreground: Tensor, background: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error of the probes against shrunk alpha, F and B; F counts by alpha, B by 1 - alpha."""
    loss = truth.new_zeros(())
    for x in read:
        factor = truth.shape[-1] // x.shape[-1]
        alpha, front, back, mass = (F.avg_pool2d(t, factor) for t in (truth, foreground, background, weight))
        loss = loss + _mean((x[:, :1] - alpha).abs(), mass)
        loss = loss + _mean((x[:, 1:4] - front).abs().mean(1, keepdim=True), mass * (alpha + 0.05))
        loss = loss + _mean((x[:, 4:] - back).abs().mean(1, keepdim=True), mass * (1.05 - alpha))
    return loss / len(read)


def coarse_loss(coarse: Tensor, truth: Tensor, weight: Tensor, *, foreground_weight: float = 1.0) -> Tensor:
    """Mean absolute error of alpha at stride 8 against the averaged truth; weighted as in `weighted_error`."""
    factor = truth.shape[-1] // coarse.shape[-1]
    small = F.avg_pool2d(truth, factor)
    return _mean((weighted_error(coarse, small, foreground_weight) - small).abs(), F.avg_pool2d(weight, factor))


def pixel_weight(trimap_B1HW: Tensor, blending_HW: Tensor) -> Tensor:
    """B 1 H W: a blending weight (patches/stitch.py) at unknown pixels, 0 elsewhere."""
    return (trimap_B1HW == UNKNOWN).float() * blending_HW


def weighted_error(alpha: Tensor, truth: Tensor, foreground_weight: float) -> Tensor:
    """Truth plus the error of alpha, which counts `foreground_weight` times at foreground, 2 - that at background.

    Between, the factor follows the true alpha. Where a pixel could be either, a network answers by how often it was the
    one in training. Unknown pixels of our samples, with their nets, strands and veils, are background more often (mean
    alpha 0.49) than those of the dev sets (0.53 to 0.61); this makes up for it without other samples
    (research/log.md). The least loss is still at the truth. In the Laplacian and gradient parts an even error then
    counts too, at the truth's edges, where its factor changes.

    Args:
        alpha, truth: B x 1 x H x W, or any other shape that both have.
        foreground_weight: Above 0 and below 2; 1: alpha as it is.

    Returns:
        Alpha with those errors; it may leave [0, 1].
    """
    lean = foreground_weight - 1
    return alpha if lean == 0 else truth + (1 + lean * (2 * truth - 1)) * (alpha - truth)


def total(
    alpha: Tensor, truth: Tensor, foreground: Tensor, background: Tensor, weight: Tensor, *, parts: LossWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the parts that alpha at full size has; a part of weight 0 is not computed.

    Args:
        alpha: As `weighted_error` gives it; the parts, and so a run's curves, are of that.

    Returns:
        The sum to minimise, and each part (detached, before its weight).
    """
    compute = {
        "alpha": lambda: alpha_loss(alpha, truth, weight),
        "composition": lambda: composition_loss(alpha, truth, foreground, background, weight),
        "laplacian": lambda: laplacian_loss(alpha, truth, weight),
        "gradient": lambda: gradient_loss(alpha, truth, weight),
    }
    values = {name: part() for name, part in compute.items() if getattr(parts, name) > 0}
    loss = sum((getattr(parts, name) * value for name, value in values.items()), alpha.new_zeros(()))
    return loss, {name: value.detach() for name, value in values.items()}


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over each patch's weights, then over the patches that have any: a narrow band counts like a wide one."""
    per_patch = (values * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1e-6)
    return per_patch.sum() / (weight.sum((1, 2, 3)) > 0).sum().clamp(min=1)
