import threading

import numpy as np
import OpenImageIO as oiio
import pytest
from small_pictures import noise, save

from hdmatt.errors import InputError
from hdmatt.pictures.files import openimageio
from hdmatt.pictures.files.openimageio import open_input
from hdmatt.pictures.reader import open_picture

LIMIT = "limits:imagesize_MB"


@pytest.fixture
def one_mebibyte():
    """OpenImageIO's limit of size, so low that a small picture is beyond it; put back after the test."""
    before = oiio.get_int_attribute(LIMIT)
    oiio.attribute(LIMIT, 1)
    yield
    oiio.attribute(LIMIT, before)


@pytest.mark.parametrize("suffix", ["png", "tif", "exr", "jpg", "webp"])
def test_a_picture_beyond_openimageios_own_limit_is_read_and_the_limit_stays(tmp_path, one_mebibyte, suffix):
    dtype = np.float16 if suffix == "exr" else np.uint8
    path = save(tmp_path / f"a.{suffix}", noise(3, dtype, height=700, width=800))
    with open_picture(path) as picture:
        assert oiio.get_int_attribute(LIMIT) == 1
        assert picture.rows(600, 700).shape == (100, 800, 3)
    assert oiio.get_int_attribute(LIMIT) == 1


def test_the_limit_is_back_when_the_last_of_several_threads_has_opened_its_file(tmp_path, one_mebibyte, monkeypatch):
    path = save(tmp_path / "a.tif", noise(height=700, width=800))
    together, opened, failures = threading.Barrier(3), openimageio._open, []

    def slowly(path, **how):
        source = opened(path, **how)
        if source is not None:  # the second try, with the limit lifted
            together.wait(timeout=30)
        return source

    def work():
        try:
            open_input(path)
        except Exception as error:
            failures.append(error)

    monkeypatch.setattr(openimageio, "_open", slowly)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and oiio.get_int_attribute(LIMIT) == 1


def test_a_damaged_file_leaves_the_limit_as_it_was(tmp_path, one_mebibyte):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="is not a picture that we can read"):
        open_input(tmp_path / "a.png")
    assert oiio.get_int_attribute(LIMIT) == 1


@pytest.mark.parametrize(
    ("before", "damaged"), [(b"chlist", b"chl\xccst"), (b"box2i", b"box\xcci"), (b"v2f", b"v\xccf")]
)
def test_a_complaint_with_bytes_that_are_no_text_is_an_input_error(tmp_path, before, damaged):
    path = save(tmp_path / "a.exr", noise(3, np.float16))
    data = path.read_bytes()
    assert before in data
    path.write_bytes(data.replace(before, damaged))
    with pytest.raises(InputError, match="\ufffd"), open_picture(path) as picture:
        picture.rows(0, 1)
