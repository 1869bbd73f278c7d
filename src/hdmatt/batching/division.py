"""How the machine is shared out: threads a picture, pictures at once, memory for each. Opens no file.

Division       cores, memory and pictures at once
cores          processor cores that this process may use
divide         cores and memory -> a Division

The threads of a picture follow from its size and the cores alone, never from what else is to do: another number of
threads can change a few pixels (docs/runtimes.md), so the same picture always gets the same.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from hdmatt.system.memory import GIB, default_limit

# Measured on two cores: one thread takes 7 to 9 CPU seconds for a picture of 1 megapixel, two threads take 17; at 12
# megapixels 69 and 107. So pictures of common cameras are computed beside each other, with one thread each.
MEGAPIXELS_PER_THREAD = 24.0
PROCESS_BYTES = 1 * GIB  # a process with the network and one picture; 0.75 to 1.06 GiB were measured


@dataclass(frozen=True)
class Division:
    """Cores and memory of a batch.

    Attributes:
        cores: Threads that compute at a time, all pictures together.
        at_once: Pictures computed at a time, at most.
        memory: Bytes for all processes that compute.
        threads: Threads of every picture. None: by its size.
        machines: Machines of a cluster that are all shared out like this. None: it is this machine.
    """

    cores: int
    at_once: int
    memory: int
    threads: int | None = None
    machines: int | None = None

    def threads_of(self, megapixels: float) -> int:
        """Threads for a picture of this size."""
        if self.threads is not None:
            return self.threads
        return max(1, min(self.cores, math.ceil(megapixels / MEGAPIXELS_PER_THREAD)))

    def memory_of(self, threads: int) -> int:
        """Bytes for a picture with so many threads: its part of the memory, at least one picture's."""
        return self.memory // max(1, min(self.at_once, self.cores // threads))

    def beside(self, megapixels: float) -> int:
        """Pictures of this size that are computed at a time."""
        return max(1, min(self.at_once, self.cores // self.threads_of(megapixels))) * (self.machines or 1)


def divide(*, memory: int | None, pictures: int, workers: int | None = None, threads: int | None = None) -> Division:
    """Cores and memory of a batch of so many pictures on this machine.

    Args:
        memory: Bytes for all processes. None: half of what is free.
        workers: Pictures at once. None: as many as there are cores, fewer where memory is short.
        threads: Threads a picture. None: by its size.
    """
    available = cores()
    given = default_limit() if memory is None else memory
    if workers is None:
        most = available // (threads or 1)
        workers = max(1, min(most, given // PROCESS_BYTES, pictures))
    return Division(max(available, threads or 1), workers, given, threads)


def cores(root: Path = Path("/")) -> int:
    """Processor cores that this process may use: its affinity, the container's quota, without hyper-threads."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or allowed
    logical = os.cpu_count() or allowed
    share = math.ceil(allowed * physical / logical)
    return max(1, min(share, _quota(root) or share))


def _quota(root: Path) -> int | None:
    """Whole cores of the container's quota (control groups, version 2); None where there is none."""
    file = root / "sys/fs/cgroup/cpu.max"
    quota, _, period = (file.read_text() if file.is_file() else "max").partition(" ")
    return math.ceil(int(quota) / int(period)) if quota.strip().isdigit() and period.strip().isdigit() else None
