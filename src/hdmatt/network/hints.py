"""What the known colours around a pixel say about its alpha, without any learned weight.

Tensors only. The sure foreground's and background's colours are described by their first two moments, which spread
from ever coarser averages into the unknown area; two classes with a mean and a covariance each give an alpha in
closed form, and a local linear model smooths it along the picture's colours. Top to bottom:

    HINTS             number of channels of colour_hints; LINEAR: which of them is the best alpha
    colour_hints      picture and trimap of a patch -> those channels
    discriminant      two Gaussians -> the direction in colour space that tells them apart
    local_linear      the alpha that is linear in colour within every neighbourhood
    moments_of        colours -> themselves and their products
    _spread, _Gaussian    moments on a grid of GRID pixels

On a CPU most of the time is memory: the maps at full resolution are planes (not channels_last, which makes every
slice of a channel a strided read), and their products are made once. The grid's maps are channels_last, where averaging
and interpolating them is faster.

Legend: B patches, H W rows and columns; colours are display-encoded in [0, 1]; symmetric 3 x 3 matrices are the six
channels of PAIRS.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hdmatt.overview.known_colours import AROUND, BLOCK, MOMENTS, NEUTRAL, NEUTRAL_VARIANCE, PAIRS

HINTS = 14
LINEAR = 8  # of them, the alpha of the local linear model
GRID = 4  # pixels of a cell on which the moments are computed
NOISE = 1e-4  # added to every covariance's diagonal: 2.5 of 255 steps
SURE = 16.0  # a cell with one sure pixel in sixteen speaks for itself
SHRINK = 0.05  # keeps alpha finite where both classes have the same colour
DOUBT = 0.1  # weight of an unknown pixel's first guess in the local linear model
REACH = 5  # cells of the box filter of the local linear model, applied twice
UNIT = (0.229, 0.224, 0.225)  # ImageNet's deviation: the unit of the colour differences


def colour_hints(inputs_B6HW: Tensor, around_BHWM: Tensor | None = None) -> Tensor:
    """Fourteen channels for every pixel of a patch.

    I - F (3) and I - B (3) in units of ImageNet's deviation, their lengths (2); alpha of the local linear model
    (1) and of the discriminant before it (1); how far apart the two classes are (1), and how far the pixel is from
    each of them (2), as log(1 + d^2) / 4 of Mahalanobis distances d; alpha of the whole picture at low resolution (1;
    without `around` that of the local linear model). research/log.md says what each is worth.

    Args:
        inputs_B6HW: As `model.network_input` gives them; any size.
        around_BHWM: Moments of the foreground's and background's colours (9 each) and alpha (64) under the patch, one
            sample for every 32 pixels, from the whole picture (field.ColourField); None: the patch has only itself.

    Returns:
        B 14 H W float32; known pixels are hinted like the others.
    """
    with torch.no_grad(), torch.autocast(inputs_B6HW.device.type, enabled=False):
        unit = torch.tensor(UNIT, device=inputs_B6HW.device)[:, None, None]
        mean = torch.tensor(NEUTRAL, device=inputs_B6HW.device)[:, None, None]
        planes = inputs_B6HW.float().contiguous()
        colours = planes[:, :3] * unit + mean
        moments = moments_of(colours)
        sure_front, sure_back = planes[:, 5:6], planes[:, 3:4]
        outer: Sequence[Tensor | None] = (None, None)
        if around_BHWM is not None:
            outer = around_BHWM[..., : 2 * MOMENTS].float().permute(0, 3, 1, 2).split(MOMENTS, dim=1)
        front, back = (
            _gaussian(_spread(moments, sure, o)) for sure, o in zip((sure_front, sure_back), outer, strict=True)
        )
        weight, apart = discriminant(front, back)
        packed = torch.cat(
            [
                front.mean,
                back.mean,
                weight,
                _dot(weight, back.mean),
                apart,
                *_inverse(front.covariance),
                *_inverse(back.covariance),
            ],
            dim=1,
        )
        f, b, weight, offset, apart, inverse_f, inverse_b = _grow(packed, colours).split([3, 3, 3, 1, 1, 6, 6], dim=1)
        first = (_dot(weight, colours) - offset).clamp(0, 1)
        known = sure_front + sure_back
        guess = torch.where(known > 0, sure_front, first)
        alpha = local_linear(moments, guess, known + DOUBT * (1 - known)).clamp_(0, 1)
        to_f, to_b = colours - f, colours - b
        far_f, far_b = (_distance(matrix, v) for matrix, v in ((inverse_f, to_f), (inverse_b, to_b)))
        far = [d.clamp(min=0).log1p_().div_(4) for d in (apart, far_f, far_b)]
        to_f, to_b = to_f.div_(unit), to_b.div_(unit)
        lengths = [v.square().sum(1, keepdim=True).sqrt() for v in (to_f, to_b)]
        carried = alpha if around_BHWM is None else _carried(around_BHWM, planes)
        return torch.cat([to_f, to_b, *lengths, alpha, first, *far, carried], dim=1)


def _carried(around_BHWM: Tensor, planes_B6HW: Tensor) -> Tensor:
    """The picture's low-resolution alpha at every pixel of the patch; known pixels are 0 or 1."""
    blocks = around_BHWM[..., 2 * MOMENTS :].float().permute(0, 3, 1, 2)
    small = F.pixel_shuffle(blocks, BLOCK)  # one for every AROUND / BLOCK pixels
    height, width = planes_B6HW.shape[-2:]
    full = F.interpolate(small, scale_factor=AROUND // BLOCK, mode="bilinear", align_corners=False)
    back, front = planes_B6HW[:, 3:4], planes_B6HW[:, 5:6]
    return torch.where(back + front > 0, front, full[..., :height, :width])


class _Gaussian(NamedTuple):
    mean: Tensor  # B 3 h w
    covariance: list[Tensor]  # six of B 1 h w


def discriminant(front: _Gaussian, back: _Gaussian) -> tuple[Tensor, Tensor]:
    """Fisher's linear discriminant of two classes: w = (Sf + Sb)^-1 (f - b), scaled so that w (I - b) is alpha.

    Returns:
        w, B 3 h w; and the squared Mahalanobis distance of the two means, B 1 h w.
    """
    between = front.mean - back.mean
    both = [x + y for x, y in zip(front.covariance, back.covariance, strict=True)]
    weight = _times(_inverse(both), between)
    apart = _dot(weight, between)
    return weight / (apart + SHRINK), apart


def local_linear(moments_B9HW: Tensor, alpha_B1HW: Tensor, weight_B1HW: Tensor) -> Tensor:
    """alpha = a I + b, with a and b fitted to `alpha` by weighted least squares around every pixel.

    The model behind closed-form matting (Levin et al. 2008) and the guided filter (He et al. 2013), here on cells of
    GRID pixels with the weights of the samples. Same shape as `alpha`; not clamped.

    Args:
        moments_B9HW: The colours and their products, see `moments_of`.
    """
    colours_B3HW = moments_B9HW[:, :3]
    weighted = (weight_B1HW, *(m * weight_B1HW for m in (moments_B9HW, alpha_B1HW, colours_B3HW * alpha_B1HW)))
    sums = torch.cat([_cells(m) for m in weighted], dim=1).contiguous(memory_format=torch.channels_last)
    for _ in range(2):
        sums = F.avg_pool2d(sums, REACH, 1, REACH // 2)
    sums = sums / sums[:, :1].clamp(min=1e-6)
    _, moments, mean_alpha, product = sums.split([1, 9, 1, 3], dim=1)
    gaussian = _gaussian(moments)
    slope = _times(_inverse(gaussian.covariance), product - gaussian.mean * mean_alpha)
    grown = _grow(torch.cat([slope, mean_alpha - _dot(slope, gaussian.mean)], dim=1), alpha_B1HW)
    return _dot(grown[:, :3], colours_B3HW) + grown[:, 3:]


def _spread(moments: Tensor, mask: Tensor, outer: Tensor | None) -> Tensor:
    """Moments inside the mask on cells of GRID pixels, continued outside it: push-pull on an averaging pyramid.

    The pyramid ends at one cell, or where its cells are 32 pixels: there `outer` says what lies around. Without
    either, a class has the neutral colour and the variance of all colours.
    """
    levels = [(_cells(moments * mask), _cells(mask))]
    cell = GRID
    while cell < AROUND if outer is not None else max(levels[-1][1].shape[-2:]) > 1:
        total, mass = (F.avg_pool2d(t, 2, ceil_mode=True, count_include_pad=False) for t in levels[-1])
        levels.append((total, mass))
        cell *= 2
    spread = outer
    if spread is None:
        total, mass = levels.pop()
        spread = torch.where(mass > 0, total / mass.clamp(min=1e-9), _neutral(moments))
    for total, mass in reversed(levels):
        if spread.shape != total.shape:
            spread = F.interpolate(spread, size=total.shape[-2:], mode="bilinear", align_corners=False)
        share = (SURE * mass).clamp(max=1)
        spread = share * total / mass.clamp(min=1e-4) + (1 - share) * spread
    return spread


def _cells(x: Tensor) -> Tensor:
    """Means over the grid's cells."""
    cells = F.avg_pool2d(x, GRID, ceil_mode=True, count_include_pad=False)
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
