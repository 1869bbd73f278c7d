"""Local processes that compute tasks; each loads the network once.

Processes    an executor: starts processes as tasks come, sees when one was killed

Each process is told its number of threads and its memory with every task. A process is a program of its own and no
fork: a crash or the system's out-of-memory killer takes one picture with it, not the batch.
"""

import json
import os
import queue
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import hdmatt
from hdmatt.batching.division import Division
from hdmatt.batching.executor import Answer, Task, outcome_of, to_json
from hdmatt.system.worker import GRACE_SECONDS, KILLED, python_executable

COMPUTE = "hdmatt.batching.compute:compute"


class _Process:
    """A process, and the thread that reads what it says."""

    def __init__(self, compute: str, said: "queue.Queue[tuple[_Process, bytes]]") -> None:
        source = str(Path(hdmatt.__file__).parents[1])
        path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        # a thread of OpenMP that waits actively takes the core from the picture beside it
        environment = {**os.environ, "PYTHONPATH": path, "OMP_WAIT_POLICY": "passive"}
        environment.pop("OMP_NUM_THREADS", None)
        command = [python_executable(), "-m", "hdmatt.batching.worker", compute]
        pipe = subprocess.PIPE
        self.popen = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment)
        self.task: Task | None = None
        self._reader = threading.Thread(target=self._read, args=(said,), daemon=True)
        self._reader.start()

    def send(self, task: Task) -> None:
        self.task = task
        assert self.popen.stdin
        with suppress(OSError):  # it died: its reader will say so
            self.popen.stdin.write(json.dumps(to_json(task)).encode() + b"\n")
            self.popen.stdin.flush()

    def stop(self) -> None:
        """Ask it to end; a picture that is being computed is given up."""
        assert self.popen.stdin
        with suppress(OSError):
            self.popen.stdin.close()
        self.popen.terminate()

    def join(self) -> None:
        try:
            self.popen.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self._reader.join()
        assert self.popen.stdin and self.popen.stdout
        with suppress(OSError):
            self.popen.stdin.close()
        self.popen.stdout.close()

    def _read(self, said: "queue.Queue[tuple[_Process, bytes]]") -> None:
        assert self.popen.stdout
        for line in self.popen.stdout:
            said.put((self, line))
        self.popen.wait()
        said.put((self, b""))


class Processes:
    """Computes in local processes, as many at once as the division allows.

    Args:
        compute: "module:function" that takes a Task and returns an Outcome.
        probe: Start one process alone first, and only one if it finds a GPU: the GPU is what pictures wait for.
    """

    def __init__(self, division: Division, compute: str = COMPUTE, *, probe: bool = False) -> None:
        self._division, self._compute, self._probe = division, compute, probe
        self._said: queue.Queue[tuple[_Process, bytes]] = queue.Queue()
        self._all: list[_Process] = []

    def room(self, task: Task) -> bool:
        busy = [process.task for process in self._all if process.task]
        if not busy:
            return True
        if task.alone or self._probe or any(other.alone for other in busy) or len(busy) >= self._division.at_once:
            return False
        return sum(other.threads for other in busy) + task.threads <= self._division.cores

    def submit(self, task: Task) -> None:
        idle = [process for process in self._all if process.task is None]
        process = idle.pop(0) if idle else self._start()
        if task.alone or task.threads >= self._division.cores:
            for other in idle:  # their memory is this picture's now
                self._end(other)
        process.send(task)

    def wait(self, seconds: float | None) -> list[Answer]:
        answers: list[Answer] = []
        try:
            process, line = self._said.get(timeout=seconds)
            while True:
                if answer := self._heard(process, line):
                    answers.append(answer)
                process, line = self._said.get(block=not answers, timeout=seconds)
        except queue.Empty:
            return answers

    def close(self) -> None:
        ending, self._all = self._all, []
        for process in ending:
            process.stop()
        for process in ending:
            process.join()

    def _start(self) -> _Process:
        process = _Process(self._compute, self._said)
        self._all.append(process)
        return process

    def _end(self, process: _Process) -> None:
        self._all.remove(process)
        process.stop()
        process.join()

    def _heard(self, process: _Process, line: bytes) -> Answer | None:
        if process not in self._all:
            return None
        if not line:  # it died
            self._all.remove(process)
            process.join()
            task, process.task = process.task, None
            return Answer(task, None, _why(process.popen.returncode)) if task else None
        if not line.endswith(b"\n"):
            return None  # it died while it spoke
        said = json.loads(line)
        if "ready" in said:
            return None
        task, process.task = process.task, None
        assert task
        outcome = outcome_of(said)
        if self._probe and outcome.device:
            self._probe = outcome.device.split(":")[0] not in ("cpu", "")
        return Answer(task, outcome)


def _why(code: int) -> str:
    if code == KILLED:
        return "its process was killed (signal 9: the system had no memory left?)"
    return f"its process was ended by signal {-code}" if code < 0 else f"its process ended with code {code}"
