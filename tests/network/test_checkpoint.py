import torch

from hdmatt.network.checkpoint import load_tensors, save_tensors


def test_weights_can_be_read_by_whoever_can_read_other_new_files(tmp_path):
    (tmp_path / "other").touch()
    save_tensors({"a": torch.arange(3.0)}, {"made": "here"}, tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
    assert torch.equal(load_tensors(tmp_path / "a.safetensors")[0]["a"], torch.arange(3.0))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "other"]
