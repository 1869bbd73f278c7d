"""HDMatt: encode the patches, enrich them by their context, decode alpha.

Knows tensors only; the caller decides which patch may look at which (inference/pool.py, training/step.py). The parts
are in encoder.py, cpc.py and decoder.py.

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
        topk: int | None = None,
        around: Tensor | None = None,
        detach: bool = False,
    ) -> Decoded:
        """Alpha of every patch of a batch whose patches serve each other as context.

        Args:
            inputs_B6HW: Normalised RGB and trimap one-hot, see `network_input`.
            contexts: For each patch the indices, within the batch, of the patches it may look at.
            topk: Of these, the most similar ones that it looks at (K), ranked by eq. 1; None: all of them.
            around: For a network with hints, the colours and the alpha around each patch, see hints.colour_hints.
            detach: Let no gradient flow into the encoder through the contexts.

        Returns:
            Alpha, and the decoder's maps for training. Known pixels are not overwritten here; that is the last step
            of a matte.
        """
        stem, body = self.encoder(inputs_B6HW, around)
        label = labels(inputs_B6HW)
        if topk is not None:
            contexts = self.cpc.most_similar(body.deep, label, contexts, topk)
        source = body.deep.detach() if detach else body.deep
        return self.decoder(stem, body, self.cpc.among(body.deep, source, label, contexts))
