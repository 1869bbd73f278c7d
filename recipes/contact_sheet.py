"""Contact sheets of foregrounds, one a family: what a network would learn from, to be looked at before it does.

    python recipes/contact_sheet.py OUT [--data PACK ...] [--drawn 12] [--side 240]

Hardware:  a CPU, a tenth of a second a picture.
Expected:  OUT/pack-<family>.jpg for the foregrounds of every pack, whose names start with their family and an
           underscore or hyphen, and OUT/drawn-<family>.jpg for --drawn foregrounds of every family of
           hdmatt.samples.drawn.families (0: none). Each picture lies over green and stands beside its alpha: noise on
           alpha, holes in what should be solid and colours that end with it show at a glance.
"""

import argparse
import re
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from hdmatt.errors import HDMattError
from hdmatt.samples.drawn.families import FAMILIES, draw_family
from hdmatt.samples.packs import discover_assets, read_foreground

ACROSS = 4  # pairs of picture and alpha
GREEN = (60, 160, 60)


def main() -> None:
    parser = argparse.ArgumentParser(prog="contact_sheet.py")
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, action="append", default=[], help="asset pack; repeatable")
    parser.add_argument("--drawn", type=int, default=12, help="foregrounds of each drawn family")
    parser.add_argument("--side", type=int, default=240, help="pixels of a picture in the sheet")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for family, pictures in sorted(of_packs(args.data).items()):
        write(args.out / f"pack-{family}.jpg", pictures, args.side)
    for family in FAMILIES if args.drawn else ():
        drawn = [draw_family(family, np.random.default_rng(seed), 480, None) for seed in range(args.drawn)]
        write(args.out / f"drawn-{family}.jpg", drawn, args.side)


def of_packs(packs: list[Path]) -> dict[str, list[np.ndarray]]:
    """Family -> its foregrounds, straight RGBA."""
    families: dict[str, list[np.ndarray]] = defaultdict(list)
    for pack in packs:
        for entry in discover_assets(pack).foregrounds:
            name = (entry if isinstance(entry, Path) else entry[0]).stem
            families[re.split(r"[_-]", name)[0]].append(read_foreground(entry))
    return families


def write(path: Path, pictures: list[np.ndarray], side: int) -> None:
    """Rows of pairs, the last one filled up with black."""
    pairs = [pair(picture, side) for picture in pictures]
    pairs += [np.zeros_like(pairs[0])] * (-len(pairs) % min(ACROSS, len(pairs)))
    rows = [np.hstack(pairs[i : i + ACROSS]) for i in range(0, len(pairs), ACROSS)]
    if not cv2.imwrite(str(path), np.vstack(rows)[..., ::-1]):
        raise OSError(f"{path} cannot be written")
    print(f"{path}: {len(pictures)} pictures")


def pair(rgba: np.ndarray, side: int) -> np.ndarray:
    """The foreground over green, and its alpha, side x 2 side x 3."""
    scale = side / max(rgba.shape[:2])
    alpha = rgba[..., 3:].astype(np.float32) / 255
    over = rgba[..., :3] * alpha + np.float32(GREEN) * (1 - alpha)
    sheet = np.zeros((side, 2 * side, 3), np.uint8)
    for left, pixels in ((0, over), (side, np.repeat(255 * alpha, 3, axis=2))):
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        high, wide = min(small.shape[0], side), min(small.shape[1], side)
        sheet[:high, left : left + wide] = (small[:high, :wide] + 0.5).astype(np.uint8)
    return sheet


if __name__ == "__main__":
    try:
        main()
    except HDMattError as error:
        print(f"contact_sheet: {error.message}\n  {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
