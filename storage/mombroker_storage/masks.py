"""Sets of positions within one segment, as the bits of an int: bit n stands for the segment's n-th record.

Python's large ints do the work of a whole segment in one C call, so that settling costs per segment, not per record.
"""

from collections.abc import Iterator


def run_mask(low: int, high: int) -> int:
    """The offsets ``low`` to ``high``, inclusive."""
    return ((1 << (high - low + 1)) - 1) << low


def present_mask(lengths: list[int]) -> int:
    """The offsets of the records that are there; a length of 0 marks a hole."""
    if 0 not in lengths:
        return (1 << len(lengths)) - 1
    return int("".join(["1" if length else "0" for length in reversed(lengths)]), 2)


def offsets(mask: int, start: int) -> Iterator[int]:
    """The offsets in ``mask`` from ``start`` on, ascending."""
    bits = bin(mask)
    # bin() writes the highest bit first; offset n is the character n places before the end.
    end = len(bits) - 1
    place = bits.rfind("1", 2, end - start + 1) if end - start >= 2 else -1
    while place >= 0:
        yield end - place
        place = bits.rfind("1", 2, place)
