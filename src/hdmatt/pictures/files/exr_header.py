"""What an EXR's header says beside the pixels: windows and attributes, and how they travel to EXR outputs.

Knows OpenImageIO's names of attributes; nothing of pixels. Read top to bottom:

    windows_of       data and display window
    attributes_of    what describes the picture, and not how the file stores it
    set_header       puts both into a file that is written
    set_windows      the windows alone
"""

from typing import Any

from hdmatt.pictures.files.openimageio import openimageio
from hdmatt.pictures.info import ExrWindows, PictureInfo

_OF_THE_FILE = (  # how a file is stored, what its channels are; or written from other fields of PictureInfo
    *("compression", "name", "view", "multiview", "version", "chunkcount", "type", "tiles", "preview", "idmanifest"),
    *("dwacompressionlevel", "deepimagestate", "maxsamplesperpixel", "orientation", "iccprofile"),
    *("xresolution", "yresolution", "resolutionunit"),
)
_PREFIXES = ("oiio:", "openexr:", "cryptomatte/")


def windows_of(spec: Any) -> ExrWindows:
    """Data and display window of the part that the ImageSpec describes."""
    return ExrWindows(
        x=int(spec.x),
        y=int(spec.y),
        display_x=int(spec.full_x),
        display_y=int(spec.full_y),
        display_width=int(spec.full_width),
        display_height=int(spec.full_height),
    )


def attributes_of(spec: Any) -> Any:
    """Attributes that describe the picture: time code, chromaticities, pixel aspect, comments and what else there is.

    Those that OpenImageIO cannot write (vectors and matrices in double precision, unknown types) are lost on the way.

    Returns:
        OpenImageIO's ParamValueList: as Python strings, text that is not UTF-8 could not be written again.
    """
    kept = openimageio().ParamValueList()
    for found in spec.extra_attribs:
        name = str(found.name).lower()
        if name not in _OF_THE_FILE and not name.startswith(_PREFIXES):
            kept.append(found)
    return kept


def set_header(spec: Any, like: PictureInfo | None) -> None:
    """Windows and attributes of `like` into the ImageSpec of an EXR.

    A file gets a capture date only if `like` has one: OpenImageIO would write the time of day, and the same input would
    never give the same bytes.
    """
    spec.attribute("DateTime", "")
    if like is None:
        return
    for attribute in like.attributes:
        spec.extra_attribs.add_or_replace(attribute, False)
    if like.windows:
        set_windows(spec, like.windows)


def set_windows(spec: Any, windows: ExrWindows) -> None:
    """Windows into an ImageSpec."""
    spec.x, spec.y = windows.x, windows.y
    spec.full_x, spec.full_y = windows.display_x, windows.display_y
    spec.full_width, spec.full_height = windows.display_width, windows.display_height
