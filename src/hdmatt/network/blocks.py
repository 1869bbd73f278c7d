"""Building blocks of the encoder and the decoder.

ASPP              atrous spatial pyramid pooling
Join              one convolution over several feature maps
Block             ResNet's basic block
conv_norm_relu    convolution, batch norm, ReLU
residual_stage    several blocks
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1 x 1, three dilated 3 x 3, and the patch's mean, joined by a 1 x 1.

    Source: Chen et al., "Rethinking atrous convolution", 2017; rates 6, 12, 18 at stride 8 on 40 x 40 cells.
    The mean branch has no norm, so that a batch of one patch trains.
    """

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        branch = out // 2
        self.branches = nn.ModuleList(
            [
                conv_norm_relu(channels, branch, kernel=1),
                *(conv_norm_relu(channels, branch, dilation=rate) for rate in (6, 12, 18)),
            ]
        )
        self.mean = nn.Conv2d(channels, branch, 1)
        self.join = conv_norm_relu(5 * branch, out, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        mean = F.relu(self.mean(x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        return self.join(torch.cat([*(branch(x) for branch in self.branches), mean], dim=1))


class Join(nn.Module):
    """3 x 3 convolution of several feature maps at once, norm, ReLU.

    The sum of one convolution a map equals the convolution of their concatenation. Concatenating 70 channels
    at full resolution took a quarter of a training step on a CPU (strided copies of its gradient).
    """

    def __init__(self, channels: list[int], out: int) -> None:
        super().__init__()
        convs = [nn.Conv2d(c, out, 3, padding=1, bias=False) for c in channels]
        bound = (9 * sum(channels)) ** -0.5  # as for one convolution over all channels
        for conv in convs:
            nn.init.uniform_(conv.weight, -bound, bound)
        self.convs = nn.ModuleList(convs)
        self.norm = nn.BatchNorm2d(out)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        first, *others = (conv(x) for conv, x in zip(self.convs, maps, strict=True))
        for other in others:
            first += other  # in place: to allocate a map takes as long as to fill it
        return F.relu(self.norm(first), inplace=True)


class Block(nn.Module):
    """ResNet basic block: two 3 x 3 convolutions and a shortcut (names as in torchvision)."""

    def __init__(self, channels: int, out: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)) if channels != out else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.bn2(self.conv2(x))
        x += shortcut
        return F.relu(x, inplace=True)


def conv_norm_relu(channels: int, out: int, *, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


def residual_stage(channels: int, out: int, *, blocks: int, dilation: int) -> nn.Sequential:
    first = Block(channels, out, dilation)
    return nn.Sequential(first, *(Block(out, out, dilation) for _ in range(blocks - 1)))
