"""Every kind of TIFF: the pixels that another reader sees, or a refusal that says what it is."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from small_pictures import HEIGHT, WIDTH, noise, photo, whole

from hdmatt.errors import InputError
from hdmatt.pictures.reader import as_float, open_picture
from hdmatt.pictures.trimap import open_trimap

WHITE_IS_ZERO = {"photometric": "miniswhite"}


def integers(bits: int, channels: int = 1) -> np.ndarray:
    values = np.random.default_rng(bits).integers(0, 2**bits, (HEIGHT, WIDTH, channels), np.uint64)
    values[0, 0], values[0, 1] = 0, 2**bits - 1
    return values.astype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)


def tiff(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, pixels[..., 0] if pixels.shape[-1] == 1 else pixels, **options)
    return path


def assert_shares(path: Path, shares: np.ndarray, *, within: float) -> None:
    """The picture's colours, as parts of white."""
    np.testing.assert_allclose(as_float(whole(path)), np.broadcast_to(shares, (HEIGHT, WIDTH, 3)), atol=within)


LAYOUTS: list[dict[str, Any]] = [{}, {"tile": (16, 16)}]
# tifffile cannot compress packed numbers, and swaps their bytes for ">", which the specification does not
GREYS = [(bits, layout) for bits in (1, 2, 4, 6, 8, 10, 12, 14, 16, 32) for layout in LAYOUTS]
GREYS += [(bits, layout) for bits in (8, 16, 32) for layout in ({"byteorder": ">"}, {"compression": "lzw"})]


@pytest.mark.parametrize(("bits", "layout"), GREYS)
@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
def test_grey_of_every_depth_is_what_its_label_says(tmp_path, photometric, bits, layout):
    pixels = integers(bits)
    stored = pixels > 0 if bits == 1 else pixels
    path = tiff(tmp_path / "a.tif", stored, photometric=photometric, bitspersample=bits, **layout)
    shares = pixels / (2**bits - 1)
    # OpenImageIO widens 6 and 10 to 14 bit by repeating bits, which rounds down: a step of what it widens to
    step = 1.01 / 255 if bits < 8 else 1.01 / 65535
    assert_shares(path, 1 - shares if photometric == "miniswhite" else shares, within=step)


@pytest.mark.parametrize("bits", [4, 8, 12, 16, 32])
@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
def test_a_trimap_of_every_depth_is_what_its_label_says(tmp_path, photometric, bits):
    marks = np.random.default_rng(0).choice([0, 128, 255], (HEIGHT, WIDTH))
    white = 2**bits - 1
    values = np.select([marks == 255, marks == 128], [white, 1 << (bits - 1)], 0)
    stored = white - values if photometric == "miniswhite" else values
    path = tiff(tmp_path / "t.tif", stored.astype(integers(bits).dtype), photometric=photometric, bitspersample=bits)
    with open_trimap(path) as trimap:
        np.testing.assert_array_equal(trimap.rows(0, HEIGHT), marks)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("layout", [{"planarconfig": "contig"}, {"planarconfig": "contig", "tile": (16, 16)}])
def test_the_alpha_of_a_min_is_white_picture_is_no_complement(tmp_path, bits, layout):
    pixels = integers(bits, 2)
    path = tiff(tmp_path / "a.tif", pixels, extrasamples=["unassalpha"], **WHITE_IS_ZERO, **layout)
    white = 2**bits - 1
    assert_shares(path, (white - pixels[..., :1]) / white, within=1e-6)
    with open_picture(path, part="alpha") as alpha:
        np.testing.assert_array_equal(alpha.colours(0, HEIGHT, 0, WIDTH), pixels[..., 1:])
    associated = tiff(tmp_path / "b.tif", pixels, extrasamples=["assocalpha"], **WHITE_IS_ZERO, **layout)
    with pytest.raises(InputError, match="multiplied by its alpha, and nobody can tell"):
        open_picture(associated)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_white_of_min_is_white_floats_is_unknown(tmp_path, dtype):
    with pytest.raises(InputError, match=r"min-is-white picture of (half|float) numbers, and nobody can tell") as error:
        open_picture(tiff(tmp_path / "a.tif", noise(1, dtype), **WHITE_IS_ZERO))
    assert error.value.hint == "Save it as min-is-black (BlackIsZero)."


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_signed_integers_have_no_white(tmp_path, dtype, channels):
    path = tiff(tmp_path / "a.tif", noise(channels).astype(dtype), photometric="rgb" if channels == 3 else "minisblack")
    with pytest.raises(InputError, match="signed integers, and nobody can tell which number is black"):
        open_picture(path)


@pytest.mark.parametrize("largest", [200, 60000])
def test_small_numbers_in_32_bits_are_refused_and_mended_by_the_command(tmp_path, largest):
    pixels = np.rint(noise(3) / 255 * largest).astype(np.uint32)
    path = tiff(tmp_path / "a.tif", pixels, photometric="rgb")
    with pytest.raises(
        InputError, match=f"integers of 32 bit up to {pixels.max()}, where white is 4294967295"
    ) as error:
        open_picture(path)
    exec(shlex.split(error.value.hint)[-1], {})
    kind = "uint8" if largest == 200 else "uint16"
    np.testing.assert_array_equal(whole(tmp_path / f"a.{kind}.tif"), pixels)
    assert whole(tmp_path / f"a.{kind}.tif").dtype == kind


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"planarconfig": "separate"},
        {"tile": (16, 16)},
        {"planarconfig": "separate", "tile": (16, 16)},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "lzw", "predictor": 2},
        {"compression": "packbits"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float16, np.float32])
def test_rgb_of_every_layout_is_what_was_written(tmp_path, layout, dtype):
    if "predictor" in layout and np.dtype(dtype).kind == "f":
        layout = {"compression": "deflate", "predictor": 3}
    pixels = integers(32, 3) if dtype == np.uint32 else noise(3, dtype)
    stored = pixels.transpose(2, 0, 1) if layout.get("planarconfig") == "separate" else pixels
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", **layout)
    got = whole(tmp_path / "a.tif")
    if dtype == np.uint32:
        np.testing.assert_allclose(got, pixels / (2**32 - 1), rtol=1e-7)  # half a step of float32
    else:
        np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize(
    "extras", [["unspecified"], ["unspecified"] * 3, ["unspecified", "unassalpha"], ["unassalpha"]]
)
@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_channels_beyond_the_colours_are_left_out(tmp_path, photometric, extras):
    colours = 3 if photometric == "rgb" else 1
    pixels = noise(colours + len(extras))
    path = tiff(tmp_path / "a.tif", pixels, photometric=photometric, planarconfig="contig", extrasamples=extras)
    if photometric == "minisblack" and len(extras) == 3:
        with pytest.raises(InputError, match=r"grey by its label .* but has 4 channels: either the first") as error:
            open_picture(path)
        assert error.value.hint.endswith(f"oiiotool {path} --ch 0,1,2 -o {path.with_suffix('.rgb.tif')}")
        return
    np.testing.assert_array_equal(whole(path), np.broadcast_to(pixels[..., :colours], (HEIGHT, WIDTH, 3)))
    with open_picture(path) as picture:
        assert picture.info.has_alpha == ("unassalpha" in extras)


def test_two_alphas_are_one_too_many(tmp_path):
    path = tiff(tmp_path / "a.tif", noise(5), photometric="rgb", extrasamples=["assocalpha", "unassalpha"])
    with pytest.raises(InputError, match="has two alpha channels"):
        open_picture(path)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("tile", [{}, {"tile": (16, 16)}])
def test_palettes_are_looked_up_and_turned(tmp_path, orientation, tile):
    palette = (np.random.default_rng(0).integers(0, 256, (3, 256)) * 257).astype(np.uint16)
    numbers = noise(1)
    turned = [(274, 3, 1, orientation, True)]
    path = tiff(tmp_path / "a.tif", numbers, photometric="palette", colormap=palette, extratags=turned, **tile)
    colours = (palette[:, numbers[..., 0]] >> 8).transpose(1, 2, 0)
    np.testing.assert_array_equal(whole(path), np.rot90(colours, {1: 0, 3: 2, 6: 3}[orientation]))


def test_a_palette_of_16_bit_is_refused_because_openimageio_looks_up_half_of_the_number(tmp_path):
    palette = np.zeros((3, 65536), np.uint16)
    path = tiff(tmp_path / "a.tif", noise(1, np.uint16), photometric="palette", colormap=palette)
    with pytest.raises(InputError, match="has a palette of more than 256 colours"):
        open_picture(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("tile", [{}, {"tile": (16, 16)}])
def test_cmyk_is_white_without_ink(tmp_path, dtype, tile):
    pixels = noise(4, dtype)
    path = tiff(tmp_path / "a.tif", pixels, photometric="separated", **tile)
    shares = 1 - pixels / np.iinfo(dtype).max
    # one step of 8 bit, since OpenImageIO rounds down; Pillow and ImageMagick know no other formula without a profile
    assert_shares(path, shares[..., :3] * shares[..., 3:], within=1 / np.iinfo(dtype).max)


def test_a_palette_of_numbers_up_to_255_would_be_black(tmp_path):
    palette = np.random.default_rng(0).integers(1, 256, (3, 256), np.uint16)
    tiff(tmp_path / "a.tif", integers(8), photometric="palette", colormap=palette)
    with pytest.raises(InputError, match="a palette of numbers up to 255, where white is 65535"):
        open_picture(tmp_path / "a.tif")


def test_a_volume_is_no_flat_picture(tmp_path):
    pixels = np.zeros((3, 16, 16), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", volumetric=True, tile=(16, 16, 16))
    with pytest.raises(InputError, match="holds a volume of several slices"):
        open_picture(tmp_path / "a.tif")


def test_ycbcr_is_what_pillow_reads(tmp_path):
    stored = np.array(Image.fromarray(photo()).convert("YCbCr"))
    path = tiff(tmp_path / "a.tif", stored, photometric="ycbcr", subsampling=(1, 1))
    # 3 steps: ours is libtiff's conversion, whose integers round more than Pillow's
    assert_shares(path, photo() / 255, within=3.01 / 255)
    for options, found in (
        ({"extratags": [(274, 3, 1, 6, True)]}, "YCbCr colours and is to be turned"),
        ({"dtype": np.uint16}, "YCbCr colours that are not 8 bit"),
    ):
        dtype = options.pop("dtype", np.uint8)
        path = tiff(tmp_path / "b.tif", stored.astype(dtype), photometric="ycbcr", subsampling=(1, 1), **options)
        with pytest.raises(InputError, match=found):
            open_picture(path)


@pytest.mark.parametrize(
    ("photometric", "channels", "found"),
    [
        ("cielab", 3, "holds CIELab colours"),
        ("cfa", 1, "holds a colour filter array"),
        ("linear_raw", 3, "holds linear raw colours"),
        ("depth_map", 1, "holds a depth map"),
        ("separated", 5, "has 5 inks of uint8"),
    ],
)
def test_what_is_passed_on_unconverted_is_refused_by_name(tmp_path, photometric, channels, found):
    path = tiff(tmp_path / "a.tif", noise(channels), photometric=photometric)
    with pytest.raises(InputError, match=found) as error:
        open_picture(path)
    assert error.value.hint == "Save it as RGB in a program that reads it."


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("rows", [100, 300, 700])
def test_planes_in_strips_of_any_height_are_read_in_any_order(tmp_path, compression, rows):
    pixels = noise(3, np.uint16, 700, 20)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    layout = {"planarconfig": "separate", "rowsperstrip": rows, "compression": compression}
    path = tiff(tmp_path / "a.tif", planes, photometric="rgb", **layout)
    with open_picture(path) as picture:
        for y0, y1 in ((650, 700), (0, 20), (290, 310), (10, 700)):
            np.testing.assert_array_equal(picture.rows(y0, y1), pixels[y0:y1])
