"""Exif and XMP of a picture: found in its file, and put into outputs.

Knows where formats keep them; not what is in them (exif.py and xmp.py beside it). Read top to bottom:

    description_of       of a file
    spliced              where they stand in a PNG or JPEG that OpenImageIO writes
    complete_tiff        puts them into a TIFF that was written
    webp_options         Pillow's arguments for a WebP
"""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any

from hdmatt.pictures.files.formats import JPEG, PNG, Format
from hdmatt.pictures.info import Description
from hdmatt.pictures.metadata.exif import added_to, exif_bytes, exif_of, with_resolution, xmp_of_tiff
from hdmatt.pictures.metadata.tags import Damaged
from hdmatt.pictures.metadata.xmp import described_xmp
from hdmatt.system.hidden import HiddenFile
from hdmatt.system.staged import Splice

_LARGEST_READ = 2**20  # bytes of a block in a file
_LARGEST = 65_000  # of what travels: a JPEG has room for 65533 in one segment
_ICC_MARK = b"ICC_PROFILE\0"
LARGEST_ICC_SEGMENT = 65519  # bytes of a profile in one segment of a JPEG, which has 65533
_EXIF_MARK, _XMP_MARK = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_XMP_KEY = b"XML:com.adobe.xmp"
_JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_JPEG_PIXELS = {0xD9, 0xDA}


def description_of(path: Path, file_format: str, source: Any) -> Description:
    """What describes a picture, by its file. What is damaged or too large is left out with a note.

    Args:
        file_format: As OpenImageIO or pictures/files/pillow_files.py name it.
        source: The opened file; AVIF and HEIC have their blocks there.
    """
    notes: list[str] = []
    blocks = {"exif": b"", "xmp": b""}
    clean = {"exif": lambda block: exif_bytes(exif_of(BytesIO(block))), "xmp": described_xmp}
    try:
        with path.open("rb") as file:
            if file_format == "tiff":
                with suppress(Damaged):  # the notes tell of it below
                    blocks["xmp"] = xmp_of_tiff(file)
                blocks["exif"] = exif_bytes(exif_of(file))
            elif file_format in _FINDERS:
                for kind, block in _FINDERS[file_format](file):
                    blocks[kind] = blocks[kind] or block
            elif file_format in ("avif", "heic"):
                blocks = {kind: bytes(source.metadata.get(kind) or b"") for kind in blocks}
    except (ValueError, OSError) as error:  # Damaged is a ValueError
        notes.append(f"has damaged Exif or XMP, which was left out ({error})")
    for kind, block in blocks.items():
        try:
            if block:
                blocks[kind] = _small(clean[kind](_small(block.removeprefix(_EXIF_MARK), _LARGEST_READ)), _LARGEST)
        except ValueError as error:
            blocks[kind] = b""
            name = "Exif" if kind == "exif" else "XMP"
            notes.append(f"has damaged or very large {name}, which was left out ({error})")
    return Description(blocks["exif"], blocks["xmp"], tuple(notes))


def spliced(file_format: Format, description: Description, head: bytes, *, icc: bytes = b"") -> Splice | None:
    """Where a description, and an ICC profile, stand in a PNG or JPEG of ours.

    OpenImageIO writes an Exif block of its own for the resolution; ours takes its place.

    Args:
        head: The file's first bytes.
        icc: A profile that a JPEG does not have yet, in segments of at most 65519 bytes.

    Returns:
        None if more of them are needed.
    """
    blocks = (_png_blocks if file_format is PNG else _jpeg_blocks)(head)
    if blocks is None:
        return None
    begin, end, own = blocks
    exif = with_resolution(description.exif, own) if own and description.exif else description.exif or own
    data = b""
    if file_format is PNG:
        text = _XMP_KEY + b"\0\0\0\0\0" + description.xmp
        data += png_chunk(b"eXIf", exif) if exif else b""
        data += png_chunk(b"iTXt", text) if description.xmp else b""
    elif file_format is JPEG:
        data += _segment(_EXIF_MARK + exif) if exif else b""
        data += _segment(_XMP_MARK + description.xmp) if description.xmp else b""
        parts = [icc[i : i + LARGEST_ICC_SEGMENT] for i in range(0, len(icc), LARGEST_ICC_SEGMENT)]
        for number, part in enumerate(parts, 1):
            data += _segment(_ICC_MARK + bytes([number, len(parts)]) + part, b"\xff\xe2")
    return Splice(begin, end, data)


def complete_tiff(hidden: HiddenFile, description: Description) -> None:
    """Put a description into a TIFF of ours that is otherwise complete: a new first directory behind all else."""
    with hidden.path.open("rb") as file:
        end, data, place, offset = added_to(file, description.exif, description.xmp)
    hidden.write_at(end, data)
    hidden.write_at(place, offset)


def webp_options(description: Description) -> dict[str, bytes]:
    """Pillow's arguments for a WebP."""
    return {kind: block for kind, block in (("exif", description.exif), ("xmp", description.xmp)) if block}


def _small(block: bytes, most: int) -> bytes:
    if len(block) > most:
        raise ValueError(f"{len(block)} bytes, at most {most} travel")
    return block


def _png_chunks(file: BufferedIOBase) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and length of each chunk."""
    place = 8
    while file.seek(place) == place and len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        yield name, place, length
        if name == b"IEND":
            return
        place += 12 + length


def _of_png(file: BufferedIOBase) -> Iterator[tuple[str, bytes]]:
    for name, place, length in _png_chunks(file):
        if name == b"eXIf":
            yield "exif", _read(file, place + 8, length)
        elif name == b"iTXt" and length > len(_XMP_KEY):
            file.seek(place + 8)
            if file.read(len(_XMP_KEY) + 1) == _XMP_KEY + b"\0":
                yield "xmp", _international_text(_read(file, place + 8, length)[len(_XMP_KEY) + 1 :])


def _international_text(text: bytes) -> bytes:
    packed, (_, _, text) = text[:1] != b"\0", text[2:].split(b"\0", 2)
    if not packed:
        return text
    try:
        return zlib.decompressobj().decompress(text, _LARGEST_READ + 1)
    except zlib.error as error:
        raise Damaged(str(error)) from error


def _jpeg_segments(file: BufferedIOBase) -> Iterator[tuple[int, int, int]]:
    """Marker, place and length of each segment before the pixels."""
    place = 2
    while file.seek(place) == place and len(head := file.read(4)) == 4 and head[0] == 0xFF:
        marker, length = head[1], int.from_bytes(head[2:], "big")
        if marker == 0xFF or marker in _JPEG_WITHOUT_LENGTH:
            place += 1 if marker == 0xFF else 2
            continue
        yield marker, place, length
        if marker in _JPEG_PIXELS:
            return
        place += 2 + length


def _of_jpeg(file: BufferedIOBase) -> Iterator[tuple[str, bytes]]:
    for marker, place, length in _jpeg_segments(file):
        if marker == 0xE1:
            block = _read(file, place + 4, max(0, length - 2))
            if block.startswith(_EXIF_MARK):
                yield "exif", block[len(_EXIF_MARK) :]
            elif block.startswith(_XMP_MARK):
                yield "xmp", block[len(_XMP_MARK) :]


def _of_webp(file: BufferedIOBase) -> Iterator[tuple[str, bytes]]:
    place = 12
    while file.seek(place) == place and len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[4:], "little"), {b"EXIF": "exif", b"XMP ": "xmp"}.get(head[:4])
        if kind:
            yield kind, _read(file, place + 8, length)
        place += 8 + length + length % 2


_FINDERS = {"png": _of_png, "jpeg": _of_jpeg, "webp": _of_webp}


def _read(file: BufferedIOBase, place: int, length: int) -> bytes:
    if length > _LARGEST_READ:
        raise Damaged(f"{length} bytes, at most {_LARGEST_READ} are read")
    file.seek(place)
    data = file.read(length)
    if len(data) < length:
        raise Damaged("it ends too early")
    return data


def _png_blocks(head: bytes) -> tuple[int, int, bytes] | None:
    """Where OpenImageIO's Exif block stands, or would; and the block. None before the first pixels."""
    found = (33, 33, b"")  # behind IHDR
    for name, place, length in _png_chunks(BytesIO(head)):
        if name == b"eXIf":
            found = (place, place + 12 + length, head[place + 8 : place + 8 + length])
        if name == b"IDAT":
            return found
    return None


def _jpeg_blocks(head: bytes) -> tuple[int, int, bytes] | None:
    found = (2, 2, b"")
    for marker, place, length in _jpeg_segments(BytesIO(head)):
        behind = place + 2 + length
        if marker == 0xE0 and found[1] == place:
            found = (behind, behind, b"")
        elif marker == 0xE1 and head[place + 4 :].startswith(_EXIF_MARK):
            found = (place, behind, head[place + 10 : behind])
        elif marker in _JPEG_PIXELS:
            return found
    return None


def png_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG, with its length and checksum."""
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def _segment(data: bytes, marker: bytes = b"\xff\xe1") -> bytes:
    return marker + (len(data) + 2).to_bytes(2, "big") + data
