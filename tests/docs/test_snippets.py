"""Every command and snippet of the documentation: run on tiny pictures, or checked for its form."""

import ast
import configparser
import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
import warnings
from contextlib import chdir

import pytest
import small_network
import snippets
import typer
import yaml

from hdmatt.cli.main import app, main
from hdmatt.network import names
from hdmatt.network.checkpoint import save_model

ALL = [snippet for page in snippets.PAGES for snippet in snippets.snippets(page)]
RUN = [one for one in ALL if one.mark == "run"]
RELEASE = [one for one in ALL if one.mark == "release"]
CONSOLE, PYTHON = ("console", "bash"), "python"
# what a page's snippets are given besides the files
GIVEN = {
    "python.md": "picture, trimap = 'portrait.jpg', 'trimap.png'",
    "paper.md": """
import cv2
for name in ("portrait.jpg", "trimap.png"):  # more than one patch
    cv2.imwrite(name, cv2.resize(cv2.imread(name), None, fx=7, fy=7, interpolation=cv2.INTER_NEAREST))
""",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The files that the pages name, and a tiny network under the name of the real one."""
    folder = snippets.make_files(tmp_path_factory.mktemp("files"))
    weights = tmp_path_factory.mktemp("weights") / "hdmatt-s.safetensors"
    save_model(small_network.network(), weights, half=True)
    return folder, weights


@pytest.fixture
def tiny(made, monkeypatch):
    monkeypatch.setattr(names, "WEIGHTS", made[1].parent)


def test_every_block_has_a_mark():
    unmarked = [str(one) for one in ALL if one.mark is None]
    assert not unmarked, f"add <!-- snippets: run --> above: {unmarked}"
    assert {one.mark for one in ALL} <= {*snippets.MARKS, None}
    assert len(RUN) > 40


@pytest.mark.release
@pytest.mark.parametrize("snippet", [one for one in RUN if one.language in CONSOLE], ids=str)
def test_every_command_runs(snippet, made, tiny, tmp_path, capsys):
    with chdir(snippets.copy_of(made[0], tmp_path)):
        for line in snippets.commands(snippet):
            run(line, snippet, capsys)


def run(line, snippet, capsys):
    """A command in this process; of a batch its plan."""
    program, *words = snippets.words(snippets.tiny(line))
    if program == "make" and snippet.page in snippets.UNMARKED:
        return
    assert program == "hdmatt", f"{snippet}: only hdmatt is run here; mark it form: {line}"
    if words[0] == "batch" and "--plan" not in words:
        words.append("--plan")
    assert main(words) == 0, f"{snippet}: {line}\n{capsys.readouterr().err}"


@pytest.mark.release
@pytest.mark.parametrize("snippet", [one for one in ALL if one.mark == "printed"], ids=str)
def test_what_a_page_shows_is_what_the_command_above_prints(snippet, made, tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "96")
    before = ALL[ALL.index(snippet) - 1]
    assert before.page == snippet.page and before.mark == "run"
    with chdir(snippets.copy_of(made[0], tmp_path)):
        for line in snippets.commands(before):
            run(line, before, capsys)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == snippet.text.splitlines()


@pytest.mark.release
@pytest.mark.parametrize("page", sorted({one.page for one in RUN if one.language == PYTHON}))
def test_python_of_a_page_runs_from_top_to_bottom(page, made, tiny, tmp_path):
    space = {"__name__": "__main__"}
    with chdir(snippets.copy_of(made[0], tmp_path)):
        exec(GIVEN.get(page, ""), space)
        for one in RUN:
            if one.page == page and one.language == PYTHON:
                exec(compile(snippets.tiny(one.text), str(one), "exec"), space)


@pytest.mark.release
@pytest.mark.parametrize("snippet", RELEASE, ids=str)
def test_what_takes_long_runs_with_the_real_network(snippet, made, tmp_path):
    folder = snippets.copy_of(made[0], tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    if snippet.language == PYTHON:
        (folder / "snippet.py").write_text(snippet.text)
        subprocess.run([sys.executable, "snippet.py"], cwd=folder, env=environment, check=True)
        return
    for line in snippets.commands(snippet):
        command = [sys.executable, "-m", *snippets.words(snippets.tiny(line))]
        subprocess.run(command, cwd=folder, env=environment, check=True)


@pytest.mark.parametrize("snippet", ALL, ids=str)
def test_the_form_of_a_block_is_right(snippet):
    text = snippet.text
    if snippet.language == PYTHON:
        compile(text, str(snippet), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    elif snippet.language == "json":
        json.loads(text)
    elif snippet.language == "yaml":
        assert list(yaml.safe_load_all(text))
    elif snippet.language == "ini":
        parser = configparser.ConfigParser(strict=False)
        parser.optionxform = str
        parser.read_string(text)
    elif snippet.language == "csv":
        rows = list(csv.reader(io.StringIO(text)))
        assert len({len(row) for row in rows}) == 1
    else:
        assert snippet.language in ("console", "bash", "make", "text"), snippet.language
    lines = snippets.commands(snippet)
    if lines:
        done = subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
    for line in lines:
        check_program(snippets.words(line), str(snippet))
    for words in hdmatt_commands(snippet):
        check_words(words, str(snippet))


def check_program(words, where):
    """Scripts, modules and make's targets of this repository are there."""
    if words[:2] == ["python", "-m"]:
        assert (snippets.ROOT / words[2].replace(".", "/")).with_suffix(".py").exists(), (where, words)
    elif words[0] in ("python", ".venv/bin/python") and words[1].endswith(".py"):
        assert (snippets.ROOT / words[1]).exists(), (where, words)
    elif words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (snippets.ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), (where, words)


def hdmatt_commands(snippet):
    """The words behind "hdmatt" of every command in a block, whatever stands around it."""
    for line in text_lines(snippet):
        if "hdmatt " not in line:
            continue
        words = snippets.words(line)
        for at, word in enumerate(words):
            following = words[at + 1 : at + 2]
            if os.path.basename(word) == "hdmatt" and following and following[0] in COMMANDS:
                end = next((i for i, w in enumerate(words[at:], at) if w in ("|", "&&", ";")), len(words))
                yield words[at + 1 : end]


def text_lines(snippet):
    if snippet.language in CONSOLE:
        return snippets.commands(snippet)
    if snippet.language == "make":
        return [line.partition(";")[2] for line in snippet.text.splitlines() if "hdmatt" in line]
    if snippet.language == "ini":
        return [line.partition("=")[2] for line in snippet.text.splitlines() if "hdmatt" in line]
    if snippet.language == "yaml":
        lists = [node for node in strings_of(yaml.safe_load(snippet.text)) if node[:1] == ["hdmatt"]]
        return [shlex.join(words) for words in lists]
    return []


def strings_of(node):
    """All lists of strings in a document."""
    if isinstance(node, list) and node and all(isinstance(one, str) for one in node):
        yield node
    for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from strings_of(one)


COMMANDS = typer.main.get_command(app).commands


def check_words(words, where):
    """Every option is one of the command, and its values are of the right kind."""
    command = COMMANDS[words[0]]
    words = words[1:]
    if hasattr(command, "commands") and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    named = {word.partition("=")[0] for word in words if word.startswith("-") and len(word) > 1 and not is_number(word)}
    assert named <= known, (where, sorted(named - known))
    if named & {"--help", "-h"} or "..." in words:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        command.make_context("hdmatt", list(words), resilient_parsing=False)


def is_number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True
