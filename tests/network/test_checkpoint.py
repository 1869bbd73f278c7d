import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hdmatt
from hdmatt.network.checkpoint import load_tensors, save_tensors


def test_weights_can_be_read_by_whoever_can_read_other_new_files(tmp_path):
    (tmp_path / "other").touch()
    save_tensors({"a": torch.arange(3.0)}, {"made": "here"}, tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
    assert torch.equal(load_tensors(tmp_path / "a.safetensors")[0]["a"], torch.arange(3.0))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "other"]


@pytest.mark.release
def test_weights_that_find_no_room_leave_the_old_ones(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_text("old")
    code = f"""
import pathlib, resource, signal, torch
from hdmatt.errors import OutputError
from hdmatt.network.checkpoint import save_tensors

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # no file may be larger
try:
    save_tensors({{"a": torch.zeros(10000)}}, {{}}, pathlib.Path({str(path)!r}))
except OutputError as error:
    print(error.message)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(hdmatt.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert f"{path} cannot be written (" in done.stdout, done.stderr
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
