"""Remote files of a task, copied to the local disk and back: libraries for pictures read files.

computed_locally    a task with URLs -> computed on copies, the outputs uploaded
names_of            all files of a task
moved, named_back   a task with other file names, and its outcome with the former ones
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hdmatt.batching.compute import reported
from hdmatt.batching.executor import Compute, Outcome, Task
from hdmatt.batching.urls import fetch, file_bytes, is_url, put
from hdmatt.errors import OutputError
from hdmatt.system.memory import MIB

ROOM = 2  # times the inputs' bytes must be free: the outputs need room, too


def computed_locally(task: Task, compute: Compute) -> Outcome:
    """What `compute` gives for a task. Where files are URLs, it gets copies; what it writes is uploaded if it is done.

    What fails on the way is an outcome that the next run tries again.
    """
    if not any(is_url(name) for name in names_of(task)):
        return compute(task)
    return reported(task, lambda task: _spooled(task, compute))


def moved(task: Task, names: Mapping[str, str]) -> Task:
    """The task with other names of its files; those that are not in `names` stay."""
    return replace(
        task,
        picture=names.get(task.picture, task.picture),
        trimap=None if task.trimap is None else names.get(task.trimap, task.trimap),
        mask=None if task.mask is None else names.get(task.mask, task.mask),
        outputs={kind: names.get(name, name) for kind, name in task.outputs.items()},
    )


def named_back(outcome: Outcome, names: Mapping[str, str]) -> Outcome:
    """The outcome of a moved task with the names that its files had before."""
    before = {new: old for old, new in names.items()}
    return replace(
        outcome,
        sizes={before.get(name, name): size for name, size in outcome.sizes.items()},
        reason=_renamed(outcome.reason, before),
        hint=_renamed(outcome.hint, before),
        warnings=_renamed(outcome.warnings, before),
        summary=_renamed(outcome.summary, before),
    )


def _spooled(task: Task, compute: Compute) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as folder:
        inputs = [name for name in (task.picture, task.trimap, task.mask) if name is not None and is_url(name)]
        _check_room(folder, inputs)
        names = {name: _place(folder, number, name) for number, name in enumerate(names_of(task)) if is_url(name)}
        for name in inputs:
            fetch(name, Path(names[name]))
        outcome = compute(moved(task, names))
        if outcome.state == "done":
            for name in task.outputs.values():
                if name in names:
                    put(Path(names[name]), name)
        return named_back(outcome, names)


def names_of(task: Task) -> list[str]:
    """All files of a task."""
    return [name for name in (task.picture, task.trimap, task.mask, *task.outputs.values()) if name is not None]


def _place(folder: str, number: int, name: str) -> str:
    """A folder for each file, so that its name can stay."""
    inside = os.path.join(folder, str(number))
    os.mkdir(inside)
    return os.path.join(inside, name.rpartition("/")[2])


def _check_room(folder: str, inputs: list[str]) -> None:
    need, free = ROOM * sum(file_bytes(name) for name in inputs), shutil.disk_usage(folder).free
    if need > free:
        raise OutputError(
            f"{inputs[0]} and its outputs need about {need // MIB} MiB in {os.path.dirname(folder)}, "
            f"{free // MIB} MiB are free",
            hint="Make room, or name another folder for temporary files by TMPDIR.",
        )


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, dict):
        return {key: _renamed(one, names) for key, one in value.items()}
    return [_renamed(one, names) for one in value] if isinstance(value, list | tuple) else value
