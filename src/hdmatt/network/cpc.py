"""Cross-patch context (CPC), the idea of HDMatt: features of one patch, enriched by features of the others.

Knows features, labels and attention; nothing of pictures, windows or files. Read top to bottom:

    Context         keys, values and labels of a patch that may be context of others
    rank, select    eq. 1 and 2: the candidates most similar to a query
    CPC             the module between the encoder and the decoder; eq. 3 itself is in network/attention.py

Legend (a trailing capital names an axis): B patches, N unknown pixels of one query, L pixels of context,
C channels of a key, V channels of a value, H W rows and columns at stride 8, P candidate patches.
The three regions partition the pixels, so the work is one attention over the L pixels, cut into three
softmaxes; nothing is computed for a pixel outside its own region.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from hdmatt.network.attention import attend_biased, read_region, region_attention
from hdmatt.network.config import REGION_UNKNOWN, REGIONS, Form, Kind


class Context(NamedTuple):
    """Keys, values and labels of one patch, for patches that attend to it."""

    key_LC: Tensor
    value_LV: Tensor
    label_L: Tensor  # int64: REGION_BACKGROUND, REGION_UNKNOWN or REGION_FOREGROUND
    summary_C: Tensor  # mean of the keys, which is all that eq. 1 needs of a candidate


def rank(query_C: Float[Tensor, "c"], candidates_PC: Float[Tensor, "p c"]) -> Float[Tensor, "p"]:
    """Similarity of each candidate to the unknown part of a query: eq. 1 and 2.

    The double sum of eq. 1 separates, sum_ss' q_s . c_s' = (sum_s q_s) . (sum_s' c_s'), so one vector a patch
    ranks the candidates exactly. Means replace the sums, which keeps the order.

    Args:
        query_C: Mean key over the query's unknown pixels.
        candidates_PC: Mean key of every candidate, over all of its pixels.

    Returns:
        Softmax over the candidates; sums to 1.

    Source:
        HDMatt eq. 1 and 2.
    """
    return torch.softmax(candidates_PC @ query_C, dim=0)


def select(query_C: Float[Tensor, "c"], candidates_PC: Float[Tensor, "p c"], k: int) -> list[int]:
    """Indices of the `k` most similar candidates (all of them when there are fewer), best first.

    Equal scores keep the candidates' order, so the choice is deterministic.
    """
    scores = candidates_PC @ query_C  # the softmax of eq. 2 keeps the order
    return torch.argsort(scores, descending=True, stable=True)[:k].tolist()


class CPC(nn.Module):
    """Cross-patch context: deep features of a query in, the same enriched by its contexts out.

    `kind` chooses one of the paper's models: "none" (A) returns the features unchanged, "nonlocal" (B) attends to all
    context pixels together, "tgnl" (C) to each region of the trimap separately. Input and output have the same
    shape, so the three models differ in nothing else.
    """

    def __init__(
        self, channels: int, *, key: int, value: int, kind: Kind, form: Form, scaled: bool, normed: bool = False
    ) -> None:
        super().__init__()
        self.kind: Kind = kind
        self.form: Form = form
        self.scale = key**-0.5 if scaled else 1.0
        self.value_channels = value
        self.reads = {"none": 0, "nonlocal": 1, "tgnl": 3}[kind]
        if kind == "none":
            return
        self.theta = nn.Conv2d(channels, key, 3, padding=1, bias=not normed)  # keys of query and context
        self.key_norm = nn.BatchNorm2d(key, affine=False) if normed else nn.Identity()
        self.delta = nn.Conv2d(channels, value, 3, padding=1)  # values of the query
        self.phi = nn.Conv2d(channels, value, 3, padding=1)  # values of the context
        self.fuse = nn.Sequential(
            nn.Conv2d(channels + self.reads * value, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )

    def keys(self, deep_BCHW: Tensor) -> Tensor:
        """B x C x H x W keys of every pixel; with `normed`, each channel has mean 0 and variance 1 over the training.

        Keys without a norm grew until one pixel had nearly all of the weight. Keys of length 1 pointed the same way,
        because features after a ReLU have a large common part (research/log.md).
        """
        return self.key_norm(self.theta(deep_BCHW))

    def contexts(self, deep_BCHW: Tensor, label_BHW: Tensor) -> list[Context]:
        """One Context a patch: the keys and values of eq. 3, the summary of eq. 1."""
        key = self.keys(deep_BCHW).flatten(2).transpose(1, 2)
        value = self.phi(deep_BCHW).flatten(2).transpose(1, 2)
        label = label_BHW.flatten(1)
        return [Context(key[b], value[b], label[b], key[b].float().mean(0)) for b in range(len(key))]

    def summaries(self, deep_BCHW: Tensor, label_BHW: Tensor) -> Tensor:
        """B x C: mean key over each query's unknown pixels, the query side of eq. 1 (0 where none is unknown)."""
        key = self.keys(deep_BCHW).float().flatten(2)
        unknown = (label_BHW.flatten(1) == REGION_UNKNOWN).to(key.dtype)[:, None]
        return (key * unknown).sum(2) / unknown.sum(2).clamp(min=1)

    @torch.no_grad()
    def most_similar(
        self, deep_BCHW: Tensor, label_BHW: Tensor, candidates: Sequence[Sequence[int]], k: int
    ) -> list[list[int]]:
        """For each patch of a batch its `k` most similar candidates by eq. 1, best first; equal ones in their order.

        No gradient flows through the choice, and the keys' norm counts nothing.

        Args:
            deep_BCHW, label_BHW: As for `forward`.
            candidates: For each patch, indices within the batch.
            k: Candidates to choose; where there are fewer, all are.
        """
        if self.kind == "none":
            return [list(own)[:k] for own in candidates]
        key = self.theta(deep_BCHW)
        if isinstance(self.key_norm, nn.BatchNorm2d) and self.training:
            key = F.batch_norm(key.float(), None, None, training=True)  # the batch's statistics, as `keys` takes
        else:
            key = self.key_norm(key)
        key, unknown = key.float().flatten(2), (label_BHW.flatten(1) == REGION_UNKNOWN)[:, None]
        query_BC = (key * unknown).sum(2) / unknown.sum(2).clamp(min=1)
        score_BB = (query_BC @ key.mean(2).T).tolist()
        return [sorted(own, key=lambda i, of=of: -of[i])[:k] for own, of in zip(candidates, score_BB, strict=True)]

    def forward(self, deep_BCHW: Tensor, label_BHW: Tensor, contexts: Sequence[Sequence[Context]]) -> Tensor:
        """Enrich each patch by its own list of contexts, which may be empty.

        Args:
            deep_BCHW: Encoder output of the query patches.
            label_BHW: Their trimaps at stride 8.
            contexts: For each query its selected contexts.

        Returns:
            The same shape as `deep_BCHW`.
        """
        if self.kind == "none":
            return deep_BCHW
        key_BCHW, value_BVHW = self.keys(deep_BCHW), self.delta(deep_BCHW)
        if self._at_once(deep_BCHW, contexts):
            key, value, label = (torch.stack([c[i] for own in contexts for c in own]) for i in range(3))
            read_BRHW = self._read_together(key_BCHW, value_BVHW, label_BHW, key, value, label)
        else:
            read = [self._read(key_BCHW[b], value_BVHW[b], label_BHW[b], contexts[b]) for b in range(len(deep_BCHW))]
            read_BRHW = torch.stack(read)
        return self.fuse(torch.cat([deep_BCHW, read_BRHW], dim=1))

    def among(
        self, deep_BCHW: Tensor, source_BCHW: Tensor, label_BHW: Tensor, contexts: Sequence[Sequence[int]]
    ) -> Tensor:
        """`forward` for a batch whose patches are contexts of each other.

        On a GPU they are gathered by a product with zeros and ones, which is exact in half precision. Gathered one by
        one, each would return a gradient as large as the whole batch.

        Args:
            deep_BCHW, label_BHW: As for `forward`.
            source_BCHW: Features from which the contexts' keys and values are computed: `deep_BCHW`, detached or not.
            contexts: For each patch the indices of its contexts; ignored by model A.

        Returns:
            The same shape as `deep_BCHW`.
        """
        if self.kind == "none":
            return deep_BCHW
        if not self._at_once(deep_BCHW, contexts):
            pool = self.contexts(source_BCHW, label_BHW)
            return self(deep_BCHW, label_BHW, [[pool[i] for i in own] for own in contexts])
        index = torch.tensor(contexts).flatten()
        if deep_BCHW.device.type == "cuda":  # from page-locked memory, so that nothing waits
            index = index.pin_memory()
        index = index.to(deep_BCHW.device, non_blocking=True)
        pick = F.one_hot(index, len(deep_BCHW))
        key, value = (
            (pick.to(x.dtype) @ x.flatten(2).transpose(1, 2).flatten(1)).reshape(len(index), -1, x.shape[1])
            for x in (self.keys(source_BCHW), self.phi(source_BCHW))
        )
        read = self._read_together(
            self.keys(deep_BCHW), self.delta(deep_BCHW), label_BHW, key, value, label_BHW.flatten(1)[index]
        )
        return self.fuse(torch.cat([deep_BCHW, read], dim=1))

    def _at_once(self, deep_BCHW: Tensor, contexts: Sequence[Sequence[object]]) -> bool:
        """Whether all queries attend together: on a GPU, if each has the same number of contexts, and some."""
        return deep_BCHW.device.type != "cpu" and len({len(own) for own in contexts}) == 1 and len(contexts[0]) > 0

    def _read(self, key_CHW: Tensor, value_VHW: Tensor, label_HW: Tensor, contexts: Sequence[Context]) -> Tensor:
        """f_U, f_F, f_B of one query, stacked along the channels; 0 at its known pixels."""
        height, width = label_HW.shape
        unknown = (label_HW.flatten() == REGION_UNKNOWN).nonzero()[:, 0]
        query_NC = key_CHW.flatten(1).T[unknown]
        own_NV = value_VHW.flatten(1).T[unknown]
        if not contexts or len(unknown) == 0:
            found = [own_NV] * self.reads
        else:
            key = torch.cat([c.key_LC for c in contexts])
            value = torch.cat([c.value_LV for c in contexts])
            label = torch.cat([c.label_L for c in contexts])
            if self.kind == "nonlocal":
                parts = (read_region(query_NC, key, value, outside=0, form=self.form, scale=self.scale),)
            else:
                parts = region_attention(query_NC, key, value, label, form=self.form, scale=self.scale)
            found = [own_NV + part for part in parts]
        out = value_VHW.new_zeros(height * width, self.reads * self.value_channels)
        out = out.index_copy(0, unknown, torch.cat(found, dim=1).to(out.dtype))
        return out.T.reshape(-1, height, width)

    def _read_together(
        self, key_BCHW: Tensor, value_BVHW: Tensor, label_BHW: Tensor, keys_PLC: Tensor, values_PLV: Tensor,
        labels_PL: Tensor,
    ) -> Tensor:  # fmt: skip
        """`_read` of all queries at once; they have the same number of contexts.

        For a GPU, where sixty small kernels and two synchronisations for each query would take longer than the encoder.
        Here every pixel is a query and the pixels outside of a region are masked, so nothing waits for the GPU.

        Args:
            keys_PLC, values_PLV, labels_PL: Of the contexts, P in all: those of the first query, then the next one's.
        """
        batch, *size = label_BHW.shape
        query_BNC, own_BNV = (x.flatten(2).transpose(1, 2) for x in (key_BCHW, value_BVHW))
        key_BLC, value_BLV = (x.reshape(batch, -1, x.shape[-1]) for x in (keys_PLC, values_PLV))
        label_BL = labels_PL.reshape(batch, -1)
        regions = [label_BL >= 0] if self.kind == "nonlocal" else [label_BL == region for region in REGIONS]
        found = []
        for inside_BL in regions:
            outside_B1 = (~inside_BL).sum(1, keepdim=True)
            empty_B1 = ~inside_BL.any(1, keepdim=True)
            bias_BL = torch.zeros_like(inside_BL, dtype=torch.float32)
            bias_BL = bias_BL.masked_fill(~inside_BL & ~empty_B1, -math.inf)  # an empty region: anything, times 0
            keys, values = key_BLC, value_BLV
            if self.form == "literal" and self.kind == "tgnl":
                keys, values = (F.pad(x, (0, 0, 0, 1)) for x in (keys, values))
                bias_BL = torch.cat([bias_BL, outside_B1.log()], dim=1)
            read_BNV = attend_biased(query_BNC, keys, values, bias_BL, scale=self.scale)
            found.append(own_BNV + read_BNV * ~empty_B1[..., None])
        unknown_BN1 = (label_BHW.flatten(1) == REGION_UNKNOWN)[..., None]
        return (torch.cat(found, dim=2) * unknown_BN1).transpose(1, 2).reshape(batch, -1, *size)
