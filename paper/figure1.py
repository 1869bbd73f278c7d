"""Fig. 1 of the paper: down-sampling (DS), plain cropping (C) and HDMatt side by side on a large picture.

    python -m paper.figure1 PICTURE TRIMAP --out f1
    python -m paper.figure1 PICTURE TRIMAP --truth ALPHA --also ViTMatte=vitmatte.png --crops 3 --out f1

Whole view on top; below it the places where the mattes differ most, at 100 %: from the truth, and without one from
HDMatt's. Writes figure1.png, figure1.json and the mattes.
"""

from pathlib import Path

from benchmarks._shared import command_of, parser, run
from paper._figures import add_options, also_of, compute, draw, write


def main(arguments: list[str]) -> int:
    options = parser(__doc__ or "", data=False)
    options.add_argument("picture", type=Path)
    options.add_argument("trimap", type=Path)
    options.add_argument("--truth", type=Path, help="the true matte, if there is one")
    options.add_argument("--also", action="append", default=[], help="NAME=FILE: a finished matte, one column more")
    add_options(options)
    given = options.parse_args(arguments)
    view = compute(given, given.picture, given.trimap, also_of(given.also), given.truth)
    write(given.out / "figure1", draw([view], given, per_row=3), [view], given, command_of(__file__, arguments))
    return 0


if __name__ == "__main__":
    run(main)
