"""Pack rendered foregrounds for training: PNG in, WebP out, a tenth of the size.

    python recipes/pack_foregrounds.py IN OUT [--workers 2] [--levels LOW HIGH]

Hardware:  a CPU, 0.2 s a picture of 640 x 640; NumPy, OpenCV and Pillow.
Expected:  OUT/<name>.webp for every IN/<name>.png or .webp but those with next to nothing in or behind them, which are
           named.

Without --levels alpha is kept to the bit, but for families in STOCHASTIC: a renderer samples their transparency at
random, so there the soft part is denoised. Colours are continued under alpha 0, where a PNG holds black: whoever
enlarges or blurs a picture would pull that black in. Colours lose a little (quality 92). Single bright or dark pixels,
a renderer's noise, are brought into the range of their eight neighbours: a network that sees them on foregrounds alone
takes noise for foreground. Thin strands have neighbours along themselves and stay.

--levels is for cut-outs that a machine made. Their insides are not quite opaque, and what is beside them is not quite
empty: trimaps mark spots of the inside unknown, and a network learns that such spots are to be filled. LOW and below
becomes 0, HIGH and above 255.
"""

import argparse
import functools
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

STOCHASTIC = frozenset({"veil", "glass", "smoke", "splash"})
LEAST = 0.02  # share of the pixels that must hold something, and share that must not be opaque


def main() -> None:
    parser = argparse.ArgumentParser(prog="pack_foregrounds.py")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--levels", type=int, nargs=2, metavar=("LOW", "HIGH"), default=(0, 255), help="of alpha")
    args = parser.parse_args()
    args.target.mkdir(parents=True, exist_ok=True)
    low, high = args.levels
    if not 0 <= low < high <= 255:
        parser.error(f"--levels {low} {high}: from 0 to 255, the lower one first")
    found = [*args.source.glob("*.png"), *args.source.glob("*.webp")]
    pictures = sorted(path for path in found if not path.name.endswith(".part.png"))
    if len({path.stem for path in pictures}) < len(pictures):
        parser.error(f"{args.source} holds a PNG and a WebP of one name; both would be the same file of {args.target}")
    missing = [path for path in pictures if not (args.target / f"{path.stem}.webp").exists()]
    work = functools.partial(pack, target=args.target, levels=(low, high))
    with ProcessPoolExecutor(args.workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        for path, packed in zip(missing, pool.map(work, missing), strict=True):
            print(f"{path.name}: {'packed' if packed else 'left out, next to nothing in it or behind it'}")


def pack(path: Path, target: Path, levels: tuple[int, int] = (0, 255)) -> bool:
    """One picture; False where it is left out."""
    rgba = np.asarray(Image.open(path).convert("RGBA"))
    low, high = levels
    rgb, alpha = rgba[..., :3], np.round((rgba[..., 3].clip(low, high) - np.float32(low)) * (255 / (high - low)))
    alpha = alpha.astype(np.uint8)
    if (alpha > 12).mean() < LEAST or (alpha < 243).mean() < LEAST:
        return False
    if path.name.split("_")[0] in STOCHASTIC:
        alpha = denoised(alpha)
    packed = np.dstack([continued(calmed(rgb), rgba[..., 3]), alpha])
    part = target / f"{path.stem}.part"
    Image.fromarray(packed, "RGBA").save(part, "WEBP", quality=92, alpha_quality=100, method=4, exact=True)
    os.replace(part, target / f"{path.stem}.webp")
    return True


def calmed(rgb: np.ndarray) -> np.ndarray:
    """Each channel of each pixel within the range of its eight neighbours."""
    ring = np.ones((3, 3), np.uint8)
    ring[1, 1] = 0
    return np.clip(rgb, cv2.erode(rgb, ring), cv2.dilate(rgb, ring))


def denoised(alpha: np.ndarray) -> np.ndarray:
    """Non-local means where alpha is soft; 0 and 255 stay as they are."""
    smooth = cv2.fastNlMeansDenoising(alpha, None, h=12, templateWindowSize=5, searchWindowSize=15)
    return np.where((alpha > 0) & (alpha < 255), smooth, alpha)


def continued(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours with what is (nearly) transparent filled from the nearest level of a pyramid that holds something."""
    weight = alpha.astype(np.float32) / 255
    level = np.dstack([rgb.astype(np.float32) * weight[..., None], weight])
    pyramid = [level]
    while max(pyramid[-1].shape[:2]) > 1:
        height, width = (-(-side // 2) for side in pyramid[-1].shape[:2])
        pyramid.append(cv2.resize(pyramid[-1], (width, height), interpolation=cv2.INTER_AREA))
    top = pyramid[-1]
    colours = top[..., :3] / np.maximum(top[..., 3:], 1e-6)
    for level in reversed(pyramid):
        height, width = level.shape[:2]
        below = cv2.resize(colours, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, 3)
        weight = level[..., 3:]
        # the colour of a pixel of alpha 20/255 is as good as any: renderers round it to 8 bits last
        trust = np.minimum(weight * 12, 1)
        colours = below + (level[..., :3] / np.maximum(weight, 1e-6) - below) * trust
    return np.clip(colours + 0.5, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
