"""Runtime checks of every shape and type that hdmatt's signatures promise, and one seeded generator.

The checks take a quarter of the time. They run with HDMATT_CHECK_TYPES=1, as in `make check-all`.
"""

import importlib
import os
from collections.abc import Callable, Generator
from types import ModuleType

import numpy as np
import pytest
from jaxtyping import install_import_hook

CHECK_TYPES = os.environ.get("HDMATT_CHECK_TYPES") == "1"
if CHECK_TYPES:
    install_import_hook("hdmatt", "typecheck.check")  # before anything imports hdmatt


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped test is a failed one")


def pytest_configure(config: pytest.Config) -> None:
    # While the hook above loads a module of hdmatt, Python looks for compiled files under another name, also for all
    # that this module imports first: torch would be compiled by every process that runs tests.
    if not CHECK_TYPES:
        return
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        for name in ("torch", "torch._dynamo", "lightning_fabric"):
            importlib.import_module(name)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is not in the wheel is tested for a release."""
    for item in items:
        if item.path.parent.name in ("benchmarks", "paper", "recipes", "research"):
            item.add_marker(pytest.mark.release)


def _failed_where_skipped(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> None:
    if config.getoption("--no-skips") and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _failed_where_skipped(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _failed_where_skipped(report, collector.config)
    return report


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def script() -> Callable[[str], ModuleType]:
    """Imports a script outside of the package by its name, like paper.table1."""
    return importlib.import_module
