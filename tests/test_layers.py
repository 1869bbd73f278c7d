"""Imports go one way: down the table of docs/architecture.md, which is read here."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "hdmatt"
LAYERS = ("NumPy", "torch", "programs", "edges")  # from the bottom up


def layers() -> dict[str, int]:
    """Layer of each module that the table names: 0 for the NumPy modules, 3 for the edges."""
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = {}
    for name, modules in re.findall(r"^\| (\w+) \| (`[^|]*) \|", table, re.MULTILINE):
        for module in re.findall(r"`(\w+)/?`", modules):
            found[module] = LAYERS.index(name)
    return found


def source_files() -> list[Path]:
    """All modules but the package's own `__init__`, which hands out names of all layers when asked for them."""
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def module_of(path: Path) -> str:
    """The name in the table: hdmatt/engine.py is engine, hdmatt/synth/trimaps.py is synth."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(source: str) -> set[str]:
    """Dotted names a source imports anywhere, also inside functions: `from hdmatt import image` is hdmatt.pictures.reader."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they go: write hdmatt.NAME"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def wrong_imports(module: str, source: str, layer: dict[str, int]) -> list[str]:
    """What `module` may not import: hdmatt's modules of layers above its own, and torch in the NumPy layer."""
    wrong = []
    for name in sorted(imports(source)):
        top, _, rest = name.partition(".")
        # hdmatt.matte and the like come from the package itself: all of the programs
        above = layer.get(rest.split(".")[0], layer["api"]) if rest != "__version__" else 0
        if (top == "hdmatt" and above > layer[module]) or (top == "torch" and layer[module] == 0):
            wrong.append(name)
    return wrong


def test_the_table_names_every_layer():
    assert set(layers().values()) == set(range(len(LAYERS)))


@pytest.mark.parametrize("path", source_files(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_from_its_own_layer_and_below(path):
    layer = layers()
    assert module_of(path) in layer, f"give {module_of(path)} a layer in the table of docs/architecture.md"
    assert wrong_imports(module_of(path), path.read_text(encoding="utf-8"), layer) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("trimap", "import torch"),
        ("synth", "def late():\n    from torch.nn import functional"),
        ("colour", "import hdmatt.network.model"),
        ("cpc", "from hdmatt import errors, engine"),
        ("engine", "from hdmatt.cli.main import main"),
        ("metrics", "from hdmatt import matte"),
    ],
)
def test_an_import_upwards_is_found(module, source):
    assert len(wrong_imports(module, source, layers())) == 1


def test_imports_downwards_and_sideways_are_allowed():
    source = "import torch, numpy\nfrom hdmatt import __version__, image\nfrom hdmatt.network.model import HDMatt"
    assert wrong_imports("engine", source, layers()) == []


@pytest.mark.parametrize(
    ("module", "heavy"), [("hdmatt", ["torch", "OpenImageIO", "numba"]), ("hdmatt.cli.main", ["torch", "numba"])]
)
def test_importing_the_package_or_its_command_line_is_light(module, heavy):
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
