import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training import make_pack

from hdmatt.checkpoint import save_model
from hdmatt.cpc import BACKGROUND, FOREGROUND, UNKNOWN
from hdmatt.model import HDMatt, ModelConfig

BENCHMARKS = str(Path(__file__).parent.parent / "benchmarks")


@pytest.fixture
def context(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import context

    yield context
    sys.modules.pop("context"), sys.modules.pop("_shared", None)


def kept(context, label, truth, weight):
    deep = torch.zeros(len(label), 1, 2, 2)
    hinted = torch.full((len(label), 1, 2, 2), 0.25)
    truths, weights = torch.full_like(hinted, truth), torch.full_like(hinted, weight)
    return context.Kept(deep, deep, deep, hinted, label, truths, weights)


def test_the_error_is_that_of_unknown_pixels_and_apart_for_patches_that_lack_a_side(context):
    whole = torch.tensor([[FOREGROUND, UNKNOWN], [UNKNOWN, BACKGROUND]])
    lacking = torch.tensor([[FOREGROUND, UNKNOWN], [UNKNOWN, UNKNOWN]])
    found = kept(context, torch.stack([whole, lacking]), 0.5, 1.0)
    alpha = torch.full_like(found.truth, 0.5)
    alpha[1] = 0.9  # wrong where background is nowhere sure
    assert context.errors(alpha, found) == pytest.approx((200, 400))
    found.weight[1] /= 3
    assert context.errors(alpha, found) == pytest.approx((100, 400))


def tiny(tmp_path):
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=4, hints=True, coarse=True, normed=True)).eval()
    save_model(model, tmp_path / "one.safetensors", half=False)
    return model, make_pack(tmp_path / "pack")


@pytest.mark.parametrize("row", ["B", "C, colours"])
def test_a_row_learns_from_what_was_kept(context, tmp_path, row):
    model, pack = tiny(tmp_path)
    found = context.encoded(model, context.load_assets([pack]), 4, 64)
    twice = context.Kept(*(torch.cat([part, part]) for part in found))  # judged on what it is trained on
    torch.manual_seed(0)
    network = HDMatt(replace(model.config, **context.ROWS[row]))
    untrained = context.errors(found.hinted, found)
    colours = context.ByColour() if row == "C, colours" else None
    error, _ = context.trained(model, network, twice, held=16, steps=150, seed=0, by_colour=colours)
    assert error < 0.98 * untrained[0]


def test_the_command_says_the_same_again(context, tmp_path, capsys):
    _, pack = tiny(tmp_path)
    given = ["--data", str(pack), "--model", str(tmp_path / "one.safetensors"), "--patch", "64"]

    def rows(steps):
        assert context.main([*given, "--groups", "6", "--steps", str(steps), "--seeds", "1"]) == 0
        lines = capsys.readouterr().out.split("| row |")[1].splitlines()[2:]
        return {cells[1].strip(): float(cells[2]) for cells in (line.split("|") for line in lines)}

    first = rows(2)
    assert list(first) == ["hints", *(f"{row}, seed 0" for row in context.ROWS)]
    assert rows(2) == first != rows(4)
