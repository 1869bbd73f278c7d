"""Damaged copies of a file, each named by a number.

mutated   the damaged file of a format and a number; the same every time and everywhere
"""

import random
import zlib

from file_seeds import seeds

_NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    -1,
)
_HEAD = 256  # bytes in which most formats have their sizes
_LONGEST = 2**16


def mutated(file_format: str, number: int) -> bytes:
    """One of the format's seeds with one to four damages, many of them in its first bytes."""
    chance = random.Random(f"{file_format} {number}")
    files = seeds(file_format)
    data = bytearray(chance.choice(files))
    for _ in range(chance.choice((1, 1, 1, 1, 2, 4))):
        if data:
            chance.choice(_DAMAGES)(data, chance, files)
    data = data[:_LONGEST]
    # without this nearly every damage of a PNG would stop at the checksum
    return _with_checksums(bytes(data)) if file_format == "png" and chance.random() < 0.8 else bytes(data)


def _place(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(min(len(data), _HEAD) if chance.random() < 0.4 else len(data))


def _flip_bits(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    for _ in range(chance.choice((1, 1, 2, 8))):
        data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _set_byte(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    data[_place(data, chance)] = chance.choice((0, 1, 2, 3, 4, 127, 128, 254, 255, chance.randrange(256)))


def _set_number(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    size = chance.choice((2, 4, 4, 8))
    at = _place(data, chance) & ~(1 if chance.random() < 0.7 else 0)
    value = chance.choice(_NUMBERS) % (1 << (8 * size))
    data[at : at + size] = value.to_bytes(size, chance.choice(("little", "big")))


def _add_to_number(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    size, order = chance.choice((2, 4)), chance.choice(("little", "big"))
    at = _place(data, chance)
    value = int.from_bytes(data[at : at + size], order) + chance.choice((-1, 1, -16, 16, 256))
    data[at : at + size] = (value % (1 << (8 * size))).to_bytes(size, order)


def _delete(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    at = _place(data, chance)
    del data[at : at + chance.choice((1, 2, 4, 8, 100))]


def _repeat(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    at = _place(data, chance)
    piece = data[at : at + chance.choice((1, 4, 12, 64, 300))]
    data[at:at] = piece * chance.choice((1, 1, 2, 50))


def _insert_noise(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    at = _place(data, chance)
    data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 32)))


def _overwrite_with_noise(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    at, size = _place(data, chance), chance.choice((4, 16, 64))
    data[at : at + size] = chance.randbytes(size)


def _overwrite_with_zeros(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    at, size = _place(data, chance), chance.choice((4, 16, 64, 400))
    data[at : at + size] = bytes(size)


def _cut_short(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    del data[chance.randrange(len(data)) :]


def _move(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    one, other, size = _place(data, chance), _place(data, chance), chance.choice((2, 4, 12, 64))
    data[other : other + size] = data[one : one + size]


def _join_with_another(data: bytearray, chance: random.Random, files: tuple[bytes, ...]) -> None:
    other = chance.choice(files)
    at = chance.randrange(len(data))
    data[at:] = other[min(at, len(other)) :]


_DAMAGES = (
    *(_flip_bits, _set_byte, _set_number, _set_number, _add_to_number, _delete, _repeat, _insert_noise),
    *(_overwrite_with_noise, _overwrite_with_zeros, _cut_short, _move, _join_with_another),
)


def _with_checksums(data: bytes) -> bytes:
    """A PNG with right checksums, as far as its chunks can be followed."""
    out, at = data[:8], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        body = data[at + 4 : at + 8 + size]
        if len(body) < 4 + size:
            break
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4)
        at += 12 + size
    return out + data[at:]
