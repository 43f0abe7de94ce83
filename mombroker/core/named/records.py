"""The records of named queues in the store: their definitions, and how often a message has come back."""

import struct
from typing import TYPE_CHECKING, Any, Final

from mombroker.core.records import digest, dump
from mombroker.model.unit import TABLE_NAMED, TABLE_RETURNED

if TYPE_CHECKING:
    from mombroker.core.barrier import Barrier
    from mombroker.core.named.queue import NamedQueue
    from mombroker.core.queue import Queue, Ref

_PLACE: Final = struct.Struct(">QQ")
_DELIVERIES: Final = struct.Struct(">I")
MOST_DELIVERIES: Final = 0xFFFFFFFF


def put_definition(queue: "NamedQueue") -> None:
    """Put a queue's definition into the open unit."""
    record: dict[str, Any] = {
        "name": queue.name,
        "kind": queue.spec.kind,
        "owner": queue.owner.name,
        "created_at": queue.created_at,
        "policy": queue.given,
        # The first one is that of its own topic, which it has anyway.
        "bindings": [binding.filter for binding in queue.bindings[1:]],
    }
    queue.engine.barrier.unit.put(TABLE_NAMED, digest(queue.name), dump(record))


def delete_definition(queue: "NamedQueue") -> None:
    """Delete it."""
    queue.engine.barrier.unit.delete(TABLE_NAMED, digest(queue.name))


def put_returned(queue: "NamedQueue", ref: "Ref", deliveries: int, stored: bool) -> None:
    """Remember how often a message was delivered; across restarts if ``stored`` and if the message itself is."""
    place = (ref.queue.id, ref.position)
    queue.returns[place] = deliveries
    if stored and ref.stored:
        value = _DELIVERIES.pack(min(deliveries, MOST_DELIVERIES))
        queue.engine.barrier.unit.put(TABLE_RETURNED, _PLACE.pack(place[0], place[1]), value)


def take_returned(queue: "NamedQueue", barrier: "Barrier", ref: "Ref") -> None:
    """Forget how often a message was delivered."""
    if queue.returns and queue.returns.pop((ref.queue.id, ref.position), None) is not None:
        barrier.unit.delete(TABLE_RETURNED, _PLACE.pack(ref.queue.id, ref.position))


def revoke_returns(queue: "NamedQueue", lane: "Queue", positions: set[int]) -> None:
    """The store never had the messages at these positions, nor those whose consumers are let end with them."""
    for lane_id, position in list(queue.returns):
        if lane_id != lane.id:
            continue
        held = queue.holds(lane, position)
        if position in positions:
            del queue.returns[(lane_id, position)]
        elif held is None or not held.revoked:
            continue
        queue.engine.barrier.unit.delete(TABLE_RETURNED, _PLACE.pack(lane_id, position))


def returned_from(key: bytes, value: bytes) -> tuple[int, int, int]:
    """(lane, position, deliveries) that :func:`put_returned` stored."""
    lane, position = _PLACE.unpack(key)
    return lane, position, _DELIVERIES.unpack(value)[0]


def drop_returns(queue: "NamedQueue") -> None:
    """Forget how often the messages of a queue were delivered."""
    unit = queue.engine.barrier.unit
    for lane_id, position in queue.returns:
        unit.delete(TABLE_RETURNED, _PLACE.pack(lane_id, position))
    queue.returns = {}
