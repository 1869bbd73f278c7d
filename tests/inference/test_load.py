"""Networks are loaded once for each file, runtime, precision and device; the caller's own stays the caller's."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_network import network, scene

from hdmatt import api
from hdmatt.errors import InputError, ModelError
from hdmatt.inference import load
from hdmatt.inference.load import load_model
from hdmatt.inference.options import NetworkChoice, Options
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt


def test_a_loaded_model_is_reused_until_its_file_changes(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_model(network(), path, half=False)
    first, prepared = load_model(path), load.load_network(NetworkChoice(path, device="cpu")).model
    assert load_model(path) is first and load.load_network(NetworkChoice(str(path), device="cpu")).model is prepared
    torch.manual_seed(1)
    save_model(HDMatt(ModelConfig(width=4)), path, half=False)
    assert load_model(path) is not first and load_model(path).config.width == 4
    assert load.load_network(NetworkChoice(path, device="cpu")).model is not prepared


def test_a_model_that_is_not_there_is_named():
    for ask in (load_model, load.load_network):
        with pytest.raises(ModelError, match="nothing"):
            ask("nothing")


def test_a_network_on_two_devices_is_refused():
    model = network()
    model.decoder.to("meta")
    with pytest.raises(InputError, match="lies on 2 devices: cpu, meta") as caught:
        load.load_network(model)
    assert "network.to(device)" in caught.value.hint


def test_a_named_model_takes_auto_precision_and_a_loaded_one_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    model, choice = network(), NetworkChoice(device="cpu")
    assert load.load_network(model).model is model
    halves, exact = load.load_network(choice), load.load_network(replace(choice, precision="fp32"))
    assert (halves.precision, exact.precision) == ("bf16", "fp32")
    assert halves.model.encoder.layer3[0].conv1.weight.dtype == torch.bfloat16
    assert exact.model.encoder.layer3[0].conv1.weight.dtype == torch.float32
    # keys stay exact: attention multiplies their error
    assert halves.model.cpc.theta.weight.dtype == torch.float32


@pytest.mark.release
def test_the_interface_prepares_named_networks_and_leaves_loaded_ones_alone():
    picture, trimap = scene()
    model, choice = load_model("hdmatt-s"), NetworkChoice(device="cpu")
    assert load.load_network(choice).model is load.load_network(replace(choice, runtime="folded")).model
    options = Options(patch=64, overlap=16, topk=1, candidates=2)
    mattes = {
        name: api.matte(
            picture, trimap, options=options, network=replace(choice, runtime=name, precision=precision)
        ).alpha
        for name, precision in (("folded", "fp32"), ("auto", "auto"), ("torch", "fp32"))
    }
    np.testing.assert_allclose(mattes["folded"], mattes["torch"], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(api.matte(picture, trimap, options=options, network=model).alpha, mattes["torch"])
    difference = np.abs(mattes["auto"] - mattes["torch"])
    assert difference.max() < 2 / 255 and difference.mean() < 1e-4
    with pytest.raises(InputError, match="training mode"):
        api.matte(picture, trimap, options=options, network=copy.deepcopy(model).train())


def test_what_a_caller_does_to_a_loaded_network_does_not_reach_named_ones():
    mine = load_model("hdmatt-s")
    for runtime in ("torch", "folded"):
        theirs = load.load_network(NetworkChoice(runtime=runtime, precision="fp32", device="cpu")).model
        assert not {id(tensor) for tensor in mine.parameters()} & {id(tensor) for tensor in theirs.parameters()}
    mine.decoder.alpha.bias.data += 1
    try:
        assert not torch.equal(theirs.decoder.alpha.bias, mine.decoder.alpha.bias)
    finally:
        mine.decoder.alpha.bias.data -= 1


def test_every_device_has_a_network_of_its_own(monkeypatch):
    """On the meta device, which computes nothing: two of a kind must not share a network that is moved."""
    monkeypatch.setattr(load, "pick_device", lambda name, several: name)
    monkeypatch.setattr(load, "prepare", lambda model, runtime, **_: model)
    one, two = (load.load_network(NetworkChoice(runtime="torch", device=f"meta:{i}")) for i in (0, 1))
    assert one.model is not two.model and one.device == "meta:0"
    assert load.load_network(NetworkChoice(runtime="torch", device="meta:1")).model is two.model
