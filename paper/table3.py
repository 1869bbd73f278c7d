"""Table 3 of the paper: the ablation, from whatever weights are there.

    python -m paper.table3 --data alphamatting-dev --weights A=a.safetensors --weights B=b.safetensors \\
        --weights C=c.safetensors --weights C-literal=cl.safetensors --out t3
    python -m paper.table3 --data alphamatting-dev --folder runs/ablation --out t3
    python -m paper.table3 --data alphamatting-dev --weights C=hdmatt-s --out t3

Keys of --weights: A (no context), B (plain non-local), C (trimap-guided, strict form), C-literal; C-480, C-640, C-MS
(trained on patches of 480, 640, mixed); C-K1, C-K5, C-K7, C-all (trained with that K); A-alone, B-alone, C-alone (the
extra channels know the patch alone, so that all else comes from the context patches). Rows that need only another
setting at test time fall back on C and are marked; rows whose weights are not there are listed as missing. A network
whose configuration is not what its key says is refused. Rows compare only where they had equal budgets: what the files
tell of their training stands below the tables. Writes table3.md and table3.json, and a folder of hdmatt eval for each
row.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks._shared import (
    best,
    command_of,
    facts_of,
    items_of,
    markdown,
    parser,
    run,
    score,
    settings_of,
    write_record,
    write_text,
)
from hdmatt.errors import InputError, plural
from hdmatt.evaluation.evaluate import Evaluation
from hdmatt.evaluation.summary import ScoreSummary
from hdmatt.inference.load import load_model
from hdmatt.network.checkpoint import load_card

ALL = 10**6  # more patches than any picture has


class Line(NamedTuple):
    """A row of the table: which weights, tested how."""

    model: str
    key: str
    patch: int
    topk: int
    fallback: str = ""  # weights that may stand in, as only the test differs

    def label(self, patch: int) -> str:
        """As the paper has it, for a base of `patch` pixels."""
        k = {0: "0", ALL: "all"}.get(self.topk, str(self.topk))
        return f"{self.model} ({'-' if self.key[0] == 'A' else k}, {self.side(patch)})"

    def side(self, patch: int) -> int:
        """Side of the patches, when the smallest of the table have `patch` instead of 320."""
        return round(self.patch * patch / 320 / 8) * 8


LINES = (
    Line("Model A", "A", 320, 3),
    Line("Model B", "B", 320, 3),
    Line("Model C", "C", 320, 3),
    Line("Model C, literal", "C-literal", 320, 3),
    Line("Model C", "C-480", 480, 3, "C"),
    Line("Model C", "C-640", 640, 3, "C"),
    Line("Model C, mixed sizes", "C-MS", 320, 3),  # mixed sizes are a matter of training; tested on 320
    Line("Model C", "C-K0", 320, 0, "C"),
    Line("Model C", "C-K1", 320, 1, "C"),
    Line("Model C", "C-K5", 320, 5, "C"),
    Line("Model C", "C-K7", 320, 7, "C"),
    Line("Model C", "C-all", 320, ALL, "C"),
    Line("Model A, patch alone", "A-alone", 320, 3),
    Line("Model B, patch alone", "B-alone", 320, 3),
    Line("Model C, patch alone", "C-alone", 320, 3),
)
KEYS = tuple(line.key for line in LINES)
CPC = {"A": "none", "B": "nonlocal", "C": "tgnl"}
MEASURES = {
    "sad": ("SAD", 1.0, 2),
    "mse": ("MSE x 1000", 1000.0, 1),
    "grad": ("Grad", 1.0, 1),
    "conn": ("Conn", 1.0, 1),
}


def weights_of(given: list[str]) -> dict[str, str]:
    """KEY=FILE texts as a dictionary; each network is what its key says."""
    found: dict[str, str] = {}
    for text in given:
        key, _, path = text.partition("=")
        if key not in KEYS or not path:
            raise InputError(f"--weights {text} is not KEY=FILE", hint=f"KEY is one of: {', '.join(KEYS)}.")
        config = load_model(path).config
        wanted, form = CPC[key[0]], "literal" if key == "C-literal" else "strict"
        if config.surroundings == key.endswith("-alone"):
            raise InputError(
                f"{path} is a network {'with' if config.surroundings else 'without'} channels of the whole picture",
                hint="Rows called -alone are for networks with surroundings=false, others for those with true.",
            )
        if config.cpc != wanted or (config.cpc == "tgnl" and config.form != form):
            raise InputError(
                f"{path} is a network with cpc {config.cpc}, form {config.form}, but {key} stands for cpc {wanted}"
                + (f", form {form}" if wanted == "tgnl" else ""),
                hint="Give it the key of what it is: A none, B nonlocal, C tgnl strict, C-literal tgnl literal.",
            )
        found[key] = path
    return found


def in_folder(folder: Path) -> list[str]:
    """KEY=FILE of the weights that a folder holds, as paper/ablation.py lands them."""
    found = [f"{key}={folder / key}.safetensors" for key in KEYS if (folder / f"{key}.safetensors").is_file()]
    if not found:
        raise InputError(f"{folder} holds no weights of the ablation", hint="Files are called KEY.safetensors, like A.")
    return found


def lines_there(weights: dict[str, str]) -> tuple[list[tuple[Line, str]], list[Line]]:
    """Rows that can be computed, with the key of the weights they use; and those that cannot."""
    there: list[tuple[Line, str]] = []
    missing: list[Line] = []
    for line in LINES:
        key = line.key if line.key in weights else line.fallback
        if key in weights:
            there.append((line, key))
        else:
            missing.append(line)
    return there, missing


def table(scored: list[tuple[Line, str, list[ScoreSummary]]], missing: list[Line], patch: int) -> str:
    """The paper's table for each data set and trimap."""
    text = "# Table 3: ablation\n\nIn brackets: context patches K, side of the patches.\n"
    places = dict.fromkeys((s.dataset, s.variant) for _, _, some in scored for s in some)
    for place in places:
        here = [(line, key, next(s for s in some if (s.dataset, s.variant) == place)) for line, key, some in scored]
        columns = []
        for measure, (_, scale, digits) in MEASURES.items():
            values = [getattr(s, measure) for _, _, s in here]
            shown = ["-" if v is None else f"{v * scale:.{digits}f}" for v in values]
            columns.append(best([None if s.failed else v for v, (_, _, s) in zip(values, here, strict=True)], shown))
        rows = [
            [line.label(patch) + (" *" if key != line.key else "") + (f", {len(s.failed)} failed" if s.failed else "")]
            + [column[i] for column in columns]
            for i, (line, key, s) in enumerate(here)
        ]
        text += f"\n## {' '.join(part for part in place if part)}, {plural(here[0][2].pictures, 'picture')}\n\n"
        text += markdown(["Models", *(title for title, _, _ in MEASURES.values())], rows)
    if any(key != line.key for line, key, _ in scored):
        base = next(line for line in LINES if line.key == "C").label(patch)
        text += f"\n\\* the weights of {base}, only tested so; the paper trained a network for each K.\n"
    if missing:
        text += "\nMissing, for want of weights: " + "; ".join(
            f"{line.label(patch)} (--weights {line.key}=)" for line in missing
        )
        text += ".\n"
    return text


def renamed_card(card: dict[str, str]) -> dict[str, str]:
    """The card of weights, with the names of this version."""
    card = dict(card)
    if "crops" in card:
        card["scales"] = card.pop("crops")
    if "lean" in card:
        card["foreground_weight"] = str(1 + float(card.pop("lean")))
    return card


# of a file's card, see config.card_of
BUDGET = ("steps", "patches", "part", "foreground_weight", "seed", "scales", "pictures")


def budgets(weights: dict[str, str]) -> str:
    """What each row's weights cost, as their files tell, and a warning where that is not the same for all."""
    cards = {key: renamed_card(load_card(path)) for key, path in weights.items()}
    rows = [[key, *(card.get(name, "not told") for name in BUDGET)] for key, card in cards.items()]
    equal = ("steps", "patches", "part", "foreground_weight", "pictures")
    told = {tuple(card.get(name) for name in equal) for card in cards.values()}
    text = "\n## Trained\n\n" + markdown(["weights", *BUDGET], rows) + "\n"
    if len(told) > 1 or None in next(iter(told), ()):
        text += "\n**Not equal budgets**, or not known to be: a row may be ahead for its training alone.\n"
    return text


def main(arguments: list[str]) -> int:
    options = parser(__doc__ or "")
    options.add_argument("--weights", action="append", default=[], help="KEY=FILE, repeatable")
    options.add_argument("--folder", type=Path, help="folder of KEY.safetensors (paper/ablation.py land)")
    options.add_argument("--rows", help="only these keys, with commas between")
    given = options.parse_args(arguments)
    weights = weights_of([*(in_folder(given.folder) if given.folder else []), *given.weights])
    there, missing = lines_there(weights)
    if given.rows:
        wanted = given.rows.split(",")
        if unknown := [key for key in wanted if key not in KEYS]:
            raise InputError(f"there is no row {unknown[0]!r}", hint=f"Choose of: {', '.join(KEYS)}.")
        there = [(line, key) for line, key in there if line.key in wanted]
        missing = [line for line in missing if line.key in wanted]
    if not there:
        raise InputError("none of the rows has its weights", hint="Give --weights KEY=FILE or --folder.")
    items, command = items_of(given), command_of(__file__, arguments)
    scored: list[tuple[Line, str, list[ScoreSummary]]] = []
    results: list[Evaluation] = []
    for line, key in there:
        settings = settings_of(
            given,
            patch=line.side(given.patch),
            topk=line.topk,
            candidates=ALL if line.topk == ALL else given.candidates,
        )
        settings = replace(settings, network=replace(settings.network, model=weights[key]))
        results.append(score(items, ["hdmatt"], given.out / "rows" / line.key, settings, command))
        scored.append((line, key, results[-1].summaries))
    used = {key: weights[key] for _, key in there}
    write_text(given.out / "table3.md", table(scored, missing, given.patch) + budgets(used))
    rows = [
        {
            "label": line.label(given.patch),
            "key": line.key,
            "weights": weights[key],
            "patch": line.side(given.patch),
            "topk": line.topk,
            "test_only": key != line.key,
            "folder": (Path("rows") / line.key).as_posix(),
        }
        for line, key, _ in scored
    ]
    summaries = [one for _, _, some in scored for one in some]
    write_record(
        given.out / "table3.json", facts_of(results), summaries, rows=rows, missing=[one.key for one in missing]
    )
    return 1 if any(row.error for result in results for row in result.rows) else 0


if __name__ == "__main__":
    run(main)
