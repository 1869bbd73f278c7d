"""The folders of src/hdmatt as a table and a figure in docs/architecture.md, read from the code.

    python docs/rooms.py            writes both
    python docs/rooms.py --check    exit code 1 if the page says something else than the code

The table has a row for each folder: what it is (the first sentences of its `__init__.py`), and its modules. The figure
has a dot for each folder that another one imports, also inside functions.
"""

import argparse
import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "hdmatt"
PAGE = ROOT / "docs" / "architecture.md"
FIGURE = ROOT / "docs" / "images" / "rooms.svg"
BEGIN, END = "<!-- rooms: made by python docs/rooms.py -->", "<!-- end of rooms -->"


def order() -> list[str]:
    """The folders in the order that tests/test_layers.py holds."""
    tree = ast.parse((ROOT / "tests" / "test_layers.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER":
            names = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
            return [name for name in names if name != "__main__"]
    raise LookupError("tests/test_layers.py has no ORDER")


def exists(name: str) -> bool:
    return (PACKAGE / name / "__init__.py").exists() or (PACKAGE / f"{name}.py").exists()


def modules(name: str) -> list[Path]:
    folder = PACKAGE / name
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{name}.py"]


def imports(name: str) -> set[str]:
    """The other folders that the modules of a folder import."""
    found: set[str] = set()
    for path in modules(name):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "hdmatt":
                parts = node.module.split(".")
                found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return {other for other in found if exists(other)} - {name}


def says(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def table() -> str:
    """Markdown: a row a folder, in the order of imports."""
    lines = ["| folder | what it is | modules |", "| -- | -- | -- |"]
    for name in order():
        folder = (PACKAGE / name).is_dir()
        about = says(PACKAGE / name / "__init__.py" if folder else PACKAGE / f"{name}.py")
        inside = "; ".join(inner(PACKAGE / name)) if folder else ""
        lines.append(f"| `{name}{'/' if folder else '.py'}` | {about} | {inside} |")
    return "\n".join(lines)


def inner(folder: Path) -> list[str]:
    """The modules of a folder, then those of each folder in it after its name."""
    here = [f"`{path.stem}`" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    below = [f"`{path.name}/`: {', '.join(inner(path))}" for path in sorted(folder.iterdir()) if is_package(path)]
    return [", ".join(here), *below]


def is_package(path: Path) -> bool:
    return (path / "__init__.py").exists()


def draw() -> None:
    """The figure: a dot in the row of a folder, below each folder that it imports. All dots lie below the diagonal."""
    from matplotlib.figure import Figure

    names = order()
    figure = Figure(figsize=(6.4, 5.2))
    axes = figure.add_axes((0.18, 0.02, 0.8, 0.78))
    for row, name in enumerate(names):
        axes.axhline(row, color="#e3e8ee", linewidth=0.7, zorder=0)
        columns = [names.index(other) for other in imports(name)]
        axes.scatter(columns, [row] * len(columns), s=46, color="#31506e", zorder=2)
    axes.plot([-0.5, len(names) - 0.5], [-0.5, len(names) - 0.5], color="#b8c4d0", linewidth=1, linestyle=":")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="left", family="monospace")
    axes.set_yticks(range(len(names)), names, family="monospace")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    for side in axes.spines.values():
        side.set_visible(False)
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, metadata={"Date": None} if FIGURE.suffix == ".svg" else None)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    asked = parser.parse_args(arguments)
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    new = f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"
    if asked.check:
        if new != page:
            print("docs/architecture.md does not say what the code says: python docs/rooms.py", file=sys.stderr)
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
