from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from small_training import SHORT, cpu, curve, make_pack, train

from hdmatt.errors import InputError
from hdmatt.evaluation.compose import Composition, read_composition
from hdmatt.evaluation.items import opened, write_matte
from hdmatt.evaluation.metrics import score
from hdmatt.evaluation.scores import score_file
from hdmatt.evaluation.testsets import Item, discover
from hdmatt.inference.options import Options
from hdmatt.inference.strategies import matte_rows
from hdmatt.network.checkpoint import load_state, read_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.overview.known_colours import mirrored
from hdmatt.samples.packs import load_assets
from hdmatt.samples.sample import make_sample
from hdmatt.training import validate
from hdmatt.training.batches import batches, groups_of
from hdmatt.training.curves import Curves, sample_sheet
from hdmatt.training.validate import HELD_OUT, Folders, HeldOut


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return make_pack(tmp_path_factory.mktemp("data") / "pack")


@pytest.fixture
def test_set(tmp_path):
    folder = tmp_path / "set"
    for name in ("image", "trimap", "alpha"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(3)
    alpha = np.zeros((80, 100), np.uint8)
    alpha[20:60, 30:70] = 255
    trimap = alpha.copy()
    trimap[15:65, 25:75] = 128
    trimap[30:50, 40:60] = 255
    cv2.imwrite(str(folder / "image/one.png"), rng.integers(0, 255, (80, 100, 3)).astype(np.uint8))
    cv2.imwrite(str(folder / "trimap/one.png"), trimap)
    cv2.imwrite(str(folder / "alpha/one.png"), alpha)
    return folder


class Grey(HDMatt):
    """Says one half everywhere."""

    def forward(self, *args, **names):
        return super().forward(*args, **names)._replace(alpha=torch.full((2, 1, 64, 64), 0.5))


def test_held_out_samples_are_scored_by_the_four_metrics_where_they_are_unknown(pack):
    assets = load_assets([pack])
    found = HeldOut(assets, replace(SHORT, held_out=2))(Grey(ModelConfig(width=4)).eval())
    expected = []
    for index in range(2):
        sample = make_sample(assets, SHORT.sample, seed=HELD_OUT, index=index)
        for trimap, alpha in zip(sample.trimap, sample.alpha, strict=True):
            if (trimap == 128).any():
                expected.append(score(np.where(trimap == 128, 128, trimap).astype(np.uint8), alpha, trimap))
    assert found.pictures == len(expected) > 0
    for metric in ("sad", "mse", "grad", "conn"):
        assert getattr(found, metric) == pytest.approx(np.mean([getattr(one, metric) for one in expected]))
    assert found.row(7)["mse_x1000"] == round(1000 * found.mse, 4)


@pytest.mark.release
def test_validation_leaves_scores_a_sheet_and_the_best_weights_and_changes_nothing_else(pack, test_set, tmp_path):
    config = replace(SHORT, validate_every=2)
    train(config, [pack], tmp_path / "seen", fabric=cpu(), validate=[test_set])
    train(SHORT, [pack], tmp_path / "blind", fabric=cpu())
    seen, numbers = load_state(tmp_path / "seen/state.safetensors")
    blind, _ = load_state(tmp_path / "blind/state.safetensors")
    assert [n for n in blind if not torch.equal(seen[n], blind[n])] == []
    rows = curve(tmp_path / "seen", "validation")
    sets = ("held-out", "set trimap")
    assert [(row["step"], row["set"]) for row in rows] == [(step, name) for step in (2, 4) for name in sets]
    held_out = [row["sad"] for row in rows if row["set"] == "held-out"]
    assert numbers["best"] == pytest.approx(min(held_out), abs=1e-4)
    best = read_model(tmp_path / "seen/best.safetensors")
    assert best.config == config.model
    previews = sorted(p.name for p in (tmp_path / "seen/previews").iterdir())
    assert previews == [f"{step:07d}-{name}.jpg" for step in (2, 4) for name in ("held-out", "set-trimap")]
    assert cv2.imread(str(tmp_path / "seen/previews" / previews[1])).shape == (18 + 192, 5 * 192, 3)


@pytest.mark.release
def test_a_test_set_is_scored_at_the_end_of_a_run_that_has_no_other_validation(pack, test_set, tmp_path):
    train(SHORT, [pack], tmp_path / "run", fabric=cpu(), validate=[test_set])
    assert [(row["step"], row["set"]) for row in curve(tmp_path / "run", "validation")] == [(4, "set trimap")]
    train(SHORT, [pack], tmp_path / "blind", fabric=cpu())
    assert not (tmp_path / "blind/validation.jsonl").exists()


def test_a_test_set_gets_as_many_contexts_as_hdmatt_matte_gives(test_set, monkeypatch):
    seen = []

    def rows(method, picture, trimap, model, options):
        seen.append(options)
        return matte_rows(method, picture, trimap, model, options)

    monkeypatch.setattr(validate, "matte_rows", rows)
    Folders([test_set], SHORT)(HDMatt(SHORT.model).eval())
    assert [options.topk for options in seen] == [Options().topk]


def test_a_folder_without_truth_is_refused(test_set):
    (test_set / "alpha/one.png").unlink()
    (test_set / "alpha").rmdir()
    with pytest.raises(InputError, match="no truth"):
        Folders([test_set], SHORT)


def test_a_test_set_is_read_and_scored_as_hdmatt_eval_does(test_set, tmp_path):
    """Sixteen bits are rounded, and a truth with three equal channels is grey."""
    truth = cv2.imread(str(test_set / "alpha/one.png"), cv2.IMREAD_GRAYSCALE).astype(np.uint16) * 257
    truth[20:60, 25:45] = np.linspace(0, 65535, 20)
    cv2.imwrite(str(test_set / "alpha/one.png"), np.dstack([truth] * 3))
    model = HDMatt(SHORT.model).eval()
    (scored,) = Folders([test_set], SHORT)(model)
    (item,) = discover(test_set)
    options = Options(patch=SHORT.model.patch, overlap=SHORT.model.patch // 5)
    with opened(item) as (picture, trimap):
        job = matte_rows("hdmatt", picture, trimap, model, options)
        write_matte(tmp_path / "matte.png", trimap.info.height, trimap.info.width, (rows for _, rows in job.rows))
    wanted = score_file(tmp_path / "matte.png", item, None)
    assert {name: getattr(scored, name) for name in ("sad", "mse", "grad", "conn")} == {
        name: wanted[name] for name in ("sad", "mse", "grad", "conn")
    }


def test_a_set_that_is_published_in_parts_is_composed_and_scored(tmp_path):
    for name in ("fg", "alpha", "bg"):
        (tmp_path / "parts" / name).mkdir(parents=True)
    rng = np.random.default_rng(3)
    alpha = np.clip((30 - np.hypot(*np.mgrid[-40:40, -50:50])) * 20, 0, 255).astype(np.uint8)
    trimap = np.where(alpha == 255, 255, np.where(alpha == 0, 0, 128)).astype(np.uint8)
    parts = Composition(*(tmp_path / "parts" / f"{name}/one.png" for name in ("fg", "alpha", "bg")))
    for path, pixels in ((parts.foreground, rng.integers(0, 255, (80, 100, 3))), (parts.alpha, alpha),
                         (parts.background, rng.integers(0, 255, (90, 120, 3)))):  # fmt: skip
        cv2.imwrite(str(path), pixels.astype(np.uint8))
    cv2.imwrite(str(tmp_path / "trimap.png"), trimap)
    folders = Folders([], SHORT)
    folders.sets["parts"] = [Item("one", parts, tmp_path / "trimap.png", parts.alpha, "")]
    (scored,) = folders(HDMatt(SHORT.model).eval())
    (line,) = scored.lines
    np.testing.assert_array_equal(line["picture"], read_composition(parts))


def test_two_sets_of_one_name_are_refused(test_set, tmp_path):
    other = tmp_path / "elsewhere" / test_set.name
    other.mkdir(parents=True)
    with pytest.raises(InputError, match="two test sets are called 'set'"):
        Folders([test_set, other], SHORT)


@pytest.mark.release
def test_a_test_set_that_cannot_be_read_costs_no_step(pack, test_set, tmp_path):
    """The checkpoint is written before the pictures are looked at."""
    next((test_set / "image").iterdir()).write_bytes(b"not a picture")
    with pytest.raises(InputError, match="not a picture that we can read"):
        train(replace(SHORT, steps=2, validate_every=2), [pack], tmp_path / "run", validate=[test_set], fabric=cpu())
    assert load_state(tmp_path / "run/state.safetensors")[1]["step"] == 2


def test_curves_drop_what_a_killed_run_wrote_too_much(tmp_path):
    curves = Curves(tmp_path, step=0, tensorboard=False)
    for row in ({"step": 2, "loss": 0.5}, {"step": 4, "loss": 0.4, "skipped": 1}, {"step": 6, "loss": 0.3}):
        curves.training(row)
    Curves(tmp_path, step=4, tensorboard=False)
    assert curve(tmp_path) == [{"step": 2, "loss": 0.5}, {"step": 4, "loss": 0.4, "skipped": 1}]


def test_tensorboard_gets_the_numbers_of_the_curve(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = Curves(tmp_path, step=0, tensorboard=True)
    curves.training({"step": 5, "loss": 0.25})
    curves.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (scalar,) = events.Scalars("train/loss")
    assert (scalar.step, scalar.value) == (5, 0.25)


def test_a_sheet_shows_the_error_in_the_unknown_area_only():
    black, half = np.zeros((8, 8), np.uint8), np.full((8, 8), 64, np.uint8)
    trimap = np.zeros((8, 8), np.uint8)
    trimap[:, 4:] = 128
    line = {"picture": np.zeros((8, 8, 3), np.uint8), "trimap": trimap, "truth": black, "matte": half}
    error = sample_sheet([line], caption="")[18:, 4 * 192 :, 0]
    assert (error[:, :96] == 0).all() and (error[:, 96:] == 128).all()


def test_a_composite_gives_a_group_to_each_of_several_steps(pack):
    assets = load_assets([pack])
    once = groups_of(assets, SHORT, 3)
    twice = groups_of(assets, replace(SHORT, steps_per_composite=2), 3)
    assert once["image"].shape == (2, 64, 64, 3) and twice["image"].shape == (4, 64, 64, 3)
    assert twice["surroundings"].shape == (4, *once["surroundings"].shape[1:])
    again = groups_of(assets, replace(SHORT, steps_per_composite=2), 3)
    assert all((twice[n] == again[n]).all() for n in twice)
    known = twice["trimap"] != 128
    assert (np.abs(twice["alpha"].astype(int) - twice["trimap"])[known] <= 5).all()  # mirrored alike


@pytest.mark.release
def test_a_step_has_a_group_of_every_composite_and_batches_go_on_anywhere(pack):
    assets = load_assets([pack])
    config = replace(SHORT, groups=2, steps_per_composite=4, steps=6)  # a group of each of two composites a step
    composites = [groups_of(assets, config, index)["image"].reshape(4, 2, 64, 64, 3) for index in range(4)]
    steps = [batch["image"] for batch in batches(assets, config, first=0)]
    assert len(steps) == 6
    for step, image in enumerate(steps):
        first = 2 * (step // 4)
        wanted = np.concatenate([composites[first][step % 4], composites[first + 1][step % 4]])
        np.testing.assert_array_equal(image, wanted)
    later = [batch["image"] for batch in batches(assets, config, first=3)]
    assert len(later) == 3 and all(torch.equal(a, b) for a, b in zip(later, steps[3:], strict=True))


@pytest.mark.release
def test_a_turned_group_knows_the_same_of_the_whole_picture(pack):
    """A turned patch keeps each place's carried alpha with its pixels, also inside of the field's cells."""
    assets, turned = load_assets([pack]), 0
    config = replace(SHORT, steps_per_composite=3)
    for index in range(4):
        plain = make_sample(assets, replace(SHORT.sample, group=6), seed=config.seed, index=index)
        group = groups_of(assets, config, index)
        for i in range(6):
            if (group["alpha"][i] == plain.alpha[i]).all() and (group["image"][i] == plain.image[i]).all():
                np.testing.assert_array_equal(group["surroundings"][i], plain.surroundings[i])
                continue
            turned += 1
            np.testing.assert_array_equal(group["image"][i], plain.image[i][:, ::-1])
            np.testing.assert_array_equal(group["surroundings"][i], mirrored(plain.surroundings[i]))
    assert 4 <= turned <= 20
