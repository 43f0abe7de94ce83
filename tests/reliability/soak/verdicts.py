"""What is a leak, and what is a drift: arithmetic on the windows of a soak, made so that noise is neither.

Everything is about medians of windows. The first third of a soak fills caches and finds its working set, and does not
count for growth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

MIB = 1 << 20
LEAST_WINDOWS = 9
"""Fewer windows say nothing."""


@dataclass(frozen=True)
class Tolerance:
    """How much a figure may grow over the last two thirds: a share of its median, or so much in any case."""

    share: float
    least: float


MEMORY = Tolerance(0.05, 8 * MIB)
DESCRIPTORS = Tolerance(0.02, 4)
THREADS = Tolerance(0.0, 2)
DATA = Tolerance(0.10, 32 * MIB)
DRIFT = 1.5
"""How much slower, compared with the control, the last third may be than the first."""
EFFORT = 1.2
"""How much more of the processor a message may take in the last third than in the first. A busy machine changes that
far less than it does a latency."""


def slope(values: Sequence[float]) -> float:
    """The change from one value to the next, by Theil and Sen: the median of the slopes between all pairs. Up to 29 %
    of the values may be anything."""
    count = len(values)
    return median((values[j] - values[i]) / (j - i) for i in range(count) for j in range(i + 1, count))


def last_two_thirds(values: Sequence[float]) -> Sequence[float]:
    """What counts for growth."""
    return values[len(values) // 3 :]


def growth(values: Sequence[float]) -> float:
    """How much a figure has grown over the last two thirds."""
    rest = last_two_thirds(values)
    return slope(rest) * (len(rest) - 1)


def grown(name: str, unit: float, values: Sequence[float], tolerance: Tolerance) -> list[str]:
    """A sentence if a figure has grown by more than it may; ``unit`` is what its numbers are told in."""
    much, allowed = growth(values), max(tolerance.share * median(last_two_thirds(values)), tolerance.least)
    if much <= allowed:
        return []
    return [f"{name} grew by {much / unit:,.1f} over the last two thirds; {allowed / unit:,.1f} is tolerated"]


def slower(before: float, after: float, control_before: float, control_after: float) -> float:
    """How many times slower something has become, as far as the control does not explain it.

    Where the machine has become slower, that is more than the control has; where it has become faster, and the control
    with it, a thing that has stayed as it was is not slower.
    """
    return min(after / before, after / before / (control_after / control_before))


def drift(values: Sequence[float], control: Sequence[float]) -> float:
    """How many times slower the last third was than the first, as far as the control does not explain it."""
    third = len(values) // 3
    return slower(median(values[:third]), median(values[-third:]), median(control[:third]), median(control[-third:]))


def drifted(name: str, values: Sequence[float], control: Sequence[float], most: float = DRIFT) -> list[str]:
    """A sentence if something has become slower than the control explains."""
    found = drift(values, control)
    if found <= most:
        return []
    return [f"{name} rose to {found:.2f} times what it was, relative to the control; {most:g} is tolerated"]
