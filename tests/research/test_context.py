from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from small_training import make_pack

from hdmatt.errors import InputError
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import REGION_BACKGROUND, REGION_FOREGROUND, REGION_UNKNOWN, ModelConfig
from hdmatt.network.model import HDMatt


@pytest.fixture
def context(script):
    return script("research.context")


def kept(context, label, truth, weight):
    deep = torch.zeros(len(label), 1, 2, 2)
    hinted = torch.full((len(label), 1, 2, 2), 0.25)
    truths, weights = torch.full_like(hinted, truth), torch.full_like(hinted, weight)
    return context.Kept(deep, deep, deep, hinted, label, truths, weights)


def test_the_error_is_that_of_unknown_pixels_and_apart_for_patches_that_lack_a_side(context):
    whole = torch.tensor([[REGION_FOREGROUND, REGION_UNKNOWN], [REGION_UNKNOWN, REGION_BACKGROUND]])
    lacking = torch.tensor([[REGION_FOREGROUND, REGION_UNKNOWN], [REGION_UNKNOWN, REGION_UNKNOWN]])
    found = kept(context, torch.stack([whole, lacking]), 0.5, 1.0)
    alpha = torch.full_like(found.truth, 0.5)
    alpha[1] = 0.9  # wrong where background is nowhere sure
    assert context.errors(alpha, found) == pytest.approx((200, 400))
    found.weight[1] /= 3
    assert context.errors(alpha, found) == pytest.approx((100, 400))


def tiny(tmp_path):
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=4, extra_channels=True, coarse=True, normed=True)).eval()
    save_model(model, tmp_path / "one.safetensors", half=False)
    return model, make_pack(tmp_path / "pack")


@pytest.mark.release
@pytest.mark.parametrize("row", ["B", "A, colours"])
def test_a_row_learns_from_what_was_kept(context, tmp_path, row):
    model, pack = tiny(tmp_path)
    found = context.encoded(model, context.load_assets([pack]), 4, 64)
    many = found.of([0, 0, 1, 2, 3])  # the first is judged, all others are trained on: on what it has seen
    judged = many.held_out()
    torch.manual_seed(0)
    network = HDMatt(replace(model.config, **context.ROWS[row]))
    untrained = context.errors(judged.hinted, judged)
    colours = context.ByColour() if row == "A, colours" else None
    error, _ = context.trained(model, network, [many], steps=150, seed=0, by_colour=colours)
    assert error < 0.98 * untrained[0]


@pytest.mark.release
def test_the_command_says_the_same_again(context, tmp_path, capsys):
    _, pack = tiny(tmp_path)
    given = ["--data", str(pack), "--model", str(tmp_path / "one.safetensors"), "--patch", "64"]

    def rows(steps):
        assert context.main([*given, "--groups", "6", "--steps", str(steps), "--seeds", "1"]) == 0
        lines = capsys.readouterr().out.split("| row |")[1].splitlines()[2:]
        return {cells[1].strip(): float(cells[2]) for cells in (line.split("|") for line in lines)}

    first = rows(2)
    assert list(first) == ["channels", *(f"{row}, seed 0" for row in context.ROWS)]
    assert rows(2) == first != rows(40)


def made_set(folder):
    """One picture of 96 x 64 pixels: foreground on the left, unknown in the middle, where alpha is 0.8."""
    alpha = np.full((64, 96), 204, np.uint8)
    alpha[:, :32], alpha[:, 64:] = 255, 0
    trimap = np.where(alpha == 204, 128, alpha).astype(np.uint8)
    picture = np.dstack([alpha // 2 + 60, 255 - alpha, alpha // 3])
    for name, pixels in (("image", picture), ("trimap", trimap), ("alpha", alpha)):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "one.png"), pixels)
    return folder


def test_the_error_on_a_test_set_is_that_of_its_unknown_cells(context, tmp_path, monkeypatch):
    tests = context.variants(context.find_items([made_set(tmp_path / "small")]))
    assert [(name, len(items)) for name, items in tests.items()] == [("small trimap", 1)]
    half = type("Job", (), {"rows": [(0, np.full((64, 96), 0.5, np.float32))]})
    monkeypatch.setattr(context, "matte_rows", lambda *_: half)
    model, _ = tiny(tmp_path)
    row = HDMatt(replace(model.config, cpc="none"))
    assert context.tested(model, row, tests, context.Options()) == pytest.approx([300], abs=0.01)


@pytest.mark.release
def test_an_untrained_row_gives_the_hint_and_a_trained_one_does_not(context, tmp_path, capsys):
    _, pack = tiny(tmp_path)
    given = ["--data", str(pack), "--model", str(tmp_path / "one.safetensors"), "--patch", "64", "--groups", "6"]
    given += ["--steps", "60", "--seeds", "1", "--row", "A", "--row", "A, colours"]
    given += ["--test", str(made_set(tmp_path / "small"))]
    assert context.main(given) == 0
    lines = [[cell.strip() for cell in line.split("|")] for line in capsys.readouterr().out.splitlines() if "|" in line]
    head, _, hints, a, colours = lines
    assert head[4] == "small trimap" and colours[4] == "-"  # which adds to no decoder
    assert 0 < float(hints[4]) < 1000 and float(a[4]) != float(hints[4])


def test_weights_without_alpha_at_stride_8_and_too_few_groups_are_refused(context, tmp_path, capsys):
    _, pack = tiny(tmp_path)
    save_model(HDMatt(ModelConfig(width=4)), tmp_path / "plain.safetensors", half=False)
    with pytest.raises(InputError, match="no alpha at stride 8"):
        context.main(["--data", str(pack), "--model", str(tmp_path / "plain.safetensors")])
    with pytest.raises(SystemExit) as stopped:
        context.main(["--data", str(pack), "--groups", "4"])
    assert stopped.value.code == 2 and "at least 5" in capsys.readouterr().err
    bad = {"--topk": ("4", "has 1 to 3 contexts"), "--group": ("1", "at least 2"), "--patch": ("60", "multiples of 8")}
    for name, (value, words) in bad.items():
        with pytest.raises(SystemExit) as stopped:
            context.main(["--data", str(pack), name, value])
        assert stopped.value.code == 2 and words in capsys.readouterr().err


def test_cases_have_each_k_and_each_size_once(context):
    found = dict(context.cases(["A", "C"], [1, 3], [64, 96], 1))
    assert list(found) == [
        "A, 64, seed 0", "A, 96, seed 0", "A, mixed, seed 0",
        "C, K = 1, 64, seed 0", "C, K = 1, 96, seed 0", "C, K = 1, mixed, seed 0",
        "C, K = 3, 64, seed 0", "C, K = 3, 96, seed 0", "C, K = 3, mixed, seed 0",
    ]  # fmt: skip
    options = [found[name].options(of=2) for name in ("C, K = 1, 96, seed 0", "C, K = 3, mixed, seed 0")]
    assert [(o.patch, o.overlap, o.topk) for o in options] == [(96, 19, 1), (64, 12, 3)]
    assert found["C, K = 1, 96, seed 0"].options(of=1) == replace(context.Options(), topk=1)


@pytest.mark.release
def test_larger_patches_come_in_fewer_groups_and_k_is_obeyed(context, tmp_path, monkeypatch):
    model, pack = tiny(tmp_path)
    assets = context.load_assets([pack])
    kept = [
        context.encoded(model, assets, context.fewer(20, size, 64), size, group=3, at_once=context.fewer(4, size, 64))
        for size in (64, 128)
    ]
    assert [(k.groups, k.held, k.at_once, k.label.shape[-1]) for k in kept] == [(20, 4, 4, 8), (5, 1, 1, 16)]
    seen, read = [], context.read
    monkeypatch.setattr(context, "read", lambda row, batch, k, by: seen.append((batch, k)) or read(row, batch, k, by))
    row = HDMatt(replace(model.config, cpc="tgnl"))
    context.trained(model, row, kept, steps=8, seed=0, topk=1)
    steps = {(batch.label.shape[-1], batch.groups, k) for batch, k in seen[:8]}
    assert steps == {(8, 4, 1), (16, 1, 1)}  # side in cells, groups of a step, K: both sizes came
    assert all(batch.label.shape[-1] == 8 for batch, _ in seen[8:])  # judged on the first
