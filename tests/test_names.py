"""Names that heads of modules and pages of the documentation speak of are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "hdmatt"
ENTRY = re.compile(r"^ *([A-Za-z_]\w*(?:, [A-Za-z_]\w*)*) {2,}\S")  # "    load_model    weights -> network"
FILE = re.compile(r"`((?:[\w.-]+/)+[\w-]+\.py)`|(?<![\w/.])((?:[\w.-]+/)+[\w-]+\.py)\b")
GONE = {"migration.md"}  # speaks of what was


def heads(source: str) -> list[str]:
    """The names in the table of contents of a module's docstring."""
    lines = (ast.get_docstring(ast.parse(source)) or "").splitlines()[1:]
    return [name for line in lines if (found := ENTRY.match(line)) for name in found[1].split(", ")]


def defined(source: str) -> set[str]:
    """All names of functions, classes, values and imports of a module, at any level."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.alias):
            names.add(getattr(node, "asname", None) or node.name)
        elif isinstance(node, ast.Name):
            names.add(node.id)
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_names_in_the_head_of_a_module_are_in_the_module(path):
    source = path.read_text(encoding="utf-8")
    assert sorted(set(heads(source)) - defined(source)) == []


def test_a_name_that_is_gone_is_found_in_a_head():
    source = '"""Head.\n\n    old, new    what it is\n"""\n\ndef new(): pass'
    assert set(heads(source)) - defined(source) == {"old"}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_files_of_code_named_in_a_page_are_there(page):
    if page.name in GONE:
        return
    named = {"".join(found) for found in FILE.findall(page.read_text(encoding="utf-8"))}
    assert [name for name in sorted(named) if not (ROOT / name).exists() and not (PACKAGE / name).exists()] == []
