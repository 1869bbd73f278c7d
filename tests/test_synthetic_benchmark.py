
import numpy as np
import pytest
import torch
from training import make_pack

from hdmatt.checkpoint import save_model
from hdmatt.model import HDMatt, ModelConfig


@pytest.fixture
def synthetic(script):
    return script("synthetic")


def test_weights_are_ranked_on_whole_photographs(synthetic, tmp_path, capsys):
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=4, hints=True, coarse=True)).eval()
    save_model(model, tmp_path / "one.safetensors", half=False)
    with torch.no_grad():
        model.decoder.alpha.weight.zero_()
        model.decoder.alpha.bias.fill_(20.0)  # everything is foreground
    save_model(model, tmp_path / "all.safetensors", half=False)
    pack = make_pack(tmp_path / "pack")
    given = ["--data", str(pack), "--pictures", "2", "--side", "96", "--patch", "64"]
    names = [str(tmp_path / "one.safetensors"), str(tmp_path / "all.safetensors")]
    assert synthetic.main([*given, "--model", names[0], "--model", names[1]]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:4]]
    samples = list(synthetic.drawn(synthetic.load_assets([pack]), 2, side=96))
    truth = [s.alpha[s.trimap == 128] / 255 for s in samples]
    for row, name in zip(rows, names, strict=True):
        assert row[0] == f"| {name}" and len(row) == 6
    # a matte of 255 everywhere: its error is what the truth lacks
    assert float(rows[1][1]) == pytest.approx(1000 * np.mean([np.mean(1 - t) for t in truth]), abs=0.06)
    assert float(rows[1][3]) == pytest.approx(1000 * np.mean([np.mean((1 - t) ** 2) for t in truth]), abs=0.06)
    assert float(rows[1][5].rstrip(" |")) == pytest.approx(float(rows[1][1]), abs=0.06)  # and none of it is too low
    assert rows[1][5].startswith("+")
