import pytest
import torch

from hdmatt.cli.main import main
from hdmatt.errors import InputError
from hdmatt.network.checkpoint import load_card, read_model, save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.training.average import mean_weights

TINY = ModelConfig(width=4)


def network(seed, config=TINY):
    torch.manual_seed(seed)
    model = HDMatt(config)
    model.encoder.bn1.running_var.fill_(1 + seed)
    return model


def test_a_mean_is_that_of_weights_and_statistics_by_their_shares():
    one, two = network(0), network(1)
    mixed = mean_weights([one, two], [3, 1]).state_dict()
    for name in ("encoder.conv1.weight", "cpc.theta.weight", "encoder.bn1.running_var"):
        torch.testing.assert_close(mixed[name], 0.75 * one.state_dict()[name] + 0.25 * two.state_dict()[name])
    assert float(mixed["encoder.bn1.running_var"][0]) == 1.25
    same = mean_weights([one, one, one]).state_dict()
    assert all(torch.equal(t, same[n]) for n, t in one.state_dict().items())


def test_what_has_no_mean_is_refused():
    with pytest.raises(InputError, match="0 networks"):
        mean_weights([])
    for shares in ([1.0], [1.0, 0.0]):
        with pytest.raises(InputError, match="2 networks and"):
            mean_weights([network(0), network(1)], shares)
    with pytest.raises(InputError, match="unlike configurations"):
        mean_weights([network(0), network(1, ModelConfig(width=4, cpc="none"))])


@pytest.mark.release
def test_the_command_joins_files_and_halves_one(tmp_path, capsys):
    paths = [str(tmp_path / f"{seed}.safetensors") for seed in range(2)]
    for seed in range(2):
        save_model(network(seed), tmp_path / f"{seed}.safetensors", half=False, card={"steps": str(seed)})
    assert main(["train", "mean", *paths, "-o", str(tmp_path / "mean.safetensors")]) == 0
    both = [read_model(path).state_dict()["encoder.conv1.weight"] for path in paths]
    ours, theirs = read_model(tmp_path / "mean.safetensors").state_dict()["encoder.conv1.weight"], both[0]
    torch.testing.assert_close(ours, sum(both) / 2)
    assert load_card(tmp_path / "mean.safetensors") == {"steps": "0", "mean_of": "0.safetensors, 1.safetensors"}
    assert main(["train", "mean", paths[0], "--half", "-o", str(tmp_path / "half.safetensors")]) == 0
    halved = read_model(tmp_path / "half.safetensors").state_dict()["encoder.conv1.weight"]
    assert torch.equal(halved, theirs.half().float()) and not torch.equal(halved, theirs)
    assert main(["train", "mean", paths[0], "-o", str(tmp_path / "new/folder.safetensors")]) == 0
    assert main(["train", "mean", *paths, "--share", "1", "-o", str(tmp_path / "x.safetensors")]) == 2
    assert not (tmp_path / "x.safetensors").exists()
