"""Pictures as bands of rows: files and arrays in, files out, in memory that the band bounds and not the picture.

OpenImageIO does the decoding; it is loaded when the first file is opened. No torch, no networks. Rows are half open,
y0 .. y1-1, upright (EXIF orientation applied), colours straight and in the picture's own encoding and depth. Read top
to bottom:

    PictureInfo                    size, depth and metadata of a picture
    BandReader                     the interface: info, rows, window, close
    open_picture, PictureReader    a file's rows, in any order; cheapest from top to bottom
    ArrayReader                    the same over an array
    open_trimap, TrimapReader      rows of 0, 128 and 255
    read_picture, read_grey        a whole small picture
    as_float, network_colours      rows as numbers, rows as the network sees them
    PictureWriter                  rows into a file that appears when it is complete, or never
    default_bit_depth, check_output_path
    _Decoder                       rows as they lie in the file, with the last ones kept
    _Turned                        rows of a picture that must be turned, from a temporary file

What the values of a trimap mean is in pictures/trimap.py, transfer functions are in pictures/colour.py.

OpenImageIO: only ImageInput and ImageOutput. ImageBuf takes 360-660 MB for a 96-megapixel picture, a band of rows
93-129 MB. Of several pages, parts or layers the first is read; of an EXR its data window.
"""

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float16, Float32, Shaped, UInt8, UInt16

from hdmatt.errors import InputError, OutputError

DEFAULT_MAX_PIXELS = 1_000_000_000

PathLike = str | os.PathLike[str]
_Reader = TypeVar("_Reader", bound="BandReader")  # typing.Self is refused by beartype where methods are checked alone
Rows = (
    UInt8[np.ndarray, "h w 3"]
    | UInt16[np.ndarray, "h w 3"]
    | Float16[np.ndarray, "h w 3"]
    | Float32[np.ndarray, "h w 3"]
)

_MIB = 2**20
_KEPT_BYTES = 64 * _MIB  # of the rows read last; an overlap of 64 rows of a 100 000 pixel wide 16-bit picture is 38 MB
_ENCODED_ROWS = 64  # at a time, for the copies in floats on the way; whole strips of a TIFF, which has 32 rows in one
_SPOOL_BYTES = 32 * _MIB  # of one band on its way into the temporary file
_WHITE = {"uint8": 255, "uint16": 65535}
_TYPES = {"uint8": "uint8", "uint16": "uint16", "float16": "half", "float32": "float"}  # OpenImageIO's names
_HALF_MAX = 65504.0  # the largest half float
_ROUNDING = 2 / 255  # a grey picture saved as RGB JPEG comes back with its channels up to this far apart
_LARGEST_ENCODED = 8.0  # display-encoded floats beyond this are no overshoot but a picture of 0..255
_NO_EXIF = "failed TIFFWriteCustomDirectory() of the Exif data"  # OpenImageIO 3.2, of every TIFF that has none
_PNG_BLOCK = 2**17  # more than zlib and libpng hold back together
_CLASSIC_TIFF_BYTES = 3_500_000_000  # of pixels; classic TIFF ends at 4 GiB, and zip can make noise larger


# --------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class PictureInfo:
    """Size, depth and metadata of a picture, after EXIF rotation."""

    path: Path | None
    height: int
    width: int
    channels: int  # colour channels: 1 (grey) or 3 (RGB); alpha is not counted
    has_alpha: bool
    dtype: np.dtype[Any]  # uint8, uint16, float16 or float32
    linear: bool  # True: scene-linear values (EXR); False: display-encoded (sRGB-like)
    icc: bytes | None
    resolution: tuple[float, float, str] | None  # along x, along y, unit: "in", "cm" or "none"
    tall: int = 1  # rows that can only be decoded together: of a tile, or of a strip


class BandReader:
    """What PictureReader and ArrayReader share: bands of a picture by row numbers.

    Closed by `close` or at the end of a `with` block. Not for several threads at once.
    """

    info: PictureInfo

    def rows(self, y0: int, y1: int) -> Rows:
        """Rows y0 .. y1-1 as straight RGB in the picture's own depth; grey is repeated.

        The array is the caller's own. uint8 and uint16 span black to white; floats are as in the file, finite, and
        may lie outside of [0, 1].

        Raises:
            InputError: The file is damaged or cut short there, or holds NaN or infinite values.
        """
        return self.window(y0, y1, 0, self.info.width)

    def window(self, y0: int, y1: int, x0: int, x1: int) -> Rows:
        """The same as `rows(y0, y1)[:, x0:x1]`; of a tiled file only the tiles touched are decoded."""
        colours = self.colours(y0, y1, x0, x1)
        return np.repeat(colours, 3, axis=2) if colours.shape[2] == 1 else np.array(colours, order="C")

    def colours(self, y0: int, y1: int, x0: int, x1: int) -> Shaped[np.ndarray, "h w c"]:
        """`window` with grey left as one channel; a view to be read and not written."""
        info = self.info
        assert 0 <= y0 <= y1 <= info.height and 0 <= x0 <= x1 <= info.width, (y0, y1, x0, x1, info)
        return self._colours(y0, y1, x0, x1)

    def close(self) -> None:
        """Release the file; twice is once."""

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        raise NotImplementedError

    def __enter__(self: _Reader) -> _Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_picture(path: PathLike, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> "PictureReader":
    """Open a picture file: PNG, JPEG, TIFF, EXR, WebP, and what else OpenImageIO reads.

    Args:
        path: The file; its content decides the format, not its name.
        max_pixels: More pixels than this are refused before any is decoded.

    Raises:
        InputError: Missing, unreadable, not a picture, or too large.
    """
    return PictureReader(path, max_pixels=max_pixels)


class PictureReader(BandReader):
    """Bands of a picture file; see `open_picture`.

    Any order of rows works. Going down costs one pass over the file and memory for one band; rows that overlap the
    band before are kept, not decoded again. Going up in a PNG or JPEG starts again from its first row. WebP is
    decoded whole when it is opened (at most 1 GiB, its sides end at 16383).

    Alpha is dropped and colours are straight: associated ones (EXR, some TIFF) are divided by alpha, but where alpha
    is 0 stay as they are. A picture that EXIF wants turned (orientation 3 to 8) is copied once, on the first read,
    into a temporary file of its raw size.
    """

    def __init__(self, path: PathLike, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self._decoder = _Decoder(Path(path))
        try:
            self._orientation = self._decoder.orientation
            self.info = self._decoder.info(turned=self._orientation >= 5)
            _check_size(self.info, max_pixels, self._decoder.chunk_pixels)
        except BaseException:
            self._decoder.close()
            raise
        self._source: _Rows = self._decoder
        self._turned: _Turned | None = None
        if self._orientation >= 3:
            self._source = self._turned = _Turned(self._decoder, transposed=self._orientation >= 5)

    @property
    def tiled(self) -> bool:
        """Whether a window costs less than its rows."""
        return self._turned is None and self._decoder.tiled

    @property
    def decoded(self) -> int:
        """Pixels that were decoded so far; one that is decoded twice counts twice."""
        return self._decoder.decoded

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        # EXIF 2.32, tag 274: 5 to 8 are the transposed picture, mirrored or not; 1 to 4 the same of the picture
        if flipped := self._orientation in (3, 4, 7, 8):
            y0, y1 = self.info.height - y1, self.info.height - y0
        if mirrored := self._orientation in (2, 3, 6, 7):
            x0, x1 = self.info.width - x1, self.info.width - x0
        band = self._source.rows(y0, y1, x0, x1)
        return band[:: -1 if flipped else 1, :: -1 if mirrored else 1]

    def alpha(self) -> Float32[np.ndarray, "h w"]:
        """The alpha channel of the whole file in [0, 1], not turned by EXIF; only where `info.has_alpha`."""
        return as_float(self._decoder.alpha())

    def close(self) -> None:
        self._decoder.close()
        if self._turned:
            self._turned.close()


class ArrayReader(BandReader):
    """Bands of an array: H x W or H x W x 1 (grey), x 3 (RGB) or x 4 (RGBA, alpha dropped).

    Args:
        array: uint8, uint16, float16 or float32 (float64 becomes float32), straight colours. Not copied: it must not
            change while it is read.
        linear: True for scene-linear values, False for display-encoded ones, in which floats span 0 to 1.

    Raises:
        InputError: Another shape or type, no pixels, NaN or infinite values, or floats that span 0 to 255.
    """

    def __init__(self, array: np.ndarray, *, linear: bool = False) -> None:
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
            raise InputError(
                f"an array of shape {array.shape} is no picture, we need H x W or H x W x 1, 3 or 4",
                hint="Rows come first and channels last: array.transpose(1, 2, 0) turns C x H x W around.",
            )
        if 0 in array.shape:
            raise InputError(
                f"an array of shape {array.shape} has no pixels, we need at least one",
                hint="Look at where the array was cut or loaded.",
            )
        pixels = array.reshape(*array.shape[:2], -1)
        channels = 1 if pixels.shape[2] == 1 else 3
        self._pixels = _known_dtype(pixels)[..., :channels]
        _check_array(self._pixels, linear=linear)
        self.info = PictureInfo(
            path=None,
            height=pixels.shape[0],
            width=pixels.shape[1],
            channels=channels,
            has_alpha=pixels.shape[2] == 4,
            dtype=self._pixels.dtype,
            linear=linear,
            icc=None,
            resolution=None,
        )

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        return self._pixels[y0:y1, x0:x1]


def open_trimap(path_or_array: PathLike | np.ndarray, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> "TrimapReader":
    """Open a trimap from a file, or from what `ArrayReader` takes.

    Raises:
        InputError: As for `open_picture` and `ArrayReader`.
    """
    if isinstance(path_or_array, np.ndarray):
        return TrimapReader(ArrayReader(path_or_array))
    return TrimapReader(open_picture(path_or_array, max_pixels=max_pixels))


class TrimapReader:
    """Bands of a trimap: exactly 0 (background), 128 (unknown) and 255 (foreground).

    `snapped` is the number of pixels that were something else (see trimap.classify), of all rows read so far; a row
    that is read again is not counted again.
    """

    def __init__(self, reader: BandReader) -> None:
        self._reader = reader
        self._counted = np.zeros(reader.info.height, bool)
        self.info = reader.info
        self.snapped = 0

    def rows(self, y0: int, y1: int) -> UInt8[np.ndarray, "h w"]:
        """Rows y0 .. y1-1.

        Raises:
            InputError: Damaged rows, colours instead of greys, or floats outside of 0 to 1.
        """
        from hdmatt.pictures.trimap import classify  # here, because it brings OpenCV

        name = str(self.info.path or "the trimap array")
        values = _grey(self._reader.colours(y0, y1, 0, self.info.width), y0, name, "a trimap")
        if values.dtype.kind == "f" and values.size and not -0.01 <= float(values.min()) <= float(values.max()) <= 1.01:
            raise InputError(
                f"{name} holds values from {values.min():g} to {values.max():g}, a trimap of floats needs 0, 0.5 and 1",
                hint="Divide it by its white, or save it as 8-bit grey with the values 0, 128 and 255.",
            )
        trimap, snapped = classify(values)
        new = ~self._counted[y0:y1]
        self.snapped += snapped if new.all() else classify(values[new])[1]
        self._counted[y0:y1] = True
        return trimap

    def close(self) -> None:
        """Release the file; twice is once."""
        self._reader.close()

    def __enter__(self) -> "TrimapReader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_picture(path: PathLike) -> tuple[Float32[np.ndarray, "h w 3"], PictureInfo]:
    """A whole picture: `as_float` of all its rows, and its info.

    Raises:
        InputError: As for `open_picture` and `rows`.
    """
    with open_picture(path) as picture:
        return as_float(picture.rows(0, picture.info.height)), picture.info


def read_grey(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """A whole grey picture in [0, 1], such as an alpha matte; also one saved as RGB with equal channels.

    Raises:
        InputError: As for `open_picture` and `rows`; or its channels differ; or it has a second matte in its alpha.
    """
    with open_picture(path) as picture:
        colours = picture.colours(0, picture.info.height, 0, picture.info.width)
        grey = as_float(_grey(colours, 0, str(path), "a grey picture")).clip(0, 1)
        alpha = picture.alpha() if picture.info.has_alpha else np.ones(1)
    varies = alpha.min() != alpha.max()
    if varies and (alpha.shape != grey.shape or (np.abs(alpha - grey) > _ROUNDING).any()):
        raise InputError(
            f"{path} has greys and an alpha channel that say different things, we need one matte",
            hint="Save the matte as a grey picture without an alpha channel.",
        )
    return grey


def as_float(rows: Shaped[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """uint8 and uint16 scaled to [0, 1]; half and float as they are, in the picture's own encoding.

    Exact to half a float32 step, so `round(value * 65535)` gives 16-bit values back.

    Raises:
        InputError: NaN or infinite values.
    """
    if rows.dtype.name in _WHITE:
        return np.divide(rows, np.float32(_WHITE[rows.dtype.name]), dtype=np.float32)
    assert rows.dtype in (np.float16, np.float32), rows.dtype
    values = rows.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(
            "the picture holds NaN or infinite values, we need finite ones",
            hint="Replace them first, for example with numpy.nan_to_num.",
        )
    return values


def network_colours(rows: Shaped[np.ndarray, "... 3"], *, linear: bool) -> Float32[np.ndarray, "... 3"]:
    """Rows as the network sees them: display-encoded RGB in [0, 1].

    Values outside of [0, 1] are clipped; scene-linear ones then pass the sRGB curve.

    Raises:
        InputError: NaN or infinite values.
    """
    colours = as_float(rows)
    np.clip(colours, 0, 1, out=colours)
    if not linear:
        return colours
    from hdmatt.pictures.colour import linear_to_srgb

    return linear_to_srgb(colours)


# --------------------------------------------------------------------------------------------------------- writing


@dataclass(frozen=True)
class _Format:
    """What one file format can hold, and how we write it."""

    name: str
    depths: tuple[str, ...]  # of "8", "16", "half", "float"
    alpha: bool
    largest_side: int
    attributes: tuple[tuple[str, str | int], ...]
    held: bool = False  # in memory until the end


# PNG: level 4 against 1, 6, 9 (1500 x 2000): an 8-bit matte 0.03 s 154 kB against 0.02 s 173 kB, 0.03 s 154 kB, 0.06 s
#     151 kB; an 8-bit photograph 0.43 s 5.51 MB against 0.30 s 5.67 MB, 0.50 s 5.51 MB, 0.49 s 5.51 MB.
# TIFF: half floats exist, but few programs read them.
# JPEG: 4:4:4, because half the colours along a matte's rim are what one sees.
# WebP: the encoder wants the whole picture, so we hold it. OpenImageIO would, too, but then encodes it even when we
#     give up, and never returns if the disk is full. Pixels with alpha 0 lose their colour.
_PNG = _Format("PNG", ("8", "16"), True, 1_000_000, (("png:compressionLevel", 4),))
_JPEG = _Format("JPEG", ("8",), False, 65500, (("compression", "jpeg:95"), ("jpeg:subsampling", "4:4:4")))
_TIFF = _Format("TIFF", ("8", "16", "float"), True, 2**20, (("compression", "zip"),))
_EXR = _Format("EXR", ("half", "float"), True, 2**20, (("compression", "zip"), ("openexr:lineOrder", "increasingY")))
_WEBP = _Format("WebP", ("8",), True, 16383, (("compression", "lossless"),), held=True)
_FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".exr": _EXR,
    ".webp": _WEBP,
}
_DEPTHS = {"8": np.uint8, "16": np.uint16, "half": np.float16, "float": np.float32}


class PictureWriter:
    """Writes a picture row by row; a context manager.

    The file appears under its name when the block ends and every row was written. Until then it is a hidden file
    beside it; an exception removes that, and only a killed process can leave it behind.

    Values are in `like`'s own encoding; nothing is converted. 8 and 16 bit are clipped to [0, 1] and rounded to the
    nearest step. Half and float keep values outside of [0, 1], but alpha is clipped. Alpha is written straight
    (unassociated), but in EXR, where the format wants colours multiplied by alpha, we do that. PNG, JPEG, TIFF and
    EXR are streamed; WebP is held in memory until the end (12 bytes a pixel).

    Args:
        path: Its suffix picks the format: .png, .jpg, .jpeg, .tif, .tiff, .exr, .webp.
        channels: 1 (a matte), 3 (RGB) or 4 (RGBA; not in JPEG).
        bit_depth: "8", "16", "half" or "float"; see `default_bit_depth`.
        like: Where resolution and ICC profile come from (the profile if it is one for as many colours and the format
            has a place for it; WebP has none for resolutions).

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
    ) -> None:
        assert channels in (1, 3, 4) and height > 0 and width > 0, (channels, height, width)
        self._path = Path(path)
        self._format = _writable(self._path)
        _check_format(self._path, self._format, height, width, channels=channels, bit_depth=bit_depth)
        self._height, self._width, self._channels, self._like = height, width, channels, like
        self._dtype = np.dtype(_DEPTHS[bit_depth])
        # the same suffix, for OpenImageIO picks the format by it; not mkstemp, which makes files that only we can read
        self._hidden = self._path.with_name(f".hdmatt-{secrets.token_hex(6)}{self._path.suffix.lower()}")
        self._output: Any = None
        self._held: list[np.ndarray] = []
        self._entered = False
        self._next = 0

    def __enter__(self) -> "PictureWriter":
        check_output_path(self._path, [])
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
            rows: [h, width] or [h, width, channels], finite.

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
            pixels = _encode(band[y : y + _ENCODED_ROWS], self._dtype, premultiply=self._format is _EXR)
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
            os.replace(self._hidden, self._path)
        except OSError as error:
            raise self._failure(error.strerror) from error

    def _put(self, y0: int, pixels: np.ndarray) -> None:
        if not len(pixels):
            return
        if not self._format.held:
            self._check_room(pixels.nbytes)
        if self._format is _WEBP and self._channels == 1:
            pixels = np.repeat(pixels, 3, axis=2)  # WebP knows no grey
        fine = self._output.write_scanlines(y0, y0 + len(pixels), 0, pixels)
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
        if self._output is not None and self._format is _PNG:
            self._quieten()
        self._output = None  # its destructor closes the file
        self._hidden.unlink(missing_ok=True)

    def _quieten(self) -> None:
        """Noise into a PNG that is thrown away: libpng complains on stderr of one closed before its first block."""
        random, length = np.random.default_rng(0), self._width * self._channels * self._dtype.itemsize
        for y in range(self._next, min(self._height, self._next + 1 + _PNG_BLOCK // length)):
            row = np.frombuffer(random.bytes(length), self._dtype).reshape(1, self._width, self._channels)
            if not self._output.write_scanlines(y, y + 1, 0, row):
                break
        self._output.geterror()

    def _open(self) -> Any:
        oiio = _oiio()
        profile = _profile_for(self._like, self._channels)
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
        oiio = _oiio()
        channels = 3 if self._format is _WEBP and self._channels == 1 else self._channels
        spec = oiio.ImageSpec(self._width, self._height, channels, _TYPES[self._dtype.name])
        for name, value in self._format.attributes:
            spec.attribute(name, value)
        if channels == 4 and self._format is not _EXR:
            spec.attribute("oiio:UnassociatedAlpha", 1)
        if self._format is _TIFF and self._height * self._width * channels * self._dtype.itemsize > _CLASSIC_TIFF_BYTES:
            spec.attribute("tiff:bigtiff", 1)
        if self._format is _PNG and (icc or channels == 1):
            # else an sRGB chunk is written, which contradicts the profile and makes colours of a matte
            spec.attribute("oiio:ColorSpace", "data" if channels == 1 else "unknown")
        if icc:
            array = oiio.TypeDesc(oiio.UINT8, oiio.SCALAR, oiio.NOSEMANTICS, len(icc))
            spec.attribute("ICCProfile", array, np.frombuffer(icc, np.uint8))
        if self._like and self._like.resolution:
            _set_resolution(spec, self._like.resolution, self._format)
        return spec

    def _check_room(self, needed: int) -> None:
        """Meet a full disk before OpenImageIO does: its JPEG writer ends the process, its WebP writer never returns."""
        disk = shutil.disk_usage(self._path.parent)
        if disk.total and disk.free < needed + _MIB:
            raise OutputError(
                f"{self._path}: its disk has {disk.free // _MIB} MiB left, we may need {needed // _MIB + 1} MiB",
                hint="Make room, or write to another disk.",
            )

    def _failure(self, reason: str | None) -> OutputError:
        return OutputError(
            f"{self._path} cannot be written ({_first_line(reason) or 'the file is incomplete'})",
            hint="Check the room on the disk and the folder's permissions, or write somewhere else.",
        )


def default_bit_depth(path: PathLike, info: PictureInfo) -> str:
    """The input's own bit depth where the output's format has it, else the nearest that loses the least.

    Returns:
        "8", "16", "half" or "float".

    Raises:
        OutputError: A suffix that we cannot write.
    """
    file_format = _writable(Path(path))
    wanted = {"uint8": "8", "uint16": "16", "float16": "half", "float32": "float"}[info.dtype.name]
    if wanted in file_format.depths:
        return wanted
    if file_format is _EXR:
        return "half" if wanted == "8" else "float"
    return file_format.depths[-1]  # the finest


def check_output_path(path: PathLike, inputs: Sequence[PathLike]) -> None:
    """Raise unless a picture can be written there, before hours of work.

    Args:
        inputs: Files that must not be overwritten; links are followed.

    Raises:
        OutputError: A suffix that we cannot write, a folder that is missing or closed to us, a path that is a
            folder, or one of the inputs.
    """
    path = Path(path)
    _writable(path)
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


# --------------------------------------------------------------------------------------------------------- helpers


@runtime_checkable
class _Rows(Protocol):
    """Where a PictureReader takes its rows from."""

    def rows(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray: ...


class _Decoder:
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
            tall=self._chunk,
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
        depth = _oiio().TypeDesc(_TYPES[self.dtype.name])
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
        depth = _oiio().TypeDesc(_TYPES[self.dtype.name])
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
                f"({_first_line(trouble) or 'no reason given'})",
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


class _Turned:
    """A picture once more, in a temporary file that gives the rows of the turned picture in any order.

    Each band of the source is one block. Transposed blocks are [W, h, C], so that some rows of the result are one
    contiguous piece of every block; others are [h, W, C] and the file is simply raw.
    """

    def __init__(self, decoder: _Decoder, *, transposed: bool) -> None:
        self._decoder = decoder
        self._transposed = transposed
        self._pixel = decoder.channels * decoder.dtype.itemsize
        self._band = max(1, _SPOOL_BYTES // (decoder.width * self._pixel))
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
            size = decoder.height * decoder.width * self._pixel // _MIB + 1
            raise OutputError(
                f"turning the picture upright needs {size} MiB in {folder} ({error.strerror})",
                hint="Make room there, or name another folder: TMPDIR=/path hdmatt ...",
            ) from error


@cache
def _oiio() -> Any:
    import OpenImageIO

    # its own limit is what the machine has of memory, but we stream, and max_pixels says it in the user's words
    OpenImageIO.attribute("limits:imagesize_MB", 0)
    return OpenImageIO


def _open_input(path: Path) -> tuple[Any, str]:
    """The opened file, and what OpenImageIO complained of on the way: progressive JPEG is read right there."""
    _check_readable(path)
    oiio = _oiio()
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(str(path), config)
    # "null" makes pictures out of nothing for any file of that name
    if source is None or source.format_name() in ("null", "term"):
        reason = _first_line(oiio.geterror()).replace(str(path), path.name)
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


def _check_size(info: PictureInfo, max_pixels: int, chunk_pixels: int) -> None:
    pixels = max(info.height * info.width, chunk_pixels)
    if pixels > max_pixels:
        raise InputError(
            f"{info.path} is {info.width}x{info.height} (width x height): {pixels} pixels to decode, the limit is "
            f"{max_pixels}",
            hint=f"If that is no mistake, allow it: --max-pixels {pixels}",
        )


def _check_array(pixels: np.ndarray, *, linear: bool) -> None:
    if pixels.dtype.kind != "f":
        return
    band = max(1, _SPOOL_BYTES // pixels[:1].nbytes)
    largest = 0.0
    for y0 in range(0, len(pixels), band):
        rows = pixels[y0 : y0 + band]
        if not np.isfinite(rows).all():
            raise InputError(
                "the array holds NaN or infinite values, we need finite ones (the largest float32 is 3.4e38)",
                hint="Replace them first, for example with numpy.nan_to_num.",
            )
        largest = max(largest, float(np.abs(rows).max()))
    if not linear and largest > _LARGEST_ENCODED:
        raise InputError(
            f"the array holds floats up to {largest:g}, we need 0 to 1",
            hint="Divide it by 255, or pass it as uint8; scene-linear values go with linear=True.",
        )


def _known_dtype(pixels: np.ndarray) -> np.ndarray:
    """The array in one of the four dtypes and in this machine's byte order, without a copy where it is already."""
    name = pixels.dtype.name
    if name not in ("uint8", "uint16", "float16", "float32", "float64"):
        raise InputError(
            f"the array is of {name}, we need uint8, uint16, float16, float32 or float64",
            hint="Convert it: array.astype(numpy.uint8) for values from 0 to 255, numpy.float32 for 0 to 1.",
        )
    with np.errstate(over="ignore"):  # infinity is found and told right after
        return pixels.astype(np.dtype("float32" if name == "float64" else name), copy=False)


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
    white = _WHITE.get(colours.dtype.name, 1)
    weight = alpha.astype(np.float32) / np.float32(white)
    weight[weight <= 0] = 1
    with np.errstate(over="ignore"):
        straight = colours / weight
    if colours.dtype.kind == "u":
        return np.rint(straight).clip(0, white).astype(colours.dtype)
    largest = np.finfo(colours.dtype).max
    return np.clip(straight, -largest, largest).astype(colours.dtype)


def _grey(colours: np.ndarray, y0: int, name: str, needed: str) -> np.ndarray:
    """The first channel of a band that begins at row y0, if the others say the same."""
    if colours.shape[2] == 3:
        values = colours.astype(np.float32)
        apart = values.max(axis=2) - values.min(axis=2)
        # 1e-3 of a step for the rounding of these three lines
        far = apart > (_ROUNDING * _WHITE.get(colours.dtype.name, 1)) * 1.001
        if far.any():
            y, x = (int(i) for i in np.unravel_index(int(np.argmax(far)), far.shape))
            red, green, blue = (f"{v:g}" for v in values[y, x])
            raise InputError(
                f"{name} looks like a colour picture, we need {needed}: row {y0 + y}, column {x} is red {red}, green "
                f"{green}, blue {blue}",
                hint="Were two files swapped? Else save it as a grey picture.",
            )
    return colours[..., 0]


def _resolution(spec: Any) -> tuple[float, float, str] | None:
    x, y = float(spec.get_float_attribute("XResolution")), float(spec.get_float_attribute("YResolution"))
    unit = str(spec.get_string_attribute("ResolutionUnit"))
    if not (0 < x < np.inf and 0 < y < np.inf):
        return None
    if unit == "m":
        return x / 100, y / 100, "cm"
    return x, y, {"in": "in", "inch": "in", "cm": "cm"}.get(unit, "none")


def _set_resolution(spec: Any, resolution: tuple[float, float, str], file_format: _Format) -> None:
    x, y, unit = resolution
    if file_format is _EXR and unit == "cm":  # EXR counts in inches; OpenImageIO 3.2 divides where it should multiply
        x, y, unit = x * 2.54, y * 2.54, "in"
    spec.attribute("XResolution", x)
    spec.attribute("YResolution", y)
    spec.attribute("ResolutionUnit", unit)
    if file_format in (_TIFF, _EXR):  # they take YResolution from it, JPEG gets it wrong when both are there
        spec.attribute("PixelAspectRatio", y / x)


def _profile(spec: Any, channels: int) -> bytes | None:
    """The ICC profile, unless it is one for pixels other than we deliver: CMYK comes converted."""
    value = spec.getattribute("ICCProfile")
    icc = bytes(np.asarray(value, np.uint8)) if value is not None else b""
    return icc if icc[16:20] == (b"GRAY" if channels == 1 else b"RGB ") else None


def _profile_for(like: PictureInfo | None, channels: int) -> bytes | None:
    """The profile to embed: one of the same kind of colours, whole, for a wrong one makes libpng give up."""
    icc = like.icc if like else None
    if not icc or icc[16:20] != (b"GRAY" if channels == 1 else b"RGB "):
        return None
    return icc if len(icc) == int.from_bytes(icc[:4], "big") and icc[36:40] == b"acsp" else None


def _writable(path: Path) -> _Format:
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise OutputError(
            f"{path}: we cannot write {path.suffix or 'a file without a suffix'}, we need one of {' '.join(_FORMATS)}",
            hint=f"Write to {path.with_suffix('.png').name or 'alpha.png'}, for example.",
        )
    return found


def _check_format(path: Path, file_format: _Format, height: int, width: int, *, channels: int, bit_depth: str) -> None:
    name = file_format.name
    if bit_depth not in file_format.depths:
        raise InputError(
            f"{path}: {name} has no bit depth {bit_depth}, we need {' or '.join(file_format.depths)}",
            hint=f"Use --bit-depth {file_format.depths[-1]}, or another format.",
        )
    if channels == 4 and not file_format.alpha:
        raise OutputError(
            f"{path}: {name} has no alpha channel, a cut-out needs one",
            hint=f"Write to {path.with_suffix('.png').name}, or to .tif, .exr or .webp.",
        )
    if max(height, width) > file_format.largest_side:
        raise OutputError(
            f"{path}: {width}x{height} (width x height) is too large for {name}, its sides end at "
            f"{file_format.largest_side}",
            hint=f"Write to {path.with_suffix('.tif').name}.",
        )


def _encode(band: np.ndarray, dtype: np.dtype[Any], *, premultiply: bool) -> np.ndarray:
    """float32 [h, w, C] as the file's numbers, rounded; OpenImageIO would dither or cut off."""
    if dtype.kind == "u":
        values = band.clip(0, 1)
        values *= np.float32(_WHITE[dtype.name])
        return np.rint(values, out=values).astype(dtype)
    pixels = band.copy()
    if band.shape[2] == 4:
        np.clip(pixels[..., 3], 0, 1, out=pixels[..., 3])
        if premultiply:
            pixels[..., :3] *= pixels[..., 3:]
    return pixels.clip(-_HALF_MAX, _HALF_MAX).astype(dtype) if dtype == np.float16 else pixels


def _is_complete(path: Path, file_format: _Format, height: int) -> bool:
    """Whether all of it is on the disk: the writers do not tell of what fails when they close the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(max(0, size - 12))
        tail = file.read()
    if file_format is _PNG:
        return tail[4:8] == b"IEND"
    if file_format is _JPEG:
        return tail.endswith(b"\xff\xd9")
    if file_format is _WEBP:
        return head[:4] == b"RIFF" and int.from_bytes(head[4:8], "little") + 8 == size
    source = _oiio().ImageInput.open(str(path))
    if source is None:
        _oiio().geterror()
        return False
    last = source.read_scanlines(height - 1, height, 0, 0, 1, _oiio().TypeDesc("float"))
    return last is not None and not source.geterror()


def _ends_as_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65536))  # some cameras put their own data behind the picture
        return b"\xff\xd9" in file.read()


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one.resolve() == other.resolve()


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


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0].strip()
