"""How much memory a job takes, and how much it may take. All lengths are bytes.

    parse, show          "2GiB" <-> bytes
    default_limit        what a job may use unless told otherwise
    resident, peak       what the process holds now, and the most it ever held
    children_peak        the most that a program it started held
    fixed_bytes, patch_bytes    the engine's needs: per job, and per patch computed at once
    colour_bytes   the colour estimation's
"""

import re
import resource
import sys
from pathlib import Path

import psutil

from hdmatt.errors import InputError

MIB, GIB = 2**20, 2**30
LIBRARIES = 120 * MIB  # kernels and buffers that torch and OpenImageIO make while they work (measured)
_UNITS = {"": 1, "k": 2**10, "m": MIB, "g": GIB, "t": 2**40}


def parse(text: str) -> int:
    """Bytes of "2GiB", "800M", "1.5 GB" or a plain number. K, M, G, T are powers of 1024.

    Raises:
        InputError: Not a positive amount of memory.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    if not match or float(match[1]) <= 0:
        raise InputError(f"{text!r} is not an amount of memory", hint="Write it like 2GiB or 800MiB.")
    return int(float(match[1]) * _UNITS[match[2]])


def show(amount: int, *, up: bool = False) -> str:
    """Bytes in MiB; `up` rounds up, so that the number given back as a limit is enough."""
    mib = -(-amount // MIB) if up else round(amount / MIB)
    return f"{mib}MiB"


def default_limit() -> int:
    """Half of what the machine has free, never below 1 GiB."""
    return max(GIB, psutil.virtual_memory().available // 2 + resident())


def resident() -> int:
    """Memory of this process now."""
    return psutil.Process().memory_info().rss


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


def fixed_bytes(picture_width: int, *, patch: int, band: int, pool: int, width: int, pixel: int) -> int:
    """What a job holds besides the patches in work: process, bands of rows, stitcher, context pool.

    Args:
        picture_width: Pixels in a row.
        pool: Context candidates.
        width: The network's width.
        pixel: Bytes of one pixel of the picture.
    """
    bands = 2 * (patch + band) * picture_width * (pixel + 1)  # twice: joining two bands copies
    stitcher = 3 * (patch + 256) * picture_width * 8
    cells = (patch // 8) ** 2
    context = 4 * cells * (2 * width + 4 * width) + 8 * cells
    body = 4 * cells * (4 * width + 2 * width + 4 * width + 2 * width)  # quarter, index3, eighth, deep
    return resident() + LIBRARIES + bands + stitcher + pool * (context + body)


def colour_bytes(picture_width: int) -> int:
    """What the colour estimation holds beside the engine: numba's code, and a row of tiles (measured)."""
    return 360 * MIB + 12_000 * picture_width


def patch_bytes(patch: int, *, width: int) -> int:
    """Working memory of one patch in the network: measured, about 10 float32 maps of `width` channels."""
    return 10 * 4 * width * patch * patch


