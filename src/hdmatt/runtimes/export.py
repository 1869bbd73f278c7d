"""Export of a network as ONNX or OpenVINO graphs, compared with PyTorch before they are used.

Knows networks, graphs and the folder they lie in. Top to bottom:

    export         network -> folder of graphs
    cached         the folder in the user's cache, exported when first needed
    check          alpha of a runtime against PyTorch, for several sizes, numbers of contexts and empty regions
    check_front    the front's graph against PyTorch

There is one graph for each of `graphs.parts`. Batch, rows and columns are free; sides are multiples of 8.
"""

import copy
import json
import logging
import os
import threading
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hdmatt.errors import HDMattError, InputError, OutputError
from hdmatt.network.cpc import Context
from hdmatt.network.encoder import Body, Stem
from hdmatt.network.inputs import labels, network_input
from hdmatt.network.model import HDMatt
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.runtimes.graphs import SUFFIX, Graph, GraphFormat, load_graphs, metadata, parts, weights_hash
from hdmatt.runtimes.prepare import fold, prepare
from hdmatt.system.files import replacing_folder

MAX_LIMIT = 2 / 255  # difference of alpha that is allowed at one pixel
MEAN_LIMIT = 1e-4  # and on average over a patch
SIZES = (64, 192, 320)
OPSET = 20

_one_at_a_time = threading.RLock()  # torch's exporter and the loggers are shared by all threads


class Difference(NamedTuple):
    """Alpha of a runtime against the reference, over all pixels of some patches."""

    size: int
    contexts: int
    maximum: float
    mean: float

    @property
    def fine(self) -> bool:
        return self.maximum <= MAX_LIMIT and self.mean <= MEAN_LIMIT  # false for NaN


def export(model: HDMatt, folder: Path, kind: GraphFormat, *, checked: Sequence[int] = ()) -> list[Difference]:
    """Write a network's graphs into a new folder, which appears when it is complete.

    Args:
        checked: Sides of patches, for example SIZES, with which to compare the graphs with PyTorch first. If the
            difference is too large, nothing is written. Empty: no comparison.

    Returns:
        The differences that `check` found.

    Raises:
        OutputError: The folder exists, or cannot be written.
        InputError: A package is missing.
        HDMattError: The graphs compute another alpha than PyTorch.
    """
    needed = ["onnx", "onnxscript", *(["openvino"] if kind == "openvino" else [])]
    needed += ["onnxruntime"] if kind == "onnx" and checked else []
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise InputError(
            f"export to {kind} needs packages that are not installed: {', '.join(missing)}",
            hint="pip install 'hdmatt[export]'",
        )
    found: list[Difference] = []
    with _one_at_a_time, replacing_folder(folder) as temporary:
        _write(model, temporary, kind)
        if checked:
            check_front(model, load_graphs(temporary, kind, weights=weights_hash(model), front=True)["front"])
            found = check(model, prepare(model, kind, graphs=temporary), checked)
            if not all(d.fine for d in found):
                raise HDMattError(
                    f"the {kind} graphs give another alpha than torch: {worst(found)}",
                    hint="This is our mistake or the library's: report it with the versions that hdmatt info names.",
                )
    return found


def worst(found: Sequence[Difference]) -> str:
    """The largest differences, as text."""
    maximum, mean = max(d.maximum for d in found), max(d.mean for d in found)
    return f"max {maximum:.1e} (limit {MAX_LIMIT:.1e}), mean {mean:.1e} (limit {MEAN_LIMIT:.1e})"


def cached(model: HDMatt, kind: GraphFormat) -> Path:
    """The folder of a network's graphs in the user's cache, exported and checked when first needed.

    The cache is HDMATT_CACHE, else XDG_CACHE_HOME/hdmatt, else ~/.cache/hdmatt. The folder's name has the weights' hash
    and the versions that made it. It may be deleted at any time.
    """
    base = os.environ.get("HDMATT_CACHE")
    root = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hdmatt"
    version = torch.__version__.split("+")[0]
    folder = root / f"{weights_hash(model)[:24]}-{metadata(model)['format']}-torch{version}-{kind}"
    with _one_at_a_time:
        if not folder.exists():
            try:
                export(model, folder, kind, checked=SIZES[:2])
            except OutputError:
                if not folder.exists():  # else another process was faster
                    raise
    return folder


def check(model: HDMatt, runtime: HDMatt, sizes: Sequence[int] = SIZES) -> list[Difference]:
    """Alpha of a runtime on the CPU against that of the network in torch, for patches of several kinds.

    Six patches of each size serve each other as contexts: as a trimap has them, without foreground, without background,
    all unknown, all but one cell unknown, and without unknown pixels. Every one is decoded with 0, 1, 3 and all others.
    """
    reference = _copy_of(model)
    found = []
    for size in sizes:
        inputs = _patches(size)
        count = len(inputs)
        for k in (0, 1, 3, count - 1):
            chosen = [[j % count for j in range(i + 1, i + 1 + k)] for i in range(count)]
            expected, given = (_alpha(network, inputs, chosen) for network in (reference, runtime))
            difference = (expected - given).abs()
            found.append(Difference(size, k, float(difference.max()), float(difference.mean((1, 2, 3)).max())))
    return found


def check_front(model: HDMatt, front: Graph, size: int = 64) -> None:
    """Compare the front's maps with PyTorch's. Pooling indices may differ where two of four values are nearly equal.

    Raises:
        HDMattError: The maps differ by more than rounding.
    """
    encoder = _copy_of(model).encoder
    with torch.inference_mode():
        stem = encoder.stem(_patches(size))
        body = encoder.body(stem)
        maps = dict(zip(parts(model.config)["front"].outputs, front(stem.inputs), strict=True))
    expected = stem._asdict() | body._asdict()
    for name, pooled in (("index1", "full"), ("index2", "half"), ("index3", "quarter")):
        values = expected[pooled].flatten(2)
        ours, theirs = (values.gather(2, maps_[name].flatten(2)) for maps_ in (expected, maps))
        for a, b in ((ours, theirs), (values, maps[pooled].flatten(2))):
            error = float((a - b).abs().max() / values.abs().max())
            if not error <= 1e-4:  # NaN is no success; float32 sums of some hundred products
                raise HDMattError(
                    f"the front's graph gives another {pooled} or {name} than torch: {error:.1e} of the largest value",
                    hint="This is our mistake or the library's: report it with the versions that hdmatt info names.",
                )


def _copy_of(model: HDMatt) -> HDMatt:
    """A copy on the CPU, in evaluation mode: the caller's network stays as it is."""
    return copy.deepcopy(model).cpu().eval()


def _alpha(network: HDMatt, inputs: Tensor, chosen: Sequence[Sequence[int]]) -> Tensor:
    """Alpha of patches, computed two at a time to save memory, with the chosen others as contexts."""
    encoded: list[tuple[Stem, Body]] = []
    pool: list[Context] = []
    with torch.inference_mode():
        for two in inputs.split(2):
            stem, body = network.encoder(two)
            encoded.append((stem, body))
            pool += network.contexts(body, labels(two))
        own = [[pool[i] for i in some] if pool else [] for some in chosen]
        alpha = [network.decode(stem, body, own[2 * i : 2 * i + 2]).alpha for i, (stem, body) in enumerate(encoded)]
        return torch.cat(alpha)


def _patches(size: int) -> Tensor:
    """Six patches, seeded: soft colours with noise, and six kinds of trimap."""
    generator = torch.Generator().manual_seed(size)
    coarse = torch.rand(6, 3, size // 8, size // 8, generator=generator)
    colours = F.interpolate(coarse, size=(size, size), mode="bilinear")
    colours = (colours + 0.1 * torch.rand(6, 3, size, size, generator=generator)).clamp(0, 1)
    column = torch.arange(size).expand(size, size)
    left, right = column < size // 3, column >= 2 * size // 3
    trimap = torch.full((6, size, size), UNKNOWN, dtype=torch.uint8)
    trimap[0][left], trimap[0][right] = 0, 255
    trimap[1][left] = 0
    trimap[2][right] = 255
    trimap[4, :8, :8] = 255
    trimap[5] = torch.where(column < size // 2, 0, 255)
    return network_input(colours.permute(0, 2, 3, 1), trimap).contiguous(memory_format=torch.channels_last)


class _Front(nn.Module):
    def __init__(self, model: HDMatt) -> None:
        super().__init__()
        self.encoder = model.encoder

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        encoder = self.encoder
        full = F.relu(encoder.bn1(encoder.conv1(inputs)))
        half, index1 = F.max_pool2d(full, 2, return_indices=True)
        pooled, index2 = F.max_pool2d(half, 2, return_indices=True)
        quarter = encoder.layer1(pooled)
        pooled, index3 = encoder.before_trunk(inputs, quarter)
        return full, half, index1, index2, quarter, index3, pooled


class _Trunk(nn.Module):
    def __init__(self, model: HDMatt) -> None:
        super().__init__()
        self.encoder = model.encoder

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder.trunk(pooled)


class _DecoderGraph(nn.Module):
    def __init__(self, model: HDMatt) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, *maps: Tensor) -> Tensor:
        """Alpha from the inputs of PARTS["decoder"], in their order."""
        inputs, full, half, index1, index2, quarter, index3, eighth, enriched = maps
        stem = Stem(inputs, full, half, half, index1, index2)  # the decoder does not read `pooled` and `deep`
        return self.decoder(stem, Body(quarter, index3, eighth, enriched), enriched).alpha


def _modules(model: HDMatt) -> dict[str, nn.Module]:
    folded = fold(model)  # the front keeps its batch norms: they come before the indices
    heads = {} if model.config.cpc == "none" else {n: getattr(folded.cpc, n) for n in ("theta", "delta", "phi", "fuse")}
    return {"front": _Front(folded), "trunk": _Trunk(folded), "decoder": _DecoderGraph(folded), **heads}


def _examples(model: HDMatt) -> dict[str, Tensor]:
    """A tensor for every input of every part: two patches of 64 x 96 pixels."""
    with torch.inference_mode():
        stem, body = model.encoder(network_input(torch.rand(2, 64, 96, 3), torch.full((2, 64, 96), UNKNOWN).byte()))
        joined = torch.rand(2, (4 + 4 * model.cpc.reads) * model.config.width, 8, 12)
    maps: dict[str, Tensor] = {**stem._asdict(), **body._asdict(), "enriched": body.deep, "joined": joined}
    maps["pooled"] = model.encoder.before_trunk(stem.inputs, body.quarter)[0]
    return {name: t.clone(memory_format=torch.contiguous_format) for name, t in maps.items()}


def _write(model: HDMatt, folder: Path, kind: GraphFormat) -> None:
    model = _copy_of(model)
    modules, examples, text = _modules(model), _examples(model), json.dumps(metadata(model))
    batch, rows, columns = (torch.export.Dim(n, min=1, max=m) for n, m in (("B", 4096), ("h", 8192), ("w", 8192)))
    for name, part in parts(model.config).items():
        free = tuple(
            {0: batch, 2: n * rows if n > 1 else rows, 3: n * columns if n > 1 else columns}
            for n in part.inputs.values()
        )
        with _quiet():
            program: Any = torch.onnx.export(
                modules[name],
                tuple(examples[i] for i in part.inputs),
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                dynamic_shapes=(free,) if name == "decoder" else free,  # of *maps they are one tuple
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
            )
        program.model.metadata_props["hdmatt"] = text
        path = folder / f"{name}.onnx"
        program.save(path)
        if kind == "openvino":
            _to_openvino(path, text)


def _to_openvino(path: Path, text: str) -> None:
    import openvino as ov

    model = ov.Core().read_model(path)
    model.set_rt_info(text, "hdmatt")
    ov.save_model(model, path.with_suffix(SUFFIX["openvino"]), compress_to_fp16=False)
    del model  # it holds the file
    for old in path.parent.glob(f"{path.name}*"):  # and weights that lie beside it
        old.unlink()


@contextmanager
def _quiet() -> Generator[None]:
    """A block without the exporter's warnings: of torchvision, which it does not need, and of its own parts.

    Warnings and loggers are the whole process's, so they are quiet in other threads, too.
    """
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels: Mapping[logging.Logger, int] = {logger: logger.level for logger in loggers}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in levels.items():
                logger.setLevel(level)
