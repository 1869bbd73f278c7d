import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_pictures import HEIGHT, WHITE, info, noise, photo, profile, raw, whole, write
from small_profiles import SRGB_CURVE, gamma, make_profile

from hdmatt.errors import OutputError
from hdmatt.pictures import reader, writer
from hdmatt.pictures.colours.icc import encoding_of_profile
from hdmatt.pictures.files.formats import Extras
from hdmatt.pictures.reader import as_float, open_picture
from hdmatt.pictures.writer import PictureWriter, check_output_path


@pytest.mark.parametrize(("width", "channels", "depth"), [(64, 1, "8"), (3000, 1, "16"), (900, 4, "8")])
@pytest.mark.parametrize("rows", [0, 1, 32])
def test_a_png_that_is_given_up_leaves_no_file_and_no_word_of_libpng(tmp_path, capfd, width, channels, depth, rows):
    with (
        pytest.raises(KeyboardInterrupt),
        PictureWriter(tmp_path / "a.png", 32, width, channels=channels, bit_depth=depth) as writer,
    ):
        for _ in range(rows):
            writer.write(np.zeros((1, width, channels), np.float32))
        raise KeyboardInterrupt
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("depth", ["8", "16"])
def test_integers_are_rounded_and_clipped(tmp_path, depth):
    white = WHITE[depth]
    values = np.array([[-0.5, 0.49 / white, 0.51 / white, 1 - 0.51 / white, 1.0, 7.0]], np.float32)
    assert raw(write(tmp_path / "a.tif", values, depth))[0, :, 0].tolist() == [0, 0, 1, white - 1, white, white]


@pytest.mark.parametrize(("suffix", "depth"), [(".exr", "half"), (".exr", "float"), (".tif", "float")])
def test_floats_keep_what_lies_outside_but_alpha_does_not(tmp_path, suffix, depth):
    pixels = np.array([[[-0.5, 2.0, 1e6, 1.5], [0.25, 0.5, 1.0, -1.0]]], np.float32)
    file = raw(write(tmp_path / f"a{suffix}", pixels, depth))
    assert file[0, 0].tolist() == [-0.5, 2.0, 65504.0 if depth == "half" else 1e6, 1.0]
    assert file[0, 1, 3] == 0


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr", ".webp", ".jpg"])
def test_the_heights_of_the_bands_do_not_show(tmp_path, suffix):
    depth = "half" if suffix == ".exr" else "8"
    pixels = as_float(photo())
    one = write(tmp_path / f"one{suffix}", pixels, depth, band=HEIGHT)
    many = write(tmp_path / f"many{suffix}", pixels, depth, band=1)
    np.testing.assert_array_equal(whole(one), whole(many))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr", ".webp", ".jpg"])
def test_an_exception_leaves_no_file_and_the_old_one_as_it_was(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    depth = "half" if suffix == ".exr" else "8"
    with pytest.raises(KeyError):
        _write_rows(path, depth, rows=4, then=KeyError)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [path.name]
    with pytest.raises(RuntimeError, match="4 of 9 rows"):
        _write_rows(path, depth, rows=4)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [path.name]
    with PictureWriter(path, 9, 9, channels=1, bit_depth=depth) as writer:
        writer.write(np.zeros((9, 9), np.float32))
        assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]
    assert whole(path).shape == (9, 9, 3)


def _write_rows(path: Path, depth: str, *, rows: int, then: type[Exception] | None = None) -> None:
    with PictureWriter(path, 9, 9, channels=1, bit_depth=depth) as writer:
        writer.write(np.zeros((rows, 9), np.float32))
        if then:
            raise then


def test_a_killed_process_leaves_a_hidden_file_at_most(tmp_path):
    program = (
        "import os, numpy as np; from hdmatt.pictures.writer import PictureWriter\n"
        f"with PictureWriter({str(tmp_path / 'a.png')!r}, 9, 9, channels=1, bit_depth='8') as writer:\n"
        "    writer.write(np.zeros((8, 9), np.float32)); os.kill(os.getpid(), 9)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(reader.__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == -signal.SIGKILL
    assert all(name.startswith(".hdmatt-") for name in os.listdir(tmp_path))


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()
    path = write(tmp_path / "a.png", noise(1, np.float32), "8")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_tiff_beyond_classic_tiff_is_a_bigtiff(tmp_path):
    def first_bytes(height: int) -> bytes:
        with PictureWriter(tmp_path / "a.tif", height, 30_000, channels=3, bit_depth="8") as writer:
            writer.write(np.zeros((64, 30_000, 3), np.float32))
            (hidden,) = tmp_path.iterdir()
            raise KeyError(hidden.read_bytes()[:4])

    for height, magic in ((1000, b"II*\0"), (40_000, b"II+\0")):
        with pytest.raises(KeyError) as error:
            first_bytes(height)
        assert error.value.args == (magic,)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_the_profile_is_carried_to_as_many_colours(tmp_path, suffix):
    like = info(icc=profile())
    with open_picture(write(tmp_path / f"a{suffix}", as_float(photo()), "8", like=like)) as picture:
        assert picture.info.icc == profile()
    matte = as_float(photo()[..., 0])
    with open_picture(write(tmp_path / f"b{suffix}", matte, "8", like=like)) as picture:
        assert picture.info.icc is None
    if suffix in (".png", ".tif"):
        grey = info(icc=profile(b"GRAY"), channels=1)
        with open_picture(write(tmp_path / f"c{suffix}", matte, "8", like=grey)) as picture:
            assert picture.info.icc == profile(b"GRAY")


def test_a_damaged_profile_does_not_keep_a_picture_from_being_written(tmp_path):
    for whole_one in (profile(), make_profile(SRGB_CURVE)):  # without curves, and sRGB
        damaged = without_intent(whole_one)
        like = info(icc=damaged, encoding=encoding_of_profile(damaged))
        with open_picture(write(tmp_path / "a.png", as_float(photo()), "8", like=like)) as picture:
            np.testing.assert_array_equal(picture.rows(0, HEIGHT), photo())
            assert picture.info.icc is None


def without_intent(icc: bytes) -> bytes:
    """A profile whose rendering intent libpng refuses."""
    return icc[:64] + b"\xff" * 4 + icc[68:]


def test_numbers_that_are_no_srgb_are_never_written_without_their_profile(tmp_path, monkeypatch):
    icc = make_profile(gamma(2.2), "Adobe RGB") + b"\0"
    icc = len(icc).to_bytes(4, "big") + icc[4:]  # libpng refuses this length
    monkeypatch.setattr(writer, "profile_for", lambda like, channels: icc)
    with pytest.raises(OutputError, match="ICC profile length invalid"):
        write(tmp_path / "a.png", as_float(photo()), "8", like=info(icc=icc, encoding=encoding_of_profile(icc)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
@pytest.mark.parametrize("more", [1, 2, 70_000, 200_000])
def test_a_profile_of_any_length_is_carried_whole(tmp_path, suffix, more):
    icc = make_profile(gamma(2.2), "Adobe RGB", zzzz=np.random.default_rng(0).bytes(4 * more))[:-1]
    icc = len(icc).to_bytes(4, "big") + icc[4:]  # no multiple of 4
    like = info(icc=icc, encoding=encoding_of_profile(icc))
    path = write(tmp_path / f"a{suffix}", as_float(photo()), "8", like=like)
    with Image.open(path) as image:
        found = image.info["icc_profile"]
    assert found[4:] == icc[4:] + b"\0" and int.from_bytes(found[:4], "big") == len(icc) + 1
    with open_picture(path) as picture:
        assert picture.info.icc == found and picture.info.encoding == like.encoding


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_bytes_behind_a_profile_are_left_out(tmp_path, suffix):
    icc = make_profile(gamma(2.2), "Adobe RGB")
    Image.fromarray(photo()).save(tmp_path / f"a{suffix}", icc_profile=icc + bytes(20))
    with open_picture(tmp_path / f"a{suffix}") as picture:
        assert picture.info.icc == icc and picture.info.encoding.curves


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".exr"])
@pytest.mark.parametrize("resolution", [(300.0, 300.0, "in"), (300.0, 150.0, "in"), (120.0, 120.0, "cm")])
def test_the_resolution_is_carried(tmp_path, suffix, resolution):
    depth = "half" if suffix == ".exr" else "8"
    path = write(tmp_path / f"a{suffix}", as_float(photo()), depth, like=info(resolution=resolution))
    with open_picture(path) as picture:
        assert picture.info.resolution
        x, y, unit = picture.info.resolution
    dots = np.array(resolution[:2]) * (2.54 if resolution[2] == "cm" else 1)
    # 0.02: PNG counts whole dots in a metre, JPEG whole dots
    np.testing.assert_allclose(np.array([x, y]) * (2.54 if unit == "cm" else 1), dots, rtol=0.02)


def test_pictures_without_metadata_have_none(tmp_path):
    for suffix in (".png", ".tif", ".jpg"):
        with open_picture(write(tmp_path / f"a{suffix}", as_float(photo()), "8")) as picture:
            assert picture.info.icc is None and picture.info.resolution is None


def test_output_paths_are_checked_before_the_work(tmp_path):
    (tmp_path / "in.png").write_bytes(b"x")
    (tmp_path / "link.png").symlink_to(tmp_path / "in.png")
    (tmp_path / "folder.png").mkdir()
    check_output_path(tmp_path / "out.png", [tmp_path / "in.png"])
    check_output_path(str(tmp_path / "OUT.TIFF"), [])
    for name, message in {
        "out.gif": "we cannot write .gif, we need one of .png .jpg",
        "out": "we cannot write a file without a suffix",
        "in.png/out.png": "is a file, and its folder is needed",
        "gone/out.png": f"its folder {tmp_path / 'gone'} does not exist",
        "folder.png": "is a folder, we need a file name",
        "in.png": "is one of the inputs",
        "link.png": "is one of the inputs",
        "folder.png/../in.png": "is one of the inputs",
    }.items():
        with pytest.raises(OutputError) as error:
            check_output_path(tmp_path / name, [tmp_path / "in.png"])
        assert message in error.value.message and str(tmp_path / name) in error.value.message and error.value.hint


def test_names_that_no_file_can_have_are_refused(tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "dangling.png").symlink_to("gone/a.png")
    for path, message in {
        "": "is a folder, we need a file name",
        ".": "is a folder, we need a file name",
        "/": "is a folder, we need a file name",
        "gone/..": "is a folder, we need a file name",
        f"{tmp_path}/{'x' * 252}.png": "is no name for a file (File name too long)",
        f"{tmp_path}/{'x/' * 3000}a.png": "is no name for a file (File name too long)",
        f"{tmp_path}/loop.png": "is no name for a file (Too many levels of symbolic links)",
        f"{tmp_path}/a\0b.png": "is no name for a file (embedded null byte)",
        f"{tmp_path}/dangling.png": "gone does not exist",
    }.items():
        with pytest.raises(OutputError) as error:
            check_output_path(path, [tmp_path / "in.png"])
        assert message in error.value.message and error.value.hint


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
    (tmp_path / "device.png").symlink_to("/dev/null")
    for name in ("pipe.png", "socket.png", "device.png"):
        with pytest.raises(OutputError, match="is no regular file, a picture cannot take its place"):
            check_output_path(tmp_path / name, [])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".exr", ".webp"])
def test_the_same_pixels_are_the_same_bytes_whatever_the_time(tmp_path, suffix):
    depth = "half" if suffix == ".exr" else "8"
    assert b"20" not in write(tmp_path / f"a{suffix}", np.zeros((3, 3), np.float32), depth).read_bytes()


def test_a_folder_closed_to_us_is_no_place_for_output(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda folder, mode: False)  # to root no folder is closed
    with pytest.raises(OutputError, match="we may not write into its folder"):
        check_output_path(tmp_path / "a.png", [])


def test_a_quality_makes_colours_smaller_and_leaves_alpha_exact(tmp_path):
    pixels = as_float(noise(4))
    pixels[..., :3] = as_float(photo())
    pixels[..., 3] = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None]
    sizes = {}
    for quality in (None, 90, 20):
        path = tmp_path / f"{quality}.webp"
        extras = Extras(quality=quality)
        with PictureWriter(path, *pixels.shape[:2], channels=4, bit_depth="8", extras=extras) as file:
            file.write(pixels)
        alpha = np.asarray(Image.open(path))[..., 3]  # Pillow reads what it wrote, but our numbers are these
        np.testing.assert_array_equal(alpha, np.rint(pixels[..., 3] * 255))
        sizes[quality] = path.stat().st_size
    assert sizes[20] < sizes[90]
    for quality in (95, 20):
        path = tmp_path / f"{quality}.jpg"
        with PictureWriter(
            path, HEIGHT, pixels.shape[1], channels=3, bit_depth="8", extras=Extras((), quality)
        ) as file:
            file.write(as_float(noise()))
        sizes[quality] = path.stat().st_size
    assert sizes[20] < sizes[95]


def test_a_matte_in_webp_is_lossless_whatever_the_quality(tmp_path):
    matte = as_float(noise(1))
    path = tmp_path / "a.webp"
    with PictureWriter(path, *matte.shape[:2], channels=1, bit_depth="8", extras=Extras(quality=10)) as file:
        file.write(matte)
    np.testing.assert_array_equal(np.asarray(Image.open(path))[..., :1], noise(1))
