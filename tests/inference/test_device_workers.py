import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

import hdmatt
from hdmatt.cli.main import main
from hdmatt.errors import InputError, MemoryLimitError, ModelError
from hdmatt.inference import load, needs, pool, run, transfer
from hdmatt.inference.files import Outputs, matte_files
from hdmatt.inference.options import Counters, NetworkChoice, Options, RunOptions
from hdmatt.inference.plan import make_plan
from hdmatt.inference.strategies import matte_rows
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import open_trimap
from hdmatt.runtimes.choose import choose, choose_precision
from hdmatt.runtimes.prepare import copies, network_on, prepare
from hdmatt.system import memory

SMALL = RunOptions(patch=64, overlap=16, candidates=6, memory=memory.GIB * 4)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=8, extra_channels=True)).eval()
    for module in model.modules():  # norms of a fresh network would hide the differences between patches
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.02, 0.05)
    return model


@pytest.fixture
def files(model, tmp_path):
    picture, trimap = scene()
    cv2.imwrite(str(tmp_path / "picture.png"), picture)
    cv2.imwrite(str(tmp_path / "trimap.png"), trimap)
    save_model(model, tmp_path / "weights.safetensors", half=False)
    return tmp_path


def scene(height=230, width=190):
    """A picture with a disc, and its trimap: unknown ring, background outside."""
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - 110, x - 80)
    return picture, np.where(radius < 30, 255, np.where(radius < 70, 128, 0)).astype(np.uint8)


def matte(model, options, counters=None, strategy="hdmatt"):
    picture, trimap = scene()
    job = matte_rows(strategy, ArrayReader(picture), open_trimap(trimap), model, options, counters=counters)
    return np.concatenate([rows for _, rows in job.rows])


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hdmatt")]


def refused(capsys, words, *parts):
    assert main([*map(str, words)]) == 2
    said = capsys.readouterr().err
    for part in parts:
        assert part in said, said


@pytest.mark.release
@pytest.mark.parametrize(("windows", "batch"), [("fewest", 1), pytest.param("grid", 3, marks=pytest.mark.release)])
def test_several_devices_give_the_matte_of_one_and_encode_each_patch_once(model, windows, batch):
    options = replace(SMALL, windows=windows, batch=batch)
    one, several = Counters(), Counters()
    reference = matte(model, options, one)
    assert np.ptp(reference) > 0.01 and one.decoded > 4
    for device in ("cpu,cpu", "cpu,cpu,cpu"):
        several = Counters()
        split = replace(options, device=device)
        alpha = matte(model, split, several)
        # 1e-5: float32 sums in another order
        np.testing.assert_allclose(alpha, reference, rtol=0, atol=1e-5)
        assert alpha.tobytes() == matte(model, split).tobytes()
        for name in ("encoded", "decoded", "cache_hits", "cache_misses", "stems", "rows_read"):
            assert getattr(several, name) == getattr(one, name), name
        assert several.network_seconds > 0
    assert not threads()


def test_each_device_has_its_turns_and_its_own_copy_of_the_network(model, monkeypatch):
    model = network_on(model, "cpu")  # so that the first device needs no copy
    seen, original = [], run.decode_patches

    def decode(plan, piece, worker, pool):
        seen.append((worker.model, threading.current_thread().name))
        return original(plan, piece, worker, pool)

    monkeypatch.setattr(run, "decode_patches", decode)
    matte(model, replace(SMALL, device="cpu,cpu"))
    networks = {id(network) for network, _ in seen}
    assert len(networks) == 2 and id(model) in networks
    assert len({(id(network), name) for network, name in seen}) == 2
    turns = [sum(network is model for network, _ in seen), sum(network is not model for network, _ in seen)]
    assert turns[0] - turns[1] in (0, 1)


@pytest.mark.release
@pytest.mark.parametrize("slow", [0, 1])
def test_the_matte_does_not_depend_on_which_device_is_faster(model, monkeypatch, slow):
    model = network_on(model, "cpu")  # so that the first device needs no copy
    options = replace(SMALL, device="cpu,cpu")
    reference = matte(model, options)
    original, other_done, first = run.decode_patches, threading.Event(), []

    def decode(plan, piece, worker, pool):
        if (worker.model is model) == (slow == 0):
            if not first:
                first.append(True)
                assert other_done.wait(20)
            return original(plan, piece, worker, pool)
        download = original(plan, piece, worker, pool)
        other_done.set()
        return download

    monkeypatch.setattr(run, "decode_patches", decode)
    assert matte(model, options).tobytes() == reference.tobytes()
    assert first


@pytest.mark.parametrize(("module", "part"), [(run, "decode_patches"), (pool, "_encode")])
def test_an_error_of_one_device_ends_the_run_and_leaves_no_file(files, monkeypatch, module, part):
    original, calls = getattr(module, part), []

    def fails(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("the second device is lost")
        return original(*arguments)

    monkeypatch.setattr(module, part, fails)
    before = sorted(files.iterdir())
    with pytest.raises(RuntimeError, match="the second device is lost"):
        matte_files(
            files / "picture.png",
            files / "trimap.png",
            Outputs(files / "alpha.png", cutout=files / "cutout.png"),
            options=SMALL,
            network=NetworkChoice(files / "weights.safetensors", device="cpu,cpu"),
        )
    assert sorted(files.iterdir()) == before
    assert not threads()


@pytest.mark.release
def test_two_runs_at_once_with_one_network_give_the_bytes_of_one(model):
    expected = matte(model, SMALL)
    with ThreadPoolExecutor(2) as both:
        for alpha in both.map(lambda _: matte(model, SMALL), range(2)):
            np.testing.assert_array_equal(alpha, expected)


def test_a_run_that_is_left_early_leaves_no_thread(model):
    picture, trimap = scene()
    job = matte_rows("hdmatt", ArrayReader(picture), open_trimap(trimap), model, replace(SMALL, device="cpu,cpu"))
    next(job.rows)
    job.rows.close()
    assert not threads()


def test_an_answer_that_is_no_number_is_an_error(model):
    broken = HDMatt(model.config).eval()
    with torch.no_grad():
        broken.decoder.alpha.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="no numbers") as caught:
        matte(broken, SMALL)
    assert "--precision fp32" in caught.value.hint


def test_the_plan_counts_a_copy_of_the_weights_and_a_batch_for_each_device(model, monkeypatch):
    monkeypatch.setattr(memory, "settled", lambda: 100 * memory.MIB)
    monkeypatch.setattr(needs, "propagation_bytes", lambda *_: 0)
    trimap = scene()[1]
    one, two, three = (
        make_plan(open_trimap(trimap), model, replace(SMALL, batch=2, device=device))
        for device in ("cpu", "cpu,cpu", "cpu,cpu,cpu")
    )
    assert len(one.queries) >= 6 and one.batch == two.batch == 2
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    work, way = needs.patch_bytes(64, width=8), 2 * transfer.DEPTH * needs.transfer_bytes(64)
    assert two.peak - one.peak == weights + 2 * work + 4 * way
    assert three.peak - two.peak == weights + 2 * work + 2 * way


def test_the_smallest_limit_that_is_named_is_enough(model, monkeypatch):
    monkeypatch.setattr(memory, "settled", lambda: 100 * memory.MIB)
    trimap = scene()[1]
    for device in ("cpu", "cpu,cpu"):
        with pytest.raises(MemoryLimitError) as caught:
            make_plan(open_trimap(trimap), model, replace(SMALL, memory=memory.MIB, device=device))
        least = memory.parse_bytes(caught.value.hint.split()[3])
        plan = make_plan(open_trimap(trimap), model, replace(SMALL, memory=least, device=device))
        assert plan.peak <= least and plan.batch == 1


@pytest.mark.parametrize("device", ["cpu,", "cpu;cpu", "cpu,gpu", "cuda:0,cuda:99", "cuda:all", "auto,auto"])
def test_devices_that_are_not_there_are_refused_with_those_that_are(files, capsys, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    words = ["matte", files / "picture.png", files / "trimap.png", "-o", files / "alpha.png", "--device", device]
    refused(capsys, words, "there is no device", "Choose auto, or one of: cpu.")
    assert not (files / "alpha.png").exists()


@pytest.mark.release
def test_the_command_line_and_the_interface_take_several_devices(files, capsys):
    words = ["matte", files / "picture.png", files / "trimap.png", "--model", files / "weights.safetensors"]
    words += ["--patch", 64, "--overlap", 16, "--memory", "4GiB", "--precision", "fp32", "--json"]
    for device, name in (("cpu", "one.png"), ("cpu,cpu", "two.png")):
        assert main([*map(str, words), "-o", str(files / name), "--device", device]) == 0
        assert f'"device": "{device}"' in capsys.readouterr().out
    one, two = (cv2.imread(str(files / name), cv2.IMREAD_UNCHANGED) for name in ("one.png", "two.png"))
    assert np.abs(one.astype(int) - two).max() <= 1  # 1e-5 of alpha may fall on the other side of a half
    assert main([*map(str, words), "--plan", "--device", "cpu,cpu"]) == 0
    assert '"device": "cpu,cpu"' in capsys.readouterr().out
    picture, trimap = scene()
    choice, options = NetworkChoice(files / "weights.safetensors", precision="fp32"), Options(patch=64, overlap=16)
    mattes = [
        hdmatt.matte(picture, trimap, options=options, network=replace(choice, device=device)).alpha
        for device in ("cpu", "cpu,cpu")
    ]
    np.testing.assert_allclose(mattes[1], mattes[0], rtol=0, atol=1e-5)


def test_what_runs_on_one_device_says_so(model, files, capsys):
    for strategy in ("tiles", "downsample", "whole"):
        with pytest.raises(InputError, match=f"{strategy!r} runs on one device"):
            matte(model, replace(SMALL, device="cpu,cpu"), strategy=strategy)
    pair = files / "picture.png", files / "trimap.png"
    refused(capsys, ["bench", "--method", "hdmatt", "--device", "cpu,cpu"], "2 devices, this takes one", "--device cpu")
    refused(
        capsys,
        ["attention", *pair, "--at", "1,1", "-o", files / "a.png", "--device", "cpu,cpu"],
        "2 devices, this takes one",
    )
    words = ["eval", "--data", files, "--method", "hdmatt", "--method", "tiles", "--device", "cpu,cpu"]
    refused(capsys, words, "tiles runs on one device", "hdmatt, crop")


def test_runtimes_that_cannot_be_copied_are_refused_on_several_devices(model):
    for name in ("compiled", "onnx", "openvino"):
        with pytest.raises(InputError, match=f"{name!r} runs on one device, not on 'cpu,cpu'"):
            choose(name, "cpu,cpu")
    assert choose("auto", "cpu,cpu") == choose("auto", "cuda:0") == choose("auto", "cuda:0,cuda:1") == "folded"
    with pytest.raises(InputError, match="prepared for a runtime that runs on one device"):
        copies(compiled(model), ["cpu", "cpu"])
    assert len(copies(compiled(model), ["cpu"])) == 1


def compiled(model):
    """A network as torch.compile leaves it: with functions that know one network only."""
    network = prepare(model, "folded")
    network.encoder.trunk = lambda pooled: model.encoder.trunk(pooled)
    return network


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_a_copy_computes_with_its_own_weights(device):
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=8, extra_channels=True)).eval()
    own, other = copies(prepare(model, "folded", precision="bf16", device=device), ["cpu", "cpu"])
    inputs = network_input(torch.rand(1, 64, 64, 3), torch.full((1, 64, 64), 128, dtype=torch.uint8))
    with torch.inference_mode():
        before = own(inputs, [[]]).alpha
        assert torch.equal(other(inputs, [[]]).alpha, before)
        for part in (other.encoder.layer3, other.decoder.detail):
            for weight in part.parameters():
                weight.mul_(0.5)
        assert torch.equal(own(inputs, [[]]).alpha, before)
        assert not torch.equal(other(inputs, [[]]).alpha, before)


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (9, 0)])
def test_auto_precision_on_a_gpu_is_bf16_where_it_multiplies_it(monkeypatch, capability):
    capabilities = {"cuda:0": (9, 0), "cuda:1": capability}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", capabilities.__getitem__)
    assert choose_precision("auto", "folded", "cuda:0") == "bf16"
    assert choose_precision("auto", "folded", "cuda:0,cuda:1") == ("bf16" if capability >= (8, 0) else "fp32")
    assert choose_precision("auto", "torch", "cuda:0") == "fp32"


@pytest.mark.release
def test_the_halves_of_a_gpu_stay_within_the_limits():
    model, inputs = load.load_model("hdmatt-s"), example()
    half = prepare(model, "folded", precision="bf16", device="cuda:0")
    assert half.decoder.detail[0].weight.dtype == torch.float16
    assert half.encoder.conv1.weight.dtype == half.encoder.layer1[0].conv1.weight.dtype == torch.float32
    with torch.inference_mode():
        difference = (half(inputs, [[1], [0]]).alpha - model(inputs, [[1], [0]]).alpha).abs()
    assert 0 < difference.max() <= 2 / 255 and difference.mean() <= 1e-4
    assert prepare(model, "folded", precision="bf16").decoder.detail[0].weight.dtype == torch.float32


def example():
    """Two noisy discs on other noise."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    radius = ((y - 64) ** 2 + (x - 60) ** 2).sqrt()
    soft = ((50 - radius) / 20).clamp(0, 1)[..., None]
    front, back = torch.rand(2, 2, 1, 1, 3, generator=generator)
    colours = front * soft + back * (1 - soft)
    colours = (colours + 0.05 * torch.rand(2, 128, 128, 3, generator=generator)).clamp(0, 1)
    marks = torch.where(radius < 25, 255, torch.where(radius < 55, 128, 0)).to(torch.uint8)
    return network_input(colours, marks.expand(2, -1, -1))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_gpu_gives_the_cpus_matte(precision):
    picture, trimap = scene()
    options = Options(patch=64, overlap=16, memory="8GiB")

    def alpha(device, precision):
        choice = NetworkChoice(device=device, precision=precision)
        return hdmatt.matte(picture, trimap, options=options, network=choice).alpha

    reference = alpha("cpu", "fp32")
    one, two = (alpha(device, precision) for device in ("cuda:0", "cuda:0,cuda:0"))
    # 1e-2: bfloat16, and pooling indices that fall the other way between two kinds of processors
    np.testing.assert_allclose(one, reference, rtol=0, atol=1e-2)
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-5)
