"""From colours and trimap to the network's six input channels, and to labels at stride 8.

network_input    normalised RGB and the trimap as one-hot
labels           the region of each 8 x 8 cell
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from hdmatt.network.config import BACKGROUND, FOREGROUND, STRIDE, UNKNOWN
from hdmatt.pictures import trimap

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def network_input(rgb_BHW3: Tensor, trimap_BHW: Tensor) -> Tensor:
    """Six input channels: RGB by ImageNet mean and deviation, then the trimap as one-hot (B, U, F).

    Args:
        rgb_BHW3: Display-encoded colours, float in [0, 1].
        trimap_BHW: uint8, exactly 0, 128 or 255.
    """
    mean = rgb_BHW3.new_tensor(IMAGENET_MEAN)
    std = rgb_BHW3.new_tensor(IMAGENET_STD)
    colours = ((rgb_BHW3 - mean) / std).permute(0, 3, 1, 2)
    values = (trimap.BACKGROUND, trimap.UNKNOWN, trimap.FOREGROUND)
    one_hot = torch.stack([trimap_BHW == value for value in values], dim=1).to(colours.dtype)
    return torch.cat([colours, one_hot], dim=1)


def labels(inputs_B6HW: Tensor) -> Tensor:
    """B H/8 W/8 int64 labels: unknown wins when any pixel of the cell is unknown, else the majority."""
    background, unknown, foreground = inputs_B6HW[:, 3:6].float().unbind(1)
    known = F.avg_pool2d((foreground - background)[:, None], STRIDE)[:, 0]
    label = torch.where(known > 0, FOREGROUND, BACKGROUND)
    return torch.where(F.max_pool2d(unknown[:, None], STRIDE)[:, 0] > 0, UNKNOWN, label)
