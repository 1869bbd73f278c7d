from hdmatt.inference import needs
from hdmatt.system import memory


def test_the_colours_need_is_a_row_of_tiles():
    assert needs.colour_bytes(7388, pixel=3) > 7388 * 567 * 16
    # 567 rows of a tile 1024 wide, wherever it lies: as wide pictures have lower tiles, they take no more than others
    assert needs.tile_bytes(7388) == 567 * 1024 * needs.TILE_PIXEL + needs.TILE_FIXED
    assert needs.tile_bytes(20000) < needs.tile_bytes(7388) < needs.tile_bytes(4096)


def test_the_needs_grow_with_the_width_and_the_pool_only():
    one, wide = (needs.rows_bytes(width, patch=320, band=256, pixel=3) for width in (1000, 20000))
    column = 2 * 576 * 4 + 12 * 320 + 32 * 256
    assert (one, wide) == (1000 * column, 20000 * column)
    assert needs.context_bytes(320, width=32) + needs.body_bytes(320, width=32) > memory.MIB
    assert needs.patch_bytes(320, width=64) == 2 * needs.patch_bytes(320, width=32)
    assert needs.known_colours_bytes(20000, 20000) < 60 * memory.MIB


def test_rows_that_can_only_be_decoded_together_are_counted_beyond_a_band():
    assert needs.chunk_bytes(6000, chunk_rows=256, band=256, pixel=3) == 0
    more = needs.chunk_bytes(6000, chunk_rows=4096, band=256, pixel=3)
    assert more == 3 * 3840 * 6000 * 3
    assert needs.chunk_bytes(6000, chunk_rows=4096, band=256, pixel=6) == 2 * more
