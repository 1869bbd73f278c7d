"""Imports go one way: along the list of folders below, left never imports right. Only the edge loads torch early."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "hdmatt"
ORDER = (
    *("errors", "system", "pictures", "patches", "overview", "samples", "network", "runtimes", "inference", "api"),
    *("trimaps", "batching", "figures", "evaluation", "bench", "training", "studio", "cli", "__main__"),
)
NO_TORCH = ("errors", "system", "pictures", "patches", "overview", "samples")
LIGHT = {  # what must stay unloaded when a module is imported
    "hdmatt": ["torch", "OpenImageIO", "numba", "cv2", "pydantic"],
    "hdmatt.batching.batch": ["torch", "numba"],
    "hdmatt.cli.main": ["torch", "numba", "numpy", "cv2", "pydantic", "fastapi", "uvicorn"],
    "hdmatt.evaluation.evaluate": ["torch", "numba", "jinja2", "matplotlib"],
    "hdmatt.samples.sample": ["torch", "numba", "OpenImageIO"],
}


def source_files() -> list[Path]:
    """All modules but the package's own `__init__`, which hands out names of every folder when asked for them."""
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def folder_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(source: str) -> set[str]:
    """Dotted names that a source imports anywhere, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they go: write hdmatt.NAME"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def wrong_imports(folder: str, source: str) -> list[str]:
    """What a module of `folder` may not import: folders to the right of its own, and torch in the folders without."""
    wrong = []
    for name in sorted(imports(source)):
        top, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if top == "hdmatt" and target != "__version__":
            # hdmatt.matte and the like come from the package itself, which hands out names of the api
            if ORDER.index(target if target in ORDER else "api") > ORDER.index(folder):
                wrong.append(name)
        elif top == "torch" and folder in NO_TORCH:
            wrong.append(name)
    return wrong


def modules_imported(source: str) -> set[str]:
    """The modules of hdmatt that a source imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hdmatt"):
            for alias in node.names:
                whole = PACKAGE.joinpath(*f"{node.module}.{alias.name}".split(".")[1:]).with_suffix(".py")
                found.add(f"{node.module}.{alias.name}" if whole.exists() else node.module)
    return found


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Ways from a module back to itself, at least one where there are any."""
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> list[str]:
        if name in above:
            return [" -> ".join([*above[above.index(name) :], name])]
        if name in done:
            return []
        done.add(name)
        return [found for other in sorted(graph.get(name, ())) for found in visit(other, (*above, name))]

    return [found for name in graph for found in visit(name, ())]


def test_every_folder_stands_in_the_order():
    here = {folder_of(path) for path in source_files()}
    assert here <= set(ORDER), sorted(here - set(ORDER))


def test_every_folder_says_what_it_knows_nothing_about():
    for init in PACKAGE.rglob("*/__init__.py"):
        line = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
        alone = "Nothing imports it."  # the command line, last of all folders
        assert "knows nothing about " in line.lower() or (init.parent.name == "cli" and alone in line), init
        assert len(ast.parse(init.read_text(encoding="utf-8")).body) == 1, f"{init} must import nothing"


@pytest.mark.parametrize("path", source_files(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_from_its_own_folder_and_those_before_it(path):
    assert wrong_imports(folder_of(path), path.read_text(encoding="utf-8")) == []


def test_modules_do_not_import_each_other_in_a_circle():
    graph = {}
    for path in source_files():
        name = ".".join(("hdmatt", *path.relative_to(PACKAGE).with_suffix("").parts))
        graph[name.removesuffix(".__init__")] = modules_imported(path.read_text(encoding="utf-8"))
    assert circles(graph) == []


def test_a_circle_closed_inside_a_function_is_found():
    late = modules_imported("def f():\n    from hdmatt.trimaps.masks import MaskSource")
    early = modules_imported("from hdmatt.trimaps.rembg import LICENCES")
    graph = {"hdmatt.trimaps.rembg": late, "hdmatt.trimaps.masks": early}
    assert circles(graph) == ["hdmatt.trimaps.rembg -> hdmatt.trimaps.masks -> hdmatt.trimaps.rembg"]


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("pictures", "import torch"),
        ("samples", "def late():\n    from torch.nn import functional"),
        ("pictures", "import hdmatt.network.model"),
        ("network", "from hdmatt import errors, inference"),
        ("inference", "from hdmatt.cli.main import main"),
        ("patches", "from hdmatt import matte"),
    ],
)
def test_an_import_to_the_right_is_found(folder, source):
    assert len(wrong_imports(folder, source)) == 1


def test_imports_to_the_left_and_beside_are_allowed():
    source = "import torch, numpy\nfrom hdmatt import __version__\nfrom hdmatt.network.model import HDMatt"
    assert wrong_imports("inference", source) == []


@pytest.mark.parametrize("module", LIGHT)
def test_importing_is_light(module):
    code = f"import sys, {module}; print([name for name in {LIGHT[module]} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
