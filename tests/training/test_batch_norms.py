"""Norms counted again: statistics move, weights do not, and they are those of the patches that were shown."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_training import SHORT, make_pack
from typer.testing import CliRunner

from hdmatt.cli.main import app
from hdmatt.errors import InputError, ModelError
from hdmatt.network.checkpoint import load_card, read_model, save_model, save_state
from hdmatt.network.config import ModelConfig
from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt
from hdmatt.samples.packs import load_assets
from hdmatt.training.batch_norms import recompute_norms
from hdmatt.training.batches import batches

CONFIG = ModelConfig(width=4, patch=96, extra_channels=True)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return make_pack(tmp_path_factory.mktemp("data") / "pack")


@pytest.mark.release
def test_statistics_are_counted_on_the_networks_own_patches_and_nothing_else_changes(pack):
    torch.manual_seed(0)
    model, assets = HDMatt(CONFIG).eval(), load_assets([pack])
    before = {n: t.clone() for n, t in model.state_dict().items()}
    recompute_norms(model, assets, SHORT, count=2)
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert changed
    assert all(n.endswith(("running_mean", "running_var", "num_batches_tracked")) for n in changed)
    assert not model.training

    # the first norm follows a convolution of the input: its statistics can be worked out by hand
    seen = []
    steps = replace(SHORT, sample=replace(SHORT.sample, patch=96))
    for batch in batches(assets, steps, first=0):
        assert batch["image"].shape[1:3] == (96, 96)
        inputs = network_input(batch["image"].float() / 255, batch["trimap"])
        hook = model.encoder.bn1.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
        with torch.no_grad():
            model(inputs, [[] for _ in inputs], surroundings=batch["surroundings"])
        hook.remove()
        if len(seen) == 2:
            break
    mean = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    np.testing.assert_allclose(model.encoder.bn1.running_mean, mean, rtol=1e-4, atol=1e-5)


def test_the_command_writes_a_model_of_the_same_weights(pack, tmp_path):
    torch.manual_seed(0)
    save_model(HDMatt(CONFIG), tmp_path / "before.safetensors", half=False, card={"steps": "7"})
    command = ["train", "norms", str(tmp_path / "before.safetensors"), "--data", str(pack), "--count", "1"]
    result = CliRunner().invoke(app, [*command, "--preset", "tiny", "-o", str(tmp_path / "after.safetensors")])
    assert result.exit_code == 0, result.output
    one, two = (read_model(tmp_path / f"{name}.safetensors") for name in ("before", "after"))
    assert one.config == two.config
    assert load_card(tmp_path / "after.safetensors") == {"steps": "7"}
    for (_, a), (_, b) in zip(one.named_parameters(), two.named_parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.encoder.bn1.running_mean, two.encoder.bn1.running_mean)


def test_a_file_that_is_no_model_has_no_card(tmp_path):
    save_state({}, {"step": 1}, tmp_path / "state.safetensors")
    with pytest.raises(ModelError, match="not an hdmatt model"):
        load_card(tmp_path / "state.safetensors")


def test_no_batches_are_refused(pack):
    with pytest.raises(InputError, match="norms of 0 batches"):
        recompute_norms(HDMatt(CONFIG), load_assets([pack]), SHORT, count=0)
