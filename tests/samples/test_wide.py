"""Samples whose unknown parts are wide, and the canonical mixing."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hdmatt.samples.composite import mixed
from hdmatt.samples.config import SampleConfig
from hdmatt.samples.drawn.families import FAMILIES, HOLLOW, draw_family
from hdmatt.samples.packs import Assets
from hdmatt.samples.sample import make_sample
from hdmatt.samples.wide import PictureLayers, attached, composite_layers, enlarged_layers, widened_unknown

CONFIG = SampleConfig(patch=64, procedural=0.0, faults=0.0, drawn=(96,), merge=0.0, similar=0.0)


@pytest.fixture(scope="module")
def assets():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :200]
    alpha = np.clip((80 - np.hypot(y - 100, x - 100)) / 12, 0, 1) * 255
    colours = np.full((200, 200, 3), (200, 40, 40))
    return Assets([np.dstack([colours, alpha]).astype(np.uint8)], [rng.integers(0, 255, (150, 180, 3), np.uint8)])


@pytest.mark.parametrize("tone", [1.0, 1.5, 2.2])
def test_every_picture_mixes_with_the_canonical_exponent(assets, tone):
    config = replace(CONFIG, tone=(tone, tone), scales=(1.0,))
    plain = make_sample(assets, config, seed=0, index=1)
    sample = make_sample(assets, replace(config, canonical=2.2), seed=0, index=1)
    np.testing.assert_array_equal(sample.alpha, plain.alpha)
    np.testing.assert_array_equal(sample.trimap, plain.trimap)
    exact = [mixed(f, a, b, 2.2) for f, a, b in zip(sample.foreground, sample.alpha, sample.background, strict=True)]
    # 3: the picture was rounded before it was encoded anew, and F and B after
    bright = sample.image > 60  # dark numbers grow by more than their rounding
    assert np.abs(sample.image.astype(int) - np.stack(exact))[bright].max() <= 3
    again = 255 * (plain.image / 255) ** (tone / 2.2)
    assert np.abs(sample.image - again).max() <= 1


def test_what_is_hollow_is_unknown_as_a_whole(assets):
    config = replace(CONFIG, hollow=1.0, scales=(2.0,))
    for index in range(3):
        sample = make_sample(assets, config, seed=0, index=index)
        assert (sample.trimap != 255).all() and (sample.alpha[sample.trimap == 0] <= 5).all()


def test_an_attached_thing_is_unknown_and_has_colours_of_its_own(assets):
    disc = assets.foregrounds[0]
    layer = np.ascontiguousarray(disc[..., :3]), np.ascontiguousarray(disc[..., 3])
    beside = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        (colours, alpha), thing = attached(assets, rng, layer)
        assert (alpha >= layer[1]).all() and (alpha[thing == 1] > 0).all()
        trimap = np.where(alpha == 255, 255, np.where(alpha == 0, 0, 128)).astype(np.uint8)
        marked = widened_unknown(trimap, thing, rng)
        assert marked is trimap or (marked[thing == 1] == 128).all()
        outside = (thing == 1) & (layer[1] == 0)
        if outside.sum() > 500:
            beside += 1
            assert colours[outside].astype(int).std(0).min() > 5  # a photograph, and no plain red
    assert beside >= 3


def test_nothing_is_made_unknown_where_nothing_would_be_left():
    trimap = np.zeros((20, 20), np.uint8)
    assert widened_unknown(trimap, np.ones((20, 20), np.uint8), np.random.default_rng(0)) is trimap
    assert widened_unknown(trimap, None, np.random.default_rng(0)) is trimap


def test_an_enlarged_part_is_the_same_thing_with_wider_edges(assets):
    disc = assets.foregrounds[0]
    layers = PictureLayers(disc[..., :3], disc[..., 3], np.zeros((200, 200, 3), np.uint8), None)
    large = enlarged_layers(layers, np.random.default_rng(0))

    def steepest(alpha):
        return max(np.abs(np.diff(alpha.astype(int), axis=axis)).max() for axis in (0, 1))

    assert large.alpha.shape == (200, 200) and {int(large.alpha.min()), int(large.alpha.max())} == {0, 255}
    assert steepest(large.alpha) < 0.7 * steepest(disc[..., 3])
    assert (large.colours == (200, 40, 40)).all()


def test_the_last_patch_of_a_group_is_the_whole_composite_whatever_the_others_are(assets):
    config = replace(CONFIG, whole_picture=True, group=3, elsewhere=0.0)
    near, far = (make_sample(assets, replace(config, scales=(scale,)), seed=0, index=2) for scale in (1.0, 2.0))
    np.testing.assert_array_equal(near.alpha[-1], far.alpha[-1])
    np.testing.assert_array_equal(near.image[-1], far.image[-1])
    _, alpha, _, _ = composite_layers(assets, config, np.random.default_rng([0, 2]))
    small = cv2.resize(alpha, (64, 64), interpolation=cv2.INTER_AREA)
    assert min(np.abs(small.astype(int) - one).max() for one in (near.alpha[-1], near.alpha[-1][:, ::-1])) <= 1
    assert not np.array_equal(near.alpha[0], far.alpha[0])


def test_a_patch_of_a_scale_between_shows_more_than_the_others_and_less_than_the_whole(assets):
    config = replace(CONFIG, whole_picture=True, group=3, elsewhere=0.0, scales=(1.0,))
    plain = make_sample(assets, config, seed=0, index=2)
    sample = make_sample(assets, replace(config, between=1.0), seed=0, index=2)
    for i in (0, 2):
        np.testing.assert_array_equal(sample.image[i], plain.image[i])
    assert not np.array_equal(sample.image[1], plain.image[1])
    exact = [mixed(f, a, b, 1.0) for f, a, b in zip(sample.foreground, sample.alpha, sample.background, strict=True)]
    np.testing.assert_array_equal(sample.image, np.stack(exact))
    _, alpha, _, _ = composite_layers(assets, config, np.random.default_rng([0, 2]))
    side = round(np.sqrt(64 * min(alpha.shape)))
    assert 64 < side < min(alpha.shape)
    errors = []  # the patch is somewhere in the composite, shrunk by the scale between
    small = cv2.resize(alpha, None, fx=64 / side, fy=64 / side, interpolation=cv2.INTER_AREA)
    for patch in (sample.alpha[1], sample.alpha[1][:, ::-1]):
        errors.append(cv2.matchTemplate(small, np.ascontiguousarray(patch), cv2.TM_SQDIFF).min() / 64**2)
    assert min(errors) < 60


def test_chances_of_0_draw_nothing(assets):
    one = make_sample(assets, CONFIG, seed=1, index=4)
    other = make_sample(assets, replace(CONFIG, hollow=0.0, attached=0.0, enlarged=0.0, canonical=0.0), seed=1, index=4)
    np.testing.assert_array_equal(one.image, other.image)


def test_spines_are_drawn_for_hollow_things_alone():
    rgba = draw_family("spines", np.random.default_rng(0), 128, None)
    assert rgba.shape == (128, 128, 4) and rgba[..., 3].max() > 230 and (rgba[..., 3] == 0).mean() > 0.05
    assert "spines" not in FAMILIES and set(HOLLOW) - {"spines"} <= set(FAMILIES)
