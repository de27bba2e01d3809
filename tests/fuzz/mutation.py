"""Bytes that are nearly right: sound files with a few things wrong, the same for the same number."""

import random
from collections.abc import Sequence

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEAD_BYTES = 1_000  # of a file, in which sizes, counts and kinds stand: half of the changes go there
MOST_CHANGES = 6
MOST_BYTES = 1 << 20


def mutated(seeds: Sequence[bytes], rng: random.Random, words: Sequence[bytes] = ()) -> bytes:
    """Return one of the seeds with some changes; `words` are what such files are made of."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, MOST_CHANGES)):
        change(data, rng, seeds, words)
    return bytes(data[:MOST_BYTES])


def change(data: bytearray, rng: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    """Change one thing in place."""
    start = rng.randrange(min(len(data), HEAD_BYTES) if rng.random() < 0.5 else len(data)) if data else 0
    length = min(rng.choice((1, 2, 4, 8, 64, 512)), len(data) - start)
    kind = rng.randrange(10 if words else 9)
    if kind == 0 and data:
        data[start] ^= 1 << rng.randrange(8)
    elif kind == 1 and data:
        data[start] = rng.randrange(256)
    elif kind in (2, 3):
        width = rng.choice((1, 2, 4, 8))
        number = (rng.choice(NUMBERS) + rng.randint(-1, 1)) % (1 << 8 * width)
        data[start : start + width] = number.to_bytes(width, rng.choice(("big", "little")))
    elif kind == 4:
        del data[start : start + length]
    elif kind == 5:
        data[start:start] = data[start : start + length] * rng.choice((1, 2, 50))
    elif kind == 6:
        data[start:start] = rng.randbytes(length)
    elif kind == 7:
        other = rng.choice(seeds)
        at = rng.randrange(len(other) or 1)
        data[start : start + length] = other[at : at + rng.choice((4, 32, 256))]
    elif kind == 8 and rng.random() < 0.3:
        del data[start:]
    elif words:
        data[start : start + rng.choice((0, 0, length))] = rng.choice(words)
