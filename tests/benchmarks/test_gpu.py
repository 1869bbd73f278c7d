import json
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType

from hdmatt.errors import InputError
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt

PEAKS = {"fp32": 2e6, "bf16": None, "bandwidth": 3e6, "threads": 1, "tf32": False}


@pytest.fixture
def gpu(script):
    return script("benchmarks.gpu")


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    save_model(HDMatt(ModelConfig(width=4)).eval(), tmp_path / "tiny.safetensors", half=False)
    return str(tmp_path / "tiny.safetensors")


def test_without_a_gpu_it_says_what_to_do_and_measures_nothing(gpu, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="torch sees none") as caught:
        gpu.main(["--json", str(tmp_path / "r.json")])
    assert "--device cpu" in caught.value.hint and not any(tmp_path.iterdir())


@pytest.mark.parametrize("device", ["cpu", "cpu,cpu"])
def test_all_but_the_gpu_works_on_a_cpu(gpu, weights, monkeypatch, tmp_path, capsys, device):
    # peaks so low that any machine is above; the better of before and after counts
    tries = iter([{**PEAKS, "bf16": 1e6}, {**PEAKS, "bf16": 2e6}])
    monkeypatch.setattr(gpu.measure, "machine_peaks", lambda name: next(tries))
    words = ["--device", device, "--megapixels", "0.012", "--patch", "64", "--overlap", "16", "--runs", "1"]
    assert gpu.main([*words, "--network", weights, "--json", str(tmp_path / "r.json")]) == 0
    made = json.loads((tmp_path / "r.json").read_text())
    assert {"command", "date", "commit", "machine", "versions", "settings"} <= set(made)
    assert made["picture"]["side"] == 110 and made["checks"] == []
    assert [row["precision"] for row in made["rows"]] == ["fp32", "bf16"]
    for row in made["rows"]:
        (run,) = made["runs"][f"{weights} {row['precision']}"]
        assert row["patches"] == run["decoded"] > 1 and row["network_seconds"] == run["network_seconds"] > 0
        assert row["share_of_bf16_peak"] == pytest.approx(made["flops"][weights] / run["network_seconds"] / 2e6)
        assert row["unknown_megapixels_a_second"] == pytest.approx(made["picture"]["unknown"] / 1e6 / run["seconds"])
        assert row["kernels"] is row["copies"] is None
    assert made["rows"][0]["max_difference"] == 0 < made["rows"][1]["max_difference"] < 2 / 255
    assert "110x110 on cpu" in capsys.readouterr().out


def test_two_gpus_have_the_sum_of_their_peaks_and_one_named_twice_has_its_own(gpu, monkeypatch):
    monkeypatch.setattr(gpu.measure, "machine_peaks", lambda name: {**PEAKS, "bf16": 4e6 if name[-1] == "0" else 5e6})
    assert gpu._peaks("cuda:0,cuda:1")["bf16"] == 9e6 and gpu._peaks("cuda:0,cuda:0")["bf16"] == 4e6


def event(name, start, end, *, device=DeviceType.CUDA, index=0):
    return SimpleNamespace(
        name=name, time_range=SimpleNamespace(start=start, end=end), device_type=device, device_index=index
    )


def test_copies_count_as_overlapped_where_a_kernel_of_the_same_gpu_runs(gpu):
    first = [
        event("conv", 0, 10),
        event("add", 5, 8),  # within the other: counted once
        event("conv", 20, 30),
        event("Memcpy HtoD (Pinned -> Device)", 5, 15),  # 5 of 10
        event("Memcpy DtoH (Device -> Pinned)", 22, 24),  # all
        event("aten::conv2d", 0, 100, device=DeviceType.CPU),
    ]
    assert gpu._shares(first) == {"kernels": 20 / 30, "copies": 7 / 12}
    second = [event("conv", 0, 20, index=1), event("Memcpy HtoD (Pinned -> Device)", 20, 28, index=1)]
    assert gpu._shares([*first, *second]) == {"kernels": 40 / 58, "copies": 7 / 20}
    assert gpu._shares(first[-1:]) == {"kernels": None, "copies": None}


def test_what_is_required_is_required_of_the_large_network_in_bf16(gpu):
    row = {"network": "hdmatt-r34", "precision": "bf16", "network_seconds": 0.9, "share_of_bf16_peak": 0.3}
    assert [check["met"] for check in gpu._checks(row)] == [True, False]
    assert [check["met"] for check in gpu._checks({**row, "share_of_bf16_peak": None})] == [True, False]
    assert gpu._checks({**row, "precision": "fp32"}) == gpu._checks({**row, "network": "hdmatt-s"}) == []


def test_the_large_network_has_its_size(gpu):
    assert gpu._network("hdmatt-r34").config.width == 64 and gpu._network("hdmatt-s").config.width == 32
