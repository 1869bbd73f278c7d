"""Layers, mask and merged picture, read by psd-tools and Pillow."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import Resource
from reference import unpacked_bits
from small_pictures import HEIGHT, WHITE, WIDTH, info, noise, profile

from hdmatt.errors import InputError, OutputError
from hdmatt.pictures.files.packbits import encode_rows
from hdmatt.pictures.files.psd import PsdWriter, check_layered

DEPTHS = ("8", "16")
SUFFIXES = (".psd", ".psb")


def matte(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """All background, then all foreground, with a soft step between them."""
    y, x = np.mgrid[:height, :width]
    return ((x + y - 20) / 16).clip(0, 1).astype(np.float32)


def layers(height: int = HEIGHT, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    colours = noise(6, np.float32, height, width)
    return colours[..., :3].copy(), colours[..., 3:].copy(), matte(height, width)


def write(path: Path, depth: str, *, band: int = 10, like: Any = None, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    with PsdWriter(path, *size, bit_depth=depth, like=like) as writer:
        original, foreground, alpha = layers(*size)
        for y in range(0, size[0], band):
            writer.write(original[y : y + band], foreground[y : y + band], alpha[y : y + band])
    return path


def steps(values: np.ndarray, depth: str) -> np.ndarray:
    return np.rint(values * np.float32(WHITE[depth]))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("depth", DEPTHS)
def test_psd_tools_finds_the_picture_below_and_the_foreground_with_its_mask_above(tmp_path, suffix, depth):
    file = PSDImage.open(write(tmp_path / f"a{suffix}", depth))
    assert (file.depth, file.version, file.size) == (int(depth), 2 if suffix == ".psb" else 1, (WIDTH, HEIGHT))
    below, above = list(file)
    assert [(layer.name, layer.visible) for layer in (below, above)] == [("original", False), ("foreground", True)]
    original, foreground, alpha = layers()
    for layer, colours in ((below, original), (above, foreground)):
        np.testing.assert_array_equal(steps(layer.numpy("color"), depth), steps(colours, depth))
        assert layer.numpy("shape").min() == 1
    assert not below.has_mask()
    np.testing.assert_array_equal(steps(above.numpy("mask")[..., 0], depth), steps(alpha, depth))
    assert above.mask.background_color == 0 and not above.mask.disabled


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("depth", DEPTHS)
def test_the_merged_picture_is_the_foreground_over_white_with_the_matte_as_alpha(tmp_path, suffix, depth):
    file = PSDImage.open(write(tmp_path / f"a{suffix}", depth))
    _, foreground, alpha = layers()
    from psd_tools.api.utils import has_transparency

    assert has_transparency(file) and file.channels == 4
    planes = [
        np.frombuffer(p, ">u2" if depth == "16" else "u1")
        for p in file._record.image_data.get_data(file._record.header)
    ]
    merged = np.stack([plane.reshape(HEIGHT, WIDTH) for plane in planes], -1).astype(float)
    share = alpha[..., None].astype(np.float64)
    # 0.51: rounding to the file's steps, and a float32 rounding
    np.testing.assert_allclose(merged[..., :3], WHITE[depth] * (foreground * share + 1 - share), rtol=0, atol=0.51)
    np.testing.assert_array_equal(merged[..., 3], steps(alpha, depth))


def test_pillow_shows_the_cut_out(tmp_path):
    with Image.open(write(tmp_path / "a.psd", "8")) as picture:
        assert picture.size == (WIDTH, HEIGHT)
        pixels = np.asarray(picture.convert("RGBA"))
    _, foreground, alpha = layers()
    np.testing.assert_array_equal(pixels[alpha == 1][:, :3], steps(foreground[alpha == 1], "8"))
    assert (pixels[alpha == 0][:, :3] == 255).all()


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_heights_of_the_bands_do_not_show(tmp_path, depth):
    assert (
        write(tmp_path / "a.psd", depth, band=1).read_bytes() == write(tmp_path / "b.psd", depth, band=99).read_bytes()
    )


def test_pillow_finds_the_profile(tmp_path):
    with Image.open(write(tmp_path / "a.psd", "8", like=info(icc=profile()))) as picture:
        assert picture.info["icc_profile"] == profile()


@pytest.mark.parametrize("depth", DEPTHS)
def test_profile_and_resolution_travel(tmp_path, depth):
    like = info(icc=profile(), resolution=(300.0, 200.0, "in"))
    resources = PSDImage.open(write(tmp_path / "a.psd", depth, like=like)).image_resources
    assert resources.get_data(Resource.ICC_PROFILE) == profile()
    shown = resources.get_data(Resource.RESOLUTION_INFO)
    assert (shown.horizontal, shown.vertical) == (300 * 65536, 200 * 65536)
    metric = info(resolution=(100.0, 100.0, "cm"))
    shown = PSDImage.open(write(tmp_path / "b.psd", depth, like=metric)).image_resources.get_data(
        Resource.RESOLUTION_INFO
    )
    assert (shown.horizontal, shown.horizontal_unit) == (254 * 65536, 2)


@pytest.mark.release
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("size", [(3, 30_001), (30_001, 3)])
def test_a_side_beyond_30000_pixels_is_a_psb_and_refused_as_psd(tmp_path, depth, size):
    with pytest.raises(OutputError, match=r"is too large for a PSD") as error:
        PsdWriter(tmp_path / "a.psd", *size, bit_depth=depth)
    assert error.value.hint == "Write to a.psb."
    file = PSDImage.open(write(tmp_path / "a.psb", depth, size=size, band=999))
    mask = list(file)[1]._channels[-1]  # psd-tools makes no arrays of so long sides
    values = np.frombuffer(mask.get_data(size[1], size[0], int(depth), file.version), ">u2" if depth == "16" else "u1")
    np.testing.assert_array_equal(values.reshape(size), steps(matte(*size), depth))


def test_what_may_take_more_than_2_gb_is_refused_as_psd():
    check_layered(Path("a.psd"), 12_000, 13_000, bit_depth="8")
    for side, depth in ((14_000, "8"), (9_300, "16"), (29_000, "8")):
        with pytest.raises(OutputError, match=f"{side}x{side} .* 2 GB"):
            check_layered(Path("a.psd"), side, side, bit_depth=depth)
        check_layered(Path("a.psb"), side, side, bit_depth=depth)


def test_other_depths_and_suffixes_are_refused(tmp_path):
    with pytest.raises(InputError, match="PSD has no bit depth half, we need 8 or 16"):
        PsdWriter(tmp_path / "a.psd", 9, 9, bit_depth="half")
    with pytest.raises(OutputError, match=r"we cannot write \.png, we need one of \.psd \.psb") as error:
        PsdWriter(tmp_path / "a.png", 9, 9, bit_depth="8")
    assert error.value.hint == "Write to a.psd, for example."


def test_an_exception_leaves_no_file_and_the_old_one_as_it_was(tmp_path):
    path = tmp_path / "a.psd"
    path.write_bytes(b"old")
    for then, rows in ((KeyboardInterrupt, 4), (RuntimeError, HEIGHT - 1)):
        with pytest.raises(then), PsdWriter(path, HEIGHT, WIDTH, bit_depth="8") as writer:
            writer.write(*(plane[:rows] for plane in layers()))
            if then is KeyboardInterrupt:
                raise KeyboardInterrupt
        assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("space", [0, 3000, 10_000])
def test_a_disk_that_is_full_is_told_and_leaves_nothing(tmp_path, space):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (space, limits[1]))
    try:
        with pytest.raises(OutputError, match=rf"a\.psd cannot be written \({os.strerror(errno.EFBIG)}\)"):
            write(tmp_path / "a.psd", "8")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


BYTES = st.one_of(st.integers(0, 255), st.sampled_from([0, 0, 0, 255]))


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 5), st.integers(1, 400), st.data())
def test_encoded_rows_are_decoded_to_what_they_were_and_are_hardly_longer(height, length, data):
    runs = data.draw(st.lists(st.tuples(BYTES, st.integers(1, 300)), min_size=1, max_size=30))
    values = np.concatenate([np.full(times, value, np.uint8) for value, times in runs])
    rows = np.resize(values, (height, length))
    encoded, lengths = encode_rows(rows)
    assert len(lengths) == height and lengths.sum() == len(encoded)
    assert lengths.max() <= length + length // 128 + 1
    ends = np.cumsum(lengths)
    for row, end, size in zip(rows, ends, lengths, strict=True):
        assert unpacked_bits(encoded[end - size : end]) == row.tobytes()


def test_a_constant_row_takes_two_bytes_for_every_128():
    encoded, lengths = encode_rows(np.zeros((2, 1280), np.uint8))
    assert lengths.tolist() == [20, 20] and encoded == b"\x81\0" * 20
