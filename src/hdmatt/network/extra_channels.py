"""Extra input channels: what the known colours around a pixel say about its alpha, without any learned weight.

Not from the paper. The colours of the known foreground and background are described by their means and covariances,
which are continued into the unknown area by ever coarser averages. Two classes with a mean and a covariance each give
an alpha in closed form, and a local linear model smooths it along the picture's colours. Tensors only. Top to bottom:

    EXTRA             number of extra channels; LINEAR: the most accurate alpha among them
    spoilt            the same with faults, in training
    extra_channels    picture and trimap of a patch -> the channels
    discriminant      two Gaussians -> the direction in colour space that separates them
    local_linear      the alpha that is linear in colour within every neighbourhood
    moments_of        colours -> themselves and their products

On a CPU most of the time is memory traffic. The maps at full resolution are planes, not channels_last, which would
make every slice of a channel a strided read; their products are computed once. The maps of cells are channels_last,
where averaging and interpolating them is faster.

Legend: B patches, H W rows and columns, h w rows and columns of cells. Colours are display-encoded in [0, 1]. Symmetric
3 x 3 matrices are the six channels of PAIRS.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hdmatt.overview.known_colours import BLOCK, MOMENTS, NEUTRAL, NEUTRAL_VARIANCE, PAIRS, SAMPLE

EXTRA = 14
LINEAR = 8  # index of the local linear model's alpha among them
CELL = 4  # pixels along a side of a cell; moments are averages over cells
NOISE = 1e-4  # added to every covariance's diagonal: a deviation of 2.5 of 255 steps
OWN = 16.0  # a cell with one known pixel in 16 is described by its own pixels alone
REGULARISATION = 0.05  # keeps alpha finite where both classes have the same colour
GUESS_WEIGHT = 0.1  # of an unknown pixel's first alpha in the local linear model; known pixels have 1
BOX = 5  # cells of the local linear model's box filter, applied twice
GOOD, MISSING, BLURRED, SWAPPED = range(4)  # what a training does to the extra channels of a patch
UNIT = (0.229, 0.224, 0.225)  # ImageNet's standard deviation: the unit of the colour differences


def extra_channels(inputs_B6HW: Tensor, surroundings_BHWM: Tensor | None = None) -> Tensor:
    """Fourteen extra channels for every pixel of a patch.

    With I the pixel's colour, F and B the mean colours of foreground and background around it:

    - 0 to 5: I - F and I - B in units of ImageNet's standard deviation; 6, 7: their lengths
    - 8: alpha of the local linear model; 9: alpha of the discriminant, which that model smooths
    - 10: the distance between the two classes; 11, 12: the pixel's distance to either class; all as log(1 + d^2) / 4
      of Mahalanobis distances d
    - 13: alpha of the whole picture at low resolution; without `surroundings`, channel 8 again

    Args:
        inputs_B6HW: As `network_input` gives them; any size.
        surroundings_BHWM: Known colours and low-resolution alpha of the whole picture, one sample for 32 x 32 pixels of
            the patch (`KnownColours.surroundings`). None: the patch has its own pixels only.

    Returns:
        B 14 H W float32, for known and unknown pixels alike.
    """
    with torch.no_grad(), torch.autocast(inputs_B6HW.device.type, enabled=False):
        unit = torch.tensor(UNIT, device=inputs_B6HW.device)[:, None, None]
        mean = torch.tensor(NEUTRAL, device=inputs_B6HW.device)[:, None, None]
        planes = inputs_B6HW.float().contiguous()
        colours = planes[:, :3] * unit + mean
        moments = moments_of(colours)
        front, back = _classes(moments, planes, surroundings_BHWM)
        weight, apart = discriminant(front, back)
        inverses = [*_inverse(front.covariance), *_inverse(back.covariance)]
        cells = torch.cat([front.mean, back.mean, weight, _dot(weight, back.mean), apart, *inverses], dim=1)
        f, b, weight, offset, apart, inverse_f, inverse_b = _grow(cells, colours).split([3, 3, 3, 1, 1, 6, 6], dim=1)
        first = (_dot(weight, colours) - offset).clamp(0, 1)
        known = planes[:, 5:6] + planes[:, 3:4]
        guess = torch.where(known > 0, planes[:, 5:6], first)
        alpha = local_linear(moments, guess, known + GUESS_WEIGHT * (1 - known)).clamp_(0, 1)
        to_f, to_b = colours - f, colours - b
        far_f, far_b = (_distance(matrix, v) for matrix, v in ((inverse_f, to_f), (inverse_b, to_b)))
        far = [d.clamp(min=0).log1p_().div_(4) for d in (apart, far_f, far_b)]
        to_f, to_b = to_f.div_(unit), to_b.div_(unit)
        lengths = [v.square().sum(1, keepdim=True).sqrt() for v in (to_f, to_b)]
        low = alpha if surroundings_BHWM is None else _low_resolution_alpha(surroundings_BHWM, planes)
        return torch.cat([to_f, to_b, *lengths, alpha, first, *far, low], dim=1)


def spoilt(extra_BCHW: Tensor, faults_B: Tensor) -> Tensor:
    """Extra channels as a training spoils them, so that a network does not lean on them alone.

    Args:
        faults_B: For each patch GOOD (0), MISSING (1: all channels 0), BLURRED (2: means of 33 pixels) or SWAPPED (3:
            those of the patch half a batch further on).
    """
    faults = faults_B.to(extra_BCHW.device)[:, None, None, None]
    if not (faults > 0).any():
        return extra_BCHW
    blurred = F.avg_pool2d(extra_BCHW, 33, 1, 16, count_include_pad=False)
    swapped = extra_BCHW.roll(len(extra_BCHW) // 2 or 1, 0)
    made = torch.where(faults == BLURRED, blurred, torch.where(faults == SWAPPED, swapped, extra_BCHW))
    return torch.where(faults == MISSING, torch.zeros_like(made), made)


def _low_resolution_alpha(surroundings_BHWM: Tensor, planes_B6HW: Tensor) -> Tensor:
    """The picture's low-resolution alpha at every pixel of the patch; known pixels are 0 or 1."""
    blocks = surroundings_BHWM[..., 2 * MOMENTS :].float().permute(0, 3, 1, 2)
    small = F.pixel_shuffle(blocks, BLOCK)  # one for every SAMPLE / BLOCK pixels
    height, width = planes_B6HW.shape[-2:]
    full = F.interpolate(small, scale_factor=SAMPLE // BLOCK, mode="bilinear", align_corners=False)
    back, front = planes_B6HW[:, 3:4], planes_B6HW[:, 5:6]
    return torch.where(back + front > 0, front, full[..., :height, :width])


class _Gaussian(NamedTuple):
    """Mean and covariance of a class in every cell."""

    mean: Tensor  # B 3 h w
    covariance: list[Tensor]  # six of B 1 h w


def _classes(moments: Tensor, planes_B6HW: Tensor, surroundings_BHWM: Tensor | None) -> tuple[_Gaussian, _Gaussian]:
    """Foreground and background, from the known pixels of the patch and, where there are none, its surroundings."""
    outer: Sequence[Tensor | None] = (None, None)
    if surroundings_BHWM is not None:
        outer = surroundings_BHWM[..., : 2 * MOMENTS].float().permute(0, 3, 1, 2).split(MOMENTS, dim=1)
    front, back = planes_B6HW[:, 5:6], planes_B6HW[:, 3:4]
    return _gaussian(_filled(moments, front, outer[0])), _gaussian(_filled(moments, back, outer[1]))


def discriminant(front: _Gaussian, back: _Gaussian) -> tuple[Tensor, Tensor]:
    """Fisher's linear discriminant of two classes: w = (Sf + Sb)^-1 (f - b), scaled so that w (I - b) is alpha.

    Returns:
        w, B 3 h w; and the squared Mahalanobis distance of the two means, B 1 h w.
    """
    between = front.mean - back.mean
    both = [x + y for x, y in zip(front.covariance, back.covariance, strict=True)]
    weight = _times(_inverse(both), between)
    apart = _dot(weight, between)
    return weight / (apart + REGULARISATION), apart


def local_linear(moments_B9HW: Tensor, alpha_B1HW: Tensor, weight_B1HW: Tensor) -> Tensor:
    """alpha = a I + b, with a and b fitted to `alpha` by weighted least squares around every pixel.

    The model behind closed-form matting (Levin et al. 2008) and the guided filter (He et al. 2013), here on cells of
    CELL pixels with the weights of the samples. Same shape as `alpha`; not clamped.

    Args:
        moments_B9HW: The colours and their products, see `moments_of`.
    """
    colours_B3HW = moments_B9HW[:, :3]
    weighted = (weight_B1HW, *(m * weight_B1HW for m in (moments_B9HW, alpha_B1HW, colours_B3HW * alpha_B1HW)))
    sums = torch.cat([_cells(m) for m in weighted], dim=1).contiguous(memory_format=torch.channels_last)
    for _ in range(2):
        sums = F.avg_pool2d(sums, BOX, 1, BOX // 2)
    sums = sums / sums[:, :1].clamp(min=1e-6)
    _, moments, mean_alpha, product = sums.split([1, 9, 1, 3], dim=1)
    gaussian = _gaussian(moments)
    slope = _times(_inverse(gaussian.covariance), product - gaussian.mean * mean_alpha)
    grown = _grow(torch.cat([slope, mean_alpha - _dot(slope, gaussian.mean)], dim=1), alpha_B1HW)
    return _dot(grown[:, :3], colours_B3HW) + grown[:, 3:]


def _filled(moments: Tensor, mask: Tensor, outer: Tensor | None) -> Tensor:
    """Mean moments of each cell's pixels inside the mask, continued into the other cells by an averaging pyramid.

    The pyramid ends at one cell; with `outer`, it ends at cells of 32 pixels, which then have the moments of `outer`.
    A class without any pixel has the neutral colour and the variance of all colours.
    """
    levels = [(_cells(moments * mask), _cells(mask))]
    cell = CELL
    while cell < SAMPLE if outer is not None else max(levels[-1][1].shape[-2:]) > 1:
        total, share = (F.avg_pool2d(t, 2, ceil_mode=True, count_include_pad=False) for t in levels[-1])
        levels.append((total, share))
        cell *= 2
    filled = outer
    if filled is None:
        total, share = levels.pop()
        filled = torch.where(share > 0, total / share.clamp(min=1e-9), _neutral(moments))
    for total, share in reversed(levels):
        if filled.shape != total.shape:
            filled = F.interpolate(filled, size=total.shape[-2:], mode="bilinear", align_corners=False)
        own = (OWN * share).clamp(max=1)
        filled = own * total / share.clamp(min=1e-4) + (1 - own) * filled
    return filled


def _cells(x: Tensor) -> Tensor:
    """Means over cells."""
    cells = F.avg_pool2d(x, CELL, ceil_mode=True, count_include_pad=False)
    return cells.contiguous(memory_format=torch.channels_last)


def moments_of(colours: Tensor) -> Tensor:
    """The colours and the six products of two of them, B 9 H W."""
    return torch.cat([colours, *(colours[:, i : i + 1] * colours[:, j : j + 1] for i, j in PAIRS)], dim=1)


def _neutral(like: Tensor) -> Tensor:
    mean = torch.tensor(NEUTRAL, device=like.device)
    products = [mean[i] * mean[j] + NEUTRAL_VARIANCE * (i == j) for i, j in PAIRS]
    return torch.cat([mean, torch.stack(products)])[None, :, None, None]


def _gaussian(moments: Tensor) -> _Gaussian:
    mean = moments[:, :3]
    covariance = [
        moments[:, 3 + k : 4 + k] - mean[:, i : i + 1] * mean[:, j : j + 1] + NOISE / 2 * (i == j)
        for k, (i, j) in enumerate(PAIRS)
    ]
    return _Gaussian(mean, covariance)


def _inverse(matrix: Sequence[Tensor]) -> list[Tensor]:
    """Of symmetric 3 x 3 matrices, by cofactors."""
    a, b, c, d, e, f = matrix  # a b c / b d e / c e f
    first = [d * f - e * e, c * e - b * f, b * e - c * d]
    determinant = (a * first[0] + b * first[1] + c * first[2]).clamp(min=1e-14)
    return [x / determinant for x in (*first, a * f - c * c, b * c - a * e, a * d - b * b)]


def _times(matrix: Sequence[Tensor], vector: Tensor) -> Tensor:
    a, b, c, d, e, f = matrix
    x, y, z = vector.split(1, dim=1)
    return torch.cat([a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z], dim=1)


def _distance(matrix: Tensor, vector: Tensor) -> Tensor:
    """v M v of a symmetric matrix."""
    a, b, c, d, e, f = matrix.split(1, dim=1)
    x, y, z = vector.split(1, dim=1)
    first = (a * x).add_(b * y).add_(c * z).mul_(x)
    second = (b * x).add_(d * y).add_(e * z).mul_(y)
    third = (c * x).add_(e * y).add_(f * z).mul_(z)
    return first.add_(second).add_(third)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(1, keepdim=True)


def _grow(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
