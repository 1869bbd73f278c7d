"""Faster ways to compute the same network.

Knows networks and exported graphs; nothing of pictures, windows or the terminal. Top to bottom:

    RUNTIMES, AUTO   the names, and what "auto" stands for
    choose, choose_precision    what runs for a name, on this device and processor
    has_graphs       whether a runtime with memory of its own computes parts of a network
    has_compiled     whether parts of it are compiled when the first patch comes
    prepare          a network -> the same network, computed by a named runtime
    copies           a network -> one for each of several devices, on its device
    exact            a block in which a GPU does not round what it is to compute in float32
    fold             batch norms put into the convolutions before them
    PARTS            the parts of the network that a runtime may replace, as graphs see them
    load_graphs      an exported folder -> its graphs, run by ONNX Runtime or OpenVINO
    weights_hash     which weights a graph was made of

A runtime is an `HDMatt` of which some parts are replaced: `encoder.trunk`, the convolutions of `cpc`, and `decoder`.
Whoever uses a network (inference/run.py, inference/strategies.py) uses it as before. Two things are PyTorch's in every runtime:

- All that leads to a pooling index (the hints, the first convolution, layer1). Where two of four values are nearly
  equal, another order of the sums picks another maximum, and the unpooled map puts its value on another pixel: five
  patches of the example moved alpha by 0.012 in two pixels when the first convolution was folded, by 4e-7 since it is
  left alone. It is also faster there (docs/runtimes.md).
- The reading of the contexts: sorting by label, splitting by counts, attention over another number of pixels for
  every query. In PyTorch it is the very code of network/cpc.py, so there is one form of eq. 3 and not two.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from types import MethodType
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from hdmatt.errors import InputError, ModelError
from hdmatt.inference.transfer import kind as kind_of
from hdmatt.inference.transfer import names
from hdmatt.network.blocks import Block, Join
from hdmatt.network.config import ModelConfig
from hdmatt.network.cpc import CPC
from hdmatt.network.decoder import Decoded, Decoder
from hdmatt.network.encoder import Body, Encoder, Stem
from hdmatt.network.model import HDMatt

RUNTIMES = ("torch", "folded", "compiled", "onnx", "openvino")
AUTO = "folded"  # of a CPU: the fastest in benchmarks/results/runtimes.json, see docs/runtimes.md
COPIED = ("torch", "folded")  # of which several devices can have a copy each
PRECISIONS = ("fp32", "bf16")
HALF_HEADS = ("delta", "phi", "fuse")  # not theta: attention multiplies an error of its keys by logits of 100 and more
_METHODS = {"trunk", "forward"}  # that a runtime may replace
FORMAT = "hdmatt-graphs-1"
Format = Literal["onnx", "openvino"]
SUFFIX: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml"}
Graph = Callable[..., list[Tensor]]  # tensors in, tensors out, in the order of its Part


def choose(name: str, device: str = "cpu") -> str:
    """The runtime that a name stands for on a device, or on several ("cuda:0,cuda:1").

    "auto" is AUTO on a CPU, folded on CUDA and on several devices, plain torch elsewhere.

    Raises:
        InputError: No such runtime, its package is not installed, or it does not run on the device.
    """
    kind, several = kind_of(device), len(names(device)) > 1
    if name == "auto":
        if kind == "cpu" and not several and installed(AUTO):
            return AUTO
        return "folded" if kind in ("cpu", "cuda") else "torch"
    if name not in RUNTIMES:
        raise InputError(f"there is no runtime {name!r}", hint=f"Choose one of: auto, {', '.join(RUNTIMES)}.")
    if several and name not in COPIED:
        raise InputError(
            f"the runtime {name!r} runs on one device, not on {device!r}",
            hint=f"Choose one of: auto, {', '.join(COPIED)}; or give one --device.",
        )
    if name in SUFFIX and kind != "cpu":
        raise InputError(
            f"the runtime {name!r} runs on the CPU, not on {device!r}",
            hint="Choose --runtime torch for this device, or --device cpu.",
        )
    if not installed(name):
        raise InputError(
            f"the runtime {name!r} needs packages that are not installed",
            hint="pip install 'hdmatt[export]', or choose one of: auto, torch, folded, compiled.",
        )
    return name


def choose_precision(name: str, runtime: str, device: str = "cpu") -> str:
    """What a precision's name stands for: "auto" is bf16 for the folded runtime where the device has it, else fp32.

    A processor has it with AMX or, by AMD, AVX512-BF16, a GPU from compute capability 8.0 on. Other runtimes have not
    earned it (docs/runtimes.md); a processor that emulates bfloat16 only loses by it.

    Args:
        runtime: As `choose` gives it.

    Raises:
        InputError: No such precision, or the runtime does not have it.
    """
    if name == "auto":
        return "bf16" if runtime == "folded" and _multiplies_bf16(device) else "fp32"
    if name not in PRECISIONS:
        raise InputError(f"precision is {name!r}", hint=f"Choose one of: auto, {', '.join(PRECISIONS)}.")
    if name == "bf16" and runtime in ("torch", "onnx"):
        raise InputError(f"the runtime {runtime!r} computes in fp32", hint="bf16 takes folded, compiled or openvino.")
    return name


def has_bf16() -> bool:
    """Whether bfloat16 is faster than float32 on this processor; no where torch cannot tell.

    With AMX it is, and with AVX512-BF16 by AMD. On an Intel processor that had AVX512-BF16 alone it was slower
    (docs/runtimes.md).
    """
    ask: Callable[[], dict[str, Any]] | None = getattr(torch.cpu, "get_capabilities", None)
    found = ask() if ask else {}
    wide = found.get("avx512_bf16") and "Intel" not in str(found.get("cpu_name", ""))
    return bool(found.get("amx_bf16") or wide)


def _multiplies_bf16(device: str) -> bool:
    if kind_of(device) == "cuda":
        here = torch.cuda.is_available()
        return here and all(torch.cuda.get_device_capability(name) >= (8, 0) for name in names(device))
    return kind_of(device) == "cpu" and has_bf16()


def installed(name: str) -> bool:
    """Whether a runtime's package is there. Making graphs takes `onnx` and `onnxscript` as well."""
    return find_spec({"onnx": "onnxruntime", "openvino": "openvino"}.get(name, "torch")) is not None


def has_bfloat16(model: HDMatt) -> bool:
    """Whether some of the layers compute in bfloat16."""
    return any(parameter.dtype == torch.bfloat16 for parameter in model.parameters())


def has_graphs(model: HDMatt) -> bool:
    """Whether ONNX Runtime or OpenVINO compute parts of the network, in memory that they keep for themselves."""
    return isinstance(model.decoder, _GraphDecoder)


def has_compiled(model: HDMatt) -> bool:
    """Whether the first patch has parts of the network compiled, which takes memory, too."""
    return not has_graphs(model) and _has_foreign(model)


def prepare(
    model: HDMatt, name: str, *, precision: str = "fp32", graphs: Path | None = None, device: str = "cpu"
) -> HDMatt:
    """The same network in evaluation mode, computed by a runtime of RUNTIMES. "torch" gives the network itself.

    Args:
        precision: "bf16" computes layer3, layer4, ASPP and the context's values and joining convolution (OpenVINO: all
            of the trunk) in bfloat16, which moves alpha by 3e-4 at most on the example; only processors with AMX
            or AMD's AVX512-BF16 and GPUs gain by it. For folded, compiled and openvino. "auto": see choose_precision.
            On CUDA the decoder is computed in float16, too: 8e-4 at most (docs/runtimes.md).
        graphs: The folder that `export` wrote of this network, for onnx and openvino.
        device: Where it will run; it is not moved there.

    Raises:
        InputError: The runtime does not have the precision.
        ModelError: The graphs are missing, damaged, or of other weights.
    """
    precision = choose_precision(precision, name, device)
    if name == "torch":
        return model
    if not _has_norms(model):
        raise InputError(
            "this network is prepared for a runtime already", hint="Give the network as load_model returned it."
        )
    if name in ("onnx", "openvino"):
        assert graphs is not None
        return _with_graphs(model, load_graphs(graphs, name, weights=weights_hash(model), precision=precision))
    network = fold(model)
    if precision == "bf16":
        _half_trunk(network.encoder)
        for head in HALF_HEADS if network.config.cpc != "none" else ():
            setattr(network.cpc, head, _Half(getattr(network.cpc, head)))
        if kind_of(device) == "cuda":
            _half_decoder(network.decoder)
    if name == "compiled":  # sizes are symbols: bytes do not depend on which batch came first
        # PyTorch 2.13 puts the zeros of a large unpooling before their own size, and stops at its own assertion
        options: Any = {"joint_graph_constant_folding": False}
        for owner, method in ((network.encoder, "trunk"), (network.decoder, "forward")):
            setattr(owner, method, torch.compile(getattr(owner, method), dynamic=True, options=options))
    return network


def copies(model: HDMatt, devices: Sequence[str]) -> list[HDMatt]:
    """The network on each of the devices; the first is the network itself, moved, the others are copies of it.

    Raises:
        InputError: Several devices, and a network of a runtime that is not in COPIED.
    """
    if len(devices) > 1 and (has_graphs(model) or _has_foreign(model)):
        raise InputError(
            "this network is prepared for a runtime that runs on one device",
            hint=f"Prepare it for one of {', '.join(COPIED)}, or give one device.",
        )
    made = [model, *(copy.deepcopy(model) for _ in devices[1:])]
    return [
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for network, device in zip(made, devices, strict=True)
    ]


@contextmanager
def exact() -> Generator[None]:
    """A block in which CUDA multiplies float32 as float32, not rounded to 10 bits (TF32), as cuDNN does by itself.

    TF32 in the first convolution alone moves pooling indices, and alpha by up to 0.015 (docs/runtimes.md). This is a
    switch of the whole process.
    """
    convolutions: Any = torch.backends.cudnn
    products: Any = torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = False
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def fold(model: HDMatt) -> HDMatt:
    """A copy in which the convolutions behind the last pooling index do what they and their batch norms did.

    norm(w * x) = (s w) * x + (b - s m) with s = gain / sqrt(variance + eps). Where a norm follows a sum of
    convolutions (`Join`), s goes into all of them and the rest into the first one's bias. Computed in float64.
    """
    network = copy.deepcopy(model).eval().requires_grad_(False)
    encoder = network.encoder
    for root in (encoder.layer2, encoder.layer3, encoder.layer4, encoder.aspp, network.decoder, network.cpc):
        for module in root.modules():
            if isinstance(module, Block):
                _absorb(module, "bn1", [module.conv1])
                _absorb(module, "bn2", [module.conv2])
            elif isinstance(module, Join):
                _absorb(module, "norm", list(module.convs))
            elif isinstance(module, CPC):
                if isinstance(getattr(module, "key_norm", None), nn.BatchNorm2d):
                    _absorb(module, "key_norm", [module.theta])
            elif isinstance(module, nn.Sequential) and len(module) > 1 and isinstance(module[1], nn.BatchNorm2d):
                _absorb(module, "1", [module[0]])
        assert not any(isinstance(m, nn.BatchNorm2d) for m in root.modules()), "a batch norm that fold does not know"
    return network


def _has_foreign(model: HDMatt) -> bool:
    """A method of ours is copied with its owner; a graph or compiled code is not."""
    replaced = [vars(part)[name] for part in (model.encoder, model.decoder) for name in _METHODS & vars(part).keys()]
    return any(not isinstance(method, MethodType) for method in replaced)


def _has_norms(model: HDMatt) -> bool:
    return any(isinstance(module, nn.BatchNorm2d) for module in model.decoder.modules())


def _absorb(owner: nn.Module, norm_name: str, convs: list[nn.Module]) -> None:
    norm: Any = getattr(owner, norm_name)
    gain, shift = (1.0, 0.0) if norm.weight is None else (norm.weight.double(), norm.bias.double())
    scale = gain / (norm.running_var.double() + norm.eps).sqrt()
    bias = shift - scale * norm.running_mean.double()
    for conv in convs:
        assert isinstance(conv, nn.Conv2d) and conv.bias is None
        weight = (conv.weight.double() * scale[:, None, None, None]).to(conv.weight.dtype)
        conv.weight = nn.Parameter(weight, requires_grad=False)
    first: Any = convs[0]
    first.bias = nn.Parameter(bias.to(first.weight.dtype), requires_grad=False)
    setattr(owner, norm_name, nn.Identity())


def _half_trunk(encoder: Encoder) -> None:
    """layer3, layer4 and ASPP in bfloat16. layer2 is not worth its error (docs/runtimes.md)."""
    for layer in (encoder.layer3, encoder.layer4, encoder.aspp):
        layer.to(torch.bfloat16)
    setattr(encoder, "trunk", MethodType(_trunk_in_halves, encoder))  # noqa: B010


def _trunk_in_halves(encoder: Encoder, pooled: Tensor) -> tuple[Tensor, Tensor]:
    eighth = encoder.layer2(pooled)
    deep = encoder.aspp(encoder.layer4(encoder.layer3(eighth.to(torch.bfloat16))))
    return eighth, deep.float()


def _half_decoder(decoder: Decoder) -> None:
    """The decoder in float16, not bfloat16: eight times as exact, and its maps are nowhere near 65504."""
    decoder.to(torch.float16)
    setattr(decoder, "forward", MethodType(_decoder_in_halves, decoder))  # noqa: B010


def _decoder_in_halves(decoder: Decoder, stem: Stem, body: Body, deep: Tensor) -> Decoded:
    def half(maps: Iterable[Tensor]) -> list[Tensor]:
        return [t.to(torch.float16) if t.is_floating_point() else t for t in maps]

    return Decoder.forward(decoder, Stem(*half(stem)), Body(*half(body)), deep.to(torch.float16))


class _Half(nn.Module):
    """A layer in bfloat16 between float32 ones."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.to(torch.bfloat16)).float()


class Part(NamedTuple):
    """One graph: its inputs by name, each with its rows per row at stride 8 (8: full resolution), and its outputs."""

    inputs: dict[str, int]
    outputs: tuple[str, ...]


_DECODED = {"inputs": 8, "full": 8, "half": 4, "index1": 4, "index2": 2, "quarter": 2, "index3": 1, "eighth": 1}
PARTS = {
    # for other programs; hdmatt computes it in PyTorch
    "front": Part({"inputs": 8}, ("full", "half", "index1", "index2", "quarter", "index3", "pooled")),
    "trunk": Part({"pooled": 1}, ("eighth", "deep")),
    "decoder": Part({**_DECODED, "enriched": 1}, ("alpha",)),
}
HEADS = {  # the convolutions of cpc.CPC, by their names there
    "theta": Part({"deep": 1}, ("key",)),
    "delta": Part({"deep": 1}, ("own",)),
    "phi": Part({"deep": 1}, ("value",)),
    "fuse": Part({"joined": 1}, ("enriched",)),
}


def parts(config: ModelConfig) -> dict[str, Part]:
    """The graphs of a network; one without context (model A) has no heads."""
    return PARTS if config.cpc == "none" else {**PARTS, **HEADS}


def load_graphs(
    folder: Path, kind: Format, *, weights: str, precision: str = "fp32", front: bool = False
) -> dict[str, Graph]:
    """The graphs of a folder that `export` wrote, by name, on as many threads as torch has.

    Args:
        weights: The `weights_hash` that the graphs must have been made of.
        front: Load the front, too.

    Raises:
        ModelError: The folder holds no such graphs, or they are damaged or of other weights.
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
            needed = parts(ModelConfig(**described["config"]))
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
    """What is written into every graph."""
    return {"format": FORMAT, "config": asdict(model.config), "weights": weights_hash(model)}


def weights_hash(model: HDMatt) -> str:
    """SHA-256 of the configuration and all weights."""
    digest = hashlib.sha256(json.dumps(asdict(model.config), sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _with_graphs(model: HDMatt, graphs: dict[str, Graph]) -> HDMatt:
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
    """A graph in the place of the decoder; the maps between, which only training reads, are empty."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph

    def forward(self, stem: Stem, body: Body, deep: Tensor) -> Decoded:
        maps = stem._asdict() | body._asdict() | {"enriched": deep}
        alpha = self._graph(*(maps[name] for name in PARTS["decoder"].inputs))[0]
        return Decoded(alpha, deep, deep.new_empty(0), deep.new_empty(0), None)


def _onnx() -> Callable[[Path], tuple[Graph, str]]:
    """Reader of ONNX files. ONNX Runtime's threads do not spin while torch computes; its arena, which gives no memory
    back, is off, since the engine promises a peak."""
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
    """Reader of OpenVINO files. The precision is always said: left to itself OpenVINO takes bf16 for all where the
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
