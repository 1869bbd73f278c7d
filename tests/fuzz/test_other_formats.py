"""Damaged files of formats that OpenImageIO opens besides, and damaged files through a tiny matte."""

import pytest
from file_seeds import COMMON, OTHERS
from fuzz import fuzz

pytestmark = pytest.mark.release


@pytest.mark.parametrize("file_format", OTHERS)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(file_format):
    report = fuzz("read", file_format, range(2000))
    assert report.troubles == []
    assert report.files == 2000


@pytest.mark.parametrize("file_format", COMMON)
def test_a_matte_of_a_damaged_file_is_whole_or_not_there(file_format):
    report = fuzz("matte", file_format, range(20))
    assert report.troubles == []
    assert report.files == 20
