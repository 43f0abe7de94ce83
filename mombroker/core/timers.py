"""Deadlines: a heap of what happens when. Whoever set one checks, when it comes due, whether it still counts.

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


SLACK: Final = 64
"""Entries without meaning that the heap may hold before it is cleared of them."""


class Timers:
    """Entries of (deadline, kind, subject), deadlines being Unix seconds; one of each kind and subject at most.

    An entry that was replaced or forgotten stays in the heap until it comes to the top, or until such entries are
    the greater part of it: so the heap grows with what is waited for, not with how often that has changed.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, int, str]] = []
        self._wanted: dict[tuple[int, str], int] = {}
        self._count: int = 0

    def add(self, deadline: float, kind: int, subject: str = "") -> None:
        """Have ``subject`` come due at ``deadline``, and not when it was asked for before."""
        self._count += 1
        self._wanted[(kind, subject)] = self._count
        heapq.heappush(self._heap, (deadline, self._count, kind, subject))
        if len(self._heap) > 2 * len(self._wanted) + SLACK:
            self._heap = [entry for entry in self._heap if self._is_wanted(entry)]
            heapq.heapify(self._heap)

    def forget(self, kind: int, subject: str) -> None:
        """Have ``subject`` not come due after all."""
        self._wanted.pop((kind, subject), None)

    def _is_wanted(self, entry: tuple[float, int, int, str]) -> bool:
        return self._wanted.get((entry[2], entry[3])) == entry[1]

    def _drop_unwanted(self) -> None:
        heap = self._heap
        while heap and not self._is_wanted(heap[0]):
            heapq.heappop(heap)

    def size(self) -> int:
        """How many entries are kept, with or without meaning."""
        return len(self._heap)

    def next_deadline(self) -> float:
        """When the next entry comes due; 0.0 if there is none."""
        self._drop_unwanted()
        return self._heap[0][0] if self._heap else 0.0

    def take_due(self, now: float) -> tuple[int, str] | None:
        """Remove and return the next entry that is due: (kind, subject)."""
        self._drop_unwanted()
        if not self._heap or self._heap[0][0] > now:
            return None
        entry = heapq.heappop(self._heap)
        del self._wanted[(entry[2], entry[3])]
        return entry[2], entry[3]
