"""The arithmetic of the harness. Only valid measurements enter it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.results import Measurement


@dataclass(frozen=True)
class Summary:
    """Median and range of the valid repetitions of one figure."""

    median: float
    low: float
    high: float
    count: int


def summary(values: Iterable[float]) -> Summary | None:
    """The summary of these values; None if there are none."""
    known = list(values)
    return Summary(median(known), min(known), max(known), len(known)) if known else None


def summarise(measurements: Iterable[Measurement], scenario: str, broker: str, metric: str) -> Summary | None:
    """The summary of a metric over the valid measurements of a broker; None if there is none.

    Measurements with faults do not count, and neither do ones that have no such figure.
    """
    mine = (item for item in measurements if item.scenario == scenario and item.broker == broker)
    return summary(item.values[metric] for item in mine if item.valid and metric in item.values)


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """Ours to theirs; None when one is missing or theirs is nothing."""
    return None if ours is None or not theirs else ours / theirs


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that ``part`` (0 to 1) of the values do not exceed (nearest rank). ``ordered`` is sorted."""
    if not len(ordered):
        raise ValueError("a percentile of nothing")
    rank = math.ceil(part * len(ordered))
    return ordered[min(max(rank, 1), len(ordered)) - 1]
