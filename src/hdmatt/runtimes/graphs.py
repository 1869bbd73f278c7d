"""Exported graphs, run by ONNX Runtime or OpenVINO in place of parts of a network.

has_graphs      whether graphs compute parts of a network
PARTS, HEADS    the graphs, with their inputs and outputs
parts           the graphs of one network
load_graphs     an exported folder -> its graphs
metadata        the description inside every graph
weights_hash    the weights that a graph was made from, as a checksum
with_graphs     a network -> a copy whose parts are graphs
"""

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from hdmatt.errors import ModelError
from hdmatt.network.config import ModelConfig, stored_config
from hdmatt.network.decoder import Decoded
from hdmatt.network.encoder import Body, Stem
from hdmatt.network.model import HDMatt

METHODS = {"trunk", "forward"}  # methods that a runtime may replace
FORMAT = "hdmatt-graphs-1"
GraphFormat = Literal["onnx", "openvino"]
SUFFIX: dict[GraphFormat, str] = {"onnx": ".onnx", "openvino": ".xml"}
Graph = Callable[..., list[Tensor]]  # tensors in, tensors out, in the order of its Part


def has_graphs(model: HDMatt) -> bool:
    """Whether graphs compute parts of the network. ONNX Runtime and OpenVINO then hold memory of their own."""
    return isinstance(model.decoder, _GraphDecoder)


class GraphPart(NamedTuple):
    """One graph.

    Attributes:
        inputs: By name, each with its number of rows for one row at stride 8 (8: full resolution).
        outputs: By name.
    """

    inputs: dict[str, int]
    outputs: tuple[str, ...]


_DECODED = {"inputs": 8, "full": 8, "half": 4, "index1": 4, "index2": 2, "quarter": 2, "index3": 1, "eighth": 1}
PARTS = {
    # for other programs; hdmatt itself computes this part in PyTorch
    "front": GraphPart({"inputs": 8}, ("full", "half", "index1", "index2", "quarter", "index3", "pooled")),
    "trunk": GraphPart({"pooled": 1}, ("eighth", "deep")),
    "decoder": GraphPart({**_DECODED, "enriched": 1}, ("alpha",)),
}
HEADS = {  # the convolutions of cpc.CPC, by their names there
    "theta": GraphPart({"deep": 1}, ("key",)),
    "delta": GraphPart({"deep": 1}, ("own",)),
    "phi": GraphPart({"deep": 1}, ("value",)),
    "fuse": GraphPart({"joined": 1}, ("enriched",)),
}


def parts(config: ModelConfig) -> dict[str, GraphPart]:
    """The graphs of a network; one without context (model A) has no heads."""
    return PARTS if config.cpc == "none" else {**PARTS, **HEADS}


def load_graphs(
    folder: Path, kind: GraphFormat, *, weights: str, precision: str = "fp32", front: bool = False
) -> dict[str, Graph]:
    """The graphs of a folder that `export` wrote, by name; they use as many threads as torch.

    Args:
        weights: The `weights_hash` of the network that they must have been made from.
        front: Load the front, too.

    Raises:
        ModelError: The folder holds no such graphs, or they are damaged or made from other weights.
    """
    load = _onnx() if kind == "onnx" else _openvino(precision)
    advice = "Export the model again (hdmatt export) into a new folder; in the cache: delete this one."
    names = [path.stem for path in sorted(folder.glob(f"*{SUFFIX[kind]}")) if front or path.stem != "front"]
    if "trunk" not in names:
        raise ModelError(f"{folder} holds no {kind} graphs of hdmatt", hint=advice)
    graphs: dict[str, Graph] = {}
    for name in names:
        path = folder / f"{name}{SUFFIX[kind]}"
        try:
            graphs[name], text = load(path)
            described = json.loads(text)
            found, made_of = described["format"], described["weights"]
            needed = parts(stored_config(described["config"]))
        except Exception as error:  # the libraries raise many, RuntimeError among them
            raise ModelError(f"{path} cannot be loaded: {error}", hint=advice) from error
        if (found, made_of) != (FORMAT, weights):
            raise ModelError(
                f"{path} is {found} of weights {made_of[:12]}, needed is {FORMAT} of {weights[:12]}", hint=advice
            )
        missing = {part for part in needed if front or part != "front"} - set(names)
        if missing:
            raise ModelError(f"{folder} lacks the graphs {', '.join(sorted(missing))}", hint=advice)
    return graphs


def metadata(model: HDMatt) -> dict[str, Any]:
    """The description that every graph contains."""
    return {"format": FORMAT, "config": asdict(model.config), "weights": weights_hash(model)}


def weights_hash(model: HDMatt) -> str:
    """SHA-256 of the configuration and all weights."""
    digest = hashlib.sha256(json.dumps(asdict(model.config), sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def with_graphs(model: HDMatt, graphs: dict[str, Graph]) -> HDMatt:
    """A copy of the network in which graphs compute the trunk, the convolutions of CPC, and the decoder."""
    network = copy.deepcopy(model).eval().requires_grad_(False)
    encoder: Any = network.encoder
    for layer in ("layer2", "layer3", "layer4", "aspp"):  # their weights are in the graphs
        delattr(encoder, layer)
    encoder.trunk = lambda pooled: tuple(graphs["trunk"](pooled))
    for head in HEADS.keys() & graphs.keys():
        setattr(network.cpc, head, _Head(graphs[head]))
    network.cpc.key_norm = nn.Identity()  # folded into theta
    network.decoder = _GraphDecoder(graphs["decoder"])  # type: ignore[assignment]
    return network


class _Head(nn.Module):
    """A graph in the place of a convolution."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph

    def forward(self, x: Tensor) -> Tensor:
        return self._graph(x)[0]


class _GraphDecoder(nn.Module):
    """A graph in the place of the decoder; the maps that only training reads are empty."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph

    def forward(self, stem: Stem, body: Body, deep: Tensor) -> Decoded:
        maps = stem._asdict() | body._asdict() | {"enriched": deep}
        alpha = self._graph(*(maps[name] for name in PARTS["decoder"].inputs))[0]
        return Decoded(alpha, deep, deep.new_empty(0), deep.new_empty(0), None)


def _onnx() -> Callable[[Path], tuple[Graph, str]]:
    """Reader of ONNX files. The threads do not spin while torch computes, and the arena, which never returns memory, is
    off: a plan promises a peak."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False

    def load(path: Path) -> tuple[Graph, str]:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]

        def run(*tensors: Tensor) -> list[Tensor]:
            arrays = [t.detach().contiguous().numpy() for t in tensors]
            return [torch.from_numpy(a) for a in session.run(None, dict(zip(names, arrays, strict=True)))]

        return run, session.get_modelmeta().custom_metadata_map["hdmatt"]

    return load


def _openvino(precision: str) -> Callable[[Path], tuple[Graph, str]]:
    """Reader of OpenVINO files. The precision is always set: by default OpenVINO computes everything in bf16 where the
    processor has it."""
    import openvino as ov

    core = ov.Core()

    def load(path: Path) -> tuple[Graph, str]:
        model = core.read_model(path)
        text = model.get_rt_info("hdmatt").astype(str)
        hint = "bf16" if precision == "bf16" and path.stem == "trunk" else "f32"
        settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        graph = core.compile_model(model, "CPU", settings)

        def run(*tensors: Tensor) -> list[Tensor]:
            found = graph([t.detach().contiguous().numpy() for t in tensors], share_inputs=True)
            return [torch.from_numpy(found[i]) for i in range(len(graph.outputs))]

        return run, text

    return load
