"""Leases: a message that a consumer of the native API has, until it settles it or its time is over."""

import heapq
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
    """The leases of one queue. Deadlines that were moved, or are of no interest any more, stay in the heap until their
    time, or until they are more than those that are of interest."""

    __slots__ = ("by_token", "_by_key", "_deadlines", "_count")

    def __init__(self) -> None:
        self.by_token: dict[str, Lease] = {}
        self._by_key: dict[str, int] = {}
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
        if len(self._deadlines) > 2 * len(self.by_token) + SPARE_DEADLINES:
            self._deadlines = [
                entry for entry in self._deadlines if not entry[2].ended and entry[2].deadline == entry[0]
            ]
            heapq.heapify(self._deadlines)
        self._count += 1
        heapq.heappush(self._deadlines, (lease.deadline, self._count, lease))

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
        deadlines = self._deadlines
        while deadlines and (deadlines[0][2].ended or deadlines[0][2].deadline != deadlines[0][0]):
            heapq.heappop(deadlines)
        return deadlines[0][0] if deadlines else 0.0

    def take_run_out(self, now: float) -> Lease | None:
        """A lease that has run out."""
        deadline = self.next_deadline()
        if deadline == 0.0 or deadline > now:
            return None
        return heapq.heappop(self._deadlines)[2]

    def has(self, key: str) -> bool:
        """Whether a consumer has any."""
        return key in self._by_key

    def of(self, key: str) -> list[Lease]:
        """The leases of one consumer."""
        if key not in self._by_key:
            return []
        return [lease for lease in self.by_token.values() if lease.key == key]
