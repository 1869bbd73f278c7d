"""Pictures as bands of rows, from files and arrays, in memory that the band bounds and not the picture.

Knows nothing of how files are decoded (pictures/files/decoder.py) and of what the values of a trimap mean
(pictures/trimap.py). Rows are half open, y0 .. y1-1, and upright (EXIF orientation applied); colours are straight and
in the picture's own encoding and depth. Read top to bottom:

    BandReader                     the interface: info, rows, window, close
    open_picture, PictureReader    a file's rows, in any order; cheapest from top to bottom
    ArrayReader                    the same over an array
    read_grey                      a whole grey picture
    as_float, network_colours      rows as numbers, rows as the network sees them
    single_channel                 the grey values of rows whose channels agree
"""

import json
import shlex
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Shaped

from hdmatt.errors import InputError
from hdmatt.pictures.colours import encoding as encodings
from hdmatt.pictures.colours.encoding import LINEAR, SRGB, Encoding, as_displayed
from hdmatt.pictures.files.decoder import FileDecoder
from hdmatt.pictures.info import DEFAULT_INPUT, WHITE, ColourPart, InputOptions, PathLike, PictureInfo, Rows
from hdmatt.pictures.turned import TurnedRows
from hdmatt.system.memory import MIB

_Reader = TypeVar("_Reader", bound="BandReader")  # typing.Self is refused by beartype where methods are checked alone
_ROUNDING = 2 / 255  # a grey picture saved as RGB JPEG comes back with its channels up to this far apart
_CHECKED_BYTES = 32 * MIB  # of an array that are looked at together
_LARGEST_ENCODED = 8.0  # display-encoded floats beyond this are no overshoot but a picture of 0..255


class BandReader:
    """Bands of a picture by row numbers: the interface of PictureReader and ArrayReader.

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
        """`rows(y0, y1)[:, x0:x1]`; of a tiled file only the tiles that it touches are decoded."""
        colours = self.colours(y0, y1, x0, x1)
        return np.repeat(colours, 3, axis=2) if colours.shape[2] == 1 else np.array(colours, order="C")

    def colours(self, y0: int, y1: int, x0: int, x1: int) -> Shaped[np.ndarray, "h w c"]:
        """`window` with grey left as one channel; a view to be read and not written."""
        info = self.info
        assert 0 <= y0 <= y1 <= info.height and 0 <= x0 <= x1 <= info.width, (y0, y1, x0, x1, info)
        return self._colours(y0, y1, x0, x1)

    def close(self) -> None:
        """Close the file. Safe to call twice."""

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        raise NotImplementedError

    def __enter__(self: _Reader) -> _Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_picture(
    path: PathLike, options: InputOptions = DEFAULT_INPUT, *, part: ColourPart = "straight"
) -> "PictureReader":
    """Open a picture file: PNG, JPEG, TIFF, EXR, WebP, and what else OpenImageIO reads.

    Args:
        path: The file; its content decides the format, not its name.
        options: Its layer, and how many pixels it may have; more are refused before any is decoded.
        part: "straight": colours, those of associated alpha divided by it. "grey": a trimap or a matte, the numbers as
            they are stored; of an EXR any single channel will do. "alpha": the alpha alone, as a grey picture; only
            where `info.has_alpha`.

    Raises:
        InputError: Missing, unreadable, not a picture, or too large.
    """
    return PictureReader(path, options, part=part)


class PictureReader(BandReader):
    """Bands of a picture file; see `open_picture`.

    Any order of rows works. Going down costs one pass over the file and memory for one band; rows that overlap the
    band before are kept, not decoded again. Going up in a PNG or JPEG starts again from its first row. WebP is decoded
    whole when it is opened (at most 1 GiB, since its sides end at 16383).

    Alpha is dropped and colours are straight: associated ones (EXR, some TIFF) are divided by alpha, but where alpha
    is 0 stay as they are. A picture that EXIF wants turned (orientation 3 to 8) is copied once, on the first read,
    into a temporary file of its raw size.
    """

    def __init__(self, path: PathLike, options: InputOptions = DEFAULT_INPUT, *, part: ColourPart = "straight") -> None:
        self._path, self._options = Path(path), options
        self._decoder = FileDecoder(self._path, options, part=part)
        try:
            self._orientation = self._decoder.orientation
            self.info = self._decoder.info(turned=self._orientation >= 5)
            _check_size(self.info, options.max_pixels, self._decoder.chunk_pixels)
            if self.info.white and part == "straight":
                _check_reach(self._decoder, self.info)
        except BaseException:
            self._decoder.close()
            raise
        self._source: FileDecoder | TurnedRows = self._decoder
        self._turned: TurnedRows | None = None
        if self._orientation >= 3:
            self._source = self._turned = TurnedRows(self._decoder, transposed=self._orientation >= 5)

    @property
    def tiled(self) -> bool:
        """Whether a window costs less than its rows."""
        return self._turned is None and self._decoder.tiled

    @property
    def associated(self) -> bool:
        """Whether the file's colours are multiplied by its alpha; those that we give are not."""
        return self._decoder.associated

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        # EXIF 2.32, tag 274: 5 to 8 are the transposed picture, mirrored or not; 1 to 4 the same of the picture
        if flipped := self._orientation in (3, 4, 7, 8):
            y0, y1 = self.info.height - y1, self.info.height - y0
        if mirrored := self._orientation in (2, 3, 6, 7):
            x0, x1 = self.info.width - x1, self.info.width - x0
        band = self._source.rows(y0, y1, x0, x1)
        return band[:: -1 if flipped else 1, :: -1 if mirrored else 1]

    def alpha(self) -> Float32[np.ndarray, "h w"]:
        """The alpha channel of the whole file in [0, 1], upright; only where `info.has_alpha`."""
        with PictureReader(self._path, self._options, part="alpha") as alpha:
            return as_float(alpha.colours(0, self.info.height, 0, self.info.width)[..., 0])

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
        transfer: The values' transfer function, by a name that `encoding.transfer` knows, instead.

    Raises:
        InputError: Another shape or type, no pixels, NaN or infinite values, or display-encoded floats above 8.
    """

    def __init__(self, array: np.ndarray, *, linear: bool = False, transfer: str | None = None) -> None:
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
        if linear and transfer is not None:
            raise InputError(
                f"linear=True contradicts transfer={transfer!r}",
                hint='Leave one of them out; "linear" is a transfer, too.',
            )
        encoding = encodings.transfer(transfer) if transfer is not None else LINEAR if linear else SRGB
        _check_array(self._pixels, linear=encoding.light)
        self.info = PictureInfo(
            path=None,
            height=pixels.shape[0],
            width=pixels.shape[1],
            channels=channels,
            has_alpha=pixels.shape[2] == 4,
            dtype=self._pixels.dtype,
            encoding=encoding,
            icc=None,
            resolution=None,
        )

    def _colours(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        return self._pixels[y0:y1, x0:x1]


def read_grey(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """A whole grey picture in [0, 1], such as an alpha matte; also one saved as RGB with equal channels.

    Raises:
        InputError: As for `open_picture` and `rows`; the channels differ; or an alpha channel says something else.
    """
    with open_picture(path, part="grey") as picture:
        colours = picture.colours(0, picture.info.height, 0, picture.info.width)
        grey = as_float(single_channel(colours, 0, str(path), "a grey picture")).clip(0, 1)
        alpha = picture.alpha() if picture.info.has_alpha else np.ones(1)
    varies = alpha.min() != alpha.max()
    if varies and (np.abs(alpha - grey) > _ROUNDING).any():
        raise InputError(
            f"{path} has greys and an alpha channel that say different things, we need one matte",
            hint="Save the matte as a grey picture without an alpha channel.",
        )
    return grey


def as_float(rows: Shaped[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Rows as float32: uint8 and uint16 scaled to [0, 1]; half and float as they are, in the picture's own encoding.

    Exact to half a float32 step, so `round(value * 65535)` gives 16-bit values back.

    Raises:
        InputError: NaN or infinite values.
    """
    if rows.dtype.name in WHITE:
        return np.divide(rows, np.float32(WHITE[rows.dtype.name]), dtype=np.float32)
    assert rows.dtype in (np.float16, np.float32), rows.dtype
    values = rows.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(
            "the picture holds NaN or infinite values, we need finite ones",
            hint="Replace them first, for example with numpy.nan_to_num.",
        )
    return values


def network_colours(rows: Shaped[np.ndarray, "... 3"], encoding: Encoding) -> Float32[np.ndarray, "... 3"]:
    """Rows as the network sees them: display-encoded RGB in [0, 1].

    Numbers for displays are clipped. Linear light and curves of cameras become light, which is clipped and then passes
    the sRGB curve.

    Raises:
        InputError: NaN or infinite values.
    """
    return as_displayed(as_float(rows), encoding)


def single_channel(colours: np.ndarray, y0: int, name: str, needed: str) -> np.ndarray:
    """The first channel of a band that begins at row y0, if the others say the same."""
    if colours.shape[2] == 3:
        values = colours.astype(np.float32)
        apart = values.max(axis=2) - values.min(axis=2)
        # 1e-3 of a step for the rounding of these three lines
        far = apart > (_ROUNDING * WHITE.get(colours.dtype.name, 1)) * 1.001
        if far.any():
            y, x = (int(i) for i in np.unravel_index(int(np.argmax(far)), far.shape))
            red, green, blue = (f"{v:g}" for v in values[y, x])
            raise InputError(
                f"{name} looks like a colour picture, we need {needed}: row {y0 + y}, column {x} is red {red}, green "
                f"{green}, blue {blue}",
                hint="Were two files swapped? Else save it as a grey picture.",
            )
    return colours[..., 0]


def _check_size(info: PictureInfo, max_pixels: int, chunk_pixels: int) -> None:
    pixels = max(info.height * info.width, chunk_pixels)
    if pixels > max_pixels:
        raise InputError(
            f"{info.path} is {info.width}x{info.height} (width x height): {pixels} pixels to decode, the limit is "
            f"{max_pixels}",
            hint=f"If that is no mistake, allow it: --max-pixels {pixels}",
        )


def _check_reach(decoder: FileDecoder, info: PictureInfo) -> None:
    """Refuse 32-bit integers that are numbers of 8 or 16 bit: as they are labelled, such a picture is black."""
    band = max(1, _CHECKED_BYTES // (decoder.width * decoder.channels * 4))
    rows = range(0, decoder.height, band)
    largest = max(
        float(decoder.rows(y0, min(y0 + band, decoder.height), 0, decoder.width).max(initial=0)) for y0 in rows
    )
    largest *= info.white
    if 0 < largest <= WHITE["uint16"]:
        kind = "uint8" if largest <= WHITE["uint8"] else "uint16"
        source, kept = json.dumps(str(info.path)), json.dumps(str(Path(str(info.path)).with_suffix(f".{kind}.tif")))
        pixels = f'o.ImageBuf({source}).get_pixels("uint")'
        code = f'import OpenImageIO as o; o.ImageBuf({pixels}.astype("{kind}")).write({kept})'
        raise InputError(
            f"{info.path} holds integers of 32 bit up to {largest:.0f}, where white is {info.white}: it would be black",
            hint=f"If they are numbers of {kind}: python -c {shlex.quote(code)}",
        )


def _check_array(pixels: np.ndarray, *, linear: bool) -> None:
    if pixels.dtype.kind != "f":
        return
    band = max(1, _CHECKED_BYTES // pixels[:1].nbytes)
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
