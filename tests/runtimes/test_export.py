"""The exporter takes some seconds: one small network is exported once, and OpenVINO's graphs are made of ONNX's."""

import copy
import json
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np
import onnxruntime as ort
import openvino as ov
import pytest
import torch
from small_network import matte, network

from hdmatt.cli.main import main
from hdmatt.errors import HDMattError, InputError, ModelError, OutputError
from hdmatt.inference import needs
from hdmatt.inference.options import Options
from hdmatt.inference.plan import make_plan
from hdmatt.network.checkpoint import read_model, save_model
from hdmatt.pictures.trimap import open_trimap
from hdmatt.runtimes.export import SIZES, _to_openvino, cached, check, check_front, export, worst
from hdmatt.runtimes.graphs import SUFFIX, has_graphs, load_graphs, metadata, parts, weights_hash
from hdmatt.runtimes.prepare import prepare
from hdmatt.system import memory

pytestmark = pytest.mark.release  # the exporter takes half a minute


@pytest.fixture(scope="module")
def model():
    found = network(extra_channels=True, normed=True, coarse=True)  # as hdmatt-s
    found.cpc.key_norm.running_mean.fill_(0.1)  # a fresh norm does nothing, and would hide that it is done twice
    found.cpc.key_norm.running_var.fill_(0.2)
    return found


@pytest.fixture(scope="module")
def folders(model, tmp_path_factory):
    root = tmp_path_factory.mktemp("export")
    assert export(model, root / "onnx", "onnx") == []
    shutil.copytree(root / "onnx", root / "openvino")
    for path in sorted((root / "openvino").glob("*.onnx")):
        _to_openvino(path, json.dumps(metadata(model)))
    return {"onnx": root / "onnx", "openvino": root / "openvino"}


def test_the_network_of_these_tests_has_every_part_that_the_shipped_one_has(model):
    shipped = read_model("hdmatt-s").config
    assert replace(shipped, width=model.config.width, patch=model.config.patch) == model.config


@pytest.mark.parametrize("sizes", [(64, 96), SIZES])
@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_graphs_give_torchs_alpha_for_all_sizes_numbers_of_contexts_and_empty_regions(model, folders, kind, sizes):
    found = check(model, prepare(model, kind, graphs=folders[kind]), sizes=sizes)
    assert [(d.size, d.contexts) for d in found] == [(s, k) for s in sizes for k in (0, 1, 3, 5)]
    assert all(d.fine for d in found), worst(found)


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_the_fronts_graph_gives_torchs_maps_and_indices(model, folders, kind):
    front = load_graphs(folders[kind], kind, weights=weights_hash(model), front=True)["front"]
    check_front(model, front)
    with pytest.raises(HDMattError, match="another full or index1 than torch"):
        check_front(model, lambda *tensors: [t + 1 if t.is_floating_point() else t for t in front(*tensors)])


def test_a_patch_counts_twice_where_graphs_keep_memory_of_their_own(model, folders):
    marks = np.zeros((200, 200), np.uint8)
    marks[80:120] = 128
    options = Options(patch=640, memory=8 * memory.GIB)
    graphs = prepare(model, "onnx", graphs=folders["onnx"])
    plain, double = (make_plan(open_trimap(marks), network, options).peak for network in (model, graphs))
    # 2 MiB: the process itself moves between two looks at it
    each = needs.patch_bytes(640, width=model.config.width)
    assert each > 20 * memory.MIB
    assert double - plain == pytest.approx(each, abs=2 * memory.MIB) and has_graphs(graphs) and not has_graphs(model)


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_the_engine_runs_on_graphs_and_gives_the_same_bytes_twice(model, folders, kind):
    network = prepare(model, kind, graphs=folders[kind])
    first = matte(network)
    assert first.tobytes() == matte(network).tobytes()
    # the promise of every runtime, any batch
    for batch in (1, 3):
        difference = np.abs(matte(network, batch=batch) - matte(model))
        assert difference.max() <= 2 / 255 and difference.mean() <= 1e-4
    assert np.abs(matte(network, "whole") - matte(model, "whole")).max() <= 2 / 255


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_every_graph_holds_the_configuration(model, folders, kind):
    names = {p.stem for p in folders[kind].glob(f"*{SUFFIX[kind]}")}
    assert names == set(parts(model.config)) and not list(folders[kind].glob("*.onnx")) * (kind == "openvino")
    for name in names:
        path = folders[kind] / f"{name}{SUFFIX[kind]}"
        if kind == "onnx":
            text = ort.InferenceSession(path).get_modelmeta().custom_metadata_map["hdmatt"]
        else:
            text = ov.Core().read_model(path).get_rt_info("hdmatt").astype(str)
        assert json.loads(text) == metadata(model)
        assert json.loads(text)["config"]["width"] == 8


def test_graphs_of_other_weights_and_incomplete_or_damaged_folders_are_refused(model, folders, tmp_path):
    other = network(extra_channels=True)
    with torch.no_grad():
        other.decoder.alpha.bias += 1
    with pytest.raises(ModelError, match="of weights"):
        prepare(other, "onnx", graphs=folders["onnx"])
    shutil.copytree(folders["onnx"], tmp_path / "some")
    (tmp_path / "some" / "theta.onnx").unlink()
    with pytest.raises(ModelError, match="lacks the graphs theta"):
        prepare(model, "onnx", graphs=tmp_path / "some")
    (tmp_path / "some" / "theta.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"theta.onnx cannot be loaded"):
        prepare(model, "onnx", graphs=tmp_path / "some")


def test_an_export_that_fails_its_check_leaves_nothing_and_the_command_leaves_with_1(
    model, folders, tmp_path, monkeypatch, capsys
):
    def write(_, folder, kind):  # the graphs of the fixture, to save time
        shutil.copytree(folders[kind], folder, dirs_exist_ok=True)

    monkeypatch.setattr("hdmatt.runtimes.export._write", write)
    save_model(model, tmp_path / "m.safetensors", half=False)
    command = ["export", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / "out"), "--format", "onnx", "--check"]
    monkeypatch.setattr("hdmatt.runtimes.export.SIZES", (64,))
    assert main(command) == 0
    assert "limits" in capsys.readouterr().out and (tmp_path / "out" / "trunk.onnx").is_file()
    assert main(command) == 2  # it exists
    assert "exists already" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "out")
    monkeypatch.setattr("hdmatt.runtimes.export.MEAN_LIMIT", 0.0)
    assert main(command) == 1
    assert "another alpha than torch" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.safetensors"]


def test_the_cache_is_filled_once_and_lies_where_it_is_told(model, folders, tmp_path, monkeypatch):
    made = []

    def write(_, folder, kind):
        made.append(folder)
        shutil.copytree(folders[kind], folder, dirs_exist_ok=True)

    monkeypatch.setattr("hdmatt.runtimes.export._write", write)
    monkeypatch.setattr("hdmatt.runtimes.export.SIZES", (64,))
    monkeypatch.setenv("HDMATT_CACHE", str(tmp_path / "here"))
    folder = cached(model, "onnx")
    assert folder.parent == tmp_path / "here" and weights_hash(model)[:24] in folder.name
    assert cached(model, "onnx") == folder and len(made) == 1
    assert [p for p in (tmp_path / "here").iterdir() if p != folder] == []


def test_two_threads_that_need_the_same_graphs_make_them_once_and_leave_the_network_as_it_was(
    model, folders, tmp_path, monkeypatch
):
    model = copy.deepcopy(model).train()  # the exporter needs another mode, on a copy
    made, second = [], []

    def write(_, folder, kind):  # while the first thread writes, the second one asks
        made.append(folder)
        if not second:
            second.append(threads.submit(cached, model, kind))
            wait(second, timeout=0.2)
        shutil.copytree(folders[kind], folder, dirs_exist_ok=True)

    monkeypatch.setattr("hdmatt.runtimes.export._write", write)
    monkeypatch.setattr("hdmatt.runtimes.export.SIZES", (64,))
    monkeypatch.setenv("HDMATT_CACHE", str(tmp_path))
    with ThreadPoolExecutor(1) as threads:
        found = cached(model, "onnx")
    assert second[0].result() == found and len(made) == 1
    assert list(tmp_path.iterdir()) == [found] and model.training


def test_missing_packages_are_named(model, tmp_path, monkeypatch):
    monkeypatch.setattr("hdmatt.runtimes.export.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(InputError, match="not installed: onnxscript"):
        export(model, tmp_path / "out", "onnx")
    monkeypatch.undo()
    with pytest.raises(OutputError, match="exists already"):
        export(model, tmp_path, "onnx")
