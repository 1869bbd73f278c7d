"""Test scenes for time and memory, at any number of megapixels: generated, or a user's picture at another size.

Rows are computed on demand, so a scene never holds a whole picture (a user's own excepted). Knows nothing of methods
or timing. Read top to bottom:

    Scene       rows of a picture and its trimap
    Generated   a band of strands around a wavy contour, with an exact share of unknown pixels
    Own         a user's picture and trimap at another size
    write       a scene -> two tiled TIFF files
    tiny_pair   the files of a tiny scene, for the first run of a process, which is not timed
"""

import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from hdmatt.errors import InputError, OutputError
from hdmatt.pictures import reader
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN, open_trimap

TILE = 256
TINY_SIDE = 96
RADIUS, WAVE, RIPPLE = 0.3, 0.12, 0.06  # of the contour, parts of the picture's side
AREA = math.pi * RADIUS**2 * (1 + WAVE**2 / 2 + RIPPLE**2 / 2)  # that the contour encloses, exactly
STRAND = 6  # pixels from one strand to the next along the contour, at every size
MOST_UNKNOWN = 0.45  # beyond, the band would leave the picture


class Scene(ABC):
    """A picture and its trimap."""

    height: int
    width: int

    @abstractmethod
    def rows(self, y0: int, y1: int) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
        """Rows y0 .. y1 - 1: display-encoded colours, and 0, 128 or 255. The same however they are cut."""


class Generated(Scene):
    """A square picture with a band of hair around a wavy contour, the same for the same arguments.

    Strands and noise keep their size in pixels, so a larger picture is more of the same and not a blown-up one.

    Args:
        side: Rows and columns.
        unknown: Share of unknown pixels, above 0 and up to MOST_UNKNOWN; met but for the raster.

    Raises:
        InputError: Another share of unknown pixels.
    """

    def __init__(self, side: int, *, unknown: float) -> None:
        if not 0 < unknown <= MOST_UNKNOWN:
            raise InputError(
                f"a share of {unknown} of unknown pixels cannot be made",
                hint=f"Choose above 0 and up to {MOST_UNKNOWN}, or give a picture and a trimap of your own.",
            )
        self.height = self.width = side
        self._reach = unknown / (4 * AREA)  # area between contour * (1 - reach) and contour * (1 + reach)

    def rows(self, y0: int, y1: int) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
        side = self.height
        y = ((np.arange(y0, y1, dtype=np.float32) + 0.5) / side - 0.5)[:, None]
        x = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5)[None]
        angle = np.arctan2(y, x)
        contour = RADIUS * (1 + WAVE * np.sin(3 * angle + 1) + RIPPLE * np.sin(7 * angle + 2))
        outward = (np.hypot(y, x) / contour - 1) / np.float32(self._reach)  # -1 .. 1 in the band
        trimap = np.select([outward < -1, outward > 1], [FOREGROUND, BACKGROUND], UNKNOWN).astype(np.uint8)
        alpha, tint = self._strands(angle, outward)
        noise = _hash(np.arange(y0, y1)[:, None] * side + np.arange(side)[None])[..., None] * 12
        lawn = 110 + 40 * np.sin(40 * x + 9 * y) * np.cos(31 * y)
        back = lawn[..., None] * np.array([0.55, 0.9, 0.5], np.float32)
        front = (60 + 90 * tint)[..., None] * np.array([1.0, 0.72, 0.5], np.float32)
        colours = alpha[..., None] * front + (1 - alpha[..., None]) * back + noise
        return colours.clip(0, 255).astype(np.uint8), trimap

    def _strands(
        self, angle: Float32[np.ndarray, "h w"], outward: Float32[np.ndarray, "h w"]
    ) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
        """Alpha, and a brightness in [0, 1] that changes from strand to strand.

        Each strand has a length of its own and grows thinner outwards, so the band opens towards its rim.
        """
        bent = angle + np.float32(0.02) * np.sin(11 * angle) * outward.clip(-1, 1)
        along = bent * np.float32(RADIUS * self.height / STRAND)
        number = np.floor(along)
        own = _hash(number.astype(np.int64))
        thickness = 1.4 - 1.1 * (outward + 1)
        across = (0.5 + thickness - np.abs(along - number - 0.5)).clip(0, 1)
        tip = ((1.6 * own - 0.7 - outward) * 8).clip(0, 1)
        return np.where(outward < -1, 1, np.where(outward > 1, 0, across * tip)).astype(np.float32), own


class Own(Scene):
    """A user's picture and trimap with another number of pixels, in the same proportions.

    More pixels: enlarged, the picture bilinearly, the trimap to the nearest. Fewer: cropped, so that hair stays as
    sharp as it is, to the region whose share of unknown pixels is nearest to the whole picture's.

    Args:
        megapixels: Millions of pixels wanted; None: as it is.

    Raises:
        InputError: Unreadable, or of two sizes.
    """

    def __init__(self, picture: Path, trimap: Path, megapixels: float | None) -> None:
        self._colours, self._trimap = _read(picture, trimap)
        height, width = self._trimap.shape
        scale = 1.0 if megapixels is None else math.sqrt(megapixels * 1e6 / (height * width))
        self.height, self.width = max(1, round(height * scale)), max(1, round(width * scale))
        if scale < 1:
            y, x = _typical(self._trimap == UNKNOWN, self.height, self.width)
            inside = np.s_[y : y + self.height, x : x + self.width]
            self._colours, self._trimap = self._colours[inside].copy(), self._trimap[inside].copy()

    def rows(self, y0: int, y1: int) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
        height, width = self._trimap.shape
        if (height, width) == (self.height, self.width):
            return self._colours[y0:y1], self._trimap[y0:y1]
        centre = (np.arange(y0, y1) + 0.5) * height / self.height
        nearest = np.minimum(centre.astype(int), height - 1)
        columns = np.minimum(((np.arange(self.width) + 0.5) * width / self.width).astype(int), width - 1)
        above = np.floor(np.clip(centre - 0.5, 0, height - 1)).astype(int)
        below = np.minimum(above + 1, height - 1)
        first = int(above[0])
        some = self._colours[first : int(below[-1]) + 1].astype(np.float32)
        wide = cv2.resize(some, (self.width, len(some)), interpolation=cv2.INTER_LINEAR)
        share = (np.clip(centre - 0.5, 0, height - 1) - above).astype(np.float32)[:, None, None]
        colours = wide[above - first] * (1 - share) + wide[below - first] * share
        return np.rint(colours).astype(np.uint8), self._trimap[nearest][:, columns]


def write(scene: Scene, picture: Path, trimap: Path) -> int:
    """The scene as two TIFF files in tiles of 256, a band at a time; returns how many pixels are unknown.

    Raises:
        OutputError: They cannot be written.
    """
    import OpenImageIO as oiio  # heavy: not for --help

    outputs: list[tuple[Path, oiio.ImageOutput]] = []
    for path, channels in ((picture, 3), (trimap, 1)):
        spec = oiio.ImageSpec(scene.width, scene.height, channels, "uint8")
        spec.attribute("compression", "zip")
        spec.tile_width = spec.tile_height = TILE
        output = oiio.ImageOutput.create(str(path))
        if output is None or not output.open(str(path), spec):
            raise _cannot_write(path, output.geterror() if output else oiio.geterror())
        outputs.append((path, output))
    unknown = 0
    for y0 in range(0, scene.height, TILE):
        y1 = min(y0 + TILE, scene.height)
        colours, marks = scene.rows(y0, y1)
        unknown += int((marks == UNKNOWN).sum())
        for (path, output), pixels in zip(outputs, (colours, marks[..., None]), strict=True):
            if not output.write_tiles(0, scene.width, y0, y1, 0, 1, np.ascontiguousarray(pixels)):
                raise _cannot_write(path, output.geterror())
    for path, output in outputs:
        if not output.close():
            raise _cannot_write(path, output.geterror())
    return unknown


@contextmanager
def tiny_pair() -> Generator[tuple[Path, Path]]:
    """Picture and trimap of a tiny scene in a temporary folder, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as name:
        paths = Path(name) / "picture.tif", Path(name) / "trimap.tif"
        write(Generated(TINY_SIDE, unknown=0.2), *paths)
        yield paths


def _cannot_write(path: Path, reason: str) -> OutputError:
    return OutputError(f"{path} cannot be written: {reason.strip()}", hint="Free some space there, or set TMPDIR.")


def _hash(number: Int64[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """A number in [0, 1) for each integer, without a pattern that one sees.

    Source:
        Multiply and shift, as in MurmurHash3's finaliser (A. Appleby, public domain), with its first constant.
    """
    mixed = number.astype(np.uint32) * np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return (mixed >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


def _read(picture: Path, trimap: Path) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    with reader.open_picture(picture) as pixels, open_trimap(trimap) as marks:
        info, other = pixels.info, marks.info
        if (info.height, info.width) != (other.height, other.width):
            raise InputError(
                f"{trimap} is {other.width}x{other.height} but {picture} is {info.width}x{info.height} "
                "(width x height, after EXIF rotation)",
                hint="Give a trimap of the picture's size; a trimap is never resized.",
            )
        bands: list[np.ndarray] = []
        for y0 in range(0, info.height, TILE):
            rows = pixels.rows(y0, min(y0 + TILE, info.height))
            bands.append(np.rint(reader.network_colours(rows, info.encoding) * 255).astype(np.uint8))
        return np.concatenate(bands), marks.rows(0, info.height)


def _typical(unknown: np.ndarray, height: int, width: int) -> tuple[int, int]:
    """Top left corner, on a raster of 16 pixels, of the crop whose share of unknown pixels is nearest to all's."""
    sums = cv2.integral(unknown.astype(np.uint8), sdepth=cv2.CV_64F)
    ys = np.arange(0, unknown.shape[0] - height + 1, 16)[:, None]
    xs = np.arange(0, unknown.shape[1] - width + 1, 16)[None]
    inside = sums[ys + height, xs + width] - sums[ys, xs + width] - sums[ys + height, xs] + sums[ys, xs]
    y, x = np.unravel_index(int(np.abs(inside / (height * width) - unknown.mean()).argmin()), inside.shape)
    return int(ys[y, 0]), int(xs[0, x])
