"""A whole matte where nothing but the folder of the outputs can be written."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import hdmatt
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt

# An audit hook, since permissions do not bind the root of a container
PROGRAM = """
import os, sys
def refuse(event, args):
    if event in ("open", "os.mkdir", "os.rename", "os.symlink"):
        path = args[1] if event == "os.symlink" else args[0]
        writing = event != "open" or args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writing and not isinstance(path, int):
            if not os.path.abspath(os.fsdecode(path)).startswith((os.getcwd(), "/dev/", "/proc/")):
                raise OSError(30, "Read-only file system", path)
sys.addaudithook(refuse)
try:
    open(os.path.join(os.path.dirname(os.__file__), "hdmatt.txt"), "w")
except OSError:
    print("read-only")

import hdmatt
network = hdmatt.NetworkChoice("tiny.safetensors", device="cpu")
options = hdmatt.Options(patch=64, overlap=16)
matte = hdmatt.matte("picture.png", "trimap.png", network=network, options=options)
print(matte.cutout().shape, matte.composite("white").shape)
outputs = hdmatt.Outputs("a.png", "f.tif", "c.webp", "w.jpg", "white", psd="l.psd", layered="l.exr")
print(len(hdmatt.matte_files("picture.png", "trimap.png", outputs, network=network, options=options).outputs))
"""


@pytest.mark.release
def test_colours_and_files_need_no_home_and_no_writable_package(tmp_path):
    torch.manual_seed(0)
    save_model(HDMatt(ModelConfig(width=4)), tmp_path / "tiny.safetensors", half=False)
    trimap = np.zeros((90, 120), np.uint8)
    trimap[20:70, 30:90], trimap[35:55, 50:70] = 128, 255
    cv2.imwrite(str(tmp_path / "picture.png"), np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "trimap.png"), trimap)
    (tmp_path / "tmp").mkdir()
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": "/nonexistent",
        "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(Path(hdmatt.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split("\n")[:3] == ["read-only", "(90, 120, 4) (90, 120, 3)", "6"], done.stderr
    assert not done.stderr and not list((tmp_path / "tmp").iterdir())
