"""Two processes train like one. What is equal: the gradients, and so the weights, but for the order of sums.

Batch norm is frozen here: with the batch's own statistics two CPU processes cannot be equal to one, for each sees half
of the batch (on GPUs SyncBatchNorm joins them).
"""

import inspect
import runpy
import shutil
import socket
import subprocess
import sys
import types
from dataclasses import replace

import cv2
import pytest
import torch
from small_training import SHORT, cpu, environment, make_pack, start, train

from hdmatt.cli.main import main
from hdmatt.errors import InputError
from hdmatt.network.checkpoint import load_state
from hdmatt.network.model import HDMatt
from hdmatt.samples.packs import load_assets
from hdmatt.training import processes
from hdmatt.training.backbone import BackboneConfig, train_backbone
from hdmatt.training.batch_norms import recompute_norms
from hdmatt.training.config import LossWeights, read_config, write_config
from hdmatt.training.processes import Fabric, make_fabric, patch_share, process_switches

# `elsewhere` 1: some patches have no unknown pixel, so that the processes' means are of unlike many patches
CONFIG = replace(
    SHORT,
    norm="frozen",
    sample=replace(SHORT.sample, elsewhere=1.0, band=3.0, wide=0.0),
    groups=4,
    steps=3,
    decay=0.0,
    losses=LossWeights(laplacian=0.2, probes=0.1),
)
SCRIPT = """
import sys
from pathlib import Path
import torch
from hdmatt.training.processes import make_fabric
from hdmatt.training.config import read_config
from hdmatt.training.train import Start, train
torch.set_num_threads(1)
folder = Path(sys.argv[1])
fabric = make_fabric("32-true", accelerator="cpu", devices=2)
train(
    read_config(folder / "wanted.json"),
    [folder / "pack"],
    folder / "two",
    start=Start(init=folder / "start.safetensors"),
    fabric=fabric,
)
"""


def free_port():
    with socket.socket() as at:
        at.bind(("127.0.0.1", 0))
        return at.getsockname()[1]


@pytest.mark.release
def test_two_processes_give_the_one_process_result(tmp_path):
    pack = make_pack(tmp_path / "pack")
    train(CONFIG, [pack], tmp_path / "one", init=start(CONFIG, tmp_path), fabric=cpu())
    write_config(CONFIG, tmp_path / "wanted.json")
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    done = subprocess.run(
        [*launch, "--master-port", str(free_port()), str(script), str(tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    one, position = load_state(tmp_path / "one/state.safetensors")
    two, expected = load_state(tmp_path / "two/state.safetensors")
    assert position == expected and set(one) == set(two)
    # float32 keeps seven digits: gradients are sums of terms as large as the largest, whatever they come to
    moments = torch.cat([t.flatten() for n, t in one.items() if n.startswith("adam.") and n.endswith("exp_avg")])
    assert moments.abs().max() > 0
    for name, tensor in one.items():
        # sums of float32 in another order: 1e-4 of the largest gradient; Adam divides by the gradient's own size, so
        # a weight whose gradient is all rounding may move by a step of the rate (1e-3) either way
        largest = max(1e-2 * float(moments.abs().max()), float(tensor.abs().max()))
        if name.startswith("adam."):
            torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4 * largest)
        else:
            assert float((two[name].double() - tensor.double()).abs().mean()) < 1e-5


def switches():
    """What a training changes in its process."""
    from torch._dynamo import config as dynamo

    state = torch.random.get_rng_state()
    flushes = float(torch.tensor([1e-39]) * 1.0) == 0
    return (
        cv2.getNumThreads(), flushes, dynamo.suppress_errors, torch.get_float32_matmul_precision(),
        torch.backends.cudnn.benchmark, state.tolist(),
    )  # fmt: skip


@pytest.mark.release
def test_a_training_leaves_the_process_as_it_found_it(tmp_path):
    pack, model = make_pack(tmp_path / "pack"), HDMatt(SHORT.model)
    cv2.setNumThreads(2)
    torch.manual_seed(5)
    before = switches()
    assert before[:3] == (2, False, False)  # no other test has left them on
    train(replace(SHORT, steps=1), [pack], tmp_path / "run")
    assert switches() == before
    labelled = tmp_path / "labelled"
    for name in "ab":
        shutil.copytree(pack / "backgrounds", labelled / name)
    config = BackboneConfig(width=4, size=32, batch=2, epochs=1, workers=0)
    train_backbone(config, labelled, tmp_path / "stage1", fabric=cpu())
    recompute_norms(model, load_assets([pack]), SHORT, count=1, patch=64)
    assert switches() == before
    with pytest.raises(InputError, match="cannot share"), process_switches(torch.device("cpu"), seed=1, compiling=True):
        inside = switches()
        assert inside[:3] == (1, True, True)
        raise InputError("cannot share")
    assert switches() == before


class TwoProcesses:
    world_size = 2

    def __init__(self, sums):
        self.sums = sums

    def all_reduce(self, value, reduce_op):
        assert reduce_op == "sum"
        return self.sums


def test_a_process_counts_by_its_patches():
    means, counts = torch.tensor([0.2, 0.8]), torch.tensor([1, 3])
    fabric = TwoProcesses(counts.sum().float())
    share = inspect.unwrap(patch_share)  # of the checks that a stand-in for a Fabric would not pass
    shared = torch.stack([mean * share(fabric, n) for mean, n in zip(means, counts, strict=True)])
    assert float(shared.mean()) == pytest.approx((0.2 * 1 + 0.8 * 3) / 4)


def test_fabric_comes_from_lightning_where_there_is_only_that(monkeypatch):
    package, inner = types.ModuleType("lightning"), types.ModuleType("lightning.fabric")
    inner.Fabric = object()
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    monkeypatch.setitem(sys.modules, "lightning", package)
    monkeypatch.setitem(sys.modules, "lightning.fabric", inner)
    found = runpy.run_path(processes.__file__)
    assert found["Fabric"] is inner.Fabric


def test_groups_that_cannot_be_shared_are_refused(tmp_path):
    pack = make_pack(tmp_path / "pack")

    class Three(Fabric):
        world_size = 3

    with pytest.raises(InputError, match="3 processes cannot share evenly"):
        fabric = Three(accelerator="cpu", devices=1)
        train(CONFIG, [pack], tmp_path / "run", init=start(CONFIG, tmp_path), fabric=fabric)


def test_a_gpu_that_is_not_there_is_a_callers_mistake(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU that PyTorch can use"):
        make_fabric("32-true", accelerator="cuda")
    pack = str(make_pack(tmp_path / "pack"))
    words = ["train", "--data", pack, "--out", str(tmp_path / "run"), "--preset", "tiny"]
    assert main([*words, "--accelerator", "cuda"]) == 2
    capsys.readouterr()
    assert main([*words, "--devices", "3"]) == 2  # two groups; said once, for there are no processes yet
    assert capsys.readouterr().err.count("3 processes cannot share evenly") == 1


@pytest.mark.release
def test_the_precision_auto_is_what_the_device_multiplies_faster_and_is_written_down(tmp_path, monkeypatch):
    pack = make_pack(tmp_path / "pack")
    for faster, name in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(processes, "has_bf16", lambda faster=faster: faster)
        fabric = make_fabric("auto", accelerator="cpu")
        train(replace(SHORT, precision="auto", steps=1), [pack], tmp_path / name, fabric=fabric)
        assert read_config(tmp_path / name / "config.json").precision == name
