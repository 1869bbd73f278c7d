import numpy as np
import pytest

from hdmatt import memory
from hdmatt.errors import InputError


@pytest.mark.parametrize(
    ("text", "amount"),
    [("2GiB", 2 << 30), ("800M", 800 << 20), ("1.5 GB", 3 << 29), ("4096", 4096), ("1tib", 1 << 40), ("16 kB", 16384)],
)
def test_amounts_of_memory_are_read_as_people_write_them(text, amount):
    assert memory.parse(text) == amount


@pytest.mark.parametrize("text", ["", "lots", "-1GiB", "0", "1 GiB more", "1XB"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(InputError, match="is not an amount of memory"):
        memory.parse(text)


def test_an_amount_shown_rounded_up_is_enough_when_read_again():
    for amount in (1, memory.MIB, memory.MIB + 1, 3 * memory.GIB - 1):
        assert memory.parse(memory.show(amount, up=True)) >= amount


def test_the_peak_counts_what_was_held_and_given_back():
    before = memory.peak()
    held = np.ones(64 * memory.MIB, np.uint8)
    assert memory.resident() >= held.nbytes
    del held
    assert memory.peak() >= before
    assert memory.peak() >= memory.resident()


def test_the_engines_needs_grow_with_the_width_and_the_pool_only():
    def need(**changes):
        return memory.fixed_bytes(**{"picture_width": 1000, "patch": 320, "band": 256, "pool": 30, "width": 32,
                                     "pixel": 3, **changes}) - memory.resident()

    # 4 MiB: the process itself moves between two looks at it
    assert need(picture_width=20000) - need() == pytest.approx(19000 * (2 * 576 * 4 + 3 * 576 * 8), abs=4 * memory.MIB)
    assert need(pool=30) - need(pool=0) > 30 * memory.MIB
    assert memory.patch_bytes(320, width=64) == 2 * memory.patch_bytes(320, width=32)
