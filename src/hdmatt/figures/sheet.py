"""Figures made of panels: pictures at their own pixels with words above and below, in rows on white.

Knows nothing of networks or files. Sizes are pixels, y comes before x, colours are 8-bit RGB. Pillow draws, not
matplotlib: panels are shown pixel for pixel, and matplotlib would leave the same layout by pixels to be written by
hand while hdmatt attention would need it installed. Read top to bottom:

    Panel         a picture with a line above and lines below
    sheet         rows of panels on white paper
    box, ring     marks in a picture
    heat          a weight for each cell, over the picture
    words         a panel of text, with a colour bar if wanted
    shrunk, shrunk_trimap    a large file, read in bands, as a small picture
    enlarged      a picture at another scale
    save_figure   the figure into a file
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from hdmatt.pictures.reader import BandReader, as_float, network_colours
from hdmatt.pictures.trimap import TrimapReader
from hdmatt.pictures.writer import PictureWriter

Pixels = UInt8[np.ndarray, "_ _ 3"]
Colour = tuple[int, int, int]

INK: Colour = (20, 20, 20)
GREEN: Colour = (0, 158, 115)  # Okabe and Ito's green, red and blue: told apart by nearly everybody
RED: Colour = (213, 60, 0)
BLUE: Colour = (0, 114, 178)
WHITE: Colour = (255, 255, 255)
TEXT = 17  # pixels
GAP = 14


class Panel(NamedTuple):
    """A picture in a sheet."""

    pixels: np.ndarray  # h w 3 uint8
    above: str = ""
    below: tuple[str, ...] = ()  # longer ones go on in a line of their own


def sheet(rows: Sequence[Sequence[Panel]], *, title: str = "", footer: Sequence[str] = ()) -> Pixels:
    """Rows of panels, left to right, on white; the rows are laid out apart from each other."""
    drawn = [_row(row) for row in rows]
    lines = list(footer)
    width = max([d.width for d in drawn] + [_width(t, TEXT) for t in lines] + [_width(title, TEXT + 4)]) + 2 * GAP
    heights = [d.height for d in drawn]
    head = TEXT + 4 + GAP + 4 if title else 0
    height = head + sum(heights) + GAP * (len(drawn) + 1) + (len(lines) * (TEXT + 6) + GAP if lines else 0)
    page = Image.new("RGB", (width, height), WHITE)
    draw = ImageDraw.Draw(page)
    y = GAP
    if title:
        draw.text((GAP, y), _plain(title), INK, _font(TEXT + 4))
        y += head
    for one in drawn:
        page.paste(one, (GAP, y))
        y += one.height + GAP
    for line in lines:
        draw.text((GAP, y), _plain(line), INK, _font(TEXT))
        y += TEXT + 6
    return np.asarray(page).copy()


def box(
    pixels: Pixels, *, y: float, x: float, height: float, width: float, colour: Colour, label: str = "", line: int = 4
) -> Pixels:
    """A copy with a rectangle, kept inside the picture, and a label in its corner."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    bottom, right = pixels.shape[0] - 1, pixels.shape[1] - 1
    x0, y0 = (min(max(round(v), 0), end) for v, end in ((x, right), (y, bottom)))
    x1, y1 = min(max(round(x + width) - 1, x0), right), min(max(round(y + height) - 1, y0), bottom)
    draw.rectangle((x0, y0, x1, y1), outline=colour, width=line)
    if label:
        wide, high = _width(label, TEXT + 2) + 12, TEXT + 8
        top = y0 if 3 * high < y1 - y0 or y0 < high else y0 - high  # above a box that it would fill
        left, top = max(0, min(x0, right - wide)), max(0, min(top, bottom - high))
        draw.rectangle((left, top, left + wide, top + high), fill=colour)
        draw.text((left + 6, top + 2), _plain(label), WHITE, _font(TEXT + 2))
    return np.asarray(image).copy()


def ring(pixels: Pixels, *, y: float, x: float, colour: Colour = BLUE, radius: int = 9) -> Pixels:
    """A copy with a circle around a pixel, white outside so that it shows on any ground."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for r, ink, line in ((radius + 2, WHITE, 7), (radius, colour, 3)):
        draw.ellipse((x - r, y - r, x + r, y + r), outline=ink, width=line)
    return np.asarray(image).copy()


def heat(
    picture: Pixels, weight: Float[np.ndarray, "y x"], inside: Bool[np.ndarray, "y x"], *, ends: tuple[float, float]
) -> Pixels:
    """Cells inside in the colours of the bar, from `ends[0]` (black) to `ends[1]`; the others show the picture, faded.

    Args:
        weight, inside: For every cell; the picture's sides are multiples of theirs, or nearly so.
    """
    size = picture.shape[1], picture.shape[0]
    least, most = ends
    level = np.clip((weight - least) / (most - least), 0, 1) if most > least else (weight >= most) * np.float32(1)
    cells = cv2.resize(_colours(level), size, interpolation=cv2.INTER_NEAREST)
    mask = cv2.resize(inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)[..., None] > 0
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    faded = np.repeat(200 + 0.2 * grey, 3, axis=2)
    lit = cells + (1 - cells / np.float32(255)) * 0.35 * grey  # a little of the picture, so that one sees where
    return np.where(mask, lit, faded).clip(0, 255).astype(np.uint8)


def words(lines: Sequence[str], *, height: int, width: int, ends: tuple[str, str] | None = None) -> Pixels:
    """Text on white; below it a bar of `heat`'s colours with these words at its ends."""
    image = Image.new("RGB", (width, height), WHITE)
    draw = ImageDraw.Draw(image)
    y = 4
    for i, line in enumerate(lines):
        size = TEXT + 4 if i == 0 else TEXT
        for part in _wrapped(line, width - 8, size):
            draw.text((0, y), part, INK, _font(size))
            y += size + 6
        y += 6 if i == 0 else 0
    if ends is not None:
        wide = width - 10
        level = np.linspace(0, 1, wide)[None].repeat(18, axis=0)
        image.paste(Image.fromarray(_colours(level)), (0, y + 8))
        draw.text((0, y + 30), ends[0], INK, _font(TEXT))
        draw.text((wide - _width(ends[1], TEXT), y + 30), ends[1], INK, _font(TEXT))
    return np.asarray(image).copy()


def shrunk(reader: BandReader, *, long_side: int) -> tuple[Pixels, float]:
    """The picture with a long side of at most `long_side`, display-encoded, and the factor it was shrunk by."""
    info = reader.info
    scale = min(1.0, long_side / max(info.height, info.width))
    height, width = max(1, round(info.height * scale)), max(1, round(info.width * scale))
    parts: list[np.ndarray] = []
    edges = (np.arange(0, height + 1) * info.height / height).round().astype(int)
    for first in range(0, height, 64):
        last = min(first + 64, height)
        rows = network_colours(reader.rows(int(edges[first]), int(edges[last])), info.encoding)
        parts.append(cv2.resize(rows, (width, last - first), interpolation=cv2.INTER_AREA))
    return _bytes(np.concatenate(parts)), scale


def shrunk_trimap(reader: TrimapReader, *, height: int, width: int) -> Pixels:
    """The trimap's values at the centres of height x width pixels, as grey."""
    info = reader.info
    ys = ((np.arange(height) + 0.5) * info.height / height).astype(int)
    xs = ((np.arange(width) + 0.5) * info.width / width).astype(int)
    parts = [
        reader.rows(int(some[0]), int(some[-1]) + 1)[some - some[0]][:, xs]
        for some in np.array_split(ys, -(-height // 64))
    ]
    return grey_panel(np.concatenate(parts))


def enlarged(pixels: Pixels, scale: float) -> Pixels:
    """Resized: whole pixels when it grows, averages when it shrinks."""
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA)


def grey_panel(values: UInt8[np.ndarray, "h w"]) -> Pixels:
    """Grey as RGB."""
    return np.repeat(values[..., None], 3, axis=2)


def save_figure(pixels: Pixels, path: Path) -> None:
    """Write a figure; the suffix says the format (PNG, JPEG, TIFF, WebP). Nothing half-written is left."""
    with PictureWriter(path, len(pixels), pixels.shape[1], channels=3, bit_depth="8") as file:
        file.write(as_float(pixels))


def _row(panels: Sequence[Panel]) -> Image.Image:
    line = TEXT + 6
    heads = [_wrapped(p.above, p.pixels.shape[1], TEXT) for p in panels]
    feet = [[part for text in p.below for part in _wrapped(text, p.pixels.shape[1], TEXT)] for p in panels]
    above = max(map(len, heads), default=0) * line
    above += 2 if above else 0
    below = max(map(len, feet), default=0) * line
    high = max(p.pixels.shape[0] for p in panels)
    width = sum(p.pixels.shape[1] for p in panels) + GAP * (len(panels) - 1)
    row = Image.new("RGB", (width, above + high + below + (4 if below else 0)), WHITE)
    draw = ImageDraw.Draw(row)
    x = 0
    for panel, head, foot in zip(panels, heads, feet, strict=True):
        row.paste(Image.fromarray(panel.pixels), (x, above))
        for i, text in enumerate(head):
            draw.text((x, above - 2 - (len(head) - i) * line), text, INK, _font(TEXT))
        for i, text in enumerate(foot):
            draw.text((x, above + panel.pixels.shape[0] + 4 + i * line), text, INK, _font(TEXT))
        x += panel.pixels.shape[1] + GAP
    return row


def _colours(level: np.ndarray) -> np.ndarray:
    codes = np.rint(255 * level).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(codes, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def _bytes(colours: np.ndarray) -> np.ndarray:
    return np.rint(colours.clip(0, 1) * 255).astype(np.uint8)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # comes with Pillow, so a figure looks the same everywhere


def _plain(text: str) -> str:
    """The text in ASCII, all that the font knows."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _width(text: str, size: int) -> int:
    return int(_font(size).getlength(_plain(text))) + 1


def _wrapped(text: str, width: int, size: int) -> list[str]:
    """Lines of whole words; a word that is wider than a line is broken."""
    lines: list[str] = []
    for word in _plain(text).split():
        if lines and _width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
            continue
        while len(word) > 1 and _width(word, size) > width:
            fitting = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or _width(word[:n], size) <= width)
            lines.append(word[:fitting])
            word = word[fitting:]
        lines.append(word)
    return lines
