"""The command line: the commands, and what becomes of errors. Loads torch only when a command needs it.

app     the commands; each is a module of this folder
main    exit codes: 0 done, 2 a mistake in what we were given, 1 a mistake of ours, 74 done but not printed, 130 Ctrl-C,
        143 SIGTERM, 129 SIGHUP
"""

import sys
from errno import EPIPE
from typing import Annotated

import typer

from hdmatt.cli import process, shared
from hdmatt.cli.attention import attention_command
from hdmatt.cli.batch import batch_command
from hdmatt.cli.bench import bench_command
from hdmatt.cli.eval import eval_command
from hdmatt.cli.export import export_command
from hdmatt.cli.info import info_command
from hdmatt.cli.matte import matte_command
from hdmatt.cli.studio import studio_command
from hdmatt.cli.train import app as train_app
from hdmatt.cli.trimap import app as trimap_app
from hdmatt.errors import HDMattError

_STOPPED = 130  # exit code after Ctrl-C, as shells have it
_RESEARCH = "Research and training"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Alpha mattes of photographs of any resolution, from a picture and a trimap.",
)
app.command("matte")(matte_command)
app.add_typer(trimap_app, name="trimap")
app.command("batch")(batch_command)
app.command("studio")(studio_command)
app.command("info")(info_command)
app.command("export")(export_command)
app.command("eval", rich_help_panel=_RESEARCH)(eval_command)
app.command("attention", rich_help_panel=_RESEARCH)(attention_command)
app.command("bench", rich_help_panel=_RESEARCH)(bench_command)
app.add_typer(train_app, name="train", rich_help_panel=_RESEARCH)


@app.callback()
def options_of_all(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=lambda asked: _print_version(asked), help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code and never shows a traceback without --debug."""
    if arguments is None:  # as a program: the process is ours
        from hdmatt.system.memory import keep_freed

        process.take_over()
        keep_freed()
        code = _run(sys.argv[1:])
        if (error := process.all_printed()) and code == 0:
            if error.errno == EPIPE and "--help" in sys.argv[1:]:
                return code  # whoever looks at the first lines only has seen them
            shared.print_error(f"hdmatt: the work is done, but stdout cannot be written ({error.strerror})")
            return process.NOT_PRINTED
        return code
    return _run(arguments)


def _run(arguments: list[str]) -> int:
    shared.TYPED.set(tuple(arguments))
    try:
        code = app(arguments, prog_name="hdmatt", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        code = _STOPPED
    except typer.Exit as stop:
        return stop.exit_code
    except Exception as error:
        if "--debug" in arguments:
            raise
        return _print_error(error)
    if code == _STOPPED:  # typer catches Ctrl-C itself and returns this
        shared.print_error("hdmatt: stopped")
    return code if isinstance(code, int) else 0


def _print_error(error: Exception) -> int:
    """What happened and what to do, on stderr; returns the exit code."""
    if isinstance(error, HDMattError):
        shared.print_error(f"hdmatt: {error.message}")
        if error.hint:
            shared.print_error(f"  {error.hint}")
        return error.exit_code
    usage = getattr(error, "format_message", None)  # a mistake on the command line, found by typer
    if usage is not None:
        command = getattr(getattr(error, "ctx", None), "command_path", "hdmatt")
        shared.print_error(f"hdmatt: {usage().replace(': Value error, ', ': ')}")  # typer's word for its reader
        shared.print_error(f"  See {command} --help.")
        return 2
    shared.print_error(f"hdmatt: internal error: {type(error).__name__}: {error}")
    shared.print_error("  This is our mistake: run again with --debug and report what it prints.")
    return 1


def _print_version(asked: bool) -> bool:
    if asked:
        from hdmatt import __version__

        typer.echo(f"hdmatt {__version__}")
        raise typer.Exit
    return asked
