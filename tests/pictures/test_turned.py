import errno
import os
import tempfile

import numpy as np
import pytest
from small_pictures import WIDTH, noise, photo, save, whole

from hdmatt.errors import OutputError
from hdmatt.pictures import turned
from hdmatt.pictures.reader import open_picture


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """What EXIF 2.32 says of tag 274, in NumPy's words."""
    turned = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, 1),
    }
    return turned[orientation](pixels)


@pytest.mark.parametrize(
    "spool_bytes", [10 * WIDTH * 3, 32 * 2**20]
)  # blocks of ten rows, the last of seven; one block
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, monkeypatch, orientation, spool_bytes):
    monkeypatch.setattr(turned, "SPOOL_BYTES", spool_bytes)
    path = save(tmp_path / "a.tif", noise(), Orientation=orientation, XResolution=300.0, ResolutionUnit="in")
    expected = upright(noise(), orientation)
    height, width = expected.shape[:2]
    with open_picture(path) as picture:
        assert (picture.info.height, picture.info.width) == (height, width)
        for y0, y1, x0, x1 in [(0, height, 0, width), (11, 19, 3, 17), (3, 12, 0, width), (20, 20, 0, 5)]:
            np.testing.assert_array_equal(picture.window(y0, y1, x0, x1), expected[y0:y1, x0:x1])


def test_a_jpeg_from_a_phone_held_upright_is_upright(tmp_path):
    path = save(tmp_path / "a.jpg", photo(), Orientation=6)
    straight = save(tmp_path / "b.jpg", photo())
    np.testing.assert_array_equal(whole(path), np.rot90(whole(straight), -1))


def test_turning_swaps_the_resolutions(tmp_path):
    aspect = {"XResolution": 300.0, "YResolution": 150.0, "ResolutionUnit": "in", "PixelAspectRatio": 0.5}
    with open_picture(save(tmp_path / "a.tif", noise(), Orientation=8, **aspect)) as picture:
        assert picture.info.resolution == (150.0, 300.0, "in")


def test_no_room_for_turning_says_where_room_is_needed(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif", noise(), Orientation=6)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with open_picture(path) as picture, pytest.raises(OutputError) as error:
        picture.rows(0, 1)
    assert error.value.message == f"turning the picture upright needs 1 MiB in {tmp_path / 'gone'} " + (
        f"({os.strerror(errno.ENOENT)})"
    )
    assert "TMPDIR" in error.value.hint


def test_the_temporary_file_goes_with_the_reader(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif", noise(), Orientation=6)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with open_picture(path) as picture:
        picture.rows(0, 1)
    assert (len(os.listdir("/proc/self/fd")) if before else 0) == before
