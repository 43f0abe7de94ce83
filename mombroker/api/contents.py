"""Messages of the core as the operations' Structs, and the other way round."""

from collections.abc import Sequence
from typing import Protocol

from mombroker.core.named.meta import PLAIN, Meta, meta_from, user_properties
from mombroker.core.named.queue import NamedQueue, place_id
from mombroker.core.queue import Queue, Ref
from mombroker.model.message import Message, message_from_body
from mombroker.model.queues import QUEUE_PREFIX
from mombroker.model.store import StoredRecord
from mombroker.model.unit import HEAD_SIZE
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.properties import Properties, forwarded_block
from mombroker.operations.messages import Death, InMessage, OutMessage
from mombroker.operations.problems import BAD_REQUEST, TOO_LARGE, Problem
from mombroker.operations.services import Part

OWN_PREFIX = "mom-"
"""User properties that begin like this are the broker's business."""


class Content(Protocol):
    """What every request with a payload has."""

    @property
    def content_type(self) -> str: ...

    @property
    def properties(self) -> tuple[tuple[str, str], ...]: ...


def properties_of(content: Content) -> bytes:
    """The block of end-to-end properties. Raises :class:`Problem`."""
    if not content.content_type and not content.properties:
        return b""
    made = Properties()
    made.content_type = content.content_type or None
    for name, value in content.properties:
        if name.startswith(OWN_PREFIX):
            raise Problem(
                BAD_REQUEST, f"the property {name[:80]!r} begins with {OWN_PREFIX}, which is the broker's own"
            )
        made.user.append((name, value))
    try:
        return forwarded_block(made)
    except ProtocolError as error:
        raise Problem(BAD_REQUEST, f"these properties cannot be sent: {error.detail}") from error


def check_size(payload: bytes, most: int) -> bytes:
    """The payload, unless it is larger than a packet may be."""
    if len(payload) > most:
        raise Problem(TOO_LARGE, f"the payload has {len(payload)} bytes; {most} are allowed")
    return payload


def message_of(queue: NamedQueue, out: OutMessage, publisher: str) -> tuple[Message, Meta]:
    """A message for a queue, with what the queue is to know of it."""
    engine = queue.engine
    now = engine.now
    message = Message(
        QUEUE_PREFIX + queue.name,
        check_size(out.content(), engine.limits.max_packet_size),
        1,
        False,
        properties_of(out),
        now,
        now + out.ttl if out.ttl else 0.0,
        publisher,
    )
    if not (out.id or out.priority or out.key or out.delay or out.deliver_at):
        return message, PLAIN
    meta = Meta()
    meta.id = out.id
    meta.priority = out.priority
    meta.key = out.key
    meta.deliver_at = max(now + out.delay if out.delay else 0.0, out.deliver_at)
    if meta.deliver_at <= now:
        meta.deliver_at = 0.0
    return message, meta


def in_message(queue: NamedQueue, ref: Ref, lease: str, deliveries: int) -> InMessage:
    """A message as a consumer gets it."""
    meta = queue.meta(ref)
    return _in_message(queue, queue.id_of(ref), ref.message, meta, lease, deliveries)


def stored_message(queue: NamedQueue, lane: Queue, record: StoredRecord) -> InMessage:
    """A message as it is in the store."""
    meta = meta_from(record.head[HEAD_SIZE:])
    deliveries = queue.returns.get((lane.id, record.position), meta.deliveries)
    message_id = meta.id or place_id(lane, record.position)
    return _in_message(queue, message_id, message_from_body(record.body), meta, "", deliveries)


def _in_message(
    queue: NamedQueue, message_id: str, message: Message, meta: Meta, lease: str, deliveries: int
) -> InMessage:
    if message.properties:
        content_type, properties = read_properties(message.properties)
    else:
        content_type, properties = "", ()
    return InMessage(
        id=message_id,
        queue=queue.name,
        lease=lease,
        topic=message.topic,
        payload=message.payload,
        content_type=content_type,
        properties=properties,
        priority=meta.priority,
        key=meta.key,
        deliveries=deliveries,
        enqueued_at=meta.since or message.published_at,
        expires_at=message.expires_at,
        deliver_at=meta.deliver_at,
        deaths=deaths_of(meta) if meta.deaths else (),
    )


def deaths_of(meta: Meta) -> tuple[Death, ...]:
    """How a message became a dead letter."""
    return tuple(Death(queue=death[0], reason=death[1], at=death[2], deliveries=death[3]) for death in meta.deaths)


def read_properties(block: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    """(content type, the application's own properties) of a message."""
    found = user_properties(block)
    own: Sequence[tuple[str, str]] = [pair for pair in found.user if not pair[0].startswith(OWN_PREFIX)]
    return found.content_type or "", tuple(own)


def part_of(payload: bytes, block: bytes) -> Part:
    """A part of a reply."""
    content_type, properties = read_properties(block) if block else ("", ())
    return Part(payload=payload, content_type=content_type, properties=properties)
