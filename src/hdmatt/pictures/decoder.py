"""OpenImageIO in: the rows of a file as they are stored.

Knows the quirks of file formats; not what the values mean. OpenImageIO is loaded when the first file is opened.

    Decoder       rows as they are stored, with the last ones kept
    TurnedRows    rows of a picture that EXIF rotates, from a temporary file

Only ImageInput is used: ImageBuf takes 360-660 MB for a 96-megapixel picture, a band of rows 93-129 MB. Of several
pages, parts or layers the first is read; of an EXR its data window.
"""

import os
import stat
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np

from hdmatt.errors import InputError, OutputError
from hdmatt.pictures.info import MIB, TYPES, WHITE, PictureInfo

_KEPT_BYTES = 64 * MIB  # of the rows read last; an overlap of 64 rows of a 100 000 pixel wide 16-bit picture is 38 MB
SPOOL_BYTES = 32 * MIB  # of one band on its way into the temporary file


@runtime_checkable
class StoredRows(Protocol):
    """Where a PictureReader takes its rows from."""

    def rows(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray: ...


class Decoder:
    """Rows as they lie in the file, but straight, without alpha and in one of the four dtypes.

    What was decoded last is kept, so that windows that move down and overlap never make a PNG start again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._input: Any = None
        self._input, self._complaint = _open_input(path)
        self._closed = False
        spec: Any = self._input.spec()
        self._spec = spec
        self.height, self.width = int(spec.height), int(spec.width)
        if spec.deep or spec.depth > 1 or self.height < 1 or self.width < 1:
            self.close()
            raise InputError(
                f"{path} is a {'deep' if spec.deep else f'{self.width}x{self.height}x{spec.depth}'} picture, we need "
                "flat pixels and at least one",
                hint="Flatten it in the program that made it.",
            )
        self._format = str(self._input.format_name())
        if self._format == "tiff" and str(spec.format) == "double":
            # OpenImageIO 3.2 returns uninitialised memory for scanlines of these, without a word
            self.close()
            raise InputError(
                f"{path} has 64-bit floats, of a TIFF we can read 8 and 16 bit integers and 16 and 32-bit floats",
                hint="Save it with 32-bit floats.",
            )
        self._picks, self._alpha = _channels(spec)
        self.channels = len(self._picks)
        self.dtype = _dtype(spec, self._picks)
        # OpenImageIO marks straight alpha, and leaves it straight because _open_input asks for it
        self._associated = self._alpha is not None and not spec.get_int_attribute("oiio:UnassociatedAlpha")
        self._tile = (int(spec.tile_height), int(spec.tile_width)) if spec.tile_width else None
        chunk = self._tile[0] if self._tile else int(spec.get_int_attribute("oiio:RowsPerChunk", 1))
        # strips are decoded whole and in parallel where we ask for whole ones; taller ones are not worth the memory
        self._chunk = chunk if self._tile or 1 <= chunk <= 256 else 1
        self._kept, self._kept_y = np.empty((0, self.width, self.channels), self.dtype), 0
        self._tiles: dict[int, dict[int, np.ndarray]] = {}  # the tile rows that were asked for last, by row and column
        self.decoded = 0

    @property
    def tiled(self) -> bool:
        return self._tile is not None

    @property
    def orientation(self) -> int:
        value = int(self._spec.get_int_attribute("Orientation", 1))
        return value if 1 <= value <= 8 else 1

    @property
    def chunk_pixels(self) -> int:
        """Pixels that must be decoded at once."""
        return self._tile[0] * self._tile[1] if self._tile else 1

    def info(self, *, turned: bool) -> PictureInfo:
        """What the file says of itself; a turned picture has its sides and resolutions swapped."""
        spec = self._spec
        height, width, resolution = self.height, self.width, _resolution(spec)
        if turned:
            height, width = width, height
            resolution = resolution and (resolution[1], resolution[0], resolution[2])
        space = str(spec.get_string_attribute("oiio:ColorSpace")).lower()
        encoded = self.dtype.kind != "f" or not (space.startswith("lin") or space == "scene_linear")
        return PictureInfo(
            path=self._path,
            height=height,
            width=width,
            channels=self.channels,
            has_alpha=self._alpha is not None,
            dtype=self.dtype,
            linear=self._format == "openexr" or not encoded,
            icc=_profile(spec, self.channels),
            resolution=resolution,
            chunk_rows=self._chunk,
        )

    def rows(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        end = self._kept_y + len(self._kept)
        if self._kept_y <= y0 and y1 <= end:
            return self._kept[y0 - self._kept_y : y1 - self._kept_y, x0:x1]
        if self._tile and (x0, x1) != (0, self.width):
            return self._from_tiles(y0, y1, x0, x1, *self._tile)
        if self._kept_y <= y0 < end:
            top, parts = y0, [self._kept[y0 - self._kept_y :], self._decode(end, self._up(y1), 0, self.width)]
            band = np.concatenate(parts)
        else:
            top = self._down(y0)
            band = self._decode(top, self._up(y1), 0, self.width)
        self._keep(top, band)
        return band[y0 - top : y1 - top, x0:x1]

    def alpha(self) -> np.ndarray:
        """The alpha channel, whole."""
        assert self._alpha is not None
        if self._input is None:
            self._input, self._complaint = _open_input(self._path)
        depth = openimageio().TypeDesc(TYPES[self.dtype.name])
        pixels = self._input.read_image(0, 0, self._alpha, self._alpha + 1, depth)
        if pixels is None:
            raise InputError(f"the alpha of {self._path} cannot be decoded", hint="Save it again without alpha.")
        return np.asarray(pixels)[..., 0]

    def close(self) -> None:
        self._drop_input()
        self._closed = True

    def _down(self, y: int) -> int:
        return y // self._chunk * self._chunk

    def _up(self, y: int) -> int:
        return min(self.height, -(-y // self._chunk) * self._chunk)

    def _from_tiles(self, y0: int, y1: int, x0: int, x1: int, tall: int, wide: int) -> np.ndarray:
        """A window put together from tiles. Tiles of its tile rows are kept for its neighbours, others are dropped."""
        rows, columns = range(y0 // tall, -(-y1 // tall)), range(x0 // wide, -(-x1 // wide))
        self._tiles = {row: self._tiles.get(row, {}) for row in rows}
        band = np.empty((y1 - y0, x1 - x0, self.channels), self.dtype)
        for row, tiles in self._tiles.items():
            top, bottom = row * tall, min((row + 1) * tall, self.height)
            for missing in _runs([column for column in columns if column not in tiles]):
                left, right = missing[0] * wide, min((missing[-1] + 1) * wide, self.width)
                run = self._decode(top, bottom, left, right)
                for column in missing:
                    tiles[column] = run[:, column * wide - left : (column + 1) * wide - left].copy()
            for column in columns:
                left, right = column * wide, min((column + 1) * wide, self.width)
                (ya, yb), (xa, xb) = (max(y0, top), min(y1, bottom)), (max(x0, left), min(x1, right))
                band[ya - y0 : yb - y0, xa - x0 : xb - x0] = tiles[column][ya - top : yb - top, xa - left : xb - left]
        return band

    def _keep(self, top: int, band: np.ndarray) -> None:
        # a band always ends with a chunk, so its last rows are all that the next band can share
        count = max(self._chunk, _KEPT_BYTES // max(1, band[:1].nbytes))
        self._kept = band if len(band) <= count else band[-count:].copy()
        self._kept_y = top + len(band) - len(self._kept)

    def _decode(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        """Whole chunks from the file; x0 and x1 are the picture's sides or multiples of a tile's."""
        if y0 == y1 or x0 == x1:
            return np.empty((y1 - y0, x1 - x0, self.channels), self.dtype)
        pixels = self._native(y0, y1, x0, x1)
        first = min(self._picks)
        colours = pixels[..., [c - first for c in self._picks]] if pixels.shape[2] > self.channels else pixels
        if self._associated and self._alpha is not None:
            colours = _straight(colours, pixels[..., self._alpha - first, None])
        if colours.dtype.kind == "f" and not (finite := np.isfinite(colours)).all():
            y, x, _ = np.unravel_index(int(np.argmin(finite)), colours.shape)
            raise InputError(
                f"{self._path} holds NaN or infinite values, the first in row {y0 + int(y)}, column {x0 + int(x)} of "
                "the file (from 0); we need finite ones",
                hint="Replace them in the program that made it.",
            )
        return colours

    def _native(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        if self._closed:
            raise RuntimeError(f"{self._path} is closed")
        if self._input is None:
            self._input, self._complaint = _open_input(self._path)
        spec = self._spec
        wanted = [*self._picks, self._alpha] if self._associated and self._alpha is not None else self._picks
        channels = (min(wanted), max(wanted) + 1)
        depth = openimageio().TypeDesc(TYPES[self.dtype.name])
        top, bottom, left, right = spec.y + y0, spec.y + y1, spec.x + x0, spec.x + x1
        self.decoded += (y1 - y0) * (x1 - x0)
        if self._tile:
            pixels = self._input.read_tiles(left, right, top, bottom, spec.z, spec.z + 1, *channels, depth)
        else:
            pixels = self._input.read_scanlines(top, bottom, spec.z, *channels, depth)
        trouble = self._complaint + str(self._input.geterror())
        if pixels is None or (trouble and not self._harmless(trouble)):
            # a next try starts afresh: libjpeg complains once and then goes on with grey rows
            self._drop_input()
            raise InputError(
                f"{self._path} is damaged or cut short: rows {y0} to {y1} of {self.height} cannot be decoded "
                f"({first_line(trouble) or 'no reason given'})",
                hint="Copy or download it again, or save it again in the program that made it.",
            )
        return pixels.reshape(y1 - y0, x1 - x0, channels[1] - channels[0])

    def _harmless(self, trouble: str) -> bool:
        """Bytes between a JPEG's markers that cameras leave there.

        libjpeg reports the first oddity of a file only, so one of these can hide that the file is cut short.
        """
        odd = ("extraneous bytes", "unknown Adobe color transform", "unknown JFIF revision")
        lines = [line for line in trouble.splitlines() if line.strip()]
        return (
            self._format == "jpeg" and all(any(o in line for o in odd) for line in lines) and _ends_as_jpeg(self._path)
        )

    def _drop_input(self) -> None:
        if self._input is not None:
            self._input.close()
        self._input = None


class TurnedRows:
    """A picture once more, in a temporary file that gives the rows of the turned picture in any order.

    Each band of the source is one block. Transposed blocks are [W, h, C], so that some rows of the result are one
    contiguous piece of every block; others are [h, W, C] and the file is simply raw.
    """

    def __init__(self, decoder: Decoder, *, transposed: bool) -> None:
        self._decoder = decoder
        self._transposed = transposed
        self._pixel = decoder.channels * decoder.dtype.itemsize
        self._band = max(1, SPOOL_BYTES // (decoder.width * self._pixel))
        self._file: BinaryIO | None = None

    def rows(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        if self._file is None:
            self._file = self._fill()
        channels, dtype = self._decoder.channels, self._decoder.dtype
        if not self._transposed:
            band = np.empty((y1 - y0, self._decoder.width, channels), dtype)
            _read_exactly(self._file, band, y0 * self._decoder.width * self._pixel)
            return band[:, x0:x1]
        band = np.empty((y1 - y0, x1 - x0, channels), dtype)
        for left in range(x0 // self._band * self._band, x1, self._band):
            width = min(self._band, self._decoder.height - left)
            piece = np.empty((y1 - y0, width, channels), dtype)
            _read_exactly(self._file, piece, (left * self._decoder.width + y0 * width) * self._pixel)
            start, stop = max(x0, left), min(x1, left + width)
            band[:, start - x0 : stop - x0] = piece[:, start - left : stop - left]
        return band

    def close(self) -> None:
        if self._file:
            self._file.close()
        self._file = None

    def _fill(self) -> BinaryIO:
        decoder, folder = self._decoder, tempfile.gettempdir()
        try:
            file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  closed by close()
            try:
                for y0 in range(0, decoder.height, self._band):
                    band = decoder.rows(y0, min(y0 + self._band, decoder.height), 0, decoder.width)
                    block = np.ascontiguousarray(band.transpose(1, 0, 2) if self._transposed else band)
                    _write_all(file, block)
            except BaseException:
                file.close()
                raise
            return file
        except OSError as error:
            size = decoder.height * decoder.width * self._pixel // MIB + 1
            raise OutputError(
                f"turning the picture upright needs {size} MiB in {folder} ({error.strerror})",
                hint="Make room there, or name another folder: TMPDIR=/path hdmatt ...",
            ) from error


@cache
def openimageio() -> Any:
    import OpenImageIO

    # its own limit is what the machine has of memory, but we stream, and max_pixels says it in the user's words
    OpenImageIO.attribute("limits:imagesize_MB", 0)
    return OpenImageIO


def _open_input(path: Path) -> tuple[Any, str]:
    """The opened file, and what OpenImageIO complained of on the way: progressive JPEG is read right there."""
    _check_readable(path)
    oiio = openimageio()
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(str(path), config)
    # "null" makes pictures out of nothing for any file of that name
    if source is None or source.format_name() in ("null", "term"):
        reason = first_line(oiio.geterror()).replace(str(path), path.name)
        raise InputError(
            f"{path} is not a picture that we can read ({reason or 'unknown format'})",
            hint="We need PNG, JPEG, TIFF, EXR or WebP.",
        )
    return source, str(source.geterror())


def _check_readable(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise InputError(f"{path} does not exist", hint="Check the spelling and the folder.") from error
        raise InputError(f"{path} cannot be read ({error.strerror})", hint="Check the path and permissions.") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a folder, we need a picture file", hint="Name one of the pictures in it.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"{path} is not a regular file, we need one that can be read twice", hint="Save it to a file first."
        )
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} cannot be read (permission denied)", hint=f"Allow it: chmod u+r {path}")
    if status.st_size == 0:
        raise InputError(f"{path} is empty (0 bytes), we need a picture", hint="Copy or download it again.")


def _channels(spec: Any) -> tuple[list[int], int | None]:
    """Which channels are the colours (one or three), and which is alpha."""
    names = [str(name).upper() for name in spec.channelnames]
    alpha = names.index("A") if "A" in names else None
    if {"R", "G", "B"} <= set(names):
        return [names.index(c) for c in "RGB"], alpha
    if "Y" in names:
        return [names.index("Y")], alpha
    others = [i for i in range(len(names)) if i != alpha]
    if not others:
        return [0], None  # a file of alpha alone is a matte
    return others[:3] if len(others) >= 3 else others[:1], alpha


def _dtype(spec: Any, picks: list[int]) -> np.dtype[Any]:
    """The dtype that holds the file's numbers: narrower integers come widened, others become float32."""
    names = {str(spec.channelformat(c)) for c in picks}
    name = names.pop() if len(names) == 1 else str(spec.format)
    known = {"uint8": "uint8", "int8": "uint8", "uint16": "uint16", "int16": "uint16", "half": "float16"}
    return np.dtype(known.get(name, "float32"))


def _straight(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Associated colours divided by alpha; where that is 0 there is nothing to divide, and light stays light."""
    white = WHITE.get(colours.dtype.name, 1)
    weight = alpha.astype(np.float32) / np.float32(white)
    weight[weight <= 0] = 1
    with np.errstate(over="ignore"):
        straight = colours / weight
    if colours.dtype.kind == "u":
        return np.rint(straight).clip(0, white).astype(colours.dtype)
    largest = np.finfo(colours.dtype).max
    return np.clip(straight, -largest, largest).astype(colours.dtype)


def _resolution(spec: Any) -> tuple[float, float, str] | None:
    x, y = float(spec.get_float_attribute("XResolution")), float(spec.get_float_attribute("YResolution"))
    unit = str(spec.get_string_attribute("ResolutionUnit"))
    if not (0 < x < np.inf and 0 < y < np.inf):
        return None
    if unit == "m":
        return x / 100, y / 100, "cm"
    return x, y, {"in": "in", "inch": "in", "cm": "cm"}.get(unit, "none")


def _profile(spec: Any, channels: int) -> bytes | None:
    """The ICC profile, unless it is one for pixels other than we deliver: CMYK comes converted."""
    value = spec.getattribute("ICCProfile")
    icc = bytes(np.asarray(value, np.uint8)) if value is not None else b""
    return icc if icc[16:20] == (b"GRAY" if channels == 1 else b"RGB ") else None


def _ends_as_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65536))  # some cameras put their own data behind the picture
        return b"\xff\xd9" in file.read()


def _read_exactly(file: BinaryIO, array: np.ndarray, offset: int) -> None:
    view = array.reshape(-1).view(np.uint8).data
    while view:
        count = os.preadv(file.fileno(), [view], offset)
        if not count:
            raise RuntimeError("the temporary file has shrunk")
        view, offset = view[count:], offset + count


def _write_all(file: BinaryIO, array: np.ndarray) -> None:
    view = array.reshape(-1).view(np.uint8).data
    while view:
        view = view[file.write(view) :]


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Ascending numbers in runs without gaps."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0].strip()
