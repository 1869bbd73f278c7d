"""Damaged files of every format, through all that reads files, in processes that may crash or hang.

    python tests/fuzz/fuzz.py --files 100000 --mattes 5000      a long run, with a table
    python tests/fuzz/fuzz.py --format exr --first 17 --files 1 one file again
    python tests/fuzz/fuzz.py --format exr --first 17 --save    the file itself, as exr-17.exr

Every file is opened as a picture and as a trimap, and all its rows are read; some go through a tiny matte. A file may
be read, or refused by an InputError. It may not end the process, take longer than a limit, hold more than a limit,
raise anything else, or leave a file behind. Exit code 1 if one does.
"""

import argparse
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil

HERE = Path(__file__).parent
PATHS = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "src")]
sys.path[:0] = PATHS

from file_seeds import COMMON, OTHERS  # noqa: E402
from mutations import mutated  # noqa: E402

SECONDS = 30.0  # of computing for one file
WAIT = 600.0  # for one file, whether it computes or not, on a machine that is busy with other things
_LOOK = 5.0


@dataclass
class Report:
    """What became of the files of one format.

    Attributes:
        outcomes: How many were opened, refused or failed.
        troubles: "FORMAT NUMBER: what happened" of those that did what no file may do.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def files(self) -> int:
        return sum(self.outcomes.values())


def fuzz(kind: str, file_format: str, numbers: range, *, program: Path = HERE / "examine.py") -> Report:
    """The files of these numbers, through "read" or "matte"; another process goes on behind a file that ends one."""
    report, started, at = Report(), time.monotonic(), numbers.start
    while at < numbers.stop:
        at = _one_process(kind, file_format, range(at, numbers.stop), report, program) + 1
    report.seconds = time.monotonic() - started
    return report


def _one_process(kind: str, file_format: str, numbers: range, report: Report, program: Path) -> int:
    """The last file that the process has begun."""
    arguments = [kind, file_format, str(numbers.start), str(numbers.stop)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", str(program), *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(PATHS), "TMPDIR": folder},
        )
        number, done, hung = numbers.start - 1, True, False
        with closing(_lines(process)) as lines:
            for line in lines:
                if line is None:
                    hung = True
                    break
                mark, _, text = line.strip().partition(" ")
                if mark == ">":
                    number, done = int(text), False
                elif mark == "=":
                    report.outcomes[text] += 1
                    done = True
                else:
                    report.troubles.append(f"{kind} {file_format} {number}: {text}")
        code = process.wait()
        if hung or code or not done:
            errors.seek(0)
            said = [line.strip() for line in errors if line.strip()]
            reason = f"took more than {SECONDS:g} s" if hung else f"ended its process with code {code}"
            report.outcomes["hung" if hung else "crashed"] += 1
            report.troubles.append(f"{kind} {file_format} {number}: {reason} ({' | '.join(said[-12:])[-600:]})")
            number = max(number, numbers.start)  # a process that never began would be started for ever
    return number


def _lines(process: "subprocess.Popen[str]") -> Generator[str | None]:
    """The process's lines; None when it computed or waited for too long without one."""
    lines: queue.Queue[str | None] = queue.Queue()

    def listen() -> None:
        assert process.stdout
        with process.stdout as stream:
            for line in stream:
                lines.put(line)
        lines.put(None)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    since, used = time.monotonic(), 0.0
    try:
        while True:
            try:
                line = lines.get(timeout=_LOOK)
            except queue.Empty:
                if time.monotonic() - since > WAIT or _computed(process.pid) - used > SECONDS:
                    yield None
                    return
                continue
            if line is None:
                process.wait(WAIT)
                return
            yield line
            since = time.monotonic()
            if line.startswith(">"):
                used = _computed(process.pid)
    finally:
        process.kill()
        thread.join()


def _computed(pid: int) -> float:
    """Seconds that a process has computed."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def main(words: Sequence[str]) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, default=2000, help="in all, shared by the formats")
    options.add_argument("--mattes", type=int, default=0, help="in all, shared by the formats")
    options.add_argument("--format", action="append", choices=[*COMMON, *OTHERS], help="only these")
    options.add_argument("--first", type=int, default=0, help="number of the first file of each format")
    options.add_argument("--save", action="store_true", help="write the first file here and stop")
    given = options.parse_args(words)
    formats = given.format or [*COMMON, *OTHERS]
    if given.save:
        for file_format in formats:
            Path(f"{file_format}-{given.first}.{file_format}").write_bytes(mutated(file_format, given.first))
        return 0
    troubles: list[str] = []
    for kind, number in (("read", given.files), ("matte", given.mattes)):
        for place, file_format in enumerate(formats):
            share = number // len(formats) + (place < number % len(formats))
            if not share:
                continue
            report = fuzz(kind, file_format, range(given.first, given.first + share))
            counts = ", ".join(f"{count} {what}" for what, count in sorted(report.outcomes.items()))
            print(f"{kind} {file_format}: {report.files} files, {counts}, {report.seconds:.0f} s", flush=True)
            for trouble in report.troubles:
                print(f"  {trouble}", flush=True)
            troubles += report.troubles
    print(f"{len(troubles)} troubles")
    return bool(troubles)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
