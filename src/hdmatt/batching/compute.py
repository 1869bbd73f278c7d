"""One picture of a batch: what a worker does with a task. Loads torch when the first task comes.

compute    a task -> its outcome; errors are outcomes, never raised
"""

import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from hdmatt.batching.entry import outputs_of
from hdmatt.batching.executor import Outcome, Task
from hdmatt.errors import HDMattError, MaskWarning, MemoryLimitError, NoUnknownWarning, OutputError
from hdmatt.inference.options import NetworkChoice, Options
from hdmatt.pictures.info import InputOptions
from hdmatt.system import memory
from hdmatt.system.files import make_folder

# Of one picture on a processor. At 12 megapixels hdmatt takes 1060 MiB if it may, to keep the first layers of patches
# that are context and query. With 850 it keeps none of them and takes 2 to 3 % more processor seconds.
ENOUGH = 900 * memory.MIB


def compute(task: Task) -> Outcome:
    """Compute a picture and write its outputs. The network is loaded once a process."""
    return reported(task, _matte)


def reported(task: Task, work: Callable[[Task], Outcome]) -> Outcome:
    """The outcome of `work`, also where it raises an error, with the seconds that it took unless it says them."""
    started = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        for category in (NoUnknownWarning, MaskWarning):
            warnings.simplefilter("always", category)
        try:
            outcome = work(task)
        except HDMattError as error:
            short = isinstance(error, MemoryLimitError)
            again = short or isinstance(error, OutputError)
            outcome = Outcome("failed", reason=error.message, hint=error.hint, again=again, short_of_memory=short)
        except Exception as error:  # the other pictures go on
            outcome = _unexpected(error)
    told = [str(one.message) for one in caught if issubclass(one.category, (NoUnknownWarning, MaskWarning))]
    seconds = outcome.seconds or time.monotonic() - started
    return replace(outcome, seconds=seconds, warnings=[*outcome.warnings, *told])


@contextmanager
def _trimap(task: Task, network: NetworkChoice, reading: InputOptions) -> Generator[str]:
    """The trimap's file: the task's own, or one that is made from the mask and removed afterwards."""
    if task.trimap is not None:
        yield task.trimap
        return
    from hdmatt.trimaps.make import write_trimap
    from hdmatt.trimaps.masks import MaskSource

    assert task.mask is not None
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as folder:
        made = os.path.join(folder, "trimap.png")
        widths = dict(task.work["mask"])
        source = MaskSource(Path(task.mask), fit=widths.pop("fit"))
        write_trimap(source, made, picture=task.picture, **widths, network=network, input_options=reading)
        yield made


def _unexpected(error: Exception) -> Outcome:
    if memory.is_out_of_memory(error):
        hint = "Give --memory, or fewer --workers."
        return Outcome("failed", reason="there was no memory left", hint=hint, again=True, short_of_memory=True)
    if isinstance(error, OSError):
        return Outcome("failed", reason=str(error), hint="Check the disk and the network.", again=True)
    where = traceback.extract_tb(error.__traceback__)[-1]
    at = f"{Path(where.filename).name}:{where.lineno}"
    return Outcome(
        "failed",
        reason=f"internal error: {type(error).__name__}: {error} ({at})",
        hint="This is our mistake: run hdmatt matte --debug on this picture and report what it prints.",
    )


def _matte(task: Task) -> Outcome:
    import torch

    from hdmatt.inference.files import matte_files
    from hdmatt.inference.load import load_network

    torch.set_num_threads(task.threads)
    work = task.work
    network = NetworkChoice(**work["network"])
    try:
        loaded = load_network(network)
    except HDMattError as error:
        return Outcome("refused", reason=error.message, hint=error.hint)
    started = time.monotonic()  # loading is done once, and would count for all pictures in the forecast
    for output in task.outputs.values():
        make_folder(Path(output).parent)
    outputs: dict[str, Any] = {**work["outputs"], **task.outputs}
    reading = InputOptions(**work["reading"])
    with _trimap(task, network, reading) as trimap:
        matted = partial(
            matte_files,
            task.picture,
            trimap,
            outputs_of(outputs),
            network=network,
            strategy=work["strategy"],
            input_options=reading,
        )
        summary = _in_memory(matted, task, Options(**work["options"]), device=loaded.device)
    return Outcome(
        "done",
        sizes={output: os.stat(output).st_size for output in task.outputs.values()},
        seconds=time.monotonic() - started,
        megapixels=summary.width * summary.height / 1e6,
        summary=asdict(summary),
        device=summary.device,
    )


def _in_memory(matted: Callable[..., Any], task: Task, options: Options, *, device: str) -> Any:
    """What `matted(options=...)` returns, in as little memory as is fast, or in all that the task may have."""
    if device == "cpu" and not task.alone and (task.memory is None or task.memory > ENOUGH):
        with suppress(MemoryLimitError):  # this picture needs more; it is known before anything is computed
            return matted(options=replace(options, memory=ENOUGH))
    return matted(options=replace(options, memory=task.memory))
