"""What programs hold in memory is taken for what it is, or refused with one thing to do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hdmatt.errors import InputError
from hdmatt.pictures.objects import array_of, path_or_array
from hdmatt.pictures.reader import ArrayReader

GREY = np.arange(240, dtype=np.uint8).reshape(12, 20)
COLOURS = np.dstack([GREY, 255 - GREY, GREY // 2 + 60])


def rows(value):
    """As the reader hands them out: RGB in the picture's own depth."""
    reader = ArrayReader(array_of(value, "the picture"))
    return reader.rows(0, reader.info.height)


def three(grey):
    return np.repeat(grey[..., None], 3, 2)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "RGBa"])
def test_colours_of_a_pil_picture_are_those_of_its_array(mode):
    picture = Image.fromarray(COLOURS)
    picture = picture.convert("RGBA").convert("RGBa") if mode == "RGBa" else picture.convert(mode)
    np.testing.assert_array_equal(rows(picture), COLOURS)


# a palette of 256 holds all colours here; the others go through Pillow's 8-bit rounding of another colour space
@pytest.mark.parametrize(("mode", "off"), [("P", 0), ("CMYK", 0), ("YCbCr", 3), ("HSV", 6), ("LAB", 8)])
def test_pil_pictures_of_other_colour_spaces_are_converted(mode, off):
    from PIL import ImageCms

    colours = COLOURS // 4 + np.uint8(96)  # inside of every space
    picture = Image.fromarray(colours)
    if mode == "P":
        picture = picture.quantize(256, dither=Image.Dither.NONE)
        off = int(np.abs(np.asarray(picture.convert("RGB")).astype(int) - colours).max())
    elif mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
    else:
        picture = picture.convert(mode)
    assert picture.mode == mode
    assert np.abs(rows(picture).astype(int) - colours).max() <= off


@pytest.mark.parametrize("mode", ["L", "LA", "La", "1", "I;16", "I;16B", "F"])
def test_grey_pil_pictures_keep_their_numbers(mode):
    if mode == "1":
        grey = GREY > 100
        np.testing.assert_array_equal(rows(Image.fromarray(grey)), three(np.where(grey, 255, 0)))
    elif mode.startswith("I"):
        grey = GREY.astype(">u2" if mode.endswith("B") else "<u2") * 257
        picture = Image.frombytes(mode, (20, 12), grey.tobytes())
        found = rows(picture)
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found, three(grey))
    elif mode == "F":
        np.testing.assert_array_equal(rows(Image.fromarray(GREY / np.float32(255))), three(GREY / np.float32(255)))
    else:
        picture = Image.fromarray(GREY).convert("LA")
        np.testing.assert_array_equal(
            rows(picture.convert("La") if mode == "La" else picture.convert(mode)), three(GREY)
        )


def test_16_bits_in_mode_i_stay_and_what_may_be_8_or_16_is_refused():
    np.testing.assert_array_equal(
        rows(Image.fromarray(GREY.astype(np.int32) * 257)), three(GREY.astype(np.uint16) * 257)
    )
    for grey in (GREY.astype(np.int32), GREY.astype(np.int32) - 1, GREY.astype(np.int32) * 300):
        with pytest.raises(InputError, match=r"mode I with values from -?\d+ to \d+, which may mean 8 or 16 bit"):
            array_of(Image.fromarray(grey), "the picture")


def test_alpha_of_a_pil_picture_is_known_as_for_arrays():
    transparent = Image.fromarray(np.dstack([COLOURS, GREY]))
    for picture in (transparent, transparent.quantize(200), Image.merge("LA", [Image.fromarray(GREY)] * 2)):
        assert ArrayReader(array_of(picture, "the picture")).info.has_alpha


@pytest.mark.parametrize(
    "kind", ["int64", "int16", "uint32", "bool", "list", "tuple", "tensor", "gradient", "bfloat16"]
)
def test_numbers_of_other_types_keep_their_meaning(kind):
    value, wanted = COLOURS, COLOURS
    if kind == "bool":
        value, wanted = COLOURS > 100, np.where(COLOURS > 100, 255, 0)
    elif kind in ("list", "tuple"):
        value = COLOURS.tolist() if kind == "list" else tuple(map(tuple, COLOURS.tolist()))
    elif kind == "tensor":
        value = torch.from_numpy(COLOURS)
    elif kind == "gradient":
        value = torch.from_numpy(COLOURS / np.float32(255)).requires_grad_()
        wanted = COLOURS / np.float32(255)
    elif kind == "bfloat16":
        value = (torch.from_numpy(COLOURS) / 256).bfloat16()
        wanted = np.asarray(value.float())
    else:
        value = COLOURS.astype(kind)
    np.testing.assert_array_equal(rows(value), wanted)


def test_bytes_in_any_order_and_place_are_the_same_picture():
    wide = COLOURS.astype(np.uint16) * 257
    readonly = wide.copy()
    readonly.flags.writeable = False
    turned = np.asfortranarray(wide)
    padded = np.zeros((24, 40, 6), np.uint16)
    padded[::2, ::2, ::2] = wide
    for same in (
        wide.astype(">u2"),
        wide.astype("<u2"),
        wide[::-1].copy()[::-1],
        readonly,
        turned,
        padded[::2, ::2, ::2],
    ):
        np.testing.assert_array_equal(rows(same), wide)
    np.testing.assert_array_equal(rows(np.ma.MaskedArray(wide, mask=False)), wide)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the trimap is None, we need a path"),
        (3, "the trimap is an int, we need a path"),
        (b"\x89PNG", "the trimap is a bytes, we need a path"),
        ({"a": 1}, "the trimap is a dict, we need a path"),
        ([[1, 2], [3]], "the trimap is a list that is no array"),
        ([["a", "b"]], "the trimap is a list of <U1, we need a path"),
        ([[None, 1]], "the trimap is a list, we need a path"),
        (np.zeros((2, 2), complex), "the trimap is a numpy.ndarray of complex128"),
        (np.array([[0, 70000]]), "the trimap is an array of int64 with values from 0 to 70000"),
        (np.array([[-1, 5]]), "the trimap is an array of int64 with values from -1 to 5"),
        (np.ma.MaskedArray([[1, 2]], mask=[[0, 1]]), "the trimap is an array with 1 masked values"),
        (torch.zeros(2, 2).to_sparse(), "the trimap is a tensor of torch.float32, torch.sparse_coo"),
        (torch.zeros(2, 2, dtype=torch.complex64), "the trimap is a torch.Tensor of torch.complex64"),
        (object(), "the trimap is an object, we need a path"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_picture_is_refused_with_one_thing_to_do(value, message):
    with pytest.raises(InputError) as caught:
        path_or_array(value, "the trimap")
    assert caught.value.message.startswith(message)
    assert caught.value.hint


def test_text_and_path_like_objects_are_paths():
    class Somewhere:
        def __fspath__(self):
            return b"a/b.png"

    assert path_or_array("a/b.png", "the picture") == path_or_array(Somewhere(), "the picture") == Path("a/b.png")


def test_a_pil_file_that_is_cut_short_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60_000])
    with Image.open(tmp_path / "cut.png") as picture, pytest.raises(InputError, match="cannot be read"):
        array_of(picture, "the picture")
