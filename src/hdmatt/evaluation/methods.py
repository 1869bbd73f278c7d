"""The methods that `hdmatt eval` compares: what a name stands for, and with which settings it runs.

Names and values only: no torch, no pixels, no files. Read top to bottom:

    Settings    how our own methods run, unless a name says otherwise
    KINDS       every kind of method -> the settings that its name may change
    Method      a name, taken apart
    parse       "hdmatt:topk=0,overlap=32" -> Method
    with_strategies    --strategy: "hdmatt" by crop and tiles -> "crop", "tiles"

So several settings of one method stand side by side in one report. Who computes them is in evaluation/evaluate.py and
evaluation/peers.py.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hdmatt.errors import InputError
from hdmatt.system import memory


@dataclass(frozen=True)
class Settings:
    """How hdmatt's own methods run; see engine.Options. Plain values: they travel to processes without torch."""

    model: str = "hdmatt-s"
    patch: int = 320
    overlap: int = 64
    topk: int = 7
    candidates: int = 30
    memory: int | None = None  # bytes
    device: str = "cpu"
    batch: int | None = None
    windows: str = "grid"  # inference.options.WINDOWS; the seam score needs borders that run through the whole picture
    runtime: str = "auto"  # api.load_network
    precision: str = "auto"


NETWORK = ("hdmatt", "crop", "tiles", "downsample", "whole")  # ours
CLASSICAL = ("cf", "knn", "lbdm", "lkm", "rw", "sm")  # PyMatting's
GEGL = ("gegl-global", "gegl-levin")
VITMATTE = ("vitmatte", "vitmatte-patches", "vitmatte-tiles", "vitmatte-downsample")
FOLDER = "folder"
WITH_PATH = (*VITMATTE, FOLDER)

# methods that say which network but not how it gets through a picture -> strategy -> the method that does it so
STRATEGIES: Mapping[str, Mapping[str, str]] = {
    "hdmatt": {name: name for name in NETWORK},
    "vitmatte": {
        "crop": "vitmatte-patches",
        "tiles": "vitmatte-tiles",
        "downsample": "vitmatte-downsample",
        "whole": "vitmatte",
    },
}

KINDS: Mapping[str, tuple[str, ...]] = {
    "hdmatt": ("model", "patch", "overlap", "topk", "candidates", "memory", "batch", "windows", "runtime", "precision"),
    "crop": ("model", "patch", "overlap", "memory", "batch", "windows", "runtime", "precision"),
    "tiles": ("model", "patch", "memory", "batch"),
    "downsample": ("model", "memory"),
    "whole": ("model", "memory"),
    **dict.fromkeys((*CLASSICAL, *GEGL, FOLDER), ()),
    "vitmatte": (),
    "vitmatte-patches": ("patch", "overlap", "batch"),
    "vitmatte-tiles": ("patch", "batch"),
    "vitmatte-downsample": (),
}
_TEXTS = ("model", "windows", "runtime", "precision")  # settings that are words
METHODS = tuple(f"{kind}:PATH" if kind in WITH_PATH else kind for kind in KINDS)  # as a user reads them


@dataclass(frozen=True)
class Method:
    """One method of one evaluation."""

    name: str  # as it was given; the rows' name
    kind: str  # a key of KINDS
    settings: Settings
    path: Path | None = None  # of WITH_PATH: weights, or finished mattes

    @property
    def on_device(self) -> bool:
        """Whether the method runs where --device says."""
        return self.kind in (*NETWORK, *VITMATTE)


def parse(name: str, settings: Settings) -> Method:
    """What a name stands for.

    Args:
        name: A kind; "KIND:PATH" for those with a folder; then any "key=value" that KINDS lists, by commas, as in
            "hdmatt:topk=0,overlap=32" or "vitmatte-patches:PATH,patch=512".
        settings: Where the name says nothing.

    Raises:
        InputError: No such kind or setting, a value that is none, or a path that is missing.
    """
    kind, colon, rest = name.partition(":")
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, 1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise InputError(f"there is no method {name!r}", hint=f"{hint}Choose of: {', '.join(METHODS)}.")
    path = None
    if kind in WITH_PATH:
        rest, changes = _split(rest, KINDS[kind])
        if not rest:
            raise InputError(f"the method {name!r} needs a folder", hint=f"Name it: {kind}:PATH.")
        path = Path(rest)
    else:
        changes = rest.split(",") if colon else []
    for change in changes:
        settings = _changed(settings, name, kind, change)
    return Method(name, kind, settings, path)


def with_strategies(methods: Sequence[str], strategies: Sequence[str]) -> list[str]:
    """The methods, `hdmatt` and `vitmatte:PATH` once for each strategy that they have, under the name of that.

    Others stay as they are: `tiles` and `vitmatte-patches:PATH` name their strategy themselves. ViTMatte takes no
    context, so it has no strategy `hdmatt`. Without strategies nothing changes.

    Raises:
        InputError: No such strategy; no method that takes one; a network has none of those asked for.
    """
    for strategy in strategies:
        if strategy not in NETWORK:
            near = get_close_matches(strategy, NETWORK, 1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise InputError(f"there is no strategy {strategy!r}", hint=f"{hint}Choose of: {', '.join(NETWORK)}.")
    if not strategies:
        return list(methods)
    kinds = {name: name.partition(":")[0] for name in methods}
    if not any(kind in STRATEGIES for kind in kinds.values()):
        raise InputError(
            f"--strategy {strategies[0]}, but none of the methods takes one: {', '.join(methods)}",
            hint="Add --method hdmatt or --method vitmatte:PATH, or leave --strategy out.",
        )
    found: list[str] = []
    for name, kind in kinds.items():
        known = STRATEGIES.get(kind)
        some = [known[one] + name.removeprefix(kind) for one in strategies if one in known] if known else [name]
        if known and not some:
            raise InputError(
                f"{name} has no strategy {' or '.join(strategies)}",
                hint=f"It has {', '.join(known)}; add one of them, or leave the method out.",
            )
        found += some
    return list(dict.fromkeys(found))


def _split(text: str, keys: tuple[str, ...]) -> tuple[str, list[str]]:
    """A path, which may hold any character, and the changes behind it."""
    changes: list[str] = []
    while keys and (found := re.fullmatch(rf"(.*),((?:{'|'.join(keys)})=[^,=]*)", text)):
        text = found[1]
        changes.insert(0, found[2])
    return text, changes


def _changed(settings: Settings, name: str, kind: str, change: str) -> Settings:
    key, _, text = change.partition("=")
    if key not in KINDS[kind]:
        known = ", ".join(KINDS[kind]) or "none: use it without a colon"
        raise InputError(f"{name!r} asks for {change!r}, which is no setting of {kind}", hint=f"It has {known}.")
    value: Any = text
    if key == "memory":
        value = memory.parse(text)
    elif key not in _TEXTS:
        if not re.fullmatch(r"-?\d+", text):
            raise InputError(f"{name!r} sets {key} to {text!r}", hint=f"Give a whole number, like {key}=2.")
        value = int(text)
    elif not text:
        raise InputError(f"{name!r} names no {key}", hint=f"Give one, like {key}={getattr(Settings(), key)}.")
    return replace(settings, **{key: value})
