"""The figure of docs/colour.md: what --matte-for changes where hair lies over other backgrounds.

    python docs/mixing_figure.py

The subject is that of examples/hair.jpg, its colours estimated with the true alpha, put in linear light over a dim
gradient: a photograph whose answer over any background is known. Columns: the same subject over white, black and a
colour. Rows: mixed in light by the true alpha, as a camera would see it; the display values of the composite without an
option; the same with matte_for="display". Needs the extra `figures`.
"""

from pathlib import Path

import cv2
import numpy as np

import hdmatt
from hdmatt.pictures.colours.colour import composite, linear_to_srgb, srgb_to_linear
from hdmatt.pictures.colours.foreground import estimate_foreground

ROOT = Path(__file__).resolve().parents[1]
FIGURE = ROOT / "docs" / "images" / "mixing.jpg"
BACKGROUNDS = {"white": "#ffffff", "black": "#000000", "orange": "#e08030"}
CROP = (slice(60, 260), slice(560, 860))  # rows and columns of what is shown


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Foreground, true alpha, picture and trimap, 1000 x 800 pixels."""
    size = (1000, 800)
    picture = cv2.resize(cv2.imread(str(ROOT / "examples" / "hair.jpg"))[..., ::-1], size, interpolation=cv2.INTER_AREA)
    alpha = cv2.imread(str(ROOT / "examples" / "hair-alpha.png"), cv2.IMREAD_UNCHANGED)
    alpha = cv2.resize(alpha / np.float32(np.iinfo(alpha.dtype).max), size, interpolation=cv2.INTER_AREA)
    foreground = estimate_foreground(picture / np.float32(255), alpha)
    y, x = np.mgrid[:800, :1000].astype(np.float32)
    behind = np.stack([0.25 + 0.2 * x / 1000, 0.35 + 0.1 * y / 800, 0.45 - 0.1 * x / 1000], 2).astype(np.float32)
    light = composite(srgb_to_linear(foreground), alpha, srgb_to_linear(behind))
    trimap = cv2.imread(str(ROOT / "examples" / "hair-trimap.png"), cv2.IMREAD_GRAYSCALE)
    trimap = cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST)
    return foreground, alpha, np.rint(255 * linear_to_srgb(light).clip(0, 1)).astype(np.uint8), trimap


def main() -> None:
    foreground, alpha, picture, trimap = scene()
    plain, for_display = (hdmatt.matte(picture, trimap, matte_for=name) for name in (None, "display"))
    columns, lines = [], []
    for name, colour in BACKGROUNDS.items():
        behind = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255
        true = linear_to_srgb(composite(srgb_to_linear(foreground), alpha, srgb_to_linear(behind)))
        rows = [true, plain.composite(colour), for_display.composite(colour)]
        columns.append(np.vstack([one[CROP].clip(0, 1) for one in rows]))
        unknown = trimap == 128
        errors = [255 * float(np.abs(one - true)[unknown].mean()) for one in rows[1:]]
        lines.append(f"{name}: mean error {errors[0]:.1f} without, {errors[1]:.1f} with, of 255")
    sheet = np.rint(255 * np.hstack(columns)).astype(np.uint8)
    cv2.imwrite(str(FIGURE), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    print("\n".join(lines))


if __name__ == "__main__":
    main()
