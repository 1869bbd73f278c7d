"""Nothing in src is too long to be read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "hdmatt"
MODULE, FUNCTION, PARAMETERS = 450, 50, 8
FLAT = {"matte"}  # says by flat keywords how files are read, where others take an InputOptions


def too_long(source: str) -> Iterator[str]:
    """What is longer than it may be; the options of a command count neither as lines nor as parameters."""
    if source.count("\n") > MODULE:
        yield f"{source.count(chr(10))} lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parameters = [a for a in every if a.arg not in ("self", "cls")]
            command = node.name.endswith("_command")  # typer makes options of its parameters
            first = node.body[0].lineno if command else min(n.lineno for n in (node, *node.decorator_list))
            if (lines := (node.end_lineno or 0) - first + 1) > FUNCTION:
                yield f"{node.name} has {lines} lines"
            if len(parameters) > PARAMETERS and not command and node.name not in FLAT:
                yield f"{node.name} has {len(parameters)} parameters"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_modules_functions_and_signatures_fit_a_screen(path):
    assert list(too_long(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = 0\n" * 451, "451 lines"),
        ("def f():\n" + "    x = 0\n" * 50, "f has 51 lines"),
        ("def f(a, b, c, d, e, *, f, g, h, i): pass", "f has 9 parameters"),
        ("class A:\n    def m(self, a, b, c, d, e, f, g, h, i): pass", "m has 9 parameters"),
    ],
)
def test_what_is_too_long_is_found(source, found):
    assert list(too_long(source)) == [found]


def test_what_fits_is_let_be():
    assert list(too_long("x = 0\n" * 450)) == []
    assert list(too_long("def f(a, b, c, d, e, f, g, h):\n" + "    x = 0\n" * 49)) == []
