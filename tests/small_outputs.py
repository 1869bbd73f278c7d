"""What OutputFiles writes of a small picture, for tests that read it back."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import OpenEXR

from hdmatt.inference.backgrounds import open_background, parse_background
from hdmatt.inference.outputs import OutputFiles, Outputs
from hdmatt.pictures.info import DEFAULT_INPUT, InputOptions
from hdmatt.pictures.reader import as_float, open_picture

HEIGHT, WIDTH = 16, 24
ALPHA = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)


def through(source: Path, outputs: Outputs, **options: str) -> None:
    """A picture with the matte ALPHA, written to files; its foreground is itself."""
    with ExitStack() as stack:
        picture = stack.enter_context(open_picture(source, InputOptions(**options)))
        behind = None
        if outputs.background:
            behind = open_background(stack, parse_background(outputs.background), picture.info, DEFAULT_INPUT)
        files = stack.enter_context(OutputFiles(outputs, picture.info, behind))
        files.write_alpha(ALPHA)
        rows = as_float(picture.rows(0, HEIGHT))
        files.write_colours(rows, ALPHA, background=behind.rows(0, HEIGHT) if behind else None)


def exr(path: Path) -> np.ndarray:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = file.channels()
        return np.dstack([channels[name].pixels for name in "RGBAY" if name in channels])
