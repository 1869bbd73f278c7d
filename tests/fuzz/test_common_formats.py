"""Damaged files of the formats that hdmatt says it reads; those of the others are in test_other_formats.py."""

import pytest
from file_seeds import COMMON
from fuzz import fuzz

pytestmark = pytest.mark.release


@pytest.mark.parametrize("file_format", COMMON)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(file_format):
    report = fuzz("read", file_format, range(2000))
    assert report.troubles == []
    assert report.files == 2000
    # neither so gentle that nothing is damaged nor so rough that all stop at the first byte
    assert 100 < report.outcomes["opened"] < 1900, report.outcomes


@pytest.mark.parametrize("file_format", COMMON)
def test_a_matte_of_a_damaged_file_is_whole_or_not_there(file_format):
    report = fuzz("matte", file_format, range(20))
    assert report.troubles == []
    assert report.files == 20
