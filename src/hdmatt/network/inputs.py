"""The network's six input channels, and the region of each 8 x 8 cell.

network_input    normalised RGB and the trimap as one-hot
labels           the region of each cell
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from hdmatt.network.config import REGION_BACKGROUND, REGION_FOREGROUND, REGION_UNKNOWN, STRIDE
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def network_input(rgb_BHW3: Tensor, trimap_BHW: Tensor) -> Tensor:
    """Six input channels: RGB minus ImageNet's mean over its standard deviation, then the trimap as one-hot (B, U, F).

    Args:
        rgb_BHW3: Display-encoded colours, float in [0, 1].
        trimap_BHW: uint8, exactly 0, 128 or 255.
    """
    mean = rgb_BHW3.new_tensor(IMAGENET_MEAN)
    std = rgb_BHW3.new_tensor(IMAGENET_STD)
    colours = ((rgb_BHW3 - mean) / std).permute(0, 3, 1, 2)
    one_hot = torch.stack([trimap_BHW == value for value in (BACKGROUND, UNKNOWN, FOREGROUND)], dim=1).to(colours.dtype)
    return torch.cat([colours, one_hot], dim=1)


def labels(inputs_B6HW: Tensor) -> Tensor:
    """B H/8 W/8 int64: the region of each cell. One unknown pixel makes a cell unknown; else the majority decides."""
    background, unknown, foreground = inputs_B6HW[:, 3:6].float().unbind(1)
    known = F.avg_pool2d((foreground - background)[:, None], STRIDE)[:, 0]
    label = torch.where(known > 0, REGION_FOREGROUND, REGION_BACKGROUND)
    return torch.where(F.max_pool2d(unknown[:, None], STRIDE)[:, 0] > 0, REGION_UNKNOWN, label)
