import numpy as np
import pytest
from small_pictures import info

from hdmatt.errors import InputError, OutputError
from hdmatt.pictures.files.formats import default_bit_depth
from hdmatt.pictures.writer import PictureWriter


@pytest.mark.parametrize(
    ("suffix", "depth", "message"),
    [
        (".jpg", "16", "JPEG has no bit depth 16, we need 8"),
        (".webp", "16", "WebP has no bit depth 16, we need 8"),
        (".png", "half", "PNG has no bit depth half, we need 8 or 16"),
        (".exr", "8", "EXR has no bit depth 8, we need half or float"),
        (".tif", "half", "TIFF has no bit depth half, we need 8 or 16 or float"),
        (".png", "12", "PNG has no bit depth 12, we need 8 or 16"),
    ],
)
def test_a_depth_that_the_format_lacks_is_refused_with_those_it_has(tmp_path, suffix, depth, message):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(InputError) as error:
        PictureWriter(path, 9, 9, channels=1, bit_depth=depth)
    assert error.value.message == f"{path}: {message}" and "--bit-depth" in error.value.hint


def test_alpha_does_not_go_into_jpeg(tmp_path):
    with pytest.raises(OutputError, match="JPEG has no alpha channel") as error:
        PictureWriter(tmp_path / "a.jpg", 9, 9, channels=4, bit_depth="8")
    assert error.value.hint == "Write to a.png, or to .tif, .exr or .webp."


@pytest.mark.parametrize(("suffix", "side"), [(".webp", 16384), (".jpg", 65501)])
def test_a_picture_too_large_for_the_format_is_refused_before_any_work(tmp_path, suffix, side):
    with pytest.raises(OutputError, match=rf"9x{side} \(width x height\) is too large for .*, its sides end at"):
        PictureWriter(tmp_path / f"a{suffix}", side, 9, channels=1, bit_depth="8")


@pytest.mark.parametrize(
    ("dtype", "depths"),
    [
        (np.uint8, {".png": "8", ".jpg": "8", ".webp": "8", ".tif": "8", ".exr": "half"}),
        (np.uint16, {".png": "16", ".jpeg": "8", ".webp": "8", ".tiff": "16", ".exr": "float"}),
        (np.float16, {".png": "16", ".jpg": "8", ".webp": "8", ".tif": "float", ".exr": "half"}),
        (np.float32, {".PNG": "16", ".jpg": "8", ".webp": "8", ".tif": "float", ".exr": "float"}),
    ],
)
def test_the_default_depth_is_the_inputs_or_the_nearest(dtype, depths):
    for suffix, depth in depths.items():
        assert default_bit_depth(f"a{suffix}", info(dtype=np.dtype(dtype))) == depth
