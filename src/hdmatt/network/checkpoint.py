"""Weights on disk: safetensors files with the configuration inside. No pickle is ever loaded.

save_model, read_model        a network (half precision for the package, single precision for training)
load_card                     the description of the weights in a file
save_state, load_state        tensors and numbers of a training run
save_tensors, load_tensors    any named tensors with their metadata
load_resnet34                 ImageNet weights in torchvision's naming
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hdmatt.errors import ModelError
from hdmatt.network.config import stored_config
from hdmatt.network.model import HDMatt
from hdmatt.network.names import models
from hdmatt.system.files import replacing
from hdmatt.system.hidden import unwritable

FORMAT = "hdmatt-1"


def save_model(model: HDMatt, path: Path, *, half: bool, card: Mapping[str, str] | None = None) -> None:
    """Write the weights; the configuration and the card stand in the file's metadata.

    Args:
        half: Store matrices and convolutions as float16; vectors (norms, biases) stay float32.
        card: Free text by key (data, steps, hardware), kept in the metadata.
    """
    tensors = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        tensors[name] = (tensor.half() if half and tensor.ndim > 1 else tensor.float()).contiguous().cpu()
    _write(tensors, {"format": FORMAT, "config": json.dumps(asdict(model.config)), **(card or {})}, path)


def read_model(name: str | Path) -> HDMatt:
    """The network in evaluation mode, float32, on the CPU.

    Args:
        name: A model of the package ("hdmatt-s") or a safetensors file that `save_model` wrote.

    Raises:
        ModelError: No such model, or the file is not ours, truncated, or does not fit its configuration.
    """
    path = models().get(str(name)) or Path(name)
    tensors, metadata = _read(path)
    _check_format(metadata, path)
    try:
        model = HDMatt(stored_config(json.loads(metadata["config"])))
        missing, unexpected = model.load_state_dict({n: t.float() for n, t in tensors.items()}, strict=False)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path} does not fit its own configuration: {error}", hint="Copy the file again from its source."
        ) from error
    missing = [n for n in missing if not n.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ModelError(
            f"{path} lacks {len(missing)} tensors and has {len(unexpected)} unknown ones "
            f"(first: {(missing or unexpected)[0]})",
            hint="The file was written by another version of hdmatt: use that version, or other weights.",
        )
    return model.eval()


def load_card(name: str | Path) -> dict[str, str]:
    """The `card` that `save_model` wrote. Raises ModelError for a file that is no model, as `read_model` does."""
    path = models().get(str(name)) or Path(name)
    _, metadata = _read(path)
    _check_format(metadata, path)
    return {key: text for key, text in metadata.items() if key not in ("format", "config")}


def save_state(tensors: Mapping[str, Tensor], numbers: Mapping[str, Any], path: Path) -> None:
    """Write a training state: named tensors unchanged, and numbers that JSON can hold. Replaces the file atomically."""
    _write({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, {"numbers": json.dumps(numbers)}, path)


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and numbers that `save_state` wrote. Raises ModelError for a file that is no training state."""
    tensors, metadata = _read(path)
    if "numbers" not in metadata:
        raise ModelError(f"{path} is not a training state", hint="Resume from a run's folder: state.safetensors.")
    return tensors, json.loads(metadata["numbers"])


def save_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> None:
    """Write named tensors unchanged, with metadata. Replaces the file atomically."""
    _write({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, dict(metadata), path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of any safetensors file. Raises ModelError for any other file.

    PyTorch's own files (.pth) are pickles, which can run code when they are loaded: the error says how to convert one.
    """
    if path.suffix in (".pth", ".pt", ".ckpt", ".bin"):
        target = path.with_suffix(".safetensors")
        raise ModelError(
            f"{path} is a pickle, and hdmatt loads safetensors only",
            hint=(
                'Convert it once: python -c "import torch, safetensors.torch as s; '
                f"s.save_file(torch.load('{path}', weights_only=True), '{target}')\""
            ),
        )
    return _read(path)


def _check_format(metadata: Mapping[str, str], path: Path) -> None:
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{path} is a safetensors file, but not an hdmatt model",
            hint=f"Give a file written by hdmatt, or one of: {', '.join(models()) or 'none installed'}.",
        )


def _write(tensors: dict[str, Tensor], metadata: dict[str, str], path: Path) -> None:
    with replacing(path) as hidden:
        mode = hidden.stat().st_mode  # as any new file here; safetensors lets nobody but the owner read its own
        try:
            save_file(tensors, hidden, metadata)
        except SafetensorError as error:
            raise unwritable(path, OSError(str(error))) from error
        hidden.chmod(mode)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise ModelError(
            f"there is no model {str(path)!r}",
            hint=f"Give a safetensors file, or one of: {', '.join(models()) or 'none installed'}.",
        )
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a safetensors file: {error}",
            hint="hdmatt loads safetensors only; pickled weights (.pth, .ckpt) must be converted by their owner.",
        ) from error


def load_resnet34(model: HDMatt, weights: Mapping[str, Tensor]) -> None:
    """Start the encoder from ImageNet ResNet-34 weights in torchvision's naming.

    The first convolution's weights for the trimap and the extra channels start at zero, so the encoder starts as the
    classifier did. `fc.*` is ignored.

    Raises:
        ModelError: A tensor is missing or has another shape (the model is not `width` 64).
    """
    encoder = model.encoder
    own = {n: t for n, t in encoder.state_dict().items() if not n.startswith("aspp.")}
    loaded = dict(encoder.state_dict())
    for name, tensor in own.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in weights:
            raise ModelError(
                f"the ResNet-34 weights have no tensor {name!r}",
                hint="Give a state dict in torchvision's naming (conv1.weight, layer1.0.conv1.weight, ...).",
            )
        source = weights[name]
        if name in ("conv1.weight", "layer2.0.conv1.weight", "layer2.0.downsample.0.weight"):  # more channels here
            others = source.new_zeros(len(source), max(0, tensor.shape[1] - source.shape[1]), *source.shape[2:])
            source = torch.cat([source, others], dim=1)
        if source.shape != tensor.shape:
            raise ModelError(
                f"{name} of the ResNet-34 weights is {tuple(source.shape)}, the model needs {tuple(tensor.shape)}",
                hint="ImageNet ResNet-34 weights fit ModelConfig(width=64) only.",
            )
        loaded[name] = source
    encoder.load_state_dict(loaded)
