"""Pictures written row by row, into files that appear under their names once they are complete.

Knows nothing of what the values mean; what each format can hold is in pictures/formats.py.

    PictureWriter        writes a picture row by row
    check_output_path    refuses paths that cannot be written, before any work is done
    profile_for          the ICC profile to embed
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import InputError, OutputError
from hdmatt.pictures.exr_header import set_header
from hdmatt.pictures.formats import DEPTHS, EXR, FORMATS, JPEG, PNG, TIFF, WEBP, Format, check_format, writable
from hdmatt.pictures.info import TYPES, WHITE, PathLike, PictureInfo
from hdmatt.pictures.openimageio import first_line, open_input, openimageio, size_limit
from hdmatt.system.files import create_hidden
from hdmatt.system.memory import MIB

_ENCODED_ROWS = 64  # at a time, for the copies in floats on the way; whole strips of a TIFF, which has 32 rows in one
_HALF_MAX = 65504.0  # the largest half float
_NO_EXIF = "failed TIFFWriteCustomDirectory() of the Exif data"  # OpenImageIO 3.2, of every TIFF that has none
_PNG_BLOCK = 2**17  # more than zlib and libpng hold back together
_CLASSIC_TIFF_BYTES = 3_500_000_000  # of pixels; classic TIFF ends at 4 GiB, and zip can make noise larger


class PictureWriter:
    """Writes a picture row by row; a context manager.

    The file takes its name when the block ends and every row was written. Until then it is a hidden file beside it; an
    exception removes that, and only a killed process can leave it behind.

    Values are in `like`'s own encoding; nothing is converted. 8 and 16 bit are clipped to [0, 1] and rounded to the
    nearest step. Half and float keep values outside of [0, 1], but alpha is clipped. Colours are written straight
    (unassociated alpha), except in EXR, which holds them multiplied by alpha. PNG, JPEG, TIFF and EXR are streamed;
    WebP is held in memory until the end (12 bytes a pixel).

    Args:
        path: Its suffix picks the format: .png, .jpg, .jpeg, .tif, .tiff, .exr, .webp.
        channels: 1 (a matte), 3 (RGB) or 4 (RGBA; not in JPEG).
        bit_depth: "8", "16", "half" or "float"; see `default_bit_depth`.
        like: The picture whose resolution and ICC profile are written. The profile only if it is for as many colours;
            WebP has no place for a resolution.
        move: Called with the complete hidden file and `path`, to give it its name. Several outputs can wait for each
            other here; see inference/outputs.py.
        layers: Names of further channels of an EXR behind R G B A, as "fg.R"; they are written as they are given.

    Raises:
        InputError: A bit depth that the format lacks.
        OutputError: A path that cannot be written, alpha into JPEG, a side too long for the format, or no room.
    """

    def __init__(
        self,
        path: PathLike,
        height: int,
        width: int,
        *,
        channels: int,
        bit_depth: str,
        like: PictureInfo | None = None,
        move: Callable[[Path, Path], None] = os.replace,
        layers: Sequence[str] = (),
    ) -> None:
        assert channels in (1, 3, 4) and height > 0 and width > 0, (channels, height, width)
        self._path, self._move = Path(path), move
        self._format = writable(self._path)
        check_format(self._path, self._format, height, width, channels=channels, bit_depth=bit_depth)
        assert not layers or (channels == 4 and self._format is EXR), (path, layers)
        self._layers, self._channels = tuple(layers), channels + len(layers)
        self._height, self._width, self._like = height, width, like
        self._dtype = np.dtype(DEPTHS[bit_depth])
        self._hidden: Path | None = None  # with the same suffix, for OpenImageIO picks the format by it
        self._output: Any = None
        self._held: list[np.ndarray] = []
        self._entered = False
        self._next = 0
        windows = like.windows if like and self._format is EXR else None
        self._top = windows.y if windows else 0  # number of the first row

    def __enter__(self) -> "PictureWriter":
        check_output_path(self._path, [])
        self._hidden = create_hidden(self._path)
        self._entered = True
        try:
            if not self._format.held:
                self._output = self._open()
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, rows: Float32[np.ndarray, "h w"] | Float32[np.ndarray, "h w c"]) -> None:
        """The next rows, from the top.

        Args:
            rows: [h, width] or [h, width, channels and layers], finite.

        Raises:
            OutputError: They cannot be written, for example because the disk is full.
        """
        assert self._entered, "write() works inside of the with block only"
        band = rows.reshape(*rows.shape[:2], -1)
        assert band.shape[1:] == (self._width, self._channels), (rows.shape, self._width, self._channels)
        assert self._next + len(band) <= self._height, (self._next, len(band), self._height)
        if not np.isfinite(band).all():
            raise RuntimeError(f"NaN or infinite values in rows {self._next} to {self._next + len(band)}")
        for y in range(0, len(band), _ENCODED_ROWS):
            pixels = _encode(band[y : y + _ENCODED_ROWS], self._dtype, premultiply=self._format is EXR)
            if self._format.held:
                self._held.append(pixels)
            else:
                self._put(self._next, pixels)
            self._next += len(pixels)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _finish(self) -> None:
        assert self._hidden is not None
        if self._next != self._height:
            raise RuntimeError(f"{self._path}: {self._next} of {self._height} rows were written")
        if self._format.held:
            self._put_held()
        self._check_room(0)
        fine = self._output.close()
        trouble = str(self._output.geterror())
        self._output = None
        if trouble.strip() == _NO_EXIF:
            trouble = ""
        if not fine or trouble or not _is_complete(self._hidden, self._format, self._height):
            raise self._failure(trouble)
        try:
            self._move(self._hidden, self._path)
        except OSError as error:
            raise self._failure(error.strerror) from error

    def _put(self, y0: int, pixels: np.ndarray) -> None:
        if not len(pixels):
            return
        if not self._format.held:
            self._check_room(pixels.nbytes)
        if self._format is WEBP and self._channels == 1:
            pixels = np.repeat(pixels, 3, axis=2)  # WebP knows no grey
        top = self._top + y0
        fine = self._output.write_scanlines(top, top + len(pixels), 0, pixels)
        # PNG says True and has the failure among its errors only
        if (trouble := self._output.geterror()) or not fine:
            raise self._failure(trouble)

    def _put_held(self) -> None:
        self._check_room(sum(band.nbytes for band in self._held))
        self._output = self._open()
        y0 = 0
        for band in self._held:
            self._put(y0, band)
            y0 += len(band)
        self._held.clear()

    def _discard(self) -> None:
        self._entered = False
        self._held.clear()
        if self._output is not None and self._format is PNG:
            self._quieten()
        self._output = None  # its destructor closes the file
        if self._hidden is not None:
            self._hidden.unlink(missing_ok=True)
        self._hidden = None

    def _quieten(self) -> None:
        """Fill a PNG that is thrown away with noise: libpng complains on stderr of one without any block."""
        random, length = np.random.default_rng(0), self._width * self._channels * self._dtype.itemsize
        for y in range(self._next, min(self._height, self._next + 1 + _PNG_BLOCK // length)):
            row = np.frombuffer(random.bytes(length), self._dtype).reshape(1, self._width, self._channels)
            if not self._output.write_scanlines(y, y + 1, 0, row):
                break
        self._output.geterror()

    def _open(self) -> Any:
        oiio = openimageio()
        profile = profile_for(self._like, self._channels)
        trouble = ""
        # libpng refuses to write profiles that JPEG and TIFF carry without a look; better a picture without than none
        for icc in (profile, None) if profile else (None,):
            output = oiio.ImageOutput.create(str(self._hidden))
            if output is None:
                raise self._failure(oiio.geterror())
            if output.open(str(self._hidden), self._spec(icc)):
                return output
            trouble = output.geterror()
        raise self._failure(trouble)

    def _spec(self, icc: bytes | None) -> Any:
        oiio = openimageio()
        channels = 3 if self._format is WEBP and self._channels == 1 else self._channels
        spec = oiio.ImageSpec(self._width, self._height, channels, TYPES[self._dtype.name])
        for name, value in self._format.attributes:
            spec.attribute(name, value)
        if channels == 4 and self._format is not EXR:
            spec.attribute("oiio:UnassociatedAlpha", 1)
        if self._format is TIFF and self._height * self._width * channels * self._dtype.itemsize > _CLASSIC_TIFF_BYTES:
            spec.attribute("tiff:bigtiff", 1)
        if self._format is PNG and (icc or channels == 1):
            # else an sRGB chunk is written, which contradicts the profile and makes colours of a matte
            spec.attribute("oiio:ColorSpace", "data" if channels == 1 else "unknown")
        if icc:
            array = oiio.TypeDesc(oiio.UINT8, oiio.SCALAR, oiio.NOSEMANTICS, len(icc))
            spec.attribute("ICCProfile", array, np.frombuffer(icc, np.uint8))
        if self._format is EXR:
            set_header(spec, self._like)
        if self._layers:
            spec.channelnames = (*"RGBA", *self._layers)
            spec.attribute("compression", "zips")  # row by row: what compositing programs read fastest
        if self._like and self._like.resolution:
            _set_resolution(spec, self._like.resolution, self._format)
        return spec

    def _check_room(self, needed: int) -> None:
        """Refuse to write on a full disk: OpenImageIO's JPEG writer ends the process there, its WebP writer hangs."""
        disk = shutil.disk_usage(self._path.parent)
        if disk.total and disk.free < needed + MIB:
            raise OutputError(
                f"{self._path}: its disk has {disk.free // MIB} MiB left, we may need {needed // MIB + 1} MiB",
                hint="Make room, or write to another disk.",
            )

    def _failure(self, reason: str | None) -> OutputError:
        return OutputError(
            f"{self._path} cannot be written ({first_line(reason) or 'the file is incomplete'})",
            hint="Check the room on the disk and the folder's permissions, or write somewhere else.",
        )


def check_output_path(path: PathLike, inputs: Sequence[PathLike], formats: Mapping[str, Format] = FORMATS) -> None:
    """Refuse a path where no picture can be written, before any work is done.

    Args:
        inputs: Files that must not be overwritten; links are followed.
        formats: The formats that may be written there, by suffix.

    Raises:
        OutputError: A suffix that we cannot write, a folder that is missing or closed to us, a path that is a
            folder, or one of the inputs.
    """
    path = Path(path)
    writable(path, formats)
    folder = path.parent
    if path.is_dir():
        raise OutputError(
            f"{path} is a folder, we need a file name", hint=f"Write to {path / 'alpha.png'}, for example."
        )
    if not folder.is_dir():
        raise OutputError(f"{path}: its folder {folder} does not exist", hint=f"Create it: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"{path}: we may not write into its folder {folder}", hint="Change its permissions, or choose another one."
        )
    for source in inputs:
        if _same_file(path, Path(source)):
            raise OutputError(
                f"{path} is one of the inputs ({source}), it would be overwritten", hint="Choose another name."
            )


def _set_resolution(spec: Any, resolution: tuple[float, float, str], file_format: Format) -> None:
    x, y, unit = resolution
    if file_format is EXR and unit == "cm":  # EXR counts in inches; OpenImageIO 3.2 divides where it should multiply
        x, y, unit = x * 2.54, y * 2.54, "in"
    spec.attribute("XResolution", x)
    spec.attribute("YResolution", y)
    spec.attribute("ResolutionUnit", unit)
    if file_format in (TIFF, EXR):  # they take YResolution from it, JPEG gets it wrong when both are there
        spec.attribute("PixelAspectRatio", y / x)


def profile_for(like: PictureInfo | None, channels: int) -> bytes | None:
    """The profile to embed: complete and for as many colours, since libpng gives up on any other."""
    icc = like.icc if like else None
    if not icc or icc[16:20] != (b"GRAY" if channels == 1 else b"RGB "):
        return None
    return icc if len(icc) == int.from_bytes(icc[:4], "big") and icc[36:40] == b"acsp" else None


def _encode(band: np.ndarray, dtype: np.dtype[Any], *, premultiply: bool) -> np.ndarray:
    """float32 [h, w, C] as the file's numbers, rounded: OpenImageIO would dither or truncate."""
    if dtype.kind == "u":
        values = band.clip(0, 1)
        values *= np.float32(WHITE[dtype.name])
        return np.rint(values, out=values).astype(dtype)
    pixels = band.copy()
    if band.shape[2] >= 4:
        np.clip(pixels[..., 3], 0, 1, out=pixels[..., 3])
        if premultiply:
            pixels[..., :3] *= pixels[..., 3:4]
    return pixels.clip(-_HALF_MAX, _HALF_MAX).astype(dtype) if dtype == np.float16 else pixels


def _is_complete(path: Path, file_format: Format, height: int) -> bool:
    """Whether the whole file is on the disk: OpenImageIO does not report what fails while it closes a file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(max(0, size - 12))
        tail = file.read()
    if file_format is PNG:
        return tail[4:8] == b"IEND"
    if file_format is JPEG:
        return tail.endswith(b"\xff\xd9")
    if file_format is WEBP:
        return head[:4] == b"RIFF" and int.from_bytes(head[4:8], "little") + 8 == size
    try:
        file = open_input(path)
    except InputError:
        return False
    with size_limit(lifted=file.beyond):
        bottom = int(file.input.spec().y) + height
        last = file.input.read_scanlines(bottom - 1, bottom, 0, 0, 1, openimageio().TypeDesc("float"))
    return last is not None and not file.input.geterror()


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one.resolve() == other.resolve()
