"""A composite and what it is made of, whole and cut into patches. NumPy and OpenCV only.

    Composite       foreground, alpha, background, trimap and picture, of one size
    Square          where a patch is cut
    cut_square      the arrays of one patch
    known_colours   the known colours and the small alpha of a whole composite
    mixed           C = (a F^t + (1 - a) B^t)^(1/t)

A patch is the exact composite of its own layers: they are resized, then mixed again. What the camera did to the whole
picture is added to the mixture.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32

from hdmatt.overview.known_colours import SAMPLE, KnownColours, KnownColoursBuilder
from hdmatt.overview.shrink import Shrinker
from hdmatt.pictures.trimap import UNKNOWN


class Square(NamedTuple):
    """Where a patch is cut from a composite: around `centre` (y, x), `side` pixels, turned by `angle` degrees."""

    centre: tuple[int, int]
    side: int
    flipped: bool = False
    angle: float = 0.0


class Composite(NamedTuple):
    """A picture and what it is made of, of one size; `damage` is what the camera did to it."""

    colours: np.ndarray
    alpha: np.ndarray
    background: np.ndarray
    trimap: np.ndarray
    damage: np.ndarray | None
    photo: np.ndarray
    tone: float

    @classmethod
    def of(
        cls, colours: np.ndarray, alpha: np.ndarray, background: np.ndarray, trimap: np.ndarray, tone: float
    ) -> "Composite":
        """The layers mixed, without camera faults."""
        return cls(colours, alpha, background, trimap, None, mixed(colours, alpha, background, tone), tone)

    def photographed(self, camera: Callable[[np.ndarray], np.ndarray]) -> "Composite":
        """The same, its picture as `camera` returns it; the very same array means no fault."""
        photo = camera(self.photo)
        return self if photo is self.photo else self._replace(photo=photo, damage=photo.astype(np.int16) - self.photo)

    def remixed(self, tone: float) -> "Composite":
        """The same in an encoding in which its colours mix with another exponent: C^(self.tone / tone), all layers."""
        if tone == self.tone:
            return self
        table = (255 * (np.arange(256) / 255) ** (self.tone / tone) + 0.5).astype(np.uint8)
        colours, background, photo = (cv2.LUT(one, table) for one in (self.colours, self.background, self.photo))
        made = Composite.of(colours, self.alpha, background, self.trimap, tone)
        damage = photo.astype(np.int16) - made.photo
        return made._replace(photo=photo, damage=damage if damage.any() else None)

    def shrunk(self, factor: float, *, least: int) -> "Composite":
        """All of it at `factor` of its size, no side below `least` pixels."""
        height, width = (max(least, round(side * factor)) for side in self.alpha.shape)
        return self._resized(np.s_[:, :], height, width)

    def square(self, y: int, x: int, side: int, *, angle: float, patch: int) -> "Composite":
        """The square at (y, x), turned around its middle by `angle` degrees, resized to `patch` pixels."""
        window = np.s_[y : y + side, x : x + side]
        if angle:
            return self._turned(y, x, side, angle)._resized(np.s_[:, :], patch, patch)
        return self._resized(window, patch, patch) if side != patch else self._windowed(window)

    def _windowed(self, window: tuple[slice, slice]) -> "Composite":
        colours, alpha, background, trimap, damage, photo, tone = self
        damage = None if damage is None else damage[window]
        return Composite(
            colours[window], alpha[window], background[window], trimap[window], damage, photo[window], tone
        )

    def _resized(self, window: tuple[slice, slice], height: int, width: int) -> "Composite":
        colours, alpha, background = (
            cv2.resize(layer[window], (width, height), interpolation=cv2.INTER_AREA)
            for layer in (self.colours, self.alpha, self.background)
        )
        trimap = cv2.resize(self.trimap[window], (width, height), interpolation=cv2.INTER_NEAREST)
        damage = self.damage
        if damage is not None:
            damage = cv2.resize(damage[window], (width, height), interpolation=cv2.INTER_AREA)
        return Composite.of(colours, alpha, background, trimap, self.tone)._damaged(damage)

    def _turned(self, y: int, x: int, side: int, angle: float) -> "Composite":
        middle, turn = (side - 1) / 2, np.deg2rad(angle)
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        inverse = np.column_stack([matrix, np.array([x, y]) + middle - matrix @ [middle, middle]])

        def warped(layer: np.ndarray, how: int) -> np.ndarray:
            flags = how | cv2.WARP_INVERSE_MAP
            return cv2.warpAffine(layer, inverse, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101)

        layers = (self.colours, self.alpha, self.background)
        colours, alpha, background = (warped(layer, cv2.INTER_LINEAR) for layer in layers)
        damage = None if self.damage is None else warped(self.damage, cv2.INTER_LINEAR)
        trimap = warped(self.trimap, cv2.INTER_NEAREST)
        return Composite.of(colours, alpha, background, trimap, self.tone)._damaged(damage)

    def _damaged(self, damage: np.ndarray | None) -> "Composite":
        if damage is None:
            return self
        return self._replace(damage=damage, photo=np.clip(self.photo + damage, 0, 255).astype(np.uint8))


def cut_square(
    composite: Composite, square: Square, *, patch: int, whole: Composite, field: KnownColours | None
) -> tuple[np.ndarray, ...]:
    """F, alpha, B, trimap, picture and surroundings of a square, moved inside of the composite, resized to the patch.

    Args:
        composite: The whole composite, or all of it shrunk.
        square: Its centre in pixels of `whole`, its side in pixels of `composite`.
        field: Of `whole`; None: the surroundings are an empty array.
    """
    height, width = composite.alpha.shape
    side = min(square.side, height, width)
    enlarged = whole.alpha.shape[0] / height, whole.alpha.shape[1] / width
    y, x = (
        min(max(round(centre / scale) - side // 2, 0), length - side)
        for centre, scale, length in zip(square.centre, enlarged, (height, width), strict=True)
    )
    part = composite.square(y, x, side, angle=square.angle, patch=patch)
    wrong = ((part.trimap == 255) & (part.alpha < 250)) | ((part.trimap == 0) & (part.alpha > 5))
    honest = np.where(wrong, UNKNOWN, part.trimap).astype(np.uint8)
    around = np.empty(0, np.float32)
    if field is not None:
        around = field.surroundings(y * enlarged[0], x * enlarged[1], size=side * enlarged[0], patch=patch)
    return part.colours, part.alpha, part.background, honest, part.photo, around


def known_colours(photo: np.ndarray, trimap: np.ndarray, *, step: int) -> KnownColours:
    """Of the whole picture: its colours from an eighth of its size, its alpha from squares of `step` pixels."""
    height, width = (side // 8 for side in trimap.shape)
    image = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)
    marks = np.ascontiguousarray(trimap[4::8, 4::8][:height, :width])
    builder = KnownColoursBuilder(cell=SAMPLE // 8, step=1)
    for y in range(0, len(marks), builder.cell):
        builder.add(image[y : y + builder.cell], marks[y : y + builder.cell])
    shrinker = Shrinker(step)
    shrinker.add(photo / np.float32(255), trimap)
    return KnownColours(builder.moments(), float(SAMPLE), shrinker.propagated_alpha(), float(step))


def mixed(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray, tone: float) -> np.ndarray:
    """C = (a F^tone + (1 - a) B^tone)^(1 / tone), colours in [0, 1]; uint8 in and out, rounded once."""
    a: Float32[np.ndarray, "h w 3"] = cv2.merge([alpha.astype(np.float32) / 255] * 3)
    light = np.arange(256, dtype=np.float32) if tone == 1 else ((np.arange(256) / 255) ** tone).astype(np.float32)
    in_front, behind = cv2.LUT(foreground, light), cv2.LUT(background, light)
    in_front *= a
    behind *= 1 - a
    in_front += behind
    if tone != 1:
        in_front = 255 * cv2.pow(in_front, 1 / tone)
    in_front += np.float32(0.5)
    return in_front.astype(np.uint8)
