"""One process or many, on CPUs or GPUs: Lightning Fabric, sums over processes, and switches of a process.

Knows no network and no data. Top to bottom:

    Fabric            from lightning-fabric, or from the package lightning that contains it
    precision_for     what "auto" stands for
    make_fabric       devices, nodes, precision
    process_switches  random numbers, threads, denormals, TF32: as training needs them, as they were afterwards
    share_norms       batch norm over the batches of all GPUs
    patch_share       the factor that makes a mean over all processes' patches out of each process's mean
    agreed            one answer for all processes
    Say, silent       where a run's lines go
"""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import cv2
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

__all__ = [
    "Fabric",
    "Say",
    "agreed",
    "make_fabric",
    "patch_share",
    "precision_for",
    "process_switches",
    "share_norms",
    "silent",
]

Say = Callable[[str], None]


def silent(line: str) -> None:
    """Takes a line and says nothing."""


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
    kind: Any = precision_for(precision, "cuda" if gpu else "cpu")
    strategy = "ddp_find_unused_parameters_true" if devices * nodes > 1 else "auto"
    return Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, precision=kind, strategy=strategy)


@contextmanager
def process_switches(device: torch.device, *, seed: int, compiling: bool = False) -> Generator[None]:
    """Switches of the whole process that training needs; at the end of the block they are as they were.

    The random numbers of torch start at `seed`; numbers below 1e-38 are 0, which made steps three times as slow on a
    CPU; OpenCV has no threads, for they do not survive in forked workers. On a GPU float32 is multiplied as TF32 and
    cuDNN tries its algorithms, for every batch has the same shape.

    Args:
        compiling: Whether what torch.compile cannot compile runs as it is.
    """
    gpu = device.type == "cuda"
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([device] if gpu else []))
        torch.manual_seed(seed)
        if compiling:
            from torch._dynamo import config as dynamo

            stack.enter_context(dynamo.patch(suppress_errors=True))  # type: ignore[attr-defined]
        stack.callback(torch.set_flush_denormal, _flushes_denormals())
        torch.set_flush_denormal(True)
        stack.callback(cv2.setNumThreads, cv2.getNumThreads())
        cv2.setNumThreads(0)
        if gpu:
            stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("high")
            stack.callback(setattr, torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
            torch.backends.cudnn.benchmark = True
        yield


def _flushes_denormals() -> bool:
    return float(torch.tensor([1e-39]) * 1.0) == 0


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
