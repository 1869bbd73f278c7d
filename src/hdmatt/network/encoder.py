"""The encoder: ResNet-34 at output stride 8 with pooling indices, then ASPP.

    Stem, Body    what the encoder hands to the decoder and to the context module
    Encoder       six input channels (and the extra ones) -> Stem, Body

Legend: B patches, C channels, w width, H W rows and columns. Sides are multiples of 8.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hdmatt.network.blocks import ASPP, Block, residual_stage
from hdmatt.network.config import STRIDE
from hdmatt.network.extra_channels import EXTRA, extra_channels, spoilt


class Stem(NamedTuple):
    """A batch of patches after the first convolution and its two poolings: large to keep, cheap to compute again."""

    inputs: Tensor  # B 6 H W, with extra channels B 20 H W
    full: Tensor  # B w H W
    half: Tensor  # B w H/2 W/2
    pooled: Tensor  # B w H/4 W/4
    index1: Tensor  # of the pooling full -> half
    index2: Tensor  # of the pooling half -> pooled


class Body(NamedTuple):
    """A batch of patches after the residual stages and ASPP: nearly all of the work, small to keep."""

    quarter: Tensor  # B w H/4 W/4   after layer1
    index3: Tensor  # of the pooling of `quarter`
    eighth: Tensor  # B 2w H/8 W/8   after layer2
    deep: Tensor  # B 4w H/8 W/8     after ASPP


class Encoder(nn.Module):
    """ResNet-34 at output stride 8 with pooling indices, then ASPP.

    Every ResNet-34 weight keeps its shape: the first convolution and layer2 have stride 1 and are followed /
    preceded by 2 x 2 max-pools that keep indices; layer3 and layer4 are dilated by 2 and 4.
    """

    def __init__(self, width: int, *, extra: bool, coarse: bool, surroundings: bool = True) -> None:
        super().__init__()
        self.extra, self.coarse, self.surroundings = extra, coarse, surroundings
        self.inputs = 6 + EXTRA * extra
        self.conv1 = nn.Conv2d(self.inputs, width, 7, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = residual_stage(width, width, blocks=3, dilation=1)
        self.layer2 = residual_stage(width + self.inputs * coarse, 2 * width, blocks=4, dilation=1)
        self.layer3 = residual_stage(2 * width, 4 * width, blocks=6, dilation=2)
        self.layer4 = residual_stage(4 * width, 8 * width, blocks=3, dilation=4)
        self.aspp = ASPP(8 * width, 4 * width)
        # the deep blocks start as shortcuts (Goyal et al., "Accurate, large minibatch SGD", 2017): research/log.md
        for block in [*self.layer3, *self.layer4]:
            assert isinstance(block, Block)
            nn.init.zeros_(block.bn2.weight)

    def stem(self, inputs: Tensor, surroundings: Tensor | None = None, faults: Tensor | None = None) -> Stem:
        """The extra channels, the first convolution and the two poolings after it."""
        if self.extra:
            known = surroundings if self.surroundings else None
            extra = extra_channels(inputs, known)
            inputs = torch.cat([inputs, extra if faults is None else spoilt(extra, faults)], dim=1)
            inputs = inputs.contiguous(memory_format=torch.channels_last)  # once, not in each convolution that reads it
        return self.pooled(inputs, F.relu(self.bn1(self.conv1(inputs)), inplace=True))

    def pooled(self, inputs: Tensor, full: Tensor) -> Stem:
        """The two poolings after the first convolution."""
        half, index1 = F.max_pool2d(full, 2, return_indices=True)
        pooled, index2 = F.max_pool2d(half, 2, return_indices=True)
        return Stem(inputs, full, half, pooled, index1, index2)

    def body(self, stem: Stem) -> Body:
        """The four residual stages and ASPP."""
        return self.after(stem, self.layer1(stem.pooled))

    def after(self, stem: Stem, quarter: Tensor) -> Body:
        """Everything after layer1."""
        pooled, index3 = self.before_trunk(stem.inputs, quarter)
        return Body(quarter, index3, *self.trunk(pooled))

    def before_trunk(self, inputs: Tensor, quarter: Tensor) -> tuple[Tensor, Tensor]:
        """The trunk's input, and the index of the last pooling."""
        pooled, index3 = F.max_pool2d(quarter, 2, return_indices=True)
        if self.coarse:
            pooled = torch.cat([pooled, F.avg_pool2d(inputs, STRIDE).to(pooled.dtype)], dim=1)
        return pooled, index3

    def trunk(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """`eighth` and `deep`: layer2 to ASPP, after the last pooling index. Other runtimes replace this method."""
        eighth = self.layer2(pooled)
        return eighth, self.aspp(self.layer4(self.layer3(eighth)))

    def forward(
        self, inputs: Tensor, surroundings: Tensor | None = None, faults: Tensor | None = None
    ) -> tuple[Stem, Body]:
        stem = self.stem(inputs, surroundings, faults)
        return stem, self.body(stem)
