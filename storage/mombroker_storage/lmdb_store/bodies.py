"""Message bodies that several queues share: the bytes once, and beside them how many records refer to them."""

import struct
from typing import Final
from zlib import crc32

import lmdb

from mombroker_storage.lmdb_store.damage import pack_body_id
from mombroker_storage.lmdb_store.environment import Environment

_CRC: Final = struct.Struct("<I")
_COUNT: Final = struct.Struct("<QI")
# A count that cannot be read is taken for one that never reaches zero: the body stays for good, but is never missed.
_UNKNOWN: Final = 1 << 62


def change_references(
    txn: lmdb.Transaction, environment: Environment, bodies: dict[int, bytes], changes: dict[int, int]
) -> None:
    """Add ``changes`` to the reference counts; write a body with its first reference, delete it with its last.

    Raises ValueError if a record refers to a body that is neither in ``bodies`` nor in the file.
    """
    for body_id, change in changes.items():
        if not change:
            continue
        key = pack_body_id(body_id)
        if change > 0 and txn.put(key, _encode_count(key, change), overwrite=False, db=environment.body_refs):
            if body_id not in bodies:
                raise ValueError(f"a unit adds references to body {body_id}, which was never written")
            body = bodies[body_id]
            txn.put(key, _CRC.pack(crc32(body, crc32(key))) + body, db=environment.bodies)
            continue
        _change_count(txn, environment, key, change)


def _change_count(txn: lmdb.Transaction, environment: Environment, key: bytes, change: int) -> None:
    stored = txn.get(key, db=environment.body_refs)
    if stored is None:
        return
    count = _decode_count(key, bytes(stored)) + change
    if count > 0:
        txn.put(key, _encode_count(key, count), db=environment.body_refs)
    else:
        txn.delete(key, db=environment.body_refs)
        txn.delete(key, db=environment.bodies)


def _encode_count(key: bytes, count: int) -> bytes:
    return _COUNT.pack(count, crc32(struct.pack("<Q", count), crc32(key)))


def _decode_count(key: bytes, stored: bytes) -> int:
    if len(stored) != _COUNT.size:
        return _UNKNOWN
    count: int
    count, check = _COUNT.unpack(stored)
    return count if check == crc32(stored[:8], crc32(key)) else _UNKNOWN


def read_body(txn: lmdb.Transaction, environment: Environment, body_id: int) -> bytes | None:
    """A shared body, or None if it is missing or fails its checksum."""
    key = pack_body_id(body_id)
    stored = txn.get(key, db=environment.bodies)
    if stored is None or len(stored) < _CRC.size:
        return None
    body = bytes(stored[_CRC.size :])
    if crc32(body, crc32(key)) != _CRC.unpack_from(stored)[0]:
        return None
    return body
