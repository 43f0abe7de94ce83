"""Messages of a named queue that are in memory and in no lane: due, freed by their key, or waiting for a moment."""

import heapq

from mombroker.core.queue import Ref


class Loose:
    """``ready`` by priority, then time; ``later`` by time. Both are bounded by who fills them."""

    __slots__ = ("ready", "later", "_count")

    def __init__(self) -> None:
        self.ready: list[tuple[int, float, int, Ref]] = []
        self.later: list[tuple[float, int, Ref]] = []
        self._count: int = 0

    def size(self) -> int:
        """How many there are."""
        return len(self.ready) + len(self.later)

    def add(self, ref: Ref, priority: int, at: float) -> None:
        """A message that may be delivered now; of the same priority, the one with the lower ``at`` goes first."""
        self._count += 1
        heapq.heappush(self.ready, (-priority, at, self._count, ref))

    def add_later(self, ref: Ref, at: float) -> None:
        """A message that may be delivered from ``at`` on (Unix seconds)."""
        self._count += 1
        heapq.heappush(self.later, (at, self._count, ref))

    def top_priority(self) -> int:
        """The highest priority that is ready; -1 if nothing is."""
        return -self.ready[0][0] if self.ready else -1

    def take(self) -> Ref:
        """The first one that is ready, taken out."""
        return heapq.heappop(self.ready)[3]

    def next_moment(self) -> float:
        """When the next one may be delivered; 0.0 if none waits."""
        return self.later[0][0] if self.later else 0.0

    def take_due(self, now: float) -> Ref | None:
        """One whose moment has come, taken out."""
        if self.later and self.later[0][0] <= now:
            return heapq.heappop(self.later)[2]
        return None

    def discard(self, queue_id: int, positions: set[int]) -> None:
        """Forget those at these positions of a lane."""
        self.ready = [entry for entry in self.ready if not _is_at(entry[3], queue_id, positions)]
        self.later = [entry for entry in self.later if not _is_at(entry[2], queue_id, positions)]
        heapq.heapify(self.ready)
        heapq.heapify(self.later)

    def refs(self) -> list[Ref]:
        """All of them."""
        return [entry[3] for entry in self.ready] + [entry[2] for entry in self.later]

    def clear(self) -> None:
        """Forget all: reading the lanes brings them back."""
        self.ready = []
        self.later = []


def _is_at(ref: Ref, queue_id: int, positions: set[int]) -> bool:
    return ref.queue.id == queue_id and ref.position in positions
