"""What the commands share: types of options, the objects that are made of them, and how they print.

Every option that several commands have is defined once here, as a type. Loads neither torch nor NumPy, so that --help
and the completion in a shell are quick. Read top to bottom:

    Model, Patch, ...    types of options, by the panels of --help
    options_of           Options of the command that runs; --paper sets some of them
    network_choice_of    its NetworkChoice
    was_typed            whether an option stands on the command line
    refuse_existing      what has a default name is not written over without --overwrite
    progress_bar         a bar on the terminal, nothing into a pipe
    typed_command        the command line, for records
    warnings_on_stderr   hdmatt's warnings as lines
    print_error          a line on stderr
"""

import shlex
import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hdmatt.errors import WARNINGS, InputError, OutputError
from hdmatt.inference.names import Blend, Strategy, Windows
from hdmatt.pictures.colours import names
from hdmatt.runtimes.names import Precision, Runtime
from hdmatt.system.memory import parse_bytes

if TYPE_CHECKING:
    from typer import Context

    from hdmatt.inference.options import NetworkChoice, Options
    from hdmatt.inference.outputs import Outputs
else:  # what typer passes is the base class of the one it asks us to name; our tests check types
    Context = typer.Context.__base__

MAX_PIXELS = 10**9  # pictures.info.DEFAULT_MAX_PIXELS, without NumPy
TYPED: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())  # the words main was called with, for records

_HELD = "What the outputs hold"
_INPUT = "How the picture is read"
_NETWORK = "The network"
_PATCHES = "Patches: how they are placed, chosen and joined"
SPEED = "Speed and memory"
_PRINT = "What is printed"
BAND = "The unknown band of a trimap made from a mask"

Picture = Annotated[Path, typer.Argument(help="PNG, JPEG, TIFF, EXR, WebP or another kind that is read.")]
Trimap = Annotated[Path, typer.Argument(help="Same size; below 85 background, 170 and above foreground, else unknown.")]
Inside = Annotated[
    str | None,
    typer.Option(metavar="PX|%", help="Width inside of the mask; with auto how far it looks.", rich_help_panel=BAND),
]
Fit = Annotated[
    bool, typer.Option("--fit", help="Enlarge or reduce a mask of the picture's shape.", rich_help_panel=BAND)
]
Outside = Annotated[
    str | None,
    typer.Option(metavar="PX|%", help="Width outside of the mask; with auto how far it looks.", rich_help_panel=BAND),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files of default names; those named here are always replaced.")
]

Background = Annotated[str | None, typer.Option(help="Picture or colour behind --composite.", rich_help_panel=_HELD)]
BitDepth = Annotated[
    Literal["auto", "8", "16", "half", "float"],
    typer.Option("--bit-depth", help="Bits of the outputs; auto: as the picture.", rich_help_panel=_HELD),
]
Quality = Annotated[
    int | None,
    typer.Option(
        metavar="1-100",
        help="Quality of colours in JPEG (95) and WebP (lossless); alpha stays exact.",
        rich_help_panel=_HELD,
    ),
]
AlphaMode = Annotated[
    Literal["straight", "premultiplied"] | None,
    typer.Option(
        "--alpha-mode",
        help="How colours with alpha are held. Default: straight; EXR: premultiplied.",
        rich_help_panel=_HELD,
    ),
]
Clean = Annotated[
    bool,
    typer.Option("--clean", help="Colours of foreground and cut-out are 0 where alpha is 0.", rich_help_panel=_HELD),
]
MatteRange = Annotated[
    tuple[float, float],
    typer.Option(
        metavar="LOW HIGH",
        help="Levels: alpha is 0 up to LOW, 1 from HIGH on, linear between.",
        rich_help_panel=_HELD,
    ),
]
Invert = Annotated[bool, typer.Option("--invert", help="The file of the matte holds 1 - alpha.", rich_help_panel=_HELD)]
Despill = Annotated[
    float,
    typer.Option(
        metavar="0-1", help="Takes the light of a green or blue screen from the colours.", rich_help_panel=_HELD
    ),
]
Plate = Annotated[
    bool, typer.Option("--plate", help="The picture as layer plate of --layered, too.", rich_help_panel=_HELD)
]
Trim = Annotated[bool, typer.Option("--trim", help="Cut all outputs to the subject.", rich_help_panel=_HELD)]
Palette = Annotated[
    bool,
    typer.Option(
        "--palette", help="A PNG cut-out of 8 bit and at most 256 colours gets a palette.", rich_help_panel=_HELD
    ),
]

Model = Annotated[str, typer.Option(help="Name (see hdmatt info) or safetensors file.", rich_help_panel=_NETWORK)]
RuntimeName = Annotated[Runtime, typer.Option("--runtime", help="What computes the network.", rich_help_panel=_NETWORK)]
PrecisionName = Annotated[
    Precision,
    typer.Option("--precision", help="auto is bf16 where the device multiplies it.", rich_help_panel=_NETWORK),
]
Devices = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, cuda:1, mps; several by commas, as cuda:0,cuda:1, or cuda:all.",
        rich_help_panel=SPEED,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=SPEED)]
Memory = Annotated[
    int | None,
    typer.Option(
        parser=parse_bytes,
        metavar="SIZE",
        help="Peak memory of hdmatt, as 2GiB or 2GB. Default: half of what is free.",
        rich_help_panel=SPEED,
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(
        help="Patches computed at once. Default: by --memory; with bf16 on a CPU always 1.", rich_help_panel=SPEED
    ),
]
InputLayer = Annotated[
    str | None,
    typer.Option(help="Layer of a PICTURE with several (EXR), by its name.", rich_help_panel=_INPUT),
]
Transfer = Annotated[
    str | None,
    typer.Option(
        help="Transfer function of a PICTURE that does not say it: sRGB, linear, Rec.709 or a curve of a camera; "
        "hdmatt info lists all.",
        rich_help_panel=_INPUT,
    ),
]
MaxPixels = Annotated[int, typer.Option(min=1, help="Refuse larger pictures.", rich_help_panel=SPEED)]

Mixing = Annotated[
    names.Mixing,
    typer.Option(
        "--mixing",
        help="How the PICTURE's colours mix: linear as in a photograph, display as in a program's composite.",
        rich_help_panel=_INPUT,
    ),
]
MatteFor = Annotated[
    names.Space | None,
    typer.Option(
        "--matte-for",
        help="Convert alpha for mixing in linear light (Nuke, EXR) or in display values (Photoshop, web), and mix "
        "the composite there.",
        rich_help_panel=_HELD,
    ),
]

Paper = Annotated[
    bool,
    typer.Option(
        "--paper",
        help="As in the paper: --windows grid --topk 3 --candidates 30 --blend paper --no-small-first.",
        rich_help_panel=_PATCHES,
    ),
]
Patch = Annotated[int, typer.Option(help="Side of a patch, in pixels.", rich_help_panel=_PATCHES)]
Overlap = Annotated[int, typer.Option(help="Overlap of neighbouring patches, in pixels.", rich_help_panel=_PATCHES)]
TopK = Annotated[int, typer.Option(help="Context patches that a patch attends to (K).", rich_help_panel=_PATCHES)]
Candidates = Annotated[int, typer.Option(help="Patches in the context pool (N).", rich_help_panel=_PATCHES)]
WindowsName = Annotated[
    Windows,
    typer.Option(
        "--windows",
        help="Where patches lie: as few as possible over the unknown pixels, or on a grid.",
        rich_help_panel=_PATCHES,
    ),
]
StrategyName = Annotated[
    Strategy, typer.Option("--strategy", help="How a network gets through a large picture.", rich_help_panel=_PATCHES)
]
BlendName = Annotated[
    Blend,
    typer.Option(
        "--blend",
        help="Weights where patches overlap: smooth, the square of a linear ramp; paper, the ramp itself.",
        rich_help_panel=_PATCHES,
    ),
]
SmallFirst = Annotated[
    bool,
    typer.Option(
        "--small-first/--no-small-first",
        help="Matte pictures longer than 1800 pixels at reduced size first, for the matte's low frequencies.",
        rich_help_panel=_PATCHES,
    ),
]

ProgressLines = Annotated[
    bool,
    typer.Option("--progress-lines", help="Progress as lines on stderr, for programs.", rich_help_panel=_PRINT),
]

WholePicture = Annotated[
    bool,
    typer.Option(
        "--whole-picture",
        help="The whole picture, shrunk to a patch, is a context of every patch, and scales between are candidates; "
        "for networks trained with it.",
        rich_help_panel=_PATCHES,
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=_PRINT)]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=_PRINT)]

_OF_THE_PAPER = ("windows", "topk", "candidates", "blend", "small_first")


def options_of(context: Context) -> "Options":
    """Options of the command that runs, by the names of its parameters; those that it lacks keep their defaults.

    With --paper, the options of `Options.paper()` count where nothing was typed.

    Raises:
        InputError: A value that cannot work, or one that was typed beside --paper and contradicts it.
    """
    from hdmatt.inference.options import Options

    given = {name: context.params[name] for name in Options.__dataclass_fields__ if name in context.params}
    if context.params.get("paper"):
        paper = Options.paper()
        for name in (name for name in _OF_THE_PAPER if name in given):
            wanted = getattr(paper, name)
            if was_typed(context, name) and given[name] != wanted:
                raise InputError(
                    f"--paper means {_as_typed(name, wanted)}, but {_as_typed(name, given[name])} was given, too",
                    hint="Leave one of the two out.",
                )
            given[name] = wanted
    return Options(**given)


def outputs_of(context: Context) -> "Outputs":
    """Outputs of the command that runs, by the names of its parameters."""
    from hdmatt.inference.outputs import Outputs

    return Outputs(**{name: context.params[name] for name in Outputs.__dataclass_fields__ if name in context.params})


def network_choice_of(context: Context) -> "NetworkChoice":
    """NetworkChoice of the command that runs, by the names of its parameters."""
    from hdmatt.inference.options import NetworkChoice

    names = NetworkChoice.__dataclass_fields__
    return NetworkChoice(**{name: context.params[name] for name in names if name in context.params})


def was_typed(context: Context, name: str) -> bool:
    """Whether the user gave the option, instead of its default."""
    source: Any = context.get_parameter_source(name)
    return getattr(source, "name", "") == "COMMANDLINE"


def refuse_existing(paths: Sequence[Path], *, option: str, overwrite: bool) -> None:
    """Refuse to write over files of default names.

    Args:
        option: What names them, as "-o".

    Raises:
        OutputError: One of them is there, and --overwrite was not given.
    """
    for path in paths:
        if path.exists() and not overwrite:
            raise OutputError(
                f"{path} exists already", hint=f"Give --overwrite to replace it, or {option} to name another place."
            )


@contextmanager
def progress_bar(*, lines: bool = False) -> Generator[Callable[[str, int, int], None]]:
    """A function that shows what is being done, how many are done, and of how many; on a terminal only.

    Args:
        lines: Instead of the bar a line on stderr for each, "progress: patches 3 of 40", wherever stderr goes.
    """
    if lines:
        yield lambda what, done, total: print_error(f"progress: {what} {done} of {total}") if done else None
        return
    from rich import progress
    from rich.console import Console

    columns = progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn()
    times = progress.TimeElapsedColumn(), progress.TimeRemainingColumn()
    console = Console(stderr=True)
    with progress.Progress(*columns, *times, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("checking", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield show


def typed_command() -> str:
    """The command as it was typed, for records."""
    return shlex.join(["hdmatt", *TYPED.get()])


@contextmanager
def warnings_on_stderr() -> Generator[None]:
    """Warnings on stderr, once the work is done and the progress bar is gone: hdmatt's as lines, others as ever."""
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            for category in WARNINGS:
                warnings.simplefilter("always", category)
            yield
    finally:
        for warning in caught:
            if issubclass(warning.category, WARNINGS):
                print_error(f"hdmatt: warning: {warning.message}")
            else:
                warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)


def print_error(text: str) -> None:
    """A line on stderr."""
    typer.echo(text, err=True)


def _as_typed(name: str, value: object) -> str:
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return option if value else f"--no-{option[2:]}"
    return f"{option} {value}"
