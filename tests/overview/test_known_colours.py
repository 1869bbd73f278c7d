import numpy as np

from hdmatt.overview.known_colours import (
    BLOCK,
    MOMENTS,
    NEUTRAL,
    NEUTRAL_VARIANCE,
    PAIRS,
    KnownColours,
    KnownColoursBuilder,
    alpha_step,
    fill_empty,
    mirrored,
)

FRONT, BACK = np.array([0.9, 0.2, 0.1], np.float32), np.array([0.1, 0.3, 0.8], np.float32)


def flat(colour):
    """Moments of a colour without variance."""
    return np.array([*colour, *(colour[i] * colour[j] for i, j in PAIRS)], np.float32)


def field(trimap, picture, cell):
    builder = KnownColoursBuilder(cell, step=4)
    for y in range(0, len(trimap), cell):
        builder.add(picture[y : y + cell], trimap[y : y + cell])
    return builder.build()


def test_flat_colours_come_back_everywhere_also_far_from_where_they_are_known():
    trimap = np.full((90, 70), 128, np.uint8)
    trimap[:10], trimap[-10:] = 255, 0
    picture = np.where(trimap[..., None] == 255, FRONT, BACK).astype(np.float32)
    found = field(trimap, picture, 16)
    assert found.moments.shape == (6, 5, 2 * MOMENTS)
    # 1e-5: float32 averages
    expected = np.broadcast_to(np.concatenate([flat(FRONT), flat(BACK)]), found.moments.shape)
    np.testing.assert_allclose(found.moments, expected, atol=1e-5)


def test_near_colours_win_over_far_ones():
    trimap = np.zeros((64, 256), np.uint8)
    picture = np.zeros((64, 256, 3), np.float32)
    picture[:, :64], picture[:, 192:] = FRONT, BACK
    trimap[:, 64:192] = 128
    back = field(trimap, picture, 16).moments[2, :, MOMENTS : MOMENTS + 3]
    assert np.abs(back[5] - FRONT).max() < np.abs(back[5] - BACK).max()
    assert np.abs(back[10] - BACK).max() < np.abs(back[10] - FRONT).max()


def test_a_picture_without_foreground_has_the_neutral_colour_there():
    found = field(np.zeros((40, 40), np.uint8), np.full((40, 40, 3), 0.25, np.float32), 32)
    mean = np.array(NEUTRAL)
    np.testing.assert_allclose(found.moments[..., :3], np.broadcast_to(mean, (2, 2, 3)), rtol=1e-6)
    variance = found.moments[..., [3, 6, 8]] - mean**2  # the products of a channel with itself
    np.testing.assert_allclose(variance, NEUTRAL_VARIANCE, rtol=1e-5)
    np.testing.assert_allclose(found.moments[..., MOMENTS:], np.broadcast_to(flat([0.25] * 3), (2, 2, 9)), atol=1e-6)


def test_moments_are_those_of_the_sure_pixels():
    rng = np.random.default_rng(1)
    picture, trimap = rng.random((32, 64, 3), np.float32), rng.choice([0, 128, 255], (32, 64)).astype(np.uint8)
    found = field(trimap, picture, 32).moments
    for cell in range(2):
        colours, marks = picture[:, 32 * cell : 32 * cell + 32], trimap[:, 32 * cell : 32 * cell + 32]
        for first, value in ((0, 255), (MOMENTS, 0)):
            sure = colours[marks == value].astype(np.float64)
            products = [(sure[:, i] * sure[:, j]).mean() for i, j in PAIRS]
            np.testing.assert_allclose(found[0, cell, first : first + MOMENTS], [*sure.mean(0), *products], rtol=1e-4)


def test_surroundings_sample_the_cells_under_the_window_and_repeats_the_border():
    ramp = np.arange(8, dtype=np.float32)[None, :, None] * np.ones((8, 1, 2 * MOMENTS), np.float32)
    grid = KnownColours(ramp, 32.0, np.zeros((64, 64), np.float32), 4.0)
    np.testing.assert_allclose(grid.surroundings(0, 0, size=64, patch=64)[0, :, 0], [0, 1], atol=1e-3)
    np.testing.assert_allclose(grid.surroundings(0, 80, size=64, patch=64)[0, :, 0], [2.5, 3.5], atol=1e-3)
    np.testing.assert_allclose(
        grid.surroundings(0, 64, size=128, patch=64)[0, :, 0], [2.5, 4.5], atol=1e-3
    )  # half size
    np.testing.assert_allclose(grid.surroundings(-64, -64, size=64, patch=64), 0, atol=1e-3)
    assert grid.surroundings(0, 0, size=72, patch=72).shape == (3, 3, 2 * MOMENTS + BLOCK**2)


def alphas(surroundings):
    """The alpha of surroundings as a picture, one pixel for every four of the patch."""
    n = len(surroundings)
    blocks = surroundings[..., 2 * MOMENTS :].reshape(n, n, BLOCK, BLOCK)
    return blocks.transpose(0, 2, 1, 3).reshape(n * BLOCK, n * BLOCK)


def test_surroundings_hold_the_low_resolution_alpha_under_the_window_and_its_mirror_image():
    alpha = np.add.outer(100 * np.arange(32), np.arange(32)).astype(np.float32)
    grid = KnownColours(np.zeros((4, 4, 2 * MOMENTS), np.float32), 32.0, alpha, 4.0)
    surroundings = grid.surroundings(20, 40, size=64, patch=64)
    np.testing.assert_allclose(alphas(surroundings), alpha[5:21, 10:26], atol=1e-3)
    half = grid.surroundings(0, 0, size=128, patch=64)  # a patch of half the size: every second one, between two
    np.testing.assert_allclose(alphas(half)[1:3, 1:3], alpha[2:6:2, 2:6:2] + 50.5, atol=1e-3)
    np.testing.assert_array_equal(alphas(mirrored(surroundings)), alphas(surroundings)[:, ::-1])
    np.testing.assert_array_equal(mirrored(surroundings)[..., : 2 * MOMENTS], surroundings[:, ::-1, : 2 * MOMENTS])


def test_the_low_resolution_alpha_has_at_most_100000_pixels():
    assert alpha_step(300, 300) == 1
    for height, width in ((400, 400), (600, 800), (3000, 3000), (20000, 20000), (100, 90000)):
        step = alpha_step(height, width)
        pixels, finer = (-(-height // s) * -(-width // s) for s in (step, step - 1))
        assert pixels <= 1.02 * 100_000 < 1.1 * finer


def test_the_field_carries_alpha_from_the_known_pixels():
    trimap = np.full((64, 96), 128, np.uint8)
    trimap[:, :16], trimap[:, -16:] = 255, 0
    picture = np.where(np.arange(96)[None, :, None] < 50, FRONT, BACK) * np.ones((64, 1, 1), np.float32)
    alpha = field(trimap, picture.astype(np.float32), 32).alpha
    assert alpha.shape == (16, 24)
    assert (alpha[:, :12] > 0.95).all() and (alpha[:, 13:] < 0.05).all()


def test_colours_stay_where_the_mass_is():
    rng = np.random.default_rng(0)
    colour, mass = rng.random((9, 7, 3), np.float32), np.ones((9, 7), np.float32)
    np.testing.assert_allclose(fill_empty(colour, mass), colour, atol=1e-6)
