import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from small_network import matte, network, patches, scene

from hdmatt import api
from hdmatt.errors import InputError, ModelError
from hdmatt.inference import needs
from hdmatt.inference.options import NetworkChoice, Options
from hdmatt.inference.plan import make_plan
from hdmatt.network.extra_channels import EXTRA
from hdmatt.network.inputs import labels
from hdmatt.pictures.trimap import open_trimap
from hdmatt.runtimes.choose import choose, choose_precision
from hdmatt.runtimes.export import check
from hdmatt.runtimes.graphs import load_graphs, weights_hash
from hdmatt.runtimes.prepare import fold, has_compiled, prepare
from hdmatt.system import memory
from hdmatt.system.memory import GIB

EXAMPLE = Path(__file__).parents[2] / "examples"


OURS = {"extra_channels": True, "normed": True, "coarse": True}


@pytest.mark.parametrize(
    "config", [{}, {"extra_channels": True}, {"cpc": "none"}, {"cpc": "nonlocal"}, {"form": "literal"}, OURS]
)
def test_a_folded_network_gives_the_same_alpha_and_has_no_norm_behind_the_last_pooling(config):
    model = network(**config)
    before = copy.deepcopy(model.state_dict())
    folded = fold(model)
    inputs = patches()
    with torch.inference_mode():
        for own in ([[]] * 4, [[1], [0], [3], [2]], [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]):
            # 1e-5: weights are rounded once more
            torch.testing.assert_close(folded(inputs, own).alpha, model(inputs, own).alpha, rtol=0, atol=1e-5)
    norms = [n for n, m in folded.named_modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and all(n.startswith(("encoder.bn1", "encoder.layer1")) for n in norms)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())  # a copy was folded


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_pooling_index_is_bit_for_bit_the_references(precision):
    model = network(extra_channels=True)
    other = prepare(model, "folded", precision=precision)
    inputs = patches()
    with torch.inference_mode():
        (stem, body), (stem2, body2) = model.encoder(inputs), other.encoder(inputs)
    for a, b in ((stem.index1, stem2.index1), (stem.index2, stem2.index2), (body.index3, body2.index3)):
        assert torch.equal(a, b)
    assert body2.deep.dtype == torch.float32


@pytest.mark.release
def test_the_shipped_weights_matte_stays_within_the_limits_folded_and_in_bf16():
    # hair of the example: made-up patches of noise are nothing that the network knows, and twenty times as sensitive
    picture, trimap = (cv2.imread(str(EXAMPLE / name))[700:1020, 600:920] for name in ("hair.jpg", "hair-trimap.png"))
    trimap = trimap[..., 0]
    assert {0, 128, 255} <= set(np.unique(trimap))
    choices = (("torch", "fp32"), ("folded", "fp32"), ("folded", "bf16"))
    expected, folded, bf16 = (
        api.matte(
            picture[..., ::-1].copy(),
            trimap,
            options=Options(patch=192),
            network=NetworkChoice("hdmatt-s", *choice, "cpu"),
        ).alpha
        for choice in choices
    )
    for given in (folded, bf16):
        difference = np.abs(given - expected)[trimap == 128]
        assert difference.max() <= 2 / 255 and difference.mean() <= 1e-4
    # not the same computation by mistake
    assert np.abs(folded - expected).max() < 1e-5 < np.abs(bf16 - expected).max()


@pytest.mark.release
def test_check_finds_a_network_that_is_another_one_and_nan():
    model = network()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.decoder.alpha.bias += 0.05
    assert not any(d.fine for d in check(model, other, sizes=(64,)))
    with torch.no_grad():
        other.decoder.alpha.bias.fill_(float("nan"))
    assert not any(d.fine for d in check(model, other, sizes=(64,)))


@pytest.mark.parametrize("strategy", ["hdmatt", "crop", "whole", "downsample"])
def test_the_strategies_take_a_prepared_network_and_give_the_same_matte(strategy):
    model = network(extra_channels=True)
    # 1e-5: as above
    np.testing.assert_allclose(matte(prepare(model, "folded"), strategy), matte(model, strategy), rtol=0, atol=1e-5)


def test_the_same_options_give_the_same_bytes_and_the_batch_moves_rounding_only():
    model = network()
    for precision in ("fp32", "bf16"):
        folded = prepare(model, "folded", precision=precision)
        assert matte(folded).tobytes() == matte(prepare(model, "folded", precision=precision)).tobytes()
        # 1e-5 for float32 sums in another order; with layers in bfloat16 patches are computed one by one
        np.testing.assert_allclose(matte(folded, batch=1), matte(folded, batch=4), rtol=0, atol=1e-5)


@pytest.mark.release
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own, when it first loads its compiler
def test_the_plan_of_a_compiled_network_has_room_for_its_compilation():
    model = network()
    folded, bf16, compiled = (
        prepare(model, name, precision=p) for name, p in (("folded", "fp32"), ("folded", "bf16"), ("compiled", "fp32"))
    )
    assert [has_compiled(m) for m in (model, folded, bf16, compiled)] == [False, False, False, True]
    options = Options(patch=64, overlap=16, memory=8 * GIB)
    plain, more = (make_plan(open_trimap(scene()[1]), m, options).peak for m in (folded, compiled))
    # 4 MiB: the process itself moves between two looks at it
    assert more - plain == pytest.approx(needs.COMPILER, abs=4 * memory.MIB)


@pytest.mark.parametrize(
    ("found", "precision"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "bf16"),
        ({"avx512_bf16": True}, "bf16"),
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC"}, "bf16"),
        ({"avx512_bf16": True, "cpu_name": "Intel Xeon"}, "fp32"),
        ({"amx_bf16": True, "avx512_bf16": True, "cpu_name": "Intel Xeon"}, "bf16"),
        ({"avx512_f": True}, "fp32"),
        ({"amx_bf16": False}, "fp32"),
    ],
)
def test_auto_precision_is_bf16_for_the_folded_runtime_on_a_cpu_that_has_it_only(found, precision, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert choose_precision("auto", "folded") == precision
    for runtime, device in (("torch", "cpu"), ("onnx", "cpu"), ("openvino", "cpu"), ("folded", "cuda:0")):
        assert choose_precision("auto", runtime, device) == "fp32"
    assert choose_precision("fp32", "folded") == "fp32" and choose_precision("bf16", "compiled") == "bf16"
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # versions of torch before it
    assert choose_precision("auto", "folded") == "fp32"


def test_auto_is_folded_on_cpus_and_gpus_and_torch_elsewhere():
    assert choose("auto") == choose("auto", "cuda:0") == "folded"
    assert choose("auto", "mps") == choose("torch", "mps") == "torch"


def test_runtimes_that_cannot_work_are_refused(monkeypatch):
    with pytest.raises(InputError, match="no runtime 'fast'"):
        choose("fast")
    with pytest.raises(InputError, match=r"'onnx' runs on the CPU, not on 'cuda:0'"):
        choose("onnx", "cuda:0")
    with pytest.raises(InputError, match="precision is 'fp16'"):
        prepare(network(), "folded", precision="fp16")
    for name in ("torch", "onnx"):
        with pytest.raises(InputError, match=f"'{name}' computes in fp32"):
            prepare(network(), name, precision="bf16")
    with pytest.raises(InputError, match="prepared for a runtime already"):
        prepare(prepare(network(), "folded"), "folded")
    monkeypatch.setattr("hdmatt.runtimes.choose.find_spec", lambda name: None)
    with pytest.raises(InputError, match="packages that are not installed") as caught:
        choose("openvino")
    assert "pip install 'hdmatt[export]'" in caught.value.hint


def test_a_folder_without_graphs_is_refused(tmp_path):
    with pytest.raises(ModelError, match="holds no onnx graphs"):
        load_graphs(tmp_path, "onnx", weights="")


def test_the_weights_hash_tells_weights_and_configurations_apart():
    model = network()
    assert weights_hash(model) == weights_hash(network()) != weights_hash(network(form="literal"))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.decoder.alpha.bias += 1e-6
    assert weights_hash(other) != weights_hash(model)


def test_labels_do_not_depend_on_the_extra_channels_beside_them():
    inputs = patches()
    stem = network(extra_channels=True).encoder.stem(inputs)
    assert stem.inputs.shape[1] == 6 + EXTRA and torch.equal(labels(stem.inputs), labels(inputs))
