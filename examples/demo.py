"""The main job on the shipped example: a 7-megapixel picture and its trimap in, a matte and what follows from it out.

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
    step("loading (the first run on a machine compiles the colour estimation: about a minute)")
    from hdmatt.evaluation import metrics
    from hdmatt.inference import files, load
    from hdmatt.inference.options import Options
    from hdmatt.pictures.reader import read_grey
    from hdmatt.pictures.trimap import open_trimap
    from hdmatt.runtimes import devices

    load.load_model()
    step(f"model {load.DEFAULT_MODEL} loaded")
    options = Options(device=devices.pick_device("auto"))
    alpha_only = files.matte_files(
        HERE / "hair.jpg",
        HERE / "hair-trimap.png",
        files.Outputs(out / "alpha.png"),
        model=load.DEFAULT_MODEL,
        options=options,
    )
    step(
        f"matte: {alpha_only.width}x{alpha_only.height}, {100 * alpha_only.unknown_share:.0f} % unknown, "
        f"{alpha_only.patches} patches, {alpha_only.seconds:.1f} s, peak {alpha_only.peak_memory / 2**20:.0f} MiB"
    )
    full = files.matte_files(
        HERE / "hair.jpg",
        HERE / "hair-trimap.png",
        files.Outputs(out / "alpha.png", out / "foreground.jpg", out / "cutout.png", out / "composite.jpg"),
        options=options,
        background="#d8d2c8",
    )
    step(f"matte, foreground, cut-out and composite: {full.seconds:.1f} s, peak {full.peak_memory / 2**20:.0f} MiB")
    alpha, truth = read_grey(out / "alpha.png"), read_grey(HERE / "hair-alpha.png")
    with open_trimap(HERE / "hair-trimap.png") as reader:
        trimap = reader.rows(0, reader.info.height)
    step(
        f"against the rendered truth: SAD {metrics.sad(alpha, truth, trimap):.1f} thousand, "
        f"MSE {1000 * metrics.mse(alpha, truth, trimap):.1f}e-3"
    )
    overview(out)
    for name in ("alpha.png", "foreground.jpg", "cutout.png", "composite.jpg", "overview.jpg"):
        print(f"  {os.path.relpath(out / name)}")


def overview(out: Path) -> None:
    """Picture, trimap, matte and composite in a row, and below them the same at 100 % on the hair."""
    import cv2
    import numpy as np

    paths = HERE / "hair.jpg", HERE / "hair-trimap.png", out / "alpha.png", out / "composite.jpg"
    whole = [cv2.imread(str(path)) for path in paths]
    small = [cv2.resize(picture, (480, 384), interpolation=cv2.INTER_AREA) for picture in whole]
    close = [picture[480:780, 2000:2480] for picture in whole]
    strip = np.vstack([np.hstack(small), np.hstack(close)])
    cv2.imwrite(str(out / "overview.jpg"), strip, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "demo")
