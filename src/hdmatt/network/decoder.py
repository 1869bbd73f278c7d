"""The decoder: unpooling with the encoder's indices, joined with the encoder's features, up to full resolution.

    Decoded            alpha, and the maps before it
    Decoder            Stem, Body and the enriched deepest map -> Decoded
    unpool             values put back where the pooling found them

Legend: B patches, C channels, w width, H W rows and columns. Sides are multiples of 8.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hdmatt.network.blocks import Join, conv_norm_relu
from hdmatt.network.config import STRIDE
from hdmatt.network.encoder import Body, Stem
from hdmatt.network.extra_channels import LINEAR

LINEAR_ALPHA = 6 + LINEAR  # the local linear model's alpha among the input channels
MARGIN = 0.02  # that alpha is kept this far from 0 and 1, so that its logit is finite


class Decoded(NamedTuple):
    """Alpha, and the maps before it, coarsest first."""

    alpha: Tensor  # B 1 H W in [0, 1], float32
    at8: Tensor  # B 4w H/8 W/8    enriched by the context
    at4: Tensor  # B w H/4 W/4
    at2: Tensor  # B w H/2 W/2
    coarse: Tensor | None  # B 1 H/8 W/8 in [0, 1], float32: alpha at stride 8, of a network with `coarse`


class Decoder(nn.Module):
    """Unpools with the encoder's indices, joins the encoder's features, and convolves.

    With `coarse`, there is a shortcut from stride 8: an alpha, computed as a correction of the local linear model's,
    is enlarged and joined to the last stage.
    """

    def __init__(self, width: int, *, inputs: int, coarse: bool) -> None:
        super().__init__()
        self.at8 = Join([4 * width, 2 * width], 2 * width)
        self.to4 = conv_norm_relu(2 * width, width)
        self.at4 = Join([width, width], width)
        self.fill4 = conv_norm_relu(width, width)  # unpooling fills one pixel in four, this the others
        self.at2 = Join([width, width], width)
        self.fill2 = conv_norm_relu(width, width)
        self.at1 = Join([width, width, inputs, *[1] * coarse], width)
        self.detail = conv_norm_relu(width, width // 2)
        self.alpha = nn.Conv2d(width // 2, 1, 3, padding=1)
        self.coarse = nn.Conv2d(2 * width, 1, 1) if coarse else None
        if self.coarse is not None:  # starts as the local linear model's alpha
            for parameter in self.coarse.parameters():
                nn.init.zeros_(parameter)

    def forward(self, stem: Stem, body: Body, deep: Tensor) -> Decoded:
        at8 = self.at8([deep, body.eighth])
        coarse = self.coarse_alpha(stem.inputs, at8)
        at4 = self.fill4(self.at4([unpool(self.to4(at8), body.index3), body.quarter]))
        at2 = self.fill2(self.at2([unpool(at4, stem.index2), stem.half]))
        maps = [unpool(at2, stem.index1), stem.full, stem.inputs]
        if coarse is not None:
            maps.append(to_patch_size(coarse).to(at2.dtype))
        x = self.at1(maps)
        return Decoded(torch.sigmoid(self.alpha(self.detail(x)).float()), deep, at4, at2, coarse)

    def coarse_alpha(self, inputs: Tensor, at8: Tensor) -> Tensor | None:
        """Alpha at stride 8, B 1 H/8 W/8 float32; None without `coarse`."""
        return None if self.coarse is None else corrected(inputs, self.coarse(at8))


def corrected(inputs: Tensor, correction_B1hw: Tensor) -> Tensor:
    """The local linear model's alpha, averaged over 8 x 8 pixels, with its logit corrected; B 1 h w float32."""
    linear = F.avg_pool2d(inputs[:, LINEAR_ALPHA : LINEAR_ALPHA + 1].float(), STRIDE).clamp(MARGIN, 1 - MARGIN)
    return torch.sigmoid(torch.logit(linear) + correction_B1hw.float())


def to_patch_size(coarse_B1hw: Tensor) -> Tensor:
    """From stride 8 to the patch's size, bilinearly."""
    return F.interpolate(coarse_B1hw, scale_factor=STRIDE, mode="bilinear", align_corners=False)


def unpool(x: Tensor, indices: Tensor) -> Tensor:
    """Put each value back where the 2 x 2 pooling found its maximum; the other three pixels are 0."""
    if x.device.type == "cpu":
        return F.max_unpool2d(x, indices, [2, 2])
    return scattered(x, indices)


def scattered(x: Tensor, indices: Tensor) -> Tensor:
    """`unpool` by the one operation that every GPU has in every precision, channels last as they come and go."""
    batch, channels, height, width = x.shape
    flat, places = (t.permute(0, 2, 3, 1).reshape(batch, height * width, channels) for t in (x, indices))
    out = x.new_zeros(batch, 4 * height * width, channels).scatter(1, places, flat)
    return out.reshape(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
