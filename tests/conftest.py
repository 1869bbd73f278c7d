"""Runtime checks of every shape and type that hdmatt's signatures promise, and one seeded generator."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from jaxtyping import install_import_hook

install_import_hook("hdmatt", "typecheck.check")  # before anything imports hdmatt


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a script of benchmarks/ by its name, as Python itself would find it; forgotten again after the test."""
    folder = Path(__file__).parents[1] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module
    for path in folder.glob("*.py"):
        sys.modules.pop(path.stem, None)
