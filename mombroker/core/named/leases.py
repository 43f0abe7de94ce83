"""Leases: a message that a consumer of the native API has, until it settles it or its time is over."""

import heapq
from collections import deque
from typing import TYPE_CHECKING, Final

from mombroker.core.queue import Ref

if TYPE_CHECKING:
    from mombroker.core.named.consumers import StreamConsumer
    from mombroker.core.named.queue import NamedQueue


SPARE_DEADLINES: Final = 1000
"""Deadlines that may be of no interest any more before they are thrown out."""


class Lease:
    """``token`` is what a consumer settles it by. ``stream`` gets its credit back then."""

    __slots__ = ("token", "queue", "ref", "deliveries", "deadline", "key", "username", "stream", "ended")

    def __init__(
        self,
        token: str,
        queue: "NamedQueue",
        ref: Ref,
        deliveries: int,
        deadline: float,
        key: str,
        username: str | None,
        stream: "StreamConsumer | None",
    ) -> None:
        self.token: str = token
        self.queue: NamedQueue = queue
        self.ref: Ref = ref
        self.deliveries: int = deliveries
        self.deadline: float = deadline
        self.key: str = key
        self.username: str | None = username
        self.stream: StreamConsumer | None = stream
        self.ended: bool = False


class Leases:
    """The leases of one queue. Those that end no sooner than the one before them wait in a line, as nearly all do; only
    the others need the heap. Deadlines that were moved, or are of no interest any more, stay where they are until their
    time, or until they are more than those that are of interest."""

    __slots__ = ("by_token", "_by_key", "_line", "_deadlines", "_count")

    def __init__(self) -> None:
        self.by_token: dict[str, Lease] = {}
        self._by_key: dict[str, int] = {}
        self._line: deque[tuple[float, int, Lease]] = deque()
        self._deadlines: list[tuple[float, int, Lease]] = []
        self._count: int = 0

    def add(self, lease: Lease) -> None:
        """A lease begins."""
        self.by_token[lease.token] = lease
        self._by_key[lease.key] = self._by_key.get(lease.key, 0) + 1
        self._watch(lease)

    def extend(self, lease: Lease, deadline: float) -> None:
        """A lease ends at another time."""
        lease.deadline = deadline
        self._watch(lease)

    def _watch(self, lease: Lease) -> None:
        if len(self._line) + len(self._deadlines) > 2 * len(self.by_token) + SPARE_DEADLINES:
            self._line = deque([entry for entry in self._line if _counts(entry)])
            self._deadlines = [entry for entry in self._deadlines if _counts(entry)]
            heapq.heapify(self._deadlines)
        self._count += 1
        entry = (lease.deadline, self._count, lease)
        line = self._line
        if not line or line[len(line) - 1][0] <= lease.deadline:
            line.append(entry)
        else:
            heapq.heappush(self._deadlines, entry)

    def end(self, lease: Lease) -> None:
        """A lease is over."""
        lease.ended = True
        if self.by_token.pop(lease.token, None) is None:
            return
        left = self._by_key[lease.key] - 1
        if left:
            self._by_key[lease.key] = left
        else:
            del self._by_key[lease.key]

    def next_deadline(self) -> float:
        """When a lease may run out; 0.0 if there is none."""
        line = self._line
        while line and not _counts(line[0]):
            line.popleft()
        deadlines = self._deadlines
        while deadlines and not _counts(deadlines[0]):
            heapq.heappop(deadlines)
        if line and (not deadlines or line[0][0] <= deadlines[0][0]):
            return line[0][0]
        return deadlines[0][0] if deadlines else 0.0

    def take_run_out(self, now: float) -> Lease | None:
        """A lease that has run out."""
        deadline = self.next_deadline()
        if deadline == 0.0 or deadline > now:
            return None
        if self._line and self._line[0][0] == deadline:
            return self._line.popleft()[2]
        return heapq.heappop(self._deadlines)[2]

    def has(self, key: str) -> bool:
        """Whether a consumer has any."""
        return key in self._by_key

    def of(self, key: str) -> list[Lease]:
        """The leases of one consumer."""
        if key not in self._by_key:
            return []
        return [lease for lease in self.by_token.values() if lease.key == key]


def _counts(entry: tuple[float, int, Lease]) -> bool:
    """Whether this is still when the lease runs out."""
    lease = entry[2]
    return not lease.ended and lease.deadline == entry[0]
