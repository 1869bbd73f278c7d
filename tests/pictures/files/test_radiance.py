"""Radiance pictures (HDR): what their headers say, written line by line."""

from pathlib import Path

import numpy as np
import pytest
from small_profiles import ADOBE

from hdmatt.errors import InputError
from hdmatt.pictures.colours.encoding import LINEAR, Parametric
from hdmatt.pictures.colours.icc import primaries
from hdmatt.pictures.info import InputOptions
from hdmatt.pictures.reader import open_picture

# Greg Ward's resolution strings: which way each axis runs in the file; the first one is that of the scanlines
UPRIGHT = {
    "-Y 3 +X 5": lambda stored: stored,
    "-Y 3 -X 5": lambda stored: stored[:, ::-1],
    "+Y 3 -X 5": lambda stored: stored[::-1, ::-1],
    "+Y 3 +X 5": lambda stored: stored[::-1],
    "+X 3 -Y 5": lambda stored: stored.swapaxes(0, 1),
    "-X 3 -Y 5": lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    "-X 3 +Y 5": lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],
    "+X 3 +Y 5": lambda stored: stored.swapaxes(0, 1)[::-1],
}
MANTISSAS = np.random.default_rng(0).integers(128, 256, (3, 5, 3), np.uint8)  # of numbers from 1/2 to 1


def save(path: Path, *lines: str, layout: str = "-Y 3 +X 5") -> Path:
    head = "\n".join(("#?RADIANCE", "FORMAT=32-bit_rle_rgbe", *lines, "", layout, ""))
    path.write_bytes(head.encode() + np.dstack([MANTISSAS, np.full((3, 5), 128, np.uint8)]).tobytes())
    return path


@pytest.mark.parametrize("layout", UPRIGHT)
def test_the_picture_is_turned_as_its_axes_say(tmp_path, layout):
    expected = UPRIGHT[layout](MANTISSAS / 256)
    with open_picture(save(tmp_path / "a.hdr", layout=layout)) as picture:
        np.testing.assert_allclose(picture.rows(0, picture.info.height), expected, atol=1 / 256)


def test_gamma_and_primaries_count(tmp_path):
    for lines, expected in (
        ((), LINEAR),
        (("GAMMA=1.0",), LINEAR),
        (("GAMMA=2.2",), Parametric(2.2)),
        ((f"PRIMARIES= {' '.join(map(str, ADOBE))}",), primaries(ADOBE)),
    ):
        with open_picture(save(tmp_path / "a.hdr", *lines)) as picture:
            found = picture.info.encoding
        assert expected in (found, *found.curves, found.to_rec709), lines
        assert found.linear == (lines != ("GAMMA=2.2",))


def test_a_transfer_that_the_caller_names_leaves_the_primaries(tmp_path):
    path = save(tmp_path / "a.hdr", f"PRIMARIES={' '.join(map(str, ADOBE))}")
    with open_picture(path, InputOptions(transfer="gamma 2.2")) as picture:
        assert picture.info.encoding.to_rec709 == primaries(ADOBE)


def test_factors_of_the_numbers_are_told_and_left_in_them(tmp_path):
    with open_picture(save(tmp_path / "a.hdr", "EXPOSURE=4", "COLORCORR=1 1 1", "EXPOSURE=1")) as picture:
        assert picture.info.notes == ("says EXPOSURE=4: its numbers, which are kept, were multiplied by that",)
        np.testing.assert_allclose(picture.rows(0, 3), MANTISSAS / 256, atol=1 / 256)


def test_xyz_colours_are_refused_by_name(tmp_path):
    path = save(tmp_path / "a.hdr")
    path.write_bytes(path.read_bytes().replace(b"rgbe\n", b"xyze\n"))
    with pytest.raises(InputError, match="is a Radiance picture of XYZ colours, which we cannot read"):
        open_picture(path)
