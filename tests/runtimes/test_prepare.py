"""The caller's network stays as it is: its device, its memory format, its mode, its weights."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_network import matte, network, scene

from hdmatt.errors import InputError
from hdmatt.inference import forecast
from hdmatt.inference.options import RunOptions
from hdmatt.inference.plan import make_plan
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import open_trimap
from hdmatt.runtimes.prepare import copies, copies_made, lies_on, network_on, prepare
from hdmatt.system import memory


def look(model):
    """Everything of a network that a library could leave changed."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: (id(t), t.data_ptr(), t.device, t.stride(), t.requires_grad) for name, t in tensors.items()} | {
        name: (module.training, sorted(vars(module))) for name, module in model.named_modules()
    }


@pytest.mark.release
@pytest.mark.parametrize("strategy", ["hdmatt", "crop", "tiles", "downsample", "whole"])
@pytest.mark.parametrize("runtime", ["torch", "folded"])
def test_a_run_leaves_the_callers_network_as_it_was(strategy, runtime):
    model = network(extra_channels=True)
    weights = copy.deepcopy(model.state_dict())
    before = look(model)
    alpha = matte(prepare(model, runtime), strategy)
    assert np.ptp(alpha) > 0 and look(model) == before
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_a_forecast_leaves_the_callers_network_as_it_was():
    model, (picture, trimap) = network(), scene()
    before = look(model)
    plan = make_plan(open_trimap(trimap), model, RunOptions(patch=64, overlap=16, memory=4 * memory.GIB))
    assert forecast.seconds(plan, ArrayReader(picture), open_trimap(trimap), model) > 0
    assert look(model) == before


@pytest.mark.release
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_network_is_copied_to_a_device_unless_it_lies_there_channels_last(device):
    model = network()
    before = look(model)
    there = network_on(model, device)
    assert there is not model and look(model) == before
    assert lies_on(there, device) and network_on(there, device) is there
    assert not lies_on(model, device) and copies_made(model, [device]) == 1 and copies_made(there, [device]) == 0
    assert [one is there for one in copies(there, [device, device])] == [True, False]
    assert copies_made(there, [device, device]) == 1


def test_folded_networks_are_ours_and_need_no_second_copy():
    model = network()
    assert lies_on(prepare(model, "folded"), "cpu") and not lies_on(model, "cpu")


def test_a_network_that_cannot_be_copied_is_refused_on_another_device():
    compiled = prepare(network(), "folded")
    compiled.encoder.trunk = lambda pooled: pooled  # as torch.compile leaves it: a function that knows one network only
    assert network_on(compiled, "cpu") is compiled
    with pytest.raises(InputError, match="prepared for a runtime on another device than meta"):
        network_on(compiled, "meta")


def test_the_plan_counts_the_copy_of_a_network_that_has_to_be_made(monkeypatch):
    monkeypatch.setattr(memory, "settled", lambda: 100 * memory.MIB)
    model = network()
    options = RunOptions(patch=64, overlap=16, memory=4 * memory.GIB)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    for device in ("cpu", "cpu,cpu"):
        asked = replace(options, device=device)
        given, own = (make_plan(open_trimap(scene()[1]), one, asked) for one in (model, network_on(model, "cpu")))
        assert given.peak - own.peak == weights
