"""The numbers of one matte, from its file and the test picture's; and the borders on which its seams are looked for.

Knows metrics, methods and files; nothing of processes and records. Read top to bottom:

    PatchBorders      borders of patches, and whether the method that is scored made them itself
    reference_grid    the method whose grid others are compared on
    borders_of        a method's own borders, or those of the reference grid
    score_file        all numbers of a matte, as fields of ledger.ScoreRow
    seams             those on the borders alone

A seam score means little without one of a matte that has no seams, on the same borders of the same pictures: detail
that lies there by chance moves it, too. So methods that cut nothing are measured there as well (`seam_control`), and
so is the truth (`seam_truth`: its own steps, since it has no error).
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from hdmatt.evaluation.items import read_bytes, read_marks, require_path
from hdmatt.evaluation.methods import Method, Settings
from hdmatt.evaluation.metrics import score
from hdmatt.evaluation.run_method import GRID_METHODS, TILES, windows
from hdmatt.evaluation.seams import Borders, patch_borders, seam
from hdmatt.evaluation.testsets import Item

_Bytes = UInt8[np.ndarray, "h w"]


class PatchBorders(NamedTuple):
    """Borders of patches in pictures of any size."""

    method: Method  # one that cuts along whole rows and columns
    own: bool  # whether it is the method that is scored

    @property
    def text(self) -> str:
        """As rows have it: grid and tiles, side of a patch, overlap."""
        options = self.method.settings.options
        if self.method.kind in TILES:
            return f"tiles {options.patch}"
        return f"grid {options.patch} {options.overlap}"

    def borders(self, height: int, width: int) -> Borders:
        """Those inside of a picture."""
        return patch_borders(windows(self.method, height, width) or (), height=height, width=width)


def reference_grid(methods: Iterable[Method], settings: Settings) -> Method:
    """The first method on the grid; hdmatt on it with the call's settings if there is none."""
    on_grid = replace(settings, options=replace(settings.options, windows="grid"))
    return next(
        (one for one in methods if one.kind in GRID_METHODS and _cuts(one)), Method("hdmatt", "hdmatt", on_grid)
    )


def borders_of(method: Method, control: Method) -> PatchBorders | None:
    """The patch borders to score a method on; None if its patches do not lie on whole rows and columns."""
    if _cuts(method):
        return PatchBorders(method, own=True)
    return None if method.kind in GRID_METHODS else PatchBorders(control, own=False)


def _cuts(method: Method) -> bool:
    return method.kind in TILES or (method.kind in GRID_METHODS and method.settings.options.windows == "grid")


def score_file(path: Path, item: Item, borders: PatchBorders | None) -> dict[str, Any]:
    """SAD, MSE, Grad, Conn, MAD and what `seams` finds."""
    matte, truth, trimap = read_bytes(path), read_bytes(require_path(item.alpha)), read_marks(require_path(item.trimap))
    return {**asdict(score(matte, truth, trimap)), **_seams(matte, truth, trimap, borders)}


def seams(path: Path, item: Item, borders: PatchBorders | None) -> dict[str, Any]:
    """`seam` on the method's own borders or `seam_control` on others; `seam_truth` there; `borders`, their name.

    What cannot be told (no border in the picture, a flat error) is None, with a note where it is infinite.
    """
    return _seams(
        read_bytes(path), read_bytes(require_path(item.alpha)), read_marks(require_path(item.trimap)), borders
    )


def _seams(matte: _Bytes, truth: _Bytes, trimap: _Bytes, borders: PatchBorders | None) -> dict[str, Any]:
    found: dict[str, Any] = {"seam": None, "seam_control": None, "seam_truth": None, "borders": "", "note": None}
    if borders is None:
        return found
    lines = borders.borders(*truth.shape)
    value = seam(matte, truth, trimap, lines)
    found["seam" if borders.own else "seam_control"] = value if math.isfinite(value) else None
    if math.isinf(value) and borders.own:
        found["note"] = "seam is infinite: the error changes on the patch borders only"
    detail = seam(truth, np.zeros_like(truth), trimap, lines)
    return {**found, "seam_truth": detail if math.isfinite(detail) else None, "borders": borders.text}
