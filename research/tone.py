"""Which way mattes are wrong where a pixel is half covered: too opaque or too thin, by what is brighter.

    hdmatt eval --data SET --method hdmatt --out OUT
    python -m research.tone --data SET --mattes OUT/mattes/hdmatt

Light adds up on a sensor, and a camera's curve comes after: a pixel half covered is brighter than the mean of its
colours. A method that takes a picture for a mean of display values answers with too much of the brighter side. So where
the truth is between 0.2 and 0.8, the median of matte - truth is printed apart for pixels with the brighter side in
front and behind; of each picture first, then the mean over the pictures. Both near 0: no such mistake. What is brighter
is told by the nearest sure foreground and background; where these are alike (less than --step of white), nothing is.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks import _shared
from hdmatt.evaluation.evaluate import find_items
from hdmatt.evaluation.items import finished_matte, opened, read_bytes, require_path
from hdmatt.pictures.reader import as_float
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN

HALF = (0.2, 0.8)  # of the truth
LEAST = 50  # pixels of a picture on each side, below which it says nothing
LUMA = (0.2126, 0.7152, 0.0722)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of a test set; repeatable")
    parser.add_argument("--mattes", type=Path, required=True, help="a method's folder below OUT/mattes of hdmatt eval")
    parser.add_argument("--step", type=float, default=0.1, help="least difference of the sides' luma, of 1")
    given_ = parser.parse_args(arguments)
    rows: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for name, items in find_items(given_.data).items():
        for item in items:
            with opened(item) as (picture, trimap):
                colours = as_float(picture.rows(0, picture.info.height))
                marks = trimap.rows(0, picture.info.height)
            matte = read_bytes(finished_matte(given_.mattes, name, item)) / 255
            truth = read_bytes(require_path(item.alpha)) / 255
            found = signed(colours, marks, matte, truth, step=given_.step)
            rows.setdefault((name, item.variant), []).append(found)
    table = [
        [name, variant, *(mean(side) for side in zip(*values, strict=True)), str(len(values))]
        for (name, variant), values in rows.items()
    ]
    print(_shared.markdown(["set", "trimap", "foreground brighter", "darker", "pictures"], table, words=2), end="")
    return 0


def mean(values: Sequence[float]) -> str:
    """Of the pictures that say something."""
    known = [value for value in values if not np.isnan(value)]
    return f"{np.mean(known):+.3f}" if known else "-"


def signed(
    colours: np.ndarray, marks: np.ndarray, matte: np.ndarray, truth: np.ndarray, *, step: float
) -> tuple[float, float]:
    """Median of matte - truth at half-covered unknown pixels, with a brighter and with a darker foreground.

    Args:
        colours: H x W x 3 in [0, 1], display-encoded.
        marks: H x W, 0, 128, 255.
        matte, truth: H x W in [0, 1].
        step: Pixels whose sides differ by less luma are left out.

    Returns:
        NaN where fewer than LEAST pixels are left.
    """
    luma = colours @ np.array(LUMA)
    half = (marks == UNKNOWN) & (truth >= HALF[0]) & (truth <= HALF[1])
    sides = []
    for value in (FOREGROUND, BACKGROUND):
        if not (marks == value).any():
            return float("nan"), float("nan")
        nearest = ndimage.distance_transform_edt(marks != value, return_distances=False, return_indices=True)
        sides.append(luma[tuple(nearest)][half])
    contrast, error = sides[0] - sides[1], (matte - truth)[half]
    brighter, darker = (error[some] for some in (contrast > step, contrast < -step))
    return tuple(float(np.median(some)) if len(some) >= LEAST else float("nan") for some in (brighter, darker))  # type: ignore[return-value]


if __name__ == "__main__":
    _shared.run(main)
