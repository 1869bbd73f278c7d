"""The plan: which patches are decoded, which may be context, how many at a time, in how much memory.

    make_plan    trimap, network and options -> Plan

Reads the trimap once, and nothing of the picture. Where patches lie is decided in candidates.py, what fits into the
memory limit in budget.py.
"""

from dataclasses import replace

from hdmatt.inference import needs
from hdmatt.inference.budget import Budget, limit_of, share, take_fixed
from hdmatt.inference.candidates import Placement, check_some_known, choose_candidates, place_windows
from hdmatt.inference.options import Options, Plan, RowSource, RunOptions
from hdmatt.inference.shrunken import most_shrunken, shrunken_bytes
from hdmatt.network.model import HDMatt
from hdmatt.patches.windows import Window, part_of
from hdmatt.runtimes.devices import kind, names
from hdmatt.runtimes.prepare import has_bfloat16

FEW = 8  # where fewer patches hold unknown pixels, known ones are contexts, too


def make_plan(
    trimap: RowSource, model: HDMatt, options: Options, *, channels_bytes: int = 3, chunk_rows: int = 1
) -> Plan:
    """Read the trimap once and decide everything.

    Args:
        trimap: Rows are uint8, exactly 0, 128 or 255.
        channels_bytes: Bytes of one pixel of the picture (3 for 8-bit RGB, 6 for 16-bit, 12 for float).
        chunk_rows: Rows of the picture's file that are decoded together, see pictures/info.py.

    Raises:
        InputError: A trimap without any known pixel.
        MemoryLimitError: The limit is below the smallest plan; the message names one that would do.
    """
    options = _steady(RunOptions.of(options), model)
    info = trimap.info
    placed = place_windows(trimap, options)
    check_some_known(placed.unknown, info)
    pool = _context_pool(placed, options, model)
    known_colours = bool(placed.queries) and options.topk > 0 and model.config.knows_surroundings
    budget = Budget(limit_of(options))
    take_fixed(budget, info, model, options, pixel=channels_bytes)
    for rows, pixel in ((chunk_rows, channels_bytes), (info.chunk_rows, 1)):
        budget.take(needs.chunk_bytes(info.width, chunk_rows=rows, band=options.band, pixel=pixel), "rows")
    if known_colours:
        budget.take(needs.known_colours_bytes(info.height, info.width), "known colours")
        propagation = needs.propagation_bytes(info.height, info.width)
        options = replace(options, exclusive_bytes=max(options.exclusive_bytes, propagation))
    if shrunken := most_shrunken() if pool and options.whole_picture else 0:
        budget.take(shrunken_bytes(info.height, info.width, options.patch), "shrunken pictures")
    in_pool, shared = len(pool) + shrunken, len(set(pool) & set(placed.queries))
    shares = share(budget, info, model, options, pool=in_pool, shared=shared, work=bool(placed.queries))
    at_once = min(shares.batch * len(names(options.device)), len(placed.queries))
    return Plan(
        options=options,
        height=info.height,
        width=info.width,
        unknown=placed.unknown,
        queries=placed.queries,
        pool=pool,
        known_colours=known_colours,
        batch=shares.batch,
        limit=budget.limit,
        peak=budget.taken + max(shares.bytes_per_patch * at_once, options.exclusive_bytes),
        on_grid=placed.on_grid,
        cache=shares.cache,
        cache_bytes=shares.cache_bytes,
        stems=shares.stems,
        part=part_of(info.height, info.width, size=options.patch),
    )


def _steady(options: RunOptions, model: HDMatt) -> RunOptions:
    """Batches of one patch for bfloat16 on a CPU.

    oneDNN sums a batch in another order: rounding in float32, but 7e-5 of alpha with bfloat16's three digits.
    """
    return replace(options, batch=1) if has_bfloat16(model) and kind(options.device) == "cpu" else options


def _context_pool(placed: Placement, options: RunOptions, model: HDMatt) -> list[Window]:
    if not placed.queries or options.topk == 0 or model.config.cpc == "none":
        return []
    return choose_candidates(placed.among, placed.counts, options.candidates, least=min(options.topk + 1, FEW))
