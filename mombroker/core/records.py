"""State records as the store keeps them: queues, sessions, subscriptions, in-flight identifiers, retained messages.

Keys are of fixed size, since a store may limit them: an identifier, or a digest of a name that the value spells out.
"""

import hashlib
import json
import struct
from typing import Any, Final

from mombroker.model.queues import QueueSpec

_INFLIGHT: Final = struct.Struct(">III")
_LEASE: Final = struct.Struct(">HBQQ")


def digest(name: str) -> bytes:
    """A 16-byte key for a name of any length."""
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def queue_record(spec: QueueSpec) -> bytes:
    """The record of a queue."""
    return _dump({"name": spec.name, "kind": spec.kind, "durable": spec.durable, "username": spec.username})


def queue_from_record(record: bytes) -> QueueSpec:
    """The specification that :func:`queue_record` stored."""
    fields = load(record)
    return QueueSpec(fields["name"], fields["kind"], fields["durable"], fields["username"])


def dump(fields: dict[str, Any]) -> bytes:
    """A cold record: JSON, so that a person with the file in hand can read it."""
    return _dump(fields)


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def load(record: bytes) -> dict[str, Any]:
    """The fields of a cold record."""
    fields: dict[str, Any] = json.loads(record)
    return fields


class InflightRecord:
    """What a session had in flight: QoS 2 identifiers received, identifiers to release, messages leased."""

    def __init__(self, inbound: list[int], released: list[int], leases: list[tuple[int, bool, int, int]]) -> None:
        self.inbound: list[int] = inbound
        self.released: list[int] = released
        self.leases: list[tuple[int, bool, int, int]] = leases

    def encode(self) -> bytes:
        """The record as bytes; a lease is (packet id, released, queue id, position)."""
        ids = self.inbound + self.released
        parts = [_INFLIGHT.pack(len(self.inbound), len(self.released), len(self.leases))]
        parts.append(struct.pack(f">{len(ids)}H", *ids))
        for lease in self.leases:
            parts.append(_LEASE.pack(lease[0], lease[1], lease[2], lease[3]))
        return b"".join(parts)


def inflight_from_record(record: bytes) -> InflightRecord:
    """The record that :meth:`InflightRecord.encode` made."""
    inbound, released, leases = _INFLIGHT.unpack_from(record, 0)
    ids = struct.unpack_from(f">{inbound + released}H", record, _INFLIGHT.size)
    position = _INFLIGHT.size + 2 * (inbound + released)
    found: list[tuple[int, bool, int, int]] = []
    for index in range(leases):
        packet_id, is_released, queue_id, at = _LEASE.unpack_from(record, position + index * _LEASE.size)
        found.append((packet_id, bool(is_released), queue_id, at))
    return InflightRecord(list(ids[:inbound]), list(ids[inbound:]), found)
