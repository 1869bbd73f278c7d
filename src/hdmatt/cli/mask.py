"""The trimap of `hdmatt matte`: the one that is given, or one made from --mask."""

import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hdmatt.errors import InputError

if TYPE_CHECKING:
    from hdmatt.inference.options import NetworkChoice
    from hdmatt.inference.outputs import Outputs
    from hdmatt.pictures.info import InputOptions


@dataclass(frozen=True)
class MaskOptions:
    """--mask, --band, --inside, --outside, --fit and --save-trimap.

    Attributes:
        mask: The mask's file, None where a trimap is given.
        band: Width of the unknown band, as typed.
        inside: Its width inside of the mask, as typed; with "auto" how far it looks.
        outside: The same outside of the mask.
        fit: Whether a mask of the picture's shape but another size is enlarged or reduced.
        save: Where the trimap made from the mask is kept, if it is.
    """

    mask: Path | None
    band: str
    inside: str | None
    outside: str | None
    fit: bool
    save: Path | None

    def typed(self) -> list[str]:
        """The options that only the trimap of a mask has, as far as they were given."""
        given = {"--band": self.band != "auto", "--inside": self.inside, "--outside": self.outside, "--fit": self.fit}
        return [option for option, value in given.items() if value]


@contextmanager
def given_trimap(
    picture: Path,
    trimap: Path | None,
    made_from: MaskOptions,
    *,
    outputs: "Outputs",
    network: "NetworkChoice",
    reading: "InputOptions",
    memory: int | str | None,
) -> Generator[Path]:
    """The trimap's file. One made from a mask lies in a temporary folder, or where `save` says.

    Raises:
        InputError: Both or neither of trimap and mask, or a mask that makes no trimap.
        OutputError: An output is one of the inputs or cannot be written; told before the trimap is made.
    """
    mask, save = made_from.mask, made_from.save
    if mask is None:
        if trimap is None:
            raise InputError("there is no trimap and no mask", hint="Give TRIMAP after PICTURE, or --mask FILE.")
        if save is not None:
            raise InputError("--save-trimap keeps the trimap of a --mask, and there is none", hint="Leave it out.")
        for option in made_from.typed():
            raise InputError(f"{option} is of the trimap of a --mask, and there is none", hint="Leave it out.")
        yield trimap
        return
    if trimap is not None:
        raise InputError(f"both a trimap ({trimap}) and --mask {mask} were given", hint="Leave one of them out.")
    from hdmatt.inference.outputs import check_outputs
    from hdmatt.pictures.reader import open_picture
    from hdmatt.trimaps.make import check_trimap_path, trimap_rows, write_rows
    from hdmatt.trimaps.masks import MaskSource
    from hdmatt.trimaps.widths import BandWidths

    check_outputs(outputs, picture, mask)
    if save is not None:
        check_trimap_path(save, [picture, mask])
        if save.resolve() in [path.resolve() for path in outputs.paths()]:
            raise InputError("--save-trimap and an output have the same path", hint="Give each its own file.")
    widths = BandWidths.parse(made_from.band, made_from.inside, made_from.outside, picture=True)
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as folder:
        path = save or Path(folder) / "trimap.png"
        with ExitStack() as stack:
            opened = stack.enter_context(open_picture(picture, reading))
            source = MaskSource(mask, fit=made_from.fit)
            rows = trimap_rows(stack, source, opened, widths, network=network, input_options=reading, memory=memory)
            write_rows(rows, path)
        yield path
