"""Files that are complete or as they were before: what the training's files are written by.

pictures/reader.py and evaluation/ledger.py have ways of their own, for they turn an operating system's error into an
OutputError.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A path beside `path` to write to; takes its place when the block ends well, and is removed when it does not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
