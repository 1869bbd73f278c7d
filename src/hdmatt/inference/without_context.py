"""Patches and whole pictures through any network, without context: for the simple strategies and for other networks.

shrunk_rows     the whole picture at once, at its own or at reduced size
patch_rows      patch by patch
windows_with_unknown  the windows that hold unknown pixels
network_of      our network without context patches
small_trimap    a trimap at reduced size
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8

from hdmatt.inference.cut import FINISHED_ROWS
from hdmatt.inference.options import Counters, Progress, RowSource
from hdmatt.network.config import STRIDE
from hdmatt.network.inputs import network_input
from hdmatt.network.model import HDMatt
from hdmatt.patches.stitch import Stitcher, blending_weight, with_known
from hdmatt.patches.windows import Network, Window, cut, mirror, rows_of
from hdmatt.pictures.reader import network_colours
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.runtimes.float32 import exact_float32
from hdmatt.runtimes.prepare import network_on


def shrunk_rows(
    picture: RowSource,
    trimap: RowSource,
    marks: UInt8[np.ndarray, "y x"],
    network: Network,
    *,
    band: int,
    progress: Progress | None = None,
    counters: Counters | None = None,
) -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
    """One pass of the network over the picture at the size of `marks`; (first row, enlarged rows), top to bottom.

    Args:
        marks: The trimap, shrunk by `small_trimap`, or in full size.
        band: Rows read and yielded at a time.
    """
    counters = counters if counters is not None else Counters()
    height, width, some = picture.info.height, picture.info.width, bool((marks == UNKNOWN).any())
    alpha = np.zeros(marks.shape, np.float32)
    if some:
        colours = _small_picture(picture, (marks.shape[0], marks.shape[1]), band)
        with counters.network():  # the answer is an array, so a GPU has finished
            alpha = network(colours[None], marks[None])[0]
    counters.encoded = counters.decoded = int(some)
    if progress:
        progress(1, 1)
    for y0 in range(0, height, band):
        y1 = min(y0 + band, height)
        yield y0, with_known(_grow(alpha, y0, y1, height, width), trimap.rows(y0, y1))


def patch_rows(
    picture: RowSource,
    trimap: RowSource,
    windows: Sequence[Window],
    network: Network,
    *,
    overlap: int,
    batch: int,
    progress: Progress | None = None,
    counters: Counters | None = None,
) -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
    """Patch by patch through a network without context, blended as in the paper; (first row, rows), top to bottom.

    Args:
        windows: In raster order; see `with_unknown`.
        overlap: Width of the blending ramp in pixels; 0 cuts hard.
        batch: Patches given to the network at once.
    """
    counters = counters if counters is not None else Counters()
    height, width, encoding = picture.info.height, picture.info.width, picture.info.encoding
    stitcher = Stitcher(height, width)
    weight = blending_weight(windows[0].size, overlap, blend="paper") if windows else np.empty(0)
    first = 0
    for _, same_row in groupby(windows, key=lambda window: window.y):
        row = list(same_row)
        yield from _finished_rows(stitcher, trimap, first, max(first, row[0].y))
        first = max(first, row[0].y)
        top, bottom = rows_of(row[0], height)
        pixels, marks = picture.rows(top, bottom), trimap.rows(top, bottom)
        counters.rows_read += len(pixels)
        for start in range(0, len(row), batch):
            some = row[start : start + batch]
            colours = [network_colours(cut(pixels, w, first_row=top, height=height), encoding) for w in some]
            known = [cut(marks, w, first_row=top, height=height) for w in some]
            with counters.network():  # the answer is an array, so a GPU has finished
                alphas = network(np.stack(colours), np.stack(known))
            for window, alpha in zip(some, alphas, strict=True):
                stitcher.add(window, alpha, weight)
            counters.encoded += len(some)
            counters.decoded += len(some)
            if progress:
                progress(counters.decoded, len(windows))
    yield from _finished_rows(stitcher, trimap, first, height)


def windows_with_unknown(trimap: RowSource, windows: Sequence[Window], *, band: int) -> list[Window]:
    """The windows that hold an unknown pixel of the picture."""
    found: dict[Window, None] = {}
    for y0 in range(0, trimap.info.height, band):
        unknown = trimap.rows(y0, min(y0 + band, trimap.info.height)) == UNKNOWN
        for window in windows:
            y, x = max(window.y - y0, 0), max(window.x, 0)
            inside = unknown[y : max(window.y + window.size - y0, 0), x : max(window.x + window.size, 0)]
            if window not in found and inside.any():
                found[window] = None
    return [window for window in windows if window in found]


def network_of(model: HDMatt, *, device: str) -> Network:
    """Our network without context patches and surroundings; sides are mirrored up to multiples of 8.

    Raises:
        InputError: The network is in training mode.
    """
    model = network_on(model, device)

    def network(colours: np.ndarray, trimaps: np.ndarray) -> np.ndarray:
        return _alphas(model, colours, trimaps, device=device)

    return network


def _alphas(model: HDMatt, colours: np.ndarray, trimaps: np.ndarray, *, device: str) -> np.ndarray:
    height, width = trimaps.shape[1:]
    rows = mirror(0, height + -height % STRIDE, height)[:, None]
    columns = mirror(0, width + -width % STRIDE, width)[None, :]
    padded = torch.from_numpy(colours[:, rows, columns]), torch.from_numpy(trimaps[:, rows, columns])
    inputs = network_input(padded[0].to(device), padded[1].to(device)).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), exact_float32():
        alpha = model(inputs, [[] for _ in trimaps]).alpha
    return alpha[:, 0, :height, :width].float().cpu().numpy()


def _finished_rows(stitcher: Stitcher, trimap: RowSource, first: int, end: int) -> Iterator[tuple[int, np.ndarray]]:
    for y0 in range(first, end, FINISHED_ROWS):
        y1 = min(y0 + FINISHED_ROWS, end)
        yield y0, with_known(stitcher.take(y1), trimap.rows(y0, y1))


def small_trimap(trimap: RowSource, size: tuple[int, int], band: int) -> tuple[UInt8[np.ndarray, "h w"], int]:
    """The trimap's values at the small pixels' centres, never mixed; and the number of unknown pixels in full size."""
    height, width = trimap.info.height, trimap.info.width
    wanted = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(int)
    small, unknown = np.zeros(size, np.uint8), 0
    for y0 in range(0, height, band):
        rows = trimap.rows(y0, min(y0 + band, height))
        unknown += int((rows == UNKNOWN).sum())
        here = (wanted >= y0) & (wanted < y0 + len(rows))
        small[here] = rows[wanted[here] - y0][:, columns]
    return small, unknown


def _small_picture(picture: RowSource, size: tuple[int, int], band: int) -> Float32[np.ndarray, "h w 3"]:
    """Display-encoded colours, shrunk by averaging: blocks of whole pixels first (row by row), then by area."""
    info = picture.info
    factor = max(1, min(info.height // size[0], info.width // size[1]))
    parts = []
    step = max(1, band // factor) * factor
    for y0 in range(0, info.height, step):
        rows = network_colours(picture.rows(y0, min(y0 + step, info.height)), info.encoding)
        blocks = max(1, len(rows) // factor), max(1, rows.shape[1] // factor)
        parts.append(cv2.resize(rows, blocks[::-1], interpolation=cv2.INTER_AREA) if factor > 1 else rows)
    joined = np.concatenate(parts)
    if joined.shape[:2] == size:
        return joined
    return cv2.resize(joined, size[::-1], interpolation=cv2.INTER_AREA)


def _grow(alpha: np.ndarray, y0: int, y1: int, height: int, width: int) -> np.ndarray:
    """Rows y0 .. y1 - 1 of `alpha` enlarged to height x width, bilinear at pixel centres."""
    if alpha.shape == (height, width):
        return alpha[y0:y1]
    centre = np.clip((np.arange(y0, y1) + 0.5) * len(alpha) / height - 0.5, 0, len(alpha) - 1)
    above = np.floor(centre).astype(int)
    below = np.minimum(above + 1, len(alpha) - 1)
    first, last = int(above[0]), int(below[-1]) + 1
    wide = cv2.resize(alpha[first:last], (width, last - first), interpolation=cv2.INTER_LINEAR)
    share = (centre - above).astype(np.float32)[:, None]
    return wide[above - first] * (1 - share) + wide[below - first] * share
