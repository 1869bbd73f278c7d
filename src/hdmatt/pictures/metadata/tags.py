"""Directories of tags, as TIFF and Exif have them: read and written without a look at what their values mean.

Knows classic TIFF and BigTIFF in both byte orders; nothing of pictures. Values are kept as the file's bytes, since
libraries lose some on the way: Pillow 13 writes text that is not ASCII as question marks, OpenImageIO 3.2 writes wrong
focal lengths and no sensitivity into TIFF.

    Value, Directory   a tag's type and bytes, little endian; the tags of a directory
    TiffForm, form_of      byte order and size of offsets, by the first bytes of a file
    read_directory     the wanted tags of a directory
    packed             a directory as bytes
    Damaged            what the first bytes or a directory say cannot be

Source:
    TIFF, revision 6.0, section 2; libtiff's description of BigTIFF.
"""

import struct
from collections.abc import Callable
from io import BufferedIOBase
from typing import NamedTuple

import numpy as np

LARGEST = 2**20  # bytes of a value; larger ones are not read
BYTE, ASCII, LONG, LONG8 = 1, 2, 4, 16
_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_RATIONALS = (5, 10)  # two numbers of 4 bytes
_MOST_TAGS = 4096


class Value(NamedTuple):
    """Type and bytes of a tag, little endian."""

    kind: int
    data: bytes

    @property
    def number(self) -> int:
        """The first number of a type of whole numbers."""
        return int.from_bytes(self.data[: _UNITS[self.kind]], "little")


Directory = dict[int, Value]


class Damaged(ValueError):
    """Tags that cannot be read."""


class TiffForm(NamedTuple):
    """How a file's directories are stored."""

    order: str  # "<" or ">"
    big: bool
    first: int  # offset of the first directory


def form_of(file: BufferedIOBase) -> TiffForm:
    """By the first bytes of a file.

    Raises:
        Damaged: They are not those of a TIFF.
    """
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise Damaged("no header of a TIFF")
    version = struct.unpack_from(f"{order}H", head, 2)[0]
    if version == 43 and len(head) == 16:
        return TiffForm(order, True, struct.unpack_from(f"{order}Q", head, 8)[0])
    if version != 42:
        raise Damaged("no header of a TIFF")
    return TiffForm(order, False, struct.unpack_from(f"{order}L", head, 4)[0])


def read_directory(
    file: BufferedIOBase, form: TiffForm, offset: int, *, wanted: Callable[[int], bool], largest: int = LARGEST
) -> Directory:
    """The wanted tags of the directory that begins at an offset; those of unknown types are left out.

    Raises:
        Damaged: The file ends before, or a value is larger than `largest` bytes.
    """
    count_code, code, inline = ("Q", "HHQ8s", 8) if form.big else ("H", "HHL4s", 4)
    entry = struct.Struct(form.order + code)
    file.seek(offset)
    (count,) = struct.unpack(form.order + count_code, _exactly(file, struct.calcsize(f"<{count_code}")))
    if count > _MOST_TAGS:
        raise Damaged(f"a directory of {count} tags")
    found: Directory = {}
    for tag, kind, number, place in entry.iter_unpack(_exactly(file, count * entry.size)):
        if tag in found or kind not in _UNITS or not wanted(tag):
            continue
        size = number * _UNITS[kind]
        if size > largest:
            raise Damaged(f"tag {tag} has {size} bytes")
        if size > inline:
            file.seek(struct.unpack(form.order + ("Q" if form.big else "L"), place)[0])
            place = _exactly(file, size)
        found[tag] = Value(kind, _little(place[:size], kind, form.order))
    return found


def packed(directory: Directory, offset: int, *, big: bool = False) -> bytes:
    """A directory and its values as the bytes of a little-endian file, from an even offset on; nothing follows it."""
    assert offset % 2 == 0, offset
    count_code, code, inline = ("Q", "HHQ", 8) if big else ("H", "HHL", 4)
    number = "<Q" if big else "<L"
    entries, values = struct.pack(f"<{count_code}", len(directory)), b""
    at = offset + len(entries) + len(directory) * (struct.calcsize(f"<{code}") + inline) + inline
    for tag, value in sorted(directory.items()):
        entries += struct.pack(f"<{code}", tag, value.kind, len(value.data) // _UNITS[value.kind])
        if len(value.data) <= inline:
            entries += value.data.ljust(inline, b"\0")
        else:
            entries += struct.pack(number, at + len(values))
            values += value.data + b"\0" * (len(value.data) % 2)
    return entries + bytes(inline) + values


def _exactly(file: BufferedIOBase, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise Damaged("it ends too early")
    return data


def _little(data: bytes, kind: int, order: str) -> bytes:
    unit = 4 if kind in _RATIONALS else _UNITS[kind]
    return data if order == "<" or unit == 1 else np.frombuffer(data, f">u{unit}").astype(f"<u{unit}").tobytes()
