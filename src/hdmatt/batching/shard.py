"""Shards: a batch shared out over several machines without any of them knowing the others.

Shard        one of N parts
parse_shard  "2/8", or "auto" from the variables of SLURM and Kubernetes
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hdmatt.errors import InputError


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`."""

    index: int
    count: int

    def has(self, name: str) -> bool:
        """Whether a picture belongs to this part: by the hash of its name, so the same on every machine."""
        number = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big")
        return number % self.count == self.index - 1


def parse_shard(text: str, variables: Mapping[str, str] = os.environ) -> Shard:
    """The shard of "I/N", or of "auto": a SLURM array task or a Kubernetes indexed job.

    SLURM: SLURM_ARRAY_TASK_ID, _MIN, _MAX and _COUNT; the array's numbers must have no gaps. Kubernetes:
    JOB_COMPLETION_INDEX, and JOB_COMPLETIONS, which the job has to set to its number of completions.

    Raises:
        InputError: Neither, or a part that does not exist.
    """
    if text == "auto":
        return _of_scheduler(variables)
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--shard is {text!r}", hint="Give part I of N as I/N, from 1/N to N/N, or auto.")
    return Shard(int(found[1]), int(found[2]))


def _of_scheduler(variables: Mapping[str, str]) -> Shard:
    def number(name: str) -> int:
        value = variables.get(name, "")
        if not value.isdigit():
            raise InputError(
                f"--shard auto needs {name} as a number, it is {value!r}" if value else f"--shard auto needs {name}",
                hint=f'Set it in the job: env: [{{name: {name}, value: "8"}}], for example.'
                if name == "JOB_COMPLETIONS"
                else "Start an array of SLURM or an indexed job of Kubernetes, or give --shard I/N.",
            )
        return int(value)

    if not {"SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"} & set(variables):
        raise InputError(
            "--shard auto finds no array of SLURM (SLURM_ARRAY_TASK_ID) and no indexed job of Kubernetes "
            "(JOB_COMPLETION_INDEX)",
            hint="Start one, or give --shard I/N.",
        )
    if "SLURM_ARRAY_TASK_ID" in variables:
        first, last, count = (number(f"SLURM_ARRAY_TASK_{name}") for name in ("MIN", "MAX", "COUNT"))
        if last - first + 1 != count:
            raise InputError(
                f"the array has {count} tasks from {first} to {last}: parts would be left out",
                hint="Give an array without gaps, as --array=1-8.",
            )
        index = number("SLURM_ARRAY_TASK_ID") - first + 1
    else:
        index, count = number("JOB_COMPLETION_INDEX") + 1, number("JOB_COMPLETIONS")
    if not 1 <= index <= count:
        raise InputError(f"--shard auto is part {index} of {count}", hint="Check JOB_COMPLETIONS of the job.")
    return Shard(index, count)
