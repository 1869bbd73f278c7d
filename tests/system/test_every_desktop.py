"""Windows and Pythons inside of other programs lack modules and functions that Linux has: simulated by hiding them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_network import scene
from small_pictures import save

import hdmatt
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt

HIDE = """
import os, signal, sys
import psutil  # first: what it does on Linux needs `resource`, on Windows it has another part

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in ("resource", "fcntl", "pwd", "grp", "termios"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Hidden())
for name in ("preadv", "pwritev", "pread", "pwrite", "getuid", "geteuid", "sysconf", "mkfifo", "nice", "memfd_create"):
    delattr(os, name)
for name in [name for name in dir(signal) if name.startswith("SIG") and not name.startswith("SIG_")]:
    if name not in ("SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"):  # those of Windows
        delattr(signal, name)
"""
MAIN = "from hdmatt.cli.main import main\nsys.exit(main())"


def matte(code: str, *arguments: object) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(hdmatt.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", f"import sys\n{code}\n{MAIN}", "matte", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.release
def test_a_matte_is_the_same_bytes_without_what_only_linux_has(tmp_path):
    picture, trimap = scene()
    save(tmp_path / "picture.tif", np.rot90(picture).copy(), Orientation=6)  # upright again by way of a temporary file
    save(tmp_path / "trimap.png", trimap[..., None])
    torch.manual_seed(0)
    save_model(HDMatt(ModelConfig(width=8)).eval(), tmp_path / "tiny.safetensors", half=False)
    for name, code in (("all", ""), ("hidden", HIDE)):
        (tmp_path / name).mkdir()
        outputs = [tmp_path / name / f"{what}.png" for what in ("alpha", "foreground", "cutout")]
        inputs = [tmp_path / "picture.tif", tmp_path / "trimap.png"]
        network = ["--model", tmp_path / "tiny.safetensors", "--patch", 64, "--overlap", 16]
        matte(code, *inputs, *network, "-o", outputs[0], "--foreground", outputs[1], "--cutout", outputs[2])
    for path in (tmp_path / "all").iterdir():
        assert path.read_bytes() == (tmp_path / "hidden" / path.name).read_bytes(), path.name
    assert len(list((tmp_path / "hidden").iterdir())) == 3


def test_what_is_hidden_is_hidden():
    """The test above would see a module or function that Windows lacks."""
    for use in ("import resource", "import fcntl", "import os; os.preadv", "import signal; signal.SIGKILL"):
        done = subprocess.run([sys.executable, "-c", f"{HIDE}\n{use}"], capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.splitlines()[-1].split(":")[0] in (
            "ModuleNotFoundError",
            "AttributeError",
        )
