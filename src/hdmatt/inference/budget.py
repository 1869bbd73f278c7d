"""The memory limit, divided among the parts of a run; the batch and the kept features get the rest.

    Budget       bytes taken from a limit, by name
    limit_of     the limit of a run
    take_fixed   everything beside the patches
    Shares       batch, kept features, and bytes of a patch
    share        Budget -> Shares, or the MemoryLimitError that says what would do

The formulas are in needs.py. Batch and kept features move alpha by rounding only.
"""

from typing import NamedTuple

from hdmatt.errors import MemoryLimitError
from hdmatt.inference import needs, transfer
from hdmatt.inference.options import RunOptions
from hdmatt.network.model import HDMatt
from hdmatt.pictures.info import PictureInfo
from hdmatt.runtimes.devices import kind, names
from hdmatt.runtimes.graphs import has_graphs
from hdmatt.runtimes.prepare import copies_made, has_compiled
from hdmatt.system import memory

# a patch alone fits the caches, and the allocator keeps its maps, while it returns larger ones to the system: four at
# once take 5 to 15 % more of a core's time and 390 MiB more (research/log.md)
CPU_BATCH = 1
STEMS = 320 * memory.MIB  # of first layers that are kept at most: 21 MiB save a patch a third of its work
GPU_BATCH = 16


class Budget:
    """Bytes of a memory limit, taken one after the other."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken: dict[str, int] = {}

    def take(self, amount: int, name: str) -> None:
        """Take bytes, also more than are left; `name` says for what, in an error."""
        self._taken[name] = self._taken.get(name, 0) + amount

    @property
    def taken(self) -> int:
        return sum(self._taken.values())

    def left(self) -> int:
        """Bytes that are left; negative when the limit is exceeded."""
        return self.limit - self.taken

    def items(self) -> str:
        """The parts and their bytes, the largest first: "libraries 100MiB, the process 80MiB"."""
        largest = sorted(self._taken.items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {memory.show(amount)}" for name, amount in largest if amount >= memory.MIB)


class Shares(NamedTuple):
    """How the rest of a budget is used."""

    batch: int
    cache: int  # queries of the pool whose features are kept until they are decoded
    stems: int  # of these, those whose first layers are kept, too
    cache_bytes: int  # of contexts, features and first layers
    bytes_per_patch: int  # while it is computed


def limit_of(options: RunOptions) -> int:
    """The limit of the process's peak memory, in bytes."""
    return memory.default_limit() if options.memory is None else options.memory


def take_fixed(budget: Budget, info: PictureInfo, model: HDMatt, options: RunOptions, *, pixel: int) -> None:
    """Take the process, its libraries, bands of rows, and copies of the network.

    Args:
        pixel: Bytes of one pixel of the picture.
    """
    devices = names(options.device)
    budget.take(memory.settled(), "the process")
    budget.take(needs.LIBRARIES + needs.COMPILER * has_compiled(model), "libraries")
    budget.take(needs.rows_bytes(info.width, patch=options.patch, band=options.band, pixel=pixel), "rows")
    budget.take(options.reserved_bytes, "colours and files")
    if kind(options.device) == "cpu":
        budget.take(copies_made(model, devices) * needs.weight_bytes(model.parameters()), "copies of the network")


def share(
    budget: Budget, info: PictureInfo, model: HDMatt, options: RunOptions, *, pool: int, shared: int, work: bool
) -> Shares:
    """Share out what is left between the batch and the features that are kept.

    Args:
        pool: Candidates in the context pool.
        shared: Of these, candidates that are queries, too.
        work: Whether there is anything to decode; without, no limit is too small.

    Raises:
        MemoryLimitError: One patch, or the batch that was asked for, does not fit.
    """
    width, on_cpu, devices = model.config.width, kind(options.device) == "cpu", names(options.device)
    # graphs keep what a patch took beside what torch keeps (measured: 50 MiB more with ONNX Runtime, 99 with OpenVINO)
    each = needs.patch_bytes(options.patch, width=width) * (2 if has_graphs(model) else 1)
    if len(devices) > 1 or not on_cpu:
        each += 2 * transfer.DEPTH * needs.transfer_bytes(options.patch)

    def at_once(batch: int) -> int:
        return max(batch * each * len(devices), options.exclusive_bytes)

    before = budget.taken
    budget.take(pool * needs.context_bytes(options.patch, width=width), "the context pool")
    wanted = at_once(options.batch or 1)
    body = needs.body_bytes(options.patch, width=width)
    cache = min(shared, max(0, (budget.left() - wanted) // body)) if on_cpu else shared
    budget.take(cache * body, "the context pool")
    stem = needs.stem_bytes(options.patch, width=width, inputs=model.encoder.inputs)
    stems = min(cache, STEMS // stem, max(0, (budget.left() - wanted) // stem)) if on_cpu else 0
    budget.take(stems * stem, "the context pool")
    most = budget.left() // each // len(devices) if on_cpu else options.batch or GPU_BATCH
    if work and on_cpu:
        _refuse_if_too_small(budget, info, at_once(1))
    if work and options.batch and options.batch > most:
        need = memory.show(budget.taken + wanted + needs.SPREAD, up=True)
        raise MemoryLimitError(
            f"a batch of {options.batch} patches does not fit a memory limit of {memory.show(budget.limit)}",
            hint=f"Give a batch of {most} or less, or --memory {need}.",
        )
    batch = options.batch or (min(CPU_BATCH, most) if on_cpu else most)
    return Shares(max(1, batch), cache, stems, budget.taken - before, each)


def _refuse_if_too_small(budget: Budget, info: PictureInfo, one_patch: int) -> None:
    if budget.left() < one_patch:
        need = memory.show(budget.taken + one_patch + needs.SPREAD, up=True)
        raise MemoryLimitError(
            f"a memory limit of {memory.show(budget.limit)} is too small for a picture {info.width} pixels wide "
            f"({budget.items()}, one patch {memory.show(one_patch)})",
            hint=f"Give at least {need} (--memory), or smaller patches (--patch).",
        )
