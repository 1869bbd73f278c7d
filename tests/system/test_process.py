"""What a call of the library must leave as it was: settings of the whole process."""

import os
import signal
import tempfile
import threading
import warnings
from typing import Any

import cv2
import numpy as np
import OpenImageIO as oiio
import torch
from small_network import scene
from small_pictures import save

import hdmatt
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt


def process() -> dict[str, Any]:
    umask = os.umask(0)
    os.umask(umask)
    return {
        "OpenCV's threads": cv2.getNumThreads(),
        "OpenCV's optimised code": cv2.useOptimized(),
        "OpenImageIO": [oiio.get_int_attribute(f"limits:{name}") for name in ("imagesize_MB", "channels")]
        + [oiio.get_int_attribute("threads")],
        "torch's threads": torch.get_num_threads(),
        "torch's default type": torch.get_default_dtype(),
        "torch's gradients": torch.is_grad_enabled(),
        "torch's random numbers": torch.get_rng_state().tolist(),
        "denormal numbers": bool((torch.tensor([1e-40]) * torch.ones(1) != 0).item()),
        "numpy's errors": np.geterr(),
        "numpy's random numbers": np.random.get_state()[1].tolist(),  # noqa: NPY002  the ones others may use
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "umask": umask,
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "temporary files": sorted(os.listdir(tempfile.gettempdir())),
    }


def test_a_matte_leaves_every_setting_of_the_process_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    picture, trimap = scene()
    paths = (
        save(tmp_path / "picture.tif", np.rot90(picture).copy(), Orientation=6),
        save(tmp_path / "trimap.png", trimap[..., None]),
    )
    torch.manual_seed(0)
    network = HDMatt(ModelConfig(width=8)).eval()
    before = process()
    matte = hdmatt.matte(*paths, network=network, options=hdmatt.Options(patch=64, overlap=16))
    assert matte.foreground().shape == picture.shape
    after = process()
    assert {name for name, value in before.items() if after[name] != value} == set()
