"""Runtime checks of every shape and type that hdmatt's signatures promise, and one seeded generator."""

import numpy as np
import pytest
from jaxtyping import install_import_hook

install_import_hook("hdmatt", "typecheck.check")  # before anything imports hdmatt


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
