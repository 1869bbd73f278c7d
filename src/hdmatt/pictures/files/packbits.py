"""PackBits, the run-length code of Photoshop and TIFF.

Knows nothing of pictures: rows are bytes.

    encode_rows   rows of bytes, each encoded by itself
"""

import numpy as np
from jaxtyping import Int64, UInt8

_LONGEST = 128  # bytes that one header speaks for
_SHORTEST_RUN = 3  # equal bytes that are worth a header of their own; with 2 a row could become longer


def encode_rows(rows: UInt8[np.ndarray, "h length"]) -> tuple[bytes, Int64[np.ndarray, " h"]]:
    """The encoded rows, one after the other, and how many bytes each of them takes.

    A row of n bytes takes at most n + n/128 + 1. Equal rows give equal bytes.

    Source:
        TIFF 6.0, section 9: a header of 0 to 127 is followed by 1 to 128 bytes as they are, one of 129 to 255 by a
        byte that is repeated 257 - header times.
    """
    height, length = rows.shape
    if not rows.size:
        return b"", np.zeros(height, np.int64)
    values = rows.reshape(-1)
    start, size, repeated = _pieces(values, length)
    taken = np.where(repeated, 2, size + 1)
    end = np.cumsum(taken)
    out = np.empty(end[-1], np.uint8)
    out[end - taken] = np.where(repeated, 257 - size, size - 1) & 255
    out[(end - taken + 1)[repeated]] = values[start[repeated]]
    literal = ~repeated
    lengths = size[literal]
    before = np.cumsum(lengths) - lengths
    inside = np.arange(lengths.sum()) - np.repeat(before, lengths)
    out[np.repeat((end - taken + 1)[literal], lengths) + inside] = values[np.repeat(start[literal], lengths) + inside]
    ends = end[np.searchsorted(start, np.arange(1, height + 1) * length) - 1]
    return out.tobytes(), np.diff(ends, prepend=0)


def _pieces(values: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(start, size, whether all its bytes are equal) of what gets a header each; no piece reaches into two rows."""
    new = np.empty(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    new[::length] = True
    start = np.flatnonzero(new)  # of runs of equal bytes
    repeated = np.diff(start, append=len(values)) >= _SHORTEST_RUN
    # short runs that are neighbours in a row become one piece of bytes as they are
    first = repeated | (start % length == 0)
    first[1:] |= repeated[:-1]
    start, repeated = start[first], repeated[first]
    size = np.diff(start, append=len(values))
    count = -(-size // _LONGEST)
    number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    start, size, repeated = (np.repeat(array, count) for array in (start, size, repeated))
    return start + number * _LONGEST, np.minimum(size - number * _LONGEST, _LONGEST), repeated
