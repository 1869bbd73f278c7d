"""Options of a run, its plan and its counters. Loads no torch.

Options         how patches are placed, chosen and joined, and the memory limit
NetworkChoice   which weights, computed by what, and where
RunOptions      Options, with what one run adds to them
Plan            which patches are decoded, which may serve as context, how many at a time
options_given   the Options that a caller gave, or the defaults
Counters        how many patches were encoded, decoded and read
RowSource       what a run needs of a picture or a trimap
"""

import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from hdmatt.errors import InputError
from hdmatt.inference.names import DEFAULT_MODEL, WINDOWS
from hdmatt.network.config import STRIDE
from hdmatt.patches.stitch import BLENDS
from hdmatt.patches.windows import Part, Window, check_overlap
from hdmatt.pictures.colours.names import MIXINGS
from hdmatt.pictures.info import PictureInfo
from hdmatt.runtimes.names import PRECISIONS, RUNTIMES
from hdmatt.system import memory
from hdmatt.system.values import kind_of, switch, whole_number, word

Progress = Callable[[int, int], None]  # patches done, patches in all


@runtime_checkable
class RowSource(Protocol):
    """A picture or a trimap for a run: its size, and any band of its rows."""

    @property
    def info(self) -> PictureInfo: ...

    def rows(self, y0: int, y1: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Options:
    """How patches are placed, chosen and joined, and the memory that this may take.

    Attributes:
        patch: Side of a patch in pixels, a multiple of 8, 64 or more; the models are trained on 320.
        overlap: Pixels that neighbours share, 0 to patch // 2.
        topk: Context patches that a patch attends to (K); 0 switches the context off.
        candidates: Patches in the context pool at most (N).
        windows: "fewest" places as few patches as we find over the unknown pixels, "grid" at fixed steps.
        blend: Weight of a patch's pixels where patches overlap: "paper" falls linearly towards the patch's border,
            "smooth" with the square of that.
        small_first: Whether pictures longer than 1800 pixels are first matted at reduced size, for the low frequencies
            of the matte.
        memory: Limit of the process's peak memory in bytes, or as text ("2GiB"; kept as bytes). Arrays that `matte`
            returns come on top. None: half of what the machine has free.
        batch: Patches computed at once. None: 1 on a CPU, elsewhere as many as the limit allows. Always 1 with layers
            in bfloat16 on a CPU, where a batch would move alpha by more than rounding.
        mixing: How the picture's colours mix where alpha is between 0 and 1: "linear" as in a photograph, "display" as
            in the composite of a program, or "auto": unknown; the picture is not converted.
        whole_picture: Whether the whole picture, shrunk to a patch, is a context of every patch, and patches of scales
            between are candidates; for networks that were trained with it.

    Raises:
        InputError: A value that cannot work.
    """

    patch: int = 320
    overlap: int = 64
    topk: int = 7
    candidates: int = 30
    windows: str = "fewest"
    blend: str = "smooth"
    small_first: bool = True
    memory: int | str | None = None
    batch: int | None = None
    mixing: str = "auto"
    whole_picture: bool = False

    def __post_init__(self) -> None:
        for name, least in (("patch", 0), ("overlap", None), ("topk", 0), ("candidates", 1), ("batch", 1)):
            if name != "batch" or self.batch is not None:
                object.__setattr__(self, name, whole_number(name, getattr(self, name), least))
        if isinstance(self.memory, str):
            object.__setattr__(self, "memory", memory.parse_bytes(self.memory))
        elif self.memory is not None:
            object.__setattr__(self, "memory", whole_number("memory", self.memory, 1))
        object.__setattr__(self, "small_first", switch("small_first", self.small_first))
        object.__setattr__(self, "whole_picture", switch("whole_picture", self.whole_picture))
        if self.patch < 64 or self.patch % STRIDE:
            raise InputError(
                f"a patch of {self.patch} pixels does not work",
                hint=f"Choose a multiple of {STRIDE}, 64 or more; the models are trained on 320.",
            )
        check_overlap(self.patch, self.overlap)
        if self.whole_picture and not self.topk:
            raise InputError(
                "the whole picture is a context of every patch, and no context is wanted (topk 0)",
                hint="Leave --whole-picture out, or give --topk 1 or more.",
            )
        _check_choice("windows", self.windows, WINDOWS)
        _check_choice("blend", self.blend, BLENDS)
        _check_choice("mixing", self.mixing, MIXINGS)

    @classmethod
    def paper(cls) -> "Options":
        """The paper's way through a picture: a fixed grid, linear blending weights, and no smaller picture.

        The three most similar of 30 patches are context. Patches of 320 pixels are the training's; the paper does not
        say how far they overlap.

        Source:
            HDMatt, "Implementation details" and "Patch cropping and stitching".
        """
        return cls(topk=3, candidates=30, windows="grid", blend="paper", small_first=False)


@dataclass(frozen=True)
class NetworkChoice:
    """Which weights, computed by what, and where.

    Attributes:
        model: A name that `hdmatt info` lists, or a safetensors file.
        runtime: "auto", "torch", "folded", "compiled", "onnx" or "openvino" (docs/runtimes.md).
        precision: "fp32", "bf16", or "auto": bf16 for the folded runtime on a processor or GPU that multiplies it.
        device: "auto" (CUDA, then Apple's MPS, then the CPU), a device that `hdmatt info` lists, several of one kind by
            commas ("cuda:0,cuda:1"), or "cuda:all".

    Raises:
        InputError: There is no such runtime or precision. Whether the model and the device are there is found when
            they are used.
    """

    model: str | Path = DEFAULT_MODEL
    runtime: str = "auto"
    precision: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.model, os.PathLike):
            object.__setattr__(self, "model", Path(os.fsdecode(self.model)))
        elif not isinstance(self.model, str):  # pyright: ignore[reportUnnecessaryIsInstance]  users without types
            raise InputError(
                f"the network is {kind_of(self.model)}",
                hint="Give a name, a safetensors file, a NetworkChoice, or what load_model returned.",
            )
        word("device", self.device)
        _check_choice("runtime", self.runtime, ("auto", *RUNTIMES))
        _check_choice("precision", self.precision, ("auto", *PRECISIONS))


@dataclass(frozen=True)
class RunOptions(Options):
    """Options, with what one run adds to them.

    Attributes:
        device: Where the network lies, as `devices.pick_device` gives it.
        band: Rows read at a time, at least.
        reserved_bytes: Memory for work beside the patches: foreground colours, files that are written in one piece.
        exclusive_bytes: Memory of work that never runs while patches are computed: a tile's colours, the
            low-resolution alpha. Of the two the larger counts.
    """

    memory: int | None = None
    device: str = "cpu"
    band: int = 256
    reserved_bytes: int = 0
    exclusive_bytes: int = 0

    @classmethod
    def of(cls, options: Options, **added: Any) -> "RunOptions":
        """The same options for a run; those that are a run's already keep what they have beside `added`."""
        return cls(**{**vars(options), **added})


@dataclass(frozen=True)
class Plan:
    """The plan of a run, made before the first pixel of the picture is read."""

    options: RunOptions
    height: int
    width: int
    unknown: int  # unknown pixels
    queries: list[Window]  # patches to decode: those with unknown pixels
    pool: list[Window]  # context candidates
    known_colours: bool  # whether the picture is read once more, for the known colours around each patch
    batch: int
    limit: int  # bytes
    peak: int  # expected peak memory of the process, bytes
    on_grid: int  # patches that the fixed grid would decode
    cache: int  # candidates that are queries, too, whose features are kept until they are decoded
    cache_bytes: int  # of the context pool, these features and stems
    stems: int  # of these patches, those whose first layers are kept, too; on a CPU only
    part: Part  # of each window, that the network computes

    @property
    def encodes(self) -> int:
        """Patches that pass the encoder: every query and every candidate, but those of the cache only once."""
        return len(self.queries) + len(self.pool) - self.cache

    @property
    def first_layers(self) -> int:
        """Times that a patch passes the first layers, in batches of one: for the pool, and again unless kept."""
        return len(self.queries) + len(self.pool) - self.stems


@dataclass
class Counters:
    """Counts and times of a run."""

    encoded: int = 0
    decoded: int = 0
    rows_read: int = 0
    cache_hits: int = 0  # queries whose features were kept from the pool
    cache_misses: int = 0  # queries that were encoded when their turn came
    stems: int = 0  # times that a patch passed the first layers
    network_seconds: float = 0.0  # in the network alone, of several devices the longest: no reading or stitching

    @contextmanager
    def network(self) -> Generator[None]:
        """Add the time of the block to `network_seconds`; a GPU must have done its work when it ends."""
        started = time.perf_counter()
        yield
        self.network_seconds += time.perf_counter() - started

    def join(self, of: Sequence["Counters"]) -> None:
        """Add the counts of several threads."""
        for field in fields(self):
            found = [getattr(one, field.name) for one in of]
            more = max(found) if field.name == "network_seconds" else sum(found)
            setattr(self, field.name, getattr(self, field.name) + more)


def options_given(options: Any) -> Options:
    """The options of a caller; None: the defaults.

    Raises:
        InputError: Something else than Options.
    """
    if options is None:
        return Options()
    if not isinstance(options, Options):
        raise InputError(f"options is {kind_of(options)}", hint="Give hdmatt.Options(patch=320), for example.")
    return options


def _check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} is {value!r}", hint=f"Choose one of: {', '.join(choices)}.")
