"""Trimaps from masks: bands exact to the pixel, every kind of mask, and what is refused."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_exr import layer, save_exr, windows

import hdmatt
from hdmatt.errors import InputError, OutputError
from hdmatt.trimaps import fixed
from hdmatt.trimaps.make import write_trimap
from hdmatt.trimaps.mask_rows import EnlargedMask, WholeMask, three_values
from hdmatt.trimaps.masks import MaskSource
from hdmatt.trimaps.widths import BandWidths, Width


def disc(height=60, width=80, radius=20, at=(30, 40)):
    y, x = np.mgrid[:height, :width]
    return np.hypot(y - at[0], x - at[1]) <= radius


def slowly(mask, inside, outside):
    """The definition, pixel by pixel: every pixel within the width is on the same side."""
    ys, xs = np.mgrid[: mask.shape[0], : mask.shape[1]]
    trimap = np.full(mask.shape, 128, np.uint8)
    for y, x in np.ndindex(mask.shape):
        squared = (ys - y) ** 2 + (xs - x) ** 2
        if mask[squared <= inside**2].all():
            trimap[y, x] = 255
        elif not mask[squared <= outside**2].any():
            trimap[y, x] = 0
    return trimap


@pytest.mark.parametrize(("inside", "outside"), [(0, 0), (1, 0), (3, 5), (7, 2)])
def test_the_band_is_the_erosion_of_both_sides_by_exact_discs(inside, outside):
    mask = disc(30, 34, 11, (14, 20))
    trimap = hdmatt.make_trimap(mask, band=0, inside=inside, outside=outside)
    np.testing.assert_array_equal(trimap, slowly(mask, inside, outside))


@pytest.mark.release
@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 60), st.integers(0, 2**31))
def test_rows_made_in_bands_are_those_of_the_whole_mask(inside, outside, rows, seed):
    mask = cv2.GaussianBlur(np.random.default_rng(seed).random((70, 30)), (0, 0), 9)
    values = np.where(mask > np.median(mask), 255, 0).astype(np.uint8)
    whole = np.concatenate(list(fixed.fixed_band_rows(WholeMask(values), inside=inside, outside=outside)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed, "_ROWS", rows)
        bands = list(fixed.fixed_band_rows(WholeMask(values), inside=inside, outside=outside))
    np.testing.assert_array_equal(np.concatenate(bands), whole)
    assert len(bands) == -(-70 // max(rows, inside, outside))


def test_a_mask_that_leaves_the_picture_has_no_band_along_the_border():
    mask = np.zeros((40, 40), bool)
    mask[20:] = True
    trimap = hdmatt.make_trimap(mask, band=4)
    assert (trimap[24:] == 255).all() and (trimap[:16] == 0).all() and (trimap[16:24] == 128).all()


@pytest.mark.parametrize(
    ("text", "pixels"), [(20, 20), ("20", 20), ("20px", 20), (" 20 px ", 20), ("10%", 50), ("0.5%", 2), (2.6, 3)]
)
def test_a_width_is_pixels_or_percent_of_the_diagonal(text, pixels):
    assert Width.parse(text).pixels(300, 400) == pixels  # a diagonal of 500


@pytest.mark.parametrize("text", ["wide", "-3", "101%", "", "3 %%", "nan", "1e3"])
def test_what_is_no_width_is_refused(text):
    with pytest.raises(InputError, match="not a band's width"):
        Width.parse(text)


def test_the_band_is_automatic_with_a_picture_and_two_percent_without():
    assert BandWidths.parse(None, None, None, picture=True) == BandWidths(True, None, None)
    assert BandWidths.parse(None, None, 5, picture=False) == BandWidths(False, Width(2, True), Width(5, False))
    with pytest.raises(InputError, match="needs the picture") as error:
        BandWidths.parse("auto", None, None, picture=False)
    assert "--band 2%" in error.value.hint


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float16])
def test_what_is_neither_black_nor_white_is_unknown_in_every_depth(dtype):
    white = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    values = np.array([[0, 0.04, 0.06, 0.5, 0.94, 0.96, 1]]) * white
    np.testing.assert_array_equal(three_values(values.astype(dtype)), [[0, 0, 128, 128, 128, 255, 255]])


def test_soft_parts_of_a_matte_are_unknown_however_far_from_its_edge():
    alpha = np.where(disc(), 1.0, 0.0).astype(np.float32)
    alpha[2:5, 2:5] = 0.3
    trimap = hdmatt.make_trimap(alpha, band=2)
    assert (trimap[0:7, 2:5] == 128).all() and trimap[30, 40] == 255 and trimap[50, 5] == 0


MASKS = {
    "grey.png": lambda path, mask: Image.fromarray(mask).save(path),
    "one-bit.png": lambda path, mask: Image.fromarray(mask > 0).save(path),
    "rgb.png": lambda path, mask: Image.fromarray(np.repeat(mask[..., None], 3, 2)).save(path),
    "palette.png": lambda path, mask: Image.fromarray(mask).convert("P").save(path),
    "sixteen.tif": lambda path, mask: tifffile.imwrite(path, mask.astype(np.uint16) * 257),
    "float.tif": lambda path, mask: tifffile.imwrite(path, mask.astype(np.float32) / 255),
    "photo.jpg": lambda path, mask: Image.fromarray(mask).save(path, quality=90),
    "cut-out.png": lambda path, mask: Image.fromarray(np.dstack([noise(mask.shape), mask])).save(path),
    "opaque.png": lambda path, mask: Image.fromarray(np.dstack([mask] * 3 + [np.full_like(mask, 255)])).save(path),
    "cut-out.webp": lambda path, mask: Image.fromarray(np.dstack([noise(mask.shape), mask])).save(path, lossless=True),
}


def noise(size):
    return np.random.default_rng(1).integers(0, 255, (*size, 3), np.uint8)


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_is_read_from(name, tmp_path):
    mask = np.where(disc(), np.uint8(255), np.uint8(0))
    MASKS[name](tmp_path / name, mask)
    made = write_trimap(MaskSource(tmp_path / name), tmp_path / "trimap.png", band=6)
    trimap = np.asarray(Image.open(tmp_path / "trimap.png"))
    wanted = hdmatt.make_trimap(mask, band=6)
    if name == "photo.jpg":  # its ripples are 5 % at most, but the edge itself is soft
        assert (trimap[wanted == 128] == 128).all() and np.mean(trimap != wanted) < 0.02
    else:
        np.testing.assert_array_equal(trimap, wanted)
    shares = made.foreground_share, made.unknown_share, made.background_share
    assert shares == pytest.approx([np.mean(trimap == value) for value in (255, 128, 0)], abs=1e-12)
    assert (made.width, made.height, made.band) == (80, 60, "6 px")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_a_trimap_is_written_as_exactly_three_values(suffix, tmp_path):
    write_trimap(MaskSource(disc()), tmp_path / f"trimap{suffix}", band=6)
    pixels = np.asarray(Image.open(tmp_path / f"trimap{suffix}"))
    grey = pixels[..., 0] if pixels.ndim == 3 else pixels
    assert pixels.dtype == np.uint8 and set(np.unique(pixels)) == {0, 128, 255}
    np.testing.assert_array_equal(grey, hdmatt.make_trimap(disc(), band=6))


@pytest.mark.parametrize("name", ["trimap.jpg", "trimap.exr"])
def test_formats_that_change_the_three_values_are_refused(name, tmp_path):
    with pytest.raises(OutputError, match="exactly 0, 128 and 255"):
        write_trimap(MaskSource(disc()), tmp_path / name, band=6)
    assert list(tmp_path.iterdir()) == []


def test_a_turned_cut_out_is_upright(tmp_path):
    mask = np.where(disc(at=(20, 30)), np.uint8(255), np.uint8(0))
    exif = Image.Exif()
    for orientation, back in {3: np.rot90(mask, 2), 6: np.rot90(mask), 2: mask[:, ::-1], 8: np.rot90(mask, 3)}.items():
        exif[0x112] = orientation
        rgba = np.dstack([np.zeros((*back.shape, 3), np.uint8), back])
        Image.fromarray(rgba).save(tmp_path / "turned.png", exif=exif)
        np.testing.assert_array_equal(
            hdmatt.make_trimap(tmp_path / "turned.png", band=3), hdmatt.make_trimap(mask, band=3), str(orientation)
        )


def test_a_photograph_is_no_mask(tmp_path):
    Image.fromarray(noise((60, 80))).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match="looks like a colour picture") as error:
        hdmatt.make_trimap(tmp_path / "photo.png")
    assert "--box" in error.value.hint and "--scribbles" in error.value.hint


@pytest.mark.parametrize(("value", "word"), [(0, "black"), (255, "white")])
def test_a_mask_of_one_kind_is_refused(value, word):
    with pytest.raises(InputError, match=f"{word} everywhere"):
        hdmatt.make_trimap(np.full((20, 20), value, np.uint8), band=2)


def test_a_mask_without_a_sure_side_makes_a_trimap_without_it():
    smoke = np.where(disc(), np.float32(0.4), np.float32(0))
    trimap = hdmatt.make_trimap(smoke, band=3)
    assert (trimap[disc()] == 128).all() and set(np.unique(trimap)) == {0, 128}


def test_a_band_that_leaves_nothing_known_on_a_side_is_refused(tmp_path):
    with pytest.raises(InputError, match="band of 25 px has no sure foreground left"):
        write_trimap(MaskSource(disc()), tmp_path / "trimap.png", band=25)
    with pytest.raises(InputError, match="no sure background left"):
        hdmatt.make_trimap(~disc(), band=25)
    assert list(tmp_path.iterdir()) == []


def test_a_mask_of_another_size_is_refused_or_fitted():
    small, picture = disc(30, 40, 10, (15, 20)), noise((60, 80))
    with pytest.raises(InputError, match="40x30 but the picture is 80x60") as error:
        hdmatt.make_trimap(small, picture, band=4)
    assert "--fit" in error.value.hint
    fitted = hdmatt.make_trimap(MaskSource(small, fit=True), picture, band=4)
    exact = hdmatt.make_trimap(disc(60, 80, 20.5, (30.5, 40.5)), band=4)
    assert np.mean(fitted != exact) < 0.1  # a step of two pixels on either side
    assert fitted.shape == (60, 80)
    assert not ((fitted == 255) & (exact == 0)).any() and not ((fitted == 0) & (exact == 255)).any()
    reduced = hdmatt.make_trimap(MaskSource(disc(120, 160, 40, (60, 80)), fit=True), picture, band=4)
    assert reduced.shape == (60, 80) and np.mean(reduced != exact) < 0.1
    with pytest.raises(InputError, match="but the picture is") as error:
        hdmatt.make_trimap(MaskSource(disc(60, 60), fit=True), picture, band=4)
    assert "--fit" not in error.value.hint


@pytest.mark.parametrize("channel", ["Y", "mask.A"])
def test_masks_and_trimaps_of_an_exr_lie_where_its_windows_say(tmp_path, channel):
    shown, mask = (0, 0, 80, 60), np.ascontiguousarray(disc()[8:52, 15:66], np.float32)
    small = save_exr(tmp_path / "mask.exr", {channel: mask}, **windows((15, 8, 51, 44), shown))
    channels = layer("", 1, 1, 1, height=50, width=70)
    picture = save_exr(tmp_path / "picture.exr", channels, **windows((5, 5, 70, 50), shown))
    made = hdmatt.make_trimap(small, picture, band=3)
    expected = hdmatt.make_trimap(disc(), band=3)
    np.testing.assert_array_equal(made, expected[5:55, 5:75])
    for name, marks in (("shown.png", expected), ("same.png", made)):
        Image.fromarray(marks).save(tmp_path / name)
        found = hdmatt.check_trimap(tmp_path / name, picture, small)
        assert (found.width, found.height) == (70, 50) and "size" not in [finding.name for finding in found.findings]
    away = save_exr(tmp_path / "away.exr", {channel: mask}, **windows((200, 8, 51, 44), shown))
    for refused in (lambda: hdmatt.make_trimap(away, picture, band=3), lambda: hdmatt.check_trimap(away, picture)):
        with pytest.raises(InputError, match="display window"):
            refused()


def test_an_enlarged_mask_is_the_same_in_any_bands():
    small = np.random.default_rng(0).random((9, 7), np.float32)
    mask = EnlargedMask(small, height=43, width=33, step=(5, 5))
    whole = mask.rows(0, 43)
    cuts = [0, 1, 2, 17, 43]
    np.testing.assert_array_equal(np.concatenate([mask.rows(a, b) for a, b in pairwise(cuts)]), whole)
    assert set(
        np.unique(EnlargedMask(np.eye(9, 7, dtype=np.float32), height=43, width=33, step=(5, 5)).rows(0, 43))
    ) == {
        0,
        128,
        255,
    }


@pytest.mark.parametrize(
    ("source", "picture", "text"),
    [
        (MaskSource(), False, "there is no mask"),
        (MaskSource(box=(1, 1, 9, 9)), False, "needs the picture"),
        (MaskSource(disc(), box=(1, 1, 9, 9)), True, "was given, too"),
        (MaskSource(disc(), layer="a"), False, "an array was given"),
        (MaskSource(disc(), layer="a", scribbles=("red", "blue")), True, "at once"),
        (MaskSource(box=(9, 1, 9, 9)), True, "the box is 9 1 9 9"),
        (MaskSource(box=(0, 0, 81, 9)), True, "the picture is 80x60"),
        (MaskSource(box=(0, 0, 80, 60)), True, "fills the picture"),
        (MaskSource(disc(), fit=True), False, "--fit needs the picture"),
        (MaskSource(noise((60, 80)), scribbles=("#ff0000", "#f80000")), True, "too much alike"),
        (MaskSource(np.zeros((60, 80, 3), np.uint8), scribbles=("red", "blue")), True, "no stroke of the colour red"),
        (MaskSource(np.zeros((60, 81, 3), np.uint8), scribbles=("red", "blue")), True, "81x60 but the picture is"),
    ],
)
def test_sources_that_make_no_mask_are_refused(source, picture, text):
    with pytest.raises(InputError, match=text) as error:
        hdmatt.make_trimap(source, noise((60, 80)) if picture else None, band=2)
    assert error.value.hint


@pytest.fixture(scope="module")
def ball():
    """A red ball on a green ground, with noise."""
    picture = np.where(disc(90, 120, 30, (45, 60))[..., None], (200, 60, 40), (40, 160, 60))
    return (picture + np.random.default_rng(0).integers(-20, 20, picture.shape)).clip(0, 255).astype(np.uint8)


def test_a_box_finds_what_lies_in_it(ball):
    trimap = hdmatt.make_trimap(MaskSource(box=(24, 10, 96, 80)), ball, band=3)
    exact = hdmatt.make_trimap(disc(90, 120, 30, (45, 60)), band=0)
    assert (trimap[exact == 255] != 0).all() and (trimap[exact == 0] != 255).all()
    assert np.mean(trimap == 128) < 0.15
    np.testing.assert_array_equal(trimap, hdmatt.make_trimap(MaskSource(box=(24, 10, 96, 80)), ball, band=3))


def test_strokes_say_what_is_foreground_and_stay_known(ball):
    strokes = ball.copy()
    cv2.line(strokes, (40, 45), (80, 45), (0, 0, 255), 3)
    cv2.line(strokes, (5, 5), (115, 5), (255, 255, 0), 3)
    cv2.circle(strokes, (60, 80), 2, (255, 255, 0), -1)  # background beside the ball, within the band
    trimap = hdmatt.make_trimap(MaskSource(strokes, scribbles=("blue", "#ffff00")), ball, band=8)
    exact = hdmatt.make_trimap(disc(90, 120, 30, (45, 60)), band=0)
    assert (trimap[exact == 255] != 0).all()
    assert trimap[45, 60] == 255 and trimap[5, 50] == 0 and trimap[80, 60] == 0
    assert trimap[80, 54] == 128


def test_a_mask_that_is_cut_short_is_not_taken_for_a_photograph(tmp_path):
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8))
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(InputError, match="damaged") as error:
        hdmatt.make_trimap(path, band=5)
    assert error.value.hint and "--box" not in error.value.hint
