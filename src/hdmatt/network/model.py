"""The network: a dilated ResNet-34 encoder, ASPP, cross-patch context, an unpooling decoder.

Knows tensors only; which patch looks at which is decided by the caller (inference/run.py, training/loop.py). Top to
bottom:

    ModelConfig    everything that shapes a network; one `width` number scales it
    Stem, Body     what the encoder hands to the decoder and to the context module
    Decoded        alpha, and the maps it came from
    HDMatt         encode -> cpc -> decode
    Encoder, Decoder, and their blocks
    network_input, labels      from picture and trimap to the six input channels and the stride-8 labels
    load_resnet34  ImageNet weights in torchvision's naming

Legend: B patches, C channels, H W rows and columns. Sides are multiples of 8.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hdmatt.errors import ModelError
from hdmatt.network.config import ModelConfig
from hdmatt.network.cpc import CPC, Context
from hdmatt.network.decoder import Decoded, Decoder
from hdmatt.network.encoder import Body, Encoder, Stem
from hdmatt.network.inputs import labels


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


def in_coarse(name: str) -> bool:
    """Is this a parameter of what a network computes at stride 8?"""
    return name.startswith(("encoder.layer2", "encoder.layer3", "encoder.layer4", "encoder.aspp", "cpc.",
                            "decoder.at8", "decoder.coarse"))  # fmt: skip
