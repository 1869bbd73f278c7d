from dataclasses import replace

import cv2
import numpy as np
import pytest

from hdmatt.errors import InputError
from hdmatt.samples.config import SampleConfig
from hdmatt.samples.faults import camera_faults
from hdmatt.samples.packs import Assets, load_assets
from hdmatt.samples.sample import make_sample

CONFIG = SampleConfig(patch=64, procedural=0.0, faults=0.0)


@pytest.fixture(scope="module")
def assets():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :200]
    alpha = np.clip((80 - np.hypot(y - 100, x - 100)) / 12, 0, 1) * 255
    colours = cv2.resize(rng.integers(0, 255, (8, 8, 3), np.uint8), (200, 200), interpolation=cv2.INTER_CUBIC)
    return Assets([np.dstack([colours, alpha]).astype(np.uint8)], [rng.integers(0, 255, (150, 180, 3), np.uint8)])


def arrays(sample):
    return {name: getattr(sample, name) for name in sample.__dataclass_fields__}


def test_a_sample_follows_from_seed_and_index_alone(assets):
    config = replace(CONFIG, procedural=0.3, faults=0.5, forgotten=0.5, clutter=0.5)
    one, same = (arrays(make_sample(assets, config, seed=3, index=8)) for _ in range(2))
    assert all(np.array_equal(one[n], same[n]) for n in one)
    for other in (make_sample(assets, config, seed=4, index=8), make_sample(assets, config, seed=3, index=9)):
        assert not np.array_equal(one["image"], other.image)


def test_the_picture_is_the_exact_composite_when_the_camera_has_no_faults(assets):
    for index in range(4):
        sample = make_sample(assets, CONFIG, seed=0, index=index)
        alpha = sample.alpha[..., None] / 255
        exact = sample.foreground * alpha + sample.background * (1 - alpha)
        # 0.51: rounding to 8 bits
        assert np.abs(sample.image - exact).max() <= 0.51


def test_faults_touch_the_picture_and_what_is_computed_from_it_only(assets):
    clean = make_sample(assets, CONFIG, seed=0, index=1)
    faulty = make_sample(assets, replace(CONFIG, faults=1.0), seed=0, index=1)
    for name in ("alpha", "foreground", "background", "trimap"):
        np.testing.assert_array_equal(getattr(clean, name), getattr(faulty, name))
    assert (clean.image != faulty.image).any()
    # colours and carried alpha of the whole picture are of the faulty picture, as when a photograph is matted
    assert (clean.surroundings[..., :18] != faulty.surroundings[..., :18]).any()
    assert (clean.surroundings[..., 18:] != faulty.surroundings[..., 18:]).any()


@pytest.mark.release
def test_a_tone_mixes_light_and_leaves_pure_colours_alone(assets):
    found = []
    for index in range(4):
        plain = make_sample(assets, CONFIG, seed=0, index=index)
        sample = make_sample(assets, replace(CONFIG, tone=(2.0, 2.0)), seed=0, index=index)
        for name in ("alpha", "foreground", "background", "trimap"):
            np.testing.assert_array_equal(getattr(plain, name), getattr(sample, name))
        alpha = sample.alpha[..., None] / 255
        foreground, background = sample.foreground.astype(float), sample.background.astype(float)
        mixed = np.sqrt(alpha * foreground**2 + (1 - alpha) * background**2)
        # 0.51: rounding to 8 bits once, and float32 inside
        assert np.abs(sample.image - mixed).max() <= 0.51
        found.append((sample.image.astype(int) - plain.image)[(sample.alpha > 50) & (sample.alpha < 200)])
    brighter = np.concatenate(found)
    assert brighter.min() >= -1 and brighter.mean() > 2  # a root of a mean of squares is above the mean


@pytest.mark.release
def test_a_blunt_trimap_leaves_the_holes_of_a_net_and_its_wires_unknown():
    alpha = np.zeros((200, 200), np.uint8)
    alpha[20:180, 20:180] = 255
    alpha[80:180, 20:180] = 0
    alpha[80:180:20, 20:180] = alpha[80:180, 20:180:20] = 255  # below a solid half: wires with holes of 19 pixels
    colours = np.full((200, 200, 3), 90, np.uint8)
    net = Assets([np.dstack([colours, alpha])], [np.full((150, 150, 3), 30, np.uint8)])
    plain = replace(CONFIG, patch=160, group=1, merge=0.0, similar=0.0, band=1.0, wide=0.0, blunt=0.0, elsewhere=0.0)
    unknown = {
        blunt: np.mean(
            [(make_sample(net, replace(plain, blunt=blunt), seed=2, index=i).trimap == 128).mean() for i in range(6)]
        )
        for blunt in (0.0, 1.0)
    }
    assert unknown[1.0] > 1.3 * unknown[0.0]


def flat(colours):
    """One foreground of these colours, opaque but for its frame, before a grey wall."""
    alpha = np.zeros((160, 160), np.uint8)
    alpha[20:140, 20:140] = 255
    return Assets([np.dstack([np.broadcast_to(colours, (160, 160, 3)), alpha]).astype(np.uint8)],
                  [np.full((150, 150, 3), 128, np.uint8)])  # fmt: skip


@pytest.mark.release
def test_bands_are_as_wide_in_patches_of_every_crop():
    config = replace(CONFIG, patch=160, group=1, merge=0.0, band=12.0, wide=0.0, blunt=0.0, elsewhere=0.0)

    def wide(crop):  # half of the widest place of the unknown band, in pixels of the patch
        cut = replace(config, scales=(crop,))
        found = [make_sample(flat((200, 180, 160)), cut, seed=7, index=i).trimap[0] for i in range(8)]
        return np.mean([cv2.distanceTransform((t == 128).astype(np.uint8), cv2.DIST_L2, 5).max() for t in found])

    assert wide(2.0) / wide(0.5) == pytest.approx(1, abs=0.4)


@pytest.mark.release
def test_shade_darkens_one_side_of_a_foreground():
    config = replace(CONFIG, group=1, merge=0.0, scales=(4.0,))
    for shade, low, high in ((0.0, 0, 2), (1.0, 20, 255)):
        found = [make_sample(flat((200, 180, 160)), replace(config, shade=shade), seed=0, index=i) for i in range(7)]
        ranges = [np.ptp(sample.foreground[sample.alpha == 255].mean(1)) for sample in found]
        assert low <= np.median(ranges) <= high


@pytest.mark.release
def test_a_similar_background_has_the_mean_colour_or_the_one_nearby():
    colours = np.zeros((160, 160, 3))
    colours[:, :80], colours[:, 80:] = (220, 60, 60), (60, 60, 220)
    config = replace(CONFIG, group=1, merge=0.0, scales=(4.0,))

    def spread(similar):  # of red minus blue in each background
        found = [make_sample(flat(colours), replace(config, similar=similar), seed=0, index=i) for i in range(10)]
        return [np.ptp(s.background[0].astype(float) @ [1, 0, -1]) for s in found]

    assert max(spread(0.0)) < 8  # a grey wall
    nearby = np.array(spread(1.0)) > 60
    assert 3 <= nearby.sum() <= 8


@pytest.mark.release
def test_a_background_of_the_same_kind_has_the_foregrounds_colours_elsewhere():
    colours = np.zeros((160, 160, 3))
    colours[:, :80], colours[:, 80:] = (220, 60, 60), (60, 60, 220)
    config = replace(CONFIG, group=1, merge=0.0, scales=(4.0,))

    def swapped(similar):  # pictures in which much that is red lies before blue, or blue before red
        count = 0
        for index in range(14):
            sample = make_sample(flat(colours), replace(config, similar=similar), seed=0, index=index)
            front, back = (layer[0].astype(int) @ [1, 0, -1] for layer in (sample.foreground, sample.background))
            known = sample.alpha[0] == 255
            count += ((front * back < -40 * 40) & known).sum() > 0.1 * known.sum()
        return count

    walls = swapped(0.0)  # a studio wall may be red or blue
    assert walls <= 1
    assert walls + 3 <= swapped(1.0) <= 8  # a third of them have all of the colours, some where they were


def framed():
    """Opaque but for a hole of 60 x 60 pixels, and beside it a piece of its own, 24 pixels wide."""
    alpha = np.zeros((200, 200), np.uint8)
    alpha[30:170, 20:140] = 255
    alpha[70:130, 50:110] = 0
    alpha[30:170, 156:180] = 255
    return Assets([np.dstack([np.full((200, 200, 3), 90, np.uint8), alpha])], [np.full((150, 150, 3), 30, np.uint8)])


@pytest.mark.release
def test_a_forgotten_hole_or_piece_is_nowhere_known():
    config = replace(
        CONFIG, patch=160, group=1, scales=(4.0,), merge=0.0, similar=0.0, band=1.0, wide=0.0, blunt=0.0, elsewhere=0.0
    )

    def pieces(forgotten):  # of each whole trimap: known ones of foreground, enclosed ones of background
        counted = []
        for index in range(12):
            trimap = make_sample(framed(), replace(config, forgotten=forgotten), seed=4, index=index).trimap[0]
            front = cv2.connectedComponents((trimap == 255).astype(np.uint8))[0] - 1
            number, back = cv2.connectedComponents((trimap == 0).astype(np.uint8))
            border = np.concatenate([back[0], back[-1], back[:, 0], back[:, -1]])
            if border.any():  # else the hole is all the background there is, and stays
                counted.append((front, number - 1 - len(np.unique(border[border > 0]))))
        return np.array(counted)

    marked, forgotten = pieces(0.0), pieces(1.0)
    assert len(forgotten) >= 8 and (marked > [1, 0]).sum(0).min() >= 4
    assert (forgotten == [1, 0]).all()


@pytest.mark.release
def test_clutter_is_part_of_the_background_alone():
    config = replace(CONFIG, group=1, merge=0.0, similar=0.0, scales=(10.0,))  # the whole canvas
    cluttered = 0
    for index in range(6):
        plain, other = (
            make_sample(flat((220, 40, 40)), replace(config, clutter=clutter), seed=0, index=index)
            for clutter in (0.0, 1.0)
        )
        same = [
            all(np.array_equal(turn(getattr(plain, name)), getattr(other, name)) for name in ("alpha", "foreground"))
            for turn in (np.asarray, lambda layer: layer[:, :, ::-1])
        ]
        assert any(same)  # the clutter moves the draw that turns a sample left to right
        coloured = [(np.ptp(s.background[0].astype(int), axis=-1) > 40).mean() for s in (plain, other)]
        assert coloured[0] < 0.02  # a grey wall
        cluttered += coloured[1] > 0.05
    assert cluttered >= 4


@pytest.mark.release
def test_drawn_foregrounds_are_sharper_where_they_are_drawn_larger(assets):
    config = replace(CONFIG, patch=160, group=1, procedural=1.0, merge=0.0, elsewhere=0.0)

    def sharpest(drawn):  # steepest step of alpha, in the mean: edges of the same foregrounds
        found = [make_sample(assets, replace(config, drawn=(drawn,)), seed=5, index=i).alpha[0] for i in range(6)]
        return np.mean([np.abs(np.diff(alpha.astype(int), axis=1)).max() for alpha in found])

    assert sharpest(960) > 1.5 * sharpest(120)


def test_known_pixels_of_the_trimap_tell_the_truth(assets):
    unknown = 0
    for index in range(8):
        sample = make_sample(assets, replace(CONFIG, merge=0.5), seed=1, index=index)
        assert set(np.unique(sample.trimap)) <= {0, 128, 255}
        assert (sample.alpha[sample.trimap == 255] >= 250).all()
        assert (sample.alpha[sample.trimap == 0] <= 5).all()
        unknown += (sample.trimap == 128).any(axis=(1, 2)).sum()
    assert unknown >= 24  # of 32 patches: crops are centred on unknown pixels


@pytest.mark.release
def test_foreground_background_and_unknown_all_occur_in_a_group(assets):
    found = [set(np.unique(make_sample(assets, CONFIG, seed=2, index=i).trimap)) for i in range(6)]
    assert sum(f == {0, 128, 255} for f in found) >= 4


def test_shapes_are_those_of_the_configuration(assets):
    sample = make_sample(assets, replace(CONFIG, group=3, patch=72), seed=0, index=0)
    assert sample.image.shape == sample.foreground.shape == sample.background.shape == (3, 72, 72, 3)
    assert sample.trimap.shape == sample.alpha.shape == (3, 72, 72)
    assert sample.surroundings.shape == (3, 3, 3, 82)
    assert all(a.dtype == (np.float32 if n == "surroundings" else np.uint8) for n, a in arrays(sample).items())


def test_no_fault_is_no_change():
    photo = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    assert camera_faults(photo, np.random.default_rng(0), probability=0.0) is photo
    before = photo.copy()
    assert (camera_faults(photo, np.random.default_rng(0), probability=1.0) != photo).any()
    np.testing.assert_array_equal(photo, before)


def test_a_pack_without_foregrounds_a_flat_foreground_and_a_broken_file_are_refused(tmp_path):
    (tmp_path / "foregrounds").mkdir()
    (tmp_path / "backgrounds").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "backgrounds/a.jpg"), noise)
    with pytest.raises(InputError):
        load_assets([tmp_path])
    cv2.imwrite(str(tmp_path / "foregrounds/flat.png"), noise)
    with pytest.raises(InputError, match=r"flat\.png has no alpha channel"):
        load_assets([tmp_path])
    (tmp_path / "foregrounds/flat.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"flat\.png cannot be decoded"):
        load_assets([tmp_path])


def test_pictures_larger_than_needed_are_shrunk_and_aim_folders_read(tmp_path):
    for name in ("fg", "alpha", "bg"):
        (tmp_path / name).mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "fg/a.png"), noise)
    cv2.imwrite(str(tmp_path / "alpha/a.png"), noise[..., 0])
    cv2.imwrite(str(tmp_path / "bg/b.png"), noise)
    assets = load_assets([tmp_path], longest=45)
    assert assets.foregrounds[0].shape == (30, 45, 4) and assets.backgrounds[0].shape == (30, 45, 3)
    whole = load_assets([tmp_path]).foregrounds[0]
    np.testing.assert_array_equal(whole[..., :3], noise[..., ::-1])  # RGB, and OpenCV writes BGR
    np.testing.assert_array_equal(whole[..., 3], noise[..., 0])
