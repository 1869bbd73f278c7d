"""Functions that compute a picture of a batch without a network, for tests: the matte is the trimap's bytes."""

import hashlib
import os
import signal
from pathlib import Path

from hdmatt.batching.compute import reported
from hdmatt.batching.executor import Outcome, Task
from hdmatt.errors import InputError
from hdmatt.system.files import make_folder, replacing

_begun: list[str] = []


def copy(task: Task) -> Outcome:
    """Every output is the trimap's (or the mask's) bytes. A picture that begins with "bad" fails."""
    return reported(task, _copy)


def die_once(task: Task) -> Outcome:
    """As `copy`, but the process is killed at pictures called die, the first time."""
    if "die" in task.name and task.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return copy(task)


def die(task: Task) -> Outcome:
    """As `copy`, but the process is killed at pictures called die."""
    if "die" in task.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return copy(task)


def busy(task: Task) -> Outcome:
    """As `copy`, but computes for some hundredths of a second."""
    hashlib.pbkdf2_hmac("sha256", b"hdmatt", b"busy", 50_000)
    return copy(task)


def held(task: Task) -> Outcome:
    """As `busy`, but never finishes this process's 11th picture: it writes the name to the pipe held beside in/."""
    _begun.append(task.name)
    if len(_begun) > 10:
        (Path(task.picture).parents[1] / "held").write_text(task.name)
        while True:
            signal.pause()
    return busy(task)


def _copy(task: Task) -> Outcome:
    if Path(task.picture).read_bytes().startswith(b"bad"):
        raise InputError("it is bad", hint="Make it good.")
    data = Path(task.trimap or task.mask or "").read_bytes()
    for output in task.outputs.values():
        make_folder(Path(output).parent)
        with replacing(Path(output)) as hidden:
            hidden.write_bytes(data)
    sizes = {output: os.stat(output).st_size for output in task.outputs.values()}
    return Outcome("done", sizes=sizes, megapixels=0.1, device="cpu")
