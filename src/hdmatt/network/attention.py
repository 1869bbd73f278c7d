"""Equation 3: attention of a query's unknown pixels to each region of its context patches.

Knows tensors only. Read top to bottom:

    region_attention    eq. 3 for the three regions of one query
    region_weights      the attention weights of one region, for figures; the network never holds them
    read_region         attention of one query to one region
    attend_biased       attention of many queries together, on a GPU

Legend (a trailing capital names an axis): B patches, N query pixels, L context pixels, C channels of a key, V channels
of a value.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from hdmatt.network.config import REGIONS, Form

ROWS = 256  # query pixels whose logits are held at once on a CPU: 5 MB with three contexts, near a core's cache
MASKED = -6e4  # the bias of a masked key where -inf cannot be written: near float16's smallest number
LOGIT_FLOOR = -60.0  # logits further below the row's largest count as this: e^-60 of the weight is rounded away


def region_attention(
    query_NC: Float[Tensor, "n c"],
    key_LC: Float[Tensor, "l c"],
    value_LV: Float[Tensor, "l v"],
    label_L: Int[Tensor, "l"],
    *,
    form: Form,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The sum of eq. 3 for R = U, F, B: the weighted mean of each region's values, for every unknown query pixel.

    "strict" attends to the pixels of the region only, and gives 0 for an empty region. "literal" is the paper's text:
    the pixels outside R have a logit of 0 and a value of 0. Together they act as one null key whose logit is the
    logarithm of their number, and so it is computed.

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
        read_region(query_NC, keys[r], values[r], outside=len(label_L) - counts[r], form=form, scale=scale)
        for r in REGIONS
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
    """The weights of eq. 3 for the values of one region.

    Args:
        query_NC, key_LC: As in `region_attention`.
        inside_L: The context pixels that belong to the region; all of them for the plain non-local operation.

    Returns:
        Weights, 0 outside of the region; and for each query pixel the weight of the pixels outside, whose values are 0
        (always 0 in the strict form). Both sum to 1, or to 0 for a region without pixels.
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
    """Attention with a bias added to each key's logits; a bias of -inf masks the key.

    In half precision the bias becomes two more channels of query and key: flash attention takes no mask, and with one
    attention takes 2.5 times as long. Two channels, because float16 and bfloat16 round a logarithm too coarsely.

    Args:
        bias_BL: float32, added to `scale` times the product of query and key.

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
    bias_BL = (bias_BL / scale).clamp(min=MASKED)
    rough_BL = bias_BL.to(key_BLC.dtype)
    parts_BL2 = torch.stack([rough_BL, (bias_BL - rough_BL).to(key_BLC.dtype)], dim=2)
    query_BNC = torch.cat([query_BNC, query_BNC.new_ones(*query_BNC.shape[:2], 2)], dim=2)
    key_BLC = torch.cat([key_BLC, parts_BL2], dim=2)
    size = -(-max(own + 2, width) // 8) * 8  # flash attention wants one width for all three, a multiple of 8
    q, k, v = (F.pad(x, (0, size - x.shape[2]))[:, None] for x in (query_BNC, key_BLC, value_BLV))
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        return F.scaled_dot_product_attention(q, k, v, scale=scale)[:, 0, :, :width]


def _flash(query_BNC: Tensor, value_BLV: Tensor) -> bool:
    """Whether the sizes and types suit flash attention; on a GPU that is too old for it torch takes another kernel."""
    fits = max(query_BNC.shape[2] + 2, value_BLV.shape[2]) <= 256
    return query_BNC.device.type == "cuda" and query_BNC.dtype in (torch.float16, torch.bfloat16) and fits


def read_region(
    query_NC: Tensor, key_LC: Tensor, value_LV: Tensor, *, outside: int, form: Form, scale: float
) -> Tensor:
    """N x V: attention to the pixels of one region; `outside` counts the context pixels that are not in it."""
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
    """scaled_dot_product_attention, some rows at a time and without denormal numbers.

    Trained logits differ by more than 87, where weights in float32 become denormal. Processors multiply denormal
    numbers so slowly that attention took 5 to 7 times as long, a third of the network's time.

    Args:
        null: Logit of one more key whose value is 0; -inf for none.
    """
    key_CL = (scale * key_LC).T
    reads = []
    for rows_NC in query_NC.split(ROWS):
        weight_NL = torch.mm(rows_NC, key_CL)
        largest_N1 = weight_NL.amax(1, keepdim=True).clamp_(min=null)
        weight_NL.sub_(largest_N1).clamp_(min=LOGIT_FLOOR).exp_()
        total_N1 = weight_NL.sum(1, keepdim=True) + (null - largest_N1).exp_()
        reads.append(torch.mm(weight_NL, value_LV).div_(total_N1))
    return torch.cat(reads)
