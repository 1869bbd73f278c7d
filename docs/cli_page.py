"""The page of the command line, made from the commands themselves.

python docs/cli_page.py            writes docs/cli.md
python docs/cli_page.py --check    exit code 1 if the page says something else than the commands
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import mdformat
import typer

from hdmatt.cli.main import app

PAGE = Path(__file__).with_name("cli.md")
HEAD = """# Command line

Made by `python docs/cli_page.py` from the commands themselves; `hdmatt COMMAND --help` says the same.

Exit codes: 0 done; 2 a mistake in what was given, or a place that cannot be written; 1 a mistake of ours; 3 some
pictures of a batch failed, or a trimap has warnings (`--strict`); 74 done, but stdout was full or closed; 129, 130, 143
stopped by SIGHUP, Ctrl-C, SIGTERM. Errors are one sentence on stderr, and a second that says what to do. `--debug`
shows where it happened.

`hdmatt --version` prints the version. `hdmatt --install-completion` completes commands and options in the shell.

<!-- snippets: form, made from the commands -->
"""
LEFT_OUT = {"help", "install_completion", "show_completion", "version"}


def page() -> str:
    """The text of docs/cli.md."""
    parts = [HEAD]
    for name, command in commands(typer.main.get_command(app)):
        parts += [f"## {name}", first_words(command), "```text\n" + usage(name, command) + "\n```", *tables(command)]
    return mdformat.text(
        "\n\n".join(parts), options={"wrap": 100, "plugin": {"tables": {"compact_tables": True}}}, extensions={"gfm"}
    )


def commands(group: Any, prefix: str = "hdmatt") -> Iterator[tuple[str, Any]]:
    """The commands below a group, by their whole names."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            if command.params and getattr(command, "invoke_without_command", False):
                yield f"{prefix} {name}", command
            yield from commands(command, f"{prefix} {name}")
        elif not command.hidden:
            yield f"{prefix} {name}", command


def first_words(command: Any) -> str:
    """The text above the options; its indented tables stay tables."""
    paragraphs = (command.help or "").strip("\n").split("\n\n")
    return "\n\n".join(f"```text\n{one}\n```" if one.startswith("  ") else one for one in paragraphs)


def usage(name: str, command: Any) -> str:
    """One line: the command, its arguments, its options."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    words = [one.name.upper() + ("..." if one.nargs == -1 else "") for one in arguments]
    shown = [word if one.required else f"[{word}]" for word, one in zip(words, arguments, strict=True)]
    return " ".join([name, *shown, "[OPTIONS]"])


def tables(command: Any) -> Iterator[str]:
    """Arguments, then the options of each panel of --help."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    if arguments:
        yield "\n".join(
            ["| argument | |", "| -- | -- |", *(f"| `{a.name.upper()}` | {cell(a.help)} |" for a in arguments)]
        )
    panels: dict[str, list[Any]] = {}
    for one in command.params:
        if one.param_type_name == "option" and one.name not in LEFT_OUT and not one.hidden:
            panels.setdefault(getattr(one, "rich_help_panel", None) or "Options", []).append(one)
    for panel, options in panels.items():
        rows = [f"| {spelled(one)} | {cell(one.help)} | {default(one)} |" for one in options]
        yield "\n".join([f"| {panel} | | default |", "| -- | -- | -- |", *rows])


def spelled(option: Any) -> str:
    """How an option is typed: its names and the kind of its value."""
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    kind = option.metavar or kind_of(option.type_descriptor.annotation)
    return f"{names} `{kind.replace('|', ', ')}`"  # no | in a table's code: each reader of Markdown takes it otherwise


def kind_of(annotation: Any) -> str:
    """A type as it is typed: names that are allowed, PATH, TEXT, INTEGER, NUMBER."""
    if values := get_args(annotation):
        return "|".join(map(str, values)) if isinstance(values[0], str) else " ".join(map(kind_of, values))
    return {Path: "PATH", int: "INTEGER", float: "NUMBER"}.get(annotation, "TEXT")


def default(option: Any) -> str:
    value = option.default
    if option.is_flag or value is None or value == () or callable(value):
        return "required" if option.required else ""
    if isinstance(value, tuple):
        return f"`{' '.join(map(str, value))}`"
    return f"`{getattr(value, 'value', value)}`"


def cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    given = parser.parse_args(arguments)
    text = page()
    if not given.check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE.name} does not say what the commands are: python docs/cli_page.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
