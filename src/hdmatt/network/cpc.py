"""The idea of HDMatt: what one patch learns from the others (cross-patch context, CPC).

Knows features, labels and attention; nothing of pictures, patches' places or files. Read top to bottom:

    REGIONS          the three parts of a trimap, in the order used everywhere here
    Context          what is kept of a patch that may serve as context: keys, values, labels
    rank / select    eq. 1 and 2: which candidates a query should look at
    region_attention eq. 3: what the unknown pixels of a query read from each region
    region_weights   the softmax inside eq. 3, to be looked at (figures/attention.py); the network never holds it
    CPC              the module between the encoder and the decoder

Legend (a trailing capital names an axis): B patches, N unknown pixels of one query, L pixels of context,
C channels of a key, V channels of a value, H W rows and columns at stride 8, P candidate patches.
The three regions partition the pixels, so the work is one attention over the L pixels, cut into three
softmaxes; nothing is computed for a pixel outside its own region.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKGROUND, UNKNOWN, FOREGROUND = 0, 1, 2
REGIONS = (UNKNOWN, FOREGROUND, BACKGROUND)  # the order of f_U, f_F, f_B in the paper

Kind = Literal["none", "nonlocal", "tgnl"]
Form = Literal["strict", "literal"]
ROWS = 256  # query pixels whose logits are held at once on a CPU: 5 MB with three contexts, near a core's cache
UNREAD = -6e4  # a channel of a key that is not to be read, where -inf cannot be said: near float16's end
FAINT = -60.0  # logits below the row's largest by more count as this: e^-60 of the weight, which float32 rounds away


class Context(NamedTuple):
    """What is kept of one patch so that it can serve as context for others."""

    key_LC: Tensor
    value_LV: Tensor
    label_L: Tensor  # int64: BACKGROUND, UNKNOWN or FOREGROUND
    summary_C: Tensor  # mean of the keys: all that eq. 1 needs of a candidate


def rank(query_C: Float[Tensor, "c"], candidates_PC: Float[Tensor, "p c"]) -> Float[Tensor, "p"]:
    """Similarity of each candidate to the unknown part of a query: eq. 1 and 2.

    The double sum of eq. 1 separates, sum_ss' q_s . c_s' = (sum_s q_s) . (sum_s' c_s'), so one vector a patch
    ranks every candidate exactly. Means replace the sums: the order within one query is the same.

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


def region_attention(
    query_NC: Float[Tensor, "n c"],
    key_LC: Float[Tensor, "l c"],
    value_LV: Float[Tensor, "l v"],
    label_L: Int[Tensor, "l"],
    *,
    form: Form,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The sum of eq. 3 for R = U, F, B: what every unknown query pixel reads from each region.

    `strict` attends inside the region only and reads 0 from an empty one. `literal` takes eq. 3 at its word:
    the pixels outside R keep a logit of 0 and a value of 0. They act together as one null key of logit
    log(number of pixels outside R), which is what is computed.

    Args:
        query_NC: Keys of the query's unknown pixels.
        key_LC, value_LV, label_L: All context pixels, of all selected patches.
        form: "strict" or "literal".
        scale: Factor of the logits, 1 / sqrt(C) unless the configuration says otherwise.

    Returns:
        Three tensors N x V, in the order of REGIONS.

    Source:
        HDMatt eq. 3.
    """
    order = torch.argsort(label_L, stable=True)
    counts = torch.bincount(label_L, minlength=3).tolist()
    keys, values = key_LC[order].split(counts), value_LV[order].split(counts)
    reads = [
        _attend(query_NC, keys[r], values[r], outside=len(label_L) - counts[r], form=form, scale=scale) for r in REGIONS
    ]
    return reads[0], reads[1], reads[2]


def region_weights(
    query_NC: Float[Tensor, "n c"],
    key_LC: Float[Tensor, "l c"],
    inside_L: Bool[Tensor, "l"],
    *,
    form: Form,
    scale: float,
) -> tuple[Float[Tensor, "n l"], Float[Tensor, "n"]]:
    """The weights with which eq. 3 adds up the values of one region.

    Args:
        query_NC, key_LC: As in `region_attention`.
        inside_L: The context pixels that belong to the region; all of them for the plain non-local operation.

    Returns:
        Weights, 0 outside of the region, and for each query the weight that goes to the pixels outside of it, whose
        values count as 0 (always 0 in the strict form). Both together sum to 1, or to 0 for a region without pixels.
    """
    weight_NL = query_NC.new_zeros(len(query_NC), len(key_LC))
    lost_N = query_NC.new_zeros(len(query_NC))
    outside = int((~inside_L).sum())
    if outside == len(inside_L):
        return weight_NL, lost_N
    logit = scale * query_NC @ key_LC[inside_L].T
    if form == "literal" and outside:
        null = logit.new_full((len(logit), 1), math.log(outside))
        both = torch.softmax(torch.cat([logit, null], dim=1), dim=1)
        weight_NL[:, inside_L], lost_N = both[:, :-1], both[:, -1]
    else:
        weight_NL[:, inside_L] = torch.softmax(logit, dim=1)
    return weight_NL, lost_N


class CPC(nn.Module):
    """Cross-patch context: deep features of a query in, deep features enriched by its contexts out.

    `kind` picks the paper's models: "none" (A) returns the features as they are, "nonlocal" (B) attends to all
    context pixels at once, "tgnl" (C) to each region of the trimap apart. Input and output have the same
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

    def start_as_shortcut(self) -> None:
        """Let the joining convolution pass the query's own features on and add nothing of what is read, to begin with.

        For a module that is put into a trained network: a convolution drawn at random in the features' way would cost
        all that the network knew, and a comparison with model A would be one of head starts. Features are what a ReLU
        gave, so with stored statistics of mean 0 and variance 1 the module returns them as they are.
        """
        if self.kind == "none":
            return
        joining, norm = self.fuse[0], self.fuse[1]
        assert isinstance(joining, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        nn.init.zeros_(joining.weight)
        nn.init.dirac_(joining.weight[:, : joining.out_channels])
        norm.reset_parameters()

    def keys(self, deep_BCHW: Tensor) -> Tensor:
        """B x C x H x W keys of every pixel; `normed`: each channel with mean 0 and variance 1 over the training.

        Keys without a norm grew until one pixel had nearly all of the weight; keys of length 1 all pointed the same
        way, for what comes out of a ReLU has a large common part (docs/log.md).
        """
        return self.key_norm(self.theta(deep_BCHW))

    def contexts(self, deep_BCHW: Tensor, label_BHW: Tensor) -> list[Context]:
        """One Context a patch. Keys and values are those of eq. 3, the summary that of eq. 1."""
        key = self.keys(deep_BCHW).flatten(2).transpose(1, 2)
        value = self.phi(deep_BCHW).flatten(2).transpose(1, 2)
        label = label_BHW.flatten(1)
        return [Context(key[b], value[b], label[b], key[b].float().mean(0)) for b in range(len(key))]

    def summaries(self, deep_BCHW: Tensor, label_BHW: Tensor) -> Tensor:
        """B x C: mean key over each query's unknown pixels, the query side of eq. 1 (0 where none is unknown)."""
        key = self.keys(deep_BCHW).float().flatten(2)
        unknown = (label_BHW.flatten(1) == UNKNOWN).to(key.dtype)[:, None]
        return (key * unknown).sum(2) / unknown.sum(2).clamp(min=1)

    def forward(self, deep_BCHW: Tensor, label_BHW: Tensor, contexts: Sequence[Sequence[Context]]) -> Tensor:
        """Enrich each patch with what its own list of contexts knows; an empty list is allowed.

        Args:
            deep_BCHW: Encoder output of the query patches.
            label_BHW: Their trimaps at stride 8.
            contexts: For every query, its selected contexts.

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
        """`forward` for a batch whose patches serve each other as contexts.

        On a GPU they are picked by a product with zeros and ones (exact in half precision): picked one by one, each
        would send back a gradient as large as all of them.

        Args:
            deep_BCHW, label_BHW: As for `forward`.
            source_BCHW: What keys and values of the contexts come from: `deep_BCHW`, detached or not.
            contexts: For each patch the indices of those that it may look at; for model A they do not matter.

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
        """Are all queries read together? On a GPU, where each has the same number of contexts, but not none."""
        return deep_BCHW.device.type != "cpu" and len({len(own) for own in contexts}) == 1 and len(contexts[0]) > 0

    def _read(self, key_CHW: Tensor, value_VHW: Tensor, label_HW: Tensor, contexts: Sequence[Context]) -> Tensor:
        """f_U, f_F, f_B of one query, stacked along the channels; 0 at its known pixels."""
        height, width = label_HW.shape
        unknown = (label_HW.flatten() == UNKNOWN).nonzero()[:, 0]
        query_NC = key_CHW.flatten(1).T[unknown]
        own_NV = value_VHW.flatten(1).T[unknown]
        if not contexts or len(unknown) == 0:
            found = [own_NV] * self.reads
        else:
            key = torch.cat([c.key_LC for c in contexts])
            value = torch.cat([c.value_LV for c in contexts])
            label = torch.cat([c.label_L for c in contexts])
            if self.kind == "nonlocal":
                parts = (_attend(query_NC, key, value, outside=0, form=self.form, scale=self.scale),)
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
        """What `_read` gives, of all queries at once; they have the same number of contexts.

        For a GPU, where the sixty small kernels and two waits of each query would take longer than the encoder. Every
        pixel is a query here, and what a region does not hold is masked; nothing waits for the GPU.

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
            read_BNV = _attend_biased(query_BNC, keys, values, bias_BL, scale=self.scale)
            found.append(own_BNV + read_BNV * ~empty_B1[..., None])
        unknown_BN1 = (label_BHW.flatten(1) == UNKNOWN)[..., None]
        return (torch.cat(found, dim=2) * unknown_BN1).transpose(1, 2).reshape(batch, -1, *size)


def _attend_biased(query_BNC: Tensor, key_BLC: Tensor, value_BLV: Tensor, bias_BL: Tensor, *, scale: float) -> Tensor:
    """Attention with a number added to each key's logits; a key with -inf is not read.

    In half precision the number travels as further channels of query and key, so that the kernels that know no mask
    (flash attention) take it; with a mask it takes 2.5 times as long. Two channels: float16 and bfloat16 would round
    a logarithm too roughly.

    Args:
        bias_BL: float32; what is added to `scale` times the product of query and key.

    Returns:
        B x N x V, in the values' precision.
    """
    if not _flash(query_BNC, value_BLV):
        with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):  # the others know no mask of this kind
            mask = bias_BL.to(query_BNC.dtype)[:, None, None]
            return F.scaled_dot_product_attention(
                query_BNC[:, None], key_BLC[:, None], value_BLV[:, None], attn_mask=mask, scale=scale
            )[:, 0]
    own, width = query_BNC.shape[2], value_BLV.shape[2]
    bias_BL = (bias_BL / scale).clamp(min=UNREAD)
    rough_BL = bias_BL.to(key_BLC.dtype)
    parts_BL2 = torch.stack([rough_BL, (bias_BL - rough_BL).to(key_BLC.dtype)], dim=2)
    query_BNC = torch.cat([query_BNC, query_BNC.new_ones(*query_BNC.shape[:2], 2)], dim=2)
    key_BLC = torch.cat([key_BLC, parts_BL2], dim=2)
    size = -(-max(own + 2, width) // 8) * 8  # flash attention wants one width for all three, a multiple of 8
    q, k, v = (F.pad(x, (0, size - x.shape[2]))[:, None] for x in (query_BNC, key_BLC, value_BLV))
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        return F.scaled_dot_product_attention(q, k, v, scale=scale)[:, 0, :, :width]


def _flash(query_BNC: Tensor, value_BLV: Tensor) -> bool:
    """Whether flash attention may take these; where a GPU is too old for it, another kernel does."""
    fits = max(query_BNC.shape[2] + 2, value_BLV.shape[2]) <= 256
    return query_BNC.device.type == "cuda" and query_BNC.dtype in (torch.float16, torch.bfloat16) and fits


def _attend(query_NC: Tensor, key_LC: Tensor, value_LV: Tensor, *, outside: int, form: Form, scale: float) -> Tensor:
    if len(key_LC) == 0:
        return value_LV.new_zeros(len(query_NC), value_LV.shape[1])
    null = math.log(outside) if form == "literal" and outside else -math.inf
    if query_NC.device.type == "cpu" and not torch.is_grad_enabled():
        return _attend_by_rows(query_NC, key_LC, value_LV, null=null, scale=scale)
    bias = None
    if null > -math.inf:
        key_LC = torch.cat([key_LC, key_LC.new_zeros(1, key_LC.shape[1])])
        value_LV = torch.cat([value_LV, value_LV.new_zeros(1, value_LV.shape[1])])
        bias = query_NC.new_zeros(1, len(key_LC))
        bias[:, -1] = null
        bias = bias.expand(len(query_NC), -1)[None, None]
    read = F.scaled_dot_product_attention(
        query_NC[None, None], key_LC[None, None], value_LV[None, None], attn_mask=bias, scale=scale
    )
    return read[0, 0]


def _attend_by_rows(query_NC: Tensor, key_LC: Tensor, value_LV: Tensor, *, null: float, scale: float) -> Tensor:
    """What scaled_dot_product_attention gives, some rows at a time and without denormal numbers.

    Trained logits spread over more than 87, where float32's weights become denormal; to multiply by such numbers takes
    this processor's slow path, which made attention 5 to 7 times as long and a third of all the network's time.

    Args:
        null: Logit of one more key whose value is 0; -inf: there is none.
    """
    key_CL = (scale * key_LC).T
    reads = []
    for rows_NC in query_NC.split(ROWS):
        weight_NL = torch.mm(rows_NC, key_CL)
        largest_N1 = weight_NL.amax(1, keepdim=True).clamp_(min=null)
        weight_NL.sub_(largest_N1).clamp_(min=FAINT).exp_()
        total_N1 = weight_NL.sum(1, keepdim=True) + (null - largest_N1).exp_()
        reads.append(torch.mm(weight_NL, value_LV).div_(total_N1))
    return torch.cat(reads)
