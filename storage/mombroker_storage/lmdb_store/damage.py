"""What failed its checksum: described for the broker, and set aside so that it is met once.

A reader that meets damage reports it and hands a :class:`Finding` to the writer. The writer looks again, copies the
damaged bytes into the database ``damaged`` (for whoever wants to examine them), and takes them out of the live place.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import lmdb

from mombroker.model.store import Damage
from mombroker_storage.lmdb_store.environment import Environment
from mombroker_storage.lmdb_store.segments import KEY

_RECORD: Final = b"r"
_SEGMENT: Final = b"s"
_MARKS: Final = b"m"
_TABLE: Final = b"t"
_BODY: Final = b"b"
_POSITION: Final = struct.Struct(">QQ")

Listener = Callable[[Damage], None]


@dataclass(frozen=True)
class DamagedRecord:
    """One record of a queue, whose own bytes are damaged or whose shared body ``body_id`` is damaged or missing."""

    queue_id: int
    position: int
    raw: bytes
    body_id: int


@dataclass(frozen=True)
class DamagedSegment:
    """A whole segment, by its key in ``records``."""

    key: bytes


@dataclass(frozen=True)
class DamagedState:
    """A state record, by its key in ``tables``, with the bytes that were found."""

    key: bytes
    raw: bytes


Finding = DamagedRecord | DamagedSegment | DamagedState


def keep_record(txn: lmdb.Transaction, environment: Environment, found: DamagedRecord) -> None:
    """Copy a damaged record's bytes, and those of its shared body if it is that which is damaged."""
    txn.put(_RECORD + _POSITION.pack(found.queue_id, found.position), found.raw, db=environment.damaged)
    if found.body_id:
        key = pack_body_id(found.body_id)
        txn.put(_BODY + key, txn.get(key, db=environment.bodies) or b"", db=environment.damaged)


def move_segment(txn: lmdb.Transaction, environment: Environment, key: bytes, value: bytes) -> None:
    """Move an unreadable segment away, together with its settled marks."""
    txn.put(_SEGMENT + key, value, db=environment.damaged)
    marks = txn.pop(key, db=environment.settled)
    if marks is not None:
        txn.put(_MARKS + key, marks, db=environment.damaged)
    txn.delete(key, db=environment.records)


def keep_marks(txn: lmdb.Transaction, environment: Environment, key: bytes, marks: bytes) -> None:
    """Copy damaged settled marks."""
    txn.put(_MARKS + key, marks, db=environment.damaged)


def move_state(txn: lmdb.Transaction, environment: Environment, found: DamagedState) -> None:
    """Move a damaged state record away, unless it has been written anew meanwhile."""
    if txn.get(found.key, db=environment.tables) == found.raw:
        txn.put(_TABLE + found.key, found.raw, db=environment.damaged)
        txn.delete(found.key, db=environment.tables)


def pack_body_id(body_id: int) -> bytes:
    """The key of a shared body."""
    return struct.pack(">Q", body_id)


def segment_damage(key: bytes, first: int | None, at_least: int, detail: str) -> Damage:
    """What to report of an unreadable segment that was met when looking for position ``at_least``."""
    queue_id, last = KEY.unpack(key)
    return Damage(queue_id, min(last, at_least if first is None else max(first, at_least)), last, detail)


def state_damage(key: bytes) -> Damage:
    """What to report of a state record; it belongs to no queue, so its place is in the detail."""
    return Damage(0, 0, 0, f"state record {bytes(key[1:])!r} of table {key[0]} fails its checksum")


def marks_damage(key: bytes, first: int) -> Damage:
    """What to report of settled marks. No record is lost, so no queue's records are named as damaged."""
    queue_id, last = KEY.unpack(key)
    detail = f"settled marks of queue {queue_id}, positions {first} to {last}, fail their checksum"
    return Damage(0, 0, 0, f"{detail}: messages that were settled there may be delivered again")
