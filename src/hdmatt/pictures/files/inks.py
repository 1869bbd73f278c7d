"""CMYK pictures: sRGB by their ICC profile, or RGB by the plain formula where they have none.

Knows how CMYK is stored. Called by pictures/files/decoder.py, which uses the result like an ImageInput of OpenImageIO.

    by_profile       an open file, its inks converted by its profile if it has one
    ProfiledInks     such a file, with the methods of ImageInput that we use
    note_of_inks     what a user should know of how inks became colours

OpenImageIO makes RGB of inks by (1 - ink) (1 - black), without a look at the profile. LittleCMS (by Pillow) converts
them as print does: relative colorimetric, black to black, in 8 bit, which is all that Pillow hands it.
"""

import threading
from io import BytesIO
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from jaxtyping import UInt8

from hdmatt.errors import InputError
from hdmatt.pictures.files.codings import psd_colours
from hdmatt.pictures.files.openimageio import Opened, complaint_of, open_input, openimageio
from hdmatt.pictures.files.psd_inks import MergedInks, open_merged
from hdmatt.system import memory
from hdmatt.system.memory import GIB

_INKS = ("CMYK", "YCbCrK")
_LARGEST = GIB  # of inks that Pillow decodes whole
_open_now: WeakValueDictionary[tuple[int, ...], Any] = WeakValueDictionary()  # Pillow's pictures, by their files
_lock = threading.Lock()
_BAND = 64  # rows that are converted together, for the copies on the way


def by_profile(path: Path, opened: Opened) -> Opened:
    """An open file as it is, or with a ProfiledInks in place of its input where it has inks and a profile for them.

    Raises:
        InputError: A JPEG of more than 1 GiB of inks, or a PSD that is cut short.
    """
    spec, is_psd = opened.input.spec(), opened.input.format_name() == "psd"
    if _colours(path, spec) not in _INKS or spec.nchannels not in ((3, 4) if is_psd else (3,)):
        return opened
    if (transform := _transform(spec)) is None:
        return opened
    merged = open_merged(path, spec.height, spec.width) if is_psd else None
    if is_psd and merged is None:
        return opened
    return opened._replace(input=ProfiledInks(path, opened.input, transform, merged))


def note_of_inks(path: Path, source: Any) -> tuple[str, ...]:
    """How the colours of an open file came out of inks; () where it has none."""
    if isinstance(source, ProfiledInks):
        return (f"holds CMYK colours, which became sRGB{' of 8 bit' * source.deep} by its ICC profile",)
    spec = source.spec()
    if _colours(path, spec) not in _INKS:
        return ()
    profile = ", not by its ICC profile" if spec.getattribute("ICCProfile") is not None else ""
    return (f"holds CMYK colours, which became RGB by the plain formula{profile}",)


class ProfiledInks:
    """A JPEG, TIFF or PSD of inks with those methods of OpenImageIO's ImageInput that pictures/files/decoder.py calls.

    Args:
        merged: Of a PSD, its inks.

    Attributes:
        deep: Whether the file has more than the 8 bits that we read.
        whole_bytes: What is held of a file that can only be decoded whole.
    """

    def __init__(self, path: Path, plain: Any, transform: Any, merged: MergedInks | None) -> None:
        self._plain, self._transform = plain, transform
        self._format = str(plain.format_name())
        self.deep = str(plain.spec().format) != "uint8"
        self._spec = openimageio().ImageSpec(plain.spec())
        self._spec.set_format(openimageio().TypeDesc("uint8"))
        # of JPEG OpenImageIO 3.2 gives no inks, and of PSD inks that were divided by the black one
        self._merged = merged
        self._whole = _decoded(path, self._spec) if self._format == "jpeg" else None
        self._raw = open_input(path, raw=True) if self._format == "tiff" else None
        self.whole_bytes = _bytes_of(self._spec) if self._whole is not None else 0

    def format_name(self) -> str:
        """As OpenImageIO calls it."""
        return self._format

    def spec(self) -> Any:
        """That of the file as RGB of 8 bit."""
        return self._spec

    def seek_subimage(self, subimage: int, miplevel: int) -> bool:
        """Whether there is such a picture in the file; the first one is read whatever was asked for."""
        return bool(self._plain.seek_subimage(subimage, miplevel))

    def read_scanlines(self, y0: int, y1: int, z: int, first: int, end: int, depth: Any) -> np.ndarray | None:
        """Rows y0 .. y1-1 of the channels first .. end-1; None if they cannot be decoded."""
        if self._merged:
            inks = self._merged.rows(y0, y1)
        elif self._whole is not None:
            inks = np.asarray(self._whole.crop((0, y0, self._spec.width, y1)))
        else:
            assert self._raw is not None
            inks = self._raw.input.read_scanlines(y0, y1, z, 0, 4, depth)
        colours = None if inks is None else self._converted(inks)
        if colours is None or end <= 3:
            return colours if colours is None else colours[..., first:end]
        alpha = self._plain.read_scanlines(y0, y1, z, 3, 4, depth)  # of a PSD
        return None if alpha is None else np.dstack([colours, alpha])[..., first:end]

    def read_tiles(self, *place: Any) -> np.ndarray | None:
        """As read_scanlines, of whole tiles: x0, x1, y0, y1, z0, z1, first, end, depth."""
        assert self._raw is not None
        *window, first, end, depth = place
        inks = self._raw.input.read_tiles(*window, 0, 4, depth)
        if inks is None:
            return None
        x0, x1, y0, y1 = window[:4]
        return self._converted(inks.reshape(y1 - y0, x1 - x0, 4))[..., first:end]

    def geterror(self) -> str:
        """What OpenImageIO complains of."""
        return complaint_of(self._raw.input if self._raw else self._plain)

    def close(self) -> None:
        """Close the file."""
        self._plain.close()
        if self._raw:
            self._raw.input.close()
        self._whole = self._merged = None

    def _converted(self, inks: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 3"]:
        from PIL import Image, ImageCms

        colours = np.empty((*inks.shape[:2], 3), np.uint8)
        for y in range(0, len(inks), _BAND):
            band = Image.fromarray(np.ascontiguousarray(inks[y : y + _BAND]), mode="CMYK")
            colours[y : y + _BAND] = np.asarray(ImageCms.applyTransform(band, self._transform))
        return colours


def _colours(path: Path, spec: Any) -> str:
    named = spec.get_string_attribute("jpeg:ColorSpace") or spec.get_string_attribute("tiff:ColorSpace")
    return str(named or psd_colours(path))


def _transform(spec: Any) -> Any:
    """LittleCMS's, from the file's inks to sRGB; None without a profile of inks that it can use."""
    value = spec.getattribute("ICCProfile")
    icc = b"" if value is None or isinstance(value, str) else bytes(np.asarray(value, np.uint8))
    if icc[16:20] != b"CMYK":
        return None
    from PIL import ImageCms

    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(BytesIO(icc)),
            ImageCms.createProfile("sRGB"),
            "CMYK",
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None


def _decoded(path: Path, spec: Any) -> Any:
    """Pillow's picture of the inks of a JPEG; a run that opens the file several times has it once."""
    status = path.stat()
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    with _lock:
        image = _open_now.get(key)
        if image is None:
            image = _open_now[key] = _decode(path, spec)
    return image


def _bytes_of(spec: Any) -> int:
    return int(spec.width * spec.height * 4)


def _decode(path: Path, spec: Any) -> Any:
    size = _bytes_of(spec)
    if size > _LARGEST:
        raise InputError(
            f"{path} takes {memory.show(size, up=True)} decoded, and a CMYK JPEG with a profile can only be decoded "
            f"whole: we read at most {memory.show(_LARGEST)} so",
            hint="Convert it to a TIFF, which is read in bands.",
        )
    from PIL.JpegImagePlugin import JpegImageFile  # not Image.open, which has a limit of size of its own

    try:
        with JpegImageFile(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"{path} is damaged or cut short: its inks cannot be decoded ({error})",
            hint="Copy or download it again, or save it again in the program that made it.",
        ) from error
    return image
