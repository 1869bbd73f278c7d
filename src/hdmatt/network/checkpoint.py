"""Weights on disk: safetensors with the configuration inside. The only place that loads weights.

save_model     network -> file (half precision for the package, single for training)
load_model     name or file -> network in evaluation mode
load_card      name or file -> the words about the weights
models         the weights that ship in the package
save_state, load_state     a training run's tensors and numbers, also safetensors: no pickle anywhere
save_tensors, load_tensors    any named tensors and their metadata: backbones, shards of a state
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hdmatt.errors import ModelError
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.system.files import replacing, unwritable

FORMAT = "hdmatt-1"
WEIGHTS = Path(__file__).parent / "weights"


def models() -> dict[str, Path]:
    """Name -> file of every model in the package."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}


def save_model(model: HDMatt, path: Path, *, half: bool, card: Mapping[str, str] | None = None) -> None:
    """Write the weights, with the configuration and a few words about them in the file's metadata.

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


def load_model(name: str | Path) -> HDMatt:
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
        known = {f.name for f in fields(ModelConfig)}
        config = {k: v for k, v in json.loads(metadata["config"]).items() if k in known}
        model = HDMatt(ModelConfig(**config))
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
    """What `save_model` was given as `card`. Raises ModelError as `load_model` does for a file that is no model."""
    path = models().get(str(name)) or Path(name)
    _, metadata = _read(path)
    _check_format(metadata, path)
    return {key: text for key, text in metadata.items() if key not in ("format", "config")}


def save_state(tensors: Mapping[str, Tensor], numbers: Mapping[str, Any], path: Path) -> None:
    """A training state: named tensors as they are, and JSON-able numbers; renamed into place."""
    _write({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, {"numbers": json.dumps(numbers)}, path)


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_state` wrote. Raises ModelError when the file is not a training state."""
    tensors, metadata = _read(path)
    if "numbers" not in metadata:
        raise ModelError(f"{path} is not a training state", hint="Resume from a run's folder: state.safetensors.")
    return tensors, json.loads(metadata["numbers"])


def save_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> None:
    """Named tensors as they are, with words about them; renamed into place."""
    _write({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, dict(metadata), path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of any safetensors file. Raises ModelError when it is none.

    PyTorch's own files (.pth) are pickles, which may run code when they are opened: their owner converts them.
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

    The three trimap channels of the first convolution start at zero, so the encoder sees the picture just as
    the classifier did. `fc.*` is ignored.

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
        if name in ("conv1.weight", "layer2.0.conv1.weight", "layer2.0.downsample.0.weight"):  # our further channels
            others = source.new_zeros(len(source), max(0, tensor.shape[1] - source.shape[1]), *source.shape[2:])
            source = torch.cat([source, others], dim=1)
        if source.shape != tensor.shape:
            raise ModelError(
                f"{name} of the ResNet-34 weights is {tuple(source.shape)}, the model needs {tuple(tensor.shape)}",
                hint="ImageNet ResNet-34 weights fit ModelConfig(width=64) only.",
            )
        loaded[name] = source
    encoder.load_state_dict(loaded)
