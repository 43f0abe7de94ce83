"""Dropping queues without stopping the broker: a large one goes in the background, a batch of segments at a time.

The unit that drops a queue deletes its first batch. If that is not all, it leaves a note in the database ``dropping``
in the same transaction: from then on the queue reads as empty, and later transactions sweep up the rest, after a
restart too. A queue's id is never used again, so nothing can be appended to what is being swept.
"""

from typing import Final

import lmdb

from mombroker.model.unit import split_record
from mombroker_storage.lmdb_store import marks
from mombroker_storage.lmdb_store.damage import move_segment
from mombroker_storage.lmdb_store.environment import Environment
from mombroker_storage.lmdb_store.segments import KEY, StoredSegment, UnreadableSegment
from mombroker_storage.masks import offsets

_BATCH: Final = 128
_LAST: Final = (1 << 64) - 1


class Dropping:
    """The queues that are being dropped. ``unswept`` are those with something left in the file."""

    def __init__(self, environment: Environment) -> None:
        self._environment: Environment = environment
        with environment.reading() as txn:
            noted = [
                _queue_of(bytes(key)) for key in txn.cursor(environment.dropping).iternext(keys=True, values=False)
            ]
        self.unswept: set[int] = set(noted)
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    def rolled_back(self) -> None:
        """The transaction was aborted."""
        self._begun.clear()
        self._finished.clear()

    def committed(self) -> None:
        """The transaction is on disk."""
        if self._begun or self._finished:
            self.unswept = (self.unswept | self._begun) - self._finished
            self.rolled_back()

    def drop(self, txn: lmdb.Transaction, queue_id: int, changes: dict[int, int]) -> None:
        """Drop a queue; ``changes`` takes the references to shared bodies that go with it."""
        if not self._delete_batch(txn, queue_id, changes):
            txn.put(_key_of(queue_id), b"", db=self._environment.dropping)
            self._begun.add(queue_id)

    def sweep(self, txn: lmdb.Transaction, changes: dict[int, int]) -> None:
        """Delete a batch of one dropped queue."""
        queue_id = next(iter(self.unswept - self._finished), None)
        if queue_id is not None and self._delete_batch(txn, queue_id, changes):
            txn.delete(_key_of(queue_id), db=self._environment.dropping)
            self._finished.add(queue_id)

    def _delete_batch(self, txn: lmdb.Transaction, queue_id: int, changes: dict[int, int]) -> bool:
        """Delete up to a batch of segments; whether none are left."""
        kept = self._take_marks(txn, queue_id)
        cursor = txn.cursor(self._environment.records)
        positioned = cursor.set_range(KEY.pack(queue_id, 0))
        for _ in range(_BATCH):
            if not positioned or KEY.unpack(cursor.key())[0] != queue_id:
                return True
            key, value = map(bytes, cursor.item())
            try:
                self._release_bodies(StoredSegment(key, value), kept.get(key, 0), changes)
            except UnreadableSegment:
                # Nobody will miss its messages, but what it was may be of interest.
                move_segment(txn, self._environment, key, value)
                positioned = cursor.set_range(key)
                continue
            positioned = cursor.delete() and bool(cursor.key())
        return False

    def _take_marks(self, txn: lmdb.Transaction, queue_id: int) -> dict[bytes, int]:
        """Delete a queue's settled marks in the range of one batch, and return the masks by segment."""
        cursor = txn.cursor(self._environment.settled)
        if not cursor.set_range(KEY.pack(queue_id, 0)) or KEY.unpack(cursor.key())[0] != queue_id:
            return {}
        end = self._batch_end(txn, queue_id)
        kept = {}
        positioned = True
        while positioned and bytes(cursor.key()) <= end:
            key, stored = map(bytes, cursor.item())
            kept[key] = marks.decode(key, stored) or 0
            positioned = cursor.delete() and bool(cursor.key())
        return kept

    def _batch_end(self, txn: lmdb.Transaction, queue_id: int) -> bytes:
        cursor = txn.cursor(self._environment.records)
        positioned = cursor.set_range(KEY.pack(queue_id, 0))
        end = KEY.pack(queue_id, _LAST)
        for _ in range(_BATCH):
            if not positioned or KEY.unpack(cursor.key())[0] != queue_id:
                return KEY.pack(queue_id, _LAST)
            end = bytes(cursor.key())
            positioned = cursor.next()
        return end

    def _release_bodies(self, stored: StoredSegment, done: int, changes: dict[int, int]) -> None:
        if not stored.has_shared:
            return
        for offset in offsets(stored.present & ~done, 0):
            record = stored.record(offset)
            if record is not None:
                body_id = split_record(record)[2]
                if body_id:
                    changes[body_id] = changes.get(body_id, 0) - 1


def _key_of(queue_id: int) -> bytes:
    return KEY.pack(queue_id, 0)


def _queue_of(key: bytes) -> int:
    queue_id: int = KEY.unpack(key)[0]
    return queue_id
