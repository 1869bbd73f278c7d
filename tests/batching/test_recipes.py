"""docs/batch.md and the options of `hdmatt batch`; commands and recipes: tests/docs/test_snippets.py."""

import re
from inspect import signature
from pathlib import Path

import typer

from hdmatt.batching.templates import FIELDS
from hdmatt.cli.batch import batch_command
from hdmatt.cli.main import app
from hdmatt.cli.matte import matte_command
from hdmatt.inference.outputs import OUTPUT_FILES

PAGE = (Path(__file__).parents[2] / "docs" / "batch.md").read_text(encoding="utf-8")
COMMAND = typer.main.get_command(app).commands["batch"]
KNOWN = {name for parameter in COMMAND.params for name in (*parameter.opts, *parameter.secondary_opts)}
# of hdmatt matte: inputs and --masks, --alpha, patches computed at once, a file for each trimap made
OTHERWISE = {"picture", "trimap", "mask", "output", "batch", "save_trimap", "progress_lines"}


def test_every_output_and_every_option_of_a_matte_is_one_of_a_batch():
    ours = set(signature(batch_command).parameters)
    assert set(OUTPUT_FILES) <= ours
    assert set(signature(matte_command).parameters) - OTHERWISE <= ours


def test_every_option_that_the_page_names_is_there():
    assert set(re.findall(r"`(--[a-z][\w-]*)", PAGE)) <= KNOWN


def test_the_page_has_the_fields_of_templates_and_the_exit_codes():
    assert all(f"`{{{field}}}`" in PAGE for field in FIELDS)
    assert re.findall(r"^\| (\d[\d, ]*) \|", PAGE, re.MULTILINE) == ["0", "3", "2", "1", "130, 143, 129"]
