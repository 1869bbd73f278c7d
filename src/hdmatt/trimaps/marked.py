"""A picture of a trimap with the places of findings marked. Knows nothing of how they are found.

write_marked    picture (or trimap alone) at reduced size, the unknown band tinted, numbered boxes
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hdmatt.pictures.info import DEFAULT_INPUT, InputOptions
from hdmatt.pictures.reader import as_float, open_picture
from hdmatt.pictures.trimap import FOREGROUND, UNKNOWN, open_trimap
from hdmatt.pictures.writer import PictureWriter, check_output_path
from hdmatt.trimaps.findings import TrimapCheck
from hdmatt.trimaps.smaller import smaller_picture, step_for

_SIDE = 1600  # of the marked picture, about
_TINT = np.array([255, 190, 60], np.float32) / 255  # of unknown; foreground stays, background is darkened
_COLOURS = {"warning": (235, 40, 40), "note": (40, 110, 235)}


def write_marked(
    found: TrimapCheck,
    output: str | Path,
    trimap: Any,
    picture: Any = None,
    *,
    input_options: InputOptions = DEFAULT_INPUT,
) -> None:
    """Write a picture at reduced size: unknown tinted, background dark, the places boxed and named.

    Warnings are red, notes blue; the number is the finding's in the table.

    Args:
        picture: Of the trimap's size; None, or another size: the trimap alone is drawn.
    """
    check_output_path(output, [path for path in (trimap, picture) if isinstance(path, str | Path)])
    step = step_for(found.height, found.width, side=_SIDE)
    with ExitStack() as stack:
        marks = stack.enter_context(open_trimap(trimap, input_options.of_others()))
        reader = None if picture is None else stack.enter_context(open_picture(picture, input_options))
        if reader is not None and (reader.info.height, reader.info.width) == (found.height, found.width):
            colours, kinds = smaller_picture(reader, step, marks.rows)
        else:
            kinds = np.concatenate([marks.rows(y, y + 1)[:, ::step] for y in range(0, found.height, step)])
            colours = np.repeat(as_float(kinds)[..., None], 3, axis=2)
    colours[kinds == UNKNOWN] = 0.55 * colours[kinds == UNKNOWN] + 0.45 * _TINT
    colours[(kinds != UNKNOWN) & (kinds != FOREGROUND)] *= 0.5
    canvas = np.rint(colours * 255).astype(np.uint8)
    for number, finding in reversed(list(enumerate(found.findings, 1))):  # warnings on top
        for place in finding.places:
            corner, end = (place.x0 // step, place.y0 // step), (-(-place.x1 // step), -(-place.y1 // step))
            colour = _COLOURS[finding.severity]
            cv2.rectangle(canvas, corner, end, colour, 2)
            at = (corner[0] + 3, max(12, corner[1] - 4))
            cv2.putText(
                canvas, str(number), at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _COLOURS[finding.severity], 1, cv2.LINE_AA
            )
    with PictureWriter(output, *canvas.shape[:2], channels=3, bit_depth="8") as writer:
        writer.write(as_float(canvas))
