"""Makes a failure smaller: first the shortest prefix that fails, then steps left out that it does not need."""

import sys
from collections import Counter
from collections.abc import Callable, Collection

Attempt = Callable[[int, int, Collection[int]], tuple[str | None, Counter[str]]]


def shrink(seed: int, steps: int, attempt: Attempt) -> tuple[int, list[int]]:
    """The fewest steps found that still fail in the same way: how many steps, and which of them are left out."""
    kind = _kind(attempt(seed, steps, ())[0])

    def fails(length: int, without: Collection[int]) -> bool:
        return _kind(attempt(seed, length, without)[0]) == kind

    length = _shortest(steps, lambda tried: fails(tried, ()))
    without: set[int] = set()
    size = max(1, length // 2)
    while size:
        start = 0
        while start < length:
            block = {index for index in range(start, min(start + size, length)) if index not in without}
            if block and fails(length, without | block):
                without |= block
            start += size
        size //= 2
    left = [index for index in range(length) if index not in without]
    text = ",".join(map(str, left))
    print(f"{len(left)} of {length} steps are needed", file=sys.stderr)
    print(
        f"replay: python tests/reliability simulation --seeds {seed} --steps {length} --only {text} --trace",
        file=sys.stderr,
    )
    return length, sorted(without)


def _kind(reason: str | None) -> str:
    """What is found without its names and numbers; nothing was found: empty."""
    return " ".join(word for word in (reason or "").split()[:12] if word.isalpha())


def _shortest(steps: int, fails: Callable[[int], bool]) -> int:
    """A failing length as small as halving finds; a longer run need not fail, so each is tried."""
    low, high = 0, steps
    while low + 1 < high:
        middle = (low + high) // 2
        if fails(middle):
            high = middle
        else:
            low = middle
    return high
