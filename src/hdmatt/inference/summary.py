"""Summary and forecast of a run: plain data, in a module that loads neither torch nor NumPy.

PlanFacts      fields of both
RunSummary     what `matte_files` returns
RunForecast    what `plan_files` returns
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class PlanFacts:
    """Fields shared by a run's summary and its forecast. Lengths are pixels, memory is bytes."""

    width: int
    height: int
    unknown_share: float
    patches: int  # decoded, or to decode
    context_pool: int  # patches that contexts are chosen from
    windows: str
    blend: str
    small_first: bool
    batch: int
    expected_memory: int  # what the process holds at most by the plan, colours included
    memory_limit: int
    model: str
    strategy: str
    device: str
    runtime: str
    precision: str
    layer: str  # of an EXR, the layer that is the picture; "" for channels without a layer and other files
    trimap_layer: str
    data_window: (
        tuple[int, int, int, int] | None
    )  # x, y, width, height in the display window, where an EXR's two differ


@dataclass(frozen=True)
class RunSummary(PlanFacts):
    """Summary of a run of `matte_files`. `dataclasses.asdict` gives what `--json` prints."""

    snapped: int  # trimap pixels that were not exactly 0, 128 or 255
    encoded: int
    cache_hits: int  # patches whose features were kept from the context pool
    cache_misses: int  # patches that were encoded when their turn came
    seconds: float
    network_seconds: float  # of them in the network alone
    peak_memory: int  # what the process held at most
    outputs: list[str]
    notes: list[str]  # what a user should know about how the files were read and written
    trim: tuple[int, int, int, int] | None = None  # y0, x0, y1, x1 of the picture that all outputs hold; None: all
    mixing: str = "auto"  # how the picture's colours were taken to mix
    matte_for: str | None = None  # what alpha was converted for, and where the composite was mixed

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "RunSummary | None":
        """A summary from what `dataclasses.asdict` gave, also by way of JSON; None of anything else."""
        names = {one.name for one in fields(cls)}
        if not {one.name for one in fields(cls) if one.default is MISSING} <= set(values):
            return None
        known: dict[str, Any] = {name: value for name, value in values.items() if name in names}
        for name in ("data_window", "trim"):
            if known.get(name) is not None:
                known[name] = tuple(known[name])
        return cls(**known)


@dataclass(frozen=True)
class RunForecast(PlanFacts):
    """Forecast of a run of `matte_files`. `dataclasses.asdict` gives what `--plan --json` prints."""

    patches_on_grid: int  # that the fixed grid would decode
    encodes: int  # patches that pass the encoder
    cached: int  # patches whose features are kept from the context pool until they are decoded
    cache_bytes: int  # the pool and these features
    expected_seconds: float  # estimated from one patch and a few rows; without colours and encoding
