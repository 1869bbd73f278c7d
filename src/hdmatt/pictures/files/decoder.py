"""The rows of a picture file as they are stored.

Knows the quirks of file formats; nothing of what the values mean. Called by pictures/reader.py.

    FileDecoder                    rows of a file, the last ones kept in memory
    MAX_CHANNELS, LARGEST_CHUNK    what is refused before anything is decoded

Of OpenImageIO only ImageInput is used: ImageBuf takes 360-660 MB for a 96-megapixel picture, a band of rows 93-129 MB.
Of several pages the first is read; of an EXR the layer that pictures/files/exr_layers.py chooses, its data window.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hdmatt.errors import InputError
from hdmatt.pictures.files.bmp import colours_of_bmp
from hdmatt.pictures.files.codings import coding_of, other_pictures, unusual_coding
from hdmatt.pictures.files.exr_header import attributes_of, windows_of
from hdmatt.pictures.files.exr_layers import choose_layer, refuse_subsampled
from hdmatt.pictures.files.inks import by_profile, note_of_inks
from hdmatt.pictures.files.labels import encoding_of
from hdmatt.pictures.files.openimageio import (
    Opened,
    check_readable,
    complaint_of,
    first_line,
    open_input,
    openimageio,
    size_limit,
)
from hdmatt.pictures.files.pillow_files import PillowInput, pillow_kind
from hdmatt.pictures.files.radiance import header_of, note_of
from hdmatt.pictures.files.tiff_kinds import check_tiff, complement_of
from hdmatt.pictures.info import DEFAULT_INPUT, NO_DESCRIPTION, TYPES, WHITE, ColourPart, InputOptions, PictureInfo
from hdmatt.pictures.metadata.description import description_of
from hdmatt.system import memory
from hdmatt.system.memory import GIB, MIB

MAX_CHANNELS = 1024  # of a file; compositing programs end at 1023
LARGEST_CHUNK = GIB  # of what a file makes us decode at once: a tile, or the rows of a strip, of all its channels
_ASSOCIATED = {"openexr", "tiff", "rla", "heic"}  # formats whose colours may be multiplied by alpha in the file
_KEPT_BYTES = 64 * MIB  # of the rows read last; an overlap of 64 rows of a 100 000 pixel wide 16-bit picture is 38 MB


class FileDecoder:
    """The rows of a file, not turned by EXIF; colours straight, without alpha, in one of the four dtypes.

    The rows decoded last are kept, so that windows that move down and overlap never make a PNG start again.

    Raises:
        InputError: The file cannot be opened, or holds no flat pixels that we can read in bounded memory.
    """

    def __init__(self, path: Path, options: InputOptions = DEFAULT_INPUT, *, part: ColourPart = "straight") -> None:
        self._path, self._options, self._part, self._layer = path, options, 0, ""
        self._colours_count = part == "straight"  # not in trimaps, whose stored numbers do
        self._opened: Opened | None = _open(path, inks=self._colours_count)
        self._closed = False
        self._format = str(self._opened.input.format_name())
        try:
            self._picks, self._alpha = self._choose_channels(self._opened, options.layer, grey=part != "straight")
            spec: Any = self._opened.input.spec()
            _check_layout(path, spec, self._format)
        except InputError:
            self.close()
            raise
        self._spec = spec
        self.height, self.width = int(spec.height), int(spec.width)
        self._complement = complement_of(spec).colours
        if part == "alpha":
            assert self._alpha is not None, path
            self._picks, self._alpha = [self._alpha], None
            self._complement = complement_of(spec).alpha
        self.channels = len(self._picks)
        self.dtype = _dtype(spec, self._picks)
        self._stored = str(spec.format)
        # OpenImageIO leaves straight alpha straight because open_input asks for it, but marks it in some formats only
        associated = self._format in _ASSOCIATED and not spec.get_int_attribute("oiio:UnassociatedAlpha")
        self.associated = self._alpha is not None and associated and part == "straight"
        self._tile = (int(spec.tile_height), int(spec.tile_width)) if spec.tile_width else None
        self._chunk = _chunk_rows(spec)
        self._kept, self._kept_y = np.empty((0, self.width, self.channels), self.dtype), 0
        self._tiles: dict[int, dict[int, np.ndarray]] = {}  # the tile rows that were asked for last, by row and column
        with size_limit(lifted=self._opened.beyond):
            self._notes = (*_notes(path, self._opened.input, self._format), *note_of_inks(path, self._opened.input))
        self._whole_bytes = int(getattr(self._opened.input, "whole_bytes", 0))  # of inputs that are ours
        self._description = NO_DESCRIPTION
        if self._colours_count:
            self._description = description_of(path, self._format, self._opened.input)
        self._try_unusual()

    @property
    def tiled(self) -> bool:
        """Whether a window costs less than its rows."""
        return self._tile is not None

    @property
    def orientation(self) -> int:
        """EXIF's number, 1 (upright) to 8."""
        hdr = self._format == "hdr"  # OpenImageIO 3.2 takes two of its kinds for each other
        value = header_of(self._path).orientation if hdr else int(self._spec.get_int_attribute("Orientation", 1))
        return value if 1 <= value <= 8 else 1

    @property
    def chunk_pixels(self) -> int:
        """Pixels that are decoded together at least."""
        return self._tile[0] * self._tile[1] if self._tile else 1

    def info(self, *, turned: bool) -> PictureInfo:
        """Size and metadata; a picture turned by a quarter has its sides and resolutions swapped."""
        spec = self._spec
        height, width, resolution = self.height, self.width, _resolution(spec)
        if turned:
            height, width = width, height
            resolution = resolution and (resolution[1], resolution[0], resolution[2])
        icc = _profile(spec, self.channels)
        return PictureInfo(
            path=self._path,
            height=height,
            width=width,
            channels=self.channels,
            has_alpha=self._alpha is not None,
            dtype=self.dtype,
            encoding=encoding_of(self._path, spec, self._format, icc=icc, transfer=self._options.transfer),
            icc=None if self._format == "openexr" else icc,
            resolution=resolution,
            chunk_rows=self._chunk,
            layer=self._layer,
            windows=windows_of(spec) if self._format == "openexr" and self.orientation == 1 else None,
            attributes=attributes_of(spec) if self._format == "openexr" else (),
            description=self._description,
            notes=(*self._notes, *self._description.notes),
            white=2**32 - 1 if self._stored == "uint" else 0,
            whole_bytes=self._whole_bytes,
        )

    def rows(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        """Rows y0 .. y1-1, columns x0 .. x1-1 as [h, w, colours]; a view to be read and not written."""
        end = self._kept_y + len(self._kept)
        if self._kept_y <= y0 and y1 <= end:
            return self._kept[y0 - self._kept_y : y1 - self._kept_y, x0:x1]
        if self._tile and (x0, x1) != (0, self.width):
            return self._from_tiles(y0, y1, x0, x1, self._tile)
        if self._kept_y <= y0 < end:
            top, parts = y0, [self._kept[y0 - self._kept_y :], self._decode(end, self._up(y1), 0, self.width)]
            band = np.concatenate(parts)
        else:
            top = self._down(y0)
            band = self._decode(top, self._up(y1), 0, self.width)
        self._keep(top, band)
        return band[y0 - top : y1 - top, x0:x1]

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._drop_input()
        self._closed = True

    def _down(self, y: int) -> int:
        return y // self._chunk * self._chunk

    def _up(self, y: int) -> int:
        return min(self.height, -(-y // self._chunk) * self._chunk)

    def _from_tiles(self, y0: int, y1: int, x0: int, x1: int, tile: tuple[int, int]) -> np.ndarray:
        """A window, put together from tiles. Its rows of tiles are kept for the next windows, others dropped."""
        tile_height, tile_width = tile
        rows, columns = range(y0 // tile_height, -(-y1 // tile_height)), range(x0 // tile_width, -(-x1 // tile_width))
        self._tiles = {row: self._tiles.get(row, {}) for row in rows}
        band = np.empty((y1 - y0, x1 - x0, self.channels), self.dtype)
        for row, tiles in self._tiles.items():
            top, bottom = row * tile_height, min((row + 1) * tile_height, self.height)
            for missing in _runs([column for column in columns if column not in tiles]):
                left, right = missing[0] * tile_width, min((missing[-1] + 1) * tile_width, self.width)
                run = self._decode(top, bottom, left, right)
                for column in missing:
                    tiles[column] = run[:, column * tile_width - left : (column + 1) * tile_width - left].copy()
            for column in columns:
                left, right = column * tile_width, min((column + 1) * tile_width, self.width)
                (ya, yb), (xa, xb) = (max(y0, top), min(y1, bottom)), (max(x0, left), min(x1, right))
                band[ya - y0 : yb - y0, xa - x0 : xb - x0] = tiles[column][ya - top : yb - top, xa - left : xb - left]
        return band

    def _keep(self, top: int, band: np.ndarray) -> None:
        # a band always ends with a chunk, so the next band can share its last rows only
        count = max(self._chunk, _KEPT_BYTES // max(1, band[:1].nbytes))
        self._kept = band if len(band) <= count else band[-count:].copy()
        self._kept_y = top + len(band) - len(self._kept)

    def _decode(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        """Whole chunks from the file; x0 and x1 are the picture's sides or multiples of a tile's."""
        if y0 == y1 or x0 == x1:
            return np.empty((y1 - y0, x1 - x0, self.channels), self.dtype)
        pixels = self._native(y0, y1, x0, x1)
        first = min(self._picks)
        places = [c - first for c in self._picks]
        colours = pixels if places == [*range(pixels.shape[2])] else pixels[..., places]
        if self._complement:
            colours = WHITE.get(self.dtype.name, np.float32(1)) - colours
        if self.associated and self._alpha is not None:
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
        file, spec = self._open_again(), self._spec
        wanted = [*self._picks, self._alpha] if self.associated and self._alpha is not None else self._picks
        channels = (min(wanted), max(wanted) + 1)
        depth = openimageio().TypeDesc(TYPES[self.dtype.name])
        top, bottom, left, right = spec.y + y0, spec.y + y1, spec.x + x0, spec.x + x1
        with size_limit(lifted=file.beyond):
            if self._tile:
                pixels = file.input.read_tiles(left, right, top, bottom, spec.z, spec.z + 1, *channels, depth)
            else:
                pixels = file.input.read_scanlines(top, bottom, spec.z, *channels, depth)
        trouble = file.complaint + complaint_of(file.input)
        if pixels is None or (trouble and not self._harmless(trouble)):
            # the next try opens the file anew: libjpeg complains once and then goes on with grey rows
            self._drop_input()
            raise InputError(
                f"{self._path} is damaged or cut short: rows {y0} to {y1} of {self.height} cannot be decoded "
                f"({first_line(trouble) or 'no reason given'})",
                hint="Copy or download it again, or save it again in the program that made it.",
            )
        return pixels.reshape(y1 - y0, x1 - x0, channels[1] - channels[0])

    def _try_unusual(self) -> None:
        """Decode the first rows of a file that may be coded in a way that our libraries were not built for."""
        coding = unusual_coding(self._path, self._format, self._spec)
        if coding is None:
            return
        try:
            self._native(0, self._up(1), 0, min(self.width, self._tile[1]) if self._tile else self.width)
        except InputError as error:
            self.close()
            message = f"{self._path} is {coding.name}, which we cannot read"
            raise InputError(message, hint=coding.hint) from error

    def _harmless(self, trouble: str) -> bool:
        """Whether the complaint is about bytes that cameras leave between a JPEG's markers.

        libjpeg reports the first such byte only, so a file that is cut short may complain of nothing else.
        """
        odd = ("extraneous bytes", "unknown Adobe color transform", "unknown JFIF revision")
        lines = [line for line in trouble.splitlines() if line.strip()]
        return (
            self._format == "jpeg" and all(any(o in line for o in odd) for line in lines) and _ends_as_jpeg(self._path)
        )

    def _open_again(self) -> Opened:
        """The open file, also after a read that failed."""
        if self._opened is None:
            self._opened = _open(self._path, inks=self._colours_count)
            with size_limit(lifted=self._opened.beyond):
                self._opened.input.seek_subimage(self._part, 0)
        return self._opened

    def _choose_channels(self, file: Opened, layer: str | None, *, grey: bool) -> tuple[list[int], int | None]:
        """The numbers of the colour channels (one or three) and of alpha; the input is set to their part."""
        if self._format == "openexr":
            with size_limit(lifted=file.beyond):
                chosen = choose_layer(self._path, file.input, layer, grey=grey)
            self._part, self._layer = chosen.part, chosen.name
            return chosen.colours, chosen.alpha
        if layer is not None:
            raise InputError(
                f"{self._path} is no EXR, we know no layers of it, but layer {layer!r} is asked for",
                hint="Leave --input-layer out.",
            )
        if self._format == "bmp" and (colours := colours_of_bmp(self._path)):
            return colours, ({*range(4)} - {*colours}).pop()
        return _channels(file.input.spec(), self._format)

    def _drop_input(self) -> None:
        if self._opened is not None:
            self._opened.input.close()
        self._opened = None


def _open(path: Path, *, inks: bool) -> Opened:
    """A file for reading; `inks`: whether CMYK becomes sRGB by its profile."""
    check_readable(path)
    if kind := pillow_kind(path):
        return Opened(PillowInput(path, kind), "", False)
    try:
        opened = open_input(path)
    except InputError as error:
        if found := re.search(r"(\d+) channels exceeds", error.message):
            raise _too_many_channels(path, int(found[1])) from error
        refuse_subsampled(path, error.message)
        if coding := coding_of(path):
            raise InputError(f"{path} is {coding.name}, which we cannot read", hint=coding.hint) from error
        raise
    return by_profile(path, opened) if inks else opened


def _notes(path: Path, source: Any, file_format: str) -> tuple[str, ...]:
    """What a user should know about how a file is read; the input is at its first picture before and after."""
    if isinstance(source, PillowInput):
        return tuple(source.notes)
    if file_format in ("openexr", "psd"):
        return ()  # parts and layers: others choose among them
    if file_format in ("png", "webp", "jpeg"):
        return (note,) if (note := other_pictures(path, file_format)) else ()
    if file_format == "hdr":
        return note_of(path)
    several = source.seek_subimage(1, 0) and not source.spec().get_int_attribute("tiff:subfiletype") & 1
    source.seek_subimage(0, 0)  # subfiletype: no smaller copy of the first
    source.geterror()
    return ("holds several pictures: the first one was taken",) if several else ()


def _check_layout(path: Path, spec: Any, file_format: str) -> None:
    """Refuse what is no flat picture, what OpenImageIO reads wrongly, and what cannot be decoded in bounded memory."""
    if spec.deep or spec.depth > 1 or spec.height < 1 or spec.width < 1:
        raise InputError(
            f"{path} is a {'deep' if spec.deep else f'{spec.width}x{spec.height}x{spec.depth}'} picture, we need "
            "flat pixels and at least one",
            hint="Flatten it in the program that made it.",
        )
    if file_format == "tiff":
        check_tiff(path, spec)
    if file_format in ("psd", "jpeg2000") and (coding := coding_of(path)):
        raise InputError(f"{path} is {coding.name}, which we cannot read", hint=coding.hint)
    if spec.nchannels > MAX_CHANNELS:
        raise _too_many_channels(path, spec.nchannels)
    chunk = _chunk_rows(spec) * int(spec.tile_width or spec.width) * int(spec.pixel_bytes(True))
    if chunk > LARGEST_CHUNK:
        raise InputError(
            f"{path} must be decoded in pieces of {memory.show(chunk, up=True)} (its {spec.nchannels} channels "
            f"together), we read pieces of at most {memory.show(LARGEST_CHUNK)}",
            hint="Save the colours without the other channels, or in smaller tiles or strips.",
        )


def _chunk_rows(spec: Any) -> int:
    """Rows that are decoded together.

    Strips are decoded whole and in parallel where we ask for whole ones; taller ones are not worth the memory. But of
    compressed planes OpenImageIO gives whole strips only.
    """
    if spec.tile_width:
        return int(spec.tile_height)
    rows = int(spec.get_int_attribute("oiio:RowsPerChunk", 1))
    planes = spec.nchannels > 1 and spec.get_string_attribute("planarconfig") == "separate"
    if planes and spec.get_string_attribute("compression") != "none":
        return max(1, min(rows, int(spec.height)))
    return rows if 1 <= rows <= 256 else 1


def _too_many_channels(path: Path, number: int) -> InputError:
    return InputError(
        f"{path} has {number} channels, we read files of at most {MAX_CHANNELS}",
        hint="Save the colours without the other channels.",
    )


def _channels(spec: Any, file_format: str) -> tuple[list[int], int | None]:
    """The numbers of the colour channels (one or three) and of alpha."""
    names = [str(name).upper() for name in spec.channelnames]
    if len(names) == 2 and file_format in ("jpegxl", "targa"):
        return [0], 1  # grey and alpha, which OpenImageIO calls R and G
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
    """The dtype that holds the file's numbers: narrower integers are widened, others become float32."""
    names = {str(spec.channelformat(c)) for c in picks}
    name = names.pop() if len(names) == 1 else str(spec.format)
    known = {"uint8": "uint8", "int8": "uint8", "uint16": "uint16", "int16": "uint16", "half": "float16"}
    return np.dtype(known.get(name, "float32"))


def _straight(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Associated colours divided by alpha. Where alpha is 0 they stay as they are: light without cover."""
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
    """The ICC profile, unless it is for other channels than we return: OpenImageIO converts CMYK."""
    value = spec.getattribute("ICCProfile")
    # an EXR may have text of that name
    icc = b"" if value is None or isinstance(value, str) else bytes(np.asarray(value, np.uint8))
    if 128 < (size := int.from_bytes(icc[:4], "big")) < len(icc):
        icc = icc[:size]  # some programs leave bytes behind it
    return icc if icc[16:20] == (b"GRAY" if channels == 1 else b"RGB ") else None


def _ends_as_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65536))  # some cameras put their own data behind the picture
        return b"\xff\xd9" in file.read()


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Ascending numbers in runs without gaps."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs
