"""A device's name is one that is there, or the message says which are."""

import pytest
import torch

from hdmatt.errors import InputError
from hdmatt.runtimes import devices


def test_devices_by_name(monkeypatch):
    assert devices.pick_device("cpu,cpu") == "cpu,cpu" and devices.pick_device("cpu, cpu") == "cpu,cpu"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert devices.pick_device() == "cuda:0" and devices.pick_device("cuda") == "cuda:0"
    assert devices.pick_device("cuda:all") == "cuda:0,cuda:1,cuda:2"
    assert devices.pick_device("cuda:2,cuda:0") == "cuda:2,cuda:0"
    with pytest.raises(InputError, match="several kinds"):
        devices.pick_device("cuda:0,cpu")
    with pytest.raises(InputError, match=r"'cuda:all' are 3 devices") as caught:
        devices.pick_device("cuda:all", several=False)
    assert caught.value.hint == "Give --device cuda:0."
    with pytest.raises(InputError, match="no device 'cuda:3'") as caught:
        devices.pick_device("cuda:0,cuda:3")
    assert "cuda:2, cpu; several GPUs by commas, or cuda:all" in caught.value.hint
