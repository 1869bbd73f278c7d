"""The whole picture at a glance: a network's own matte of it at low resolution, as a hint for every patch.

A patch that knows how the network sees the whole picture knows where the object goes on outside of it. Tensors only,
for training; engine.py does the same with arrays, `ColourField.glance`. Top to bottom:

    Small        small pictures and what is exact about them
    small_of     a batch of samples -> those of one size at a time
    put          a matte into a small picture's known pixels
    joined       mattes of small pictures -> `around` of the patches, with the glance
    glanced      both passes' first half at once, without a gradient
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
    trimap: Tensor  # b 1 n n
    alpha: Tensor  # b 1 n n in [0, 1]
    foreground: Tensor  # b 3 n n
    background: Tensor  # b 3 n n


def small_of(batch: Mapping[str, Tensor]) -> Iterator[Small]:
    """The small pictures of a batch, one size after the other; see synth.sample.Sample."""
    sides: list[int] = [int(n) for n in batch["side"].tolist()]
    for side in sorted(set(sides)):
        which = [i for i, n in enumerate(sides) if n == side]
        pixels = batch["small"][which][:, :side, :side]
        colours, marks = pixels[..., :3].float() / 255, pixels[..., 3]
        exact = (pixels[..., 4:].float() / 255).permute(0, 3, 1, 2)
        number = -(-side // AROUND)
        yield Small(
            which,
            network_input(colours, marks).contiguous(memory_format=torch.channels_last),
            batch["small_around"][which][:, :number, :number],
            marks[:, None],
            exact[:, :1],
            exact[:, 1:4],
            exact[:, 4:],
        )


def put(alpha_B1HW: Tensor, trimap_B1HW: Tensor) -> Tensor:
    """The matte with 0 and 1 at its known pixels, without a gradient."""
    known = (trimap_B1HW == 255).to(alpha_B1HW.dtype)
    return torch.where(trimap_B1HW == 128, alpha_B1HW.detach(), known)


def joined(batch: Mapping[str, Tensor], mattes: Mapping[int, Tensor]) -> Tensor:
    """`around` of every patch with 64 more values a sample: the glance at 8 x 8 places, as field.inside has them.

    Args:
        batch: Samples; as many patches of each composite.
        mattes: By number of the composite its small matte, 1 x n x n.
    """
    around, places = batch["around"], batch["place"]
    own, number = len(places) // len(mattes), around.shape[1]
    patch = batch["trimap"].shape[-1]
    inner = (torch.arange(number * BLOCK, device=around.device) + 0.5) * (AROUND // BLOCK) / patch
    maps = []
    for composite in range(len(mattes)):
        matte = mattes[composite].float()
        for y, x, size, turned in places[composite * own : (composite + 1) * own].unbind(0):
            rows, columns = ((start + size * inner) * 2 / matte.shape[-1] - 1 for start in (y, x))
            columns = torch.where(turned > 0, columns.flip(0), columns)
            grid = torch.stack(torch.broadcast_tensors(columns[None, :], rows[:, None]), dim=-1)
            maps.append(F.grid_sample(matte[None], grid[None], padding_mode="border", align_corners=False)[0])
    blocks = F.pixel_unshuffle(torch.stack(maps), BLOCK).permute(0, 2, 3, 1)
    return torch.cat([around, blocks], dim=-1)


@torch.no_grad()
def glanced(model: HDMatt, batch: Mapping[str, Tensor]) -> Tensor:
    """`around` of a batch's patches after a glance at their composites."""
    mattes: dict[int, Tensor] = {}
    for small in small_of(batch):
        alpha = model(small.inputs, [[] for _ in small.which], around=small.around).alpha
        mattes |= zip(small.which, put(alpha, small.trimap), strict=True)
    return joined(batch, mattes)
