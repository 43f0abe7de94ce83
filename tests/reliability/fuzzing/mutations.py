"""Pseudo-random mutations: what the tests do in place of a coverage-guided fuzzer, in pure Python and from a seed."""

from collections.abc import Iterator, Sequence
from random import Random

LONGEST = 1024
INTERESTING = (0, 1, 2, 3, 4, 5, 0x10, 0x20, 0x30, 0x7F, 0x80, 0x81, 0xC0, 0xE0, 0xF0, 0xFF)


def mutate(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """``data`` with one to eight changes."""
    made = bytearray(data)
    for _ in range(random.randint(1, 8)):
        random.choice(CHANGES)(made, others, random)
    return bytes(made[:LONGEST])


def _flip(made: bytearray, others: Sequence[bytes], random: Random) -> None:
    if made:
        made[random.randrange(len(made))] ^= 1 << random.randrange(8)


def _set(made: bytearray, others: Sequence[bytes], random: Random) -> None:
    if made:
        made[random.randrange(len(made))] = random.choice(INTERESTING)


def _insert(made: bytearray, others: Sequence[bytes], random: Random) -> None:
    at = random.randint(0, len(made))
    made[at:at] = random.randbytes(random.randint(1, 8))


def _remove(made: bytearray, others: Sequence[bytes], random: Random) -> None:
    at = random.randint(0, len(made))
    del made[at : at + random.randint(1, 16)]


def _repeat(made: bytearray, others: Sequence[bytes], random: Random) -> None:
    at = random.randint(0, len(made))
    made[at:at] = made[at : at + random.randint(1, 32)]


def _splice(made: bytearray, others: Sequence[bytes], random: Random) -> None:
    other = random.choice(others)
    begin = random.randint(0, len(other))
    at = random.randint(0, len(made))
    made[at:at] = other[begin : begin + random.randint(1, 64)]


def _append(made: bytearray, others: Sequence[bytes], random: Random) -> None:
    made += random.choice(others)


CHANGES = (_flip, _set, _set, _insert, _remove, _repeat, _splice, _append)


def mutations(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """``count`` inputs, made from the seeds and from each other."""
    random = Random(seed)
    pool = list(seeds)
    for _ in range(count):
        made = mutate(random.choice(pool), pool, random)
        pool[random.randrange(len(pool))] = made
        yield made
