"""The whole picture at a glance: a network's own matte of it at low resolution, as a hint for every patch.

A patch that knows how the network sees the whole picture knows where the object goes on outside of it. Tensors only,
for training; engine.py does the same with arrays (`ColourField.glance`). Top to bottom:

    Small        small pictures and what is exact about them
    small_of     a batch of samples -> those of one size at a time
    put          a matte with a small picture's known pixels
    joined       mattes of small pictures -> `around` of the patches, with the glance
    glanced      all of the first pass, without a gradient
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hdmatt.field import AROUND, BLOCK
from hdmatt.model import HDMatt, network_input


class Small(NamedTuple):
    """Some small pictures of the same side, N x N, as a network takes them."""

    which: list[int]  # their numbers in the batch
    inputs: Tensor  # b 6 n n
    around: Tensor  # b k k 82, k = ceil(n / 32)
    trimap: Tensor  # b 1 n n uint8: 0, 128, 255
    alpha: Tensor  # b 1 n n in [0, 1], exact, as foreground and background
    foreground: Tensor  # b 3 n n in [0, 1], display-encoded
    background: Tensor  # b 3 n n


def small_of(batch: Mapping[str, Tensor]) -> Iterator[Small]:
    """The small pictures of a batch (synth.sample.Sample), smallest first, those of one size together.

    Args:
        batch: With `small`, `small_around` and `side`, the latter best on the CPU: it is looked at.
    """
    sides: list[int] = [int(n) for n in batch["side"].tolist()]
    for side in sorted(set(sides)):
        which = [i for i, n in enumerate(sides) if n == side]
        some = torch.tensor(which, device=batch["small"].device)
        pixels = batch["small"][some, :side, :side]
        colours, marks = pixels[..., :3].float() / 255, pixels[..., 3]
        exact = (pixels[..., 4:].float() / 255).permute(0, 3, 1, 2)
        number = -(-side // AROUND)
        yield Small(
            which,
            network_input(colours, marks).contiguous(memory_format=torch.channels_last),
            batch["small_around"][some, :number, :number],
            marks[:, None],
            exact[:, :1],
            exact[:, 1:4],
            exact[:, 4:],
        )


def put(alpha_B1HW: Tensor, trimap_B1HW: Tensor) -> Tensor:
    """The matte, exactly 0 and 1 where the trimap is 0 and 255; same shape, without a gradient."""
    known = (trimap_B1HW == 255).to(alpha_B1HW.dtype)
    return torch.where(trimap_B1HW == 128, alpha_B1HW.detach(), known)


def joined(batch: Mapping[str, Tensor], mattes: Mapping[int, Tensor]) -> Tensor:
    """`around` of every patch after a glance, B n n 146: 64 more values a sample, as field.under has them.

    Args:
        batch: Samples; as many patches of each composite, one composite after the other.
        mattes: By number of the composite its small matte, 1 x n x n in [0, 1].
    """
    around, places = batch["around"], batch["place"]
    number, patch = around.shape[1], batch["trimap"].shape[-1]
    inner = (torch.arange(number * BLOCK, device=around.device) + 0.5) * (AROUND // BLOCK) / patch
    maps = []
    for composite, own in enumerate(places.chunk(len(mattes))):
        matte = mattes[composite].float()
        y, x, size, turned = own[..., None].unbind(1)
        rows, columns = y + size * inner, x + size * torch.where(turned > 0, 1 - inner, inner)
        grid = torch.stack(torch.broadcast_tensors(columns[:, None], rows[..., None]), dim=-1) * 2 / matte.shape[-1] - 1
        several = matte.expand(len(own), 1, -1, -1)
        maps.append(F.grid_sample(several, grid, padding_mode="border", align_corners=False))
    blocks = F.pixel_unshuffle(torch.cat(maps), BLOCK).permute(0, 2, 3, 1)
    return torch.cat([around, blocks], dim=-1)


@torch.no_grad()
def glanced(model: HDMatt, batch: Mapping[str, Tensor]) -> Tensor:
    """`around` of a batch's patches after a glance at their composites, B n n 146.

    Args:
        model: With a glance, in evaluation mode: in training mode its batch norms would count the small pictures.
    """
    mattes: dict[int, Tensor] = {}
    for small in small_of(batch):
        alpha = model(small.inputs, [[] for _ in small.which], around=small.around).alpha
        mattes |= zip(small.which, put(alpha, small.trimap), strict=True)
    return joined(batch, mattes)
