"""How long to wait before the next attempt to connect."""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Waits that double from ``first`` to ``longest`` seconds, each shortened at random by up to ``jitter`` (0 to 1) of
    it, so that the clients of a broker that comes back do not come all at once."""

    first: float = 0.1
    longest: float = 30.0
    jitter: float = 0.5

    def delays(self) -> Iterator[float]:
        """Seconds before each attempt, without end."""
        delay = self.first
        while True:
            yield delay * (1 - self.jitter * random.random())  # noqa: S311 - no secret depends on it
            delay = min(delay * 2, self.longest)
