"""Strategies: ways to get a large picture through a network of limited size, behind one interface.

    matte_rows     picture and trimap -> a job with the rows of the matte, by a named strategy
    STRATEGIES     name -> function: hdmatt, crop, tiles, downsample, whole

`hdmatt` is the paper's way, with context patches; large pictures also take the low frequencies of a smaller picture's
matte (overview/small_matte.py). `crop` is the same without anything from outside of the patch. `tiles` cuts the picture
into patches side by side, without overlap, and so shows what seams look like. `whole` puts the whole picture through
the network at once; `downsample` does that at reduced size and enlarges the matte. The last four are the paper's
Fig. 1 and Table 1. How other networks use these strategies is in evaluation/peers.py.
"""

from collections.abc import Callable
from dataclasses import replace

from hdmatt.errors import InputError, MemoryLimitError
from hdmatt.inference import needs
from hdmatt.inference.budget import Budget, limit_of
from hdmatt.inference.candidates import check_some_known
from hdmatt.inference.job import Job, MatteTask, patches_alone
from hdmatt.inference.mixing import as_mixed
from hdmatt.inference.names import checked_strategy
from hdmatt.inference.options import Counters, Options, Progress, RowSource, RunOptions
from hdmatt.inference.small_first import with_small_picture
from hdmatt.inference.without_context import network_of, patch_rows, shrunk_rows, small_trimap, windows_with_unknown
from hdmatt.network.model import HDMatt
from hdmatt.patches.windows import tiles
from hdmatt.pictures.trimap_checks import check_trimap_size
from hdmatt.runtimes.devices import names
from hdmatt.runtimes.prepare import copies_made
from hdmatt.system import memory
from hdmatt.system.values import kind_of

ON_SEVERAL = ("hdmatt", "crop")  # strategies that can use several devices
LONG_SIDE = 1024  # pixels of a picture for `downsample`, as in the paper


def matte_rows(
    strategy: str,
    picture: RowSource,
    trimap: RowSource,
    model: HDMatt,
    options: Options,
    *,
    progress: Progress | None = None,
    counters: Counters | None = None,
) -> Job:
    """Plan a matte by a named strategy; the work happens while its rows are taken.

    Raises:
        InputError: There is no such strategy, it has no use for the whole picture as a context, the sizes differ, or
            the trimap has no known pixel.
        MemoryLimitError: The limit is too small for the strategy.
    """
    checked_strategy(strategy)
    if progress is not None and not callable(progress):
        raise InputError(
            f"progress is {kind_of(progress)}", hint="Give a function of two numbers: patches done, patches in all."
        )
    options = RunOptions.of(options)
    if options.whole_picture and strategy != "hdmatt":
        raise InputError(
            f"the whole picture is a context of patches, and the strategy {strategy!r} has none",
            hint="Leave --whole-picture out, or --strategy.",
        )
    if strategy not in ON_SEVERAL and len(names(options.device)) > 1:
        raise InputError(
            f"the strategy {strategy!r} runs on one device, not on {options.device!r}",
            hint=f"Give one --device, or choose of: {', '.join(ON_SEVERAL)}.",
        )
    check_trimap_size(trimap.info, picture.info)
    picture = as_mixed(picture, options.mixing)
    return STRATEGIES[strategy](MatteTask(picture, trimap, model, options, progress, counters))


def _crop(task: MatteTask) -> Job:
    return patches_alone(task.with_options(topk=0))


def _tiles(task: MatteTask) -> Job:
    task = task.with_options(topk=0, overlap=0)
    plan, options, info = task.plan(), task.options, task.trimap.info
    queries = windows_with_unknown(task.trimap, tiles(info.height, info.width, size=options.patch), band=options.band)
    rows = patch_rows(
        task.picture,
        task.trimap,
        queries,
        network_of(task.model, device=options.device),
        overlap=0,
        batch=plan.batch,
        progress=task.progress,
        counters=task.counters,
    )
    return Job(replace(plan, queries=queries, known_colours=False), plan.unknown, rows)


def _whole(task: MatteTask, *, long_side: int | None = None) -> Job:
    """The whole picture at once, shrunk to `long_side` if it is larger."""
    picture, trimap, model, options = task.picture, task.trimap, task.model, task.options
    height, width = picture.info.height, picture.info.width
    scale = 1.0 if long_side is None else min(1.0, long_side / max(height, width))
    small = max(1, round(height * scale)), max(1, round(width * scale))
    marks, unknown = small_trimap(trimap, small, options.band)
    check_some_known(unknown, trimap.info)
    if unknown and options.device == "cpu":
        _check_memory(model, options, small, width)
    network = network_of(model, device=options.device)
    rows = shrunk_rows(
        picture, trimap, marks, network, band=options.band, progress=task.progress, counters=task.counters
    )
    return Job(None, unknown, rows)


def _check_memory(model: HDMatt, options: RunOptions, small: tuple[int, int], width: int) -> None:
    """Raise MemoryLimitError unless `small` pixels fit through the network at once."""
    pixels = needs.patch_bytes(1, width=model.config.width) * small[0] * small[1]
    at_once = max(pixels, options.exclusive_bytes)
    budget = Budget(limit_of(options))
    budget.take(memory.settled(), "the process")
    budget.take(needs.LIBRARIES, "libraries")
    copies = copies_made(model, [options.device])
    budget.take(copies * needs.weight_bytes(model.parameters()), "copies of the network")
    budget.take(options.reserved_bytes, "colours and files")
    budget.take(40 * options.band * width, "rows")  # a band, as read, as floats and enlarged
    if budget.left() < at_once:
        need = memory.show(budget.taken + at_once + needs.SPREAD, up=True)
        raise MemoryLimitError(
            f"a memory limit of {memory.show(budget.limit)} is too small to put {small[1]}x{small[0]} pixels through "
            f"the network at once ({budget.items()}, the pixels {memory.show(at_once)})",
            hint=f"Give at least {need} (--memory), or use --strategy hdmatt.",
        )


def _downsample(task: MatteTask) -> Job:
    return _whole(task, long_side=LONG_SIDE)


STRATEGIES: dict[str, Callable[[MatteTask], Job]] = {
    "hdmatt": with_small_picture,
    "crop": _crop,
    "tiles": _tiles,
    "downsample": _downsample,
    "whole": _whole,
}
