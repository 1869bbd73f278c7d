import pytest
import torch

from hdmatt.inference.options import NetworkChoice
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A tiny network with random weights, as a file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(HDMatt(ModelConfig(width=4)), path, half=False)
    return NetworkChoice(path, device="cpu")
