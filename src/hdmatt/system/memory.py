"""Memory: amounts as text, how much this process holds and held, and how much it may use. All amounts are bytes.

Knows nothing of what the memory is for; what a plan takes is in inference/needs.py. Read top to bottom:

    parse_bytes, show         "2GiB" <-> bytes
    default_limit             what a job may use unless told otherwise
    container                 what the process's control groups allow
    resident, settled         what the process holds now; the same once it gave back what it freed
    peak, children_peak       the most that the process has held; that a program it started has held
    can_reset_peak, reset_peak, peak_with_children    the peak of a part of the process's life
    is_out_of_memory          whether an exception says that there was no memory left
    keep_freed, give_back     the allocator: keep what is freed for the next patch, or return it to the system
    keep_between_pictures     keep it for the next picture, too

Every function works on every system; what a system does not tell is left out, as its docstring says. Linux tells all.
"""

import ctypes
import mmap
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hdmatt.errors import InputError

MIB, GIB = 2**20, 2**30
_POWERS = "kmgt"
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # glibc's names of them for mallopt


def parse_bytes(text: str) -> int:
    """Bytes of "2GiB" (powers of 1024), "1.5 GB" (powers of 1000), "800M" (as MiB), "16 kB" or a plain number.

    Not pydantic's ByteSize, which reads "800M" as megabytes, and takes 0.1 s to load.

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
    """Memory that this process holds now."""
    pages = Path("/proc/self/statm")
    if pages.is_file():
        return int(pages.read_text().split()[1]) * mmap.PAGESIZE
    return _of_psutil("rss")


def settled() -> int:
    """Memory that this process holds once it gave back what it freed: the same at every start to a few MiB.

    Loading libraries and weights leaves up to 50 MiB of freed memory behind; the work uses that first.
    """
    if _between.settled is not None:
        return _between.settled
    _trim()
    found = resident()
    if _between.keep:
        _between.settled = found
    return found


def peak() -> int:
    """The most memory this process has held, since `reset_peak` where that works.

    Linux: VmHWM, since ru_maxrss starts with the peak of the process that started this one. Windows: peak_wset. A
    system that tells neither: what the process holds now.
    """
    status = Path("/proc/self/status")
    if status.is_file() and (kib := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(kib[1]) * 1024
    resource = _resource()
    if resource is None:
        return _of_psutil("peak_wset") or resident()
    return _largest(resource, resource.RUSAGE_SELF)


def children_peak() -> int:
    """The most that a program we started and that ended has held; 0 where the system does not tell (Windows)."""
    resource = _resource()
    return _largest(resource, resource.RUSAGE_CHILDREN) if resource else 0


def can_reset_peak() -> bool:
    """Whether this system can forget the peak of the past (Linux)."""
    return Path("/proc/self/clear_refs").exists()


def reset_peak() -> None:
    """Let `peak` start from what is held now, where the system can."""
    if can_reset_peak():
        Path("/proc/self/clear_refs").write_text("5")


def peak_with_children() -> int:
    """The most held by this process since `reset_peak`, or ever by a program that it started, whichever is more."""
    return max(peak(), children_peak())


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception says that there was no memory left, also in torch's words.

    Torch has an error of its own for GPUs, and a RuntimeError for the CPU.
    """
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(error)
    )


def keep_freed(*, large: bool = False) -> None:
    """From now on freed memory stays with this process, up to 1 GiB, until `give_back`. Only glibc; else no effect.

    Every patch asks for the same 13 MB maps again. glibc hands them back to the system in between and gets them anew,
    page by page and full of zeros: 0 to 11 % of all the work on a 9 megapixel picture, by machine. Peaks do not grow by
    more than 20 MiB without it.

    These are settings of the whole process, which glibc cannot take back: so only a process that is ours asks for them
    (the command line, and the processes that measure methods), never a call from somebody's program.

    Args:
        large: Also blocks of 32 MiB and more, which glibc maps anew each time: a training's batches. What is free is
            then kept up to 2 GiB.
    """
    if libc := _glibc():
        libc.mallopt(_MMAP_THRESHOLD, 32 * MIB)
        libc.mallopt(_TRIM_THRESHOLD, 2 * GIB - 1 if large else GIB)
        if large:
            libc.mallopt(_MMAP_MAX, 0)


def give_back() -> None:
    """Return what was freed to the system. No effect while it is kept between pictures, nor without glibc."""
    if not _between.keep:
        _trim()


def keep_between_pictures(*, keep: bool) -> None:
    """Whether this process keeps freed memory from one picture to the next; if not, it is given back now.

    Giving it back costs a picture of 1 megapixel 0.4 of 7.4 processor seconds: 400 MB are mapped anew, page by page.
    While it is kept `settled` says what it said the first time: the next picture uses the kept memory first.
    """
    _between.keep, _between.settled = keep, _between.settled if keep else None
    if not keep:
        _trim()


class _Between:
    keep = False
    settled: int | None = None  # what the process held when it began to keep


_between = _Between()


def _trim() -> None:
    if libc := _glibc():
        libc.malloc_trim(0)


def _glibc() -> Any:
    """None where the allocator is another one."""
    libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def _resource() -> ModuleType | None:
    """The module of getrusage; None on Windows, and in some Pythons inside of other programs."""
    try:
        import resource
    except ImportError:
        return None
    return resource


def _largest(resource: ModuleType, whose: int) -> int:
    most: int = resource.getrusage(whose).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _of_psutil(field: str) -> int:
    """0 where this system has no such field."""
    import psutil

    return int(getattr(psutil.Process().memory_info(), field, 0))


def _number(path: Path) -> int | None:
    """None where there is no such file, or it says "max"."""
    text = path.read_text().strip() if path.is_file() else ""
    return int(text) if text.isdigit() else None


def _given_back(folder: Path) -> int:
    stat = folder / "memory.stat"
    found = re.search(r"^(?:total_)?inactive_file (\d+)$", stat.read_text(), re.MULTILINE) if stat.is_file() else None
    return int(found[1]) if found else 0
