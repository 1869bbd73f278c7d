import numpy as np
import pytest

from hdmatt.overview.propagate import EPSILON, _laplacian, propagate
from hdmatt.overview.shrink import Shrinker

FRONT, BACK = np.array([0.9, 0.2, 0.1], np.float32), np.array([0.1, 0.3, 0.8], np.float32)


def scene(side=48, seed=0):
    """A soft vertical edge of two textured colours, known in a strip on either side; truth, picture, trimap."""
    truth = np.clip((np.arange(side, dtype=np.float32) - side / 2) / 12 + 0.5, 0, 1) * np.ones((side, 1), np.float32)
    shade = 0.1 * np.sin(np.arange(side, dtype=np.float32) / 5)[:, None, None]
    picture = truth[..., None] * (FRONT + shade) + (1 - truth[..., None]) * (BACK - shade)
    trimap = np.full((side, side), 128, np.uint8)
    trimap[:, :6], trimap[:, -6:] = 0, 255
    return truth, picture.astype(np.float32), trimap


def laplacian_by_hand(picture):
    """Eq. 12 of Levin et al., one window after the other, dense."""
    height, width = picture.shape[:2]
    whole = np.zeros((height * width, height * width))
    for y in range(height - 2):
        for x in range(width - 2):
            pixels = [(y + i) * width + x + j for i in range(3) for j in range(3)]
            colours = picture.reshape(-1, 3)[pixels].astype(np.float64)
            mean, covariance = colours.mean(0), np.cov(colours.T, bias=True)
            inverse = np.linalg.inv(covariance + EPSILON / 9 * np.eye(3))
            for i, a in zip(pixels, colours, strict=True):
                for j, b in zip(pixels, colours, strict=True):
                    whole[i, j] += (i == j) - (1 + (a - mean) @ inverse @ (b - mean)) / 9
    return whole


@pytest.mark.parametrize("windows", [7, 4096])
def test_the_rows_are_those_of_the_matting_laplacian(windows, monkeypatch):
    monkeypatch.setattr("hdmatt.overview.propagate.WINDOWS", windows)
    rng = np.random.default_rng(3)
    picture, doubt = rng.random((9, 11, 3), np.float32), rng.random((9, 11)) < 0.5
    doubt[0, 0] = doubt[-1, -1] = True
    unknown = np.flatnonzero(doubt)
    rows, diagonal = _laplacian(picture, doubt, unknown)
    expected = laplacian_by_hand(picture)[unknown]
    np.testing.assert_allclose(rows.toarray(), expected, atol=1e-9)
    np.testing.assert_allclose(diagonal, expected[np.arange(len(unknown)), unknown], atol=1e-9)


def test_alpha_is_carried_across_a_wide_unknown_strip():
    truth, picture, trimap = scene()
    found = propagate(picture, trimap)
    assert found.dtype == np.float32 and found.shape == truth.shape
    assert np.abs(found - truth).max() < 0.02
    assert (found[trimap == 0] == 0).all() and (found[trimap == 255] == 1).all()


def test_the_same_picture_gives_the_same_bytes():
    _, picture, trimap = scene()
    assert propagate(picture, trimap).tobytes() == propagate(picture.copy(), trimap.copy()).tobytes()


@pytest.mark.parametrize("known", [0, 255])
def test_one_class_alone_is_not_carried_everywhere(known):
    _, picture, trimap = scene()
    trimap[trimap != 128] = known
    found = propagate(picture, trimap)
    assert (found[:, 12:-12] == 0.5).all() and (found[trimap == known] == known / 255).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 50), (3, 3), (5, 70)])
def test_any_shape_gives_numbers_from_0_to_1(shape):
    rng = np.random.default_rng(0)
    trimap = np.full(shape, 128, np.uint8)
    trimap.flat[0], trimap.flat[-1] = 0, 255
    found = propagate(rng.random((*shape, 3), np.float32), trimap)
    assert found.shape == shape and np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("bands", [[37], [1] * 37, [5, 20, 12]])
def test_squares_are_averaged_however_the_rows_come_and_known_only_when_all_agree(bands):
    rng = np.random.default_rng(1)
    picture = rng.random((37, 23, 3), np.float32)
    trimap = np.repeat(np.repeat(rng.choice([0, 128, 255], (10, 6)), 4, 0), 4, 1)[:37, :23].astype(np.uint8)
    trimap[8, 8] = 128
    shrinker, y = Shrinker(4), 0
    for rows in bands:
        shrinker.add(picture[y : y + rows], trimap[y : y + rows])
        y += rows
    small, marks = shrinker.picture()
    assert small.shape == (10, 6, 3) and marks.shape == (10, 6)
    for i in range(10):
        for j in range(6):
            square = np.s_[4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
            np.testing.assert_allclose(small[i, j], picture[square].mean((0, 1)), rtol=1e-5)
            kinds = set(trimap[square].ravel().tolist())
            assert marks[i, j] == (kinds.pop() if len(kinds) == 1 else 128)
