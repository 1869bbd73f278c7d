"""The pictures of the documentation site, drawn by the code that they explain.

    python docs/pictures.py            # all, into docs/images/site
    python docs/pictures.py trimaps    # some: start, trimaps, steps

start      the portrait at half its size, its trimap and a rough mask, to be downloaded from the first page
trimaps    good and bad trimaps of the portrait, each with its matte and a composite
steps      the portrait followed through a run: smaller picture, patches, contexts, stitching, colours

The portrait is examples/portrait.jpg (rendered; examples/make_example.py says how). A few minutes on two cores.
"""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np

import hdmatt
from hdmatt.figures.sheet import BLUE, GREEN, RED, Colour, box
from hdmatt.inference.load import load_network
from hdmatt.inference.options import Plan, RunOptions
from hdmatt.inference.plan import make_plan
from hdmatt.inference.small_first import shrink_factor
from hdmatt.patches.stitch import blending_weight
from hdmatt.patches.windows import Window
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN, open_trimap

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "images" / "site"
HAIR = (slice(360, 1060), slice(560, 1120))  # of the portrait at half its size
PAPER = "#d8d2c8"


@cache
def portrait() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture (RGB), trimap and true alpha, at full size."""
    picture, trimap, alpha = (
        cv2.imread(str(ROOT / "examples" / name), cv2.IMREAD_UNCHANGED)
        for name in ("portrait.jpg", "portrait-trimap.png", "portrait-alpha.png")
    )
    return np.ascontiguousarray(picture[..., ::-1]), trimap, alpha


@cache
def half() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same at half the size."""
    picture, trimap, alpha = portrait()
    picture, alpha = (cv2.resize(one, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for one in (picture, alpha))
    known = [
        cv2.erode(np.where(trimap == kind, 255, 0).astype(np.uint8), np.ones((2, 2)))[::2, ::2] for kind in (0, 255)
    ]
    return (
        picture,
        np.where(known[0] > 0, BACKGROUND, np.where(known[1] > 0, FOREGROUND, UNKNOWN)).astype(np.uint8),
        alpha,
    )


def start() -> Iterator[tuple[str, np.ndarray]]:
    """What a reader of the first page downloads."""
    picture, trimap, alpha = half()
    yield "portrait-small.jpg", picture
    yield "trimap-small.png", trimap
    yield "mask-small.png", rough(alpha)


def trimaps() -> Iterator[tuple[str, np.ndarray]]:
    """Strips of trimap, matte and composite around the hair."""
    picture, trimap, alpha = half()
    mask = rough(alpha)
    for name, one in {
        "auto": hdmatt.make_trimap(mask, picture),
        "painted": trimap,
        "narrow": hdmatt.make_trimap(mask, band="0.7%"),
        "wide": hdmatt.make_trimap(mask, band="9%"),
        "foreground": np.where(gaps(alpha) & (trimap == UNKNOWN), np.uint8(FOREGROUND), trimap),
        "background": np.where((mask == 0) & (trimap == UNKNOWN) & far(mask), np.uint8(BACKGROUND), trimap),
    }.items():
        matte = hdmatt.matte(picture, one)
        over = np.rint(255 * matte.composite(PAPER)).astype(np.uint8)
        shown = colour(one), colour(np.rint(255 * matte.alpha)), over
        share, error = (one == UNKNOWN).mean(), np.abs(matte.alpha - alpha / 255).sum() / 1000
        print(f"{name}: {100 * share:.0f} % unknown, SAD {error:.1f} thousand over the whole picture", flush=True)
        yield f"trimap-{name}.webp", np.hstack([reduced(panel[HAIR], 0.6) for panel in shown])


def steps() -> Iterator[tuple[str, np.ndarray]]:
    """One picture followed through."""
    picture, trimap, _ = portrait()
    network = load_network(hdmatt.NetworkChoice(device="cpu")).model
    plan = make_plan(open_trimap(trimap), network, RunOptions.of(hdmatt.Options()))
    step = shrink_factor(*trimap.shape)
    print(
        f"{len(plan.queries)} patches of {plan.on_grid} on the grid, pool {len(plan.pool)}, shrunk by {step}",
        flush=True,
    )
    size = picture.shape[1] // step, picture.shape[0] // step
    small_picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small_trimap = cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST)
    small = hdmatt.matte(small_picture, small_trimap).alpha
    yield "step-small.webp", np.hstack([reduced(one, 700 / size[1]) for one in (small_picture, colour(255 * small))])
    yield "step-patches.webp", np.hstack([windows(picture, trimap, plan), windows(picture, trimap, plan, pool=True)])
    yield "step-contexts.webp", contexts(picture, trimap)
    yield "step-weights.webp", weights()
    matte = hdmatt.matte(picture, trimap)
    crop = slice(1560, 1990), slice(1740, 2170)
    rows = picture, np.rint(255 * matte.foreground()), colour(255 * matte.alpha), np.rint(255 * matte.composite(PAPER))
    yield "step-colours.webp", np.hstack([one[crop].astype(np.uint8) for one in rows])


def windows(picture: np.ndarray, trimap: np.ndarray, plan: Plan, *, pool: bool = False) -> np.ndarray:
    """The picture with its unknown area lit and the patches of a plan drawn in."""
    shown = np.where((trimap == UNKNOWN)[..., None], picture, picture // 3)
    for window in plan.pool if pool else plan.queries:
        shown = outlined(shown, window, GREEN if pool else RED)
    return reduced(shown, 0.3)


def contexts(picture: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """A patch of the hair, and the patches that it attends to."""
    seen = hdmatt.attend(picture, trimap, y=1700, x=1950)
    shown = picture
    for window in seen.patches:
        shown = outlined(shown, window, BLUE)
    return reduced(outlined(shown, seen.query, RED), 0.3)


def outlined(picture: np.ndarray, window: Window, tone: Colour) -> np.ndarray:
    """The picture with the outline of a patch."""
    side = window.size
    return box(picture, y=window.y, x=window.x, height=side, width=side, colour=tone, line=10)


def weights() -> np.ndarray:
    """The weight of a patch's pixels where patches overlap: the paper's and ours."""
    both = [blending_weight(320, 64, blend=name) for name in ("paper", "smooth")]
    gap = np.full((320, 24, 3), 255, np.uint8)
    return np.hstack([colour(255 * both[0]), gap, colour(255 * both[1])])


def rough(alpha: np.ndarray) -> np.ndarray:
    """A mask as segmentation networks give it: the person without strands."""
    solid = cv2.GaussianBlur(alpha, (0, 0), 6) > 127
    return cv2.morphologyEx(np.where(solid, 255, 0).astype(np.uint8), cv2.MORPH_OPEN, np.ones((25, 25)))


def gaps(alpha: np.ndarray) -> np.ndarray:
    """What someone paints white who fills the hair with a large brush."""
    return cv2.morphologyEx(np.where(alpha > 100, 255, 0).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((61, 61))) > 0


def far(mask: np.ndarray) -> np.ndarray:
    """What lies more than 12 pixels outside of a mask."""
    return cv2.distanceTransform(np.where(mask == 0, 255, 0).astype(np.uint8), cv2.DIST_L2, 5) > 12


def colour(grey: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


def reduced(pixels: np.ndarray, scale: float) -> np.ndarray:
    return cv2.resize(pixels.astype(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def main(wanted: list[str]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for make in (start, trimaps, steps):
        if wanted and make.__name__ not in wanted:
            continue
        for name, pixels in make():
            pixels = pixels[..., ::-1] if pixels.ndim == 3 else pixels
            quality = {".webp": [cv2.IMWRITE_WEBP_QUALITY, 82], ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 88]}
            cv2.imwrite(str(OUT / name), pixels, quality.get(Path(name).suffix, []))
            print(
                f"{name}: {pixels.shape[1]} x {pixels.shape[0]}, {(OUT / name).stat().st_size // 1000} kB", flush=True
            )


if __name__ == "__main__":
    main(sys.argv[1:])
