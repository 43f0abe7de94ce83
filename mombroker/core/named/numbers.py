"""A named queue in numbers: what has happened in it since the broker started."""

import math
from typing import Final

DAMPING_SECONDS: Final = 60.0


class Rate:
    """Events per second, damped exponentially over a minute. Costs nothing while nothing happens."""

    __slots__ = ("_at", "_weight")

    def __init__(self, now: float) -> None:
        self._at: float = now
        self._weight: float = 0.0

    def add(self, count: int, now: float) -> None:
        """Count events that happen now."""
        if now > self._at:
            self._weight *= math.exp((self._at - now) / DAMPING_SECONDS)
            self._at = now
        self._weight += count

    def per_second(self, now: float) -> float:
        """The rate."""
        return self._weight * math.exp(min(self._at - now, 0.0) / DAMPING_SECONDS) / DAMPING_SECONDS


class Numbers:
    """Counters of one named queue."""

    __slots__ = (
        "enqueued",
        "delivered",
        "acked",
        "redelivered",
        "expired",
        "dead_lettered",
        "dropped",
        "duplicates",
        "enqueue_rate",
        "ack_rate",
    )

    def __init__(self, now: float) -> None:
        self.enqueued: int = 0
        self.delivered: int = 0
        self.acked: int = 0
        self.redelivered: int = 0
        self.expired: int = 0
        self.dead_lettered: int = 0
        self.dropped: int = 0
        self.duplicates: int = 0
        self.enqueue_rate: Rate = Rate(now)
        self.ack_rate: Rate = Rate(now)
