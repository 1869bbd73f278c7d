"""Pictures written row by row, into files that appear under their names once they are complete.

Knows nothing of what the values mean; what each format can hold is in pictures/files/formats.py.

    PictureWriter        writes a picture row by row
    check_output_path    refuses paths that cannot be written, before any work is done
    profile_for          the ICC profile to embed
"""

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import OutputError
from hdmatt.pictures.colours.encoding import SRGB
from hdmatt.pictures.files.encoders import (
    EncoderError,
    FileEncoder,
    OpenImageIOEncoder,
    PaletteEncoder,
    WebPEncoder,
    complaint,
)
from hdmatt.pictures.files.exr_header import set_header, set_windows
from hdmatt.pictures.files.formats import (
    DEPTHS,
    EXR,
    FORMATS,
    JPEG,
    PNG,
    TIFF,
    WEBP,
    Extras,
    Format,
    check_format,
    writable,
)
from hdmatt.pictures.files.labels import labelled
from hdmatt.pictures.files.openimageio import openimageio
from hdmatt.pictures.info import NO_DESCRIPTION, TYPES, WHITE, PathLike, PictureInfo
from hdmatt.pictures.metadata.description import LARGEST_ICC_SEGMENT, webp_options
from hdmatt.system.hidden import HiddenFile, place_of, unwritable

_ENCODED_ROWS = 64  # at a time, for the copies in floats on the way; whole strips of a TIFF, which has 32 rows in one
_HALF_MAX = 65504.0  # the largest half float
_PIXELS = (1.0, 1.0, "none")  # TIFF counts positions in the resolution's unit
_CLASSIC_TIFF_BYTES = 3_500_000_000  # of pixels; classic TIFF ends at 4 GiB, and zip can make noise larger


class PictureWriter:
    """Writes a picture row by row; a context manager.

    The file takes its name when the block ends and every row was written. Until then it is a hidden file beside it; an
    exception removes that, and only a killed process can leave it behind.

    Values are in `like`'s own encoding; nothing is converted. 8 and 16 bit are clipped to [0, 1] and rounded to the
    nearest step. Half and float keep values outside of [0, 1], but alpha is clipped. Colours are given straight, and
    written straight (unassociated alpha), except in EXR, which holds them multiplied by alpha; TIFF does on wish. PNG,
    JPEG, TIFF and EXR are streamed; WebP is held in memory until the end (4 bytes a pixel, and what its encoder takes).

    After a write that failed the writer takes no more rows. The file is complete on the disk before it gets its name.

    Args:
        path: Its suffix picks the format: .png, .jpg, .jpeg, .tif, .tiff, .exr, .webp.
        channels: 1 (a matte), 3 (RGB) or 4 (RGBA; not in JPEG).
        bit_depth: "8", "16", "half" or "float"; see `default_bit_depth`.
        like: The picture whose resolution, ICC profile, Exif, XMP and encoding are written, in formats that have a
            place for them: WebP has none for a resolution, EXR none for Exif and XMP. The profile only if it is for as
            many colours.
        publish: Called with the complete hidden file, to give it its name. Several outputs can wait for each other
            here; see inference/outputs.py.
        extras: Layers of an EXR, premultiplied colours of a TIFF, quality of a JPEG or WebP, where the pixels lie, a
            PNG's palette. A matte in WebP is always lossless.

    Attributes:
        palette_colours: How many colours the palette of the finished file has; 0 for none.

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
        publish: Callable[[HiddenFile], None] = HiddenFile.publish,
        extras: Extras = Extras(),  # noqa: B008, it is frozen
    ) -> None:
        assert channels in (1, 3, 4) and height > 0 and width > 0, (channels, height, width)
        self._path, self._publish = Path(path), publish
        self._format = writable(self._path)
        check_format(self._path, self._format, height, width, channels=channels, bit_depth=bit_depth)
        assert not extras.layers or (channels == 4 and self._format is EXR), (path, extras)
        assert not extras.premultiplied or (channels == 4 and self._format in (EXR, TIFF)), (path, extras)
        self._premultiply = extras.premultiplied or self._format is EXR
        self._layers, self._channels = extras.layers, channels + len(extras.layers)
        assert not extras.palette or (channels == 4 and self._format is PNG and bit_depth == "8"), (path, extras)
        self._quality, self._windows, self._palette = extras.quality, extras.windows, extras.palette
        self.palette_colours = 0
        self._height, self._width, self._like = height, width, like
        self._dtype = np.dtype(DEPTHS[bit_depth])
        self._hidden: HiddenFile | None = None
        self._encoder: FileEncoder | None = None
        self._next = 0

    def __enter__(self) -> "PictureWriter":
        check_output_path(self._path, [])
        self._hidden = HiddenFile(self._path)
        try:
            self._encoder = self._open(self._hidden)
        except BaseException as error:
            self._discard()
            if isinstance(error, EncoderError):
                raise self._failure(error) from error
            raise
        return self

    def write(self, rows: Float32[np.ndarray, "h w"] | Float32[np.ndarray, "h w c"]) -> None:
        """The next rows, from the top.

        Args:
            rows: [h, width] or [h, width, channels and layers], finite.

        Raises:
            OutputError: They cannot be written, for example because the disk is full.
        """
        assert self._encoder, "write() works inside of the with block, and until a write has failed"
        band = rows.reshape(*rows.shape[:2], -1)
        assert band.shape[1:] == (self._width, self._channels), (rows.shape, self._width, self._channels)
        assert self._next + len(band) <= self._height, (self._next, len(band), self._height)
        if not np.isfinite(band).all():
            raise RuntimeError(f"NaN or infinite values in rows {self._next} to {self._next + len(band)}")
        for y in range(0, len(band), _ENCODED_ROWS):
            pixels = _encode(band[y : y + _ENCODED_ROWS], self._dtype, premultiply=self._premultiply)
            try:
                self._encoder.write(self._next, pixels)
            except BaseException as error:
                self._discard()
                if isinstance(error, EncoderError):
                    raise self._failure(error) from error
                raise
            self._next += len(pixels)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _finish(self) -> None:
        if self._encoder is None or self._hidden is None or self._next != self._height:
            raise RuntimeError(f"{self._path}: {self._next} of {self._height} rows were written")
        try:
            self._encoder.finish()
        except EncoderError as error:
            raise self._failure(error) from error
        self._encoder.abandon()
        self.palette_colours = self._encoder.colours if isinstance(self._encoder, PaletteEncoder) else 0
        self._publish(self._hidden)
        self._hidden = None  # it is theirs to whom it was given

    def _discard(self) -> None:
        if self._encoder is not None:
            self._encoder.abandon()
        self._encoder = None
        if self._hidden is not None:
            self._hidden.discard()
        self._hidden = None

    def _open(self, hidden: HiddenFile) -> FileEncoder:
        profile = profile_for(self._like, self._channels)
        described = self._like.description if self._like else NO_DESCRIPTION
        if self._format is WEBP:
            options: dict[str, Any] = dict(self._format.attributes) | {"exact": True}
            if self._quality is not None and self._channels > 1:
                options = {"quality": self._quality, "alpha_quality": 100}  # 100: alpha is compressed without loss
            if profile:
                options["icc_profile"] = profile
            options |= webp_options(described)
            return WebPEncoder(hidden, self._height, self._width, options=options)
        by_us = profile or b"" if self._format is JPEG and len(profile or b"") > LARGEST_ICC_SEGMENT else b""
        # libpng refuses to write profiles that JPEG and TIFF carry without a look; where we cannot tell either what the
        # numbers mean, better a picture without than none
        given: list[bytes | None] = [profile] if profile and not by_us else []
        known = self._like.encoding if self._like else SRGB
        if not given or not known.curves or known == SRGB:
            given.append(None)
        specs = [self._spec(icc) for icc in given]
        offset = (self._windows.x, self._windows.y) if self._windows and self._format is PNG else None
        encoder = PaletteEncoder if self._palette else OpenImageIOEncoder
        return encoder(hidden, self._format, specs, described, png_offset=offset, icc=by_us)

    def _spec(self, icc: bytes | None) -> Any:
        oiio = openimageio()
        channels = self._channels
        spec = oiio.ImageSpec(self._width, self._height, channels, TYPES[self._dtype.name])
        spec.attribute("DateTime", "")  # else TIFF and EXR hold the time of writing, and no two runs the same bytes
        for name, value in self._format.attributes:
            spec.attribute(name, value)
        if self._format is JPEG and self._quality is not None:
            spec.attribute("compression", f"jpeg:{self._quality}")
        if channels == 4 and not self._premultiply:
            spec.attribute("oiio:UnassociatedAlpha", 1)
        if self._format is TIFF and self._height * self._width * channels * self._dtype.itemsize > _CLASSIC_TIFF_BYTES:
            spec.attribute("tiff:bigtiff", 1)
        if self._format is PNG:
            self._label_png(spec, icc, channels)
        if icc:
            array = oiio.TypeDesc(oiio.UINT8, oiio.SCALAR, oiio.NOSEMANTICS, len(icc))
            spec.attribute("ICCProfile", array, np.frombuffer(icc, np.uint8))
        if self._format is EXR:
            set_header(spec, self._like)
        if self._layers:
            spec.channelnames = (*"RGBA", *self._layers)
            spec.attribute("compression", "zips")  # row by row: what compositing programs read fastest
        resolution = self._like.resolution if self._like else None
        if self._windows and self._format in (EXR, TIFF):
            set_windows(spec, self._windows)
            resolution = resolution or (_PIXELS if self._format is TIFF else None)
        if resolution:
            _set_resolution(spec, resolution, self._format)
        return spec

    def _label_png(self, spec: Any, icc: bytes | None, channels: int) -> None:
        """Say what the numbers mean; OpenImageIO writes an sRGB chunk where nothing is said."""
        if icc or channels == 1:
            # an sRGB chunk would contradict the profile, and make colours of a matte
            spec.attribute("oiio:ColorSpace", "data" if channels == 1 else "unknown")
            return
        for name, value in labelled(self._like.encoding if self._like else SRGB):
            if isinstance(value, str):
                spec.attribute(name, value)
            else:
                spec.attribute(name, openimageio().TypeDesc(f"int[{len(value)}]"), value)

    def _failure(self, error: EncoderError) -> OutputError:
        return unwritable(self._path, OSError(complaint(error)))


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
    status = _status(path)
    if path.name in ("", "..") or (status and stat.S_ISDIR(status.st_mode)):
        raise OutputError(
            f"{path} is a folder, we need a file name", hint=f"Write to {path / 'alpha.png'}, for example."
        )
    if status and not stat.S_ISREG(status.st_mode):
        raise OutputError(f"{path} is no regular file, a picture cannot take its place", hint="Write to another name.")
    writable(path, formats)
    folder = place_of(path).parent
    if not folder.is_dir():
        if folder.exists():
            raise OutputError(f"{path}: {folder} is a file, and its folder is needed", hint="Choose another folder.")
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


def _status(path: Path) -> os.stat_result | None:
    """What stands at a path once links are followed; None for nothing."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # too long, a loop of links; a NUL byte
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{str(path)!r} is no name for a file ({reason})", hint="Choose another name.") from error


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
    if len(icc) != int.from_bytes(icc[:4], "big") or icc[36:40] != b"acsp":
        return None
    size = len(icc) + -len(icc) % 4  # that of version 4 is a multiple of 4, and libpng insists on it
    return size.to_bytes(4, "big") + icc[4:] + bytes(size - len(icc))


def _encode(band: np.ndarray, dtype: np.dtype[Any], *, premultiply: bool) -> np.ndarray:
    """float32 [h, w, C] as the file's numbers, rounded: OpenImageIO would dither or truncate."""
    if dtype.kind == "u":
        values = band.clip(0, 1)
        if premultiply and band.shape[2] == 4:
            values[..., :3] *= values[..., 3:]
        values *= np.float32(WHITE[dtype.name])
        return np.rint(values, out=values).astype(dtype)
    pixels = band.copy()
    if band.shape[2] >= 4:
        np.clip(pixels[..., 3], 0, 1, out=pixels[..., 3])
        if premultiply:
            pixels[..., :3] *= pixels[..., 3:4]
    return pixels.clip(-_HALF_MAX, _HALF_MAX).astype(dtype) if dtype == np.float16 else pixels


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
