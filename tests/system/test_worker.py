import multiprocessing.spawn
import os
import signal
import sys

import pytest

from hdmatt.errors import InputError
from hdmatt.system.worker import WorkerProcess, WorkerStopped, answer, python_executable


def work(connection) -> None:
    answer(connection, lambda question: os.kill(os.getpid(), question) if isinstance(question, int) else question * 2)


def test_a_worker_answers_and_starts_anew_after_its_process_was_killed():
    with WorkerProcess(work) as worker:
        assert worker.ask("ab") == "abab"
        with pytest.raises(WorkerStopped, match=r"ended with code -9 \(killed: the system had no memory left\?\)"):
            worker.ask(int(signal.SIGKILL))
        assert worker.ask("c") == "cc"
        worker.close()
        worker.close()


@pytest.mark.parametrize("name", ["Nuke15.1", "houdini-bin", "blender", ""])
def test_a_program_that_is_no_python_is_never_started(monkeypatch, tmp_path, name):
    started = tmp_path / "started"
    program = tmp_path / name if name else None
    if program:
        program.write_text(f"#!/bin/sh\ntouch {started}\n")
        program.chmod(0o755)
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", os.fsencode(program) if program else None)
    with WorkerProcess(work) as worker, pytest.raises(InputError, match="which is no Python") as caught:
        worker.ask("ab")
    assert "multiprocessing.set_executable" in caught.value.hint
    assert not started.exists()


@pytest.mark.parametrize("name", ["python", "python3.13t", "Python", "pythonw.exe", "pypy3", "hython"])
def test_pythons_of_all_names_are_started(monkeypatch, name):
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", os.fsencode(f"/opt/bin/{name}"))
    assert python_executable() == f"/opt/bin/{name}"


def test_this_python_is_one():
    assert python_executable() == sys.executable
