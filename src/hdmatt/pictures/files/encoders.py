"""Rows of pixels as the bytes of a picture file.

Knows neither what the values mean nor where the file will stand. All encoders have the same methods.

    FileEncoder         what an encoder is
    OpenImageIOEncoder  PNG, JPEG, TIFF and EXR, row by row
    PaletteEncoder      PNG, with a palette where it has few colours
    WebPEncoder         WebP, whole

A write that fails is the hidden file's matter: an encoder never meets one.
"""

import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np

from hdmatt.errors import HDMattError, InputError
from hdmatt.pictures.files.formats import JPEG, PNG, TIFF, Format
from hdmatt.pictures.files.openimageio import first_line, open_input, openimageio, size_limit
from hdmatt.pictures.files.palette import ColourCount, rewrite
from hdmatt.pictures.info import NO_DESCRIPTION, Description
from hdmatt.pictures.metadata.description import complete_tiff, spliced
from hdmatt.system.hidden import HiddenFile
from hdmatt.system.staged import Staged

_NO_EXIF = "failed TIFFWriteCustomDirectory() of the Exif data"  # OpenImageIO 3.2, of every TIFF that has none
_PNG_SIGNATURE = 8  # bytes
_PNG_BLOCK = 2**17  # bytes; more than zlib and libpng hold back together
_HEADER = 2**16  # bytes of a header, without an ICC profile
_CHUNK_ROWS = 32  # that an encoder holds back at most


class EncoderError(HDMattError):
    """The library cannot encode the picture; the message is its complaint."""


class FileEncoder(ABC):
    """Rows of pixels into bytes; `finish` or `abandon` ends it."""

    @abstractmethod
    def write(self, y0: int, pixels: np.ndarray) -> None:
        """The next rows, [h, W, C] as the file's numbers, from row y0 on."""

    @abstractmethod
    def finish(self) -> None:
        """Complete the file, after the last row."""

    @abstractmethod
    def abandon(self) -> None:
        """Free what is held, whatever state the file is in. Safe to call twice, and after `finish`."""


class OpenImageIOEncoder(FileEncoder):
    """PNG, JPEG, TIFF or EXR by OpenImageIO, row by row.

    Args:
        specs: OpenImageIO's ImageSpec, and others to be tried when the library refuses the first.
        description: Exif and XMP, which we add to what the library writes; not to EXR.
        png_offset: x and y for PNG's chunk oFFs, which OpenImageIO 3.2 writes with zeros whatever the ImageSpec says.
        icc: A JPEG's profile of more than one segment, which OpenImageIO 3.2 writes wrongly.

    Raises:
        EncoderError: The library complains; also of `write` and `finish`.
    """

    def __init__(
        self,
        hidden: HiddenFile,
        file_format: Format,
        specs: Sequence[Any],
        description: Description = NO_DESCRIPTION,
        *,
        png_offset: tuple[int, int] | None = None,
        icc: bytes = b"",
    ) -> None:
        self._hidden, self._format, self._next, self._png_offset = hidden, file_format, 0, png_offset
        self._description = description if description.exif or description.xmp else None
        described = (self._description and file_format in (PNG, JPEG)) or icc
        self._staged = Staged(hidden, partial(spliced, file_format, description, icc=icc) if described else None)
        self._output: Any = None
        spec = specs[0]
        self._top, self._height = int(spec.y), int(spec.height)  # number of the first row
        self._shape = (1, int(spec.width), int(spec.nchannels))
        self._dtype = np.dtype({"half": "float16", "float": "float32"}.get(str(spec.format), str(spec.format)))
        self._row_bytes = int(spec.scanline_bytes(True))
        try:
            self._open(specs)
        except BaseException:
            self.abandon()
            raise

    def write(self, y0: int, pixels: np.ndarray) -> None:
        # 2: noise, as JPEG, takes more room than its pixels
        self._staged.reserve(2 * max(pixels.nbytes, _CHUNK_ROWS * self._row_bytes) + _HEADER)
        self._hidden.check()
        self._next = y0 + len(pixels)
        fine = self._output.write_scanlines(self._top + y0, self._top + self._next, 0, pixels)
        # PNG says True and has the failure among its errors only
        if (trouble := self._output.geterror()) or not fine:
            raise EncoderError(trouble)
        self._staged.hand_on()
        self._hidden.check()

    def finish(self) -> None:
        self._staged.reserve(2 * _CHUNK_ROWS * self._row_bytes + _HEADER)
        self._hidden.check()
        fine = self._output.close()
        trouble = str(self._output.geterror())
        self._output = None
        self._staged.finish()
        if self._png_offset:
            _set_png_offset(self._hidden, *self._png_offset)
        self._hidden.sync()
        if trouble.strip() == _NO_EXIF:
            trouble = ""
        if not fine or trouble or not self._is_complete():
            raise EncoderError(trouble)
        if self._description and self._format is TIFF:
            complete_tiff(self._hidden, self._description)
            self._hidden.sync()

    def abandon(self) -> None:
        if self._output is not None and self._format is PNG:
            self._quieten()
        self._output = None  # its destructor closes the file
        self._staged.close()

    def _open(self, specs: Sequence[Any]) -> None:
        oiio = openimageio()
        self._staged.reserve(_HEADER + max(_profile_bytes(spec) for spec in specs))
        self._hidden.check()
        trouble = ""
        for spec in specs:
            output = oiio.ImageOutput.create(self._format.name.lower())
            if output is None:
                raise EncoderError(oiio.geterror())
            if output.open(self._staged.name, spec):
                self._output = output
                self._staged.opened()
                return
            trouble = output.geterror()
        raise EncoderError(trouble)

    def _quieten(self) -> None:
        """Fill a PNG that is thrown away with noise: libpng complains on stderr of one without any block."""
        random, length = np.random.default_rng(0), self._row_bytes
        for y in range(self._next, min(self._height, self._next + 1 + _PNG_BLOCK // length)):
            row = np.frombuffer(random.bytes(length), self._dtype).reshape(self._shape)
            if not self._output.write_scanlines(y, y + 1, 0, row):
                break
        self._output.geterror()

    def _is_complete(self) -> bool:
        """Whether the whole file is on the disk: OpenImageIO does not report what fails while it closes a file."""
        path = self._hidden.path
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 12))
            tail = file.read()
        if self._format is PNG:
            return tail[4:8] == b"IEND"
        if self._format is JPEG:
            return tail.endswith(b"\xff\xd9")
        try:
            file = open_input(path)
        except InputError:
            return False
        with size_limit(lifted=file.beyond):
            bottom = int(file.input.spec().y) + self._height
            last = file.input.read_scanlines(bottom - 1, bottom, 0, 0, 1, openimageio().TypeDesc("float"))
        return last is not None and not file.input.geterror()


class PaletteEncoder(OpenImageIOEncoder):
    """RGBA of 8 bit as PNG, with a palette if that holds all its colours.

    Colours are counted while an ordinary PNG is written, which is then written once more.

    Attributes:
        colours: How many the palette has; 0 as long as there is none.
    """

    def __init__(self, hidden: HiddenFile, *given: Any, **named: Any) -> None:
        self._count, self.colours = ColourCount(), 0
        super().__init__(hidden, *given, **named)

    def write(self, y0: int, pixels: np.ndarray) -> None:
        super().write(y0, pixels)
        self._count.add(pixels)

    def finish(self) -> None:
        super().finish()
        if (palette := self._count.palette()) is None:
            return
        with HiddenFile(self._hidden.place) as smaller:
            rewrite(self._hidden.path, smaller, palette)
            self._hidden.become(smaller)
        self.colours = len(palette)


class WebPEncoder(FileEncoder):
    """WebP by Pillow: the encoder needs the whole picture, which is held until `finish`.

    Args:
        options: Of Pillow's writer.
    """

    def __init__(self, hidden: HiddenFile, height: int, width: int, *, options: dict[str, Any]) -> None:
        self._hidden, self._options = hidden, options
        self._shape, self._pixels = (height, width), np.empty(0, np.uint8)

    def write(self, y0: int, pixels: np.ndarray) -> None:
        if not self._pixels.size:
            self._pixels = np.empty((*self._shape, max(3, pixels.shape[2])), np.uint8)  # WebP knows no grey
        self._pixels[y0 : y0 + len(pixels)] = pixels

    def finish(self) -> None:
        from PIL import Image

        file = BytesIO()
        try:
            Image.fromarray(self._pixels).save(file, "WEBP", **self._options)
        except (OSError, ValueError) as error:
            raise EncoderError(str(error)) from error
        self._hidden.write(file.getbuffer())
        self._hidden.sync()

    def abandon(self) -> None:
        self._pixels = np.empty(0, np.uint8)


def complaint(error: EncoderError) -> str:
    """The first line of what the library says."""
    return first_line(error.message) or "the file is incomplete"


def _set_png_offset(hidden: HiddenFile, x: int, y: int) -> None:
    """Numbers into the chunk oFFs of a PNG, which stands before its pixels."""
    if hidden.error is not None:
        return  # the file may be cut off anywhere
    with hidden.path.open("rb") as file:
        at, head = _PNG_SIGNATURE, b""
        while head[4:] != b"oFFs":
            at += 12 + int.from_bytes(head[:4]) if head else 0  # a length, a name and a checksum around the data
            file.seek(at)
            head = file.read(8)
            if len(head) < 8 or head[4:] == b"IDAT":
                raise RuntimeError(f"{hidden.path}: a PNG without oFFs")
    data = b"oFFs" + struct.pack(">iib", x, y, 0)  # 0: in pixels
    hidden.write_at(at + 4, data + struct.pack(">I", zlib.crc32(data)))


def _profile_bytes(spec: Any) -> int:
    value = spec.getattribute("ICCProfile")
    return 0 if value is None else int(np.asarray(value).nbytes)
