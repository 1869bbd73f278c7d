"""The methods that `hdmatt eval` compares: their names and their settings.

Names and values only: no torch, no pixels, no files. Read top to bottom:

    Settings        how our own methods run, unless a name says otherwise
    KINDS           every kind of method -> the settings that its name may change
    Method          a name, taken apart
    parse_method    "hdmatt:topk=0,overlap=32" -> Method

So several settings of one method stand side by side in one report. Who computes them is in evaluation/evaluate.py and
evaluation/peers.py.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hdmatt.errors import InputError
from hdmatt.inference.options import NetworkChoice, Options
from hdmatt.system import memory


@dataclass(frozen=True)
class Settings:
    """How our own methods run. Plain values: they travel to processes without torch.

    Patches lie on the grid, since the seam score needs borders that run through the whole picture.
    """

    options: Options = field(default_factory=lambda: Options(windows="grid"))
    network: NetworkChoice = field(default_factory=lambda: NetworkChoice(device="cpu"))

    def record(self) -> dict[str, Any]:
        """All of them by name, JSON-able."""
        return {**asdict(self.network), "model": str(self.network.model), **asdict(self.options)}


NETWORK = ("hdmatt", "crop", "tiles", "downsample", "whole")  # ours
CLASSICAL = ("cf", "knn", "lbdm", "lkm", "rw", "sm")  # PyMatting's
GEGL = ("gegl-global", "gegl-levin")
VITMATTE = ("vitmatte", "vitmatte-patches", "vitmatte-tiles", "vitmatte-downsample")
FOLDER = "folder"
WITH_PATH = (*VITMATTE, FOLDER)

_PLACED = ("model", "patch", "overlap", "windows", "blend", "memory", "batch", "runtime", "precision", "mixing")

KINDS: Mapping[str, tuple[str, ...]] = {
    "hdmatt": (*_PLACED, "topk", "candidates", "small_first", "whole_picture"),
    "crop": _PLACED,
    "tiles": ("model", "patch", "memory", "batch", "mixing"),
    "downsample": ("model", "memory", "mixing"),
    "whole": ("model", "memory", "mixing"),
    **dict.fromkeys((*CLASSICAL, *GEGL, FOLDER), ()),
    "vitmatte": (),
    "vitmatte-patches": ("patch", "overlap", "batch"),
    "vitmatte-tiles": ("patch", "batch"),
    "vitmatte-downsample": (),
}
_NUMBERS = ("patch", "overlap", "topk", "candidates", "batch")  # settings that are whole numbers
_SWITCHES = {"yes": True, "no": False}
_NO_OVERLAP = ("tiles", "vitmatte-tiles")
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


def parse_method(name: str, settings: Settings) -> Method:
    """The method that a name stands for.

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
    values: dict[str, Any] = {"overlap": 0} if kind in _NO_OVERLAP else {}
    values |= dict(_value(name, kind, change) for change in changes)
    return Method(name, kind, _changed(settings, values), path)


def _split(text: str, keys: tuple[str, ...]) -> tuple[str, list[str]]:
    """A path, which may hold any character, and the changes behind it."""
    changes: list[str] = []
    while keys and (found := re.fullmatch(rf"(.*),((?:{'|'.join(keys)})=[^,=]*)", text)):
        text = found[1]
        changes.insert(0, found[2])
    return text, changes


def _value(name: str, kind: str, change: str) -> tuple[str, Any]:
    """A setting's name and value from "key=value"."""
    key, _, text = change.partition("=")
    if key not in KINDS[kind]:
        known = ", ".join(KINDS[kind]) or "none: use it without a colon"
        raise InputError(f"{name!r} asks for {change!r}, which is no setting of {kind}", hint=f"It has {known}.")
    if key in _NUMBERS:
        if not re.fullmatch(r"-?\d+", text):
            raise InputError(f"{name!r} sets {key} to {text!r}", hint=f"Give a whole number, like {key}=2.")
        return key, int(text)
    if key in ("small_first", "whole_picture"):
        if text not in _SWITCHES:
            raise InputError(f"{name!r} sets {key} to {text!r}", hint=f"Give {key}=yes or {key}=no.")
        return key, _SWITCHES[text]
    if key == "memory":
        return key, memory.parse_bytes(text)
    if not text:
        raise InputError(f"{name!r} names no {key}", hint=f"Give one, like {key}={Settings().record()[key]}.")
    return key, text


def _changed(settings: Settings, values: Mapping[str, Any]) -> Settings:
    of_network = {key: value for key, value in values.items() if key in NetworkChoice.__dataclass_fields__}
    others = {key: value for key, value in values.items() if key not in of_network}
    return Settings(replace(settings.options, **others), replace(settings.network, **of_network))
