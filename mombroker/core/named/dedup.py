"""Message ids seen within a window of time, so that a message sent again is not taken again. Kept across restarts."""

import struct
from itertools import islice
from typing import Final

from mombroker.core.barrier import Barrier, Outcome
from mombroker.core.records import digest
from mombroker.model.unit import TABLE_DEDUP

MOST_IDS: Final = 1_000_000
"""Ids remembered for one queue; beyond that the oldest are forgotten before their time."""

PURGED_AT_ONCE: Final = 1000

_TIME: Final = struct.Struct(">d")


class Repetition:
    """A message with an id that was taken before, but not on disk yet."""

    def take(self) -> None:
        """The store had no room for the first one: take this one instead."""
        raise NotImplementedError


class SeenIds:
    """The ids of one queue, oldest first, by their digests. ``open`` are those whose messages are not on disk yet."""

    __slots__ = ("open", "_prefix", "_until")

    def __init__(self, queue_name: str) -> None:
        self.open: dict[str, Remembered] = {}
        self._prefix: bytes = digest(queue_name)
        self._until: dict[bytes, float] = {}

    def knows(self, message_id: str, now: float) -> bool:
        """Whether the id was taken within its window."""
        return self._until.get(digest(message_id), 0.0) > now

    def remember(self, barrier: Barrier, message_id: str, until: float) -> None:
        """Take note of an id, unless the store turns out to have no room for its message."""
        key = digest(message_id)
        if len(self._until) >= MOST_IDS:
            self._drop(barrier, next(iter(self._until)))
        self._until.pop(key, None)
        self._until[key] = until
        barrier.unit.put(TABLE_DEDUP, self._prefix + key, _TIME.pack(until))
        remembered = self.open[message_id] = Remembered(self, message_id, barrier.number)
        barrier.tell(remembered)

    def forget(self, message_id: str) -> None:
        """The message was not kept after all."""
        self._until.pop(digest(message_id), None)

    def next_expiry(self) -> float:
        """When the window of the oldest one passes; 0.0 if there is none."""
        for until in self._until.values():
            return until
        return 0.0

    def purge(self, barrier: Barrier, now: float) -> None:
        """Drop some of those whose window has passed."""
        for key in list(islice(self._until, PURGED_AT_ONCE)):
            if self._until[key] > now:
                return
            self._drop(barrier, key)

    def clear(self, barrier: Barrier) -> None:
        """Forget all, in the store too."""
        for key in list(self._until):
            self._drop(barrier, key)

    def restore(self, key: bytes, value: bytes) -> None:
        """Take over what the store has."""
        self._until[key] = _TIME.unpack(value)[0]

    def _drop(self, barrier: Barrier, key: bytes) -> None:
        del self._until[key]
        barrier.unit.delete(TABLE_DEDUP, self._prefix + key)


class Remembered(Outcome):
    """An id is remembered only if its message is kept. ``number`` is the unit that the message is in, ``again`` a
    message with the same id that another unit promises to have."""

    def __init__(self, ids: SeenIds, message_id: str, number: int) -> None:
        super().__init__(False)
        self.ids: SeenIds = ids
        self.message_id: str = message_id
        self.number: int = number
        self.again: Repetition | None = None

    def kept(self) -> None:
        """The message is on disk."""
        if self.ids.open.get(self.message_id) is self:
            del self.ids.open[self.message_id]

    def refused(self) -> None:
        """The store had no room."""
        if self.ids.open.get(self.message_id) is self:
            del self.ids.open[self.message_id]
            self.ids.forget(self.message_id)
        if self.again is not None:
            self.again.take()
