"""The paper's samples: the foreground as it is, each patch with its own scale, flip and angle."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hdmatt.samples.composite import Composite
from hdmatt.samples.config import SampleConfig
from hdmatt.samples.layers import joined_layers
from hdmatt.samples.packs import Assets
from hdmatt.samples.sample import make_sample

PLAIN = SampleConfig(
    patch=64, group=12, layout="whole", alike=False, procedural=0.0, merge=0.0, similar=0.0, defocus=0.0, wall=0.0,
    faults=0.0, wide=0.0, blunt=0.0, elsewhere=0.0, band=4.0,
)  # fmt: skip


def pack(alpha):
    """One foreground whose red is y and whose green is x, before a photograph that is smaller than it."""
    height, width = alpha.shape
    y, x = np.mgrid[:height, :width]
    rgba = np.dstack([y, x, np.full_like(x, 90), alpha]).astype(np.uint8)
    return Assets([rgba], [np.random.default_rng(0).integers(0, 255, (150, 100, 3), np.uint8)])


def edge(height=240, width=200):
    """Foreground on the left, background on the right, a soft upright edge between."""
    return np.broadcast_to(np.clip((width / 2 - np.arange(width)) * 20 + 128, 0, 255), (height, width))


def test_a_whole_composite_is_the_foreground_in_its_own_size_and_a_patch_is_a_part_of_it():
    assets = pack(edge())
    sample = make_sample(assets, replace(PLAIN, scales=(1.0,)), seed=0, index=0)
    flips = set()
    for colours, alpha in zip(sample.foreground, sample.alpha, strict=True):
        flipped = colours[0, 0, 1] > colours[0, -1, 1]
        flips.add(bool(flipped))
        upright, marks = (colours[:, ::-1], alpha[:, ::-1]) if flipped else (colours, alpha)
        y, x = int(upright[0, 0, 0]), int(upright[0, 0, 1])
        np.testing.assert_array_equal(upright, assets.foregrounds[0][y : y + 64, x : x + 64, :3])
        np.testing.assert_array_equal(marks, assets.foregrounds[0][y : y + 64, x : x + 64, 3])
    assert flips == {False, True}


def test_each_patch_has_its_own_scale_of_those_there_are():
    found = []
    for index in range(3):
        sample = make_sample(pack(edge()), PLAIN, seed=0, index=index)
        found += [
            np.ptp(colours[:, 0, 0].astype(int)) / 63 for colours in sample.foreground
        ]  # composite's pixels to one
    scales = np.array([1.0, 1.5, 2.0])
    nearest = np.abs(np.subtract.outer(found, scales)).argmin(1)
    # 0.03: means of areas are rounded to whole numbers at both ends
    np.testing.assert_allclose(found, scales[nearest], atol=0.03)
    assert {*nearest} == {0, 1, 2}
    alike = make_sample(pack(edge()), replace(PLAIN, alike=True), seed=0, index=0)
    assert len({round(np.ptp(colours[:, 0, 0].astype(int)) / 63, 1) for colours in alike.foreground}) == 1


def test_each_patch_is_turned_by_less_than_the_largest_angle():
    """The edge of the composite is upright: the slope of a patch's edge is the angle of the patch."""
    angles = []
    for index in range(3):
        sample = make_sample(pack(edge()), replace(PLAIN, rotation=15.0, scales=(1.0,)), seed=0, index=index)
        assert sample.surroundings is None
        for alpha in sample.alpha:
            middle = alpha[16:48].astype(float).sum(1) / 255  # where the edge crosses each row
            angles.append(np.rad2deg(np.arctan(abs(np.polyfit(np.arange(32), middle, 1)[0]))))
    # 0.5: the slope of 32 rows of 8-bit alpha
    assert max(angles) < 15.5 and max(angles) > 10 and min(angles) < 3


@pytest.mark.parametrize(("angle", "turns"), [(0.0, 0), (90.0, 1), (180.0, 2)])
def test_turning_a_square_is_exact_where_no_pixel_lies_between_others(angle, turns):
    rng = np.random.default_rng(1)
    colours, background = rng.integers(0, 255, (2, 40, 50, 3), np.uint8)
    alpha, trimap = rng.integers(0, 255, (2, 40, 50), np.uint8)
    composite = Composite.of(colours, alpha, background, trimap, 1.0)
    turned = composite._turned(5, 7, 32, angle) if not angle else composite.square(5, 7, 32, angle=angle, patch=32)
    for ours, theirs in zip(turned, composite, strict=True):
        if isinstance(theirs, np.ndarray):
            np.testing.assert_array_equal(ours, np.rot90(theirs[5:37, 7:39], turns))


def test_a_turned_patch_is_the_exact_composite_of_its_own_layers():
    sample = make_sample(pack(edge()), replace(PLAIN, rotation=15.0), seed=3, index=0)
    alpha = sample.alpha[..., None] / 255
    exact = sample.foreground * alpha + sample.background * (1 - alpha)
    # 0.51: rounding to 8 bits
    assert np.abs(sample.image - exact).max() <= 0.51
    assert (sample.alpha[sample.trimap == 255] >= 250).all() and (sample.alpha[sample.trimap == 0] <= 5).all()
    assert (sample.trimap == 128).any((1, 2)).all()  # each is cut around an unknown pixel


def test_two_foregrounds_of_unlike_size_join_in_the_size_of_the_first():
    one = np.full((20, 30, 3), 200, np.uint8), np.full((20, 30), 102, np.uint8)
    two = np.full((50, 40, 3), 50, np.uint8), np.full((50, 40), 51, np.uint8)
    colours, alpha = joined_layers(one, two)
    # 1 - 0.6 * 0.8; colours by what is seen of each: 0.4 of the first, 0.12 of the second
    assert alpha.shape == (20, 30) and (alpha == round(0.52 * 255)).all()
    assert (colours == round((0.4 * 200 + 0.12 * 50) / 0.52)).all()


@pytest.mark.release
def test_drawn_clutter_and_faults_work_on_composites_that_are_no_squares():
    config = replace(
        PLAIN, procedural=0.5, drawn=(96,), merge=0.5, similar=1.0, shade=1.0, defocus=0.5, wall=0.5, faults=1.0,
        clutter=1.0, smooth=0.5, elsewhere=1.0, blunt=1.0, group=3,
    )  # fmt: skip
    alpha = cv2.GaussianBlur(edge(120, 200).astype(np.uint8), (0, 0), 3)
    for alike in (False, True):
        for index in range(6):
            sample = make_sample(pack(alpha), replace(config, alike=alike), seed=0, index=index)
            assert sample.image.shape == (3, 64, 64, 3) and sample.surroundings.shape[0] == 3
