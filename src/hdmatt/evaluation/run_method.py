"""Programs that compute a method's mattes: our own strategies, PyMatting, GEGL and ViTMatte behind one function.

Knows methods and pictures; nothing of scores, processes and records. Read top to bottom:

    GRID_METHODS, TILES    the methods that cut the picture
    windows           where a method cuts it
    method_program    a method -> what turns an item into a matte's file, with everything loaded
    _network, _vitmatte, _classical, _gegl    the kinds of methods

Known pixels of every matte are the trimap's. Called by evaluation/evaluate.py in the method's own process, and by
bench.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from hdmatt.evaluation.items import opened, require_path, write_matte
from hdmatt.evaluation.methods import GEGL, NETWORK, VITMATTE, Method
from hdmatt.evaluation.testsets import Item
from hdmatt.patches.windows import Network, Window, grid, tiles
from hdmatt.pictures import reader
from hdmatt.pictures.reader import BandReader
from hdmatt.pictures.trimap import FOREGROUND, UNKNOWN, TrimapReader

GRID_METHODS = ("hdmatt", "crop", "vitmatte-patches")  # those that cut the picture, and so may show seams: overlapping,
TILES = ("tiles", "vitmatte-tiles")  # and side by side

BAND = 256  # rows of a picture that are held at once


def windows(method: Method, height: int, width: int) -> list[Window] | None:
    """Where the method cuts the picture; None if it does not, or not along whole rows and columns."""
    options = method.settings.options
    if method.kind in GRID_METHODS and options.windows == "grid":
        return grid(height, width, size=options.patch, overlap=options.overlap)
    return tiles(height, width, size=options.patch) if method.kind in TILES else None


def method_program(method: Method) -> Callable[[Item, Path], None]:
    """A function that computes a method's mattes, with everything loaded."""
    if method.kind in NETWORK:
        return _network(method)
    if method.kind in VITMATTE:
        return _vitmatte(method)
    return _in_one_piece(_gegl(method) if method.kind in GEGL else _classical(method))


def _network(method: Method) -> Callable[[Item, Path], None]:
    """hdmatt's strategies, streamed: rows go to the file as they are finished."""
    from hdmatt.inference import load
    from hdmatt.inference.options import RunOptions
    from hdmatt.inference.strategies import matte_rows

    loaded = load.load_network(method.settings.network)
    options = RunOptions.of(method.settings.options, device=loaded.device)

    def compute(item: Item, path: Path) -> None:
        with (
            opened(item) as (picture, trimap),
            # closed before the files, which its thread reads
            closing(matte_rows(method.kind, picture, trimap, loaded.model, options)) as job,
        ):
            write_matte(path, picture.info.height, picture.info.width, (rows for _, rows in job.rows))

    return compute


def _vitmatte(method: Method) -> Callable[[Item, Path], None]:
    """ViTMatte on the whole picture, on it shrunk, or patch by patch."""
    from hdmatt.evaluation.peers import load_vitmatte
    from hdmatt.inference.strategies import LONG_SIDE
    from hdmatt.inference.without_context import patch_rows, shrunk_rows, small_trimap, windows_with_unknown

    network = load_vitmatte(require_path(method.path), device=method.settings.network.device)
    options = method.settings.options

    def rows(picture: BandReader, trimap: TrimapReader) -> Iterator[tuple[int, np.ndarray]]:
        height, width = picture.info.height, picture.info.width
        if method.kind in (*GRID_METHODS, *TILES):
            overlap = options.overlap if method.kind in GRID_METHODS else 0
            cuts = windows(method, height, width)
            assert cuts is not None
            cuts = windows_with_unknown(trimap, cuts, band=BAND)
            return patch_rows(picture, trimap, cuts, network, overlap=overlap, batch=options.batch or 1)
        scale = min(1.0, LONG_SIDE / max(height, width)) if method.kind == "vitmatte-downsample" else 1.0
        marks = small_trimap(trimap, (max(1, round(height * scale)), max(1, round(width * scale))), BAND)[0]
        return shrunk_rows(picture, trimap, marks, network, band=BAND)

    def compute(item: Item, path: Path) -> None:
        with opened(item) as (picture, trimap):
            some = (alpha for _, alpha in rows(picture, trimap))
            write_matte(path, picture.info.height, picture.info.width, some)

    return compute


def _classical(method: Method) -> Network:
    """PyMatting's estimators with their own defaults, on display-encoded colours."""
    import pymatting

    estimate = getattr(pymatting, f"estimate_alpha_{method.kind}")

    def network(colours: np.ndarray, trimaps: np.ndarray) -> np.ndarray:
        trimap = trimaps[0]
        known = trimap / 255 * (trimap != UNKNOWN) + 0.5 * (trimap == UNKNOWN)
        alpha = np.asarray(estimate(colours[0].astype(np.float64), known))
        if not np.isfinite(alpha).all():
            raise RuntimeError("the matte holds NaN or infinite values")
        return np.where(trimap == UNKNOWN, alpha, trimap == FOREGROUND).astype(np.float32)[None]

    return network


def _gegl(method: Method) -> Network:
    from hdmatt.evaluation.peers import gegl_alpha

    return lambda colours, trimaps: gegl_alpha(method.kind, colours[0], trimaps[0])[None]


def _in_one_piece(network: Network) -> Callable[[Item, Path], None]:
    """For programs that take a whole picture and set its known pixels themselves."""

    def compute(item: Item, path: Path) -> None:
        with opened(item) as (picture, trimap):
            height = picture.info.height
            colours = reader.network_colours(picture.rows(0, height), picture.info.encoding)
            marks = trimap.rows(0, height)
        write_matte(path, height, colours.shape[1], network(colours[None], marks[None]))

    return compute
