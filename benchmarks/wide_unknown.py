"""A test set of things that a trimap leaves unknown as a whole: 40 composites of 1500 x 1000 pixels, of four kinds.

    python -m benchmarks.wide_unknown OUT --backgrounds FOLDER [--limit N]
    hdmatt eval --data OUT/mesh --data OUT/see-through --data OUT/objects --data OUT/hair --method hdmatt --out EVAL
    python -m benchmarks.wide_unknown --table EVAL [EVAL ...]

FOLDER holds the photographs of `hdmatt.samples.reserved`, which no training sees. The drawings
(_wide_unknown_drawings.py) are those of no training, either. Colours are mixed by display values, as a program does:
C = alpha F + (1 - alpha) B, rounded to 8 bits. Everything of a thing is unknown, and 20 pixels around it, but for a
mark of 8 pixels at most where it is opaque. Held things hang on a figure that is known, and heads have a known face.
What is written already is not written again.

`--table` writes the means that `hdmatt eval` found into research/wide-unknown.md.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import _shared
from benchmarks._wide_unknown_drawings import DRAWINGS, HEIGHT, WIDTH, Drawing, covering
from benchmarks.readme_table import put
from hdmatt.samples.packs import decode
from hdmatt.samples.reserved import BACKGROUNDS
from hdmatt.system.files import write_text_atomic

PAGE = Path(__file__).parents[1] / "research" / "wide-unknown.md"
BEGIN, END = "<!-- scores: made by python -m benchmarks.wide_unknown --table -->", "<!-- end of scores -->"
SEED = 3_200_000  # of the first scene; the others count on
MEASURES = {"sad": 1, "mse": 1000, "grad": 1, "conn": 1}  # and what they are multiplied by in print
KINDS = {
    "mesh": ("sieve", "net", "dandelion", "urchin", "sieve", "net", "dandelion", "urchin", "sieve", "net"),
    "see-through": ("bulb", "smoke", "wineglass", "bottle", "smoke", "bulb", "smoke", "wineglass", "smoke", "smoke"),
    "objects": ("held_object", "lone_object") * 5,
    "hair": ("hair",) * 10,
}
AROUND, CLOSED = 20, 61  # pixels around a thing that are unknown; gaps narrower than this are unknown, too
MARK = 8  # radius of the only known foreground of a thing, pixels


@dataclass(frozen=True)
class Scene:
    """One picture: its drawing and seed, what is behind, and the photograph on an object."""

    kind: str
    name: str
    drawing: str
    seed: int
    background: str  # a file of BACKGROUNDS, "black" or "white"
    texture: str | None = None


def scenes() -> list[Scene]:
    """All 40, always the same."""
    made: list[Scene] = []
    for kind, drawings in KINDS.items():
        for number, drawing in enumerate(drawings):
            place = len(made)
            behind = BACKGROUNDS[place % len(BACKGROUNDS)] if kind != "hair" else ("black", "white")[number % 2]
            texture = BACKGROUNDS[(place * 5 + 8) % len(BACKGROUNDS)] if kind == "objects" else None
            made.append(
                Scene(kind, f"{number:02d}-{drawing.replace('_', '-')}", drawing, SEED + place, behind, texture)
            )
    return made


def composed(scene: Scene, backgrounds: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture (RGB), trimap and alpha of a scene, 8 bits."""
    rng = np.random.default_rng(scene.seed)
    texture = [decode(backgrounds / scene.texture, "colour")] if scene.texture else []
    drawing: Drawing = DRAWINGS[scene.drawing](rng, *texture)
    if scene.background in ("black", "white"):
        behind = np.full((HEIGHT, WIDTH, 3), 255 * (scene.background == "white"), np.uint8)
    else:
        left, top = rng.random(2)
        behind = covering(decode(backgrounds / scene.background, "colour"), WIDTH, HEIGHT, left=left, top=top)
    alpha = np.rint(drawing.layer[..., 3] * 255).clip(0, 255).astype(np.uint8)
    colours = drawing.layer[..., :3] / np.maximum(drawing.layer[..., 3:], 1e-6)
    share = alpha[..., None] / np.float32(255)
    picture = np.rint(share * (255 * colours.clip(0, 1)) + (1 - share) * behind).astype(np.uint8)
    return picture, trimap_of(alpha, drawing.sure), alpha


def trimap_of(alpha: np.ndarray, sure: np.ndarray | None) -> np.ndarray:
    """Unknown is the whole thing with the gaps in it, and a band around it; known only what is `sure`."""
    closing, around = (cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)) for side in (CLOSED, 2 * AROUND + 1))
    touched = cv2.copyMakeBorder((alpha > 0).astype(np.uint8), *[CLOSED] * 4, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(touched, cv2.MORPH_CLOSE, closing)[CLOSED:-CLOSED, CLOSED:-CLOSED]
    trimap = np.where(cv2.dilate(closed, around) > 0, 128, 0).astype(np.uint8)
    known = sure & (alpha == 255) if sure is not None else _mark(alpha)
    trimap[known] = 255
    return trimap


def _mark(alpha: np.ndarray) -> np.ndarray:
    """A disc of MARK pixels at most where the thing is opaque and thickest: classical methods want some foreground."""
    inside = cv2.distanceTransform((alpha == 255).astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(inside.argmax()), alpha.shape)
    rows, columns = np.ogrid[: alpha.shape[0], : alpha.shape[1]]
    return np.hypot(rows - y, columns - x) < min(MARK, float(inside.max()) - 1)


def make(out: Path, backgrounds: Path, wanted: Sequence[Scene]) -> int:
    """Write the scenes that are not there yet; how many that were."""
    number = 0
    for scene in sorted(wanted, key=lambda scene: scene.name[:2]):  # some of each kind are soon there
        places = [out / scene.kind / folder / f"{scene.name}.png" for folder in ("trimap", "alpha", "image")]
        if places[-1].exists():  # it is written last
            continue
        picture, trimap, alpha = composed(scene, backgrounds)
        for place, pixels in zip(places, (trimap, alpha, picture[..., ::-1]), strict=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            encoded = cv2.imencode(".png", pixels)[1]
            place.write_bytes(encoded.tobytes())
        number += 1
        print(places[-1], flush=True)
    return number


def table(records: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row for each kind, method and record, with the number of pictures that it is the mean of."""
    rows = [
        [
            one["dataset"],
            one["method"],
            str(one["pictures"]),
            *(f"{scale * one[name]:.1f}" for name, scale in MEASURES.items()),
        ]
        for kind in KINDS
        for record in records
        for one in record["summary"]
        if one["dataset"] == kind
    ]
    return _shared.markdown(["kind", "method", "pictures", "SAD", "MSE x 1000", "Grad", "Conn"], rows, words=2)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", help="folder to make")
    parser.add_argument("--backgrounds", type=Path, help="folder of the reserved photographs")
    parser.add_argument("--limit", type=int, default=10, help="only the first N of each kind")
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="EVAL", help="write the page's table from EVAL/result.json"
    )
    given = parser.parse_args(arguments)
    if given.out and given.backgrounds:
        wanted = [scene for scene in scenes() if int(scene.name[:2]) < given.limit]
        print(f"{make(given.out, given.backgrounds, wanted)} pictures made")
    if given.table:
        text = table([json.loads((folder / "result.json").read_text()) for folder in given.table])
        write_text_atomic(PAGE, put(PAGE.read_text(encoding="utf-8"), text, BEGIN, END))
    return 0


if __name__ == "__main__":
    _shared.run(main)
