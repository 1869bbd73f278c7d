"""A small network and a small scene: what the tests of the runtimes share."""

import numpy as np
import torch

from hdmatt.inference.options import Options
from hdmatt.inference.strategies import matte_rows
from hdmatt.network.config import ModelConfig
from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import open_trimap
from hdmatt.system.memory import GIB


def network(**config):
    """A small network whose norms fit its maps, so that alpha varies as a trained network's does."""
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=8, **config)).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the statistics of the one batch below
    with torch.no_grad():
        alpha = model(patches(), [[1, 2], [0], [3], []]).alpha
    assert alpha.std() > 0.03
    return model.eval()


def patches(size=64):
    generator = torch.Generator().manual_seed(1)
    trimap = torch.tensor([0, 128, 255], dtype=torch.uint8)[torch.randint(3, (4, 4, 4), generator=generator)]
    trimap = trimap.repeat_interleave(size // 4, 1).repeat_interleave(size // 4, 2)
    return network_input(torch.rand(4, size, size, 3, generator=generator), trimap)


def scene():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (150, 130, 3), np.uint8)
    y, x = np.mgrid[:150, :130]
    radius = np.hypot(y - 70, x - 60)
    return picture, np.where(radius < 25, 255, np.where(radius < 45, 128, 0)).astype(np.uint8)


def matte(model, strategy="hdmatt", **options):
    picture, trimap = scene()
    options = Options(patch=64, overlap=16, candidates=6, memory=4 * GIB, **options)
    job = matte_rows(strategy, ArrayReader(picture), open_trimap(trimap), model, options)
    return np.concatenate([rows for _, rows in job.rows])
