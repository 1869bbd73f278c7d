"""What is odd about a mask: told, and never refused."""

import numpy as np
import pytest
from PIL import Image

import hdmatt
from hdmatt.cli.main import main
from hdmatt.errors import InputError, MaskWarning
from hdmatt.trimaps.doubts import MaskDoubts


def disc(height=60, width=90, radius=20):
    y, x = np.mgrid[:height, :width]
    return np.hypot(y - height / 2, x - width / 2) < radius


def person():
    mask = disc()
    mask[30:, 5:85] = True
    return mask


def square(side, height=100, width=100):
    mask = np.zeros((height, width), bool)
    mask[50 : 50 + side, 50 : 50 + side] = True
    return mask


def cross():
    mask = np.zeros((60, 90), bool)
    mask[20:35] = mask[:, 40:55] = True
    return mask


def doubt(mask):
    found, rows = MaskDoubts(*mask.shape), np.where(mask, np.uint8(255), np.uint8(0))
    for y0 in (0, 20, 10, 20, 40):  # some rows come again
        found.add(rows[y0:] if y0 == 40 else rows[y0 : y0 + 20], y0)
    assert found.pixels.sum() == mask.size
    return found.text()


@pytest.mark.parametrize("mask", [disc(), person(), person()[:, ::-1].T, np.arange(90)[None] < np.full((60, 1), 45)])
def test_ordinary_masks_raise_no_doubt(mask):
    assert doubt(mask) == ""


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (~disc(), "mostly white along the picture's border"),
        (~person(), "mostly white along the picture's border"),
        (square(2), "white on 4 of 10000 pixels only"),
        (~square(10), "white on 99.0 % of the picture"),
        (cross(), "all four"),
    ],
)
def test_odd_masks_are_told(mask, says):
    assert says in doubt(mask)


def test_a_trimap_of_an_odd_mask_is_made_with_a_warning(tmp_path, capsys):
    with pytest.warns(MaskWarning, match="the mask is mostly white"):
        assert hdmatt.make_trimap(~disc(), band=2).max() == 255
    Image.fromarray(~disc()).save(tmp_path / "m.png")
    assert main(["trimap", "make", str(tmp_path / "m.png"), "-o", str(tmp_path / "t.png"), "--band", "2"]) == 0
    out, err = capsys.readouterr()
    assert "m.png is mostly white" in err and err.startswith("hdmatt: warning: ") and "% unknown" in out


def test_a_mask_that_leaves_nothing_known_says_what_is_odd_about_it(tmp_path):
    with pytest.raises(InputError, match="no sure foreground left, and it is white on 4 of 10000 pixels only"):
        hdmatt.make_trimap(square(2), band=3)


def test_a_mask_of_zeros_and_ones_in_eight_bits_is_told(tmp_path):
    Image.fromarray(disc().astype(np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(InputError, match="black everywhere: its largest value is 1 of 255") as raised:
        hdmatt.make_trimap(tmp_path / "m.png")
    assert "a / a.max() * 255" in raised.value.hint
    with pytest.raises(InputError, match="largest value is 1 of 255") as raised:
        hdmatt.make_trimap(disc().astype(np.uint8))
    assert "mask > 0" in raised.value.hint
