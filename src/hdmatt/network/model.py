"""The network: encoder, cross-patch context, decoder.

Knows tensors only; the caller decides which patches are context of which (inference/pool.py, training/step.py). The
parts are in encoder.py, cpc.py and decoder.py.

Legend: B patches, C channels, H W rows and columns. Sides are multiples of 8.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from hdmatt.errors import ModelError
from hdmatt.network.config import ModelConfig
from hdmatt.network.cpc import CPC, Context
from hdmatt.network.decoder import Decoded, Decoder
from hdmatt.network.encoder import Body, Encoder, Stem
from hdmatt.network.inputs import labels


class HDMatt(nn.Module):
    """Alpha of query patches, computed from themselves and from context patches of the same picture."""

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config or ModelConfig()
        width, coarse = self.config.width, self.config.coarse
        if coarse and not self.config.extra_channels:
            raise ModelError("a network with `coarse` needs `extra_channels`", hint="Set both, or neither.")
        self.encoder = Encoder(
            width, extra=self.config.extra_channels, coarse=coarse, surroundings=self.config.surroundings
        )
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
        """Each encoded patch as a context of others; an empty list for model A."""
        return [] if self.config.cpc == "none" else self.cpc.contexts(body.deep, label_BHW)

    def decode(self, stem: Stem, body: Body, contexts: Sequence[Sequence[Context]]) -> Decoded:
        """Alpha of encoded query patches, given each one's selected contexts."""
        return self.decoder(stem, body, self.cpc(body.deep, labels(stem.inputs), contexts))

    def forward(
        self,
        inputs_B6HW: Tensor,
        contexts: Sequence[Sequence[int]],
        *,
        topk: int | None = None,
        surroundings: Tensor | None = None,
        detach: bool = False,
        faults: Tensor | None = None,
    ) -> Decoded:
        """Alpha of every patch of a batch whose patches serve each other as context.

        Args:
            inputs_B6HW: Normalised RGB and trimap one-hot, see `network_input`.
            contexts: For each patch the indices, within the batch, of its context patches.
            topk: Keep only the K most similar of these, ranked by eq. 1. None: all of them.
            surroundings: For a network with extra channels, see `extra_channels`.
            faults: In training, what is wrong with the extra channels of each patch, see `spoilt`.
            detach: Let no gradient flow into the encoder through the contexts.

        Returns:
            Alpha, and the decoder's maps for training. Known pixels are not overwritten here, but by the stitching.
        """
        stem, body = self.encoder(inputs_B6HW, surroundings, faults)
        label = labels(inputs_B6HW)
        if topk is not None:
            contexts = self.cpc.most_similar(body.deep, label, contexts, topk)
        source = body.deep.detach() if detach else body.deep
        return self.decoder(stem, body, self.cpc.among(body.deep, source, label, contexts))
