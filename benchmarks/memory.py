"""Peak memory and time against the picture's size, under one limit.

    python benchmarks/memory.py [--limit 1GiB] [--colours] MEGAPIXELS ...

Makes square tiled TIFF pictures (8 bit) with a ring of unknown pixels of the same length in each, runs `hdmatt matte`
on them in processes of their own, and prints what each held at most. Hardware of the README's numbers: two x86 cores.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import OpenImageIO as oiio


def write(path: Path, side: int, channels: int) -> None:
    output = oiio.ImageOutput.create(str(path))
    spec = oiio.ImageSpec(side, side, channels, "uint8")
    spec.attribute("compression", "zip")
    spec.tile_width = spec.tile_height = 256
    if not output.open(str(path), spec):
        raise RuntimeError(output.geterror())
    for y in range(0, side, 256):
        yy, xx = np.mgrid[y : min(y + 256, side), :side]
        radius = np.hypot(yy - side // 2, xx - side // 2)
        if channels == 1:
            band = np.where(radius < 900, 255, np.where(radius < 1000, 128, 0))[..., None]
        else:
            inside = (radius < 950)[..., None]
            band = np.where(inside, [200, 120, 60], [40, 90, 160]) + ((xx * 7 + yy * 13) % 31)[..., None]
        output.write_tiles(0, side, y, min(y + 256, side), 0, 1, np.ascontiguousarray(band.astype(np.uint8)))
    output.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", default="1GiB")
    parser.add_argument("--colours", action="store_true", help="write the cut-out too")
    parser.add_argument("megapixels", type=int, nargs="+")
    arguments = parser.parse_args()
    heads = ('megapixels', 10), ('patches', 8), ('seconds', 8), ('expected MiB', 13), ('peak MiB', 9)
    print(*(f'{head:>{width}}' for head, width in heads), f'  limit {arguments.limit}')
    for megapixels in arguments.megapixels:
        side = round((megapixels * 1e6) ** 0.5)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder / "picture.tif", side, 3)
            write(folder / "trimap.tif", side, 1)
            command = [sys.executable, "-c", "import sys; from hdmatt.cli import main; sys.exit(main())", "matte"]
            command += [str(folder / n) for n in ("picture.tif", "trimap.tif")] + ["-o", str(folder / "alpha.tif")]
            command += ["--memory", arguments.limit, "--device", "cpu", "--json"]
            command += ["--cutout", str(folder / "cutout.tif")] if arguments.colours else []
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{megapixels:>10} {done.stderr.strip()}")
                continue
            found = json.loads(done.stdout)
            expected, peak = found["expected_memory"] / 2**20, found["peak_memory"] / 2**20
            print(f"{megapixels:>10} {found['patches']:>8} {found['seconds']:>8.1f} {expected:>13.0f} {peak:>9.0f}")


if __name__ == "__main__":
    main()
