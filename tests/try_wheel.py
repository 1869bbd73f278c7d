"""One wheel: built, compared with the one that the sdist builds, installed into empty environments, and run.

    python tests/try_wheel.py                                    # this Python; pip, uv and pipx
    python tests/try_wheel.py --python python3.12 --tool pip     # another one, and only pip
    python tests/try_wheel.py --write                            # and write the table of docs/limits.md

Each environment is empty but for the wheel and what it asks for, with torch of constraints.txt. There the commands and
the Python of the first page of the documentation run on a small copy of its two pictures. Needs uv and pipx for the
tools of these names, and a package index; pip's own settings for wheels on this machine (find-links) are used by all.
By hand: an environment takes a gigabyte and some minutes.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import snippets

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "limits.md"
BEGIN, END = "<!-- wheel: made by python tests/try_wheel.py --write -->", "<!-- end of wheel -->"
TOOLS = ("pip", "uv", "pipx")
SMALL = 280, 338  # pixels of the pictures that are matted


@dataclass(frozen=True)
class Tried:
    """What one way of installing gave."""

    tool: str
    python: str
    megabytes: float  # of the environment
    import_seconds: float
    version_seconds: float  # of hdmatt --version, from a shell
    commands: int  # of the first page


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", action="append", help="a Python to install for; may be given several times")
    parser.add_argument("--tool", action="append", choices=TOOLS)
    parser.add_argument("--write", action="store_true", help="write the table of docs/limits.md")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="hdmatt-wheel-") as name:
        folder = Path(name)
        wheel, sdist = build(folder)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB; the sdist builds the same files", flush=True)
        pictures(folder / "page")
        found = []
        for python in given.python or [sys.executable]:
            for tool in given.tool or TOOLS:
                found.append(tried(tool, python, wheel, folder))
                print(found[-1], flush=True)
                if given.write:  # each when it is known: the next may fail
                    write(wheel, sdist, found)
    return 0


def build(folder: Path) -> tuple[Path, Path]:
    """The wheel of the tree and the sdist, once the sdist has built the same wheel."""
    tree = folder / "tree"  # a clone: what git does not know must not get in
    call("git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), tree)
    call("uv", "build", "--quiet", "--sdist", "--wheel", "--out-dir", folder / "dist", tree)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (folder / "unpacked").mkdir()
    call("tar", "-xzf", sdist, "-C", folder / "unpacked", "--strip-components", "1")
    call("uv", "build", "--quiet", "--wheel", "--out-dir", folder / "again", folder / "unpacked")
    (wheel,), (again,) = ((folder / where).glob("*.whl") for where in ("dist", "again"))
    if contents(wheel) != contents(again):
        both = contents(wheel), contents(again)
        raise SystemExit(f"the sdist builds another wheel: {sorted(set(both[0].items()) ^ set(both[1].items()))[:5]}")
    if not any(name.endswith("hdmatt-s.safetensors") for name in contents(wheel)):
        raise SystemExit("the wheel has no weights")
    return wheel, sdist


def contents(wheel: Path) -> dict[str, int]:
    """The checksums of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {one.filename: one.CRC for one in archive.infolist()}


def pictures(folder: Path) -> None:
    """The first page's two pictures, small, and a mask."""
    folder.mkdir()
    site = ROOT / "docs" / "images" / "site"
    picture = cv2.resize(cv2.imread(str(site / "portrait-small.jpg")), SMALL, interpolation=cv2.INTER_AREA)
    trimap = cv2.imread(str(site / "trimap-small.png"), cv2.IMREAD_GRAYSCALE)
    trimap = cv2.resize(trimap, SMALL, interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(folder / "portrait-small.jpg"), picture)
    cv2.imwrite(str(folder / "trimap-small.png"), trimap)
    mask = cv2.imread(str(site / "mask-small.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(folder / "mask-small.png"), cv2.resize(mask, SMALL, interpolation=cv2.INTER_NEAREST))


def tried(tool: str, python: str, wheel: Path, folder: Path) -> Tried:
    """Install by one tool, run the first page, measure, remove."""
    home = folder / f"{tool}-home"
    constraints = folder / "constraints.txt"
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    constraints.write_text("\n".join(line for line in lines if line.startswith("torch==")) + "\n", encoding="utf-8")
    environment = clean_environment(home)
    install(tool, python, wheel, constraints, home, environment)
    command, interpreter = home / "bin" / "hdmatt", next(home.rglob("bin/python"))
    page = folder / f"{tool}-page"
    shutil.copytree(folder / "page", page)
    count = 0
    for one in snippets.snippets(ROOT / "docs" / "index.md"):
        if one.mark != "run":
            continue
        if one.language == "python":
            call(interpreter, "-c", one.text, cwd=page, env=environment)
            count += 1
        for line in snippets.commands(one):
            call(command, *snippets.words(line)[1:], cwd=page, env=environment)
            count += 1
    measure = "import time; a = time.perf_counter(); import hdmatt; print(time.perf_counter() - a)"
    imports = min(float(output(interpreter, "-c", measure, cwd=page, env=environment)) for _ in range(5))
    result = Tried(
        tool,
        output(
            interpreter, "-c", "import platform; print(platform.python_version())", cwd=page, env=environment
        ).strip(),
        sum(path.stat().st_size for path in home.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6,
        imports,
        min(seconds(command, "--version", cwd=page, env=environment) for _ in range(5)),
        count,
    )
    for one in (home, page):
        shutil.rmtree(one)
    return result


def install(tool: str, python: str, wheel: Path, constraints: Path, home: Path, environment: dict[str, str]) -> None:
    if tool == "pip":
        call(python, "-m", "venv", home, env=environment)
        call(home / "bin" / "pip", "install", "--quiet", "-c", constraints, wheel, env=environment)
    elif tool == "uv":
        call(
            "uv", "tool", "install", "--quiet", "--python", python, "--constraints", constraints, wheel, env=environment
        )
    else:
        call(
            "pipx", "install", "--quiet", "--python", python, "--pip-args", f"-c {constraints}", wheel, env=environment
        )


def clean_environment(home: Path) -> dict[str, str]:
    """This one without Python's paths, with the tools' folders in ours and pip's find-links for uv, too."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment |= {"UV_TOOL_DIR": str(home / "tools"), "UV_TOOL_BIN_DIR": str(home / "bin")}
    environment |= {"PIPX_HOME": str(home / "pipx"), "PIPX_BIN_DIR": str(home / "bin")}
    environment |= {"UV_CACHE_DIR": str(home.parent / "uv-cache"), "UV_PYTHON_DOWNLOADS": "automatic"}
    found = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"], capture_output=True, text=True
    )
    if found.returncode == 0:
        environment.setdefault("UV_FIND_LINKS", " ".join(found.stdout.split()))
    return environment


def call(*words: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")


def output(*words: str | Path, cwd: Path, env: dict[str, str]) -> str:
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=env, check=True, capture_output=True, text=True
    ).stdout


def seconds(*words: str | Path, cwd: Path, env: dict[str, str]) -> float:
    started = time.perf_counter()
    call(*words, cwd=cwd, env=env)
    return time.perf_counter() - started


def write(wheel: Path, sdist: Path, found: list[Tried]) -> None:
    """The table of docs/limits.md; rows of other Pythons and tools stay."""
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    before, _, tail = rest.partition(END)
    rows = {key(*cells(line)[:2]): line for line in before.splitlines() if cells(line)[0] in TOOLS}
    for one in found:
        times = f"{one.import_seconds:.2f} s | {one.version_seconds:.2f} s"
        rows[key(one.tool, one.python)] = f"| {one.tool} | {one.python} | {one.megabytes:.0f} MB | {times} |"
    wheel_size, sdist_size = (path.stat().st_size / 1e6 for path in (wheel, sdist))
    text = (
        f"The wheel has {wheel_size:.1f} MB, weights included; the sdist {sdist_size:.1f} MB and builds the same "
        f"wheel. Each row is an empty environment in which the {found[0].commands} commands of the "
        f"[first page](index.md) ran, with {torch_of()}. Times are the least of five starts."
    )
    table = [
        textwrap.fill(text, 100),
        "",
        "| installed by | Python | environment | `import hdmatt` | `hdmatt --version` |",
        "| -- | -- | -- | -- | -- |",
        *(rows[one] for one in sorted(rows)),
    ]
    PAGE.write_text(f"{head}{BEGIN}\n\n" + "\n".join(table) + f"\n\n{END}{tail}", encoding="utf-8")


def key(tool: str, python: str) -> tuple[int, int]:
    """A row's place in the table: by Python, then by tool."""
    return int(python.split(".")[1]), TOOLS.index(tool)


def cells(line: str) -> list[str]:
    """The cells of a table's row."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def torch_of() -> str:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line.replace("==", " ") for line in lines if line.startswith("torch=="))


if __name__ == "__main__":
    sys.exit(main())
