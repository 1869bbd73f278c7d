"""Reading ahead: the system reads the files of the next pictures while this one is computed.

read_ahead    starts to read files, and waits for none

The pages stay in the system's cache, so no memory of ours is taken, and a picture on a network disk is there when its
turn comes. Decoding stays with the process that computes: with several pictures at once it overlaps anyway.
"""

import os
from collections.abc import Iterable
from contextlib import suppress

from hdmatt.system.memory import MIB

MOST_BYTES = 512 * MIB  # of one file


def read_ahead(files: Iterable[str]) -> None:
    """Ask the system to read files; without effect where it cannot (macOS, Windows), or where a file is not there."""
    if not hasattr(os, "posix_fadvise"):
        return
    for file in files:
        with suppress(OSError):
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, MOST_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)
