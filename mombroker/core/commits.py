"""What follows a commit: promises are kept and acknowledgements leave, or, on a full disk, become refusals."""

from typing import TYPE_CHECKING, Final

from mombroker.core.barrier import Promise
from mombroker.core.connection import CLOSED, Connection
from mombroker.core.subscribing import release_deliveries
from mombroker.core.timers import RETAINED_EXPIRY, RETRY
from mombroker.model.errors import StoreFull
from mombroker.model.message import Message
from mombroker.model.reasons import QUOTA_EXCEEDED
from mombroker.mqtt.packet_types import PUBACK, PUBREC, V5

if TYPE_CHECKING:
    from mombroker.core.engine import Engine

RETRY_SECONDS: Final = 1.0


def keep_all(engine: "Engine") -> None:
    """The unit with the store is on disk: send what waited for it, in order, and let its queues go on."""
    was_full = engine.barrier.full
    waiting = engine.barrier.completed()
    if was_full and not engine.barrier.full:
        engine.log.warning("the store has room again: publishes are accepted")
    for promise in waiting.promises:
        keep(engine, promise)
    for connection, codes in waiting.acks:
        for code in codes:
            connection.send_ack(code)
    for outcome in waiting.outcomes:
        outcome.kept()
    for session, ref in waiting.sendable:
        session.send_leased(ref)
    for queue, _ in waiting.queues:
        if queue.attached or queue.wants_oldest():
            queue.consumer.pump(queue)


def keep(engine: "Engine", promise: Promise) -> None:
    """Send a promised packet, and do what follows it."""
    connection = promise.connection
    if connection.state == CLOSED:
        return
    connection.send(promise.data)
    if promise.opens:
        engine.connection_opened(connection)
    elif promise.retained is not None:
        release_deliveries(connection, promise.retained)


def refuse_all(engine: "Engine", error: StoreFull) -> None:
    """The disk is full: what was to be acknowledged is refused (0x97); a 3.x client gets no acknowledgement."""
    if not engine.barrier.full:
        engine.log.error("the store is full: publishes are refused until there is room", error=str(error))
    waiting = engine.barrier.refused()
    unit = engine.barrier.committed
    for connection, codes in waiting.acks:
        for code in codes:
            _refuse(engine, connection, code, unit)
    for outcome in waiting.outcomes:
        if not outcome.carried:
            outcome.refused()
    for topic, before in reversed(waiting.retained):
        if not engine.barrier.is_retaining(topic):
            _put_back(engine, topic, before)
    engine.timers.add(engine.now + RETRY_SECONDS, RETRY)


def _put_back(engine: "Engine", topic: str, before: Message | None) -> None:
    """What was retained for a topic before a unit that the store refused is retained again."""
    if before is None:
        engine.retained.remove(topic)
    else:
        engine.retained.set(before)
        if before.expires_at != 0.0:
            engine.timers.add(before.expires_at, RETAINED_EXPIRY, topic)


def _refuse(engine: "Engine", connection: Connection, code: int, unit: int) -> None:
    packet_type = code >> 24
    packet_id = code & 0xFFFF
    reason = (code >> 16) & 0xFF
    if packet_type != PUBACK and packet_type != PUBREC:
        engine.barrier.ack(connection, packet_type, packet_id, reason, True)
        return
    if reason >= 0x80:  # refused before, for a reason of its own
        connection.send_ack(code)
        return
    session = connection.session
    if packet_type == PUBREC and session is not None and session.inbound is not None:
        if session.inbound.get(packet_id, unit) < unit:
            # Sent again: the message is on disk, from an earlier unit, and must not be taken a second time.
            engine.barrier.ack(connection, packet_type, packet_id, reason, True)
            return
        session.inbound.pop(packet_id, None)
    engine.statistics.publishes_dropped += 1
    if connection.version == V5:
        connection.send_ack(packet_type << 24 | QUOTA_EXCEEDED << 16 | packet_id)
    else:
        connection.quota_used -= 1
