"""A session's trimap from a file and into one, and what tells whether files are the same another time.

first_trimap    a trimap file or array, or none -> tiles
write_labels    tiles -> a file
stamp           name, size and time of a file
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hdmatt.errors import InputError
from hdmatt.pictures.box import Box
from hdmatt.pictures.info import InputOptions, PictureInfo
from hdmatt.pictures.objects import path_or_array
from hdmatt.pictures.reader import as_float
from hdmatt.pictures.trimap import open_trimap
from hdmatt.pictures.writer import PictureWriter
from hdmatt.studio.trimap_tiles import SIZE, TrimapTiles


def first_trimap(trimap: Any, info: PictureInfo, options: InputOptions) -> tuple[TrimapTiles, dict[str, object]]:
    """The trimap as it was given, and what says whether it is the same another time."""
    tiles = TrimapTiles(info)
    if trimap is None:
        return tiles, {"trimap": None}
    given = path_or_array(trimap, "the trimap")
    with open_trimap(given, options.of_others(), like=info) as reader:
        if (reader.info.height, reader.info.width) != (info.height, info.width):
            raise InputError(
                f"the trimap is {reader.info.width}x{reader.info.height} but the picture is "
                f"{info.width}x{info.height} (width x height, after EXIF rotation)",
                hint="Give a trimap of the picture's size; a trimap is never resized.",
            )
        for y in range(0, info.height, SIZE):
            y1 = min(y + SIZE, info.height)
            tiles.write(Box(y, 0, y1, info.width), reader.rows(y, y1))
    return tiles, {"trimap": stamp(given) if isinstance(given, Path) else "an array"}


def write_labels(trimap: TrimapTiles, path: Path, before: Callable[[], Any] = lambda: None) -> None:
    """Write a trimap as a grey picture of 8 bits.

    Args:
        before: Called before the file appears; where it raises there is no file.

    Raises:
        OutputError: It cannot be written.
    """
    height, width = trimap.size()
    with PictureWriter(path, height, width, channels=1, bit_depth="8") as writer:
        for y in range(0, height, SIZE):
            writer.write(as_float(trimap.rows(y, min(y + SIZE, height))))
        before()


def stamp(path: Path | None) -> str | None:
    """Name, size and time of a file."""
    if path is None:
        return None
    status = path.stat()
    return f"{path.name}, {status.st_size} bytes, {status.st_mtime_ns}"
