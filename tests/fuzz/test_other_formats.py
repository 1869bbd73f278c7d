"""Damaged files of the formats that OpenImageIO opens besides the common ones."""

import pytest
from file_seeds import OTHERS
from fuzz import fuzz

pytestmark = pytest.mark.release


@pytest.mark.parametrize("file_format", OTHERS)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(file_format):
    report = fuzz("read", file_format, range(2000))
    assert report.troubles == []
    assert report.files == 2000
