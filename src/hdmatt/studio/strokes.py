"""What a pen did, and the pixels that it covers: exact, a band of rows at a time.

Arrays only; knows no trimap and no file. Lengths are pixels, y before x; a pixel counts by its centre, which lies at
(row + 1/2, column + 1/2). Read top to bottom:

    Box             a rectangle of the picture
    Stroke          what was drawn: a brush's path, a lasso, a place to fill, a place to widen
    covered         the pixels inside of a stroke, in a box
    path_mask       the pixels under a brush
    polygon_mask    the pixels inside of a closed line
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool

from hdmatt.errors import InputError
from hdmatt.pictures.box import Box
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from hdmatt.system.values import kind_of, whole_number, word

KINDS = ("brush", "lasso", "fill", "widen")
LABELS = (BACKGROUND, UNKNOWN, FOREGROUND)
MOST_POINTS = 20_000
LARGEST_RADIUS = 10_000.0


@dataclass(frozen=True)
class Stroke:
    """What was drawn.

    Attributes:
        kind: "brush": the points are a path under a round brush. "lasso": they are the corners of a closed line, by the
            even-odd rule. "fill": the connected area of one label around the first point. "widen": pixels under the
            brush that lie within `amount` of an unknown pixel.
        label: What the pixels become: 0 (background), 128 (unknown) or 255 (foreground); "widen" makes them unknown.
        points: (y, x, radius) in pixels of the picture; lasso and fill ignore the radius. A brush's radius may change
            along the path: between two points it covers the convex hull of their discs.
        amount: Pixels, for "widen".

    Raises:
        InputError: Another kind or label, no points or too many, numbers that are not finite or out of range, or what
            is no number.
    """

    kind: str
    label: int
    points: tuple[tuple[float, float, float], ...]
    amount: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", whole_number("label", self.label))
        if word("kind", self.kind) not in KINDS:
            raise InputError(f"a stroke of kind {self.kind!r}", hint=f"We need one of: {', '.join(KINDS)}.")
        if self.label not in LABELS:
            raise InputError(f"a stroke with the label {self.label!r}", hint="We need 0, 128 or 255.")
        values = _numbers(self.points)
        if not 1 <= len(values) <= MOST_POINTS:
            raise InputError(
                f"a stroke of {len(values)} points", hint=f"We need 1 to {MOST_POINTS}; send long ones in pieces."
            )
        if values.shape != (len(values), 3) or not np.isfinite(values).all() or np.abs(values).max() > 1e7:
            raise InputError("a stroke's points are not finite numbers", hint="We need (y, x, radius) in pixels.")
        object.__setattr__(self, "points", tuple(map(tuple, values.tolist())))
        if values[:, 2].min() < 0 or values[:, 2].max() > LARGEST_RADIUS:
            raise InputError(
                f"a brush of radius {values[:, 2].max():g}", hint=f"We need 0 to {LARGEST_RADIUS:g} pixels."
            )
        amount: Any = self.amount
        if isinstance(amount, bool) or not isinstance(amount, int | float | np.number):
            raise InputError(f"widening by {kind_of(self.amount)}", hint="We need a number of pixels, 0 to 1000.")
        object.__setattr__(self, "amount", float(self.amount))
        if not 0 <= self.amount <= 1000:
            raise InputError(f"widening by {self.amount:g} pixels", hint="We need 0 to 1000.")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Stroke":
        """A stroke from what JSON holds.

        Raises:
            InputError: It is none.
        """
        try:
            points = tuple((float(y), float(x), float(radius)) for y, x, radius in values["points"])
            return cls(str(values["kind"]), int(values["label"]), points, float(values.get("amount", 0)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                "this is no stroke", hint="We need kind, label and points: a list of [y, x, radius]."
            ) from error

    def values(self) -> dict[str, Any]:
        """What `of` takes, for JSON."""
        return {"kind": self.kind, "label": self.label, "points": self.points, "amount": self.amount}

    @property
    def box(self) -> Box:
        """A box around all pixels that it may cover; of a fill only its first point."""
        points = np.array(self.points if self.kind != "fill" else self.points[:1], np.float64)
        reach = points[:, 2:] if self.kind in ("brush", "widen") else np.zeros((len(points), 1))
        low, high = (points[:, :2] - reach).min(0), (points[:, :2] + reach).max(0)
        return Box(math.floor(low[0]), math.floor(low[1]), math.floor(high[0]) + 1, math.floor(high[1]) + 1)


def _numbers(points: Any) -> np.ndarray:
    """Points as an array; of a stroke's shape or not."""
    try:
        values = np.array(points)
    except (TypeError, ValueError):  # rows of different lengths
        values = np.array(None)
    if values.ndim < 1 or (values.size and values.dtype.kind not in "iuf"):
        raise InputError("a stroke's points are not finite numbers", hint="We need (y, x, radius) in pixels.")
    return values.astype(np.float64)


def covered(stroke: Stroke, box: Box) -> Bool[np.ndarray, "h w"]:
    """The pixels of a box that a brush or a lasso covers."""
    points = np.array(stroke.points, np.float64)
    return polygon_mask(points[:, :2], box) if stroke.kind == "lasso" else path_mask(points, box)


def path_mask(points: np.ndarray, box: Box) -> Bool[np.ndarray, "h w"]:
    """The pixels of a box whose centres lie in the convex hull of the discs of two neighbouring points.

    Each of these shapes is convex, so it covers one interval of every row. The intervals are added up along the row.

    Args:
        points: (y, x, radius), n x 3.
    """
    rows = np.arange(box.y0, box.y1) + 0.5
    changes = np.zeros((len(rows), box.x1 - box.x0 + 1), np.int32)
    pairs = pairwise(points) if len(points) > 1 else [(points[0], points[0])]
    for one, other in pairs:
        low, high = min(one[0] - one[2], other[0] - other[2]), max(one[0] + one[2], other[0] + other[2])
        some = slice(*np.searchsorted(rows, (low, high + 1)))  # those that the two discs reach, and one more
        _add_intervals(changes[some], box, *_hull_intervals(rows[some], one, other))
    return np.cumsum(changes[:, :-1], axis=1, dtype=np.int32) > 0


def polygon_mask(corners: np.ndarray, box: Box) -> Bool[np.ndarray, "h w"]:
    """The pixels of a box whose centres lie inside of a closed line, by the even-odd rule.

    Args:
        corners: (y, x), n x 2; the last is joined to the first.
    """
    crossings = np.zeros((box.y1 - box.y0, box.x1 - box.x0 + 1), np.int32)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        low, high = min(y0, y1), max(y0, y1)
        first, end = (min(max(math.ceil(y - 0.5), box.y0), box.y1) for y in (low, high))
        rows = np.arange(first, end)
        x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
        columns = np.clip(np.ceil(x - 0.5), box.x0, box.x1).astype(np.int64) - box.x0
        np.add.at(crossings, (rows - box.y0, columns), 1)
    return np.cumsum(crossings[:, :-1], axis=1, dtype=np.int32) % 2 == 1


def _hull_intervals(rows: np.ndarray, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each row enters and leaves the convex hull of two discs (y, x, radius); nowhere: entered at infinity."""
    (y0, x0, r0), (y1, x1, r1) = one.tolist(), other.tolist()
    enter, leave = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    for y, x, radius in ((y0, x0, r0), (y1, x1, r1)):
        square = radius * radius - (rows - y) ** 2
        half = np.sqrt(np.maximum(square, 0))
        enter = np.where(square >= 0, np.minimum(enter, x - half), enter)
        leave = np.where(square >= 0, np.maximum(leave, x + half), leave)
    length = math.hypot(y1 - y0, x1 - x0)
    if length <= abs(r0 - r1):
        return enter, leave  # one disc holds the other
    # the outer tangents touch both discs in the direction that leans by asin((r0 - r1) / length) from the normal
    lean, along = (r0 - r1) / length, ((y1 - y0) / length, (x1 - x0) / length)
    side = math.sqrt(1 - lean * lean)
    touching = []
    for sign in (1, -1):
        ny, nx = along[0] * lean - sign * along[1] * side, along[1] * lean + sign * along[0] * side
        touching.append(((y0 + r0 * ny, x0 + r0 * nx), (y1 + r1 * ny, x1 + r1 * nx)))
    (a, b), (d, c) = touching
    for (ya, xa), (yb, xb) in ((a, b), (b, c), (c, d), (d, a)):
        if ya == yb:
            continue
        inside = (rows >= min(ya, yb)) & (rows <= max(ya, yb))
        x = xa + (rows - ya) * ((xb - xa) / (yb - ya))
        enter = np.where(inside, np.minimum(enter, x), enter)
        leave = np.where(inside, np.maximum(leave, x), leave)
    return enter, leave


def _add_intervals(changes: np.ndarray, box: Box, enter: np.ndarray, leave: np.ndarray) -> None:
    rows = np.flatnonzero(enter <= leave)
    first = np.clip(np.ceil(enter[rows] - 0.5), box.x0, box.x1).astype(np.int64) - box.x0
    end = np.clip(np.floor(leave[rows] - 0.5) + 1, box.x0, box.x1).astype(np.int64) - box.x0
    some = first < end
    changes[rows[some], first[some]] += 1
    changes[rows[some], end[some]] -= 1
