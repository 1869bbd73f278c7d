import numpy as np
import pytest

from hdmatt.errors import InputError
from hdmatt.pictures.colours.colour import composite
from hdmatt.pictures.colours.encoding import LINEAR, SRGB, convert, transfer
from hdmatt.pictures.colours.mixing import alpha_for, check_space, space

RNG = np.random.default_rng(0)
SIZE = (40, 50)


def greys():
    return np.repeat(RNG.random((*SIZE, 1), np.float32), 3, axis=2)


def same_picture(foreground, background, alpha, source, target):
    """The mixture in `source`, and that of the converted alpha in `target`; both in `source`."""
    made = alpha_for(alpha, foreground, background, source, target)
    front, behind = (convert(colours, source, target) for colours in (foreground, background))
    return composite(foreground, alpha, background), convert(composite(front, made, behind), target, source)


@pytest.mark.parametrize(("source", "target"), [(SRGB, LINEAR), (LINEAR, SRGB), (transfer("Rec.709"), LINEAR)])
def test_greys_give_the_same_picture_in_the_other_mixing(source, target):
    foreground, background, alpha = greys(), greys(), RNG.random(SIZE, np.float32)
    apart = np.abs(foreground - background).max(axis=2) > 0.05  # else alpha hardly matters, and stays
    one, other = same_picture(foreground, background, alpha, source, target)
    # 2e-3: where F and B are 0.05 apart in numbers, they may be 0.002 apart in light, and 1e-7 pulls alpha to stay
    np.testing.assert_allclose(one[apart], other[apart], rtol=0, atol=2e-3)


def test_black_and_white_follow_the_curve():
    black, white = np.zeros((1, 1, 3), np.float32), np.ones((1, 1, 3), np.float32)
    half = np.full((1, 1), 0.5, np.float32)
    # half of white's light is 0.735 as a display value; half of its display value is 0.214 of its light
    assert alpha_for(half, white, black, LINEAR, SRGB)[0, 0] == pytest.approx(0.735, abs=1e-3)
    assert alpha_for(half, white, black, SRGB, LINEAR)[0, 0] == pytest.approx(0.214, abs=1e-3)
    assert alpha_for(half, black, white, LINEAR, SRGB)[0, 0] == pytest.approx(1 - 0.735, abs=1e-3)


def test_there_and_back_is_the_same_alpha():
    foreground, background, alpha = greys(), greys(), RNG.random(SIZE, np.float32)
    there = alpha_for(alpha, foreground, background, SRGB, LINEAR)
    light = [convert(colours, SRGB, LINEAR) for colours in (foreground, background)]
    back = alpha_for(there, *light, LINEAR, SRGB)
    apart = np.abs(foreground - background).max(axis=2) > 0.05
    np.testing.assert_allclose(back[apart], alpha[apart], rtol=0, atol=0.02)


def test_colours_stay_as_near_as_one_alpha_can_bring_them():
    shape = (*SIZE, 3)
    foreground, background, alpha = (
        RNG.random(shape, np.float32),
        RNG.random(shape, np.float32),
        RNG.random(SIZE, np.float32),
    )
    made = alpha_for(alpha, foreground, background, SRGB, LINEAR)
    front, behind = (convert(colours, SRGB, LINEAR) for colours in (foreground, background))
    wanted = convert(composite(foreground, alpha, background), SRGB, LINEAR)

    def error(share):
        return ((composite(front, share.clip(0, 1), behind) - wanted) ** 2).sum(axis=2)

    for step in (-0.01, 0.01):
        assert (error(made) <= error(made + np.float32(step)) + 1e-6).all()
    assert error(made).mean() < error(alpha).mean()


def test_what_is_0_or_1_stays_so_and_equal_colours_leave_alpha():
    alpha = np.array([[0, 1, 0.3, 0.3]], np.float32)
    foreground, background = RNG.random((2, 1, 4, 3), np.float32)
    background[0, 3] = foreground[0, 3]
    made = alpha_for(alpha, foreground, background, SRGB, LINEAR)
    assert made[0, 0] == 0 and made[0, 1] == 1 and made[0, 2] != alpha[0, 2]
    assert made[0, 3] == pytest.approx(0.3, abs=1e-6)


def test_spaces_keep_the_primaries_and_display_pictures_are_their_own():
    assert space(SRGB, "display") is SRGB and space(SRGB, "linear") == LINEAR
    assert space(LINEAR, "linear") == LINEAR and space(LINEAR, "display") == SRGB
    check_space(None)
    with pytest.raises(InputError, match="matte_for is 'film'"):
        check_space("film")
