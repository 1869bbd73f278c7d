"""Equation 3: what a query's pixels read from one region of its context patches, and the kernels for it.

Knows tensors only. Read top to bottom:

    region_attention    eq. 3 for one region
    region_weights      its attention weights, for figures
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from hdmatt.network.config import REGIONS, Form

ROWS = 256  # query pixels whose logits are held at once on a CPU: 5 MB with three contexts, near a core's cache
UNREAD = -6e4  # a channel of a key that is not to be read, where -inf cannot be said: near float16's end
FAINT = -60.0  # logits below the row's largest by more count as this: e^-60 of the weight, which float32 rounds away


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
        attend(query_NC, keys[r], values[r], outside=len(label_L) - counts[r], form=form, scale=scale) for r in REGIONS
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


def attend_biased(query_BNC: Tensor, key_BLC: Tensor, value_BLV: Tensor, bias_BL: Tensor, *, scale: float) -> Tensor:
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


def attend(query_NC: Tensor, key_LC: Tensor, value_LV: Tensor, *, outside: int, form: Form, scale: float) -> Tensor:
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
