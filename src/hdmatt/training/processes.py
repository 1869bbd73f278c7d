"""One process or many, on CPUs or GPUs: Lightning Fabric, and what must be summed over processes.

Knows no network and no data. Top to bottom:

    Fabric        from lightning-fabric, or from the package lightning that contains it
    precision_for    what "auto" stands for
    make_fabric   devices, nodes, precision; the switches that make a GPU fast
    share_norms   batch norm over the batches of all GPUs
    patch_share   what makes a mean over all processes' patches out of each process's mean
    agreed        one answer for all processes
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hdmatt.errors import InputError
from hdmatt.runtimes.choose import has_bf16

if TYPE_CHECKING:
    from lightning_fabric import Fabric
else:
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError:
        from lightning.fabric import Fabric

__all__ = ["Fabric", "agreed", "make_fabric", "patch_share", "precision_for", "share_norms"]


def precision_for(name: str, device: str) -> str:
    """The precision, "auto" being bf16-mixed where the device ("cpu" or "cuda") multiplies bfloat16 faster."""
    if name != "auto":
        return name
    faster = torch.cuda.is_bf16_supported() if device == "cuda" else has_bf16()
    return "bf16-mixed" if faster else "32-true"


def make_fabric(precision: str, *, accelerator: str = "auto", devices: int = 1, nodes: int = 1) -> Fabric:
    """A Fabric for this many devices a node; started by torchrun or by itself.

    More than one process trains with DDP. Patches without unknown pixels use fewer of the parameters, so unused
    ones are looked for.

    Args:
        precision: "32-true", "bf16-mixed" or "auto".
        accelerator: "auto" (a GPU where there is one), "cpu" or "cuda".

    Raises:
        InputError: "cuda" on a machine without a GPU for it.
    """
    gpu = torch.cuda.is_available() and accelerator in ("auto", "cuda", "gpu")
    if accelerator in ("cuda", "gpu") and not gpu:
        raise InputError(
            "there is no GPU that PyTorch can use", hint="Leave out --accelerator, or install PyTorch for your GPU."
        )
    precision = precision_for(precision, "cuda" if gpu else "cpu")
    if gpu:
        torch.set_float32_matmul_precision("high")  # TF32 where bf16 is not asked for
        torch.backends.cudnn.benchmark = True  # every batch has the same shape
    many = devices * nodes > 1
    strategy = "ddp_find_unused_parameters_true" if many else "auto"
    kind: Any = precision
    return Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, precision=kind, strategy=strategy)


def share_norms(model: nn.Module, fabric: Fabric, norm: str) -> None:
    """Batch norm over the batches of all GPUs; with "frozen", as it is stored. The names of the state stay."""
    if norm == "frozen":
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    elif fabric.world_size > 1 and fabric.device.type == "cuda":  # PyTorch has it for GPUs only
        nn.SyncBatchNorm.convert_sync_batchnorm(model)


def patch_share(fabric: Fabric, counting: Tensor) -> Tensor | float:
    """Factor of this process's mean loss, so that the mean over processes is the mean over all patches.

    DDP averages gradients over processes; a process with few patches that count must not weigh as much as one with
    many. The factor is its patches times the processes over all patches.

    Args:
        counting: Number of this process's patches that the mean was taken over, a tensor of one number.
    """
    if fabric.world_size == 1:
        return 1.0
    own = counting.detach().float()
    everyone = fabric.all_reduce(own.clone(), reduce_op="sum")
    assert isinstance(everyone, Tensor)
    return own * fabric.world_size / everyone.clamp(min=1)


def agreed(fabric: Fabric, answer: bool) -> bool:
    """The first process's answer, for all: clocks differ, and processes must leave a loop together."""
    return answer if fabric.world_size == 1 else bool(fabric.broadcast(answer))


Say = Callable[[str], None]


def say_if_asked(say: Say | None, line: str) -> None:
    if say:
        say(line)
