"""The recipes of docs/batch.md have the form that they claim: options are there, and the shell reads them."""

import re
import subprocess
from inspect import signature
from pathlib import Path

import pytest
import typer

from hdmatt.batching.batch import output_kinds
from hdmatt.batching.templates import FIELDS
from hdmatt.cli.batch import batch_command
from hdmatt.cli.main import app
from hdmatt.cli.matte import matte_command

PAGE = (Path(__file__).parents[2] / "docs" / "batch.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
COMMAND = typer.main.get_command(app).commands["batch"]
KNOWN = {name for parameter in COMMAND.params for name in (*parameter.opts, *parameter.secondary_opts)}
# of hdmatt matte: inputs and --masks, --alpha, patches computed at once, a file for each trimap made
OTHERWISE = {"picture", "trimap", "mask", "output", "batch", "save_trimap"}


def test_every_option_that_the_page_names_is_there():
    commands = [line for kind, text in BLOCKS if kind != "csv" for line in text.splitlines() if "hdmatt" in line]
    named = {word for line in commands for word in re.findall(r"(?<= )--?[a-z][\w-]*", line.split("hdmatt", 1)[1])}
    assert len(commands) > 10 and {"--shard", "--watch", "-o"} <= named
    assert named <= KNOWN, named - KNOWN
    assert set(re.findall(r"`(--[a-z][\w-]*)", PAGE)) <= KNOWN


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_shell_reads_the_recipes(number):
    kind, text = BLOCKS[number]
    if kind == "console":
        text = text.replace("$ ", "")
    if kind in ("bash", "console"):
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_every_output_and_every_option_of_a_matte_is_one_of_a_batch():
    ours = set(signature(batch_command).parameters)
    assert set(output_kinds()) <= ours
    assert set(signature(matte_command).parameters) - OTHERWISE <= ours


def test_the_page_has_the_fields_of_templates_and_the_exit_codes():
    assert all(f"`{{{field}}}`" in PAGE for field in FIELDS)
    assert re.findall(r"^\| (\d[\d, ]*) \|", PAGE, re.MULTILINE) == ["0", "3", "2", "1", "130, 143, 129"]
