import numpy as np
import pytest
import torch
from small_training import make_pack

from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt


@pytest.fixture
def synthetic(script):
    return script("research.synthetic")


def test_weights_are_ranked_on_whole_photographs(synthetic, tmp_path, capsys):
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=4, extra_channels=True, coarse=True)).eval()
    save_model(model, tmp_path / "one.safetensors", half=False)
    with torch.no_grad():
        model.decoder.alpha.weight.zero_()
        model.decoder.alpha.bias.fill_(20.0)  # everything is foreground
    save_model(model, tmp_path / "all.safetensors", half=False)
    with torch.no_grad():
        model.decoder.alpha.bias.fill_(-20.0)  # nothing is
    save_model(model, tmp_path / "none.safetensors", half=False)
    pack = make_pack(tmp_path / "pack")
    given = ["--data", str(pack), "--pictures", "2", "--side", "96", "--patch", "64"]
    names = [str(tmp_path / f"{name}.safetensors") for name in ("one", "all", "none")]
    assert synthetic.main([*given, *(word for name in names for word in ("--model", name))]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:5]]
    samples = list(synthetic.drawn(synthetic.load_assets([pack]), 2, side=96))
    truth = [s.alpha[s.trimap == 128] / 255 for s in samples]
    for row, name in zip(rows, names, strict=True):
        assert row[0] == f"| {name}" and len(row) == 6
    # a matte of 255 everywhere: its error is what the truth lacks
    assert float(rows[1][1]) == pytest.approx(1000 * np.mean([np.mean(1 - t) for t in truth]), abs=0.06)
    assert float(rows[1][3]) == pytest.approx(1000 * np.mean([np.mean((1 - t) ** 2) for t in truth]), abs=0.06)
    # 0.06: the tables' last digit. The error of all foreground is too high everywhere, that of all background too low
    bias = [float(row[5].rstrip(" |")) for row in rows]
    assert bias[1] == pytest.approx(1000 * np.mean([np.mean(1 - t) for t in truth]), abs=0.06)
    assert bias[2] == pytest.approx(-1000 * np.mean([np.mean(t) for t in truth]), abs=0.06)
