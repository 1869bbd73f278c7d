"""Plants the faults of faults.py, one at a time, in a copy of this tree, and runs the tests that must catch them.

    python tests/faults/plant.py            all of them, some minutes
    python tests/faults/plant.py eq. clip   those with one of these words in their name

Exit code 0: every fault was caught, and the tests pass without any. 1: they do not. 2: the list is not true any more.
"""

import os
import queue
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "out", "data", "results")
COPIES = 2
ALL = ("-m", "not gpu")  # also the tests that only a release needs


def main(words: list[str]) -> int:
    chosen = [fault for fault in FAULTS if not words or any(word in fault.what for word in words)]
    stale = [f"{fault.what}: {text}" for fault in FAULTS for text in mistakes(fault)]
    if stale or not chosen:
        print("\n".join(stale) or f"no fault has one of these words: {' '.join(words)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        trees = [Path(folder) / str(number) for number in range(COPIES)]
        for tree in trees:
            shutil.copytree(ROOT, tree, ignore=LEFT_OUT, symlinks=True)
        tests = sorted({name for fault in chosen for name in fault.tests.split()})
        code, said = run(trees[0], tests, *ALL, "-n", "2", "--dist", "loadfile")
        if code:
            print(f"the tests fail without a fault:\n{said}", file=sys.stderr)
            return 1
        free: queue.Queue[Path] = queue.Queue()
        for tree in trees:
            free.put(tree)

        def planted(fault: Fault) -> tuple[bool, str]:
            tree = free.get()
            try:
                return plant(tree, fault)
            finally:
                free.put(tree)

        missed = 0
        with ThreadPoolExecutor(COPIES) as threads:
            for fault, (caught, by) in zip(chosen, threads.map(planted, chosen), strict=True):
                missed += not caught
                print(f"{'caught' if caught else 'MISSED':7} {fault.file}: {fault.what} ({by})", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} faults caught")
    return int(missed > 0)


def mistakes(fault: Fault) -> list[str]:
    """Why a fault cannot be planted."""
    path = ROOT / "src/hdmatt" / fault.file
    if not path.is_file():
        return [f"there is no src/hdmatt/{fault.file}"]
    found = path.read_text(encoding="utf-8").count(fault.right)
    missing = [f"there is no tests/{name}" for name in fault.tests.split() if not (ROOT / "tests" / name).exists()]
    return missing + [f"{fault.right!r} stands {found} times in src/hdmatt/{fault.file}, not once"] * (found != 1)


def plant(tree: Path, fault: Fault) -> tuple[bool, str]:
    """Whether a test failed, and which one."""
    path = tree / "src/hdmatt" / fault.file
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace(fault.right, fault.wrong), encoding="utf-8")
    try:
        code, said = run(tree, fault.tests.split(), "-x", *ALL * fault.release)
    finally:
        path.write_text(right, encoding="utf-8")
    failed = [line.split(" ")[1] for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return code == 1 and bool(failed), failed[0] if failed else f"pytest ended with {code}"


def run(tree: Path, tests: list[str], *options: str) -> tuple[int, str]:
    """Exit code of the tests, and what pytest said. 1: a test failed; more: they could not run."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb", "short", *options]
    done = subprocess.run(
        [*command, *(f"tests/{name}" for name in tests)], cwd=tree, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
