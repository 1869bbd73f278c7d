"""`hdmatt trimap`: making trimaps, and checking them."""

import typer

from hdmatt.cli.trimap_check import trimap_check_command
from hdmatt.cli.trimap_make import trimap_make_command

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Make trimaps, and check them.")
app.command("make")(trimap_make_command)
app.command("check")(trimap_check_command)
