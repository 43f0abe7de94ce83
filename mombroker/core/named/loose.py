"""Messages of a named queue that are in memory and in no lane: due, freed by their key, or waiting for a moment."""

import heapq

from mombroker.core.queue import WINDOW_BYTES, WINDOW_REFS, Ref


class Loose:
    """``ready`` by priority, then time; ``later`` by time. Whoever fills them from disk looks whether there is room."""

    __slots__ = ("ready", "later", "bytes", "_count")

    def __init__(self) -> None:
        self.ready: list[tuple[int, float, int, Ref]] = []
        self.later: list[tuple[float, int, Ref]] = []
        self.bytes: int = 0
        self._count: int = 0

    def has_room(self) -> bool:
        """Whether there are few enough that more may be read from disk."""
        return len(self.ready) + len(self.later) < WINDOW_REFS and self.bytes < WINDOW_BYTES

    def add(self, ref: Ref, priority: int, at: float) -> None:
        """A message that may be delivered now; of the same priority, the one with the lower ``at`` goes first."""
        self._count += 1
        self.bytes += ref.message.size()
        heapq.heappush(self.ready, (-priority, at, self._count, ref))

    def add_later(self, ref: Ref, at: float) -> None:
        """A message that may be delivered from ``at`` on (Unix seconds)."""
        self._count += 1
        self.bytes += ref.message.size()
        heapq.heappush(self.later, (at, self._count, ref))

    def top_priority(self) -> int:
        """The highest priority that is ready; -1 if nothing is."""
        return -self.ready[0][0] if self.ready else -1

    def take(self) -> Ref:
        """The first one that is ready, taken out."""
        ref = heapq.heappop(self.ready)[3]
        self.bytes -= ref.message.size()
        return ref

    def next_moment(self) -> float:
        """When the next one may be delivered; 0.0 if none waits."""
        return self.later[0][0] if self.later else 0.0

    def take_due(self, now: float) -> Ref | None:
        """One whose moment has come, taken out."""
        if self.later and self.later[0][0] <= now:
            ref = heapq.heappop(self.later)[2]
            self.bytes -= ref.message.size()
            return ref
        return None

    def discard(self, queue_id: int, positions: set[int]) -> None:
        """Forget those at these positions of a lane."""
        self.ready = [entry for entry in self.ready if not _is_at(entry[3], queue_id, positions)]
        self.later = [entry for entry in self.later if not _is_at(entry[2], queue_id, positions)]
        heapq.heapify(self.ready)
        heapq.heapify(self.later)
        self.bytes = sum([ref.message.size() for ref in self.refs()])

    def refs(self) -> list[Ref]:
        """All of them."""
        return [entry[3] for entry in self.ready] + [entry[2] for entry in self.later]

    def clear(self) -> None:
        """Forget all: reading the lanes brings them back."""
        self.ready = []
        self.later = []
        self.bytes = 0


def _is_at(ref: Ref, queue_id: int, positions: set[int]) -> bool:
    return ref.queue.id == queue_id and ref.position in positions
