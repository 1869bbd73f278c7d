"""`hdmatt studio`: paint a trimap in the browser while the matte follows."""

import os
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from hdmatt.cli import shared
from hdmatt.errors import InputError, OutputError

_SERVER = "The server"
_INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it


def studio_command(
    context: shared.Context,
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="PNG, JPEG, TIFF, EXR, WebP or another kind.")
    ],
    trimap: Annotated[Path | None, typer.Option(help="A trimap of the first picture, to begin with.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of results. Default: the picture's.")
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="The page may also open pictures, masks and backgrounds below it.", rich_help_panel=_SERVER),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.", rich_help_panel=_SERVER)
    ] = True,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="0: any that is free. Default: the same for a picture each time, if it is free.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; any but 127.0.0.1 lets other machines connect.", rich_help_panel=_SERVER
        ),
    ] = "127.0.0.1",
    keep_strokes: Annotated[
        bool, typer.Option(help="Go on with what was painted although the picture's file has changed since.")
    ] = False,
    input_layer: shared.InputLayer = None,
    transfer: shared.Transfer = None,
    mixing: shared.Mixing = "auto",
    model: shared.Model = "hdmatt-s",
    runtime: shared.RuntimeName = "auto",
    precision: shared.PrecisionName = "auto",
    device: shared.Device = "auto",
    memory: shared.Memory = None,
    max_pixels: shared.MaxPixels = shared.MAX_PIXELS,
    debug: shared.Debug = False,
) -> None:
    """Paint a trimap in the browser while the matte follows. What is painted is kept as it is painted; Ctrl-C ends.

    Needs FastAPI and uvicorn: the extra studio of the package.
    """
    _check_installed()
    for path in (*pictures, *([trimap] if trimap else [])):
        if not path.exists():  # said at once, and not when all is loaded
            raise InputError(f"{path} does not exist", hint="Check the spelling and the folder.")
    from hdmatt.pictures.info import InputOptions
    from hdmatt.studio.opened import Choice
    from hdmatt.studio.security import Access
    from hdmatt.studio.server import serve
    from hdmatt.studio.studio import Studio

    choice = Choice(
        shared.options_of(context),
        shared.network_choice_of(context),
        InputOptions(layer=input_layer, transfer=transfer, max_pixels=max_pixels),
        keep_strokes=keep_strokes,
    )
    with _listen_for(pictures[0], host, port) as listening:
        studio = Studio(pictures, trimap=trimap, output=output, root=root, choice=choice)
        access, code = Access(port=listening.getsockname()[1], host=host), 0
        try:
            typer.echo(f"hdmatt studio: {access.address}")
            typer.echo("Ctrl-C ends it; what was painted stays.")
            if browser:
                _open(access.address)
            serve(studio, access, listening)
        except KeyboardInterrupt:
            code = _INTERRUPTED
        except SystemExit as end:  # SIGTERM, SIGHUP
            code = int(end.code or 0)
        finally:
            ended = studio.close()
        _end(code, studio.cut_off, ended=ended)


def _end(code: int, cut_off: list[str], *, ended: bool) -> NoReturn:
    """End the process, and say what was not finished.

    Args:
        ended: Whether nothing is computed any more. What still is cannot be stopped: nobody waits for it.
    """
    from hdmatt.system.hidden import discard_all

    if cut_off:
        shared.print_error(f"hdmatt: stopped while {cut_off[0]} was exported; none of its files was written")
    elif code == _INTERRUPTED:
        code = 0  # how it is meant to end
    if not ended:
        discard_all()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"the studio needs {' and '.join(missing)}, not installed here", hint="pip install 'hdmatt[studio]'"
        )


def _listen_for(picture: Path, host: str, port: int | None) -> socket.socket:
    """A socket at a port, or at the picture's own; where that one is taken at any other."""
    from hdmatt.studio.places import port_of

    if port is None:
        with suppress(OutputError):
            return _listen(host, port_of(picture))
    return _listen(host, port or 0)


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with ExitStack() as on_failure:
            listening = on_failure.enter_context(socket.socket(found[0], found[1]))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(found[4])
            listening.listen()  # before the address is told: who is quick must wait, and not be refused
            on_failure.pop_all()
    except OSError as error:
        raise OutputError(
            f"nothing can listen on {host}, port {port} ({error.strerror or error})",
            hint="Leave --port out: any free one is taken.",
        ) from error
    return listening


def _open(address: str) -> None:
    """Open the page in the browser, in a thread: some browsers return only when they end."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
