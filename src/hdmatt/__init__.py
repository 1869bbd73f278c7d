"""hdmatt: alpha mattes of pictures as large as cameras make them.

    matte        picture and trimap -> Matte (alpha, foreground, cut-out, composite)
    load_model   weights by name or file, to be reused between calls
    Matte        what matte() returns
    HDMattError  base class of every error raised here

Nothing else is public. Importing this package loads neither torch nor any picture library.
"""

from typing import TYPE_CHECKING, Any

from hdmatt.errors import HDMattError

if TYPE_CHECKING:
    from hdmatt.api import Matte, matte
    from hdmatt.inference.load import load_model

__version__ = "0.1.0"
__all__ = ["HDMattError", "Matte", "load_model", "matte"]


def __getattr__(name: str) -> Any:
    if name in {"Matte", "load_model", "matte"}:
        from hdmatt import api

        return getattr(api, name)
    raise AttributeError(f"module 'hdmatt' has no attribute {name!r}")
