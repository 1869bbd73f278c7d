"""Faults in writing, many: `python tests/fuzz/write_faults.py --faults 1000 --kills 200` prints what was tried.

Needs PYTHONPATH=src:tests:tests/pictures.

Every fault is a write that fails at a random byte, in every format; every kill ends a process that writes the same
picture again and again, at a random moment. Ends with an error at the first that is not as it should be. A few of both
are tests (tests/pictures/test_write_faults.py); the log of a long run is in docs/reliability.md.
"""

import argparse
import collections
import os
import random
import tempfile
from pathlib import Path

import pytest
from test_write_faults import ERRORS, FORMATS, FullAfter, failing_write, in_full, kill_at_random

from hdmatt.system import hidden


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance, found = random.Random(given.seed), collections.Counter[str]()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        folder = Path(name)
        sizes = {suffix: in_full(folder, suffix, *rest) for suffix, *rest in FORMATS}
        for file in folder.iterdir():
            file.unlink()
        for number in range(given.faults):
            suffix, *rest = FORMATS[number % len(FORMATS)]
            disk = FullAfter(chance.randrange(sizes[suffix]), chance.choice(ERRORS))
            patched.setattr(hidden, "_write", disk.write)
            assert os.strerror(disk.number) in failing_write(folder, suffix, *rest, disk)
            (folder / f"a{suffix}").unlink()
            found[f"{suffix} {os.strerror(disk.number)}: told, old file kept, nothing left"] += 1
        patched.undo()
        for number in range(given.kills):
            suffix, *rest = FORMATS[number % len(FORMATS)]
            outcome = kill_at_random(folder, suffix, *rest, chance.uniform(0, 0.5))
            (folder / f"a{suffix}").unlink(missing_ok=True)
            found[f"{suffix} killed: {outcome}"] += 1
    for what, count in sorted(found.items()):
        print(f"{count:5} {what}", flush=True)


if __name__ == "__main__":
    main()
