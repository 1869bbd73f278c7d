"""Composition-1k from its parts: 1000 test pictures in the usual layout `merged/ trimaps/ alpha_copy/`, about 10 GB.

    python -m paper.compose_test_set Combined_Dataset VOCdevkit composition-1k

Takes Adobe's set (Combined_Dataset or its Test_set, with the two lists of names in it), PASCAL VOC 2012 (JPEGImages or
a folder above it), and the folder to make; its merged/ must not hold files yet. Trimaps are those of the set: numbers
on other trimaps cannot be compared.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from benchmarks import _shared
from hdmatt.errors import OutputError
from hdmatt.evaluation.compose import Composition, read_composition, read_rgb
from hdmatt.evaluation.testsets import Item, discover


def compose_test_set(adobe: Path, voc: Path, out: Path) -> list[Item]:
    """Write the pictures, trimaps and mattes of Composition-1k; returns the items of `out`.

    Raises:
        InputError: As `testsets.discover` and `compose.read_composition`.
        OutputError: There are pictures in `out` already, or a file cannot be written.
    """
    items = discover(adobe, "adobe", backgrounds=voc)
    merged, trimaps, alphas = (out / name for name in ("merged", "trimaps", "alpha_copy"))
    if merged.is_dir() and any(merged.iterdir()):
        raise OutputError(f"{merged} holds files already", hint="Remove it, or name another folder.")
    for made in (merged, trimaps, alphas):
        made.mkdir(parents=True, exist_ok=True)
    for item in items:
        assert isinstance(item.picture, Composition) and item.trimap is not None and item.alpha is not None
        # The picture comes last: where there is one, its trimap and truth are complete. Some of Adobe's mattes are
        # stored as RGB; the reference scores their first channel.
        _write_png(trimaps / f"{item.name}.png", read_rgb(item.trimap)[..., 0])
        _write_png(alphas / f"{item.name}.png", read_rgb(item.alpha)[..., 0])
        _write_png(merged / f"{item.name}.png", read_composition(item.picture)[..., ::-1])
    return discover(out, "composition1k")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("adobe", "voc", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args(arguments)
    print(f"{given.out}: {len(compose_test_set(given.adobe, given.voc, given.out))} pictures")
    return 0


def _write_png(path: Path, pixels: np.ndarray) -> None:
    encoded = cv2.imencode(".png", pixels)[1]
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", hint="Free some space there.") from error


if __name__ == "__main__":
    _shared.run(main)
