"""What a browser sees of a picture: tiles of its layers as JPEG and PNG.

Knows the session and its smaller views; nothing of requests. Read top to bottom:

    LAYERS     their names
    Tile       bytes, their type, and whether they stay like this
    Layers     makes tiles

Composites of the full size are the session's. Those of smaller views are made from the smaller picture and the smaller
matte, which is quicker and looks the same.
"""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from hdmatt.pictures.box import Box
from hdmatt.pictures.colours import colour
from hdmatt.pictures.colours.encoding import SRGB, as_displayed, convert
from hdmatt.pictures.colours.foreground import estimate_foreground
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from hdmatt.studio.alpha_pyramid import AlphaPyramid, MarkedAlpha
from hdmatt.studio.backdrop import Backdrop
from hdmatt.studio.pyramid import PicturePyramid, Report
from hdmatt.studio.session import Session
from hdmatt.studio.trimap_tiles import SIZE, Key

LAYERS = ("picture", "trimap", "alpha", "foreground", "composite", "before")
CHECKER, PICTURE = "checker", "picture"  # backgrounds that are no colour
CLEAR = "clear"  # of the trimap: what is unknown hides nothing
_MARGIN = 32  # pixels of a smaller view around a tile, for its colours
_QUALITY = 90
_SQUARE = 16  # pixels of the checker on the screen
_LIGHT, _DARK = 0.88, 0.76  # of the checker: soft, so that it does not outshine hair
_NOTHING = np.float32(0.5)  # grey of the foreground where there is none
_LARGEST_PROFILE = 8192  # bytes; every tile holds it
# background blue, unknown yellow, foreground green: told apart by people who see red and green alike
_OVERLAY = {BACKGROUND: (40, 80, 255, 80), UNKNOWN: (255, 214, 0, 120), FOREGROUND: (0, 200, 110, 70)}


class Tile(NamedTuple):
    """A tile as it is sent."""

    body: bytes
    media_type: str
    final: bool  # whether it stays like this until the layer's version changes


class Layers:
    """The layers of a session, as tiles; for several threads."""

    def __init__(self, session: Session, report: Report) -> None:
        self._session = session
        pixels = session.pixels
        self._encoding = pixels.info.encoding
        profile = pixels.info.icc if pixels.info.channels == 3 and not self._encoding.light else None
        self._profile = profile if profile and len(profile) <= _LARGEST_PROFILE else None
        self.picture = PicturePyramid(pixels, session.levels, session.path, cheap=pixels.cheap, report=report)
        self.alpha = AlphaPyramid(session)
        self._marked: MarkedAlpha | None = None
        self._before: AlphaPyramid | None = None
        self._backdrop: tuple[Backdrop, str] | None = None  # behind composites, and its name
        self._lookup = _lookup()

    def tile(self, layer: str, key: Key, background: str = CHECKER) -> Tile | None:
        """A tile; None if there is none at this place, or no such layer.

        Args:
            background: Of composites: a colour, "checker" or "picture". Of the trimap: "clear" for unknown pixels that
                do not show.

        Raises:
            InputError: No such background.
        """
        level, row, column = key
        if layer not in LAYERS or not 0 <= level < self._session.levels:
            return None
        height, width = self.picture.size(level)
        if not (0 <= row * SIZE < height and 0 <= column * SIZE < width):
            return None
        if layer == "trimap":
            return Tile(self._overlay(self.picture.box(key), level, clear=background == CLEAR), "image/png", True)
        pixels, final = self._pixels(layer, key, background)
        return Tile(_jpeg(pixels, self._profile if pixels.ndim == 3 else None), "image/jpeg", final)

    def mark(self) -> None:
        """Keep the matte of now as layer "before".

        Raises:
            OutputError: There is no room for it.
        """
        marked = MarkedAlpha(self._session)
        old = self._marked, self._before
        self._marked, self._before = marked, AlphaPyramid(marked)
        for one in old:
            if one is not None:
                one.close()

    @property
    def marked(self) -> bool:
        """Whether there is a layer "before"."""
        return self._before is not None

    @property
    def background(self) -> str | None:
        """Name of the picture behind composites."""
        return None if self._backdrop is None else self._backdrop[1]

    def set_background(self, path: Path | None, report: Report = lambda *_: None) -> None:
        """The picture behind composites, scaled to cover. Its own transparency is not seen here; an export has it.

        Raises:
            InputError: It is none, or its colours cannot be converted.
        """
        session = self._session
        options = session.input_options.of_others()
        new = None if path is None else (Backdrop(path, session.pixels.info, options, report), path.name)
        old, self._backdrop = self._backdrop, new
        if old is not None:
            old[0].close()

    def close(self) -> None:
        """Stop the threads and remove the files. Safe to call twice."""
        self.set_background(None)
        self.picture.close()
        for one in (self.alpha, self._before, self._marked):
            if one is not None:
                one.close()

    def _pixels(self, layer: str, key: Key, background: str) -> tuple[np.ndarray, bool]:
        box, level = self.picture.box(key), key[0]
        if layer == "picture":
            return self.picture.tile(key)
        if layer in ("alpha", "before"):
            pyramid = self._before if layer == "before" and self._before else self.alpha
            return pyramid.tile(key), True
        alpha = self._alpha(box, level)
        colours = self._foreground(box, level, alpha)
        if layer == "foreground":
            return self._shown(np.where(alpha[..., None] > 0, colours, _NOTHING)), True
        behind, final = self._behind(background, box, key)
        return self._shown(colour.composite(colours, alpha, behind)), final

    def _overlay(self, box: Box, level: int, *, clear: bool) -> bytes:
        labels = self._session.trimap(box, level=level)
        picture = Image.frombytes("P", labels.shape[::-1], self._lookup[labels].tobytes())
        order = (BACKGROUND, UNKNOWN, FOREGROUND)
        picture.putpalette(bytes(value for label in order for value in _OVERLAY[label][:3]))
        out = BytesIO()
        opacity = bytes(0 if clear and label == UNKNOWN else _OVERLAY[label][3] for label in order)
        picture.save(out, "PNG", transparency=opacity, compress_level=1, optimize=False)
        return out.getvalue()

    def _alpha(self, box: Box, level: int) -> Float32[np.ndarray, "h w"]:
        return self._session.alpha(box) if level == 0 else self.alpha.read(box, level) / np.float32(255)

    def _foreground(self, box: Box, level: int, alpha: np.ndarray) -> Float32[np.ndarray, "h w 3"]:
        """Colours in the picture's own encoding; the picture itself where nothing is soft."""
        if ((alpha == 0) | (alpha == 1)).all():
            return self._colours(box, level)
        if level == 0:
            return self._session.foreground(box)
        around = box.grown(_MARGIN).clipped(*self.picture.size(level))
        colours = estimate_foreground(self._colours(around, level), self._alpha(around, level))
        top, left = box.y0 - around.y0, box.x0 - around.x0
        return colours[top : top + box.y1 - box.y0, left : left + box.x1 - box.x0]

    def _colours(self, box: Box, level: int) -> Float32[np.ndarray, "h w 3"]:
        if level == 0:
            return self._session.picture(box)
        return self._as_picture(self.picture.read(box, level) / np.float32(255))

    def _behind(self, background: str, box: Box, key: Key) -> tuple[Float32[np.ndarray, "... 3"], bool]:
        backdrop = self._backdrop
        if background == PICTURE and backdrop is not None:
            pixels, final = backdrop[0].part(box, key[0])
            return self._as_picture(pixels / np.float32(255)), final
        if background in (CHECKER, PICTURE):
            y, x = np.mgrid[: box.y1 - box.y0, : box.x1 - box.x0] // _SQUARE
            grey = np.where((y + x) % 2, np.float32(_LIGHT), np.float32(_DARK))
            return self._as_picture(np.repeat(grey[..., None], 3, axis=2)), True
        text = f"#{background}" if len(background) == 6 and background.isalnum() else background
        return self._as_picture(np.broadcast_to(colour.parse_colour(text), (box.y1 - box.y0, box.x1 - box.x0, 3))), True

    def _as_picture(self, shown: np.ndarray) -> Float32[np.ndarray, "... 3"]:
        """Display-encoded colours in the picture's own encoding."""
        encoding = self._encoding
        return convert(shown, replace(SRGB, to_rec709=encoding.to_rec709), encoding) if encoding.light else shown

    def _shown(self, colours: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
        return np.rint(as_displayed(colours, self._encoding) * np.float32(255)).astype(np.uint8)


def _lookup() -> UInt8[np.ndarray, "256"]:
    """The palette's number of each label."""
    numbers = np.zeros(256, np.uint8)
    numbers[UNKNOWN], numbers[FOREGROUND] = 1, 2
    return numbers


def _jpeg(pixels: np.ndarray, profile: bytes | None) -> bytes:
    out = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        out, "JPEG", quality=_QUALITY, subsampling=0, icc_profile=profile
    )
    return out.getvalue()
