"""A store in plain Python objects: nothing survives the process, and commits are done before the call returns.

It is on the broker's hot path with ``durability = "memory"``, so a commit costs per segment. Small segments are
merged as they arrive, which keeps a queue of millions of messages a list of thousands of segments. Every call comes
from one thread; only :meth:`MemoryStore.items` and :meth:`MemoryStore.get` may come from others.
"""

import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Final

from mombroker.model.store import Damage, Page, StoredRecord
from mombroker.model.unit import Segment, Unit, split_record
from mombroker_storage.masks import offsets, present_mask, run_mask

_MERGED_RECORDS: Final = 1024
_MERGED_BYTES: Final = 64 * 1024
_MERGED_GAP: Final = 64

_epochs = itertools.count(1)
_DONE: "Future[None]" = Future()
_DONE.set_result(None)


class _Stretch:
    """Records at consecutive positions; ``live`` are the offsets that are neither holes nor settled."""

    __slots__ = ("first", "records", "live", "size")

    def __init__(self, first: int, records: list[bytes], live: int, size: int) -> None:
        self.first: int = first
        self.records: list[bytes] = records
        self.live: int = live
        self.size: int = size

    def absorb(self, segment: Segment, live: int) -> bool:
        """Take the segment's records in, if they follow closely and leave the stretch small.

        A stretch is freed as a whole, so its size is what one unsettled message can keep from being freed.
        """
        records = segment.records
        offset = segment.first - self.first
        gap = offset - len(self.records)
        if gap > _MERGED_GAP or offset + len(records) > _MERGED_RECORDS or self.size + segment.size > _MERGED_BYTES:
            return False
        if gap:
            self.records.extend([b""] * gap)
        self.records.extend(records)
        self.live |= live << offset
        self.size += segment.size
        return True


class _Queue:
    """A queue's stretches in order of position; ``ends`` holds the last position of each, for bisection."""

    __slots__ = ("stretches", "ends")

    def __init__(self) -> None:
        self.stretches: list[_Stretch] = []
        self.ends: list[int] = []

    def append(self, segment: Segment) -> None:
        """Take a copy of a segment's records, since the broker may still look at the segment."""
        records = segment.records
        live = (1 << len(records)) - 1 if segment.held == len(records) else present_mask(list(map(len, records)))
        if not live:
            return
        end = segment.first + len(records) - 1
        if self.ends and self.stretches[-1].absorb(segment, live):
            self.ends[-1] = end
            return
        self.stretches.append(_Stretch(segment.first, records.copy(), live, segment.size))
        self.ends.append(end)

    def settle(self, low: int, high: int) -> None:
        """Settle positions ``low`` to ``high``; those that are not there are passed over."""
        index = bisect_left(self.ends, low)
        emptied = index
        while index < len(self.ends) and self.stretches[index].first <= high:
            stretch = self.stretches[index]
            if low <= stretch.first and self.ends[index] <= high:
                stretch.live = 0
            else:
                start = max(low, stretch.first) - stretch.first
                stretch.live &= ~run_mask(start, min(high, self.ends[index]) - stretch.first)
            if stretch.live:
                # Only the ends of a run can leave anything, so what lies between is empty altogether.
                self._free(emptied, index)
                index = emptied
                emptied += 1
            index += 1
        self._free(emptied, index)

    def _free(self, start: int, end: int) -> None:
        del self.stretches[start:end]
        del self.ends[start:end]

    def live_records(self) -> Iterator[bytes]:
        """Every record that is not settled."""
        for stretch in self.stretches:
            for offset in offsets(stretch.live, 0):
                yield stretch.records[offset]


class MemoryStore:
    """The Store contract in memory. Not durable; never full; nothing in it can be damaged."""

    def __init__(self) -> None:
        self.epoch: int = next(_epochs)
        self.durable: bool = False
        self._queues: dict[int, _Queue] = {}
        self._tables: dict[int, dict[bytes, bytes]] = {}
        self._bodies: dict[int, bytes] = {}
        self._counts: dict[int, int] = {}

    def describe(self) -> str:
        """One line for the start-up log."""
        return f"memory, epoch {self.epoch}: nothing is kept when the broker stops"

    def items(self, table: int) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) of a table in key order, as they were when the iteration began."""
        yield from sorted(self._tables.get(table, {}).copy().items())

    def get(self, table: int, key: bytes) -> "Future[bytes | None]":
        """One state record, or None; the future is done."""
        future: Future[bytes | None] = Future()
        future.set_result(self._tables.get(table, {}).get(key))
        return future

    def commit(self, unit: Unit) -> "Future[None]":
        """Apply the unit; the future is done."""
        for queue_id, segments in unit.segments.items():
            queue = self._queues.get(queue_id)
            if queue is None:
                queue = self._queues[queue_id] = _Queue()
            for segment in segments:
                queue.append(segment)
        for queue_id, runs in unit.settled.items():
            queue = self._queues.get(queue_id)
            if queue is not None:
                for index in range(0, len(runs), 2):
                    queue.settle(runs[index], runs[index + 1])
        changes = unit.body_refs
        if unit.dropped_queues:
            changes = dict(changes)
            for queue_id in unit.dropped_queues:
                self._drop(queue_id, changes)
        if changes:
            self._count_bodies(unit.bodies, changes)
        for (table, key), value in unit.puts.items():
            if value is None:
                self._tables.setdefault(table, {}).pop(key, None)
            else:
                self._tables.setdefault(table, {})[key] = value
        return _DONE

    def _drop(self, queue_id: int, changes: dict[int, int]) -> None:
        queue = self._queues.pop(queue_id, None)
        if queue is None:
            return
        for record in queue.live_records():
            body_id = split_record(record)[2]
            if body_id:
                changes[body_id] = changes.get(body_id, 0) - 1

    def _count_bodies(self, bodies: dict[int, bytes], changes: dict[int, int]) -> None:
        for body_id, change in changes.items():
            count = self._counts.get(body_id, 0) + change
            if count > 0:
                if body_id not in self._bodies:
                    self._bodies[body_id] = bodies[body_id]
                self._counts[body_id] = count
            else:
                self._bodies.pop(body_id, None)
                self._counts.pop(body_id, None)

    def read(self, queue_id: int, first: int, max_records: int, max_bytes: int) -> "Future[Page]":
        """Unsettled records from position ``first`` on; the future is done."""
        future: Future[Page] = Future()
        future.set_result(self._page(queue_id, first, max_records, max_bytes))
        return future

    def _page(self, queue_id: int, first: int, max_records: int, max_bytes: int) -> Page:
        records: list[StoredRecord] = []
        queue = self._queues.get(queue_id)
        if queue is None:
            return Page(records, first, True, [])
        size = 0
        position = first
        for index in range(bisect_left(queue.ends, first), len(queue.ends)):
            stretch = queue.stretches[index]
            for offset in offsets(stretch.live, max(0, first - stretch.first)):
                record = self._record(stretch.first + offset, stretch.records[offset])
                size += len(record.head) + len(record.body)
                if records and (size > max_bytes or len(records) >= max_records):
                    return Page(records, position, False, [])
                records.append(record)
                position = record.position + 1
            position = max(position, queue.ends[index] + 1)
        return Page(records, position, True, [])

    def _record(self, position: int, record: bytes) -> StoredRecord:
        head, body, body_id = split_record(record)
        return StoredRecord(position, head, self._bodies[body_id] if body_id else body, body_id)

    def on_damage(self, listener: Callable[[Damage], None]) -> None:
        """Accepted and never called: memory has no checksums to fail."""

    def close(self) -> None:
        """Forget everything."""
        self._queues.clear()
        self._tables.clear()
        self._bodies.clear()
        self._counts.clear()
