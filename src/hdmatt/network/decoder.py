"""The decoder: back to full resolution by unpooling with the encoder's indices and joining its features.

    Decoded            alpha, and the maps it came from
    Decoder            Stem, Body and the enriched deepest map -> Decoded
    unpool             values back to where the pooling found them

Legend: B patches, C channels, w width, H W rows and columns. Sides are multiples of 8.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hdmatt.network.blocks import Join, conv_norm_relu
from hdmatt.network.config import STRIDE
from hdmatt.network.encoder import Body, Stem
from hdmatt.network.hints import LINEAR

HINTED = 6 + LINEAR  # the hints' alpha among the input channels
DOUBTFUL = 0.02  # no hint is surer than that, so that its logit can be corrected


class Decoded(NamedTuple):
    """What the decoder gives: the answer, and the maps it went through, coarsest first."""

    alpha: Tensor  # B 1 H W in [0, 1], float32
    at8: Tensor  # B 4w H/8 W/8    enriched by the context
    at4: Tensor  # B w H/4 W/4
    at2: Tensor  # B w H/2 W/2
    coarse: Tensor | None  # B 1 H/8 W/8 in [0, 1], float32: alpha before any detail, of a network with `coarse`


class Decoder(nn.Module):
    """Back to full resolution: unpool with the encoder's indices, join the encoder's features, convolve.

    With `coarse`, what is known at stride 8 also takes a short way: as an alpha, a correction of the hinted one,
    enlarged and joined to the last stage.
    """

    def __init__(self, width: int, *, inputs: int, coarse: bool) -> None:
        super().__init__()
        self.at8 = Join([4 * width, 2 * width], 2 * width)
        self.to4 = conv_norm_relu(2 * width, width)
        self.at4 = Join([width, width], width)
        self.fill4 = conv_norm_relu(width, width)  # unpooling fills one pixel in four: a second look spreads it
        self.at2 = Join([width, width], width)
        self.fill2 = conv_norm_relu(width, width)
        self.at1 = Join([width, width, inputs, *[1] * coarse], width)
        self.detail = conv_norm_relu(width, width // 2)
        self.alpha = nn.Conv2d(width // 2, 1, 3, padding=1)
        self.coarse = nn.Conv2d(2 * width, 1, 1) if coarse else None
        if self.coarse is not None:  # starts as the hint
            for parameter in self.coarse.parameters():
                nn.init.zeros_(parameter)

    def forward(self, stem: Stem, body: Body, deep: Tensor) -> Decoded:
        at8 = self.at8([deep, body.eighth])
        coarse = self.guess(stem.inputs, at8)
        at4 = self.fill4(self.at4([unpool(self.to4(at8), body.index3), body.quarter]))
        at2 = self.fill2(self.at2([unpool(at4, stem.index2), stem.half]))
        maps = [unpool(at2, stem.index1), stem.full, stem.inputs]
        if coarse is not None:
            maps.append(enlarged(coarse).to(at2.dtype))
        x = self.at1(maps)
        return Decoded(torch.sigmoid(self.alpha(self.detail(x)).float()), deep, at4, at2, coarse)

    def guess(self, inputs: Tensor, at8: Tensor) -> Tensor | None:
        """Alpha at stride 8, B 1 H/8 W/8 float32; None without `coarse`."""
        return None if self.coarse is None else corrected(inputs, self.coarse(at8))


def corrected(inputs: Tensor, correction_B1hw: Tensor) -> Tensor:
    """The hinted alpha, averaged over 8 x 8 pixels, with a correction added to its logit; B 1 h w float32."""
    hinted = F.avg_pool2d(inputs[:, HINTED : HINTED + 1].float(), STRIDE).clamp(DOUBTFUL, 1 - DOUBTFUL)
    return torch.sigmoid(torch.logit(hinted) + correction_B1hw.float())


def enlarged(coarse_B1hw: Tensor) -> Tensor:
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
