"""Opens damaged files one after the other, in a process of its own; fuzz.py starts it and watches it.

    python examine.py read FORMAT FIRST LAST    each file as a picture and as a trimap, all rows
    python examine.py matte FORMAT FIRST LAST   each file as the picture, every third as the trimap, of a tiny matte

Lines on stdout: `> NUMBER` before a file, `= opened|refused` behind it, `! KIND TEXT` for what must not be.
"""

import os
import re
import resource
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from mutations import mutated
from PIL import Image

from hdmatt.errors import InputError, OutputError
from hdmatt.pictures.info import InputOptions
from hdmatt.pictures.reader import open_picture
from hdmatt.pictures.trimap import open_trimap

ALL_ROWS = 4_000_000  # pixels; of larger pictures the first and the last rows are read
MATTE_PIXELS = 40_000
HELD = 1536 * 2**20  # bytes that this process may hold: 1 GiB is the most that we decode together
ADDRESSES = 12 * 2**30  # that it may ask for, so that a runaway ends it and not the machine


def main(kind: str, file_format: str, first: int, last: int) -> None:
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    with tempfile.TemporaryDirectory() as folder:
        examine = _Mattes(Path(folder)) if kind == "matte" else _read
        for number in range(first, last):
            print(f"> {number}", file=lines)
            path = Path(folder) / f"a.{_suffix(file_format, number)}"
            path.write_bytes(mutated(file_format, number))
            outcome = _outcome(examine, path, number, lines)
            print(f"= {outcome}", file=lines)
            if (held := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) > HELD:
                print(f"! memory {held >> 20} MiB", file=lines)
                return  # the peak does not fall: the next file needs another process


def _outcome(examine: Any, path: Path, number: int, lines: IO[str]) -> str:
    try:
        examine(path, number)
    except (InputError, OutputError) as error:
        if not (error.message and error.hint):
            print("! message empty", file=lines)
        return "refused"
    except Exception as error:
        where = re.sub(r".*/", "", _last_frame(error))
        text = str(error).replace(str(path.parent), "").replace("\n", " ")
        print(f"! traceback {type(error).__name__} in {where}: {text[:200]}", file=lines)
        return "failed"
    return "opened"


def _read(path: Path, number: int) -> None:
    """As a picture, and, if it is one, as a trimap, which most are not."""
    with open_picture(path) as picture:
        info = picture.info
        assert info.height > 0 and info.width > 0
        for y0, y1 in _bands(info.height, info.width):
            rows = picture.rows(y0, y1)
            assert rows.shape == (y1 - y0, info.width, 3) and rows.dtype == info.dtype, (rows.shape, rows.dtype)
            assert rows.dtype.kind == "u" or np.isfinite(rows).all(), "not finite"
    with suppress(InputError), open_trimap(path) as trimap:
        for y0, y1 in _bands(info.height, info.width):
            assert set(np.unique(trimap.rows(y0, y1))) <= {0, 128, 255}


def _bands(height: int, width: int) -> list[tuple[int, int]]:
    step = max(1, min(64, ALL_ROWS // (4 * width)))
    starts = list(range(0, height, step))
    if height * width > ALL_ROWS:
        starts = [starts[0], starts[-1]]
    return [(y, min(y + step, height)) for y in starts]


class _Mattes:
    """Tiny mattes, after which all outputs are there and whole, or none is."""

    def __init__(self, folder: Path) -> None:
        import torch

        from hdmatt.inference.load import load_model
        from hdmatt.network.checkpoint import save_model
        from hdmatt.network.config import ModelConfig
        from hdmatt.network.model import HDMatt

        torch.manual_seed(0)
        torch.set_num_threads(1)
        save_model(HDMatt(ModelConfig(width=4)), folder / "tiny.safetensors", half=False)
        self._network = load_model(folder / "tiny.safetensors")
        self._folder = folder
        self._out = folder / "out"
        self._out.mkdir()

    def __call__(self, path: Path, number: int) -> None:
        from hdmatt.inference.files import matte_files
        from hdmatt.inference.options import Options
        from hdmatt.inference.outputs import Outputs

        options = InputOptions(max_pixels=MATTE_PIXELS)
        height, width = _size(path, options)
        other = self._folder / "other.png"
        as_trimap = number % 3 == 2
        Image.fromarray(_other(height, width, trimap=not as_trimap)).save(other)
        names = ("alpha.png", "cutout.tif", "layers.psd") if number % 2 else ("alpha.tif", "cutout.png", "layers.psb")
        outputs = Outputs(self._out / names[0], cutout=self._out / names[1], psd=self._out / names[2])
        picture, trimap = (other, path) if as_trimap else (path, other)
        try:
            matte_files(
                *(picture, trimap, outputs),
                options=Options(patch=64, overlap=16),
                network=self._network,
                input_options=options,
            )
        except BaseException:
            assert not self._left(), "a run that failed left files"
            raise
        else:
            assert {one.name for one in self._out.iterdir()} == set(names)
            for name in names:
                with open_picture(self._out / name) as written:
                    assert written.rows(0, height).shape == (height, width, 3)
        finally:
            for one in self._left():
                one.unlink()

    def _left(self) -> list[Path]:
        return list(self._out.iterdir())


def _size(path: Path, options: InputOptions) -> tuple[int, int]:
    try:
        with open_picture(path, options) as picture:
            return picture.info.height, picture.info.width
    except InputError:
        return 8, 8


def _other(height: int, width: int, *, trimap: bool) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    if trimap:
        return np.select([4 * x < width, 4 * x < 3 * width], [0, 128], 255).astype(np.uint8)
    return np.stack([x % 256, y % 256, (x + y) % 256], -1).astype(np.uint8)


def _last_frame(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "?"


def _suffix(file_format: str, number: int) -> str:
    """The format's own suffix, sometimes another's: the decoder is then found by the content."""
    return "png" if number % 10 == 9 else file_format


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
