"""What the tests of the evaluation share: weights of a tiny network."""

import pytest
import torch

from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(HDMatt(ModelConfig(width=4)), path, half=True)
    return path
