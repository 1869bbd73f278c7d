"""How a batch is put together and run.

BatchOptions    where trimaps are, what is done again, how much at a time
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hdmatt.errors import InputError
from hdmatt.system.values import checked_path, switch, whole_number, word

REDO = ("changed", "failed", "all")


def _width(name: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{name} is {value!r}", hint='Give "auto", pixels such as 20, or a share such as "2%".')
    return value


_CHECKS: dict[Callable[[str, Any], Any], str] = {
    checked_path: "trimaps masks manifest root ledger",
    switch: "fit listed sequence skip_unmatched overwrite",
    word: "frames shard ray",
    _width: "band inside outside",
    partial(whole_number, least=1): "max_failures workers threads",
}


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is put together and run.

    Attributes:
        trimaps: The only folder to look for trimaps in. None: beside the pictures (docs/batch.md).
        masks: A folder of masks; trimaps are made from them for the pictures that have none.
        band: Width of the unknown band of trimaps made from masks: "auto", 20, "20px", "2%" (docs/trimaps.md).
        inside: Its width inside of the mask; with "auto" how far it looks. None: as `band`.
        outside: The same outside of the mask.
        fit: Enlarge or reduce masks of their pictures' shape but another size.
        manifest: A CSV or JSON-lines file of pictures, trimaps, outputs and options, in place of `inputs`.
        listed: The inputs are names of a list: relative ones keep their folders in the outputs.
        root: What the folders of listed names are relative to.
        sequence: The pictures are frames: the frame number stays last in the outputs' names, missing ones are named.
        frames: Only these frames, as "1001-1100"; one that is missing is an error.
        shard: Part "I/N" of the batch, or "auto": by the variables of SLURM or Kubernetes.
        skip_unmatched: Leave pictures without a trimap out.
        overwrite: Replace outputs that no batch wrote.
        redo: "changed" computes what is missing or changed, "failed" also what failed, "all" everything.
        max_failures: Stop after so many pictures failed. None: never.
        workers: Pictures computed at once. None: by cores and memory.
        threads: Threads a picture. None: by its size.
        ray: Address of a Ray cluster that computes, "auto" or HOST:PORT. None: this machine computes.
        ledger: Where the ledger lies. None: in `.hdmatt` of the folder of results.

    Raises:
        InputError: A value that cannot work.
    """

    trimaps: str | Path | None = None
    masks: str | Path | None = None
    band: str | int | float = "auto"
    inside: str | int | float | None = None
    outside: str | int | float | None = None
    fit: bool = False
    manifest: str | Path | None = None
    listed: bool = False
    root: str | Path | None = None
    sequence: bool = False
    frames: str | None = None
    shard: str | None = None
    skip_unmatched: bool = False
    overwrite: bool = False
    redo: str = "changed"
    max_failures: int | None = None
    workers: int | None = None
    threads: int | None = None
    ray: str | None = None
    ledger: str | Path | None = None

    def __post_init__(self) -> None:
        if self.redo not in REDO:
            raise InputError(f"redo is {self.redo!r}", hint=f"Choose one of: {', '.join(REDO)}.")
        for check, names in _CHECKS.items():
            for name in names.split():
                value = getattr(self, name)
                if value is not None or check is switch or name == "band":
                    checked = check(name, value)
                    object.__setattr__(self, name, value if check is checked_path else checked)  # a URL stays one
        if self.trimaps is not None and self.manifest is not None:
            raise InputError("both trimaps and a manifest were given", hint="Name the trimaps in the manifest.")
