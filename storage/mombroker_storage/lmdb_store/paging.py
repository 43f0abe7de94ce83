"""Reading a page of a queue: from the segment that holds the first position on, past what is settled or damaged.

The cost is that of the segments the page comes from, however long the queue is.
"""

from collections.abc import Callable

import lmdb

from mombroker.model.store import Damage, Page, StoredRecord
from mombroker.model.unit import split_record
from mombroker_storage.lmdb_store import damage, marks
from mombroker_storage.lmdb_store.bodies import read_body
from mombroker_storage.lmdb_store.environment import Environment
from mombroker_storage.lmdb_store.segments import KEY, StoredSegment, UnreadableSegment
from mombroker_storage.masks import offsets


class DamageBook:
    """What readers have found damaged so far, so that nothing is reported twice while it waits to be set aside."""

    def __init__(self, report: damage.Listener, set_aside: Callable[[damage.Finding], None]) -> None:
        self.report: damage.Listener = report
        self._set_aside: Callable[[damage.Finding], None] = set_aside
        self._known: set[object] = set()

    def is_new(self, place: object) -> bool:
        """Whether damage at this place is met for the first time."""
        if place in self._known:
            return False
        self._known.add(place)
        return True

    def enter(self, place: object, finding: damage.Finding) -> bool:
        """Note a finding by its place, and have it set aside. False if it was known."""
        if not self.is_new(place):
            return False
        self._set_aside(finding)
        return True


class PageReader:
    """One read of a queue, within one read-only transaction."""

    def __init__(
        self, txn: lmdb.Transaction, environment: Environment, book: DamageBook, max_records: int, max_bytes: int
    ) -> None:
        self._txn: lmdb.Transaction = txn
        self._environment: Environment = environment
        self._book: DamageBook = book
        self._max_records: int = max(1, max_records)
        self._max_bytes: int = max_bytes
        self._records: list[StoredRecord] = []
        self._damaged: list[Damage] = []
        self._size: int = 0
        self._position: int = 0

    def read(self, queue_id: int, first: int) -> Page:
        """The page from position ``first`` on."""
        self._position = first
        cursor = self._txn.cursor(self._environment.records)
        positioned = cursor.set_range(KEY.pack(queue_id, first))
        at_end = True
        while positioned:
            key = bytes(cursor.key())
            found, last = KEY.unpack(key)
            if found != queue_id:
                break
            if not self._read_segment(queue_id, key, cursor.value()):
                at_end = False
                break
            self._position = max(self._position, last + 1)
            positioned = cursor.next()
        return Page(self._records, self._position, at_end, self._damaged)

    def _read_segment(self, queue_id: int, key: bytes, value: bytes | memoryview) -> bool:
        """Take a segment's records into the page; False if the page is full before the segment is."""
        try:
            stored = StoredSegment(key, value)
        except UnreadableSegment as error:
            if self._book.enter(key, damage.DamagedSegment(key)):
                self._damaged.append(damage.segment_damage(key, error.first, self._position, error.detail))
            return True
        for offset in offsets(stored.present & ~self._done(key, stored.first), max(0, self._position - stored.first)):
            if len(self._records) >= self._max_records:
                return False
            record = self._record(queue_id, stored, offset)
            if record is None:
                continue
            size = len(record.head) + len(record.body)
            if self._records and self._size + size > self._max_bytes:
                return False
            self._records.append(record)
            self._size += size
            self._position = record.position + 1
        return True

    def _done(self, key: bytes, first: int) -> int:
        kept = self._txn.get(key, db=self._environment.settled)
        if kept is None:
            return 0
        done = marks.decode(key, kept)
        if done is None:
            if self._book.is_new((key, bytes(kept))):
                self._book.report(damage.marks_damage(key, first))
            return 0
        return done

    def _record(self, queue_id: int, stored: StoredSegment, offset: int) -> StoredRecord | None:
        position = stored.first + offset
        record = stored.record(offset)
        if record is None:
            self._note(queue_id, position, stored.raw(offset), 0, "the record fails its checksum")
            return None
        head, body, body_id = split_record(record)
        if not body_id:
            return StoredRecord(position, head, body)
        shared = read_body(self._txn, self._environment, body_id)
        if shared is None:
            self._note(queue_id, position, record, body_id, f"its shared body {body_id} is damaged or missing")
            return None
        return StoredRecord(position, head, shared, body_id)

    def _note(self, queue_id: int, position: int, raw: bytes, body_id: int, detail: str) -> None:
        if self._book.enter((queue_id, position), damage.DamagedRecord(queue_id, position, raw, body_id)):
            self._damaged.append(Damage(queue_id, position, position, detail))
