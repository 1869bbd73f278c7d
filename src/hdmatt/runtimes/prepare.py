"""A network prepared for a runtime and for devices; the caller's network stays as it is.

    has_bfloat16, has_compiled    properties of a prepared network
    prepare        a network -> the same network, computed by a runtime
    network_on     a network -> the same network on a device
    lies_on        whether a network lies on a device already
    copies         a network -> one for each of several devices
    fold           batch norms merged into the convolutions before them

A runtime is an `HDMatt` of which some parts are replaced: `encoder.trunk`, the convolutions of `cpc`, and `decoder`.
Its users (inference/) call it as any network. Two things are PyTorch's in every runtime:

- Everything before the last pooling index: the extra channels, the first convolution, layer1. Where two of four values
  are nearly equal, another order of summation chooses another maximum, and unpooling puts its value on another pixel.
  With the first convolution folded, two pixels in five patches of the example moved by 0.012 of alpha, else by 4e-7.
  PyTorch is also faster there (docs/runtimes.md).
- The attention to the contexts, with its sorting by label, splitting by counts, and another number of pixels for every
  query. It is the code of network/cpc.py, so that there is one form of eq. 3.
"""

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from hdmatt.errors import InputError
from hdmatt.network.blocks import Block, Join
from hdmatt.network.cpc import CPC
from hdmatt.network.decoder import Decoded, Decoder
from hdmatt.network.encoder import Body, Encoder, Stem
from hdmatt.network.model import HDMatt
from hdmatt.runtimes.choose import COPIED, choose_precision
from hdmatt.runtimes.devices import kind as kind_of
from hdmatt.runtimes.devices import names
from hdmatt.runtimes.graphs import METHODS, has_graphs, load_graphs, weights_hash, with_graphs

HALF_HEADS = ("delta", "phi", "fuse")  # not theta: attention multiplies an error of its keys by logits above 100


def has_bfloat16(model: HDMatt) -> bool:
    """Whether some of the layers compute in bfloat16."""
    return any(parameter.dtype == torch.bfloat16 for parameter in model.parameters())


def has_compiled(model: HDMatt) -> bool:
    """Whether the first patch has parts of the network compiled, which takes memory, too."""
    return not has_graphs(model) and _has_foreign(model)


def prepare(
    model: HDMatt, name: str, *, precision: str = "fp32", graphs: Path | None = None, device: str = "cpu"
) -> HDMatt:
    """The same network in evaluation mode, computed by a runtime of RUNTIMES. "torch" gives the network itself.

    Args:
        precision: "bf16" computes layer3, layer4, ASPP and the context's values and joining convolution (OpenVINO: the
            whole trunk) in bfloat16; alpha of the example moves by 3e-4 at most. For folded, compiled and openvino.
            On CUDA the decoder is computed in float16, too: 8e-4 at most (docs/runtimes.md). "auto": see
            `choose_precision`.
        graphs: The folder that `export` wrote for this network, for onnx and openvino.
        device: Where it will run. A compiled network is moved there; others are copied there when they run.

    Raises:
        InputError: The runtime does not have the precision, or the network is prepared already.
        ModelError: The graphs are missing, damaged, or were made from other weights.
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
        loaded = load_graphs(graphs, name, weights=weights_hash(model), precision=precision)
        return _placed(with_graphs(model, loaded), "cpu")
    network = fold(model)
    if precision == "bf16":
        _half_trunk(network.encoder)
        for head in HALF_HEADS if network.config.cpc != "none" else ():
            setattr(network.cpc, head, _Half(getattr(network.cpc, head)))
        if kind_of(device) == "cuda":
            _half_decoder(network.decoder)
    # compiled code is bound to this network, so it cannot be copied to its device later
    network = _placed(network, names(device)[0] if name == "compiled" else "cpu")
    if name == "compiled":  # with symbolic sizes, so that results do not depend on the first batch's size
        # PyTorch 2.13 orders the zeros of a large unpooling before their own size, and fails an assertion of its own
        options: Any = {"joint_graph_constant_folding": False}
        for owner, method in ((network.encoder, "trunk"), (network.decoder, "forward")):
            setattr(owner, method, torch.compile(getattr(owner, method), dynamic=True, options=options))
    return network


def network_on(model: HDMatt, device: str) -> HDMatt:
    """The network with its weights on a device, channels last: the network itself if they are so, otherwise a copy.

    The caller's network stays as it is.

    Raises:
        InputError: The network is in training mode, or it is prepared for a runtime on another device.
    """
    if model.training:
        raise InputError("the network is in training mode", hint="Call model.eval() first, or load it by name.")
    if lies_on(model, device):
        return model
    if has_graphs(model) or _has_foreign(model):
        raise InputError(
            f"this network is prepared for a runtime on another device than {device}",
            hint="Prepare it for this device, or give the network as load_model returned it.",
        )
    return _copy_on(model, device)


def lies_on(model: HDMatt, device: str) -> bool:
    """Whether all weights of a network lie on a device, channels last."""
    wanted = torch.device(device)
    return all(
        (tensor.device.type, tensor.device.index or 0) == (wanted.type, wanted.index or 0)
        and (tensor.ndim != 4 or tensor.is_contiguous(memory_format=torch.channels_last))
        for tensor in (*model.parameters(), *model.buffers())
    )


def copies(model: HDMatt, devices: Sequence[str]) -> list[HDMatt]:
    """One network for each of the devices: `network_on` for the first, a copy for each of the others.

    Raises:
        InputError: As `network_on`; several devices, and a network of a runtime that is not in COPIED.
    """
    if len(devices) > 1 and (has_graphs(model) or _has_foreign(model)):
        raise InputError(
            "this network is prepared for a runtime that runs on one device",
            hint=f"Prepare it for one of {', '.join(COPIED)}, or give one device.",
        )
    return [network_on(model, devices[0]), *(_copy_on(model, device) for device in devices[1:])]


def copies_made(model: HDMatt, devices: Sequence[str]) -> int:
    """Number of networks that `copies` makes, without the given one."""
    return len(devices) - lies_on(model, devices[0])


def fold(model: HDMatt) -> HDMatt:
    """A copy whose batch norms after the last pooling index are merged into the convolutions before them.

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


def _placed(own: HDMatt, device: str) -> HDMatt:
    """A network of ours, moved to the device, channels last."""
    return own.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _copy_on(model: HDMatt, device: str) -> HDMatt:
    return _placed(copy.deepcopy(model), device)


def _has_foreign(model: HDMatt) -> bool:
    """Whether compiled code replaces a method. It is not copied with its owner, as our own methods are."""
    replaced = [vars(part)[name] for part in (model.encoder, model.decoder) for name in METHODS & vars(part).keys()]
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
    """The decoder in float16, not bfloat16: eight times as exact, and its values are far below 65504."""
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
