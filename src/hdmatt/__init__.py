"""hdmatt computes alpha mattes of photographs of any resolution.

    matte            picture and trimap -> Matte (arrays or paths in, arrays out)
    Matte            alpha, foreground, cut-out, composite
    batch            many files in, files out, in processes of their own; a second call goes on where one stopped
    BatchOptions     where a batch finds trimaps, what it computes again; BatchResult is the result of one picture
    matte_files      files in, files out, in bounded memory; plan_files says what that would take
    Outputs          which files matte_files writes; RunSummary and RunForecast are what the two return
    Options          how patches are placed, chosen and joined, and the memory limit; Options.paper() is the paper's way
    InputOptions     which layer of a picture file is read, and how large it may be
    NetworkChoice    which weights, by which runtime, in which precision, on which device
    load_model       weights by name or file, as a network of one's own
    attend           what one unknown pixel looks at (the paper's Fig. 7), as an Attention
    make_trimap      a trimap from a mask; MaskSource is a mask that is no file of its own: a layer, a box, strokes
    check_trimap     what is wrong with a trimap: a TrimapCheck with a tuple of Finding, each with a tuple of Place
    Session          a trimap that is painted while the matte follows; Stroke is what a pen did
    score            a matte against the truth, as Scores (SAD, MSE, Grad, Conn, MAD)
    HDMattError      base of every error raised here: InputError, ModelError, OutputError, MemoryLimitError
    NoUnknownWarning the trimap has no unknown pixel
    InexactWarning   the matte's format changes sure pixels
    MaskWarning      a mask is nearly all or nearly nothing of the picture, or looks inverted

Nothing else is public. Importing this package loads neither torch nor any picture library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hdmatt.errors import (
    HDMattError,
    InexactWarning,
    InputError,
    MaskWarning,
    MemoryLimitError,
    ModelError,
    NoUnknownWarning,
    OutputError,
)

if TYPE_CHECKING:
    from hdmatt.api import Matte, matte
    from hdmatt.batching.batch import batch
    from hdmatt.batching.options import BatchOptions
    from hdmatt.batching.run import BatchResult
    from hdmatt.evaluation.metrics import Scores, score
    from hdmatt.figures.attention import Attention, attend
    from hdmatt.inference.files import matte_files, plan_files
    from hdmatt.inference.load import load_model
    from hdmatt.inference.options import NetworkChoice, Options
    from hdmatt.inference.outputs import Outputs
    from hdmatt.inference.summary import RunForecast, RunSummary
    from hdmatt.pictures.info import InputOptions
    from hdmatt.studio.session import Session
    from hdmatt.studio.strokes import Stroke
    from hdmatt.trimaps.check import check_trimap
    from hdmatt.trimaps.findings import Finding, Place, TrimapCheck
    from hdmatt.trimaps.make import make_trimap
    from hdmatt.trimaps.masks import MaskSource

__version__ = "0.9.0"
__all__ = [
    "Attention",
    "BatchOptions",
    "BatchResult",
    "Finding",
    "HDMattError",
    "InexactWarning",
    "InputError",
    "InputOptions",
    "MaskSource",
    "MaskWarning",
    "Matte",
    "MemoryLimitError",
    "ModelError",
    "NetworkChoice",
    "NoUnknownWarning",
    "Options",
    "OutputError",
    "Outputs",
    "Place",
    "RunForecast",
    "RunSummary",
    "Scores",
    "Session",
    "Stroke",
    "TrimapCheck",
    "attend",
    "batch",
    "check_trimap",
    "load_model",
    "make_trimap",
    "matte",
    "matte_files",
    "plan_files",
    "score",
]

_MODULES = {  # a public name -> the module that is loaded when it is first used
    "Attention": "figures.attention",
    "attend": "figures.attention",
    "check_trimap": "trimaps.check",
    "Finding": "trimaps.findings",
    "batch": "batching.batch",
    "BatchOptions": "batching.options",
    "BatchResult": "batching.run",
    "InputOptions": "pictures.info",
    "load_model": "inference.load",
    "make_trimap": "trimaps.make",
    "MaskSource": "trimaps.masks",
    "matte": "api",
    "Matte": "api",
    "matte_files": "inference.files",
    "NetworkChoice": "inference.options",
    "Options": "inference.options",
    "Outputs": "inference.outputs",
    "Place": "trimaps.findings",
    "plan_files": "inference.files",
    "RunForecast": "inference.summary",
    "RunSummary": "inference.summary",
    "score": "evaluation.metrics",
    "Scores": "evaluation.metrics",
    "TrimapCheck": "trimaps.findings",
    "Session": "studio.session",
    "Stroke": "studio.strokes",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'hdmatt' has no attribute {name!r}")
    return getattr(import_module(f"hdmatt.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
