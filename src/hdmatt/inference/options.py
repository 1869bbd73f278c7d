"""What is asked of the engine, what it will do, and what it did.

Options     how patches are placed, chosen and joined
Plan        which patches are decoded, which may serve as context, how many at a time
Counters    how many patches were encoded, decoded and read
Rows        what the engine needs of a picture or a trimap
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import numpy as np

from hdmatt.patches.windows import Window
from hdmatt.pictures.info import PictureInfo

WINDOWS = ("fewest", "grid")
Progress = Callable[[int, int], None]  # patches done, patches in all


@runtime_checkable
class Rows(Protocol):
    """What the engine needs of a picture or a trimap: its size, and any band of its rows."""

    @property
    def info(self) -> PictureInfo: ...

    def rows(self, y0: int, y1: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Options:
    """What is asked of the engine.

    Attributes:
        patch: Side of a patch in pixels, a multiple of 8.
        overlap: Pixels that neighbours share, 0 to patch // 2.
        topk: Context patches a query looks at (K); 0 switches the context off.
        candidates: Patches in the context pool at most (N).
        memory: Limit of the process's peak memory in bytes; None: half of what the machine has free.
        batch: Patches computed at once; None: 1 on a CPU, elsewhere as many as the limit allows. Always 1 with
            layers in bfloat16 on a CPU, where a batch would move alpha by more than rounding.
        band: Rows read at a time, at least.
        reserve: Bytes of the limit that are kept for what runs beside the engine (colours).
        turns: Bytes of work that waits for patches and they for it (a tile's colours, the low-resolution alpha), so
            that the larger one counts.
        device: A torch device, "cpu", "cuda:0", "mps", or several of one kind, "cuda:0,cuda:1"; one of them may be
            named twice. api.pick_device checks it.
        windows: "fewest" places the patches where the unknown pixels are, "grid" at fixed steps.
        blend: Weight of a patch's pixels where patches overlap (patches/stitch.py): "paper" falls linearly towards the
            patch's border, "smooth" with the square of that.
        small_first: Whether pictures longer than 1800 pixels are first matted at reduced size (overview/guide.py).
    """

    patch: int = 320
    overlap: int = 64
    topk: int = 7
    candidates: int = 30
    memory: int | None = None
    batch: int | None = None
    band: int = 256
    reserve: int = 0
    turns: int = 0
    device: str = "cpu"
    windows: str = "fewest"
    blend: str = "smooth"
    small_first: bool = True

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
class Plan:
    """What will be done, known before the first pixel of the picture is read."""

    options: Options
    height: int
    width: int
    unknown: int  # unknown pixels
    queries: list[Window]  # patches to decode: those with unknown pixels
    pool: list[Window]  # context candidates
    field: bool  # whether the picture is read once more, for the known colours around each patch
    batch: int
    limit: int  # bytes
    peak: int  # expected peak memory of the process, bytes
    on_grid: int  # patches that the fixed grid would decode
    cache: int  # candidates that are queries, too, and whose features are kept until they are decoded
    cache_bytes: int  # of the context pool, these features and stems
    stems: int  # of these patches, those whose first layers are kept, too; on a CPU only

    @property
    def encodes(self) -> int:
        """Patches that pass the encoder: every query and every candidate, but those of the cache only once."""
        return len(self.queries) + len(self.pool) - self.cache

    @property
    def first_layers(self) -> int:
        """Times that a patch passes hints and first layers, batches of one: for the pool and again, unless kept."""
        return len(self.queries) + len(self.pool) - self.stems


@dataclass
class Counters:
    """What a run did."""

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
        """Add what several threads counted, each for itself."""
        for field in fields(self):
            found = [getattr(one, field.name) for one in of]
            more = max(found) if field.name == "network_seconds" else sum(found)
            setattr(self, field.name, getattr(self, field.name) + more)
