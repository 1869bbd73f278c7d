"""AVIF, HEIC and BMP of 16 bit, which OpenImageIO cannot read: decoded whole by Pillow and by pillow-heif.

Knows these formats. Called by pictures/files/decoder.py, which uses them like an ImageInput of OpenImageIO.

    pillow_kind    "avif", "heic" or "bmp" if a file is one of them
    PillowInput    such a file, with the methods of ImageInput that we use

Pillow gives AVIF in 8 bit, whatever the file holds, and its turning as an EXIF orientation; pillow-heif gives HEIC in
its own depth, and turned. Both kinds hold straight alpha, unless HEIC says that it is multiplied.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from hdmatt.errors import InputError
from hdmatt.pictures.files.bmp import is_565
from hdmatt.pictures.files.openimageio import openimageio
from hdmatt.system import memory
from hdmatt.system.memory import GIB

_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
_HEAD = 65536  # bytes that hold the boxes of an AVIF
_ORIENTATION = 0x0112
_LARGEST = GIB  # of what is held decoded
_COPIES = 4  # of it: three while it is decoded, and one of a second reader of the file
_MODES = {"L": "Y", "LA": "YA", "RGB": "RGB", "RGBA": "RGBA", "RGBa": "RGBA", "I;16": "Y"}  # channels by Pillow's mode


def pillow_kind(path: Path) -> str:
    """ "avif", "heic", "bmp", or "" for any other file."""
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError:
        return ""
    if head[4:8] != b"ftyp":
        return "bmp" if is_565(head) else ""
    brands = head[8 : min(len(head), int.from_bytes(head[:4], "big"))]
    named = {brands[:4], *(brands[i : i + 4] for i in range(8, len(brands), 4))}
    if named & _AVIF:
        return "avif"
    return "heic" if named & _HEIC and b"crx " not in named else ""


class PillowInput:
    """An AVIF, HEIC or BMP file with those methods of OpenImageIO's ImageInput that pictures/files/decoder.py calls.

    Decoded at the first read, in one piece.

    Attributes:
        notes: What a user should know of how it is read.
        metadata: Pillow's, with "exif" and "xmp" among it.
        whole_bytes: What is held once it is decoded, at most.

    Raises:
        InputError: The file is damaged, larger than 1 GiB decoded, or HEIC and pillow-heif is not installed.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self._path, self._kind = path, kind
        self._pixels: np.ndarray | None = None
        self.notes: list[str] = []
        self.metadata: dict[str, Any] = {}
        try:
            self._source, self._spec = {"avif": self._avif, "heic": self._heic, "bmp": self._bmp}[kind]()
        except (OSError, ValueError, RuntimeError, SyntaxError, EOFError) as error:
            raise self._damaged(error) from error
        size = self._spec.width * self._spec.height * self._spec.pixel_bytes()
        self.whole_bytes = _COPIES * size
        if size > _LARGEST:
            raise InputError(
                f"{path} takes {memory.show(size, up=True)} decoded, and {kind.upper()} can only be decoded whole: we "
                f"read at most {memory.show(_LARGEST)} so",
                hint="Convert it to TIFF or PNG, which are read in bands.",
            )

    def format_name(self) -> str:
        """ "avif", "heic" or "bmp"."""
        return self._kind

    def spec(self) -> Any:
        """Size, channels and metadata, as OpenImageIO would give them."""
        return self._spec

    def read_scanlines(self, y0: int, y1: int, z: int, first: int, end: int, depth: Any) -> np.ndarray:
        """Rows y0 .. y1-1 of the channels first .. end-1."""
        assert depth == self._spec.format and z == 0, (depth, z)
        if self._pixels is None:
            try:
                self._pixels = self._decoded()
            except (OSError, ValueError, RuntimeError, SyntaxError, EOFError) as error:
                raise self._damaged(error) from error
        return self._pixels[y0:y1, :, first:end]

    def geterror(self) -> str:
        """No complaint: errors are raised."""
        return ""

    def close(self) -> None:
        """Forget the pixels."""
        self._pixels = None

    def _decoded(self) -> np.ndarray:
        pixels = np.asarray(self._source)
        self._source = None
        bits = self._spec.get_int_attribute("oiio:BitsPerSample", 8)
        if 8 < bits < 16:  # pillow-heif fills the low bits with 0
            pixels = np.rint((pixels >> (16 - bits)) * (65535 / (2**bits - 1))).astype(np.uint16)
        return pixels.reshape(self._spec.height, self._spec.width, self._spec.nchannels)

    def _avif(self) -> tuple[Any, Any]:
        from PIL.AvifImagePlugin import AvifImageFile  # not Image.open, which has a limit of size of its own

        data = self._path.read_bytes()
        source: Any = AvifImageFile(BytesIO(data))
        spec = self._new_spec(source.mode, source.size, 8, source.info)
        spec.attribute("Orientation", int(source.getexif().get(_ORIENTATION, 1)))
        head = data[:_HEAD]
        if code := _numbers(head):
            spec.attribute("CICP", openimageio().TypeDesc("int[4]"), code)
        if (bits := _avif_bits(head)) > 8:
            self.notes.append(f"has {bits} bits a channel, of which AVIF files are read with 8")
        if getattr(source, "n_frames", 1) > 1:
            self.notes.append("is animated: its first picture was taken")
        return source, spec

    def _heic(self) -> tuple[Any, Any]:
        try:
            import pillow_heif
        except ImportError as error:
            raise InputError(
                f"{self._path} is a HEIC file, and the package pillow-heif that reads them is not installed",
                hint="Install it: pip install 'hdmatt[heic]'",
            ) from error
        source: Any = pillow_heif.open_heif(str(self._path), convert_hdr_to_8bit=False)
        mode, bits = str(source.mode), int(source.info.get("bit_depth") or 8)
        spec = self._new_spec(mode.replace("RGB;16", "RGB").replace("RGBA;16", "RGBA"), source.size, bits, source.info)
        if mode.startswith("RGBa"):
            spec.erase_attribute("oiio:UnassociatedAlpha")
        if nclx := source.info.get("nclx_profile"):
            names = ("color_primaries", "transfer_characteristics", "matrix_coefficients", "full_range_flag")
            # matrix and range are those of the stored YCbCr, and we hold RGB
            code = (int(nclx[names[0]]), int(nclx[names[1]]), 0, 1)
            spec.attribute("CICP", openimageio().TypeDesc("int[4]"), code)
        return source, spec

    def _bmp(self) -> tuple[Any, Any]:
        from PIL.BmpImagePlugin import BmpImageFile

        source: Any = BmpImageFile(self._path)
        return source, self._new_spec(source.mode, source.size, 8, {})

    def _new_spec(self, mode: str, size: tuple[int, int], bits: int, info: dict[str, Any]) -> Any:
        names = _MODES.get(mode.removesuffix(";16") if mode != "I;16" else mode)
        if names is None:
            raise InputError(f"{self._path} has pixels of a kind that we do not know ({mode})", hint="Save it as PNG.")
        oiio = openimageio()
        self.metadata = info
        spec = oiio.ImageSpec(*size, len(names), "uint16" if bits > 8 else "uint8")
        spec.channelnames, spec.alpha_channel = tuple(names), names.find("A")
        spec.attribute("oiio:BitsPerSample", bits)
        spec.attribute("oiio:UnassociatedAlpha", 1)
        if icc := info.get("icc_profile"):
            kind = oiio.TypeDesc(oiio.UINT8, oiio.SCALAR, oiio.NOSEMANTICS, len(icc))
            spec.attribute("ICCProfile", kind, np.frombuffer(icc, np.uint8))
        return spec

    def _damaged(self, error: Exception) -> InputError:
        return InputError(
            f"{self._path} is {self._kind.upper()} that cannot be decoded ({error or type(error).__name__})",
            hint="Copy or download it again, or save it as PNG or TIFF in the program that made it.",
        )


def _avif_bits(head: bytes) -> int:
    """Bits a channel, by the AV1 configuration box."""
    place = head.find(b"av1C")
    flags = head[place + 6] if 0 <= place < len(head) - 6 else 0
    return 12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 8


def _numbers(head: bytes) -> tuple[int, ...] | None:
    """Primaries and transfer function by ITU-T H.273, as PNG's cICP has them for RGB of full range."""
    place = head.find(b"colrnclx")
    if not 0 <= place < len(head) - 15:
        return None
    return *(int.from_bytes(head[place + i : place + i + 2], "big") for i in (8, 10)), 0, 1
