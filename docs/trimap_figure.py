"""The figure of docs/trimaps.md: trimaps of one mask, and the mattes that they give.

    python docs/trimap_figure.py

The picture is examples/hair.jpg at a third of its size (rendered; examples/make_example.py says how). The mask is its
true alpha without strands, as a segmentation network gives it. Needs the extra `figures`.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

import hdmatt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
FIGURE = ROOT / "docs" / "images" / "trimaps.jpg"
CROP = (slice(60, 330), slice(560, 900))  # rows and columns of what is enlarged


def main() -> None:
    from matplotlib.figure import Figure

    from benchmarks.trimaps import numbers, rough_mask

    size = (1000, 800)
    picture = cv2.resize(cv2.imread(str(ROOT / "examples" / "hair.jpg"))[..., ::-1], size, interpolation=cv2.INTER_AREA)
    alpha = cv2.imread(str(ROOT / "examples" / "hair-alpha.png"), cv2.IMREAD_UNCHANGED)
    alpha = cv2.resize(alpha / np.float32(np.iinfo(alpha.dtype).max), size, interpolation=cv2.INTER_AREA)
    mask = rough_mask(alpha)
    trimaps = {
        "too narrow: --band 1%": hdmatt.make_trimap(mask, band="1%"),
        "wide: --band 6%": hdmatt.make_trimap(mask, band="6%"),
        "--band auto": hdmatt.make_trimap(mask, picture),
    }
    figure = Figure(figsize=(10, 8.4), dpi=90)
    axes = figure.subplots(3, 4)
    columns = {"picture and mask": (picture, mask, picture[CROP])}
    for name, trimap in trimaps.items():
        matte = hdmatt.matte(picture, trimap).alpha
        found = numbers(alpha, trimap)
        title = f"{name}\n{found['unknown']:.0%} unknown, {found['covered']:.0%} of soft pixels"
        columns[title] = (trimap, matte, matte[CROP])
    for column, (title, panels) in zip(axes.T, columns.items(), strict=True):
        column[0].set_title(title, fontsize=9)
        for axis, panel in zip(column, panels, strict=True):
            axis.imshow(panel, cmap="gray")
            axis.axis("off")
    figure.tight_layout()
    figure.savefig(FIGURE, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()
