"""Runtime checks of every shape and type that hdmatt's signatures promise, and one seeded generator."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # `make check` runs two files at a time: a core each, before torch counts them
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from jaxtyping import install_import_hook

install_import_hook("hdmatt", "typecheck.check")  # before anything imports hdmatt


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
