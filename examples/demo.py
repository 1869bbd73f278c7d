"""The main job on the shipped example: a 6-megapixel portrait and its trimap in, a matte and what follows from it out.

    python examples/demo.py [OUT_DIR]        (make demo)

Prints how long each step took, where the pictures are, and how far the matte is from the truth, which is known
here because the example was rendered (examples/make_example.py).
"""

import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
started = time.monotonic()


def step(text: str) -> None:
    print(f"[{time.monotonic() - started:6.1f} s] {text}", flush=True)


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    step("loading")
    import cv2

    import hdmatt

    picture, trimap = HERE / "portrait.jpg", HERE / "portrait-trimap.png"
    matte = hdmatt.matte_files(picture, trimap, hdmatt.Outputs(out / "alpha.png"))
    step(
        f"matte: {matte.width}x{matte.height}, {100 * matte.unknown_share:.0f} % unknown, {matte.patches} patches, "
        f"{matte.seconds:.1f} s, peak {matte.peak_memory / 2**20:.0f} MiB"
    )
    everything = hdmatt.Outputs(
        alpha=out / "alpha.png",
        foreground=out / "foreground.jpg",
        cutout=out / "cutout.png",
        composite=out / "composite.jpg",
        background="#d8d2c8",
    )
    full = hdmatt.matte_files(picture, trimap, everything)
    step(f"matte, foreground, cut-out and composite: {full.seconds:.1f} s, peak {full.peak_memory / 2**20:.0f} MiB")
    paths = out / "alpha.png", HERE / "portrait-alpha.png", trimap
    scores = hdmatt.score(*(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths))
    step(f"against the rendered truth: SAD {scores.sad:.1f} thousand, MSE {1000 * scores.mse:.1f}e-3")
    overview(out)
    for name in ("alpha.png", "foreground.jpg", "cutout.png", "composite.jpg", "overview.jpg"):
        print(f"  {os.path.relpath(out / name)}")


def overview(out: Path) -> None:
    """Picture, trimap, matte and composite in a row, and below them the same at 100 % on the hair."""
    import cv2
    import numpy as np

    paths = HERE / "portrait.jpg", HERE / "portrait-trimap.png", out / "alpha.png", out / "composite.jpg"
    whole = [cv2.imread(str(path)) for path in paths]
    small = [cv2.resize(picture, (480, 578), interpolation=cv2.INTER_AREA) for picture in whole]
    close = [picture[1500:1800, 1740:2220] for picture in whole]
    strip = np.vstack([np.hstack(small), np.hstack(close)])
    cv2.imwrite(str(out / "overview.jpg"), strip, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "demo")
