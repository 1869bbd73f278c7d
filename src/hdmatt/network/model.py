"""The network: a dilated ResNet-34 encoder, ASPP, cross-patch context, an unpooling decoder.

Knows tensors only; which patch looks at which is decided by the caller (inference/run.py, training/loop.py). Top to bottom:

    ModelConfig    everything that shapes a network; one `width` number scales it
    Stem, Body     what the encoder hands to the decoder and to the context module
    Decoded        alpha, and the maps it came from
    HDMatt         encode -> cpc -> decode
    Encoder, Decoder, and their blocks
    network_input, labels      from picture and trimap to the six input channels and the stride-8 labels
    load_resnet34  ImageNet weights in torchvision's naming

Legend: B patches, C channels, H W rows and columns. Sides are multiples of 8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hdmatt.errors import ModelError
from hdmatt.network.cpc import BACKGROUND, CPC, FOREGROUND, UNKNOWN, Context, Form, Kind
from hdmatt.network.hints import HINTS, LINEAR, colour_hints

STRIDE = 8
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HINTED = 6 + LINEAR  # the hints' alpha among the input channels
DOUBTFUL = 0.02  # no hint is surer than that, so that its logit can be corrected


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a network. `width` 64 is the paper's size (hdmatt-r34), 32 a quarter of its work (hdmatt-s).

    Attributes:
        width: Channels of the first stage; all others scale with it.
        cpc: "none", "nonlocal" or "tgnl": the paper's models A, B and C.
        form: How eq. 3 treats pixels outside a region: "strict" or "literal" (see network/cpc.py).
        scaled: Logits times 1 / sqrt(key channels); False is the paper's literal text.
        normed: Batch norm of the keys (cpc.CPC.keys). Not in the paper.
        coarse: The inputs averaged over 8 x 8 pixels join what goes into layer2, and an alpha at stride 8, read after
            the context, joins the decoder's last stage. Needs `hints`. Not in the paper.
        hints: More input channels, computed from the six: the known colours around each pixel and what they say
            about its alpha (network/hints.py). Not in the paper.
        around: Whether the hints know the colours around the patch and the alpha carried over the picture, too.
            False: a patch learns of the rest of the picture by its context patches alone, as in the paper.
        patch: Side of the patches the weights were trained for, in pixels.
    """

    width: int = 64
    cpc: Kind = "tgnl"
    form: Form = "strict"
    scaled: bool = True
    normed: bool = False
    coarse: bool = False
    hints: bool = False
    around: bool = True
    patch: int = 320


class Stem(NamedTuple):
    """A batch of patches after the first convolution and its two poolings: large to keep, cheap to compute again."""

    inputs: Tensor  # B 6 H W, with hints B 20 H W
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


class Decoded(NamedTuple):
    """What the decoder gives: the answer, and the maps it went through, coarsest first."""

    alpha: Tensor  # B 1 H W in [0, 1], float32
    at8: Tensor  # B 4w H/8 W/8    enriched by the context
    at4: Tensor  # B w H/4 W/4
    at2: Tensor  # B w H/2 W/2
    coarse: Tensor | None  # B 1 H/8 W/8 in [0, 1], float32: alpha before any detail, of a network with `coarse`


class HDMatt(nn.Module):
    """Alpha of query patches from themselves and from other patches of the same picture."""

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config or ModelConfig()
        width, coarse = self.config.width, self.config.coarse
        if coarse and not self.config.hints:
            raise ModelError("a network with `coarse` needs `hints`", hint="Set hints too, or neither.")
        self.encoder = Encoder(width, hints=self.config.hints, coarse=coarse, around=self.config.around)
        # before CPC: A, B, C start from the same weights
        self.decoder = Decoder(width, inputs=self.encoder.inputs, coarse=coarse)
        self.cpc = CPC(
            4 * width,
            key=2 * width,
            value=4 * width,
            kind=self.config.cpc,
            form=self.config.form,
            scaled=self.config.scaled,
            normed=self.config.normed,
        )

    def contexts(self, body: Body, label_BHW: Tensor) -> list[Context]:
        """What to keep of each encoded patch so that it can serve as context (empty list for model A)."""
        return [] if self.config.cpc == "none" else self.cpc.contexts(body.deep, label_BHW)

    def decode(self, stem: Stem, body: Body, contexts: Sequence[Sequence[Context]]) -> Decoded:
        """Alpha of encoded query patches, given each one's selected contexts."""
        return self.decoder(stem, body, self.cpc(body.deep, labels(stem.inputs), contexts))

    def forward(
        self,
        inputs_B6HW: Tensor,
        contexts: Sequence[Sequence[int]],
        *,
        around: Tensor | None = None,
        detach: bool = False,
        coarse_only: bool = False,
    ) -> Decoded:
        """Alpha of every patch of a batch whose patches serve each other as context.

        Args:
            inputs_B6HW: Normalised RGB and trimap one-hot, see `network_input`.
            contexts: For each patch the indices, within the batch, of the patches it may look at.
            around: For a network with hints, the colours and the alpha around each patch, see hints.colour_hints.
            detach: Let no gradient flow into the encoder through the contexts.
            coarse_only: Stop at stride 8, with no gradient for what comes before layer2 (`in_coarse`): `alpha` is the
                enlarged `coarse`, and there are no maps at strides 4 and 2. For a network with `coarse`.

        Returns:
            Alpha, and the decoder's maps for training. Known pixels are not overwritten here; that is the last step
            of a matte.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not coarse_only):
            stem = self.encoder.stem(inputs_B6HW, around)
            quarter = self.encoder.layer1(stem.pooled)
        body = self.encoder.after(stem, quarter)
        source = body.deep.detach() if detach else body.deep
        deep = self.cpc.among(body.deep, source, labels(inputs_B6HW), contexts)
        if not coarse_only:
            return self.decoder(stem, body, deep)
        return self.decoder.early(stem, body, deep)


class Encoder(nn.Module):
    """ResNet-34 at output stride 8 with pooling indices, then ASPP.

    Every ResNet-34 weight keeps its shape: the first convolution and layer2 have stride 1 and are followed /
    preceded by 2 x 2 max-pools that keep indices; layer3 and layer4 are dilated by 2 and 4.
    """

    def __init__(self, width: int, *, hints: bool, coarse: bool, around: bool = True) -> None:
        super().__init__()
        self.hints, self.coarse, self.around = hints, coarse, around
        self.inputs = 6 + HINTS * hints
        self.conv1 = nn.Conv2d(self.inputs, width, 7, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, blocks=3, dilation=1)
        self.layer2 = _stage(width + self.inputs * coarse, 2 * width, blocks=4, dilation=1)
        self.layer3 = _stage(2 * width, 4 * width, blocks=6, dilation=2)
        self.layer4 = _stage(4 * width, 8 * width, blocks=3, dilation=4)
        self.aspp = ASPP(8 * width, 4 * width)
        # the deep blocks start as shortcuts (Goyal et al., "Accurate, large minibatch SGD", 2017): docs/log.md
        for block in [*self.layer3, *self.layer4]:
            assert isinstance(block, Block)
            nn.init.zeros_(block.bn2.weight)

    def stem(self, inputs: Tensor, around: Tensor | None = None) -> Stem:
        """The hints, the first convolution and the two poolings after it."""
        if self.hints:
            inputs = torch.cat([inputs, colour_hints(inputs, around if self.around else None)], dim=1)
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
        """What comes after layer1."""
        pooled, index3 = self.before_trunk(stem.inputs, quarter)
        return Body(quarter, index3, *self.trunk(pooled))

    def before_trunk(self, inputs: Tensor, quarter: Tensor) -> tuple[Tensor, Tensor]:
        """What goes into the trunk, and the index of the last pooling."""
        pooled, index3 = F.max_pool2d(quarter, 2, return_indices=True)
        if self.coarse:
            pooled = torch.cat([pooled, F.avg_pool2d(inputs, STRIDE).to(pooled.dtype)], dim=1)
        return pooled, index3

    def trunk(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """`eighth` and `deep`: what comes after the last pooling index, and what runtimes/choose.py computes in other ways."""
        eighth = self.layer2(pooled)
        return eighth, self.aspp(self.layer4(self.layer3(eighth)))

    def forward(self, inputs: Tensor, around: Tensor | None = None) -> tuple[Stem, Body]:
        stem = self.stem(inputs, around)
        return stem, self.body(stem)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1 x 1, three dilated 3 x 3, and the patch's mean, joined by a 1 x 1.

    Source: Chen et al., "Rethinking atrous convolution", 2017; rates 6, 12, 18 at stride 8 on 40 x 40 cells.
    The mean branch has no norm, so that a batch of one patch trains.
    """

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        branch = out // 2
        self.branches = nn.ModuleList(
            [_conv(channels, branch, kernel=1), *(_conv(channels, branch, dilation=rate) for rate in (6, 12, 18))]
        )
        self.mean = nn.Conv2d(channels, branch, 1)
        self.join = _conv(5 * branch, out, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        mean = F.relu(self.mean(x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        return self.join(torch.cat([*(branch(x) for branch in self.branches), mean], dim=1))


class Decoder(nn.Module):
    """Back to full resolution: unpool with the encoder's indices, join the encoder's features, convolve.

    With `coarse`, what is known at stride 8 also takes a short way: as an alpha, a correction of the hinted one,
    enlarged and joined to the last stage.
    """

    def __init__(self, width: int, *, inputs: int, coarse: bool) -> None:
        super().__init__()
        self.at8 = Join([4 * width, 2 * width], 2 * width)
        self.to4 = _conv(2 * width, width)
        self.at4 = Join([width, width], width)
        self.fill4 = _conv(width, width)  # unpooling fills one pixel in four: a second look spreads it
        self.at2 = Join([width, width], width)
        self.fill2 = _conv(width, width)
        self.at1 = Join([width, width, inputs, *[1] * coarse], width)
        self.detail = _conv(width, width // 2)
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

    def early(self, stem: Stem, body: Body, deep: Tensor) -> Decoded:
        """What is known at stride 8 alone: `alpha` is the enlarged `coarse`, `at4` and `at2` are empty."""
        coarse = self.guess(stem.inputs, self.at8([deep, body.eighth]))
        assert coarse is not None, "only a network with `coarse` has an alpha at stride 8"
        return Decoded(enlarged(coarse), deep, deep.new_empty(0), deep.new_empty(0), coarse)

    def guess(self, inputs: Tensor, at8: Tensor) -> Tensor | None:
        """Alpha at stride 8, B 1 H/8 W/8 float32; None without `coarse`."""
        return None if self.coarse is None else corrected(inputs, self.coarse(at8))


class Join(nn.Module):
    """3 x 3 convolution of several feature maps at once, norm, ReLU.

    The sum of one convolution a map equals the convolution of their concatenation. Concatenating 70 channels
    at full resolution took a quarter of a training step on a CPU (strided copies of its gradient).
    """

    def __init__(self, channels: list[int], out: int) -> None:
        super().__init__()
        convs = [nn.Conv2d(c, out, 3, padding=1, bias=False) for c in channels]
        bound = (9 * sum(channels)) ** -0.5  # start as one convolution over all channels would
        for conv in convs:
            nn.init.uniform_(conv.weight, -bound, bound)
        self.convs = nn.ModuleList(convs)
        self.norm = nn.BatchNorm2d(out)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        first, *others = (conv(x) for conv, x in zip(self.convs, maps, strict=True))
        for other in others:
            first += other  # in place: a new map costs as much to get as to fill
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


def corrected(inputs: Tensor, correction_B1hw: Tensor) -> Tensor:
    """The hinted alpha, averaged over 8 x 8 pixels, with a correction added to its logit; B 1 h w float32."""
    hinted = F.avg_pool2d(inputs[:, HINTED : HINTED + 1].float(), STRIDE).clamp(DOUBTFUL, 1 - DOUBTFUL)
    return torch.sigmoid(torch.logit(hinted) + correction_B1hw.float())


def enlarged(coarse_B1hw: Tensor) -> Tensor:
    """From stride 8 to the patch's size, bilinearly."""
    return F.interpolate(coarse_B1hw, scale_factor=STRIDE, mode="bilinear", align_corners=False)


def in_coarse(name: str) -> bool:
    """Is this a parameter of what a network computes at stride 8?"""
    return name.startswith(("encoder.layer2", "encoder.layer3", "encoder.layer4", "encoder.aspp", "cpc.",
                            "decoder.at8", "decoder.coarse"))  # fmt: skip


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


def network_input(rgb_BHW3: Tensor, trimap_BHW: Tensor) -> Tensor:
    """Six input channels: RGB by ImageNet mean and deviation, then the trimap as one-hot (B, U, F).

    Args:
        rgb_BHW3: Display-encoded colours, float in [0, 1].
        trimap_BHW: uint8, exactly 0, 128 or 255.
    """
    mean = rgb_BHW3.new_tensor(IMAGENET_MEAN)
    std = rgb_BHW3.new_tensor(IMAGENET_STD)
    colours = ((rgb_BHW3 - mean) / std).permute(0, 3, 1, 2)
    one_hot = torch.stack([trimap_BHW == value for value in (0, 128, 255)], dim=1).to(colours.dtype)
    return torch.cat([colours, one_hot], dim=1)


def labels(inputs_B6HW: Tensor) -> Tensor:
    """B H/8 W/8 int64 labels: unknown wins when any pixel of the cell is unknown, else the majority."""
    background, unknown, foreground = inputs_B6HW[:, 3:6].float().unbind(1)
    known = F.avg_pool2d((foreground - background)[:, None], STRIDE)[:, 0]
    label = torch.where(known > 0, FOREGROUND, BACKGROUND)
    return torch.where(F.max_pool2d(unknown[:, None], STRIDE)[:, 0] > 0, UNKNOWN, label)


def load_resnet34(model: HDMatt, weights: Mapping[str, Tensor]) -> None:
    """Start the encoder from ImageNet ResNet-34 weights in torchvision's naming.

    The three trimap channels of the first convolution start at zero, so the encoder sees the picture just as
    the classifier did. `fc.*` is ignored.

    Raises:
        ModelError: A tensor is missing or has another shape (the model is not `width` 64).
    """
    encoder = model.encoder
    own = {n: t for n, t in encoder.state_dict().items() if not n.startswith("aspp.")}
    loaded = dict(encoder.state_dict())
    for name, tensor in own.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in weights:
            raise ModelError(
                f"the ResNet-34 weights have no tensor {name!r}",
                hint="Give a state dict in torchvision's naming (conv1.weight, layer1.0.conv1.weight, ...).",
            )
        source = weights[name]
        if name in ("conv1.weight", "layer2.0.conv1.weight", "layer2.0.downsample.0.weight"):  # our further channels
            others = source.new_zeros(len(source), max(0, tensor.shape[1] - source.shape[1]), *source.shape[2:])
            source = torch.cat([source, others], dim=1)
        if source.shape != tensor.shape:
            raise ModelError(
                f"{name} of the ResNet-34 weights is {tuple(source.shape)}, the model needs {tuple(tensor.shape)}",
                hint="ImageNet ResNet-34 weights fit ModelConfig(width=64) only.",
            )
        loaded[name] = source
    encoder.load_state_dict(loaded)


def _conv(channels: int, out: int, *, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


def _stage(channels: int, out: int, *, blocks: int, dilation: int) -> nn.Sequential:
    first = Block(channels, out, dilation)
    return nn.Sequential(first, *(Block(out, out, dilation) for _ in range(blocks - 1)))
