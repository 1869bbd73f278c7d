"""CMYK pictures with a profile, and without."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from small_pictures import HEIGHT, WIDTH, noise, whole
from small_profiles import ink_profile, save_inks, save_psd

from hdmatt.errors import InputError
from hdmatt.pictures.colours.colour import linear_to_srgb
from hdmatt.pictures.files import inks
from hdmatt.pictures.reader import open_picture
from hdmatt.pictures.trimap import open_trimap

PAPER = np.ones((1, 3))
FILTERS = np.array([[0.1, 0.5, 0.8], [0.7, 0.1, 0.3], [0.9, 0.8, 0.1], [0, 0, 0]])  # of each ink
NOTE = ("holds CMYK colours, which became sRGB by its ICC profile",)


def printed(inks: np.ndarray) -> np.ndarray:
    """Linear light of inks [n, 4] that filter the paper's."""
    return PAPER * np.prod(1 - inks[..., None] * (1 - FILTERS), axis=1)


PROFILE = ink_profile(printed)
CORNERS = np.array([[n >> 3 & 1, n >> 2 & 1, n >> 1 & 1, n & 1] for n in range(16)], np.uint8)


def save(path: Path, inks: np.ndarray) -> Path:
    return save_inks(path, inks, PROFILE)


def by_littlecms(inks: np.ndarray) -> np.ndarray:
    image = Image.fromarray(inks, mode="CMYK")
    to = ImageCms.createProfile("sRGB")
    flags, intent = ImageCms.Flags.BLACKPOINTCOMPENSATION, ImageCms.Intent.RELATIVE_COLORIMETRIC
    return np.asarray(
        ImageCms.profileToProfile(image, BytesIO(PROFILE), to, renderingIntent=intent, outputMode="RGB", flags=flags)
    )


def test_paper_inks_and_their_mixtures_have_the_colours_of_the_profile(tmp_path):
    shown = np.repeat(np.repeat(CORNERS.reshape(4, 4, 4), 8, 0), 8, 1) * np.uint8(255)
    found = whole(save(tmp_path / "a.tif", shown))[4::8, 4::8].astype(float)
    expected = 255 * linear_to_srgb(np.float32(printed(CORNERS))).reshape(4, 4, 3)
    # 4: the profile holds whole numbers of L, a and b
    np.testing.assert_allclose(found, expected, atol=4)


@pytest.mark.parametrize("name", ["a.tif", "tiled.tif", "a.psd"])
def test_inks_become_what_littlecms_makes_of_them(tmp_path, name):
    inks = noise(4)
    np.testing.assert_array_equal(whole(save(tmp_path / name, inks)), by_littlecms(inks))
    with open_picture(tmp_path / name) as picture:
        assert picture.info.notes == NOTE and picture.info.icc is None and picture.info.encoding.name == "sRGB"


def test_inks_of_a_jpeg_do_too_and_any_rows_of_it(tmp_path):
    path = save(tmp_path / "a.jpg", noise(4))
    expected = by_littlecms(np.asarray(Image.open(path)))
    np.testing.assert_array_equal(whole(path), expected)
    with open_picture(path) as picture:
        assert picture.info.notes == NOTE and picture.info.whole_bytes == HEIGHT * WIDTH * 4
        for y0 in (HEIGHT - 5, 0, 7):
            np.testing.assert_array_equal(picture.rows(y0, y0 + 5), expected[y0 : y0 + 5])


def test_a_jpeg_that_is_open_twice_is_decoded_once_and_forgotten_when_it_is_closed(tmp_path, monkeypatch):
    path, loads = save(tmp_path / "a.jpg", noise(4)), []
    decode = inks._decode
    monkeypatch.setattr(inks, "_decode", lambda *given: loads.append(given) or decode(*given))
    with open_picture(path) as one, open_picture(path) as other:
        np.testing.assert_array_equal(one.rows(0, HEIGHT), other.rows(0, HEIGHT))
    assert len(loads) == 1 and not inks._open_now
    save(path, 255 - noise(4))
    np.testing.assert_array_equal(whole(path), by_littlecms(np.asarray(Image.open(path))))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_inks_of_every_psd_become_what_littlecms_makes_of_them(tmp_path, big, bits, packed, alpha):
    inks = noise(4)
    inks[:, 9:20] = inks[:, 9:10]  # runs
    path = save_psd(tmp_path / "a.psd", inks, PROFILE, bits=bits, big=big, packed=packed, alpha=alpha)
    expected = by_littlecms(inks)
    with open_picture(path) as picture:
        for y0, y1 in ((0, HEIGHT), (HEIGHT - 3, HEIGHT), (4, 9)):
            np.testing.assert_array_equal(picture.rows(y0, y1), expected[y0:y1])
        deep = " of 8 bit" * (bits == 16)
        assert picture.info.notes == (f"holds CMYK colours, which became sRGB{deep} by its ICC profile",)
        assert picture.info.whole_bytes == 0


def test_a_psd_of_inks_that_is_cut_short_is_damaged(tmp_path):
    path = save_psd(tmp_path / "a.psd", noise(4), PROFILE, packed=True)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputError, match="damaged or cut short"):
        whole(path)


def test_inks_of_16_bit_become_8_bit_and_a_note_says_so(tmp_path):
    inks = noise(4)
    path = save(tmp_path / "a.tif", inks.astype(np.uint16) * 257)
    np.testing.assert_array_equal(whole(path), by_littlecms(inks))
    with open_picture(path) as picture:
        assert picture.info.notes == ("holds CMYK colours, which became sRGB of 8 bit by its ICC profile",)


def test_a_turned_jpeg_is_turned_once(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    Image.fromarray(noise(4), mode="CMYK").save(path, quality=100, icc_profile=PROFILE, exif=exif)
    np.testing.assert_array_equal(whole(path), np.rot90(by_littlecms(np.asarray(Image.open(path))), 3))


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_a_profile_that_cannot_be_used_leaves_the_plain_formula(tmp_path, name):
    path = save_inks(tmp_path / name, noise(4), PROFILE[:140] + bytes(60))
    with open_picture(path) as picture:
        assert picture.info.notes[0].endswith("by the plain formula, not by its ICC profile")


def test_the_inks_of_a_trimap_are_its_numbers(tmp_path):
    marks = np.random.default_rng(0).choice(np.array([0, 128, 255], np.uint8), (HEIGHT, WIDTH))
    inks = np.dstack([np.zeros((HEIGHT, WIDTH, 3), np.uint8), 255 - marks])
    with open_trimap(save(tmp_path / "a.tif", inks)) as trimap:
        np.testing.assert_array_equal(trimap.rows(0, HEIGHT), marks)


def test_a_jpeg_of_inks_that_is_cut_short_is_damaged(tmp_path):
    path = save(tmp_path / "a.jpg", noise(4))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(InputError, match="damaged or cut short"):
        whole(path)
