"""Runtime checks of every shape and type that hdmatt's signatures promise, and one seeded generator."""

import importlib
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from jaxtyping import install_import_hook

install_import_hook("hdmatt", "typecheck.check")  # before anything imports hdmatt


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def script() -> Callable[[str], ModuleType]:
    """Imports a script outside of the package by its name, like paper.table1."""
    return importlib.import_module
