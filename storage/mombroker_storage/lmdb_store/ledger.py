"""What the writer remembers of segments it has met lately, so that settling seldom has to look them up.

Only the owner writes, so what the ledger says is what a look into the file would say, until a transaction is
aborted: then it is cleared. It is trimmed between units, so that it stays bounded.
"""

from bisect import bisect_left, insort
from operator import attrgetter
from typing import Final

_MOST_ENTRIES: Final = 8192
_last = attrgetter("last")


class Entry:
    """One segment on disk. ``present`` are the offsets of its records, ``done`` those that are settled.

    ``marked`` tells whether the file has settled marks for it.
    """

    __slots__ = ("key", "first", "last", "present", "done", "marked")

    def __init__(self, key: bytes, first: int, last: int, present: int, done: int, marked: bool) -> None:
        self.key: bytes = key
        self.first: int = first
        self.last: int = last
        self.present: int = present
        self.done: int = done
        self.marked: bool = marked


class Ledger:
    """Entries by queue, in order of position."""

    def __init__(self) -> None:
        self._queues: dict[int, list[Entry]] = {}
        self._count: int = 0

    def add(self, queue_id: int, entry: Entry) -> None:
        """Remember a segment that is not in the ledger."""
        self._count += 1
        entries = self._queues.get(queue_id)
        if entries is None:
            self._queues[queue_id] = [entry]
        elif entries[-1].last < entry.first:
            entries.append(entry)
        else:
            insort(entries, entry, key=_last)

    def find(self, queue_id: int, position: int) -> Entry | None:
        """The segment that ``position`` lies in, if it is known."""
        entries = self._queues.get(queue_id)
        if entries is None:
            return None
        index = bisect_left(entries, position, key=_last)
        if index < len(entries) and entries[index].first <= position:
            return entries[index]
        return None

    def remove(self, queue_id: int, entry: Entry) -> None:
        """Forget a segment that is being deleted, if it is known."""
        entries = self._queues.get(queue_id)
        if entries is None:
            return
        index = bisect_left(entries, entry.last, key=_last)
        if index < len(entries) and entries[index] is entry:
            del entries[index]
            self._count -= 1
            if not entries:
                del self._queues[queue_id]

    def forget(self, queue_id: int) -> None:
        """Forget a whole queue."""
        self._count -= len(self._queues.pop(queue_id, []))

    def trim(self) -> None:
        """Forget everything if it has become too much. Not while changes to entries wait to be written."""
        if self._count > _MOST_ENTRIES:
            self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._queues.clear()
        self._count = 0
