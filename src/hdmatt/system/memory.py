"""How much memory a job takes, and how much it may take. All lengths are bytes.

parse, show          "2GiB" <-> bytes
default_limit        what a job may use unless told otherwise
resident, settled, peak    what the process holds now, without what it freed, and the most it ever held
children_peak        the most that a program it started held
container            what the process's control groups allow
keeping_freed        a block in which the allocator keeps what is freed, for the next patch
fixed_bytes, rows_bytes, chunk_bytes, context_bytes, body_bytes, stem_bytes, field_bytes, patch_bytes
                     the engine's needs: per job, per candidate, per patch kept, and per patch computed at once
carry_bytes          the low-resolution alpha's, before the first patch
colour_bytes, tile_bytes   the colour estimation's, and that of the tile in work; never while a patch is computed
weight_bytes, way_bytes    with several devices or a GPU: per copy of the network, per patch on its way
"""

import ctypes
import re
import resource
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hdmatt.errors import InputError

MIB, GIB = 2**20, 2**30
_POWERS = "kmgt"
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # glibc's names of them for mallopt


def parse(text: str) -> int:
    """Bytes of "2GiB" (powers of 1024), "1.5 GB" (powers of 1000), "800M" (as MiB), "16 kB" or a plain number.

    Raises:
        InputError: Not an amount of memory, or less than a byte.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?b)?|b)?\s*", text.lower())
    amount = 0
    if match:
        base = 1000 if match[3] == "b" else 1024
        power = _POWERS.index(match[2]) + 1 if match[2] else 0
        amount = round(float(match[1]) * base**power)
    if not amount:
        raise InputError(f"{text!r} is not an amount of memory", hint="Write it like 2GiB or 800MiB.")
    return amount


def show(amount: int, *, up: bool = False) -> str:
    """Bytes in MiB; `up` rounds up, so that the number given back as a limit is enough."""
    mib = -(-amount // MIB) if up else round(amount / MIB)
    return f"{mib}MiB"


def default_limit() -> int:
    """Half of what the machine or the container has free, never below 1 GiB where there is that much."""
    import psutil  # only here: a machine that only trains may lack it

    most, free = container()
    available = psutil.virtual_memory().available
    if free is not None:
        available = min(available, free)
    limit = max(GIB, available // 2 + resident())
    return limit if most is None else min(limit, most)


def container(root: Path = Path("/")) -> tuple[int | None, int | None]:
    """Bytes that the process's control groups allow, and how many of them are left; None where nothing limits.

    The tightest of the process's own group and all above it, version 2 and version 1. Pages of files that were read
    count as used there, but are given back when memory is needed, so we count them as free.
    """
    groups = root / "proc/self/cgroup"
    most: int | None = None
    free: int | None = None
    for line in groups.read_text().splitlines() if groups.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        own = base / path.strip("/")
        for folder in [own, *own.parents][: len(own.relative_to(base).parts) + 1]:
            limit, used = (_number(folder / name) for name in names)
            # version 1 says "no limit" with a number near 2**63
            if limit is None or used is None or limit >= 2**60:
                continue
            left = max(0, limit - used + _given_back(folder))
            most = limit if most is None else min(most, limit)
            free = left if free is None else min(free, left)
    return most, free


def resident() -> int:
    """Memory of this process now."""
    pages = Path("/proc/self/statm")
    if pages.is_file():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    import psutil

    return psutil.Process().memory_info().rss


def settled() -> int:
    """Memory of this process now, once what it freed is given back: nearly the same at every start of a program.

    Loading libraries and weights leaves up to 50 MiB of freed memory behind, sometimes more, sometimes less; the work
    uses that first.
    """
    libc = _glibc()
    if libc:
        libc.malloc_trim(0)
    return resident()


def peak() -> int:
    """The most memory this process has held.

    Linux: VmHWM, since ru_maxrss starts with the peak of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        kib = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if kib:
            return int(kib[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def children_peak() -> int:
    """The most that a program we started and that ended has held."""
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@contextmanager
def keeping_freed(*, large: bool = False) -> Generator[None]:
    """A block in which freed memory stays with the process; after it, all that is free goes back to the system.

    Every patch asks for the same 13 MB maps again. glibc hands them back to the system in between and gets them anew,
    page by page and full of zeros: a ninth of all the work on a 9 megapixel picture. Elsewhere than with glibc nothing
    is done. These are settings of the whole process; what it is left with is the most that glibc chooses by itself.

    Args:
        large: Also blocks of 32 MiB and more, which glibc maps anew each time: a training's batches. What is free is
            then kept up to 2 GiB, not 1.
    """
    libc = _glibc()
    if not libc:
        yield
        return
    libc.mallopt(_MMAP_THRESHOLD, 32 * MIB)
    libc.mallopt(_TRIM_THRESHOLD, 2 * GIB - 1 if large else GIB)
    if large:
        libc.mallopt(_MMAP_MAX, 0)
    try:
        yield
    finally:
        if large:
            libc.mallopt(_MMAP_MAX, 65536)
        libc.mallopt(_TRIM_THRESHOLD, 64 * MIB)
        libc.malloc_trim(0)


def _glibc() -> Any:
    """None where the allocator is another one."""
    libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def _number(path: Path) -> int | None:
    """None where there is no such file, or it says "max"."""
    text = path.read_text().strip() if path.is_file() else ""
    return int(text) if text.isdigit() else None


def _given_back(folder: Path) -> int:
    stat = folder / "memory.stat"
    found = re.search(r"^(?:total_)?inactive_file (\d+)$", stat.read_text(), re.MULTILINE) if stat.is_file() else None
    return int(found[1]) if found else 0
