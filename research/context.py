"""What the context module adds, by itself: rows A, B and C, K, sizes of patches, trained from the same kept features.

    python -m research.context --data PACK [--model hdmatt-s] [--groups 400] [--steps 800] [--seeds 2] [--test SET]
    python -m research.context --data PACK --row C --group 8 --topk 1 --topk 3 --topk 5 --topk 7
    python -m research.context --data PACK --row C --patch 320 --patch 480 --patch 640

The encoder of --model stays as it is; what it makes of groups of patches of synthetic photographs is computed once and
kept. Then each row's context module and the convolutions that read alpha at stride 8 from it (`decoder.at8`,
`decoder.coarse`, from the weights given) are trained on the same kept features, at a hundredth of a whole step's work.
The module is drawn anew but starts as a shortcut (paper.ablation.start_as_shortcut): no row starts with less than row
A. With weights whose extra channels know the patch alone (`ablation.py`, rows -alone) all that is known of the rest of
the picture comes through the module. Reported: mean absolute error (x 1000) of alpha at stride 8 at unknown pixels of
groups that were not trained on; of all patches, and of those that hold no sure foreground or no sure background, which
need the others most. `channels` is the alpha that the extra channels suggest, averaged: the network corrects it. With
--test the pictures of a test set are matted whole by each row, patches selecting their contexts among all as in use,
but alpha is read at stride 8, without the decoder's finer stages; the error is that of cells of 8 x 8 pixels, by their
unknown share.

"A, colours" asks what there is to fetch: no module, but each unknown cell is told how many cells of the three contexts
have its own colour, in three measures of alike, apart for those that are unknown, foreground and background.

Each row may be trained with several K (--topk, on groups of --group patches) and on several sizes of patches (--patch):
on each of them, and then on all, at random ("mixed"). Larger patches come in fewer groups, so that every row sees about
as many pixels; a row is judged on held-out groups of its own size (the first one given, if mixed). Test sets are matted
with the K, and with several sizes in the size, that it was trained with. Same pack, weights and options: same numbers.
"""

import argparse
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import _shared
from hdmatt.errors import InputError
from hdmatt.evaluation.evaluate import find_items
from hdmatt.evaluation.items import opened, read_bytes
from hdmatt.evaluation.items import require_path as present
from hdmatt.evaluation.testsets import Item
from hdmatt.inference.options import Options
from hdmatt.inference.strategies import matte_rows
from hdmatt.network.checkpoint import read_model
from hdmatt.network.config import REGION_BACKGROUND, REGION_FOREGROUND, REGION_UNKNOWN, STRIDE
from hdmatt.network.decoder import LINEAR_ALPHA, MARGIN, Decoded, Decoder, to_patch_size
from hdmatt.network.encoder import Body, Stem
from hdmatt.network.inputs import labels, network_input
from hdmatt.network.model import HDMatt
from hdmatt.samples.config import SampleConfig
from hdmatt.samples.packs import Assets, load_assets
from hdmatt.samples.sample import Sample, make_sample
from hdmatt.training.processes import process_switches
from hdmatt.training.step import group_contexts, schedule
from paper.ablation import start_as_shortcut

ROWS = {
    "A": {"cpc": "none"},
    "B": {"cpc": "nonlocal"},
    "C": {"cpc": "tgnl", "form": "strict"},
    "C, literal": {"cpc": "tgnl", "form": "literal"},
    "A, colours": {"cpc": "none"},
}
BY_COLOUR = "A, colours"
AT_ONCE = 4  # groups of a step, of the first size
PHOTOGRAPHS = SampleConfig(
    scales=(1.0,), group=4, procedural=0.35, merge=0.05, similar=0.12, faults=0.3, band=24.0, wide=0.3, blunt=0.45,
    tone=(1.6, 2.2), elsewhere=0.3,
)  # fmt: skip
SEED = 880_000  # of the pictures; no training uses it


@dataclass(frozen=True)
class Kept:
    """What is kept of the patches of some groups, all at stride 8."""

    deep: Tensor  # B C h w, float16
    eighth: Tensor  # B C h w, float16
    colour: Tensor  # B 3 h w, mean of the cell, [0, 1]
    hinted: Tensor  # B 1 h w, the hinted alpha
    label: Tensor  # B h w
    truth: Tensor  # B 1 h w
    weight: Tensor  # B 1 h w, share of unknown pixels
    group: int = 4  # patches of a group
    at_once: int = AT_ONCE  # groups of a step

    @property
    def groups(self) -> int:
        return len(self.label) // self.group

    @property
    def held(self) -> int:
        """Groups, the first ones, that are not trained on."""
        return max(1, self.groups // 5)

    def of(self, groups: Sequence[int] | np.ndarray) -> "Kept":
        """These groups alone."""
        patches = torch.from_numpy(self.group * np.asarray(groups)[:, None] + np.arange(self.group)).flatten()
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: part[patches] for name, part in parts.items() if isinstance(part, Tensor)})

    def held_out(self) -> "Kept":
        return self.of(range(self.held))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="asset pack; repeatable")
    parser.add_argument("--model", default="hdmatt-s", help="name or safetensors file")
    parser.add_argument("--groups", type=int, default=400, help="groups of patches; a fifth is not trained on")
    parser.add_argument("--group", type=int, default=4, help="patches of a group, at least 2")
    parser.add_argument(
        "--topk",
        type=int,
        action="append",
        help="contexts of a patch (all others of its group; in tests as hdmatt matte); repeatable",
    )
    parser.add_argument("--patch", type=int, action="append", help="side of a patch (160); repeatable")
    parser.add_argument("--steps", type=int, default=800, help="of four groups, of larger patches fewer")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each row")
    parser.add_argument("--row", action="append", choices=list(ROWS), help="only this one; repeatable")
    parser.add_argument("--test", type=Path, action="append", default=[], help="folder of a test set; repeatable")
    given = parser.parse_args(arguments)
    sizes: list[int] = given.patch or [160]
    topks: list[int | None] = given.topk or [None]
    number = [fewer(given.groups, size, sizes[0]) for size in sizes]
    if min(number) < 5:
        parser.error(
            f"--groups {given.groups}: a step takes four and one is not trained on, so at least 5 of each size"
        )
    if given.group < 2:
        parser.error(f"--group {given.group}: contexts are the others of a group, so at least 2 are needed")
    if not all(size >= 64 and size % STRIDE == 0 for size in sizes):
        parser.error(f"--patch {sizes}: multiples of {STRIDE} from 64 on are needed")
    if not all(1 <= k < given.group for k in given.topk or []):
        parser.error(f"--topk {given.topk}: a patch of a group of {given.group} has 1 to {given.group - 1} contexts")
    tests = variants(find_items(given.test))
    with process_switches(torch.device("cpu"), seed=0):
        table = compared(given, tests, topks, sizes, number)
    print(_shared.markdown(["row", "all patches", "without sure F or B", *tests], table), end="")
    return 0


def compared(
    given: argparse.Namespace,
    tests: Mapping[str, Sequence[Item]],
    topks: list[int | None],
    sizes: list[int],
    number: list[int],
) -> list[list[str]]:
    """The rows of the table, each printed when it is known."""
    model = read_model(given.model)
    if not model.config.coarse:
        raise InputError(f"{given.model} has no alpha at stride 8", hint="Give weights of a network with `coarse`.")
    assets = load_assets(given.data)
    kept = {
        size: encoded(model, assets, n, size, group=given.group, at_once=fewer(AT_ONCE, size, sizes[0]))
        for n, size in zip(number, sizes, strict=True)
    }
    untrained = HDMatt(replace(model.config, cpc="none"))  # alpha at stride 8 starts as the hint
    table = [["channels", *said([*channels(kept[sizes[0]]), *tested(model, untrained, tests, Options())])]]
    table += [[f"channels, {size}", *said(channels(kept[size])), *["-"] * len(tests)] for size in sizes[1:]]
    for words, case in cases(given.row or list(ROWS), topks, sizes, given.seeds):
        torch.manual_seed(case.seed)
        row = HDMatt(replace(model.config, **ROWS[case.row]))
        by_colour = ByColour() if case.row == BY_COLOUR else None
        some = [kept[size] for size in case.sizes]
        found = trained(model, row, some, topk=case.topk, steps=given.steps, seed=case.seed, by_colour=by_colour)
        whole = ["-"] * len(tests) if by_colour else said(tested(model, row, tests, case.options(of=len(sizes))))
        table.append([words, *said(found), *whole])
        print(*table[-1], flush=True)
    return table


class Case(NamedTuple):
    """One training: what, with how many contexts (None: all others of a group), on which sizes of patches."""

    row: str
    topk: int | None
    sizes: tuple[int, ...]
    seed: int

    def options(self, *, of: int) -> Options:
        """As it is used: as `hdmatt matte` does, but for the K, and the size if there were several, of its training."""
        size = self.sizes[0]
        options = Options(patch=size, overlap=size // 5) if of > 1 else Options()
        return options if self.topk is None else replace(options, topk=self.topk)


def cases(
    rows: Sequence[str], topks: Sequence[int | None], sizes: Sequence[int], seeds: int
) -> Iterator[tuple[str, Case]]:
    """All of them, with their names; a row without contexts has no K."""
    used = [(size,) for size in sizes] + [tuple(sizes)] * (len(sizes) > 1)
    for row in rows:
        without = ROWS[row]["cpc"] == "none" and row != BY_COLOUR
        for topk, some, seed in product(topks[:1] if without else topks, used, range(seeds)):
            words = [row]
            if len(topks) > 1 and not without:
                words.append(f"K = {topk}")
            if len(sizes) > 1:
                words.append(str(some[0]) if len(some) == 1 else "mixed")
            yield ", ".join([*words, f"seed {seed}"]), Case(row, topk, some, seed)


def said(found: Sequence[float]) -> list[str]:
    return [f"{value:.1f}" for value in found]


def fewer(groups: int, size: int, first: int) -> int:
    """As many pixels as `groups` groups of patches of `first` pixels a side."""
    return max(1, round(groups * (first / size) ** 2))


def encoded(model: HDMatt, assets: Assets, groups: int, patch: int, *, group: int = 4, at_once: int = AT_ONCE) -> Kept:
    """The features of groups of patches of synthetic photographs."""
    found = []
    with torch.no_grad():
        for sample in drawn(assets, groups, patch, group):
            picture, trimap, around = (torch.from_numpy(a) for a in (sample.image, sample.trimap, sample.surroundings))
            inputs = network_input(picture.float() / 255, trimap)
            stem, body = model.encoder(inputs, around)
            unknown = (trimap == 128)[:, None].float()
            truth = torch.from_numpy(sample.alpha)[:, None].float() / 255
            hinted = F.avg_pool2d(stem.inputs[:, LINEAR_ALPHA : LINEAR_ALPHA + 1], STRIDE)
            colour, truth, unknown = (
                F.avg_pool2d(part, STRIDE) for part in (picture.permute(0, 3, 1, 2) / 255, truth, unknown)
            )
            found.append((body.deep.half(), body.eighth.half(), colour, hinted, labels(inputs), truth, unknown))
    return Kept(*map(torch.cat, zip(*found, strict=True)), group=group, at_once=at_once)


def drawn(assets: Assets, groups: int, patch: int, group: int) -> Iterator[Sample]:
    """One group of `patch` x `patch` pixels of each photograph."""
    config = replace(PHOTOGRAPHS, patch=patch, group=group)
    for index in range(groups):
        yield make_sample(assets, config, seed=SEED, index=index)


class ByColour(nn.Module):
    """A correction of alpha's logit from the cells of the contexts that have an unknown cell's colour."""

    def __init__(self) -> None:
        super().__init__()
        self.log_sharp = nn.Parameter(torch.tensor([20.0, 100.0, 500.0]).log())  # of squared distances, colours [0, 1]
        self.layers = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, batch: Kept, lists: Sequence[Sequence[int]]) -> Tensor:
        colour, label = batch.colour.flatten(2).transpose(1, 2), batch.label.flatten(1)
        hint, out = torch.logit(batch.hinted.clamp(MARGIN, 1 - MARGIN)).flatten(1), []
        for own, others in enumerate(lists):
            unknown = (label[own] == REGION_UNKNOWN).nonzero()[:, 0]
            there, regions = colour[others].flatten(0, 1), label[others].flatten()
            apart = torch.cdist(colour[own][unknown], there) ** 2
            alike = torch.exp(-self.log_sharp.exp()[:, None, None] * apart)
            shares = [(alike * (regions == r)).mean(2) for r in (REGION_UNKNOWN, REGION_FOREGROUND, REGION_BACKGROUND)]
            told = torch.cat([*(torch.log(share + 1e-4).T for share in shares), hint[own][unknown, None]], 1)
            out.append(told.new_zeros(label.shape[1], 1).index_copy(0, unknown, self.layers(told)))
        return torch.stack(out).transpose(1, 2).reshape_as(batch.truth)


def trained(
    given: HDMatt,
    row: HDMatt,
    kept: Sequence[Kept],
    *,
    steps: int,
    seed: int,
    topk: int | None = None,
    by_colour: ByColour | None = None,
) -> tuple[float, float]:
    """Errors of a row on the groups of the first size that are held out, after a training on the others of all sizes.

    Args:
        kept: Of each size of patches; a step takes one of them, at random.
        topk: Contexts of a patch; None: all others of its group.
    """
    row.decoder.load_state_dict(given.decoder.state_dict())
    learning = [row.cpc, row.decoder.at8, row.decoder.coarse, by_colour]
    parameters = [p for module in learning if module is not None for p in module.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=1e-4)
    start_as_shortcut(row.cpc)
    row.eval()
    if row.cpc.kind != "none":
        row.cpc.key_norm.train()  # the other norm stays as it is: the identity
    rng = np.random.default_rng(seed)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule(1e-3, step, steps=steps, warmup=50, floor=0.01)
        some = kept[int(rng.integers(len(kept)))] if len(kept) > 1 else kept[0]
        batch = some.of(rng.choice(np.arange(some.held, some.groups), some.at_once, replace=False))
        wrong = (read(row, batch, topk, by_colour) - batch.truth).abs() * batch.weight
        loss = wrong.sum() / batch.weight.sum().clamp(min=1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
    row.eval()
    judged = kept[0].held_out()
    with torch.no_grad():
        alpha = torch.cat([read(row, judged.of([group]), topk, by_colour) for group in range(judged.groups)])
    return errors(alpha, judged)


def read(row: HDMatt, batch: Kept, topk: int | None, by_colour: ByColour | None) -> Tensor:
    """Alpha at stride 8 of whole groups, each patch with `topk` others of its group as contexts."""
    deep = batch.deep.float()
    pool = row.cpc.contexts(deep, batch.label) if row.cpc.kind != "none" else []
    lists = group_contexts(batch.groups, batch.group, topk=batch.group - 1 if topk is None else topk, seed=(0,))
    selected = [[pool[i] for i in own] if pool else [] for own in lists]
    at8 = row.decoder.at8([row.cpc(deep, batch.label, selected), batch.eighth.float()])
    assert row.decoder.coarse is not None, "only a network with `coarse` has an alpha at stride 8"
    hinted = batch.hinted.clamp(MARGIN, 1 - MARGIN)
    correction = row.decoder.coarse(at8)
    if by_colour is not None:
        correction = correction + by_colour(batch, lists)
    return torch.sigmoid(torch.logit(hinted) + correction)


def variants(sets: Mapping[str, Sequence[Item]]) -> dict[str, list[Item]]:
    """The pictures of each test set and trimap, by a name for both."""
    found: dict[str, list[Item]] = {}
    for name, items in sets.items():
        for item in items:
            found.setdefault(" ".join(part for part in (name, item.variant) if part), []).append(item)
    return found


def tested(given: HDMatt, row: HDMatt, tests: Mapping[str, Sequence[Item]], options: Options) -> list[float]:
    """Mean over the pictures of each set: mean absolute error x 1000 of alpha at stride 8, where it is unknown."""
    row.encoder.load_state_dict(given.encoder.state_dict())
    row.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # so that no run copies it
    row.decoder.forward = functools.partial(coarse_alone, row.decoder)
    row.eval()
    return [1000 * float(np.mean([_at_stride(row, item, options) for item in items])) for items in tests.values()]


def coarse_alone(decoder: Decoder, stem: Stem, body: Body, deep: Tensor) -> Decoded:
    """The decoder's forward without the finer stages: `alpha` is the enlarged alpha at stride 8."""
    coarse = decoder.coarse_alpha(stem.inputs, decoder.at8([deep, body.eighth]))
    assert coarse is not None, "only a network with `coarse` has an alpha at stride 8"
    return Decoded(to_patch_size(coarse), deep, deep.new_empty(0), deep.new_empty(0), coarse)


def _at_stride(network: HDMatt, item: Item, options: Options) -> float:
    with opened(item) as (picture, trimap):
        job = matte_rows("hdmatt", picture, trimap, network, options)
        matte = np.concatenate([rows for _, rows in job.rows])
        marks = trimap.rows(0, trimap.info.height)
    truth = read_bytes(present(item.alpha)) / np.float32(255)
    matte, truth, unknown = (
        F.avg_pool2d(torch.from_numpy(map_)[None].float(), STRIDE) for map_ in (matte, truth, marks == 128)
    )
    return float(((matte - truth).abs() * unknown).sum() / unknown.sum())


def channels(kept: Kept) -> tuple[float, float]:
    """Errors of the hinted alpha on the held-out groups."""
    return errors(kept.held_out().hinted, kept.held_out())


def errors(alpha: Tensor, kept: Kept) -> tuple[float, float]:
    """Mean absolute error x 1000 at unknown pixels: of all patches, of those without sure foreground or background."""
    wrong, area = ((alpha - kept.truth).abs() * kept.weight).sum((1, 2, 3)), kept.weight.sum((1, 2, 3))
    lacking = torch.zeros_like(area, dtype=torch.bool)
    for region in (REGION_FOREGROUND, REGION_BACKGROUND):
        lacking |= ~(kept.label == region).any(2).any(1)
    return 1000 * float(wrong.sum() / area.sum()), 1000 * float(wrong[lacking].sum() / area[lacking].sum())


if __name__ == "__main__":
    _shared.run(main)
