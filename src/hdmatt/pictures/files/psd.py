"""Photoshop files (PSD, PSB): the foreground as a layer, the matte as its mask, written row by row.

Knows nothing of networks and of how colours are estimated. Read top to bottom:

    PSD, PSB, LAYERED   the two formats; by suffix
    check_layered       refuses what they cannot hold
    PsdWriter           writes layers, mask and merged picture row by row

From bottom to top a file has the hidden layer "original" and the layer "foreground", whose mask is the matte. The
merged picture, which programs without layers show, is what is visible: the cut-out. As in Photoshop's own files its
colours are blended with white, and its alpha is a fourth channel.

Colours are stored as they are, at places that are known from the start. Alpha and the merged picture are encoded by
PackBits, since large parts of them are constant. Their lengths are known at the end; until then they wait in a
temporary file, and the lengths in the head of the file are written last.
"""

import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.errors import OutputError
from hdmatt.pictures.colours.colour import composite
from hdmatt.pictures.files import psd_blocks
from hdmatt.pictures.files.formats import DEPTHS, Format, check_format, writable
from hdmatt.pictures.files.packbits import encode_rows
from hdmatt.pictures.files.psd_blocks import ALPHA, MASK, PACKED, RAW, PsdLayer, PsdLayout
from hdmatt.pictures.info import WHITE, PathLike, PictureInfo
from hdmatt.pictures.writer import check_output_path, profile_for
from hdmatt.system.hidden import HiddenFile, unwritable

PSD = Format("PSD", ("8", "16"), True, 30_000, ())
PSB = Format("PSB", ("8", "16"), True, 300_000, ())
LAYERED = {".psd": PSD, ".psb": PSB}

_PSD_BYTES = 2**31 - 1  # Photoshop opens no larger PSD
_ROWS = 64  # written together
_ENCODED_BYTES = 2**18  # encoded together: NumPy takes some 60 bytes for each
_BACKGROUND = np.ones(3, np.float32)  # of the merged picture


class PsdWriter:
    """Writes a picture as two layers with a mask, and merged, row by row; a context manager.

    The file takes its name when the block ends and every row was written, like that of a PictureWriter. Values are in
    `like`'s own encoding, clipped to [0, 1] and rounded to the nearest step.

    Args:
        path: Its suffix picks the format: .psd or .psb.
        bit_depth: "8" or "16".
        like: The picture whose resolution and ICC profile are written.
        publish: Called with the complete hidden file, to give it its name.

    Raises:
        InputError: Another bit depth.
        OutputError: A path that cannot be written, or a picture too large for a PSD.
    """

    def __init__(
        self,
        path: PathLike,
        height: int,
        width: int,
        *,
        bit_depth: str,
        like: PictureInfo | None = None,
        publish: Callable[[HiddenFile], None] = HiddenFile.publish,
    ) -> None:
        self._path, self._publish = Path(path), publish
        check_layered(self._path, height, width, bit_depth=bit_depth)
        self._height, self._width = height, width
        self._dtype = np.dtype(DEPTHS[bit_depth])
        self._layout = PsdLayout(height, width, int(bit_depth), writable(self._path, LAYERED) is PSB)
        self._resources = psd_blocks.resources(like, profile_for(like, 3))
        self._hidden: HiddenFile | None = None
        self._file: IO[bytes] | None = None
        self._spool: IO[bytes] | None = None
        self._alpha, self._merged = _EncodedPlane(), [_EncodedPlane() for _ in range(3)]
        self._opaque = _EncodedPlane()  # the layers' own alpha, which is 1
        self._places: list[int] = []  # of the planes of colours in the file
        self._next = 0

    def __enter__(self) -> "PsdWriter":
        check_output_path(self._path, [], LAYERED)
        self._hidden = HiddenFile(self._path)
        try:
            with self._errors():
                self._file = self._hidden.path.open("r+b")
                self._spool = tempfile.TemporaryFile(dir=self._hidden.place.parent, prefix=".hdmatt-")
                self._begin(self._file, self._spool)
        except BaseException:
            self._discard()
            raise
        return self

    def write(
        self,
        original: Float32[np.ndarray, "h w 3"],
        foreground: Float32[np.ndarray, "h w 3"],
        alpha: Float32[np.ndarray, "h w"],
    ) -> None:
        """The next rows of both layers and of the mask, from the top.

        Raises:
            OutputError: They cannot be written, for example because the disk is full.
        """
        assert self._file is not None and self._spool is not None, "write() works inside of the with block only"
        assert alpha.shape[1] == self._width and self._next + len(alpha) <= self._height, (alpha.shape, self._next)
        for y in range(0, len(alpha), _ROWS):
            band = slice(y, y + _ROWS)
            with self._errors():
                self._put_colours(self._file, original[band], foreground[band])
                self._put_encoded(self._spool, foreground[band], alpha[band])
            self._next += len(alpha[band])

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _begin(self, file: IO[bytes], spool: IO[bytes]) -> None:
        for y in range(0, self._height, _ROWS):
            rows = min(_ROWS, self._height - y)
            self._opaque.append(spool, np.full((rows, self._layout.row_bytes), 255, np.uint8))
        at = len(self._layout.head(self._resources, self._layers()))
        for layer in self._layers():
            for number, size in layer.channels:
                file.seek(at)
                if number == ALPHA:
                    self._opaque.copy(self._layout, spool, file)
                elif number != MASK:
                    file.write(RAW)
                    self._places.append(file.tell())
                at += size

    def _layers(self) -> list[PsdLayer]:
        opaque, raw = self._layout.packed_bytes(self._opaque.bytes), self._layout.raw_bytes
        picture = ((ALPHA, opaque), (0, raw), (1, raw), (2, raw))
        mask = (MASK, self._layout.packed_bytes(self._alpha.bytes))
        return [PsdLayer("original", True, picture), PsdLayer("foreground", False, (*picture, mask))]

    def _put_colours(self, file: IO[bytes], original: np.ndarray, foreground: np.ndarray) -> None:
        planes = [*self._planes(original), *self._planes(foreground)]
        for place, plane in zip(self._places, planes, strict=True):
            file.seek(place + self._next * self._layout.row_bytes)
            file.write(plane.data)

    def _put_encoded(self, spool: IO[bytes], foreground: np.ndarray, alpha: np.ndarray) -> None:
        merged = self._planes(composite(foreground.clip(0, 1), alpha, _BACKGROUND))
        for encoded, plane in zip(
            (self._alpha, *self._merged), (*self._planes(alpha[..., None]), *merged), strict=True
        ):
            encoded.append(spool, plane)

    def _planes(self, band: np.ndarray) -> list[UInt8[np.ndarray, "h length"]]:
        """The channels of a band as bytes of the file."""
        values = band.clip(0, 1)
        values *= np.float32(WHITE[self._dtype.name])
        numbers = np.rint(values, out=values).astype(self._dtype.newbyteorder(">"))
        return [np.ascontiguousarray(numbers[..., c]).view(np.uint8) for c in range(band.shape[2])]

    def _finish(self) -> None:
        assert self._file is not None and self._spool is not None and self._hidden is not None
        if self._next != self._height:
            raise RuntimeError(f"{self._path}: {self._next} of {self._height} rows were written")
        layout, layers, file, spool = self._layout, self._layers(), self._file, self._spool
        with self._errors():
            file.seek(self._places[-1] - len(RAW) + layout.raw_bytes)
            self._alpha.copy(layout, spool, file)
            file.write(layout.behind_layers(layers) + PACKED)
            merged = (*self._merged, self._alpha)
            for plane in merged:
                file.write(plane.table(layout))
            for plane in merged:
                plane.copy_rows(spool, file)
            size = file.tell()
            file.seek(0)
            file.write(layout.head(self._resources, layers))
            file.close()
            if self._hidden.path.stat().st_size != size:
                raise OSError("the file is incomplete")
        self._hidden.sync()
        self._publish(self._hidden)
        self._hidden = None  # it is theirs to whom it was given

    def _discard(self) -> None:
        for file in (self._file, self._spool):
            if file is not None:
                with suppress(OSError):  # what waits in its buffer does not fit on a full disk
                    file.close()
        self._file = self._spool = None
        if self._hidden is not None:
            self._hidden.discard()
        self._hidden = None

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self._path, error) from error


def check_layered(path: Path, height: int, width: int, *, bit_depth: str) -> None:
    """Refuse what a PSD or a PSB cannot hold.

    Raises:
        InputError: A bit depth other than 8 and 16.
        OutputError: Another suffix, or a picture too large for the format.
    """
    file_format = writable(path, LAYERED)
    row = width * (2 if bit_depth == "16" else 1)
    # two layers of three colours as they are, seven encoded planes at their longest, and lengths of rows
    most = height * (6 * row + 7 * (row + row // 128 + 1 + 4)) + 2**20
    if file_format is PSD and (max(height, width) > PSD.largest_side or most > _PSD_BYTES):
        raise OutputError(
            f"{path}: {width}x{height} (width x height) in {bit_depth} bits is too large for a PSD, which ends at "
            f"{PSD.largest_side} pixels a side and 2 GB",
            hint=f"Write to {path.with_suffix('.psb').name}.",
        )
    check_format(path, file_format, height, width, channels=4, bit_depth=bit_depth)


class _EncodedPlane:
    """A plane encoded by PackBits, in pieces of a temporary file."""

    def __init__(self) -> None:
        self.bytes = 0
        self._pieces: list[tuple[int, int]] = []  # place, bytes
        self._lengths: list[np.ndarray] = []  # of the rows

    def append(self, spool: IO[bytes], rows: UInt8[np.ndarray, "h length"]) -> None:
        """The next rows."""
        step = max(1, _ENCODED_BYTES // rows.shape[1])
        spool.seek(0, os.SEEK_END)
        for y in range(0, len(rows), step):
            data, lengths = encode_rows(rows[y : y + step])
            self._pieces.append((spool.tell(), len(data)))
            self._lengths.append(lengths)
            self.bytes += len(data)
            spool.write(data)

    def table(self, layout: PsdLayout) -> bytes:
        """The lengths of its rows."""
        return layout.table(np.concatenate(self._lengths))

    def copy(self, layout: PsdLayout, spool: IO[bytes], file: IO[bytes]) -> None:
        """As the channel of a layer."""
        file.write(PACKED + self.table(layout))
        self.copy_rows(spool, file)

    def copy_rows(self, spool: IO[bytes], file: IO[bytes]) -> None:
        for place, size in self._pieces:
            spool.seek(place)
            file.write(spool.read(size))
