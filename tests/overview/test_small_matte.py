import numpy as np
import pytest
import torch

from hdmatt.inference import job, needs, small_first, strategies
from hdmatt.inference.options import Counters, RunOptions
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.overview import small_matte
from hdmatt.overview.small_matte import SmallMatte, shrink_factor, small_picture
from hdmatt.patches.windows import Window
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import open_trimap


def test_a_picture_is_shrunk_by_whole_pixels_to_about_the_long_side():
    sides = (800, 1800, 1801, 2401, 3355, 7360)
    assert (
        [shrink_factor(500, side) for side in sides]
        == [shrink_factor(side, 500) for side in sides]
        == [1, 1, 2, 2, 2, 5]
    )


def test_a_narrow_strip_is_not_shrunk():
    assert shrink_factor(40, 6000) == shrink_factor(6000, 255) == 1 and shrink_factor(320, 6000) == 4


def test_the_smaller_picture_has_means_and_is_known_where_all_agree():
    rng = np.random.default_rng(0)
    colours = rng.random((7, 10, 3)).astype(np.float32)
    trimap = np.full((7, 10), 255, np.uint8)
    trimap[2, 3], trimap[4:] = 128, 0
    bands = [(colours[y : y + 3], trimap[y : y + 3]) for y in range(0, 7, 3)]
    small, marks = small_picture(bands, 2)
    assert small.shape == (4, 5, 3) and marks.shape == (4, 5)
    np.testing.assert_allclose(small[1, 2], colours[2:4, 4:6].mean((0, 1)), atol=1e-6)
    np.testing.assert_array_equal(marks[:, 1], [255, 128, 0, 0])
    np.testing.assert_array_equal(marks[:, 0], [255, 255, 0, 0])


def stripes(size):
    """Alpha with details of two pixels on a slope, wholly unknown but for a rim."""
    y, x = np.mgrid[:size, :size]
    slope = (x / size).astype(np.float32)
    fine = np.where((x + y) % 2 == 0, 0.1, -0.1).astype(np.float32)
    trimap = np.full((size, size), 128, np.uint8)
    trimap[:4], trimap[-4:] = 255, 0
    return slope, fine, trimap


def test_low_frequencies_come_from_the_smaller_matte_details_stay_and_known_pixels_are_exact():
    slope, fine, trimap = stripes(96)
    small = slope.reshape(48, 2, 48, 2).mean((1, 3))
    out = SmallMatte(small, 2).corrected(Window(0, 0, 96), 1 - slope + fine, trimap)
    middle = np.s_[24:-24, 24:-24]
    np.testing.assert_allclose(out[middle], 0.5 + fine[middle], atol=0.02)  # both are as certain: their mean
    assert (out[:4] == 1).all() and (out[-4:] == 0).all()


@pytest.mark.parametrize(("own", "coarse"), [(0.5, 0.0), (0.5, 1.0), (0.0, 0.5), (1.0, 0.5)])
def test_the_more_certain_one_decides(own, coarse):
    unknown = np.full((64, 64), 128, np.uint8)
    out = SmallMatte(np.full((32, 32), coarse, np.float32), 2).corrected(
        Window(0, 0, 64), np.full((64, 64), own, np.float32), unknown
    )
    certain = own if own != 0.5 else coarse
    np.testing.assert_allclose(out, certain + (0.5 - certain) * 0.05 / 1.1, atol=1e-5)


def test_certainty_counts_by_its_eighth_power():
    own, coarse = np.full((64, 64), 0.9, np.float32), np.full((32, 32), 0.05, np.float32)
    out = SmallMatte(coarse, 2).corrected(Window(0, 0, 64), own, np.full((64, 64), 128, np.uint8))
    trust, other = 0.9**8 + 0.05, 0.8**8 + 0.05
    np.testing.assert_allclose(out, 0.9 - 0.85 * trust / (trust + other), atol=1e-5)


def test_a_patch_that_agrees_with_the_smaller_matte_stays_as_it_is():
    _, fine, _ = stripes(96)
    small = np.full((60, 60), 0.3, np.float32)
    for window in (Window(40, 20, 64), Window(-8, -30, 64)):  # inside, and past the border
        own = 0.3 + fine[:64, :64]
        out = SmallMatte(small, 3).corrected(window, own, np.full((64, 64), 128, np.uint8))
        np.testing.assert_allclose(out[8:-8, 8:-8], own[8:-8, 8:-8], atol=1e-3)


def test_a_thing_that_the_smaller_matte_adds_leaves_no_veil_around_it():
    coarse = np.zeros((48, 48), np.float32)
    coarse[:, 20:28] = 1  # eight of its pixels, sixteen of the picture's
    out = SmallMatte(coarse, 2).corrected(
        Window(0, 0, 96), np.full((96, 96), 0.02, np.float32), np.full((96, 96), 128, np.uint8)
    )
    assert out[48, 46:50].min() > 0.4  # it is added
    assert out[:, :38].max() < 0.021 and out[:, 58:].max() < 0.021


@pytest.fixture
def pair():
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (200, 310, 3)).astype(np.uint8)
    trimap = np.zeros((200, 310), np.uint8)
    trimap[:, 60:150], trimap[:, 150:] = 128, 255
    return picture, trimap


def matte(pair, strategy="hdmatt", counters=None, **changes):
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=4, extra_channels=True, patch=64)).eval()
    options = RunOptions(patch=64, overlap=16, topk=1, **changes)
    picture = pair[0] if isinstance(pair[0], ArrayReader) else ArrayReader(pair[0])
    job = strategies.matte_rows(strategy, picture, open_trimap(pair[1]), model, options, counters=counters)
    return np.concatenate([rows for _, rows in job.rows])


@pytest.fixture
def shrunk(monkeypatch):
    """310 pixels are shrunk by three."""
    monkeypatch.setattr(small_matte, "LONG_SIDE", 100)


@pytest.mark.release
def test_a_picture_is_corrected_by_its_own_smaller_matte(pair, request, monkeypatch):
    plain, crop = matte(pair), matte(pair, "crop")
    request.getfixturevalue("shrunk")
    made = []
    original = small_first._small_matte
    monkeypatch.setattr(small_first, "_small_matte", lambda *a: made.append(original(*a)) or made[-1])
    counters = Counters()
    guided = matte(pair, counters=counters)
    assert made[0].step == 3 and made[0].alpha.shape == (67, 104)
    unknown = pair[1] == 128
    assert np.abs(guided - plain)[unknown].max() > 1e-3
    np.testing.assert_array_equal(guided[~unknown], (pair[1][~unknown] == 255).astype(np.float32))
    assert guided.min() >= 0 and guided.max() <= 1 and counters.rows_read > 200
    for changes in ({"batch": 3}, {"band": 33}):
        np.testing.assert_allclose(matte(pair, **changes), guided, atol=1e-5)
    np.testing.assert_array_equal(matte(pair), guided)
    np.testing.assert_array_equal(matte(pair, "crop"), crop)


@pytest.mark.release
def test_scribbles_that_the_smaller_trimap_loses_leave_the_matte_as_it_is(pair, request):
    picture, trimap = pair[0], np.full_like(pair[1], 128)
    trimap[:, 20], trimap[:, -20] = 0, 255  # a pixel wide
    plain = matte((picture, trimap))
    request.getfixturevalue("shrunk")
    np.testing.assert_array_equal(matte((picture, trimap)), plain)


@pytest.mark.release
def test_scene_linear_pictures_are_shrunk_as_the_network_sees_them(pair, shrunk, monkeypatch):
    seen = []
    original = small_matte.small_picture
    monkeypatch.setattr(small_matte, "small_picture", lambda *a: seen.append(original(*a)) or seen[-1])
    matte((pair[0].astype(np.float32) / 255, pair[1]))
    linear = np.where(pair[0] <= 10, pair[0] / 255 / 12.92, ((pair[0] / 255 + 0.055) / 1.055) ** 2.4)
    matte((ArrayReader(linear.astype(np.float32), linear=True), pair[1]))
    (display, marks), (encoded, again) = seen
    np.testing.assert_allclose(encoded, display, atol=1e-5)
    np.testing.assert_array_equal(marks, again)


@pytest.mark.release
@pytest.mark.parametrize(("height", "width"), [(1600, 9000), (2400, 1200)])
def test_a_plan_counts_the_smaller_picture_beside_what_it_can_meet_only(height, width, monkeypatch):
    """A wide picture's own rows are not there while the smaller one is matted, so only that matte comes on top."""
    seen = []
    original = job.make_plan
    monkeypatch.setattr(job, "make_plan", lambda *a, **k: seen.append(a[2]) or original(*a, **k))
    trimap = np.zeros((height, width), np.uint8)
    trimap[:40, :40], trimap[40:80, :40] = 255, 128
    model = HDMatt(ModelConfig(width=4, extra_channels=True)).eval()
    picture = ArrayReader(np.zeros((height, width, 3), np.uint8))
    options = RunOptions(reserved_bytes=1000, patch=64, overlap=16)
    for _ in strategies.matte_rows("hdmatt", picture, open_trimap(trimap), model, options).rows:
        break
    room, step = needs.small_picture_bytes(height, width), shrink_factor(height, width)
    assert room.matte == 4 * -(-height // step) * -(-width // step)
    assert seen[0].exclusive_bytes == room.making + 2 * (64 // step * step) * width * 43
    assert seen[1].reserved_bytes == 1000 + room.matte  # the smaller picture's own plan
    if width > 5000:
        assert 1000 + room.matte <= seen[0].reserved_bytes < 1000 + room.kept
    else:
        assert seen[0].reserved_bytes == 1000 + room.kept + needs.SPREAD + small_first._FRAGMENTS
