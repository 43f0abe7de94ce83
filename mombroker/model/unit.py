"""The unit of work: everything that one turn of the broker loop wants on disk, written in one transaction.

A unit is filled on the loop thread, handed over once, and never touched by the loop again. Its parts:

* ``segments``: per queue, runs of appended records. A record's position is its segment's ``first`` plus its index;
  an empty record (``b""``) is a hole: delivered and settled before the unit was handed over, so never written.
* ``settled``: per queue, inclusive runs ``[low, high, low, high, ...]`` of positions that are done with.
* ``bodies`` and ``body_refs``: message bodies kept once for several queues, and by how much the number of references
  to each changes. A body whose count reaches zero is deleted.
* ``moved``: which of the settled records live on as other ones that the unit appends: by queue, by position, the ids of
  their shared bodies (0: none). For the owner only: a unit that could not be written has not settled them.
* ``puts``: state records by (table, key); ``None`` deletes.
* ``dropped_queues``: queues that go with all their records.

``writes`` is zero when nothing is left to write, ``ops`` only grows: it tells whether a publish added anything.

A record is ``head + body``, or ``head + body id`` when the head's SHARED_BODY bit is set. The head is one byte of
flags, two bytes of length, and that many bytes of encoded subscription identifiers; only the SHARED_BODY bit and the
length are the store's business.
"""

import struct
from typing import Final

from mombroker.model.message import Message

SHARED_BODY: Final = 0x80
HEAD_SIZE: Final = 3

TABLE_SESSION: Final = 1
TABLE_INFLIGHT: Final = 2
TABLE_RETAINED: Final = 3
TABLE_QUEUE: Final = 4
TABLE_TALLY: Final = 5
TABLE_PLUGIN: Final = 6
TABLE_SUBSCRIPTION: Final = 7
TABLE_NAMED: Final = 8
TABLE_RETURNED: Final = 9
TABLE_DEDUP: Final = 10
TABLE_GRANT: Final = 11
TABLE_REQUEST: Final = 12
TABLES: Final = (
    TABLE_SESSION,
    TABLE_INFLIGHT,
    TABLE_RETAINED,
    TABLE_QUEUE,
    TABLE_TALLY,
    TABLE_PLUGIN,
    TABLE_SUBSCRIPTION,
    TABLE_NAMED,
    TABLE_RETURNED,
    TABLE_DEDUP,
    TABLE_GRANT,
    TABLE_REQUEST,
)

_BODY_ID: Final = struct.Struct(">Q")
_SEGMENT_BYTES: Final = 64 * 1024
_SEGMENT_RECORDS: Final = 1024


class Segment:
    """Consecutive records of one queue; ``first`` is the position of ``records[0]``."""

    __slots__ = ("first", "records", "size", "held")

    def __init__(self, first: int) -> None:
        self.first: int = first
        self.records: list[bytes] = []
        self.size: int = 0
        self.held: int = 0


def record_head(flags: int, subscription_ids: bytes) -> bytes:
    """The head of a record whose body is inline."""
    return bytes((flags, len(subscription_ids) >> 8, len(subscription_ids) & 0xFF)) + subscription_ids


def split_record(record: bytes) -> tuple[bytes, bytes, int]:
    """(head, inline body or b"", shared body id or 0) of a stored record."""
    end = HEAD_SIZE + (record[1] << 8 | record[2])
    if record[0] & SHARED_BODY:
        body_id: int = _BODY_ID.unpack_from(record, end)[0]
        return record[:end], b"", body_id
    return record[:end], record[end:], 0


class Unit:
    """One unit of work. ``number`` grows by one from unit to unit of the same owner."""

    __slots__ = (
        "number",
        "segments",
        "settled",
        "bodies",
        "body_refs",
        "moved",
        "puts",
        "dropped_queues",
        "size",
        "writes",
        "ops",
    )

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.segments: dict[int, list[Segment]] = {}
        self.settled: dict[int, list[int]] = {}
        self.bodies: dict[int, bytes] = {}
        self.body_refs: dict[int, int] = {}
        self.moved: dict[int, dict[int, int]] = {}
        self.puts: dict[tuple[int, bytes], bytes | None] = {}
        self.dropped_queues: list[int] = []
        self.size: int = 0
        self.writes: int = 0
        self.ops: int = 0

    def append(self, queue_id: int, position: int, head: bytes, message: Message) -> None:
        """Append ``message`` to a queue at ``position``, which is above every earlier position of that queue.

        A message with a ``body_id`` is stored once and referred to; any other is stored inline.
        """
        body_id = message.body_id
        if body_id:
            if body_id in self.body_refs:
                self.body_refs[body_id] += 1
            else:
                self.body_refs[body_id] = 1
            if body_id not in self.bodies:
                self.bodies[body_id] = message.body()
                self.size += len(message.body())
            record = bytes((head[0] | SHARED_BODY,)) + head[1:] + _BODY_ID.pack(body_id)
        else:
            record = head + message.body()
        self._add(queue_id, position, record)

    def _add(self, queue_id: int, position: int, record: bytes) -> None:
        segments = self.segments.get(queue_id)
        if segments is None:
            segment = Segment(position)
            self.segments[queue_id] = [segment]
        else:
            segment = segments[-1]
            full = segment.size >= _SEGMENT_BYTES or len(segment.records) >= _SEGMENT_RECORDS
            if full or segment.first + len(segment.records) != position:
                segment = Segment(position)
                segments.append(segment)
        segment.records.append(record)
        length = len(record)
        segment.size += length
        segment.held += 1
        self.size += length
        self.writes += 1
        self.ops += 1

    def settle(self, queue_id: int, position: int, body_id: int) -> None:
        """The record at ``position`` is done with; ``body_id`` is that of its message, 0 for an inline one."""
        if body_id:
            self.body_refs[body_id] = self.body_refs.get(body_id, 0) - 1
        segments = self.segments.get(queue_id)
        if segments is not None and position >= segments[0].first:
            self._take_back(segments, position)
            return
        runs = self.settled.get(queue_id)
        if runs is None:
            self.settled[queue_id] = [position, position]
            self.writes += 1
        elif runs[-1] + 1 == position:
            runs[-1] = position
        else:
            runs.append(position)
            runs.append(position)
            self.writes += 1

    def _take_back(self, segments: list[Segment], position: int) -> None:
        index = len(segments) - 1
        while segments[index].first > position:
            index -= 1
        segment = segments[index]
        offset = position - segment.first
        if offset < len(segment.records) and segment.records[offset]:
            self.size -= len(segment.records[offset])
            segment.records[offset] = b""
            segment.held -= 1
            self.writes -= 1

    def moves(self, queue_id: int, position: int, body_id: int) -> bool:
        """The record at ``position``, which is about to be settled, lives on as another one that this unit appends.
        False if it is in no earlier unit: then nothing is left of it."""
        segments = self.segments.get(queue_id)
        if segments is not None and position >= segments[0].first:
            return False
        moved = self.moved.get(queue_id)
        if moved is None:
            moved = self.moved[queue_id] = {}
        moved[position] = body_id
        return True

    def settled_without_moved(self, queue_id: int) -> list[int]:
        """The runs of positions of a queue that are done with, but for those that have moved."""
        runs = self.settled[queue_id]
        moved = self.moved.get(queue_id)
        if moved is None:
            return runs
        left: list[int] = []
        for index in range(0, len(runs), 2):
            for position in range(runs[index], runs[index + 1] + 1):
                if position in moved:
                    continue
                if left and left[-1] + 1 == position:
                    left[-1] = position
                else:
                    left.append(position)
                    left.append(position)
        return left

    def settled_refs(self) -> dict[int, int]:
        """By how much the settled records alone, but for moved ones, change the references to shared bodies."""
        changes = dict(self.body_refs)
        for segments in self.segments.values():
            for segment in segments:
                for record in segment.records:
                    body_id = split_record(record)[2] if record else 0
                    if body_id:
                        changes[body_id] -= 1
        for moved in self.moved.values():
            for body_id in moved.values():
                if body_id:
                    changes[body_id] = changes.get(body_id, 0) + 1
        return {body_id: change for body_id, change in changes.items() if change}

    def put(self, table: int, key: bytes, value: bytes) -> None:
        """Set a state record; the last put or delete of a key in a unit wins."""
        self.puts[(table, key)] = value
        self.size += len(value)
        self.writes += 1
        self.ops += 1

    def delete(self, table: int, key: bytes) -> None:
        """Delete a state record; deleting one that is not there is allowed."""
        self.puts[(table, key)] = None
        self.writes += 1
        self.ops += 1

    def drop_queue(self, queue_id: int) -> None:
        """Forget a queue: its records, its settled positions, its tally. A queue's id is never used again.

        What this unit appended to it is taken back; what it settled there stays, so that a store which settles
        before it drops counts the references to shared bodies right.
        """
        for segment in self.segments.pop(queue_id, []):
            for record in segment.records:
                if record:
                    self.size -= len(record)
                    body_id = split_record(record)[2]
                    if body_id:
                        self.body_refs[body_id] -= 1
        self.dropped_queues.append(queue_id)
        self.writes += 1
        self.ops += 1
