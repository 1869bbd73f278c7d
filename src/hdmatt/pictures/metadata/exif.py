"""Exif: what a camera says of a picture, without what would be wrong of an output.

Knows Exif's tags; opens no file. Read top to bottom:

    exif_of           what describes the picture, from a TIFF file or from the Exif block of any other
    exif_bytes        the same as an Exif block
    with_resolution   such a block with the resolution of another one
    added_to          a TIFF's first directory with it, as bytes that are put behind the file

What describes the picture: camera, lens, exposure, dates, author, rights, caption, and the place (GPS). What would be
wrong: orientation (outputs are upright), the preview, sizes and places in pixels, colour space and gamma, the maker's
notes, whose offsets break when they are moved, and captions in which programs keep how the pixels are stored.
"""

from io import BufferedIOBase, BytesIO
from typing import NamedTuple

from hdmatt.pictures.metadata.tags import (
    ASCII,
    BYTE,
    LONG,
    LONG8,
    Damaged,
    Directory,
    Value,
    form_of,
    packed,
    read_directory,
)

_EXIF, _GPS, _XMP = 34665, 34853, 700
_RESOLUTION = (282, 283, 296)
_OF_THE_PICTURE = {  # of the first directory; others say how the pixels are stored
    *(269, 270, 271, 272, 285),  # name of the document, caption, maker, model, name of the page
    *(305, 306, 315, 316, 33432),  # program, date, author, computer, rights
    *(18246, 18249),  # rating
    *range(40091, 40096),  # Windows: title, comment, author, keywords, subject
}
_CAPTION = 270
_WRONG = {  # of the directory of Exif
    37121,  # order of the stored components
    37122,  # compression
    37396,  # the subject's area in pixels
    37500,  # the maker's notes
    40961,  # colour space
    *(40962, 40963),  # size in pixels
    40964,  # a sound file beside
    40965,  # interoperability: an index of colour spaces
    *(41486, 41487, 41488),  # pixels of the sensor along x and y
    41492,  # the subject's place in pixels
    41730,  # pattern of the sensor's colours
    42240,  # gamma
    *(59932, 59933),  # padding, and how far the maker's notes were moved
}


class Exif(NamedTuple):
    """What describes a picture: tags of the first directory, of Exif's own, and of the place."""

    picture: Directory
    camera: Directory
    place: Directory


def exif_of(file: BufferedIOBase) -> Exif:
    """What describes the picture, from a TIFF file or an Exif block without its six bytes of "Exif".

    Raises:
        Damaged: A directory cannot be read.
    """
    form = form_of(file)
    pointers = (_EXIF, _GPS)
    first = read_directory(file, form, form.first, wanted=lambda tag: tag in _OF_THE_PICTURE or tag in pointers)
    others = []
    for pointer in pointers:
        value = first.pop(pointer, None)
        wanted = (lambda tag: tag not in _WRONG) if pointer == _EXIF else (lambda tag: tag < 256)
        others.append(read_directory(file, form, value.number, wanted=wanted) if value else {})
    if _CAPTION in first and _is_storage(first[_CAPTION].data):
        del first[_CAPTION]
    return Exif(*(_without_empty_text(directory) for directory in (first, *others)))


def xmp_of_tiff(file: BufferedIOBase) -> bytes:
    """The XMP of a TIFF file; b"" if it has none.

    Raises:
        Damaged: The first directory cannot be read.
    """
    form = form_of(file)
    found = read_directory(file, form, form.first, wanted=lambda tag: tag == _XMP)
    return found[_XMP].data if found else b""


def exif_bytes(exif: Exif) -> bytes:
    """As an Exif block, without the six bytes of "Exif"; b"" if there is nothing to say."""
    return b"II*\0\x08\0\0\0" + _together(exif, {}, 8, big=False) if any(exif) else b""


def with_resolution(block: bytes, other: bytes) -> bytes:
    """An Exif block with the resolution that another one says."""
    file, exif = BytesIO(other), exif_of(BytesIO(block))
    form = form_of(file)
    resolution = read_directory(file, form, form.first, wanted=lambda tag: tag in _RESOLUTION)
    return exif_bytes(exif._replace(picture={**exif.picture, **resolution}))


def added_to(file: BufferedIOBase, block: bytes, xmp: bytes) -> tuple[int, bytes, int, bytes]:
    """What makes a TIFF file of ours one with an Exif block and XMP.

    Returns:
        Where bytes come behind the file, these bytes, where the offset of the first directory stands, and its bytes.
    """
    form = form_of(file)
    assert form.order == "<", "OpenImageIO writes TIFF in the machine's byte order"
    own = read_directory(file, form, form.first, wanted=lambda tag: True, largest=2**40)
    exif = exif_of(BytesIO(block)) if block else Exif({}, {}, {})
    end = file.seek(0, 2)
    begin = end + end % 2
    directory = _together(exif, {**own, **({_XMP: Value(BYTE, xmp)} if xmp else {})}, begin, big=form.big)
    place, size = (8, 8) if form.big else (4, 4)
    if not form.big and begin + len(directory) >= 2**32:
        raise Damaged("no room in a classic TIFF")
    return end, bytes(end % 2) + directory, place, begin.to_bytes(size, "little")


def _is_storage(caption: bytes) -> bool:
    """Whether tifffile, ImageJ or a program for OME-TIFF keeps shapes and numbers of pictures in it."""
    return caption.startswith((b'{"shape":', b"ImageJ=")) or b"<OME" in caption[:1024]


def _without_empty_text(directory: Directory) -> Directory:
    return {tag: value for tag, value in directory.items() if value.kind != ASCII or value.data.strip(b"\0 ")}


def _together(exif: Exif, others: Directory, offset: int, *, big: bool) -> bytes:
    """The first directory with further tags, and behind it the two that it points to."""
    first = {**others, **exif.picture}
    below = {tag: found for tag, found in ((_EXIF, exif.camera), (_GPS, exif.place)) if found}
    kind, size = (LONG8, 8) if big else (LONG, 4)
    at = offset + len(packed({**first, **dict.fromkeys(below, Value(kind, bytes(size)))}, offset, big=big))
    behind = b""
    for tag, directory in below.items():
        first[tag] = Value(kind, (at + len(behind)).to_bytes(size, "little"))
        behind += packed(directory, at + len(behind), big=big)
    return packed(first, offset, big=big) + behind
