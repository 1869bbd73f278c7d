"""The figure of docs/outputs.md: what a cut-out holds where its alpha is 0.

    python docs/clean_figure.py

The subject is that of examples/hair.jpg with its true alpha; no network is needed. Left to right: the picture, whose
background would stay under alpha 0; the cut-out's colours without their alpha; the same with `clean`.
"""

from pathlib import Path

import cv2
import numpy as np

import hdmatt

ROOT = Path(__file__).resolve().parents[1]
FIGURE = ROOT / "docs" / "images" / "under-alpha-0.jpg"
SIZE, SHOWN = (1500, 1200), (498, 398)  # width and height: of the cut-out, and of each panel
GAP = 3


def panels() -> list[np.ndarray]:
    """Picture and colours of the two cut-outs, in [0, 1]."""
    picture = cv2.imread(str(ROOT / "examples" / "hair.jpg"))[..., ::-1] / np.float32(255)
    alpha = cv2.imread(str(ROOT / "examples" / "hair-alpha.png"), cv2.IMREAD_UNCHANGED)
    alpha = alpha / np.float32(np.iinfo(alpha.dtype).max)
    picture, alpha = (cv2.resize(one, SIZE, interpolation=cv2.INTER_AREA).clip(0, 1) for one in (picture, alpha))
    matte = hdmatt.Matte(alpha, picture)
    return [picture, matte.cutout()[..., :3], matte.cutout(clean=True)[..., :3]]


def main() -> None:
    gap = np.ones((SHOWN[1], GAP, 3), np.float32)
    shown = [cv2.resize(panel, SHOWN, interpolation=cv2.INTER_AREA) for panel in panels()]
    row = np.concatenate([shown[0], gap, shown[1], gap, shown[2]], axis=1)
    pixels = np.rint(255 * row.clip(0, 1)).astype(np.uint8)
    cv2.imwrite(str(FIGURE), pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
