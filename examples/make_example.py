"""How the pictures of the examples are made: a rendered foreground over a blurred photograph, trimap and truth.

    python examples/make_example.py hair FOREGROUND.png BACKGROUND.jpg OUT_DIR
    python examples/make_example.py portrait PASSES BACKGROUND.jpg OUT_DIR

Writes NAME.jpg, NAME-trimap.png and NAME-alpha.png (the truth). FOREGROUND is straight RGBA; a folder holds it as bands
of rows, joined in the order of their names; a folder of such folders holds passes of one picture, of which the mean is
taken. Both photographs are Ubuntu Budgie wallpapers (CC0).

    hair        by a Blender renderer (family hair, seed 100015), 2400 x 2400 pixels, over rolling green hills
    portrait    by examples/render_portrait.py, over mountains by a lake

The picture is mixed in display values, as most programs do; light mixes before it is encoded.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np


class Recipe(NamedTuple):
    size: tuple[int, int] | None  # height and width of the picture; None: the foreground's
    left: int  # of the foreground in the picture
    blur: float  # sigma of the photograph: out of focus, as behind a portrait
    sure: float  # alpha that differs by less from 0 or 1 counts as that
    inside: int  # pixels of the unknown band on the inner side of what is soft
    outside: int
    quality: int  # of the JPEG


RECIPES = {
    "hair": Recipe(size=(2400, 3000), left=300, blur=4, sure=0.01, inside=12, outside=20, quality=88),
    "portrait": Recipe(size=None, left=0, blur=14, sure=0.02, inside=14, outside=24, quality=90),
}


def main(name: str, foreground: Path, background: Path, out: Path) -> None:
    recipe = RECIPES[name]
    rendered = read_foreground(foreground)
    height, width = recipe.size or rendered.shape[:2]
    rgba = np.zeros((height, width, 4), np.float32)
    rgba[:, recipe.left : recipe.left + rendered.shape[1]] = rendered[:height]
    photo = cv2.imread(str(background))
    scale = max(height / photo.shape[0], width / photo.shape[1])
    photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    left = (photo.shape[1] - width) // 2
    photo = cv2.GaussianBlur(photo[:height, left : left + width], (0, 0), recipe.blur) / np.float32(255)
    alpha = rgba[..., 3:]
    picture = rgba[..., :3] * alpha + photo * (1 - alpha)
    picture += np.random.default_rng(0).normal(0, 0.008, picture.shape)  # sensor noise
    cv2.imwrite(str(out / f"{name}.jpg"), eight_bits(picture), [cv2.IMWRITE_JPEG_QUALITY, recipe.quality])
    cv2.imwrite(str(out / f"{name}-trimap.png"), trimap_of(alpha[..., 0], recipe), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    cv2.imwrite(str(out / f"{name}-alpha.png"), eight_bits(alpha[..., 0]))


def read_foreground(path: Path) -> np.ndarray:
    """Straight BGRA in [0, 1], from a file of 8 or 16 bits, a folder of bands, or a folder of passes with bands."""
    passes = [joined(folder) for folder in sorted(path.glob("*/"))] or [joined(path)]
    alpha = np.mean([one[..., 3:] for one in passes], axis=0)
    colours = np.mean([one[..., :3] * one[..., 3:] for one in passes], axis=0)
    return np.concatenate([colours / np.maximum(alpha, np.float32(1e-6)), alpha], axis=2)


def joined(path: Path) -> np.ndarray:
    """Straight BGRA in [0, 1] of one pass, from its file or its bands."""
    bands = [cv2.imread(str(band), cv2.IMREAD_UNCHANGED) for band in (sorted(path.glob("*.png")) or [path])]
    whole = np.concatenate(bands)
    return whole / np.float32(np.iinfo(whole.dtype).max)


def trimap_of(alpha: np.ndarray, recipe: Recipe) -> np.ndarray:
    """0 far from everything that is not background, 255 far inside, else 128."""
    solid, empty = alpha > 1 - recipe.sure, alpha < recipe.sure
    inside = cv2.distanceTransform(solid.astype(np.uint8), cv2.DIST_L2, 5) > recipe.inside
    outside = cv2.distanceTransform(empty.astype(np.uint8), cv2.DIST_L2, 5) > recipe.outside
    return np.where(inside, 255, np.where(outside, 0, 128)).astype(np.uint8)


def eight_bits(values: np.ndarray) -> np.ndarray:
    return np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main(sys.argv[1], *(Path(argument) for argument in sys.argv[2:5]))
