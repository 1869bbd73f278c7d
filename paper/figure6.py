"""Fig. 6 of the paper: several large pictures, one below the other; picture, trimap, DS, C and HDMatt in columns.

    python -m paper.figure6 --data hr-dev --limit 3 --out f6
    python -m paper.figure6 --data hr-dev --name HR05 --name HR27 --also ViTMatte=mattes/vitmatte --out f6

Below the columns of each picture the place where the mattes differ most, at 100 %. --also NAME=FOLDER adds a column of
finished mattes FOLDER/<picture>.png. The truth, where a set has one, is the last column.
Writes figure6.png, figure6.json and the mattes.
"""

from benchmarks._shared import command_of, items_of, parser, run
from hdmatt.errors import InputError
from hdmatt.evaluation.compose import Composition
from paper._figures import add_options, also_of, compute, draw, write


def main(arguments: list[str]) -> int:
    options = parser(__doc__ or "")
    options.add_argument("--name", action="append", help="a picture of the set; repeatable; default: all")
    options.add_argument("--also", action="append", default=[], help="NAME=FOLDER of finished mattes; one column more")
    add_options(options, crops=1)
    given = options.parse_args(arguments)
    items = {
        (dataset, item.name): item for dataset, some in reversed(items_of(given).items()) for item in reversed(some)
    }
    items = dict(reversed(items.items()))  # of several trimaps the first
    if given.name:
        if missing := set(given.name) - {name for _, name in items}:
            raise InputError(f"there is no picture {min(missing)!r}", hint="Look at --name, --data and --limit.")
        items = {key: item for key, item in items.items() if key[1] in given.name}
    views = []
    for (dataset, name), item in items.items():
        if isinstance(item.picture, Composition) or item.trimap is None:
            raise InputError(
                f"{name} is published in parts or without a trimap", hint="Compose the set first: docs/datasets.md."
            )
        also = {label: folder / f"{name}.png" for label, folder in also_of(given.also).items()}
        views.append(compute(given, item.picture, item.trimap, also, item.alpha, dataset=dataset))
    write(given.out / "figure6", draw(views, given, per_row=0), views, given, command_of(__file__, arguments))
    return 0


if __name__ == "__main__":
    run(main)
