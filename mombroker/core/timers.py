"""Deadlines: a heap of what happens when. An entry is checked when it comes due, so none needs to be cancelled.

A subject is a name (a client identifier, a topic), so that an entry keeps nothing alive that has ended meanwhile.
"""

import heapq
from typing import Final

SWEEP: Final = 1
RETAINED_EXPIRY: Final = 2
SESSION_EXPIRY: Final = 3
WILL: Final = 4
SYS: Final = 5
RETRY: Final = 6
COMMIT_DUE: Final = 7
DROP_LOG: Final = 8
NAMED: Final = 9
REQUEST: Final = 10


class Timers:
    """Entries of (deadline, kind, subject), deadlines being Unix seconds."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, int, str]] = []
        self._count: int = 0

    def add(self, deadline: float, kind: int, subject: str = "") -> None:
        """Have ``subject`` come due at ``deadline``."""
        self._count += 1
        heapq.heappush(self._heap, (deadline, self._count, kind, subject))

    def next_deadline(self) -> float:
        """When the next entry comes due; 0.0 if there is none."""
        return self._heap[0][0] if self._heap else 0.0

    def take_due(self, now: float) -> tuple[int, str] | None:
        """Remove and return the next entry that is due: (kind, subject)."""
        if not self._heap or self._heap[0][0] > now:
            return None
        entry = heapq.heappop(self._heap)
        return entry[2], entry[3]
